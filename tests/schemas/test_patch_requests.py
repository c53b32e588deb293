"""PATCH bodies as clients send them, and the canonical operations that come of them under each switch."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import urns
from schemas.attributes import ResourceType
from schemas.errors import InvalidFilter, InvalidPath, InvalidSyntax, InvalidValue, Mutability, NoTarget, ScimError
from schemas.patch_requests import Operation, PatchRequest, normalise, patch_document
from schemas.resource_types import USER
from schemas.rules import PROFILES, Rules
from tests.schemas.tables import BADGE_URN, GROUP

_E = urns.ENTERPRISE_USER
_RFC = Rules()
_LENIENT = PROFILES["lenient"]


def _body(*operations: Any) -> dict[str, Any]:
    return {"schemas": [urns.PATCH_OP], "Operations": list(operations)}


def _request(*operations: Any, rules: Rules = _RFC, resource_type: ResourceType = USER) -> PatchRequest:
    return normalise(_body(*operations), resource_type, rules)


def _normalised(*operations: Any, rules: Rules = _RFC, resource_type: ResourceType = USER) -> list[tuple[Any, ...]]:
    """Return the operations as tuples: verb, path, and the value if there is one."""
    request = _request(*operations, rules=rules, resource_type=resource_type)
    return [
        (each.op, each.path) if each.value is msgspec.UNSET else (each.op, each.path, each.value)
        for each in request.operations
    ]


def _refused(error: type[ScimError], *operations: Any, rules: Rules = _RFC, resource_type: ResourceType = USER) -> str:
    with pytest.raises(error) as caught:
        _request(*operations, rules=rules, resource_type=resource_type)
    assert type(caught.value) is error
    return caught.value.detail


def _replace(path: str, value: Any) -> dict[str, Any]:
    return {"op": "replace", "path": path, "value": value}


# --- the shape of the body ---


@pytest.mark.parametrize("body", [None, [], "x", 5, True])
def test_L1_a_body_that_is_no_object_is_refused(body: object) -> None:
    with pytest.raises(InvalidSyntax) as caught:
        normalise(body, USER, _RFC)
    assert caught.value.detail == "The body must be a JSON object."


@pytest.mark.parametrize(
    "schemas", [None, [], urns.PATCH_OP, [urns.USER], [5], {}, [None, "urn:ietf:params:scim:api:messages:2.0:PatchOps"]]
)
def test_L1_the_PatchOp_schema_must_be_listed(schemas: object) -> None:
    body = {"schemas": schemas, "Operations": [_replace("title", "x")]}
    with pytest.raises(InvalidSyntax) as caught:
        normalise(body, USER, _RFC)
    assert caught.value.detail == f"schemas must list {urns.PATCH_OP}."
    if schemas is None:
        del body["schemas"]
        with pytest.raises(InvalidSyntax):
            normalise(body, USER, _RFC)
    assert normalise(body, USER, Rules(patch_without_schemas=True)).operations


def test_L1_the_PatchOp_schema_may_be_in_any_case_and_beside_others() -> None:
    body = {"Schemas": ["urn:x", urns.PATCH_OP.upper()], "OPERATIONS": [_replace("title", "x")], "more": 1}
    assert normalise(body, USER, _RFC).operations == (Operation("replace", "title", "x"),)


@pytest.mark.parametrize("operations", [None, [], {}, "x", {"op": "remove", "path": "title"}])
def test_L1_operations_are_an_array_that_is_not_empty(operations: object) -> None:
    with pytest.raises(InvalidSyntax) as caught:
        normalise({"schemas": [urns.PATCH_OP], "Operations": operations}, USER, _RFC)
    assert caught.value.detail == "Operations must be an array of at least one operation."
    with pytest.raises(InvalidSyntax):
        normalise({"schemas": [urns.PATCH_OP]}, USER, _RFC)


def test_L1_keys_are_read_in_any_case_and_two_that_differ_only_in_case_are_refused() -> None:
    assert _normalised({"OP": "replace", "Path": "title", "VALUE": "x"}) == [("replace", "title", "x")]
    with pytest.raises(InvalidSyntax):
        normalise({**_body(_replace("title", "x")), "operations": []}, USER, _RFC)
    _refused(InvalidSyntax, {"op": "add", "Op": "add", "path": "title", "value": "x"})
    _refused(InvalidSyntax, {"op": "add", "value": {"title": "x", "TITLE": "y"}})


@pytest.mark.parametrize("operation", [None, "add", [], 5])
def test_L1_an_operation_is_an_object(operation: object) -> None:
    assert _refused(InvalidSyntax, operation) == "An operation must be an object with op, path and value."


@pytest.mark.parametrize("op", [None, "", "move", "copy", "test", 5, ["add"], "add ", {"op": "add"}])
def test_L14_an_operation_adds_removes_or_replaces(op: object) -> None:
    assert _refused(InvalidSyntax, {"op": op, "path": "title", "value": "x"}) == "op must be add, remove or replace."
    assert _refused(InvalidSyntax, {"path": "title", "value": "x"}) == "op must be add, remove or replace."


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_A4_the_verb_may_be_in_any_case_in_every_profile(profile: str) -> None:
    rules = PROFILES[profile]
    assert _normalised({"op": "Add", "path": "title", "value": "x"}, rules=rules) == [("add", "title", "x")]
    assert _normalised({"op": "REPLACE", "path": "title", "value": "x"}, rules=rules) == [("replace", "title", "x")]
    assert _normalised({"op": "Remove", "path": "title"}, rules=rules) == [("remove", "title")]


@pytest.mark.parametrize("op", ["add", "replace"])
def test_L1_add_and_replace_must_have_a_value(op: str) -> None:
    assert _refused(InvalidSyntax, {"op": op, "path": "title"}) == f"The operation {op} must have a value."
    assert _refused(InvalidSyntax, {"op": op}) == f"The operation {op} must have a value."


@pytest.mark.parametrize("path", [5, [], {}, True])
def test_L2_a_path_is_a_string(path: object) -> None:
    assert _refused(InvalidPath, {"op": "add", "path": path, "value": "x"}) == "path must be a string."
    assert _refused(InvalidPath, {"op": "remove", "path": path}) == "path must be a string."


@pytest.mark.parametrize("operation", [{"op": "remove"}, {"op": "remove", "path": None}, {"op": "remove", "path": ""}])
def test_L8_a_removal_must_have_a_path(operation: dict[str, Any]) -> None:
    assert _refused(NoTarget, operation) == "A remove operation must have a path."


@pytest.mark.parametrize("value", [None, "x", 5, [], [{"title": "x"}]])
@pytest.mark.parametrize("op", ["add", "replace"])
def test_L5_a_value_without_path_is_an_object(op: str, value: object) -> None:
    detail = f"The value of an operation {op} without a path must be an object."
    assert _refused(InvalidValue, {"op": op, "value": value}) == detail
    assert _refused(InvalidValue, {"op": op, "path": None, "value": value}) == detail
    assert _refused(InvalidValue, {"op": op, "path": "", "value": value}) == detail


def test_five_hundred_operations_are_the_limit() -> None:
    assert len(_normalised(*[_replace("title", "x")] * 500)) == 500
    assert _refused(InvalidValue, *[_replace("title", "x")] * 501) == (
        "A PATCH may hold 500 operations; send the rest in another request."
    )


def test_ten_thousand_values_are_the_limit() -> None:
    tags = [{"op": "add", "path": "tags", "value": [str(n) for n in range(5000)]} for _ in range(2)]
    assert len(_normalised(*tags, resource_type=GROUP)) == 2
    assert _refused(InvalidValue, *tags, _replace("level", 1), resource_type=GROUP) == (
        "A PATCH may touch 10000 values; send the rest in another request."
    )


# --- values with a path ---


@pytest.mark.parametrize(
    ("path", "value", "canonical_path", "canonical"),
    [
        ("TITLE", "x", "title", "x"),
        ("active", False, "active", False),
        ("name", {"GIVENNAME": "A", "middlename": "B"}, "name", {"givenName": "A", "middleName": "B"}),
        ("name.GIVENNAME", "A", "name.givenName", "A"),
        ("emails", [{"VALUE": "a", "Type": "work"}], "emails", [{"value": "a", "type": "work"}]),
        ("emails", {"value": "a"}, "emails", [{"value": "a"}]),
        ("emails.type", "x", "emails.type", "x"),
        ('emails[TYPE eq "x"]', {"VALUE": "a"}, 'emails[type eq "x"]', {"value": "a"}),
        ('emails[type eq "x"]', [{"value": "a"}], 'emails[type eq "x"]', {"value": "a"}),
        ('emails[type eq "x"].primary', True, 'emails[type eq "x"].primary', True),
        (f"{_E}:department", "x", f"{_E}:department", "x"),
        (_E.upper(), {"DEPARTMENT": "x"}, _E, {"department": "x"}),
        (f"{_E}:manager", {"value": "1", "displayName": "X", "$ref": None}, f"{_E}:manager", {"value": "1"}),
        ("urn:x:y:attr", {"Any": [1, None]}, "urn:x:y:attr", {"Any": [1, None]}),
        ("urn:x:y:attr.sub", 5, "urn:x:y:attr.sub", 5),
        ("schemas", [urns.USER.lower(), "urn:x:Y", urns.USER], "schemas", [urns.USER, "urn:x:Y"]),
    ],
)
@pytest.mark.parametrize("op", ["add", "replace"])
def test_L5_names_and_values_come_out_canonical(
    op: str, path: str, value: Any, canonical_path: str, canonical: Any
) -> None:
    operation = {"op": op, "path": path, "value": value}
    assert _normalised(operation)[0][:3] == (op, canonical_path, canonical)


@pytest.mark.parametrize(
    ("path", "value", "detail"),
    [
        ("title", 5, "title must be a string."),
        ("active", "False", "active must be true or false."),
        ("name", "x", "name must be an object."),
        ("name.givenName", ["x"], "name.givenName must be a string."),
        ("emails", "x", "emails must be an object in an array."),
        ("emails.type", 5, "emails.type must be a string."),
        ('emails[type eq "x"]', "x", "emails must be an object in an array."),
        ('emails[type eq "x"]', [{"value": "a"}, {"value": "b"}], "emails must be an object in an array."),
        ('emails[type eq "x"].primary', 1, "emails.primary must be true or false."),
        (_E, "x", f"{_E} must be an object."),
        (f"{_E}:manager", "26", f"{_E}:manager must be an object."),
        ("userName", "", "userName must not be blank."),
        ("userName", None, "userName is required."),
        ("schemas", [], "schemas is required."),
        ("schemas", [5], "schemas must be a string."),
        (
            "emails",
            [{"primary": True}, {"primary": True, "value": "x"}],
            "emails has more than one value with primary true.",
        ),
    ],
)
def test_L5_a_value_of_another_type_is_refused(path: str, value: Any, detail: str) -> None:
    assert _refused(InvalidValue, _replace(path, value)) == detail


def test_L2_undefined_attributes_are_invalid_paths_and_bad_brackets_invalid_filters() -> None:
    _refused(InvalidPath, _replace("undefined", "x"))
    _refused(InvalidPath, {"op": "remove", "path": "undefined"})
    _refused(InvalidFilter, _replace("emails[type]", "x"))
    _refused(InvalidFilter, {"op": "remove", "path": "emails[type eq x]"})
    assert _normalised(_replace("emails[type eq x].value", "a"), rules=Rules(bare_filter_words=True)) == [
        ("replace", 'emails[type eq "x"].value', "a")
    ]


@pytest.mark.parametrize(
    "path", ["id", "meta", "meta.created", "groups", 'groups[value eq "1"]', f"{_E}:manager.displayName"]
)
@pytest.mark.parametrize("op", ["add", "replace", "remove"])
def test_L9_a_path_to_what_is_readOnly_is_refused(op: str, path: str) -> None:
    assert _refused(Mutability, {"op": op, "path": path, "value": "x"}).endswith(" is readOnly.")


def test_L8_what_is_required_cannot_be_removed() -> None:
    for path in ("userName", "schemas"):
        assert _refused(Mutability, {"op": "remove", "path": path}) == f"{path} is required and cannot be removed."


@pytest.mark.parametrize("value", [None, [], {}])
def test_A7_replace_by_null_or_an_empty_array_removes(value: Any) -> None:
    assert _normalised(_replace("title", value)) == [("remove", "title")]
    assert _normalised(_replace("Emails", value)) == [("remove", "emails")]
    assert _normalised(_replace('emails[type eq "x"]', value)) == [("remove", 'emails[type eq "x"]')]
    assert _normalised(_replace('emails[type eq "x"].display', value)) == [("remove", 'emails[type eq "x"].display')]
    assert _normalised(_replace(_E, value)) == [("remove", _E)]
    assert _normalised(_replace("urn:x:attr", value)) == [("remove", "urn:x:attr")]


@pytest.mark.parametrize("value", [None, [], {}])
def test_A7_to_add_nothing_changes_nothing(value: Any) -> None:
    for path in ("title", "emails", "userName", _E, 'emails[type eq "x"].value', "urn:x:attr"):
        assert _normalised({"op": "add", "path": path, "value": value}) == []


def test_A7_a_required_sub_attribute_cannot_be_replaced_by_null() -> None:
    detail = _refused(InvalidValue, _replace('doors[floor eq 1].name', None), resource_type=GROUP)  # fmt: skip
    assert detail == "doors.name is required."
    assert _refused(InvalidValue, _replace("owner", {"value": None}), resource_type=GROUP) == "owner.value is required."


def test_L7_null_in_a_complex_value_removes_the_sub_attribute_which_merging_would_leave() -> None:
    assert _normalised(
        _replace("name", {"givenName": "A", "MIDDLENAME": None, "familyName": [], "undefined": None})
    ) == [
        ("replace", "name", {"givenName": "A"}),
        ("remove", "name.middleName"),
        ("remove", "name.familyName"),
    ]
    assert _normalised(_replace("name", {"middleName": None})) == [("remove", "name.middleName")]
    assert _normalised(
        _replace(_E, {"department": "x", "manager": {"value": None}, "division": None, "undefined": 1})
    ) == [
        ("replace", _E, {"department": "x"}),
        ("remove", f"{_E}:manager.value"),
        ("remove", f"{_E}:division"),
    ]
    assert _normalised(_replace(f"{_E}:manager", {"value": "1", "displayName": None})) == [
        ("replace", f"{_E}:manager", {"value": "1"})
    ]
    assert _normalised(
        _replace(BADGE_URN, {"marks": None, "maker": {"city": None, "value": "m"}}), resource_type=GROUP
    ) == [
        ("replace", BADGE_URN, {"maker": {"value": "m"}}),
        ("remove", f"{BADGE_URN}:marks"),
        ("remove", f"{BADGE_URN}:maker.city"),
    ]


def test_L5_null_in_a_complex_value_to_add_adds_nothing() -> None:
    add = {"op": "add", "path": "name", "value": {"givenName": "A", "middleName": None}}
    assert _normalised(add) == [("add", "name", {"givenName": "A"})]
    add = {"op": "add", "path": _E, "value": {"manager": {"value": None}, "division": None}}
    assert _normalised(add) == []


def test_null_in_an_element_is_just_left_out_since_the_whole_element_is_replaced() -> None:
    assert _normalised(_replace('emails[type eq "x"]', {"value": "a", "display": None})) == [
        ("replace", 'emails[type eq "x"]', {"value": "a"})
    ]
    assert _normalised(_replace("emails", {"value": "a", "display": None})) == [("replace", "emails", [{"value": "a"}])]
    assert _normalised(_replace("emails.display", None)) == [("remove", "emails.display")]


def test_a_value_of_which_nothing_is_writable_asks_for_nothing() -> None:
    assert _normalised(_replace(f"{_E}:manager", {"displayName": "x"})) == []
    assert _normalised(_replace("name", {"undefined": "x"})) == []
    assert _normalised(_replace("emails", [{}, None, {"undefined": 1}])) == []
    assert _normalised(_replace('emails[type eq "x"]', {"undefined": 1})) == []


def test_the_value_of_a_removal_is_ignored_where_the_RFC_has_none() -> None:
    assert _normalised({"op": "remove", "path": "emails", "value": [{"value": "a"}]}) == [("remove", "emails")]
    assert _normalised({"op": "remove", "path": "emails", "value": None}) == [("remove", "emails")]


# --- values without a path ---


def test_L13_the_members_of_a_value_without_path_become_operations_with_a_path() -> None:
    value = {
        "ACTIVE": False,
        "name": {"givenName": "A", "familyName": None},
        "emails": [{"value": "a"}],
        "nickName": None,
        _E.upper(): {"department": "x", "manager": None},
    }
    assert _normalised({"op": "replace", "value": value}) == [
        ("replace", "active", False),
        ("replace", "name", {"givenName": "A"}),
        ("remove", "name.familyName"),
        ("replace", "emails", [{"value": "a"}]),
        ("remove", "nickName"),
        ("replace", _E, {"department": "x"}),
        ("remove", f"{_E}:manager"),
    ]
    assert _normalised({"op": "add", "value": value}) == [
        ("add", "active", False),
        ("add", "name", {"givenName": "A"}),
        ("add", "emails", [{"value": "a"}]),
        ("add", _E, {"department": "x"}),
    ]


def test_L9_readOnly_names_and_schemas_are_ignored_without_a_path() -> None:
    value = {
        "id": "1",
        "Meta": {"created": "x"},
        "schemas": ["urn:x"],
        "groups": [],
        f"{urns.USER}:id": "1",
        f"{_E}:manager": {"displayName": "x"},
        "displayName": "y",
    }
    assert _normalised({"op": "replace", "value": value}) == [("replace", "displayName", "y")]
    assert _normalised({"op": "replace", "value": {"manager.displayName": 5, "meta.created": 5}}, rules=_LENIENT) == []
    assert _normalised({"op": "replace", "value": {f"{_E}:manager.displayName": 5}}, rules=_LENIENT) == []


def test_L13_names_qualified_by_a_urn_are_expanded_in_every_profile() -> None:
    value = {
        f"{_E}:employeeNumber": "7",
        f"{_E}:manager": {"value": "1"},
        f"{urns.USER}:title": "x",
        urns.USER.lower(): {"nickName": "n", "undefined": 1},
    }
    for rules in PROFILES.values():
        assert _normalised({"op": "add", "value": value}, rules=rules) == [
            ("add", f"{_E}:employeeNumber", "7"),
            ("add", f"{_E}:manager", {"value": "1"}),
            ("add", "title", "x"),
            ("add", "nickName", "n"),
        ]


def test_L13_dotted_names_are_paths_where_the_tenant_allows_it() -> None:
    value = {
        "name.familyName": "F",
        f"{_E}:manager.value": "1",
        'emails[type eq "work"].value': "a@b.c",
        'emails[value eq "x:y"]': {"type": "home"},
        "name.givenName": None,
        "undefined.name": 1,
        "a.b.c": 1,
    }
    assert _normalised({"op": "replace", "value": value}, rules=Rules(dotted_keys=True)) == [
        ("replace", "name.familyName", "F"),
        ("replace", f"{_E}:manager.value", "1"),
        ("replace", 'emails[type eq "work"].value', "a@b.c"),
        ("replace", 'emails[value eq "x:y"]', {"type": "home"}),
        ("remove", "name.givenName"),
    ]
    assert _normalised({"op": "replace", "value": value}) == []
    _refused(InvalidFilter, {"op": "replace", "value": {"emails[type].value": "x"}}, rules=Rules(dotted_keys=True))


@pytest.mark.parametrize(
    "name", ["undefined", "__class__", f"{_E}:undefined", f"{urns.USER}:undefined", urns.USER, "foo:bar", ""]
)
def test_A9_undefined_names_are_ignored_without_a_path_unless_the_tenant_is_strict(name: str) -> None:
    operation = {"op": "add", "value": {name: "x", "title": "t"}}
    assert _normalised(operation) == [("add", "title", "t")]
    shown = name if name not in {"__class__", "foo:bar", ""} else "an attribute"
    assert _refused(InvalidValue, operation, rules=Rules(strict_attributes=True)) == f"No schema here defines {shown}."


def test_L13_objects_under_unknown_urns_are_kept_as_they_are() -> None:
    value = {"urn:x:Y": {"a b": [1, None], "nil": None}, "title": "t"}
    assert _normalised({"op": "add", "value": value}) == [
        ("add", None, {"urn:x:Y": value["urn:x:Y"]}),
        ("add", "title", "t"),
    ]
    assert _normalised({"op": "replace", "value": value})[0] == ("replace", None, {"urn:x:Y": value["urn:x:Y"]})
    nothings: list[Any] = [None, {}, []]
    for nothing in nothings:
        assert _normalised({"op": "add", "value": {"urn:x:Y": nothing}}) == []
        assert _normalised({"op": "replace", "value": {"urn:x:Y": nothing}}) == [("replace", None, {"urn:x:Y": None})]


def test_L13_anything_else_under_an_unknown_urn_is_one_attribute_of_it() -> None:
    assert _normalised({"op": "add", "value": {"urn:x:Y:attr": "v"}}) == [("add", "urn:x:Y:attr", "v")]
    assert _normalised({"op": "add", "value": {"urn:x:Y:attr": ["v"]}}) == [("add", "urn:x:Y:attr", ["v"])]
    assert _refused(InvalidValue, {"op": "add", "value": {"urn:x:2.0": "v"}}) == "urn:x:2.0 must be an object."


# --- switches ---


def test_D1_string_booleans_are_booleans_where_the_tenant_allows_it() -> None:
    rules = Rules(string_booleans=True)
    assert _normalised(_replace("active", "False"), rules=rules) == [("replace", "active", False)]
    assert _normalised({"op": "replace", "value": {"active": "true"}}, rules=rules) == [("replace", "active", True)]
    assert _normalised(_replace('emails[type eq "x"].primary', "TRUE"), rules=rules)[0][2] is True


def test_D5_a_string_for_the_manager_is_its_value_and_an_empty_one_removes_it() -> None:
    rules = Rules(complex_from_string=True)
    path = f"{_E}:manager"
    for op in ("add", "replace"):
        assert _normalised({"op": op, "path": path, "value": "26"}, rules=rules) == [(op, path, {"value": "26"})]
        assert _normalised({"op": op, "path": path, "value": ""}, rules=rules) == [("remove", path)]
        assert _normalised({"op": op, "value": {_E: {"manager": ""}}}, rules=rules) == [("remove", path)]
        assert _normalised({"op": op, "value": {f"{_E}:manager": ""}}, rules=rules) == [("remove", path)]
        _refused(InvalidValue, {"op": op, "path": path, "value": ""})
        assert _normalised({"op": op, "path": "title", "value": ""}, rules=rules) == [(op, "title", "")]
    _refused(InvalidValue, _replace("name", "x"), rules=rules)


def test_L5_bare_strings_are_members_where_the_tenant_allows_it() -> None:
    rules = Rules(bare_members=True)
    for value in (["1", {"value": "2"}], "1"):
        expected = [{"value": "1"}, {"value": "2"}] if isinstance(value, list) else [{"value": "1"}]
        operation = {"op": "add", "path": "members", "value": value}
        assert _normalised(operation, rules=rules, resource_type=GROUP) == [("add", "members", expected)]
        _refused(InvalidValue, operation, resource_type=GROUP)
    assert _normalised({"op": "add", "path": "members", "value": ""}, rules=rules, resource_type=GROUP) == []


def test_a_single_object_for_emails_is_an_array_of_one() -> None:
    with_path = {"op": "replace", "path": "emails", "value": {"value": "a"}}
    without = {"op": "replace", "value": {"emails": {"value": "a"}}}
    expected = [("replace", "emails", [{"value": "a"}])]
    assert _normalised(with_path) == expected
    assert _normalised(without) == expected
    assert _normalised(without, rules=Rules(single_values=True)) == expected


# --- passwords ---


@pytest.mark.parametrize(
    ("operations", "password"),
    [
        ([_replace("password", "a")], "a"),
        ([{"op": "add", "path": "Password", "value": "a"}], "a"),
        ([_replace(f"{urns.USER}:password", "a")], "a"),
        ([{"op": "replace", "value": {"PASSWORD": "a"}}], "a"),
        ([{"op": "add", "value": {f"{urns.USER}:password": "a"}}], "a"),
        ([_replace("password", "a"), _replace("password", "b")], "b"),
        ([_replace("password", "a"), {"op": "remove", "path": "password"}], None),
        ([_replace("password", None)], None),
        ([{"op": "replace", "value": {"password": None}}], None),
        ([{"op": "remove", "path": "password", "value": ["x"]}], None),
        ([{"op": "remove", "path": "password"}, _replace("password", "a")], "a"),
        ([{"op": "add", "path": "password", "value": None}], msgspec.UNSET),
        ([{"op": "add", "value": {"password": None}}], msgspec.UNSET),
    ],
)
def test_R5_passwords_are_taken_out_of_the_operations_and_the_last_one_counts(
    operations: list[Any], password: Any
) -> None:
    request = _request(*operations, _replace("title", "x"))
    assert request == PatchRequest((Operation("replace", "title", "x"),), password)
    assert _request(*operations).operations == ()


def test_R5_a_request_without_password_has_none() -> None:
    assert _request(_replace("title", "x")).password is msgspec.UNSET


def test_R5_a_password_is_a_string() -> None:
    assert _refused(InvalidValue, _replace("password", 5)) == "password must be a string."
    assert _refused(InvalidValue, {"op": "add", "value": {"password": ["x"]}}) == "password must be a string."


def test_only_the_core_password_is_one() -> None:
    assert _normalised(_replace("urn:x:password", "a")) == [("replace", "urn:x:password", "a")]


# --- the document ---


def test_the_document_of_the_operations_is_a_PatchOp() -> None:
    operations = _request(
        _replace("title", "x"), {"op": "remove", "path": "nickName"}, {"op": "add", "value": {"urn:x:y": {"a": 1}}}
    ).operations
    assert patch_document(operations) == {
        "schemas": [urns.PATCH_OP],
        "Operations": [
            {"op": "replace", "path": "title", "value": "x"},
            {"op": "remove", "path": "nickName"},
            {"op": "add", "value": {"urn:x:y": {"a": 1}}},
        ],
    }


def test_operations_travel_as_json_and_come_back_the_same() -> None:
    operations = _request(
        _replace("active", False), {"op": "remove", "path": "nickName"}, {"op": "replace", "value": {"urn:x:y": None}}
    ).operations
    encoded = msgspec.json.encode(operations)
    assert encoded == (
        b'[{"op":"replace","path":"active","value":false},{"op":"remove","path":"nickName"},'
        b'{"op":"replace","value":{"urn:x:y":null}}]'
    )
    assert msgspec.json.decode(encoded, type=tuple[Operation, ...]) == operations


# --- random bodies ---

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "x", "True", "a@b"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["value", "type", "name", "primary", "emails", "Title", "x"]), inner, max_size=3
        )
    ),
    max_leaves=5,
)
_PATHS = st.sampled_from(
    ["title", "active", "name", "name.givenName", "emails", 'emails[type eq "x"]', 'emails[type eq "x"].value', _E,
     f"{_E}:manager", f"{_E}:department", "urn:x:y", "urn:x:y:z.a", "schemas", "password", "id", "undefined", "", None, 5]
)  # fmt: skip
_KEYS = st.sampled_from(
    ["title", "ACTIVE", "name", "emails", _E, f"{_E}:manager", "name.givenName", "urn:x:y", "urn:x:1", "id", "password",
     "undefined", 'emails[type eq "x"].value', urns.USER, "userName"]
)  # fmt: skip
_OPERATIONS = st.one_of(
    st.fixed_dictionaries(
        {"op": st.sampled_from(["add", "Replace", "remove", "x"])}, optional={"path": _PATHS, "value": _JSON}
    ),
    st.fixed_dictionaries(
        {"op": st.sampled_from(["add", "replace"]), "value": st.dictionaries(_KEYS, _JSON, max_size=4)}
    ),
)


@settings(deadline=None)
@given(st.lists(_OPERATIONS | _JSON, max_size=4), st.sampled_from(sorted(PROFILES)))
def test_any_body_is_refused_or_comes_out_in_a_form_that_the_strict_profile_leaves_as_it_is(
    operations: list[Any], profile: str
) -> None:
    try:
        request = _request(*operations, rules=PROFILES[profile])
    except ScimError:
        return
    if request.operations:
        assert normalise(patch_document(request.operations), USER, _RFC) == PatchRequest(request.operations)
