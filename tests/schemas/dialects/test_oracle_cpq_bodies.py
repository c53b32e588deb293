"""Bodies of Oracle CPQ's PUT: what is read, and what is refused with the field that is to blame."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import urns
from schemas.dialects.dialect import Asked, Violations
from schemas.dialects.oracle_cpq import ORACLE_CPQ
from schemas.dialects.oracle_cpq_bodies import read
from schemas.dialects.oracle_cpq_fields import FLAT, REQUEST, URN
from schemas.dialects.shapes import MOST
from schemas.errors import InvalidSyntax, InvalidValue, ScimError
from tests.schemas import user_bodies
from tests.schemas.dialects.oracle_cpq_samples import NATIVE, PATH, bare, get, put

SECRET = "correct horse"


def read_json(body: object) -> Any:
    return read(json.dumps(body).encode())


def group(**members: Any) -> dict[str, Any]:
    return {"groups": {"items": [members]}}


def segment(**members: Any) -> dict[str, Any]:
    return group(segments={"items": [members]})


def sub_segment(**members: Any) -> dict[str, Any]:
    return segment(subSegments={"items": [members]})


def permission(**members: Any) -> dict[str, Any]:
    return {"accessPermissions": {"items": [members]}}


@pytest.mark.parametrize("name", sorted(REQUEST))
@pytest.mark.parametrize("value", ["USD", 1, True, []])
def test_the_objects_of_the_document_are_objects(name: str, value: object) -> None:
    with pytest.raises(Violations) as raised:
        read_json({name: value})
    assert raised.value.violations == (f"{name} must be an object.",)


@pytest.mark.parametrize("name", sorted(FLAT))
@pytest.mark.parametrize("value", [1, True, [], {"value": "x"}])
def test_the_flat_fields_are_strings(name: str, value: object) -> None:
    with pytest.raises(Violations) as raised:
        read_json({name: value})
    assert raised.value.violations == (f"{name} must be a string.",)


@pytest.mark.parametrize(
    ("body", "violation"),
    [
        ({"accessPermissions": {"items": {}}}, "accessPermissions.items must be an array."),
        ({"accessPermissions": {"items": ["x"]}}, "accessPermissions.items[0] must be an object."),
        (permission(hasAccess="yes"), "accessPermissions.items[0].hasAccess must be true or false."),
        (permission(restrictedEntityName=1), "accessPermissions.items[0].restrictedEntityName must be a string."),
        (permission(restrictedEntityVariableName=[]),
         "accessPermissions.items[0].restrictedEntityVariableName must be a string."),
        (permission(type="product"),
         "accessPermissions.items[0].type must be one of productFamily, supportedProductFamily, dataTableFolder."),
        ({"groups": {"items": "x"}}, "groups.items must be an array."),
        ({"groups": {"items": [1]}}, "groups.items[0] must be an object."),
        (group(company="_host"), "groups.items[0].company must be an object."),
        (group(segments=[]), "groups.items[0].segments must be an object."),
        (group(status="1"), "groups.items[0].status must be an object."),
        (group(type="SalesGroup"), "groups.items[0].type must be an object."),
        (group(type={"value": {}}), "groups.items[0].type.value must be a string, a number, true or false."),
        (group(users=["ann"]), "groups.items[0].users must be an object."),
        (group(users={"items": ["ann"]}), "groups.items[0].users.items[0] must be an object."),
        (segment(checked=1), "groups.items[0].segments.items[0].checked must be true or false."),
        (segment(icon={}), "groups.items[0].segments.items[0].icon must be a string."),
        (segment(status=3), "groups.items[0].segments.items[0].status must be 0, 1 or 2."),
        (segment(status=True), "groups.items[0].segments.items[0].status must be 0, 1 or 2."),
        (segment(status="CHECKED"), "groups.items[0].segments.items[0].status must be 0, 1 or 2."),
        (segment(variableName=1), "groups.items[0].segments.items[0].variableName must be a string."),
        (segment(subSegments="x"), "groups.items[0].segments.items[0].subSegments must be an object."),
        (sub_segment(checked="x"), "groups.items[0].segments.items[0].subSegments.items[0].checked must be true or false."),
        (sub_segment(icon=1), "groups.items[0].segments.items[0].subSegments.items[0].icon must be a string."),
        (sub_segment(status=-1), "groups.items[0].segments.items[0].subSegments.items[0].status must be 0, 1 or 2."),
        (sub_segment(title=1), "groups.items[0].segments.items[0].subSegments.items[0].title must be a string."),
        (sub_segment(variableName=1),
         "groups.items[0].segments.items[0].subSegments.items[0].variableName must be a string."),
        ({"currency": {"value": 1}}, "currency.value must be a string."),
        ({"language": {"value": 1}}, "language.value must be a string."),
        ({"timeZone": {"value": {}}}, "timeZone.value must be a string."),
        ({"units": {"value": []}}, "units.value must be a string, a number, true or false."),
        ({"status": {"value": "Asleep"}}, "status.value must be Active or Inactive, or 1 or 0."),
        ({"status": {"value": 2}}, "status.value must be Active or Inactive, or 1 or 0."),
        ({"status": {"value": True}}, "status.value must be Active or Inactive, or 1 or 0."),
        ({"status": {"value": ""}}, "status.value must be Active or Inactive, or 1 or 0."),
    ],
)  # fmt: skip
def test_a_violation_names_the_field(body: Any, violation: str) -> None:
    for sent in (body, {"userName": "ann", "extensionUser": body}, {"schemas": [urns.USER], **body}):
        with pytest.raises(Violations) as raised:
            read_json(sent)
        assert raised.value.violations == (violation,)


def test_all_that_is_wrong_is_told_up_to_a_limit() -> None:
    with pytest.raises(Violations) as raised:
        read_json({"phone": 1, "units": 2})
    assert raised.value.violations == ("phone must be a string.", "units must be an object.")
    with pytest.raises(Violations) as raised:
        read_json({"groups": {"items": [1] * 1000}})
    assert len(raised.value.violations) == MOST


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"login": ""}, "login must not be blank."),
        ({"login": " "}, "login must not be blank."),
        ({"login": "x" * 1025}, "login is longer than 1024 bytes."),
        ({"userName": "\t"}, "userName must not be blank."),
        ({"userName": 1}, "userName must be a string."),
        ({"password": 1}, "password must be a string."),
        ({"schemas": [], "active": "true"}, "active must be true or false."),
        ({"schemas": "urn:x"}, "schemas must be an array."),
        ({"schemas": [1]}, "schemas must be a string."),
        ({"userName": "a", "name": "Ann"}, "name must be an object."),
        ({"userName": "a", "emails": ["a"]}, "emails must be an object in an array."),
        ({"userName": "a", "timezone": 1}, "timezone must be a string."),
        ({"userName": "a", "emails": [{"value": "a", "primary": True}, {"value": "b", "primary": True}]},
         "emails has more than one value with primary true."),
        ({"userName": "a", "enterpriseUser": {"manager": "m"}}, f"{urns.ENTERPRISE_USER}:manager must be an object."),
        ({"userName": "a", "urn:x:y": 1}, "urn:x:y must be an object."),
    ],
)  # fmt: skip
def test_a_value_that_is_not_of_its_attributes_type_is_refused(body: Any, detail: str) -> None:
    with pytest.raises(InvalidValue) as raised:
        read_json(body)
    assert raised.value.detail == detail


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'"x"', b"null", b"1", b'{"a":1', b'{"a":"\xff"}', b"[" * 200, b'{"a":' * 40 + b"1" + b"}" * 40,
     b'{"login":"a","LOGIN":"b"}', b'{"groups":{"Items":[],"items":[]}}', b'{"x":1e999}'],
)  # fmt: skip
def test_what_is_no_sound_json_object_is_invalid_syntax(body: bytes) -> None:
    with pytest.raises((InvalidSyntax, InvalidValue)):
        read(body)


@pytest.mark.parametrize("body", [{"firstName": "a\x00"}, {"currency": {"value": "\x1b"}}, {"x": [{"\x00": 1}]}])
def test_control_characters_are_refused_wherever_they_are(body: Any) -> None:
    with pytest.raises(InvalidValue, match="control character"):
        read_json(body)


def test_native_names_are_read_in_any_case_and_kept_as_they_were_sent() -> None:
    said = read_json({"LOGIN": "ann", "FirstName": "Ann", "enabledForSso": {"value": 1}, "Language": {"value": "en"}})
    assert said.homed == {"login": "ann", "firstName": "Ann", "language": "en"}
    assert said.kept == {"enabledForSso": {"value": 1}}
    with pytest.raises(Violations, match=r"enabledForSso must be an object\."):
        read_json({"enabledForSso": True})


def test_what_the_document_does_not_name_is_kept_and_not_refused() -> None:
    body = {"isWebServicesOnly": True, "_custom": {"a": [{"b": None}]}, "type": {"value": "x", "more": [1]}, "": 1}
    assert read_json(body).kept == body


@pytest.mark.parametrize("where", ["native", "beside", "inside", "scim"])
def test_a_password_goes_its_own_way(where: str) -> None:
    bodies: dict[str, dict[str, Any]] = {
        "native": {"Password": SECRET},
        "beside": {"userName": "ann", "password": SECRET},
        "inside": {"userName": "ann", "extensionUser": {"password": SECRET}},
        "scim": {"schemas": [urns.USER], "PASSWORD": SECRET},
    }
    text = json.dumps(bodies[where]).encode()
    translated = ORACLE_CPQ.translate(Asked("replace", PATH, {}), text, ())
    assert translated.password == SECRET
    assert SECRET.encode() not in msgspec.json.encode(translated.change)


def test_extensionUser_alone_holds_native_fields_too_and_its_password_stays_nowhere() -> None:
    said = read_json(
        {"extensionUser": {"currency": {"value": "EUR"}, "jobTitle": "t", "Password": SECRET}, "units": {}}
    )
    assert said.kept == {"currency": {"value": "EUR"}, "units": {}}
    assert (said.homed["jobTitle"], said.password) == ("t", SECRET)


@pytest.mark.parametrize("nothing", [None, ""])
@pytest.mark.parametrize("shape", [{}, {"userName": "ann"}])
def test_a_password_that_is_empty_is_none(shape: dict[str, Any], nothing: str | None) -> None:
    assert read_json({**shape, "password": nothing}).password is msgspec.UNSET
    assert read_json({**shape, "extensionUser": {"password": nothing}}).password is msgspec.UNSET


@pytest.mark.parametrize("body", [{}, {"password": None}, {"userName": "ann", "password": None}])
def test_a_body_without_a_password_says_nothing_of_it(body: Any) -> None:
    assert read_json(body).password is msgspec.UNSET


def test_null_says_nothing() -> None:
    assert read_json(dict.fromkeys(NATIVE)) == read_json({})
    nothing = {"userName": None, "emails": None, "extensionUser": None, "enterpriseUser": None, "currency": None}
    assert read_json(nothing) == read_json({})
    assert read_json({"userName": "a", "extensionUser": {"currency": None}}).kept == {}


def test_a_body_with_schemas_or_userName_is_read_as_an_answer_in_any_case() -> None:
    told: dict[str, Any]
    for told in ({"schemas": []}, {"userName": "ann"}, {"USERNAME": "ann"}, {"Schemas": ["urn:x"]}):
        said = read_json({**told, "Title": "t", "EnterpriseUser": {"Department": "d"}, "ExtensionUser": {"units": {}}})
        assert said.attributes.get("title") == "t"
        assert said.extensions == {urns.ENTERPRISE_USER: {"department": "d"}}
        assert said.kept == {"units": {}}
    assert read_json({"title": "t", "enterpriseUser": {}}).kept == {"title": "t", "enterpriseUser": {}}


def test_the_URNs_stand_for_the_two_objects_of_an_answer() -> None:
    said = read_json({"userName": "a", urns.ENTERPRISE_USER: {"division": "d"}, URN.upper(): {"units": {}}})
    assert said == read_json({"userName": "a", "enterpriseUser": {"division": "d"}, "extensionUser": {"units": {}}})


def test_what_SCIM_has_no_attribute_for_is_a_native_field_in_either_shape() -> None:
    fields = {"currency": {"value": "USD"}, "timeZone": {"value": "Z", "displayValue": "Zulu"}, "groups": {"items": []}}
    said = read_json({"userName": "a", **fields, "login": "a", "jobTitle": "t", "my field": 1})
    assert said.kept == {**fields, "my field": 1}
    assert said.homed == {"login": "a", "jobTitle": "t", "timeZone": "Z"}


def test_what_is_readOnly_is_ignored() -> None:
    sent = {"userName": "a", "id": 5, "meta": "x", "groups": [{"value": "g"}], "schemas": ["urn:x", "urn:x"]}
    assert read_json(sent) == read_json({"userName": "a"})


@pytest.mark.parametrize(
    ("body", "violation"),
    [
        ({"userName": "a", "extensionUser": []}, "extensionUser must be an object."),
        ({"userName": "a", URN: "x"}, f"{URN} must be an object."),
        ({"userName": "a", "units": {}, "extensionUser": {"UNITS": {}}},
         "UNITS is there twice, in extensionUser and beside it; send one."),
        ({"userName": "a", "extensionUser": {"x y": 1}, URN: {"x y": 1}},
         "an attribute is there twice, in extensionUser and beside it; send one."),
        ({"userName": "a", "enterpriseUser": {"division": "d"}, urns.ENTERPRISE_USER: {"division": "d"}},
         f"{urns.ENTERPRISE_USER} is there twice, under two names; send one."),
        ({"userName": "a", "login": "b"}, "login and userName say different things; send one, or both alike."),
        ({"userName": "a", "active": True, "status": {"value": 0}},
         "status and active say different things; send one, or both alike."),
        ({"userName": "a", "preferredLanguage": "en", "extensionUser": {"language": {"value": "fr"}}},
         "language and preferredLanguage say different things; send one, or both alike."),
        ({"userName": "a", "name": {"givenName": "A"}, "firstName": ""},
         "firstName and name.givenName say different things; send one, or both alike."),
        ({"userName": "a", "emails": [{"value": "x", "type": "home"}, {"value": "y", "type": "Work"}], "email": "x"},
         'email and emails[type eq "work"].value say different things; send one, or both alike.'),
    ],
)  # fmt: skip
def test_a_body_that_says_two_things_at_once_is_refused(body: Any, violation: str) -> None:
    with pytest.raises(Violations) as raised:
        read_json(body)
    assert raised.value.violations == (violation,)


def test_two_names_of_one_thing_may_say_the_same() -> None:
    body = {
        "userName": "a",
        "login": "a",
        "active": False,
        "status": {"value": "inactive"},
        "title": "t",
        "jobTitle": "t",
    }
    after = put(bare(), body)
    assert (after["userName"], after["active"], after["title"]) == ("a", False, "t")


def test_no_more_doubles_than_the_limit_are_told() -> None:
    many = {f"f{number}": number for number in range(100)}
    with pytest.raises(Violations) as raised:
        read_json({"userName": "a", **many, "extensionUser": many})
    assert len(raised.value.violations) == MOST


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=6),
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(st.sampled_from(["value", "items", "type", "status", "segments", "x"]), below, max_size=3)
    ),
    max_leaves=10,
)
NAMES = st.sampled_from(
    [*NATIVE, "userName", "schemas", "extensionUser", "enterpriseUser", "emails", "addresses", "name"]
)


def check_is_put_and_shown_or_refused(body: object) -> None:
    try:
        after = put(bare(), body)
    except ScimError as error:
        status = error.status
    else:
        get(after)
        status = 400
    assert status == 400


@given(st.dictionaries(NAMES, JSON, max_size=6))
def test_a_body_of_whatever_values_is_put_and_shown_or_refused(body: dict[str, Any]) -> None:
    check_is_put_and_shown_or_refused(body)


@given(user_bodies.bodies)
def test_a_SCIM_body_is_put_and_shown_or_refused(body: bytes) -> None:
    check_is_put_and_shown_or_refused(body)
