"""Lists, pages and the filters that work (scim.md I; RFC 7644 section 3.4.2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from schemas import urns
from tests.served import Scim, Service, op, refused, unique, user

POPULATION = 25


@pytest.fixture(scope="module")
def population(service: Service) -> Iterator[list[Any]]:
    """The users of a tenant that nobody else writes to, in the order of their creation."""
    caller = service.caller("lists")
    made = [caller.made(unique(f"u{place:02}"), externalId=f"e{place % 5}") for place in range(POPULATION)]
    yield made
    for each in made:
        caller.delete(f"/Users/{each['id']}")


@pytest.fixture
def lists(service: Service, population: list[Any]) -> Scim:
    assert len(population) == POPULATION
    return service.caller("lists")


def ids(body: Any) -> list[str]:
    return [each["id"] for each in body["Resources"]]


@pytest.mark.parametrize(
    ("start_index", "count", "first", "length"),
    [
        (1, 10, 0, 10),
        (11, 10, 10, 10),
        (21, 10, 20, 5),
        (25, 1, 24, 1),
        (26, 10, 25, 0),
        (0, 3, 0, 3),
        (-5, 3, 0, 3),
        (1, 0, 0, 0),
        (1, -1, 0, 0),
        (5, 1000, 4, 21),
        (10**15, 5, 25, 0),
    ],
)
def test_I1_startIndex_and_count(
    lists: Scim, population: list[Any], start_index: int, count: int, first: int, length: int
) -> None:
    page = lists.get("/Users", startIndex=start_index, count=count).json()
    assert ids(page) == [each["id"] for each in population[first : first + length]]
    assert page["totalResults"] == POPULATION
    assert page["itemsPerPage"] == length
    assert page["startIndex"] == max(1, start_index)


@pytest.mark.parametrize(
    "parameters", [{"startIndex": "x"}, {"count": "1.5"}, {"count": "ten"}, {"startIndex": "１"}, {"count": "1e3"}]
)
def test_I1_what_is_no_integer_is_refused(lists: Scim, parameters: dict[str, Any]) -> None:
    refused(lists.get("/Users", **parameters), 400, "invalidValue")


def test_I2_a_ListResponse_has_integers_and_always_Resources(service: Service, lists: Scim) -> None:
    page = lists.get("/Users", count=2)
    body = page.json()
    assert body["schemas"] == [urns.LIST_RESPONSE]
    assert set(body) == {"schemas", "totalResults", "startIndex", "itemsPerPage", "Resources"}
    assert [type(body[name]) for name in ("totalResults", "startIndex", "itemsPerPage")] == [int, int, int]
    empty = service.caller("empty").get("/Users").json()
    assert empty["totalResults"] == 0
    assert empty["Resources"] == []
    assert lists.get("/Users", count=0).json()["Resources"] == []


def test_I2_what_a_list_shows_is_what_GET_shows(lists: Scim, population: list[Any]) -> None:
    assert lists.get("/Users", count=POPULATION).json()["Resources"] == population


@pytest.mark.parametrize("filter_text", ['userName eq "nobody"', 'externalId eq "none"', 'id eq "none"'])
def test_I3_no_match_is_an_empty_list(lists: Scim, filter_text: str) -> None:
    body = lists.find(filter_text)
    assert (body["totalResults"], body["Resources"], body["itemsPerPage"]) == (0, [], 0)


def test_I4_the_order_is_that_of_creation_on_every_page_and_after_changes(lists: Scim, population: list[Any]) -> None:
    middle = population[7]
    lists.patched(middle["id"], op("replace", "title", value="changed"))
    lists.patched(middle["id"], op("remove", "title"))
    walked: list[str] = []
    while len(walked) < POPULATION:
        page = ids(lists.get("/Users", startIndex=len(walked) + 1, count=4).json())
        assert page
        walked += page
    assert walked == [each["id"] for each in population]
    population[7] = lists.read(middle["id"])


def test_I4_a_deleted_user_is_neither_listed_nor_counted(service: Service, lists: Scim, population: list[Any]) -> None:
    made = lists.made(externalId="short-lived")
    assert lists.get("/Users", count=0).json()["totalResults"] == POPULATION + 1
    assert lists.delete(f"/Users/{made['id']}").status_code == 204
    page = lists.get("/Users", startIndex=POPULATION - 1, count=10).json()
    assert page["totalResults"] == POPULATION
    assert ids(page) == [each["id"] for each in population[-2:]]
    assert lists.find('externalId eq "short-lived"')["totalResults"] == 0


def test_I5_no_page_is_longer_than_maxResults(lists: Scim) -> None:
    config = lists.get("/ServiceProviderConfig").json()
    assert config["filter"]["maxResults"] == 1000
    page = lists.get("/Users", count=10**12).json()
    assert page["itemsPerPage"] == POPULATION


def test_filters_page_as_lists_do(lists: Scim, population: list[Any]) -> None:
    same = [each["id"] for each in population if each["externalId"] == "e3"]
    assert ids(lists.find('externalId eq "e3"')) == same
    page = lists.get("/Users", filter='externalId eq "e3"', startIndex=2, count=2).json()
    assert ids(page) == same[1:3]
    assert (page["totalResults"], page["startIndex"], page["itemsPerPage"]) == (5, 2, 2)
    assert lists.get("/Users", filter='externalId eq "e3"', count=0).json()["totalResults"] == 5


def test_userName_eq_is_folded_and_externalId_eq_is_exact(rfc: Scim) -> None:
    name = unique("Straße")
    made = rfc.made(name, externalId=name)
    assert ids(rfc.find(f'userName eq "{name.upper()}"')) == [made["id"]]
    assert ids(rfc.find(f'externalId eq "{name}"')) == [made["id"]]
    assert ids(rfc.find(f'externalId eq "{name.upper()}"')) == []
    assert ids(rfc.find(f'id eq "{made["id"]}"')) == [made["id"]]
    assert ids(rfc.find(f'urn:ietf:params:scim:schemas:core:2.0:User:userName eq "{name}"')) == [made["id"]]


def test_a_value_with_quotes_and_backslashes_is_found(rfc: Scim) -> None:
    name = unique('o"brien\\') + "/\u00e9"
    made = rfc.made(name)
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    assert ids(rfc.find(f'userName eq "{escaped}"')) == [made["id"]]


@pytest.mark.parametrize(
    "filter_text",
    [
        'userName sw "a"',
        'userName ne "a"',
        "userName pr",
        'displayName eq "a"',
        'emails[type eq "work"].value eq "a"',
        'userName eq "a" or userName eq "b"',
        'userName eq "a" and active eq true',
        'not (userName eq "a")',
        'meta.lastModified gt "2011-05-13T04:42:34Z"',
    ],
)
def test_other_filters_are_refused_by_naming_the_ones_that_work(rfc: Scim, filter_text: str) -> None:
    detail = refused(rfc.get("/Users", filter=filter_text), 400, "invalidFilter")["detail"]
    assert "userName eq" in detail
    assert "externalId eq" in detail


@pytest.mark.parametrize(
    "filter_text",
    [
        "",
        "userName",
        "userName eq",
        'userName eq "a',
        "userName eq a",
        "eq",
        '("a")',
        'userName xx "a"',
        'userName eq "a" )',
        'password eq "a"',
        "userName eq 5",
        "userName eq true",
        "]" * 50,
    ],
)
def test_wrong_filters_are_invalidFilter(rfc: Scim, filter_text: str) -> None:
    refused(rfc.get("/Users", filter=filter_text), 400, "invalidFilter")


def test_unquoted_words_are_understood_where_the_profile_says_so(rfc: Scim, entra: Scim) -> None:
    made = entra.made(externalId=unique("jyoung"))
    assert ids(entra.find(f"externalId eq {made['externalId']}")) == [made["id"]]
    refused(rfc.get("/Users", filter="externalId eq jyoung"), 400, "invalidFilter")


def test_sortBy_is_ignored_while_sorting_is_not_supported(lists: Scim, population: list[Any]) -> None:
    assert lists.get("/ServiceProviderConfig").json()["sort"] == {"supported": False}
    page = lists.get("/Users", sortBy="userName", sortOrder="descending", count=5).json()
    assert ids(page) == [each["id"] for each in population[:5]]


def test_an_acknowledged_write_is_listed_and_found_at_once(rfc: Scim) -> None:
    for _ in range(20):
        body = user(externalId=unique())
        made = rfc.post("/Users", body).json()
        assert ids(rfc.find(f'userName eq "{body["userName"]}"')) == [made["id"]]
        assert ids(rfc.find(f'externalId eq "{body["externalId"]}"')) == [made["id"]]
