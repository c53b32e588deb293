"""Oracle CPQ's answers: ``user-response``, and the form of its errors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas import urns
from schemas.dialects.dialect import Asked, Refused, Route
from schemas.dialects.oracle_cpq import ORACLE_CPQ
from schemas.dialects.oracle_cpq_fields import URN
from tests.schemas.dialects.oracle_cpq_samples import ID, LOCATION, NATIVE, PATH, STORED, bare, get, put, shown

META = {
    "resourceType": "User",
    "created": "2026-11-20T09:00:00.000Z",
    "lastModified": "2026-11-21T12:00:00.000Z",
    "location": LOCATION,
    "version": 'W/"3"',
}


def test_a_user_is_answered_as_a_user_response() -> None:
    manager = {"value": "m", "$ref": "../Users/m"}
    user = {**STORED, urns.ENTERPRISE_USER: {"organization": "o", "manager": manager}, "urn:x:y": {"a": 1}}
    assert get(user, manager="Meg") == {
        "schemas": [urns.USER, urns.ENTERPRISE_USER, URN],
        "id": ID,
        "userName": "ann",
        "active": True,
        "name": {"givenName": "Ann", "familyName": "Lee"},
        "emails": [{"type": "work", "value": "ann@example.com"}],
        "phoneNumbers": [{"type": "work", "value": "+1 555 0100"}],
        "title": "Engineer",
        "preferredLanguage": "en",
        "timezone": "America/Chicago",
        "meta": META,
        "enterpriseUser": {"organization": "o", "manager": {**manager, "displayName": "Meg"}},
        "extensionUser": {
            **STORED[URN],
            "addresses": [
                {
                    "type": "billing",
                    "streetAddress": "1 Main Street\nFloor 2",
                    "locality": "Austin",
                    "region": "TX",
                    "postalCode": "78701",
                    "country": "US",
                },
                {"type": "shipping", "streetAddress": "2 Dock Road"},
            ],
            "billingFullName": {"firstName": "Bill", "lastName": "Payer"},
            "shippingFullName": {"lastName": "Stock"},
        },
    }


def test_the_answer_is_json_and_says_where_the_user_is() -> None:
    answer = ORACLE_CPQ.answer(Asked("replace", PATH, {}), 200, shown(STORED))
    assert (answer.status, answer.headers) == (200, {"Content-Type": "application/json", "Location": LOCATION})


def test_a_user_with_nothing_but_a_name_has_the_default_status_and_no_empty_objects() -> None:
    assert get(bare()) == {"schemas": [urns.USER], "id": ID, "userName": "ann", "active": True, "meta": META}
    assert get(bare(active=False))["active"] is False
    assert get(bare(**{urns.ENTERPRISE_USER: {"division": "d"}}), manager=None)["enterpriseUser"] == {"division": "d"}


def test_of_a_user_deleted_meanwhile_only_the_identity_is_told() -> None:
    gone = {"schemas": [urns.USER], "id": ID}
    meta = {"resourceType": "User", "location": LOCATION, "version": 'W/"3"'}
    assert get(gone, created=None, modified=None) == {**gone, "meta": meta}


@pytest.mark.parametrize("field", ["language", "timeZone", "status"])
def test_a_coded_field_is_not_told_once_its_home_says_something_else(field: str) -> None:
    after = put(bare(), {field: {**NATIVE[field], "displayValue": "x"}})
    assert field in get(after)["extensionUser"]
    for changed in ({"preferredLanguage": "fr", "timezone": "Z", "active": False}, {}):
        elsewhere = {name: value for name, value in after.items() if name not in STORED or ":" in name} | changed
        said = get({"schemas": [urns.USER], "userName": "ann", **elsewhere}).get("extensionUser", {})
        assert (field in said) == (field == "status" and not changed), "that nothing is stored means Active"


@pytest.mark.parametrize("odd", ["x", 1, None, [], {"value": "Asleep"}, {"value": ["a"]}, {"value": {"a": 1}}])
def test_whatever_SCIMs_clients_write_into_the_extension_can_be_shown(odd: object) -> None:
    fields: dict[str, Any] = dict.fromkeys((*NATIVE, "addresses", "billingFullName", "password", "PassWord"), odd)
    said = get(bare(**{URN: fields}))["extensionUser"]
    hidden = {"login", "firstName", "lastName", "email", "phone", "jobTitle", "password", "PassWord"}
    assert not hidden & set(said)
    assert {name: said[name] for name in fields if name in REST} == dict.fromkeys(REST, odd)


REST = set(NATIVE) - {"login", "firstName", "lastName", "email", "phone", "jobTitle", "language", "timeZone", "status"}


def test_the_extension_is_found_in_whatever_case_it_was_written() -> None:
    said = get(bare(**{URN.upper(): {"fax": "1"}}))
    assert said["extensionUser"] == {"fax": "1"}
    assert said["schemas"] == [urns.USER, URN]


def test_views_are_derived_and_neither_stored_nor_put_over_what_a_body_had() -> None:
    after = put(bare(), {"billCity": "Austin", "shipFirstName": "Stan"})
    assert after[URN] == {"billCity": "Austin", "shipFirstName": "Stan"}
    assert get(after)["extensionUser"] == {
        **after[URN],
        "addresses": [{"type": "billing", "locality": "Austin"}],
        "shippingFullName": {"firstName": "Stan"},
    }
    own = {
        "addresses": [{"type": "billing", "locality": "Houston"}],
        "billingFullName": {"formatted": "B"},
        "billCity": "x",
    }
    changed = put(after, {"schemas": [], "extensionUser": own})
    assert changed[URN] == own
    assert get(changed)["extensionUser"] == own
    assert put(changed, get(changed)) == changed


def test_there_is_a_PUT_and_a_GET_of_one_user() -> None:
    path = "/rest/v19/scim/Users/{id}"
    assert ORACLE_CPQ.routes == (Route("PUT", path, "replace"), Route("GET", path, "read"))
    assert ORACLE_CPQ.name == "oracle_cpq"
    assert ORACLE_CPQ.prefixes == ("/rest/v19/scim",)
    assert ORACLE_CPQ.schemes == {"bearer"}
    assert ORACLE_CPQ.media_types == {"application/json", "application/scim+json"}
    assert ORACLE_CPQ.derives(Asked("read", path, {})) == {"manager"}


@pytest.mark.parametrize(
    ("refused", "title", "details"),
    [
        (Refused(404, "no User has this id", PATH), "Not Found", [("no User has this id", "Not Found")]),
        (Refused(409, "userName is in use", PATH, "uniqueness"), "Conflict", [("userName is in use", "uniqueness")]),
        (
            Refused(400, "a; b", PATH, "invalidValue", ("a.", "b.")),
            "Bad Request",
            [("a.", "invalidValue"), ("b.", "invalidValue")],
        ),
        (Refused(599, "?", PATH), "Error", [("?", "Error")]),
    ],
)
def test_an_error_has_the_form_of_Oracles_REST_services(
    refused: Refused, title: str, details: list[tuple[str, str]]
) -> None:
    answer = ORACLE_CPQ.refuse(refused)
    assert answer.status == refused.status
    assert answer.headers == {"Content-Type": "application/json"}
    assert json.loads(answer.body) == {
        "title": title,
        "status": refused.status,
        "o:errorDetails": [{"title": title, "detail": detail, "o:errorCode": code} for detail, code in details],
    }
