"""Reading one user, and which of its attributes (scim.md F)."""

from __future__ import annotations

from typing import Any

import pytest

from schemas import urns
from tests.served import Scim, op, refused, unique, user

ENTERPRISE = urns.ENTERPRISE_USER
FULL: dict[str, Any] = {
    "externalId": "e-1",
    "name": {"familyName": "Lee", "givenName": "Ann"},
    "displayName": "Ann",
    "emails": [{"value": "a@example.com", "type": "work"}, {"value": "h@example.com", "type": "home"}],
    "enterprise": {"division": "d", "manager": {"value": "m-1"}},
}


@pytest.mark.parametrize(
    "resource_id",
    ["unknown", "01920000-0000-7000-8000-000000000000", "%00", "a%2Fb", "..", "x" * 300, "%C3%BC", "%ED%A0%80"],
)
def test_F1_an_unknown_id_is_404_with_an_error(rfc: Scim, resource_id: str) -> None:
    refused(rfc.get(f"/Users/{resource_id}"), 404)


def test_F1_GET_gives_the_user_with_its_version(rfc: Scim) -> None:
    made = rfc.made(**FULL)
    answer = rfc.get(f"/Users/{made['id']}")
    assert answer.json() == made
    assert answer.headers["ETag"] == made["meta"]["version"]
    head = rfc.request("HEAD", f"/Users/{made['id']}")
    assert head.status_code == 200
    assert head.headers["ETag"] == made["meta"]["version"]


@pytest.mark.parametrize(
    ("attributes", "shown"),
    [
        ("userName", {"userName"}),
        ("userName,displayName", {"userName", "displayName"}),
        (" userName , displayName ", {"userName", "displayName"}),
        ("emails.value", {"emails"}),
        ("name", {"name"}),
        ("meta.version", {"meta"}),
        (f"{urns.USER}:userName", {"userName"}),
        (f"{ENTERPRISE}:division", {ENTERPRISE}),
        (ENTERPRISE, {ENTERPRISE}),
        ("id", set()),
        ("schemas", set()),
        ("password", set()),
        ("nosuch", set()),
    ],
)
def test_F2_attributes_says_what_is_shown(rfc: Scim, attributes: str, shown: set[str]) -> None:
    made = rfc.made(**FULL)
    expected = {"id", "schemas"} | shown
    assert set(rfc.get(f"/Users/{made['id']}", attributes=attributes).json()) == expected
    listed = rfc.get("/Users", attributes=attributes, filter=f'id eq "{made["id"]}"').json()["Resources"]
    assert [set(each) for each in listed] == [expected]


@pytest.mark.parametrize(
    ("excluded", "hidden"),
    [
        ("displayName", {"displayName"}),
        ("displayName,emails", {"displayName", "emails"}),
        ("meta", {"meta"}),
        (f"{urns.USER}:displayName", {"displayName"}),
        (ENTERPRISE, {ENTERPRISE}),
        ("id,schemas", set()),
        ("userName", {"userName"}),
        ("nosuch", set()),
    ],
)
def test_F2_excludedAttributes_says_what_is_not(rfc: Scim, excluded: str, hidden: set[str]) -> None:
    made = rfc.made(**FULL)
    answer = rfc.get(f"/Users/{made['id']}", excludedAttributes=excluded).json()
    assert set(answer) == set(made) - hidden
    assert {name: answer[name] for name in answer} == {name: made[name] for name in answer}


def test_F2_sub_attributes_are_shown_and_hidden_one_by_one(rfc: Scim) -> None:
    made = rfc.made(**FULL)
    path = f"/Users/{made['id']}"
    kept = rfc.get(path, attributes="emails.value,name.familyName").json()
    assert kept["emails"] == [{"value": "a@example.com"}, {"value": "h@example.com"}]
    assert kept["name"] == {"familyName": "Lee"}
    left = rfc.get(path, excludedAttributes=f"emails.type,{ENTERPRISE}:manager").json()
    assert left["emails"] == [{"value": "a@example.com"}, {"value": "h@example.com"}]
    assert left[ENTERPRISE] == {"division": "d"}


def test_F2_the_two_parameters_exclude_each_other(rfc: Scim) -> None:
    made = rfc.made()
    both: dict[str, Any] = {"attributes": "userName", "excludedAttributes": "displayName"}
    refused(rfc.get(f"/Users/{made['id']}", **both), 400, "invalidValue")
    refused(rfc.get("/Users", **both), 400, "invalidValue")
    body = user()
    refused(rfc.post("/Users", body, **both), 400, "invalidValue")
    assert rfc.find(f'userName eq "{body["userName"]}"')["totalResults"] == 0, "refused before anything was changed"
    refused(rfc.put(f"/Users/{made['id']}", user(), **both), 400, "invalidValue")
    refused(rfc.patch(f"/Users/{made['id']}", op("replace", "title", value="t"), **both), 400, "invalidValue")


def test_F3_schemas_and_id_are_always_returned(rfc: Scim) -> None:
    made = rfc.made(**FULL)
    wanted: list[dict[str, Any]] = [*({"attributes": "title"}, {"excludedAttributes": "schemas,id,userName"})]
    for parameters in wanted:
        shown = rfc.get(f"/Users/{made['id']}", **parameters).json()
        assert shown["id"] == made["id"]
        assert shown["schemas"] == made["schemas"]


def test_F4_excludedAttributes_may_name_what_a_user_has_not(rfc: Scim) -> None:
    made = rfc.made()
    assert rfc.get(f"/Users/{made['id']}", excludedAttributes="members").json() == made
    assert rfc.get("/Users", excludedAttributes="members,groups", count=1).status_code == 200


def test_F5_a_filter_in_attributes_is_left_out_of_account(rfc: Scim) -> None:
    made = rfc.made(**FULL)
    path = f"/Users/{made['id']}"
    assert set(rfc.get(path, attributes='emails[type eq "work"]').json()) == {"schemas", "id", "emails"}
    shown = rfc.get(path, attributes='emails[type eq "a, b"].value,userName').json()
    assert set(shown) == {"schemas", "id", "emails", "userName"}


def test_F_the_projection_of_one_user_does_not_reach_the_next(rfc: Scim) -> None:
    made = rfc.made(unique(), **FULL)
    rfc.get(f"/Users/{made['id']}", attributes="userName")
    assert rfc.read(made["id"]) == made
