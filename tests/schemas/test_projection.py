"""attributes and excludedAttributes (RFC 7644 sections 3.4.2.5 and 3.9)."""

from __future__ import annotations

import copy
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import urns
from schemas.errors import InvalidValue
from schemas.projection import MAX_NAMES, parse_projection
from schemas.resource_types import ENTERPRISE_USER_SCHEMA, USER
from tests.rfc_examples import rfc_example

_CUSTOM = "urn:example:acme:1.0:User"
_USER: dict[str, Any] = {
    "schemas": [urns.USER, urns.ENTERPRISE_USER, _CUSTOM],
    "id": "1",
    "externalId": "e",
    "userName": "ann",
    "name": {"familyName": "A", "givenName": "B"},
    "active": False,
    "emails": [{"value": "x", "type": "work"}, {"type": "home"}],
    urns.ENTERPRISE_USER: {"department": "d", "manager": {"value": "2", "displayName": "Boss"}},
    _CUSTOM: {"Badge": {"color": "red", "no": 1}, "list": [{"a": 1, "b": None}], "flag": False},
    "meta": {"resourceType": "User", "version": 'W/"1"'},
}


def _only(attributes: str) -> dict[str, Any]:
    """Return what is left besides schemas and id, which are always there."""
    projection = parse_projection(attributes, None, USER)
    assert projection is not None
    projected = projection.apply(_USER)
    assert projected.pop("schemas") == _USER["schemas"]
    assert projected.pop("id") == "1"
    return projected


def _without(excluded: str) -> dict[str, Any]:
    projection = parse_projection(None, excluded, USER)
    assert projection is not None
    return projection.apply(_USER)


def _all_but(*names: str, **changed: Any) -> dict[str, Any]:
    return {name: value for name, value in (_USER | changed).items() if name not in names}


@pytest.mark.parametrize("nothing", [None, "", " , ", [], [""]])
def test_F2_nothing_asked_for_is_the_default_set(nothing: str | list[str] | None) -> None:
    assert parse_projection(nothing, None, USER) is None
    assert parse_projection(None, nothing, USER) is None
    assert parse_projection(nothing, nothing, USER) is None


def test_F2_the_two_parameters_exclude_each_other() -> None:
    with pytest.raises(InvalidValue, match="exclude each other"):
        parse_projection("userName", "emails", USER)
    with pytest.raises(InvalidValue):
        parse_projection(["nonsense"], ["emails"], USER)
    assert parse_projection("userName", "", USER) is not None


def test_F2_the_example_of_rfc_7644_section_3_9() -> None:
    projection = parse_projection("userName", None, USER)
    assert projection is not None
    assert projection.apply(rfc_example("rfc7643-8.2-user-full")) == {
        "schemas": [urns.USER],
        "id": "2819c223-7f76-453a-919d-413861904646",
        "userName": "bjensen@example.com",
    }


@pytest.mark.parametrize(
    ("attributes", "left"),
    [
        ("userName", {"userName": "ann"}),
        ("USERNAME , active", {"userName": "ann", "active": False}),
        ("id,schemas", {}),
        ("nonsense,name.nonsense,userName.x,emails.value.x", {}),
        ("name.familyName", {"name": {"familyName": "A"}}),
        ("name.familyName,name", {"name": _USER["name"]}),
        ("name,name.familyName", {"name": _USER["name"]}),
        ("name.FAMILYNAME,name.givenName", {"name": _USER["name"]}),
        ("name.middleName", {}),
        ("emails.value", {"emails": [{"value": "x"}]}),
        ("emails.primary", {}),
        ("meta", {"meta": _USER["meta"]}),
        ("meta.version", {"meta": {"version": 'W/"1"'}}),
        (f"{urns.USER}:userName", {"userName": "ann"}),
        (f"{urns.USER.upper()}:name.givenname", {"name": {"givenName": "B"}}),
        (f"{urns.USER}:nonsense", {}),
        (urns.USER, {name: _USER[name] for name in ("userName", "name", "active", "emails")}),
        (urns.ENTERPRISE_USER.lower(), {urns.ENTERPRISE_USER: _USER[urns.ENTERPRISE_USER]}),
        (f"{urns.ENTERPRISE_USER}:department", {urns.ENTERPRISE_USER: {"department": "d"}}),
        (f"{urns.ENTERPRISE_USER}:manager.value", {urns.ENTERPRISE_USER: {"manager": {"value": "2"}}}),
        (
            f"{urns.ENTERPRISE_USER}:department,{urns.ENTERPRISE_USER}:manager",
            {urns.ENTERPRISE_USER: _USER[urns.ENTERPRISE_USER]},
        ),
        (
            f"{urns.ENTERPRISE_USER},{urns.ENTERPRISE_USER}:department",
            {urns.ENTERPRISE_USER: _USER[urns.ENTERPRISE_USER]},
        ),
        (f"{urns.ENTERPRISE_USER}:nonsense", {}),
        ("department", {}),
        (_CUSTOM.upper(), {_CUSTOM: _USER[_CUSTOM]}),
        (f"{_CUSTOM}:badge.COLOR", {_CUSTOM: {"Badge": {"color": "red"}}}),
        (f"{_CUSTOM}:list.a,{_CUSTOM}:flag", {_CUSTOM: {"list": [{"a": 1}], "flag": False}}),
        (f"{_CUSTOM}:flag.x", {}),
        (f"{_CUSTOM},{_CUSTOM}:flag", {_CUSTOM: _USER[_CUSTOM]}),
        ("urn:example:other", {}),
    ],
)
def test_F2_attributes_names_what_stays(attributes: str, left: dict[str, Any]) -> None:
    assert _only(attributes) == left


@pytest.mark.parametrize(
    ("excluded", "left"),
    [
        ("emails", _all_but("emails")),
        ("EMAILS,meta", _all_but("emails", "meta")),
        ("id,schemas", _USER),
        ("nonsense,members", _USER),
        ("name.familyName", _all_but(name={"givenName": "B"})),
        ("name.familyName,name.givenName", _all_but("name")),
        ("name.middleName", _USER),
        ("emails.type", _all_but(emails=[{"value": "x"}])),
        ("emails.type,emails.value", _all_but("emails")),
        (urns.USER, _all_but("userName", "name", "active", "emails")),
        (urns.ENTERPRISE_USER, _all_but(urns.ENTERPRISE_USER)),
        (f"{urns.ENTERPRISE_USER}:manager", _all_but(**{urns.ENTERPRISE_USER: {"department": "d"}})),
        (_CUSTOM, _all_but(_CUSTOM)),
        (f"{_CUSTOM}:badge,{_CUSTOM}:LIST", _all_but(**{_CUSTOM: {"flag": False}})),
        (f"{_CUSTOM}:flag.x", _USER),
    ],
)
def test_F2_F4_excluded_attributes_names_what_goes(excluded: str, left: dict[str, Any]) -> None:
    assert _without(excluded) == left


@pytest.mark.parametrize(
    "attributes",
    [
        'emails[type eq "work"].value',
        'emails[type eq "a,b]\\"]" or (x eq 1)].value',
        'emails[type eq "\\\\"].value',
        "emails[a,b[c].value,active[x",
    ],
)
def test_F5_a_filter_in_brackets_is_left_out_of_account(attributes: str) -> None:
    assert _only(attributes)["emails"] == [{"value": "x"}]


def test_F5_what_follows_a_filter_counts() -> None:
    assert _only('emails[type eq "x,y"].value,active') == {"emails": [{"value": "x"}], "active": False}


def test_F2_a_list_of_names_is_the_same_as_commas() -> None:
    assert parse_projection(["userName", "name.givenName, active"], None, USER) == parse_projection(
        "userName,name.givenName,active", None, USER
    )


def test_F3_the_order_of_a_resource_is_kept_and_the_resource_untouched() -> None:
    before = copy.deepcopy(_USER)
    assert list(_without("active,name.givenName")) == [name for name in _USER if name != "active"]
    assert before == _USER


def test_a_sub_attribute_of_a_simple_value_names_nothing() -> None:
    projection = parse_projection(None, "name.familyName", USER)
    assert projection is not None
    assert projection.apply({"name": "not complex"}) == {"name": "not complex"}


@pytest.mark.parametrize("parameter", ["attributes", "excludedAttributes"])
def test_more_names_than_the_limit_are_refused(parameter: str) -> None:
    names = ",".join(["userName"] * MAX_NAMES)
    for sent, refused in ((names, False), (f"{names},x", True), ([names, "x"], True)):
        wanted, unwanted = (sent, None) if parameter == "attributes" else (None, sent)
        if refused:
            with pytest.raises(InvalidValue, match=f"{parameter} has more than 200 names"):
                parse_projection(wanted, unwanted, USER)
        else:
            assert parse_projection(wanted, unwanted, USER) is not None


_NAMES = st.lists(
    st.sampled_from(
        [
            "id",
            "userName",
            "name",
            "name.givenName",
            "emails",
            "emails.type",
            "meta.version",
            "x",
            _CUSTOM,
            f"{_CUSTOM}:flag",
        ]
        + [urns.ENTERPRISE_USER]
        + [f"{urns.ENTERPRISE_USER}:{attribute.name}" for attribute in ENTERPRISE_USER_SCHEMA.attributes]
    ),
    min_size=1,
)


def _leaves(value: Any, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    if isinstance(value, dict):
        return set().union(*(_leaves(item, (*path, name)) for name, item in value.items()))
    if isinstance(value, list) and path[0] not in {"schemas", _CUSTOM}:
        return set().union(*(_leaves(item, (*path, str(place))) for place, item in enumerate(value)))
    return {path}


@given(names=_NAMES)
def test_F2_what_one_parameter_keeps_the_other_drops(names: list[str]) -> None:
    kept = parse_projection(names, None, USER)
    dropped = parse_projection(None, names, USER)
    assert kept is not None
    assert dropped is not None
    # Addresses of elements move when one before goes, so paths without them are compared.
    both = [{(path[0], path[-1]) for path in _leaves(each.apply(_USER))} for each in (kept, dropped)]
    assert both[0] | both[1] == {(path[0], path[-1]) for path in _leaves(_USER)}
    assert both[0] & both[1] == {("schemas", "schemas"), ("id", "id")}


def test_names_below_urns_without_a_schema_are_told_apart_from_their_neighbours() -> None:
    resource = {"schemas": [urns.USER], "id": "1", "urn:a": {"x": 1, "y": 2}, "urn:a:b": {"x": 3}, "urn:ab": {"x": 4}}
    for attributes, left in {
        "urn:a:x": {"urn:a": {"x": 1}},
        "urn:a:b:x": {"urn:a:b": {"x": 3}},
        "urn:a:b": {"urn:a:b": {"x": 3}},
        "urn:a": {"urn:a": {"x": 1, "y": 2}},
        "urn:ab:x,urn:a:y,urn:a!x": {"urn:a": {"y": 2}, "urn:ab": {"x": 4}},
        "urn:a:z,urn:,urn:b": {},
    }.items():
        projection = parse_projection(attributes, None, USER)
        assert projection is not None
        assert projection.apply(resource) == {"schemas": [urns.USER], "id": "1", **left}


def test_many_names_cost_little_in_a_resource_of_many_urns() -> None:
    """200 names looked for at each of 10,000 URNs were two million comparisons a resource, and a page has many."""
    resource = {"schemas": [urns.USER], "id": "1", **{f"urn:{number}": {"a": 1} for number in range(10_000)}}
    names = [f"urn:{number}:a" for number in range(200)]
    projection = parse_projection(names, None, USER)
    assert projection is not None
    began = time.process_time()
    projected = projection.apply(resource)
    assert time.process_time() - began < 0.1
    assert len(projected) == 202
