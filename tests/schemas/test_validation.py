"""From bodies to canonical resources: names, types, unassigned values, schemas, extensions, quirks."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import pytest

from schemas import urns
from schemas.attributes import Attribute, ResourceType, Schema
from schemas.errors import InvalidSyntax, InvalidValue
from schemas.resource_types import COMMON, ENTERPRISE_USER_SCHEMA, USER
from schemas.resources import MAX_VALUES
from schemas.rules import PROFILES, Rules
from schemas.validation import (
    canonical_urn,
    check_complete,
    conform,
    conform_attribute,
    conform_element,
    conform_extension,
    is_extension_name,
)
from tests.rfc_examples import rfc_example

_RFC = Rules()
_LENIENT = PROFILES["lenient"]
_MANAGER = ENTERPRISE_USER_SCHEMA.attributes[-1]
_CUSTOM = "urn:example:params:scim:schemas:extension:acme:1.0:User"


def _conform(rules: Rules = _RFC, /, **members: Any) -> dict[str, Any]:
    return conform({"schemas": [urns.USER], "userName": "ann", **members}, USER, rules)


def _added(rules: Rules = _RFC, /, **members: Any) -> dict[str, Any]:
    """Return what the members became, without schemas and userName."""
    resource = _conform(rules, **members)
    return {name: value for name, value in resource.items() if name not in {"schemas", "userName"}}


def _attribute(name: str) -> Attribute:
    attribute = USER.attribute(name)
    assert attribute is not None
    return attribute


@pytest.mark.parametrize(
    "example", ["rfc7643-8.1-user-minimal", "rfc7643-8.2-user-full", "rfc7643-8.3-enterprise-user"]
)
def test_conforming_twice_changes_nothing(example: str) -> None:
    once = conform(rfc_example(example), USER, Rules(strict_attributes=True))
    assert conform(once, USER, Rules(strict_attributes=True)) == once
    assert list(conform(once, USER, _RFC)) == list(once)
    check_complete(once, USER)


@pytest.mark.parametrize("body", [None, [], "x", 1, [{"userName": "ann"}]])
def test_a_body_that_is_no_object_is_invalid_syntax(body: object) -> None:
    with pytest.raises(InvalidSyntax, match="must be a JSON object"):
        conform(body, USER, _RFC)


# -- A4, A5: names


def test_A4_names_are_known_in_any_case_and_stored_in_the_tables() -> None:
    body = {
        "SCHEMAS": [urns.USER.upper()],
        "username": "ann",
        "NICKNAME": "a",
        "Emails": [{"VALUE": "x", "Primary": True}],
        "name": {"FAMILYNAME": "A"},
        urns.ENTERPRISE_USER.upper(): {"DEPARTMENT": "d", "Manager": {"$REF": "u"}},
    }
    assert conform(body, USER, _RFC) == {
        "schemas": [urns.USER, urns.ENTERPRISE_USER],
        "userName": "ann",
        "nickName": "a",
        "emails": [{"value": "x", "primary": True}],
        "name": {"familyName": "A"},
        urns.ENTERPRISE_USER: {"department": "d", "manager": {"$ref": "u"}},
    }


@pytest.mark.parametrize(
    "members",
    [
        {"userName": "a", "USERNAME": "b"},
        {"name": {"givenName": "a", "givenname": "a"}},
        {"emails": [{"value": "a", "Value": "b"}]},
        {"unknown": {"a": 1, "A": 2}},
        {"meta": {"a": 1, "A": 2}},
        {_CUSTOM: {"x": [{"a": 1, "A": 2}]}},
        {_CUSTOM: {}, _CUSTOM.upper(): {}},
        {urns.ENTERPRISE_USER: {"manager": {"value": "1", "VALUE": "1"}}},
    ],
)
def test_A4_names_that_differ_only_in_case_are_invalid_syntax_everywhere(members: dict[str, Any]) -> None:
    with pytest.raises(InvalidSyntax, match="differ only in case"):
        _conform(**members)


def test_the_order_sent_is_kept_with_schemas_first() -> None:
    body = {"title": "t", "userName": "ann", "active": True, "schemas": [urns.USER]}
    assert list(conform(body, USER, _RFC)) == ["schemas", "title", "userName", "active"]


# -- A6: schemas


@pytest.mark.parametrize("schemas", [None, []])
def test_A6_E4_schemas_are_required(schemas: object) -> None:
    with pytest.raises(InvalidValue, match="schemas is required"):
        _conform(schemas=schemas)
    with pytest.raises(InvalidValue, match="schemas is required"):
        conform({"userName": "ann"}, USER, _RFC)


@pytest.mark.parametrize(
    ("schemas", "detail"),
    [
        (urns.USER, "an array of URNs"),
        ({"a": urns.USER}, "an array of URNs"),
        ([urns.USER, 1], "an array of URNs"),
        ([urns.USER, None], "an array of URNs"),
        ([urns.USER, ""], "an array of URNs"),
        ([urns.ENTERPRISE_USER], "must list urn:ietf:params:scim:schemas:core:2.0:User"),
        ([urns.PATCH_OP], "must list"),
        ([urns.USER, urns.USER], "twice"),
        ([urns.USER, urns.USER.upper()], "twice"),
        ([urns.USER, "urn:x", "URN:X"], "twice"),
        ([urns.USER, "urn:\x00"], "control character"),
        ([urns.USER] + [f"urn:{number}" for number in range(MAX_VALUES)], "more than 10000"),
    ],
)
def test_A6_schemas_that_are_no_array_of_different_urns_with_the_types_own_are_refused(
    schemas: object, detail: str
) -> None:
    with pytest.raises(InvalidValue, match=detail):
        _conform(schemas=schemas)


def test_A6_unknown_urns_are_tolerated_and_known_ones_spelt_as_in_the_table() -> None:
    sent = ["urn:Some:Thing", urns.ENTERPRISE_USER.lower(), urns.USER.upper()]
    resource = _conform(Rules(strict_extensions=True), schemas=sent)
    assert resource["schemas"] == ["urn:Some:Thing", urns.ENTERPRISE_USER, urns.USER]


def test_E5_the_urn_of_extension_data_is_added_or_demanded() -> None:
    members: dict[str, Any] = {urns.ENTERPRISE_USER: {"department": "d"}, _CUSTOM: {"a": 1}}
    assert _conform(**members)["schemas"] == [urns.USER, urns.ENTERPRISE_USER, _CUSTOM]
    strict = Rules(strict_extensions=True)
    with pytest.raises(InvalidValue, match=f"schemas must list {urns.ENTERPRISE_USER}"):
        _conform(strict, **members)
    listed = [urns.USER, _CUSTOM.upper(), urns.ENTERPRISE_USER.lower()]
    assert _conform(strict, schemas=listed, **members)["schemas"] == [urns.USER, _CUSTOM.upper(), urns.ENTERPRISE_USER]
    assert _conform(strict, **{urns.ENTERPRISE_USER: {"department": None}})["schemas"] == [urns.USER]


# -- A7: unassigned


@pytest.mark.parametrize("nothing", [None, [], {}])
@pytest.mark.parametrize("name", ["title", "active", "name", "emails", "externalId", urns.ENTERPRISE_USER, _CUSTOM])
def test_A7_null_and_empty_mean_unassigned(name: str, nothing: object) -> None:
    assert _added(**{name: nothing}) == {}


def test_A7_what_becomes_empty_is_unassigned_too() -> None:
    members: dict[str, Any] = {
        "name": {"familyName": None, "givenName": []},
        "emails": [None, {}, {"value": None}],
        "ims": [{"value": "x", "type": None}, {}],
        urns.ENTERPRISE_USER: {"manager": {"value": None}, "department": None},
    }
    assert _added(**members) == {"ims": [{"value": "x"}]}


def test_an_empty_string_and_false_are_values() -> None:
    assert _added(title="", active=False) == {"title": "", "active": False}


# -- A8, D: types


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"title": 1}, "title"),
        ({"active": "True"}, "active"),
        ({"name": "Ann"}, "name"),
        ({"name": {"givenName": ["A"]}}, "name.givenName"),
        ({"NAME": {"GIVENNAME": 1}}, "name.givenName"),
        ({"emails": {"value": "x"}}, "emails"),
        ({"emails": "x"}, "emails"),
        ({"emails": ["x"]}, "emails"),
        ({"emails": [["x"]]}, "emails"),
        ({"emails": [{"primary": "true"}]}, "emails.primary"),
        ({"password": 1}, "password"),
        ({urns.ENTERPRISE_USER: "x"}, urns.ENTERPRISE_USER),
        ({urns.ENTERPRISE_USER: {"manager": "1"}}, f"{urns.ENTERPRISE_USER}:manager"),
        ({urns.ENTERPRISE_USER: {"manager": {"value": 1}}}, f"{urns.ENTERPRISE_USER}:manager.value"),
        ({_CUSTOM: 1}, _CUSTOM),
        ({_CUSTOM: "x"}, _CUSTOM),
        ({_CUSTOM: ["x"]}, _CUSTOM),
    ],
)
def test_A8_a_wrong_type_is_refused_with_the_path_of_the_attribute(members: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        _conform(**members)
    assert refusal.value.detail.startswith(f"{path} must be ")


def test_D1_the_password_stays_for_the_caller_to_take_out() -> None:
    assert _added(password="t1meMa$heen") == {"password": "t1meMa$heen"}


@pytest.mark.parametrize("user_name", [None, "", " \t"])
def test_D1_E4_a_user_name_is_required(user_name: object) -> None:
    with pytest.raises(InvalidValue, match=r"^userName (is required|must not be blank)\.$"):
        _conform(userName=user_name)


@pytest.mark.parametrize("name", ["userName", "externalId"])
def test_names_and_ids_of_more_than_a_kilobyte_are_refused(name: str) -> None:
    with pytest.raises(InvalidValue, match=f"^{name} is longer than 1024 bytes"):
        _conform(**{name: "x" * 1025})


def test_E1_what_is_read_only_is_ignored_whatever_it_holds() -> None:
    members: dict[str, Any] = {
        "id": 1,
        "meta": "x",
        "groups": [{"value": 1}],
        urns.ENTERPRISE_USER: {"manager": {"displayName": 5, "value": "1"}},
    }
    assert _added(Rules(strict_attributes=True), **members) == {urns.ENTERPRISE_USER: {"manager": {"value": "1"}}}


def test_D7_at_most_one_value_is_primary() -> None:
    one = [{"value": "a", "primary": True}, {"value": "b", "primary": False}]
    assert _added(emails=one) == {"emails": one}
    with pytest.raises(InvalidValue, match="emails has more than one value with primary true"):
        _conform(emails=[*one, {"value": "c", "primary": True}])


def test_D7_exact_repeats_are_kept_once_and_then_counted() -> None:
    twice = [{"value": "a", "primary": True}, {"type": "x", "value": "b"}, {"primary": True, "value": "a"}]
    assert _added(emails=twice) == {"emails": twice[:2]}
    kinds = [{"value": "a", "type": "work"}, {"value": "a", "type": "home"}]
    assert _added(emails=kinds) == {"emails": kinds}


def test_values_are_limited_and_conformed_in_linear_time() -> None:
    with pytest.raises(InvalidValue, match="emails has more than 10000 values"):
        _conform(emails=[{"value": "x"}] * (MAX_VALUES + 1))
    start = perf_counter()
    many = [{"value": str(number)} for number in range(MAX_VALUES)]
    assert len(_conform(emails=many)["emails"]) == MAX_VALUES
    with pytest.raises(InvalidValue):
        _conform(emails=[{}] * 100_000)
    assert perf_counter() - start < 5


@pytest.mark.parametrize(
    "members",
    [
        {"title": "a\x00"},
        {"emails": [{"value": "\ud800"}]},
        {_CUSTOM: {"a": ["\x1b"]}},
        {"unknown": "\x00"},
        {"a\x00": 1},
    ],
)
def test_control_characters_and_surrogates_are_refused_everywhere(members: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue, match="control character"):
        _conform(**members)


def test_nesting_beyond_the_limit_is_invalid_syntax() -> None:
    deep: Any = "x"
    for _ in range(31):
        deep = {"a": deep}
    assert _added(**{_CUSTOM: deep}) == {_CUSTOM: deep}
    with pytest.raises(InvalidSyntax, match="nested too deeply"):
        _conform(**{_CUSTOM: {"a": deep}})


def test_details_repeat_no_values_and_no_names_that_are_none() -> None:
    secret = "ann@example.com"
    for members in ({"title": [secret]}, {secret: {"a": 1, "A": 1}}, {secret: "\x00"}, {"active": secret}, {secret: 1}):
        with pytest.raises((InvalidValue, InvalidSyntax)) as refusal:
            _conform(Rules(strict_attributes=True), **members)
        assert secret not in refusal.value.detail


# -- A9, extensions


def test_A9_unknown_attributes_are_ignored_or_refused() -> None:
    for members, path in (
        ({"nickname2": "x"}, "nickname2"),
        ({"name": {"middle": "x"}}, "name.middle"),
        ({"emails": [{"operation": "delete"}]}, "emails.operation"),
        ({urns.ENTERPRISE_USER: {"office": "x"}}, f"{urns.ENTERPRISE_USER}:office"),
        ({f"{urns.USER}:title": "x"}, f"{urns.USER}:title"),
        ({f"{urns.ENTERPRISE_USER.lower()}:department": "x"}, f"{urns.ENTERPRISE_USER.lower()}:department"),
        ({urns.USER: {"title": "x"}}, urns.USER),
    ):
        assert _added(**members) == {}
        with pytest.raises(InvalidValue) as refusal:
            _conform(Rules(strict_attributes=True), **members)
        assert refusal.value.detail == f"No schema here defines {path}."


@pytest.mark.parametrize("urn", [_CUSTOM, "URN:X:Y", "http://schemas.example.com/2006/11", "https://example.com/x"])
def test_extensions_without_a_schema_are_kept_as_sent(urn: str) -> None:
    opaque = {"a": [None, {}, {"B": {"c": [[1.5]]}}], "D": None}
    for rules in (_RFC, Rules(strict_attributes=True), _LENIENT):
        resource = _conform(rules, **{urn: opaque})
        assert resource[urn] == opaque
        assert resource["schemas"] == [urns.USER, urn]


def test_conform_extension_answers_with_the_canonical_urn() -> None:
    upper = urns.ENTERPRISE_USER.upper()
    assert conform_extension(upper, {"DEPARTMENT": "d"}, USER, _RFC) == (urns.ENTERPRISE_USER, {"department": "d"})
    assert conform_extension(upper, {"department": None}, USER, _RFC) == (urns.ENTERPRISE_USER, None)
    assert conform_extension("urn:X", {"A": None}, USER, _RFC) == ("urn:X", {"A": None})
    assert conform_extension("urn:X", {}, USER, _RFC) == ("urn:X", None)
    with pytest.raises(InvalidSyntax):
        conform_extension("urn:X", {"a": {"b": 1, "B": 1}}, USER, _RFC)
    with pytest.raises(InvalidValue, match="urn:X must be an object"):
        conform_extension("urn:X", 5, USER, _RFC)


def test_canonical_urn_knows_the_types_own_its_extensions_and_leaves_others() -> None:
    assert canonical_urn(urns.USER.lower(), USER) == urns.USER
    assert canonical_urn(urns.ENTERPRISE_USER.lower(), USER) == urns.ENTERPRISE_USER
    assert canonical_urn("urn:X", USER) == "urn:X"


def test_which_names_are_extensions() -> None:
    assert is_extension_name(urns.ENTERPRISE_USER.upper(), USER)
    assert is_extension_name(f"{urns.USER}2", USER)
    for name in (urns.USER, f"{urns.USER}:title", f"{urns.ENTERPRISE_USER}:manager.value", "title", "httpProxy"):
        assert not is_extension_name(name, USER)


# -- quirks that a tenant may tolerate


def test_string_booleans_are_tolerated_where_the_tenant_says_so() -> None:
    quirk = {"active": "False", "emails": [{"value": "x", "primary": "True"}]}
    assert _added(Rules(string_booleans=True), **quirk) == {
        "active": False,
        "emails": [{"value": "x", "primary": True}],
    }


def test_single_values_are_tolerated_where_the_tenant_says_so() -> None:
    rules = Rules(single_values=True)
    assert _added(rules, emails={"value": "x"}) == {"emails": [{"value": "x"}]}
    assert _added(Rules(single_values=True, bare_members=True), emails="x") == {"emails": [{"value": "x"}]}
    for wrong in ("x", 1):
        with pytest.raises(InvalidValue):
            _conform(rules, emails=wrong)
    with pytest.raises(InvalidValue):
        _conform(rules, schemas=urns.USER)


def test_bare_members_are_tolerated_where_the_tenant_says_so() -> None:
    rules = Rules(bare_members=True)
    assert _added(rules, roles=["admin", "", {"value": "x"}]) == {"roles": [{"value": "admin"}, {"value": "x"}]}
    for wrong in ({"roles": [1]}, {"roles": "admin"}, {"addresses": ["x"]}):
        with pytest.raises(InvalidValue):
            _conform(rules, **wrong)


def test_a_string_for_a_complex_attribute_is_tolerated_where_the_tenant_says_so() -> None:
    rules = Rules(complex_from_string=True)
    assert _added(rules, **{urns.ENTERPRISE_USER: {"manager": "271"}}) == {
        urns.ENTERPRISE_USER: {"manager": {"value": "271"}}
    }
    assert _added(rules, **{urns.ENTERPRISE_USER: {"manager": ""}}) == {}
    with pytest.raises(InvalidValue, match="name must be an object"):
        _conform(rules, name="Ann")


# -- single attributes, for PATCH


def test_conform_attribute_takes_the_whole_value() -> None:
    emails = _attribute("emails")
    assert conform_attribute(emails, [{"VALUE": "x"}, {}], _RFC, "emails") == [{"value": "x"}]
    assert conform_attribute(emails, [], _RFC, "emails") is None
    assert conform_attribute(_MANAGER, {"displayName": "Boss"}, _RFC, "manager") is None
    assert conform_attribute(_attribute("title"), None, _RFC, "title") is None
    assert conform_attribute(_attribute("active"), False, _RFC, "active") is False
    with pytest.raises(InvalidValue, match=r"^emails must be an array"):
        conform_attribute(emails, {"value": "x"}, _RFC, "emails")
    with pytest.raises(InvalidSyntax):
        conform_attribute(emails, [{"value": "x", "VALUE": "y"}], _RFC, "emails")


def test_conform_element_takes_one_value_of_many() -> None:
    emails = _attribute("emails")
    assert conform_element(emails, {"VALUE": "x"}, _RFC, "emails") == {"value": "x"}
    assert conform_element(emails, {"value": None}, _RFC, "emails") is None
    assert conform_element(emails, None, _RFC, "emails") is None
    assert conform_element(emails, "x", _LENIENT, "emails") == {"value": "x"}
    with pytest.raises(InvalidValue, match=r"^emails must be an object"):
        conform_element(emails, "x", _RFC, "emails")
    with pytest.raises(InvalidValue, match="control character"):
        conform_element(emails, {"value": "\x00"}, _RFC, "emails")


def test_multi_valued_attributes_that_are_not_complex_hold_different_values() -> None:
    tags = Attribute(name="tags", multi_valued=True)
    assert conform_attribute(tags, ["a", "b", "a", None], _RFC, "tags") == ["a", "b"]
    with pytest.raises(InvalidValue, match="tags must be a string"):
        conform_attribute(tags, ["a", 1], _RFC, "tags")
    anything = Attribute(name="anything", type="any", multi_valued=True)
    assert conform_attribute(anything, [{"a": [1]}, {"a": [1]}], _RFC, "anything") == [{"a": [1]}, {"a": [1]}]


# -- check_complete


def test_a_complete_resource_passes() -> None:
    check_complete(_conform(emails=[{"primary": True}], **{urns.ENTERPRISE_USER: {"department": "d"}}), USER)


@pytest.mark.parametrize(
    ("resource", "detail"),
    [
        ({"schemas": [urns.USER]}, "userName is required"),
        ({"userName": "ann"}, "schemas is required"),
        ({"schemas": ["urn:x"], "userName": "ann"}, "schemas must list"),
        ({"schemas": [urns.USER], "userName": "ann", "urn:x:y": {"a": 1}}, "schemas must list urn:x:y"),
        ({"schemas": USER.urns, "userName": "ann", "urn:x:y": {"a": 1}}, "schemas must list urn:x:y"),
        (
            {"schemas": [urns.USER], "userName": "ann", "emails": [{"primary": True}, {"value": "x", "primary": True}]},
            "emails has more than one value with primary true",
        ),
    ],
)
def test_an_incomplete_resource_is_refused(resource: dict[str, Any], detail: str) -> None:
    with pytest.raises(InvalidValue, match=detail):
        check_complete(resource, USER)


def test_extensions_are_checked_like_the_core() -> None:
    badges = Attribute(name="badges", type="complex", multi_valued=True)
    extension = Schema(
        urn="urn:b", name="B", description="", attributes=(badges, Attribute(name="code", required=True))
    )
    type_ = ResourceType(
        name="T", endpoint="/T", description="", schema=USER.schema, extensions=(extension,), common=COMMON
    )
    resource = {"schemas": [urns.USER, "urn:b"], "userName": "ann", "urn:b": {"code": "1"}}
    check_complete(resource, type_)
    with pytest.raises(InvalidValue, match="urn:b:code is required"):
        check_complete(resource | {"urn:b": {"badges": []}}, type_)
    two = {"code": "1", "badges": [{"primary": True}, {"primary": True}]}
    with pytest.raises(InvalidValue, match="urn:b:badges has more than one"):
        check_complete(resource | {"urn:b": two}, type_)
