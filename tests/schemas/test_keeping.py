"""What a replace leaves alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from schemas import urns
from schemas.errors import InvalidFilter, InvalidPath
from schemas.keeping import check_preserved, keep, keep_extensions
from schemas.resource_types import USER
from tests.schemas.samples import user

SALES = {"department": "Sales", "manager": {"value": "7", "$ref": "../Users/7"}}
BADGE = "urn:example:badge:1.0:User"
STORED = {
    **user(title="CTO", name={"familyName": "Lee", "givenName": "Ann"}, emails=[{"value": "a@example.com"}]),
    "schemas": [urns.USER, urns.ENTERPRISE_USER, BADGE],
    urns.ENTERPRISE_USER: SALES,
    BADGE: {"level": 1, "doors": {"front": True}},
}


def kept(*paths: str, **members: Any) -> dict[str, Any]:
    return keep(paths, STORED, user("bob", **members), USER)


@pytest.mark.parametrize("path", ["title", "name.givenName", "emails", urns.ENTERPRISE_USER, f"{BADGE}:doors"])
def test_what_can_be_kept_is_accepted(path: str) -> None:
    check_preserved(path, USER)


@pytest.mark.parametrize("path", ["nosuch", "a b", "emails[", 'emails[type eq "work"]', "emails.value"])
def test_a_path_under_which_nothing_can_be_kept_is_refused(path: str) -> None:
    with pytest.raises((InvalidPath, InvalidFilter)):
        check_preserved(path, USER)


def test_nothing_is_kept_that_no_path_names() -> None:
    assert kept() == user("bob")


def test_an_attribute_is_kept_where_the_body_omits_it() -> None:
    assert kept("title", "emails") == user("bob", title="CTO", emails=[{"value": "a@example.com"}])


def test_what_the_body_brings_wins() -> None:
    assert kept("title", "userName", "emails", title="CEO", emails=[{"value": "b@example.com"}]) == user(
        "bob", title="CEO", emails=[{"value": "b@example.com"}]
    )


def test_A4_a_path_is_read_in_any_case() -> None:
    assert kept("TITLE", f"{urns.ENTERPRISE_USER.upper()}:Department") == {
        **user("bob", title="CTO"),
        "schemas": [urns.USER, urns.ENTERPRISE_USER],
        urns.ENTERPRISE_USER: {"department": "Sales"},
    }


def test_what_is_not_stored_is_not_kept() -> None:
    assert kept("nickName", "name.middleName", f"{urns.ENTERPRISE_USER}:costCenter") == user("bob")


def test_a_sub_attribute_is_kept_beside_those_of_the_body() -> None:
    assert kept("name.familyName", name={"givenName": "Bob"}) == user(
        "bob", name={"givenName": "Bob", "familyName": "Lee"}
    )
    assert kept("name.familyName", name={"familyName": "Ray"}) == user("bob", name={"familyName": "Ray"})


def test_a_sub_attribute_is_kept_where_the_body_omits_the_whole() -> None:
    assert kept("name.familyName") == user("bob", name={"familyName": "Lee"})


def test_an_extension_is_kept_and_named_in_schemas() -> None:
    assert kept(urns.ENTERPRISE_USER) == {
        **user("bob"),
        "schemas": [urns.USER, urns.ENTERPRISE_USER],
        urns.ENTERPRISE_USER: SALES,
    }


def test_an_extension_that_the_body_has_is_filled_up_and_named_once() -> None:
    both = {"schemas": [urns.USER, urns.ENTERPRISE_USER], urns.ENTERPRISE_USER: {"department": "Support"}}
    doc = {**user("bob"), **both}
    paths = (f"{urns.ENTERPRISE_USER}:manager.value", f"{urns.ENTERPRISE_USER}:department")

    assert keep(paths, STORED, doc, USER) == {
        **doc,
        urns.ENTERPRISE_USER: {"department": "Support", "manager": {"value": "7"}},
    }


def test_an_extension_as_a_whole_gives_way_to_that_of_the_body() -> None:
    doc = {**user("bob"), "schemas": [urns.USER, urns.ENTERPRISE_USER], urns.ENTERPRISE_USER: {"department": "Support"}}

    assert keep((urns.ENTERPRISE_USER,), STORED, doc, USER) == doc


def test_an_extension_without_a_schema_is_kept_attribute_by_attribute() -> None:
    assert kept(f"{BADGE}:level") == {**user("bob"), "schemas": [urns.USER, BADGE], BADGE: {"level": 1}}


def test_an_unassigned_extension_is_not_named_in_schemas() -> None:
    stored = user()

    assert keep((urns.ENTERPRISE_USER,), stored, user("bob"), USER) == user("bob")


@pytest.mark.parametrize(
    ("stored", "doc"),
    [
        ({BADGE: {"level": 1}}, {BADGE: {"level": {"of": 2}}}),
        ({BADGE: {"level": {"of": 2}}}, {BADGE: {"level": 1}}),
        ({BADGE: {"level": 1}}, {}),
    ],
)
def test_a_step_into_what_is_no_object_keeps_nothing(stored: dict[str, Any], doc: dict[str, Any]) -> None:
    listed = {"schemas": [urns.USER, BADGE]}
    sent = {**user("bob"), **listed, **doc}

    assert keep((f"{BADGE}:level.size",), {**user(), **listed, **stored}, sent, USER) == sent


def test_neither_the_stored_resource_nor_the_body_is_changed() -> None:
    doc = user("bob", name={"givenName": "Bob"})
    before = copy.deepcopy((STORED, doc))
    keep(("name.familyName", urns.ENTERPRISE_USER, f"{BADGE}:level"), STORED, doc, USER)

    assert (STORED, doc) == before


def test_all_extensions_are_kept_where_the_body_omits_them_and_named_in_schemas() -> None:
    sent = {**user("bob"), "schemas": [urns.USER, BADGE], BADGE: {"level": 2}}
    assert keep_extensions(STORED, sent) == {
        **user("bob"),
        "schemas": [urns.USER, urns.ENTERPRISE_USER, BADGE],
        BADGE: {"level": 2},
        urns.ENTERPRISE_USER: SALES,
    }


def test_the_list_of_schemas_is_kept_with_them_in_its_order() -> None:
    stored = {**user("ann"), "schemas": [BADGE, urns.ENTERPRISE_USER, urns.USER], BADGE: {"level": 1}}
    assert keep_extensions(stored, user("ann")) == stored
    other = "urn:example:other:1.0:User"
    sent = {**user("bob"), "schemas": [urns.USER, other], other: {"a": 1}}
    assert keep_extensions(stored, sent)["schemas"] == [BADGE, urns.ENTERPRISE_USER, urns.USER, other]
