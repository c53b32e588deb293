"""SCIM 1.1's partial resources as PatchOps (SCIM Protocol 1.1 section 3.3.2), and users as SCIM 1.1 shows them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import urns
from schemas.attributes import Attribute, Schema
from schemas.codec import decode_json
from schemas.commands import DEFAULT_RULES
from schemas.dialects.dialect import Shown
from schemas.dialects.scim11 import CORE, ENTERPRISE, patch_op, patch_request, projection, user_document
from schemas.errors import InvalidPath, InvalidSyntax, InvalidValue, Mutability, ScimError
from schemas.memberships import Membership
from schemas.notation import MAX_NOTATION
from schemas.patch import apply_patch
from schemas.patch_requests import MAX_OPERATIONS, patch_document
from schemas.projection import MAX_NAMES
from schemas.resource_types import USER
from schemas.resources import MAX_DEPTH, MAX_VALUES

_E = urns.ENTERPRISE_USER
_BADGE = Schema(
    urn="urn:example:badge:1.0",
    name="Badge",
    description="",
    attributes=(
        Attribute(name="colour"),
        Attribute(name="valid", type="boolean"),
        Attribute(name="printedBy", mutability="readOnly"),
    ),
)
_ANN: dict[str, Any] = {
    "schemas": [urns.USER],
    "id": "u-1",
    "userName": "ann",
    "name": {"givenName": "Ann", "familyName": "Lee"},
    "title": "Clerk",
    "active": True,
    "emails": [
        {"value": "ann@example.com", "type": "work", "primary": True},
        {"value": "lee@example.com", "type": "home"},
    ],
    "addresses": [
        {"type": "work", "locality": "Bern", "country": "CH"},
        {"type": "home", "locality": "Thun", "country": "CH"},
    ],
}


def operations(_described: tuple[Schema, ...] = (_BADGE,), /, **members: Any) -> list[dict[str, Any]]:
    """Return the operations that a partial resource stands for, as they are written in a PatchOp."""
    return list(patch_document(patch_request(members, _described).operations)["Operations"])


def removing(*names: Any, **members: Any) -> list[dict[str, Any]]:
    """Return the operations of a partial resource whose ``meta.attributes`` are these."""
    return operations(meta={"attributes": list(names)}, **members)


def patched(before: dict[str, Any], /, **members: Any) -> dict[str, Any]:
    """Return what a partial resource makes of a stored one, without ``schemas``, ``id`` and ``userName``."""
    wanted = patch_request(members, (_BADGE,))
    after = apply_patch(wanted.operations, before, USER, DEFAULT_RULES)
    return {name: value for name, value in after.items() if name not in {"schemas", "id", "userName"}}


def refused(error: type[ScimError], /, **members: Any) -> str:
    """Return the detail of a refusal of exactly this kind."""
    with pytest.raises(error) as raised:
        patch_request(members, (_BADGE,))
    assert type(raised.value) is error
    return raised.value.detail


# --- the body ---


@pytest.mark.parametrize("body", [None, [], "x", 5, True])
def test_a_body_that_is_no_object_is_refused(body: object) -> None:
    with pytest.raises(InvalidSyntax, match="must be a JSON object"):
        patch_request(body)


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"schemas": [CORE]},
        {"schemas": None, "meta": None},
        {"meta": {"attributes": []}},
        {"meta": {"attributes": None, "version": "x", "lastModified": 5}},
        {"nickName": None, "emails": [], "name": {}, "urn:example:x:1.0": None, ENTERPRISE: {}},
        {"emails": [None, {}, {"operation": "string"}, {"nosuch": 1}]},
        {"nosuch": "x", "password1": "x", CORE: {"title": "x"}, urns.USER: {"title": "x"}},
        {"id": 5, "groups": "x"},
        {ENTERPRISE: {"nosuch": 5, "manager": {"displayName": "x"}}},
        {ENTERPRISE: {"manager": {"managerId": None}}},
        {_BADGE.urn: {"colour": None, "printedBy": "me", "valid": []}},
    ],
)
def test_a_body_that_asks_for_nothing_has_no_operation(members: dict[str, Any]) -> None:
    wanted = patch_request(members, (_BADGE,))
    assert wanted.operations == ()
    assert wanted.password is msgspec.UNSET


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"schemas": CORE}, "schemas must be an array of URNs."),
        ({"schemas": [5]}, "schemas must be an array of URNs."),
        ({"meta": "title"}, "meta must be an object."),
        ({"META": {"ATTRIBUTES": "title"}}, "meta.attributes must be an array of strings."),
        ({"meta": {"attributes": ["title", 5]}}, "meta.attributes must be an array of strings."),
        ({"emails": {"value": "x"}}, "emails must be an array."),
        ({"emails": ["x"]}, "emails must be an object in an array."),
        ({"emails": [{"value": 5}]}, "emails.value must be a string."),
        ({"title": 5}, "title must be a string."),
        ({"active": "false"}, "active must be true or false."),
        ({"name": "Ann"}, "name must be an object."),
        ({"userName": " "}, "userName must not be blank."),
        ({ENTERPRISE: "x"}, f"{ENTERPRISE} must be an object."),
        ({ENTERPRISE: {"manager": "x"}}, f"{_E}:manager must be an object."),
        ({ENTERPRISE: {"manager": {"managerId": 5}}}, f"{_E}:manager.value must be a string."),
        ({"urn:example:x:1.0": "x"}, "urn:example:x:1.0 must be an object."),
        ({_BADGE.urn: {"valid": "yes"}}, f"{_BADGE.urn}:valid must be true or false."),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_and_named(members: dict[str, Any], says: str) -> None:
    assert refused(InvalidValue, **members) == says


def test_names_that_differ_only_in_case_are_refused() -> None:
    refused(InvalidSyntax, title="a", TITLE="b")


def test_what_is_ignored_is_still_checked_as_JSON() -> None:
    refused(InvalidValue, id="\x00")
    deep: Any = "x"
    for _ in range(MAX_DEPTH):
        deep = [deep]
    refused(InvalidSyntax, groups=deep)


def test_more_operations_than_a_patch_may_hold_are_refused() -> None:
    values = [{"value": f"{number}@example.com"} for number in range(MAX_OPERATIONS + 1)]
    assert len(operations(emails=values[:-1])) == MAX_OPERATIONS
    refused(InvalidValue, emails=values)


def test_names_and_values_beyond_measure_are_refused_before_they_are_read() -> None:
    assert removing(*["nosuch"] * MAX_OPERATIONS) == []
    refused(InvalidValue, meta={"attributes": ["nosuch"] * (MAX_OPERATIONS + 1)})
    assert operations(emails=[{}] * MAX_VALUES) == []
    refused(InvalidValue, emails=[{}] * (MAX_VALUES + 1))


# --- singular and complex attributes ---


def test_a_single_attribute_overwrites() -> None:
    assert operations(title="Chief", TIMEZONE="Europe/Zurich", active=False) == [
        {"op": "replace", "path": "title", "value": "Chief"},
        {"op": "replace", "path": "timezone", "value": "Europe/Zurich"},
        {"op": "replace", "path": "active", "value": False},
    ]
    assert patched(_ANN, title="", active=False) == {
        **{name: _ANN[name] for name in ("name", "emails", "addresses")},
        "title": "",
        "active": False,
    }


def test_a_complex_attribute_merges_its_sub_attributes() -> None:
    assert operations(name={"GIVENNAME": "Anna", "familyName": None, "nosuch": 1}) == [
        {"op": "add", "path": "name", "value": {"givenName": "Anna"}}
    ]
    assert patched(_ANN, name={"givenName": "Anna"})["name"] == {"givenName": "Anna", "familyName": "Lee"}


def test_a_password_is_told_apart() -> None:
    wanted = patch_request({"password": "secret", "title": "x"})
    assert wanted.password == "secret"
    assert [each.path for each in wanted.operations] == ["title"]
    assert patch_request({"meta": {"attributes": ["password"]}}).password is None
    both = patch_request({"meta": {"attributes": ["PassWord"]}, "password": "secret"})
    assert (both.password, both.operations) == ("secret", ())


# --- multi-valued attributes ---


def test_a_value_is_merged_or_added_by_its_value() -> None:
    assert operations(emails=[{"VALUE": "a@example.com", "type": "work", "operation": "string"}]) == [
        {
            "op": "add",
            "path": 'emails[value eq "a@example.com"]',
            "value": {"value": "a@example.com", "type": "work"},
        }
    ]
    merged = patched(_ANN, emails=[{"value": "LEE@example.com", "display": "Lee"}])["emails"]
    assert merged == [_ANN["emails"][0], {"value": "LEE@example.com", "type": "home", "display": "Lee"}]
    added = patched(_ANN, emails=[{"value": "new@example.com"}])["emails"]
    assert added == [*_ANN["emails"], {"value": "new@example.com"}]


@pytest.mark.parametrize("value", ['a"b\\', "", "é\t\n", "x] or value pr or type[", "null", "true"])
def test_any_value_is_found_again(value: str) -> None:
    before = {**_ANN, "emails": [{"value": value, "type": "work"}, {"value": "other"}]}
    merged = patched(before, emails=[{"value": value, "display": "d"}])["emails"]
    assert merged == [{"value": value, "type": "work", "display": "d"}, {"value": "other"}]
    left = patched(before, emails=[{"value": value, "operation": "delete"}])["emails"]
    assert left == [{"value": "other"}]


def test_a_new_primary_is_the_only_one() -> None:
    after = patched(_ANN, emails=[{"value": "lee@example.com", "primary": True}])["emails"]
    assert [each["primary"] for each in after] == [False, True]


def test_two_primaries_are_refused() -> None:
    two = [{"value": "a", "primary": True}, {"value": "b", "primary": True}]
    assert refused(InvalidValue, emails=two) == "emails has more than one value with primary true."
    refused(InvalidValue, emails=two, meta={"attributes": ["emails"]})
    two[0]["operation"] = "delete"
    assert len(operations(emails=two)) == 2


def test_values_without_value_are_added() -> None:
    bern = {"type": "work", "locality": "Bern", "country": "CH"}
    assert operations(addresses=[{**bern, "operation": "add"}]) == [{"op": "add", "path": "addresses", "value": [bern]}]
    assert patched(_ANN, addresses=[{"type": "work", "locality": "Biel"}])["addresses"] == [
        *_ANN["addresses"],
        {"type": "work", "locality": "Biel"},
    ]
    assert patched(_ANN, addresses=[bern])["addresses"] == _ANN["addresses"]
    assert operations(emails=[{"type": "work", "value": None}]) == [
        {"op": "add", "path": "emails", "value": [{"type": "work"}]}
    ]


@pytest.mark.parametrize("word", ["delete", "DELETE", "Delete"])
def test_operation_delete_removes_by_value(word: str) -> None:
    deleted = {"value": "lee@example.com", "type": "another", "Operation": word}
    assert operations(emails=[deleted]) == [{"op": "remove", "path": 'emails[value eq "lee@example.com"]'}]
    assert patched(_ANN, emails=[deleted])["emails"] == _ANN["emails"][:1]


def test_a_value_to_delete_that_is_not_there_is_no_error() -> None:
    assert patched(_ANN, emails=[{"value": "x", "operation": "delete"}])["emails"] == _ANN["emails"]
    none = {name: value for name, value in _ANN.items() if name != "emails"}
    assert "emails" not in patched(none, emails=[{"value": "x", "operation": "delete"}])


@pytest.mark.parametrize("operation", ["string", "add", "", "remove", None, 5, True, ["delete"], {"delete": 1}])
def test_any_other_operation_is_ignored(operation: object) -> None:
    after = patched(_ANN, emails=[{"value": "lee@example.com", "operation": operation}])
    assert after["emails"] == _ANN["emails"]


def test_a_value_without_value_is_deleted_by_all_its_sub_attributes() -> None:
    thun = {"type": "home", "country": "ch", "primary": False, "operation": "delete", "nosuch": 1, "region": None}
    assert operations(addresses=[thun]) == [
        {"op": "remove", "path": 'addresses[type eq "home" and country eq "ch" and primary eq false]'}
    ]
    assert patched(_ANN, addresses=[thun])["addresses"] == _ANN["addresses"][:1]
    assert patched(_ANN, addresses=[{**thun, "locality": "Bern"}])["addresses"] == _ANN["addresses"]


def test_a_value_to_delete_that_names_nothing_is_refused() -> None:
    says = "A value of emails to delete must be named by its sub-attributes."
    assert refused(InvalidValue, emails=[{"operation": "delete"}]) == says
    assert refused(InvalidValue, emails=[{"operation": "delete", "nosuch": 1, "value": None}]) == says


def test_a_value_is_replaced_by_deleting_it_first() -> None:
    changes = [{**_ANN["addresses"][0], "operation": "delete"}, {"type": "work", "locality": "Biel"}]
    assert patched(_ANN, addresses=changes)["addresses"] == [
        _ANN["addresses"][1],
        {"type": "work", "locality": "Biel"},
    ]


def test_a_value_that_is_too_long_for_a_path_is_added_whole_and_cannot_be_deleted() -> None:
    room = MAX_NOTATION - len('photos[value eq ""]')
    fits, too_long = {"value": "x" * room}, {"value": "é" * (room // 2 + 1)}
    assert operations(photos=[fits])[0]["path"].startswith("photos[")
    assert operations(photos=[too_long]) == [{"op": "add", "path": "photos", "value": [too_long]}]
    detail = refused(InvalidValue, photos=[{**too_long, "operation": "delete"}])
    assert detail == "A value of photos to delete is too long to select by."


# --- meta.attributes ---


def test_what_meta_attributes_lists_is_removed_first() -> None:
    assert removing("nickName", "NAME.middlename", f"{CORE}:Title", f"{CORE.upper()}:emails.type", locale="de") == [
        {"op": "remove", "path": "nickName"},
        {"op": "remove", "path": "name.middleName"},
        {"op": "remove", "path": "title"},
        {"op": "remove", "path": "emails.type"},
        {"op": "replace", "path": "locale", "value": "de"},
    ]


def test_what_is_removed_and_supplied_is_replaced() -> None:
    assert removing("userName", "Emails", "phoneNumbers", userName="bob", emails=[{"value": "b"}]) == [
        {"op": "remove", "path": "phoneNumbers"},
        {"op": "replace", "path": "userName", "value": "bob"},
        {"op": "replace", "path": "emails", "value": [{"value": "b"}]},
    ]
    after = patched(_ANN, meta={"attributes": ["name", "emails"]}, name={"givenName": "B"}, emails=[{"value": "b"}])
    assert after["name"] == {"givenName": "B"}
    assert after["emails"] == [{"value": "b"}]


def test_a_delete_in_an_attribute_that_is_removed_is_ignored() -> None:
    deleted = {"operation": "delete", "value": "a"}
    assert removing("emails", emails=[deleted, {"value": "b"}]) == [
        {"op": "replace", "path": "emails", "value": [{"value": "b"}]}
    ]
    assert removing("emails", emails=[deleted]) == [{"op": "remove", "path": "emails"}]
    assert removing("emails", emails=[]) == [{"op": "remove", "path": "emails"}]


def test_a_sub_attribute_that_is_removed_may_be_supplied() -> None:
    after = patched(_ANN, meta={"attributes": ["name.givenName", "emails.type"]}, name={"givenName": "B"})
    assert after["name"] == {"givenName": "B", "familyName": "Lee"}
    assert [each.get("type") for each in after["emails"]] == [None, None]


def test_what_is_required_cannot_be_removed() -> None:
    refused(Mutability, meta={"attributes": ["userName"]})
    refused(Mutability, meta={"attributes": ["userName"]}, userName=None)


@pytest.mark.parametrize(
    "name",
    [
        *("id", "schemas", "meta", "meta.version", "groups", "groups.display", "nosuch", "title.nosuch", "name.nosuch"),
        *(f"{_E}:nosuch", f"{ENTERPRISE}:manager.displayName", f"{ENTERPRISE}:nosuch", f"{_BADGE.urn}:printedBy"),
        f"{_BADGE.urn}:PRINTEDBY.x",
    ],
)
def test_a_removal_of_what_clients_do_not_write_is_ignored(name: str) -> None:
    assert removing(name) == []


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "emails[value pr]", "name.", ".", "title,", "x:y", "nickName.a.b", CORE]
)
def test_a_name_that_is_no_attribute_notation_is_refused(name: str) -> None:
    detail = refused(InvalidPath, meta={"attributes": [name]})
    assert detail == "meta.attributes must list attributes: name, name.sub-attribute, urn:name."


# --- extensions ---


def test_the_enterprise_extension_is_merged_under_its_URN_of_2_0() -> None:
    sent = {"EMPLOYEENUMBER": "7", "department": "Tin", "manager": {"managerId": "u-2", "displayName": "x"}}
    expected = [
        {"op": "remove", "path": f"{_E}:manager.$ref"},
        {"op": "add", "path": _E, "value": {"employeeNumber": "7", "department": "Tin", "manager": {"value": "u-2"}}},
    ]
    assert operations(**{ENTERPRISE.upper(): sent}) == expected
    assert operations(**{_E: sent}) == expected


def test_a_new_manager_does_not_keep_the_reference_to_the_one_before() -> None:
    before = {
        **_ANN,
        "schemas": [urns.USER, _E],
        _E: {"manager": {"value": "u-2", "$ref": "../Users/u-2"}, "division": "D"},
    }
    after = patched(before, **{ENTERPRISE: {"MANAGER": {"ManagerId": "u-3"}}})
    assert after[_E] == {"manager": {"value": "u-3"}, "division": "D"}
    assert patched(before, **{ENTERPRISE: {"costCenter": "C"}})[_E] == {**before[_E], "costCenter": "C"}


def test_attributes_of_the_enterprise_extension_are_removed_by_their_names_of_1_1() -> None:
    assert removing(
        f"{ENTERPRISE}:employeeNumber", f"{ENTERPRISE.upper()}:Manager.ManagerID", f"{ENTERPRISE}:manager", ENTERPRISE
    ) == [
        {"op": "remove", "path": f"{_E}:employeeNumber"},
        {"op": "remove", "path": f"{_E}:manager.value"},
        {"op": "remove", "path": f"{_E}:manager"},
        {"op": "remove", "path": _E},
    ]


def test_an_unknown_extension_overwrites_its_members() -> None:
    urn = "urn:scim:schemas:extension:other:1.0"
    assert operations(**{urn: {"a": [1], "b": None, "c": {"d": 1}}}) == [
        {"op": "replace", "value": {urn: {"a": [1], "c": {"d": 1}}}}
    ]
    before = {**_ANN, "schemas": [urns.USER, urn], urn: {"a": [1, 2], "b": 1}}
    assert patched(before, **{urn.upper(): {"A": [3], "b": None, "c": "x"}})[urn] == {"a": [3], "b": 1, "c": "x"}
    assert patched(_ANN, **{urn: {"a": 1}})[urn] == {"a": 1}


def test_an_unknown_extension_is_removed_whole_or_in_parts() -> None:
    numbered, named = "urn:example:x:1.0", "urn:hr:schemas:user"
    assert removing(numbered, f"{numbered}:a", f"{numbered}:a.b") == [
        {"op": "replace", "value": {numbered: None}},
        {"op": "remove", "path": f"{numbered}:a"},
        {"op": "remove", "path": f"{numbered}:a.b"},
    ]
    before = {**_ANN, "schemas": [urns.USER, numbered, named], numbered: {"a": 1}, named: {"age": 1, "b": 2}}
    after = patched(before, meta={"attributes": [numbered.upper(), f"{named}:AGE"]})
    assert numbered not in after
    assert after[named] == {"b": 2}
    assert named not in patched(before, meta={"attributes": [named]})


def test_a_described_extension_has_types_and_keeps_what_it_does_not_describe() -> None:
    sent = {"COLOUR": "red", "valid": False, "PrintedBy": 5, "more": {"x": [1]}}
    assert operations(**{_BADGE.urn.upper(): sent}) == [
        {"op": "replace", "value": {_BADGE.urn: {"colour": "red", "valid": False, "more": {"x": [1]}}}}
    ]


def test_a_described_extension_that_is_removed_keeps_what_is_readOnly() -> None:
    before = {
        **_ANN,
        "schemas": [urns.USER, _BADGE.urn],
        _BADGE.urn: {"colour": "red", "valid": True, "printedBy": "m"},
    }
    assert patched(before, meta={"attributes": [_BADGE.urn.upper()]})[_BADGE.urn] == {"printedBy": "m"}
    assert patched(before, meta={"attributes": [f"{_BADGE.urn}:COLOUR"]})[_BADGE.urn] == {
        "valid": True,
        "printedBy": "m",
    }
    after = patched(before, meta={"attributes": [f"{_BADGE.urn}:colour.x", f"{_BADGE.urn}:more"]})
    assert after[_BADGE.urn] == before[_BADGE.urn]


# --- as PatchOp, and anything at all ---


def test_the_document_is_a_PatchOp() -> None:
    assert patch_op({"title": "x"}) == {
        "schemas": [urns.PATCH_OP],
        "Operations": [{"op": "replace", "path": "title", "value": "x"}],
    }


_NAMES = st.sampled_from(
    [
        *(
            "emails",
            "name",
            "title",
            "active",
            "meta",
            "schemas",
            "addresses",
            "photos",
            "userName",
            "groups",
            "password",
        ),
        *("value", "type", "primary", "operation", "attributes", "givenName", "manager", "managerId", "employeeNumber"),
        *(ENTERPRISE, _E, CORE, _BADGE.urn, "urn:example:x:1.0", "urn:", "colour", "valid", "printedBy", ""),
    ]
)
_LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(-1, 1) | st.text(max_size=3) | _NAMES | st.just("delete")
)
_PREFIXES = ("urn:", "emails.", "name.", f"{CORE}:", f"{ENTERPRISE}:", f"{_E}:", f"{_BADGE.urn}:", ENTERPRISE, _E)
_JSON = st.recursive(
    _LEAVES, lambda below: st.lists(below, max_size=3) | st.dictionaries(_NAMES, below, max_size=4), max_leaves=12
)


@given(
    st.lists(st.text(max_size=8) | st.sampled_from(_PREFIXES).flatmap(lambda urn: st.text(max_size=5).map(urn.__add__)))
)
def test_any_name_is_removed_ignored_or_refused(names: list[str]) -> None:
    before = {**_ANN, "schemas": [urns.USER, _BADGE.urn], _BADGE.urn: {"printedBy": "m"}}
    try:
        wanted = patch_request({"meta": {"attributes": names}}, (_BADGE,))
        after = apply_patch(wanted.operations, before, USER, DEFAULT_RULES)
    except ScimError:
        pass
    else:
        assert after["userName"] == "ann"
        assert after[_BADGE.urn] == {"printedBy": "m"}


@given(st.dictionaries(_NAMES | st.text(max_size=5), _JSON, max_size=5))
def test_anything_is_applied_or_refused(body: dict[str, Any]) -> None:
    before = {**_ANN, "schemas": [urns.USER, _BADGE.urn], _BADGE.urn: {"printedBy": "m"}}
    try:
        wanted = patch_request(decode_json(json.dumps(body).encode()), (_BADGE,))
        after = apply_patch(wanted.operations, before, USER, DEFAULT_RULES)
    except ScimError:
        pass
    else:
        assert after["id"] == "u-1"
        assert after[_BADGE.urn]["printedBy"] == "m"
        assert "groups" not in after


# --- users as SCIM 1.1 shows them ---


def shown(**fields: Any) -> Shown:
    told: dict[str, Any] = {
        "doc": _ANN,
        "version": 3,
        "location": "https://x/Users/u-1",
        "created": "c",
        "modified": "m",
    }
    return Shown(**{**told, **fields})


def test_a_user_has_the_URNs_and_names_of_1_1() -> None:
    extension = {"employeeNumber": "7", "manager": {"value": "u-2", "$ref": "../Users/u-2"}}
    doc = {
        **_ANN,
        "schemas": [urns.USER, _E, _BADGE.urn],
        "timezone": "Europe/Zurich",
        _E: extension,
        _BADGE.urn: {"colour": "red"},
    }
    groups = (Membership("g-1", "Tinkers", direct=True), Membership("g-2", None, direct=False))
    document = user_document(shown(doc=doc, groups=groups, manager="Bob"))
    assert document == {
        **_ANN,
        "schemas": [CORE, ENTERPRISE, _BADGE.urn],
        "timeZone": "Europe/Zurich",
        ENTERPRISE: {"employeeNumber": "7", "manager": {"managerId": "u-2", "displayName": "Bob"}},
        _BADGE.urn: {"colour": "red"},
        "groups": [
            {"value": "g-1", "display": "Tinkers", "type": "direct"},
            {"value": "g-2", "type": "indirect"},
        ],
        "meta": {"created": "c", "lastModified": "m", "location": "https://x/Users/u-1", "version": 'W/"3"'},
    }
    assert doc[_E] == extension, "what is stored stays as it is"


def test_a_manager_without_a_name_has_none_and_one_without_an_id_is_not_shown() -> None:
    doc = {**_ANN, _E: {"division": "D", "manager": {"value": "u-2"}}}
    assert user_document(shown(doc=doc))[ENTERPRISE] == {"division": "D", "manager": {"managerId": "u-2"}}
    doc = {**_ANN, _E: {"manager": {"$ref": "../Users/u-2"}}}
    assert ENTERPRISE not in user_document(shown(doc=doc, manager="Bob"))


def test_of_a_user_that_is_gone_only_the_identity_is_told() -> None:
    doc = {"schemas": [urns.USER], "id": "u-1"}
    document = user_document(shown(doc=doc, created=None, modified=None))
    assert document == {
        "schemas": [CORE],
        "id": "u-1",
        "meta": {"location": "https://x/Users/u-1", "version": 'W/"3"'},
    }


@pytest.mark.parametrize(
    ("attributes", "names"),
    [
        ("userName", {"userName"}),
        ("USERNAME , timezone", {"userName", "timeZone"}),
        (f"{CORE}:userName,{CORE.upper()}:Title", {"userName", "title"}),
        (f"meta.created , {CORE.upper()} ,nosuch", {*_ANN, "timeZone", "groups", "meta"}),
        ("name.givenName,meta.version", {"name", "meta"}),
        (ENTERPRISE.upper(), {ENTERPRISE}),
        (f"{ENTERPRISE}:Manager.managerID", {ENTERPRISE}),
        (f"{_BADGE.urn}:colour", {_BADGE.urn}),
        ("nosuch,password", set()),
        ("groups.display", {"groups"}),
    ],
)
def test_attributes_are_asked_for_in_the_notation_of_1_1(attributes: str, names: set[str]) -> None:
    doc = {**_ANN, "timezone": "UTC", _E: {"division": "D", "manager": {"value": "u-2"}}, _BADGE.urn: {"colour": "red"}}
    document = user_document(shown(doc=doc, groups=(Membership("g-1", "G", direct=True),)))
    wanted = projection(attributes)
    assert wanted is not None
    kept = wanted.apply(document)
    assert set(kept) == names | {"schemas", "id"}
    if "managerID" in attributes:
        assert kept[ENTERPRISE] == {"manager": {"managerId": "u-2"}}
    if "givenName" in attributes:
        assert kept["name"] == {"givenName": "Ann"}
        assert kept["meta"] == {"version": 'W/"3"'}


@pytest.mark.parametrize("urn", [ENTERPRISE, ENTERPRISE.upper(), CORE])
def test_what_SCIM_2_keeps_under_a_URN_of_1_1_does_not_hide_what_1_1_means_by_it(urn: str) -> None:
    doc = {**_ANN, "schemas": [urns.USER, _E, urn], _E: {"division": "D"}, urn: {"division": "other"}}
    for order in (doc, {name: doc[name] for name in reversed(doc)}):
        document = user_document(shown(doc=order))
        assert document["schemas"] == [CORE, ENTERPRISE]
        assert {name: value for name, value in document.items() if ":" in name} == {ENTERPRISE: {"division": "D"}}


@pytest.mark.parametrize("attributes", [None, "", " , "])
def test_without_names_all_of_the_user_is_asked_for(attributes: str | None) -> None:
    assert projection(attributes) is None


def test_too_many_names_are_refused() -> None:
    with pytest.raises(InvalidValue):
        projection(",".join(f"a{number}" for number in range(MAX_NAMES + 1)))
