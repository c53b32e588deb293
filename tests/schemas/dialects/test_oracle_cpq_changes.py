"""What a PUT of Oracle CPQ's changes, and what it leaves alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import urns
from schemas.codec import decode_user
from schemas.commands import DEFAULT_RULES
from schemas.dialects.dialect import Violations
from schemas.dialects.oracle_cpq_fields import URN
from schemas.errors import ScimError
from tests.schemas import user_bodies
from tests.schemas.dialects.oracle_cpq_samples import ID, NATIVE, STORED, bare, canonical, get, put

BADGE = "urn:example:badge:1.0:User"
WORK = {"value": "w@example.com", "type": "work", "display": "Work", "primary": True}
HOME = {"value": "h@example.com", "type": "home"}
PLAIN = {"value": "p@example.com"}
RICH: dict[str, Any] = bare(
    externalId="e-1",
    name={"givenName": "A", "familyName": "L", "middleName": "M", "honorificPrefix": "Dr"},
    displayName="Ann",
    nickName="Annie",
    title="Old",
    userType="Employee",
    preferredLanguage="de",
    locale="de-DE",
    timezone="Europe/Berlin",
    active=False,
    emails=[WORK, HOME, PLAIN],
    phoneNumbers=[{"value": "1", "type": "mobile"}, {"value": "2", "type": "work"}],
    addresses=[{"locality": "Berlin", "type": "work", "display": "Office"}],
    roles=[{"value": "admin"}],
    **{
        urns.ENTERPRISE_USER: {"department": "d", "division": "v", "manager": {"value": "m", "$ref": "../Users/m"}},
        BADGE: {"number": 7, "doors": [{"open": None}]},
        URN: {"currency": {"value": "EUR"}, "fax": "9"},
    },
)
"""A user with more than CPQ knows."""
SINGLE = ("title", "preferredLanguage", "timezone")


def without(doc: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in doc.items() if name not in names}


def test_a_full_user_request_goes_home_field_by_field() -> None:
    assert put(bare(), NATIVE) == STORED
    assert put(put(RICH, NATIVE), NATIVE) == put(RICH, NATIVE), "the same again changes nothing"


def test_what_CPQ_has_no_field_for_survives_element_by_element_and_sub_attribute_by_sub_attribute() -> None:
    after = put(RICH, NATIVE)
    for name in ("externalId", "displayName", "nickName", "userType", "locale", "addresses", "roles"):
        assert after[name] == RICH[name]
    assert after[urns.ENTERPRISE_USER] == RICH[urns.ENTERPRISE_USER]
    assert after[BADGE] == RICH[BADGE]
    assert after["name"] == {"givenName": "Ann", "familyName": "Lee", "middleName": "M", "honorificPrefix": "Dr"}
    assert after["emails"] == [{**WORK, "value": "ann@example.com"}, HOME, PLAIN]
    assert after["phoneNumbers"] == [{"value": "1", "type": "mobile"}, {"value": "+1 555 0100", "type": "work"}]
    assert after[URN] == STORED[URN]
    assert set(after["schemas"]) == set(RICH["schemas"])


def test_what_is_not_sent_goes_back_to_its_default() -> None:
    after = put(RICH, {})
    assert after == {
        **without(RICH, URN, *SINGLE),
        "schemas": [urn for urn in RICH["schemas"] if urn != URN],
        "name": {"middleName": "M", "honorificPrefix": "Dr"},
        "emails": [HOME, PLAIN],
        "phoneNumbers": [{"value": "1", "type": "mobile"}],
        "active": True,
    }
    assert put(bare(), {}) == bare(active=True)


def test_login_that_is_not_sent_is_kept() -> None:
    assert put(RICH, {"firstName": "B"})["userName"] == "ann"
    assert put(RICH, {"schemas": [urns.USER]})["userName"] == "ann"
    assert put(RICH, {"login": "bob"})["userName"] == "bob"


@pytest.mark.parametrize(
    ("status", "active"),
    [
        (None, True), ({}, True), ({"value": None}, True), ({"displayValue": "x"}, True), ({"value": "Active"}, True),
        ({"value": "INACTIVE"}, False), ({"value": "1"}, True), ({"value": "0"}, False), ({"value": 1}, True),
        ({"value": 0}, False),
    ],
)  # fmt: skip
def test_status_is_active_unless_it_says_otherwise(status: object, active: bool) -> None:
    for before in (bare(), bare(active=True), bare(active=False)):
        assert put(before, {"status": status})["active"] is active
        assert put(before, {"schemas": [], "extensionUser": {"status": status}})["active"] is active


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("status", {"value": "Active"}), ("status", {"value": "Inactive"}), ("language", {"value": "en"}),
        ("timeZone", {"value": "Z"}), ("language", {"value": ""}), ("language", {}), ("timeZone", {"value": None}),
    ],
)  # fmt: skip
def test_a_coded_field_that_says_no_more_than_its_home_is_not_kept_twice(name: str, field: object) -> None:
    assert URN not in put(bare(), {name: field})


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("status", {"value": "1"}), ("status", {"value": 0}), ("status", {"value": "active"}),
        ("status", {"value": "Active", "displayValue": "Active"}), ("status", {"displayValue": "x"}),
        ("language", {"value": "en", "displayValue": "English"}), ("timeZone", {"value": None, "id": 1}),
    ],
)  # fmt: skip
def test_a_coded_field_that_says_more_comes_back_whole(name: str, field: object) -> None:
    after = put(bare(), {name: field})
    assert after[URN] == {name: field}
    assert get(after)["extensionUser"] == {name: field}
    assert put(after, get(after)) == after


def test_the_billed_names_stand_in_where_the_plain_ones_are_absent() -> None:
    billed = {name: value for name, value in NATIVE.items() if name.startswith("bill")}
    after = put(bare(), billed)
    assert after["name"] == {"givenName": "Bill", "familyName": "Payer"}
    assert after["emails"] == [{"type": "work", "value": "bills@example.com"}]
    assert after["phoneNumbers"] == [{"type": "work", "value": "+1 555 0102"}]
    assert after[URN] == billed, "and are given back themselves"
    plain = put(bare(), {**billed, "firstName": "Ann", "lastName": "", "email": None})
    assert plain["name"] == {"givenName": "Ann"}, "an empty one is not absent"
    assert plain["emails"][0]["value"] == "bills@example.com", "null is"
    assert "name" not in put(bare(), {"billFirstName": ""})
    assert "name" not in put(bare(), {"schemas": [], "extensionUser": billed}), "an answer's shape has SCIM's names"


def test_an_empty_string_is_no_value() -> None:
    after = put(RICH, dict.fromkeys(("firstName", "lastName", "email", "phone", "jobTitle"), ""))
    assert after == put(RICH, {})


def test_native_fields_are_replaced_as_a_whole_whatever_their_spelling_was() -> None:
    before = bare(**{URN.upper(): {"Currency": {"value": "EUR"}, "old": 1}})
    after = put(before, {"currency": {"value": "USD"}})
    assert [value for name, value in after.items() if ":" in name] == [{"currency": {"value": "USD"}}]
    assert put(after, {}) == bare(active=True)


def test_an_email_of_work_is_made_where_there_is_none_and_changed_where_there_is() -> None:
    assert put(bare(), {"email": "a"})["emails"] == [{"type": "work", "value": "a"}]
    assert put(bare(emails=[HOME]), {"email": "a"})["emails"] == [HOME, {"type": "work", "value": "a"}]
    shouting = {"value": "x", "type": "WORK"}
    assert put(bare(emails=[shouting]), {"email": "a"})["emails"] == [{"value": "a", "type": "WORK"}]
    assert put(bare(emails=[{"display": "W", "type": "work"}]), {"email": "a"})["emails"] == [
        {"display": "W", "type": "work", "value": "a"}
    ]
    assert "emails" not in put(bare(emails=[WORK]), {"phone": "1"})


def test_two_emails_of_work_are_both_CPQs_one() -> None:
    two = [{"value": "a", "type": "work"}, {"value": "b", "type": "work"}]
    assert put(bare(emails=two), {"email": "c"})["emails"] == [{"value": "c", "type": "work"}]


# --- the shape of an answer ---


def test_in_an_answers_shape_attributes_are_set_and_what_CPQ_has_fields_for_goes_back_to_its_default() -> None:
    after = put(
        RICH, {"userName": "bob", "title": "t", "nickName": "B", "name": {"givenName": "B", "formatted": "B B"}}
    )
    assert (after["userName"], after["title"], after["nickName"]) == ("bob", "t", "B")
    assert after["name"] == {"givenName": "B", "middleName": "M", "honorificPrefix": "Dr", "formatted": "B B"}
    assert after["active"] is True
    assert not {"preferredLanguage", "timezone", URN} & set(after)
    assert after["emails"] == [HOME, PLAIN]
    for name in ("externalId", "displayName", "userType", "locale", "addresses", "roles", BADGE, urns.ENTERPRISE_USER):
        assert after[name] == RICH[name]


def test_in_an_answers_shape_values_take_the_place_of_those_of_their_type() -> None:
    changed = {"value": "new@example.com", "type": "home"}
    assert put(RICH, {"userName": "ann", "emails": [WORK, changed]})["emails"] == [PLAIN, WORK, changed]
    assert put(RICH, {"userName": "ann", "emails": [changed]})["emails"] == [PLAIN, changed], "work is CPQ's own"
    assert put(RICH, {"userName": "ann", "emails": [{"value": "q"}]})["emails"] == [HOME, {"value": "q"}]
    assert put(RICH, {"userName": "ann", "roles": [{"value": "x", "type": "y"}]})["roles"] == [
        {"value": "admin"}, {"value": "x", "type": "y"}
    ]  # fmt: skip
    primary = {"value": "q", "type": "other", "primary": True}
    both = put(RICH, {"userName": "ann", "emails": [primary], "email": "w2@example.com"})["emails"]
    assert both == [{**WORK, "value": "w2@example.com", "primary": False}, HOME, PLAIN, primary]


def test_in_an_answers_shape_a_native_email_stands_in_for_one_of_work() -> None:
    assert put(RICH, {"userName": "ann", "emails": [HOME], "email": ""})["emails"] == [PLAIN, HOME]
    shown = {"type": "work", "display": "W"}
    assert put(bare(), {"userName": "ann", "emails": [shown]})["emails"] == [shown]
    assert put(bare(), {"userName": "ann", "emails": [shown], "email": "a"})["emails"] == [{**shown, "value": "a"}]


@pytest.mark.parametrize("before", [bare(), RICH, bare(emails=[HOME]), bare(emails=[HOME, WORK])])
@pytest.mark.parametrize("emails", [[HOME], [PLAIN, HOME], [WORK, HOME], [HOME, {"type": "work"}], []])
def test_in_an_answers_shape_the_same_again_changes_nothing(before: dict[str, Any], emails: list[Any]) -> None:
    body = {"userName": "ann", "emails": emails, "email": "w@example.com", "phone": "2"}
    after = put(before, body)
    assert put(after, body) == after


def test_in_an_answers_shape_the_enterprise_users_attributes_are_set_one_by_one() -> None:
    sent = {"organization": "o", "department": None, "manager": {"value": "n", "displayName": "N"}}
    after = put(RICH, {"userName": "ann", "enterpriseUser": sent})[urns.ENTERPRISE_USER]
    assert after == {"department": "d", "division": "v", "organization": "o", "manager": {"value": "n"}}
    assert put(RICH, {"userName": "ann", "enterpriseUser": {}})[urns.ENTERPRISE_USER] == RICH[urns.ENTERPRISE_USER]


def test_in_an_answers_shape_another_extension_is_set_as_a_whole() -> None:
    after = put(RICH, {"userName": "ann", BADGE.upper(): {"colour": {"red": [1]}}})
    assert [value for name, value in after.items() if name.lower() == BADGE.lower()] == [{"colour": {"red": [1]}}]


@pytest.mark.parametrize(
    ("types", "violation"),
    [
        (["x" * 501], "emails has a type of more than 500 characters."),
        ([f"t{number}" for number in range(101)], "emails has values of more than 100 types."),
    ],
)
def test_types_that_paths_would_be_too_dear_for_are_refused(types: list[str], violation: str) -> None:
    with pytest.raises(Violations) as raised:
        put(bare(), {"userName": "ann", "emails": [{"value": "v", "type": each} for each in types]})
    assert raised.value.violations == (violation,)


def test_as_many_types_as_are_allowed_can_be_put_back() -> None:
    many = bare(active=True, emails=[{"value": str(number), "type": f"t{number % 100}"} for number in range(300)])
    assert put(many, get(many)) == many


def test_thousands_of_native_fields_are_kept_wherever_they_stand() -> None:
    many: dict[str, Any] = {f"field{number}": number for number in range(9_000)}
    for body in ({"userName": "ann", **many}, {"userName": "ann", "extensionUser": many}, many):
        assert put(bare(), body)[URN] == many


@pytest.mark.parametrize("odd", ['a"]b', "a\\b", "ß", " ", "x" * 500, "\u00e9\t", "\U0001f600"])
def test_any_type_can_be_named(odd: str) -> None:
    user = bare(active=True, emails=[{"value": "1", "type": odd}, HOME])
    assert put(user, get(user)) == user
    after = put(user, {"userName": "ann", "emails": [{"value": "2", "type": odd}]})
    assert after["emails"] == [HOME, {"value": "2", "type": odd}]


# --- what the tenant preserves ---


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("title", "title"), ("TITLE", "title"), ("preferredLanguage", "preferredLanguage"), ("active", "active"),
        ("emails", "emails"), ("phoneNumbers", "phoneNumbers"), ("name", "name"), (f"{urns.USER}:timezone", "timezone"),
        (URN, URN), (f"{URN}:currency", URN),
    ],
)  # fmt: skip
def test_what_the_tenant_preserves_stays_where_the_body_omits_it(path: str, kept: str) -> None:
    assert put(RICH, {}, (path,)) == {**put(RICH, {}), "schemas": put(RICH, {}, (path,))["schemas"], kept: RICH[kept]}
    assert (URN in put(RICH, {}, (path,))["schemas"]) == (kept == URN)


def test_what_the_tenant_preserves_is_changed_where_the_body_has_it() -> None:
    everything = ("title", "name.givenName", "emails", "active", URN, "nickName")
    assert put(RICH, {"jobTitle": "t"}, everything)["title"] == "t"
    assert "title" not in put(RICH, {"jobTitle": ""}, everything)
    after = put(RICH, {"lastName": "X", "currency": {"displayValue": "x"}, "status": {"value": 1}}, everything)
    assert after["name"] == {**RICH["name"], "familyName": "X"}
    assert after["active"] is True
    assert after[URN] == {"currency": {"displayValue": "x"}, "fax": "9", "status": {"value": 1}}, (
        "each field as a whole"
    )


# --- and back ---


@pytest.mark.parametrize("user", [RICH, STORED, put(RICH, NATIVE), put(RICH, {}), bare(active=True)])
def test_what_a_GET_returned_can_be_PUT_back_unchanged_without_loss(user: dict[str, Any]) -> None:
    assert put(user, get(user)) == user


OPAQUE = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["a", "", "1"]),
    lambda below: st.lists(below, max_size=2) | st.dictionaries(st.sampled_from(["a", "b"]), below, max_size=2),
    max_leaves=4,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        name: st.just(NATIVE[name])
        for name in ("currency", "groups", "units", "billCity", "billZip", "shipAddress1", "billFirstName")
    }
    | {
        "custom": OPAQUE.filter(lambda value: value is not None),
        "addresses": OPAQUE.filter(lambda value: value is not None),
    },
)


@given(user_bodies.bodies, FIELDS, st.sampled_from([None, "work", "home"]))
def test_any_user_shown_can_be_PUT_back_unchanged_without_loss(
    body: bytes, fields: dict[str, Any], also: str | None
) -> None:
    try:
        user = decode_user(body, DEFAULT_RULES)
    except ScimError:
        return
    user.pop("password", None)
    stored = {"schemas": user["schemas"], "id": ID, **user}
    stored.setdefault("active", True)
    if also is not None:
        stored["emails"] = [*stored.get("emails", []), {"value": "also", "type": also}]
    if fields:
        stored |= {URN: fields, "schemas": [*stored["schemas"], URN]}
    after = put(stored, get(stored))
    assert canonical(after) == canonical(stored)


@given(user_bodies.bodies, st.dictionaries(st.sampled_from(sorted(NATIVE)), st.just(None)))
def test_a_native_PUT_changes_nothing_but_what_CPQ_has_fields_for(body: bytes, nulls: dict[str, None]) -> None:
    try:
        user = decode_user(body, DEFAULT_RULES)
    except ScimError:
        return
    user.pop("password", None)
    stored = {"schemas": user["schemas"], "id": ID, **user}
    after = put(stored, {**NATIVE, **nulls})
    for name, value in stored.items():
        if name in ("emails", "phoneNumbers"):
            others = [each for each in value if each.get("type", "").lower() != "work"]
            assert [each for each in after.get(name, []) if each.get("type", "").lower() != "work"] == others
        elif name == "name":
            untouched = without(value, "givenName", "familyName")
            assert without(after.get(name, {}), "givenName", "familyName") == untouched
        elif name not in {"schemas", "userName", "active", *SINGLE}:
            assert after[name] == value
