"""PATCH applied: add, replace, remove on every kind of target, order, atomicity, primary, extensions, limits."""

from __future__ import annotations

import copy
import time
from typing import Any

import pytest

from schemas import urns
from schemas.attributes import ResourceType
from schemas.errors import InvalidPath, InvalidValue, Mutability, NoTarget, ScimError
from schemas.patch import apply_patch
from schemas.patch_requests import Operation
from schemas.resource_types import USER
from schemas.rules import Rules
from tests.schemas.tables import BADGE_URN, GROUP

_E = urns.ENTERPRISE_USER
_X = "urn:x:Y"
_RFC = Rules()
_AS_ADD = Rules(replace_as_add=True)


def _user(**members: Any) -> dict[str, Any]:
    extensions = [name for name in members if ":" in name]
    return {"schemas": [urns.USER, *extensions], "id": "1", "userName": "ann", **members}


def _group(**members: Any) -> dict[str, Any]:
    extensions = [name for name in members if ":" in name]
    return {"schemas": [urns.GROUP, *extensions], "id": "1", "displayName": "G", **members}


def _type_of(resource: dict[str, Any]) -> ResourceType:
    return USER if resource["schemas"][0] == urns.USER else GROUP


def _patched(resource: dict[str, Any], *operations: tuple[Any, ...], rules: Rules = _RFC) -> dict[str, Any]:
    before = copy.deepcopy(resource) if len(operations) < 15 else None
    after = apply_patch([Operation(*each) for each in operations], resource, _type_of(resource), rules)
    assert before is None or resource == before
    return after


def _changes(resource: dict[str, Any], *operations: tuple[Any, ...], rules: Rules = _RFC) -> dict[str, Any]:
    """Return what is other than before: new values, and None for what is gone."""
    after = _patched(resource, *operations, rules=rules)
    names = [*after, *(name for name in resource if name not in after)]
    return {name: after.get(name) for name in names if after.get(name) != resource.get(name)}


def _refused(
    error: type[ScimError], resource: dict[str, Any], *operations: tuple[Any, ...], rules: Rules = _RFC
) -> str:
    with pytest.raises(error) as caught:
        _patched(resource, *operations, rules=rules)
    assert type(caught.value) is error
    return caught.value.detail


_WORK = {"value": "w", "type": "work", "primary": True}
_HOME = {"value": "h", "type": "home"}
_MAILS = _user(emails=[_WORK, _HOME])


# --- order, all or nothing, no-ops ---


def test_L3_each_operation_sees_what_the_one_before_left() -> None:
    operations = [
        ("add", "emails", [{"value": "a", "type": "work"}]),
        ("replace", 'emails[type eq "work"].value', "b"),
        ("add", 'emails[value eq "b"].display', "B"),
        ("remove", 'emails[value eq "a"]'),
        ("replace", "title", "x"),
        ("remove", "title"),
    ]
    assert _changes(_user(), *operations) == {"emails": [{"value": "b", "type": "work", "display": "B"}]}


def test_L3_one_refused_operation_refuses_all() -> None:
    resource = _user(title="t", emails=[_WORK], **{_E: {"department": "d"}})
    before = copy.deepcopy(resource)
    operations = [
        Operation("replace", "title", "x"),
        Operation("add", "emails", [_HOME]),
        Operation("add", f"{_E}:division", "x"),
        Operation("replace", 'emails[type eq "other"].value', "x"),
    ]
    with pytest.raises(NoTarget):
        apply_patch(operations, resource, USER, _RFC)
    assert resource == before


@pytest.mark.parametrize(
    "operation",
    [
        ("add", "title", "t"),
        ("replace", "title", "t"),
        ("add", "name", {"givenName": "A"}),
        ("replace", "name", {"givenName": "A"}),
        ("add", "name.givenName", "A"),
        ("add", "emails", [_HOME, _WORK]),
        ("replace", "emails", [_WORK, _HOME]),
        ("replace", 'emails[type eq "work"]', _WORK),
        ("add", 'emails[type eq "work"]', {"primary": True}),
        ("replace", 'emails[type eq "home"].value', "h"),
        ("add", _E, {"department": "d"}),
        ("replace", f"{_E}:department", "d"),
        ("add", None, {_X: {"a": [1]}}),
        ("add", f"{_X}:a", [1]),
        ("replace", "schemas", [urns.USER, _E, _X]),
        ("add", "schemas", [_E]),
        ("remove", "nickName"),
        ("remove", "name.familyName"),
        ("remove", "addresses"),
        ("remove", "addresses.type"),
        ("remove", 'addresses[type eq "x"]'),
        ("remove", 'emails[type eq "x"]'),
        ("remove", 'emails[type eq "x"].display'),
        ("remove", 'emails[type eq "work"].display'),
        ("remove", "emails.display"),
        ("remove", f"{_E}:division"),
        ("remove", f"{_E}:manager.value"),
        ("remove", f"{_X}:b"),
        ("remove", f"{_X}:a.b"),
        ("remove", f'{_X}:a[b eq "c"]'),
        ("remove", "urn:z:a"),
    ],
)
def test_L4_what_is_so_already_leaves_an_equal_resource(operation: tuple[Any, ...]) -> None:
    resource = _user(
        title="t", name={"givenName": "A"}, emails=[_WORK, _HOME], **{_E: {"department": "d"}, _X: {"a": [1]}}
    )
    assert _patched(resource, operation) == resource


def test_what_no_operation_names_is_shared_with_the_resource_before() -> None:
    resource = _user(title="t", emails=[_WORK, _HOME], **{_E: {"department": "d", "manager": {"value": "1"}}})
    after = _patched(resource, ("replace", f"{_E}:department", "e"), ("replace", 'emails[type eq "home"].value', "x"))
    assert after[_E]["manager"] is resource[_E]["manager"]
    assert after["emails"][0] is resource["emails"][0]
    assert next(iter(after)) == "schemas"
    assert _patched(resource, ("replace", "title", "x"))["emails"] is resource["emails"]


def test_no_operations_change_nothing() -> None:
    assert _patched(_MAILS) == _MAILS


# --- add ---


def test_L5_add_sets_a_single_value_and_replaces_one_that_is_there() -> None:
    assert _changes(_user(), ("add", "title", "x")) == {"title": "x"}
    assert _changes(_user(title="t"), ("add", "title", "x")) == {"title": "x"}
    assert _changes(_user(), ("add", "active", False)) == {"active": False}


def test_L5_add_merges_into_a_complex_attribute() -> None:
    resource = _user(name={"givenName": "A", "familyName": "B"})
    assert _changes(resource, ("add", "name", {"givenName": "C", "middleName": "D"})) == {
        "name": {"givenName": "C", "familyName": "B", "middleName": "D"}
    }
    assert _changes(_user(), ("add", "name", {"givenName": "C"})) == {"name": {"givenName": "C"}}
    assert _changes(_user(), ("add", "name.givenName", "C")) == {"name": {"givenName": "C"}}
    assert _changes(resource, ("add", "name.givenName", "C")) == {"name": {"givenName": "C", "familyName": "B"}}


def test_L5_add_appends_what_is_not_there_yet() -> None:
    other = {"value": "h", "type": "other"}
    assert _changes(_MAILS, ("add", "emails", [_HOME, other, other])) == {"emails": [_WORK, _HOME, other]}
    assert _changes(_user(), ("add", "emails", [_HOME, _HOME])) == {"emails": [_HOME]}
    assert _changes(_group(tags=["a"]), ("add", "tags", ["a", "A", "b", "b"])) == {"tags": ["a", "A", "b"]}
    assert _changes(
        _group(codes=["a"]), ("add", "codes", ["b"]), ("add", "codes", ["b", "c"]), ("add", "codes", ["a"])
    ) == {"codes": ["a", "b", "c"]}


def test_L5_a_member_is_the_same_when_its_immutable_value_is() -> None:
    group = _group(members=[{"value": "1", "type": "User"}, {"type": "Group"}])
    new = [{"value": "1"}, {"value": "2", "note": "n"}, {"value": "2"}, {"type": "Group"}, {"type": "User"}]
    assert _changes(group, ("add", "members", new)) == {
        "members": [{"value": "1", "type": "User"}, {"type": "Group"}, {"value": "2", "note": "n"}, {"type": "User"}]
    }


def test_L5_add_remembers_what_came_and_what_went_in_between() -> None:
    operations = [
        ("add", "codes", ["b"]),
        ("remove", 'codes[value eq "b"]'),
        ("add", "codes", ["b"]),
        ("remove", "codes"),
        ("add", "codes", ["b", "c"]),
        ("replace", "codes", ["d"]),
        ("add", "codes", ["b", "d"]),
        ("replace", 'codes[value eq "b"]', "e"),
        ("add", "codes", ["b"]),
    ]
    assert _changes(_group(codes=["a"]), *operations) == {"codes": ["d", "e", "b"]}


def test_L5_add_with_a_value_path_merges_into_every_value_that_matches() -> None:
    resource = _user(emails=[{"value": "a", "type": "x", "display": "A"}, {"value": "b", "type": "x"}, _HOME])
    assert _changes(resource, ("add", 'emails[type eq "x"]', {"display": "D"})) == {
        "emails": [{"value": "a", "type": "x", "display": "D"}, {"value": "b", "type": "x", "display": "D"}, _HOME]
    }
    assert _changes(resource, ("add", 'emails[type eq "x"].display', "D")) == {
        "emails": [{"value": "a", "type": "x", "display": "D"}, {"value": "b", "type": "x", "display": "D"}, _HOME]
    }


def test_L5_a_sub_attribute_without_filter_is_that_of_every_value() -> None:
    assert _changes(_MAILS, ("add", "emails.display", "D")) == {
        "emails": [{**_WORK, "display": "D"}, {**_HOME, "display": "D"}]
    }
    assert _changes(_MAILS, ("replace", "emails.type", "x")) == {
        "emails": [{**_WORK, "type": "x"}, {**_HOME, "type": "x"}]
    }
    assert _changes(_user(), ("add", "emails.value", "a")) == {"emails": [{"value": "a"}]}
    assert _changes(_user(), ("replace", "emails.value", "a")) == {"emails": [{"value": "a"}]}
    assert _changes(_MAILS, ("remove", "emails.type")) == {"emails": [{"value": "w", "primary": True}, {"value": "h"}]}


def test_values_that_become_equal_become_one() -> None:
    resource = _user(emails=[{"value": "a", "type": "x"}, {"value": "a", "type": "y"}])
    assert _changes(resource, ("replace", "emails.type", "z")) == {"emails": [{"value": "a", "type": "z"}]}
    assert _changes(resource, ("remove", "emails.type")) == {"emails": [{"value": "a"}]}
    assert _changes(_group(tags=["a", "b"]), ("replace", 'tags[value eq "a"]', "b")) == {"tags": ["b"]}


# --- L6: a value path that matches nothing ---


@pytest.mark.parametrize(
    ("path", "value", "element"),
    [
        ('emails[type eq "other"].value', "a", {"type": "other", "value": "a"}),
        ('emails[type eq "other"]', {"value": "a"}, {"type": "other", "value": "a"}),
        ('emails[type eq "other" and display eq "D"].value', "a", {"type": "other", "display": "D", "value": "a"}),
        ('emails[type eq "other" and primary ne true].value', "a", {"type": "other", "value": "a"}),
        ('emails[type eq "other" and display eq null].value', "a", {"type": "other", "value": "a"}),
        ('emails[type eq "other" and not (display pr)].value', "a", {"type": "other", "value": "a"}),
        ('emails[primary eq false and type eq "x"].value', "a", {"primary": False, "type": "x", "value": "a"}),
        ('emails[value eq "a"]', {"value": "a", "type": "x"}, {"value": "a", "type": "x"}),
        ('emails[value sw "a"]', {"value": "abc"}, {"value": "abc"}),
        ('emails[value sw "a"].value', "abc", {"value": "abc"}),
        ('emails[type eq "other"].type', "x", {"type": "x"}),
        ('emails[type eq "other"]', {"type": "x", "value": "a"}, {"type": "x", "value": "a"}),
    ],
)
def test_L6_add_with_a_value_path_that_matches_nothing_creates_the_element(
    path: str, value: Any, element: dict[str, Any]
) -> None:
    assert _changes(_MAILS, ("add", path, value)) == {"emails": [_WORK, _HOME, element]}
    assert _changes(_user(), ("add", path, value)) == {"emails": [element]}
    assert _changes(_MAILS, ("replace", path, value), rules=_AS_ADD) == {"emails": [_WORK, _HOME, element]}


@pytest.mark.parametrize(
    "path",
    [
        'emails[type sw "o"].value',
        'emails[type pr and display pr].value',
        'emails[type eq "a" and display pr].value',
        'emails[type eq "a" or type eq "b"].value',
        'emails[not (type eq "work") and not (type eq "home") and type pr].value',
    ],
)  # fmt: skip
def test_L6_a_filter_that_does_not_say_what_to_create_has_no_target(path: str) -> None:
    detail = "No value of emails.value matches the filter of the path, nor would the one to add."
    assert _refused(NoTarget, _MAILS, ("add", path, "x")) == detail
    assert _refused(NoTarget, _user(), ("replace", path, "x"), rules=_AS_ADD) == detail


def test_L6_a_created_element_passes_the_same_checks_as_any() -> None:
    assert _changes(_group(), ("add", 'members[value eq "1" and display eq "D"]', {"note": "n"})) == {
        "members": [{"value": "1", "note": "n"}]
    }
    detail = _refused(
        InvalidValue, _user(), ("add", 'x509Certificates[type eq "t"].value', "???"), rules=Rules(strict_formats=True)
    )
    assert detail == "x509Certificates.value must be base64."
    detail = _refused(InvalidValue, _group(), ("add", f'{BADGE_URN}:stamps[value eq ""].ink', "x"))
    assert detail == f"{BADGE_URN}:stamps.value must not be blank."
    detail = _refused(InvalidValue, _group(), ("add", 'doors[built eq "2026-11-21T12:00:00Z" and name eq ""].floor', 1))
    assert detail == "doors.name must not be blank."


def test_L6_a_created_simple_value_must_be_the_one_the_path_means() -> None:
    assert _changes(_group(tags=["a"]), ("add", 'tags[value eq "b"]', "b")) == {"tags": ["a", "b"]}
    assert _changes(_group(tags=["a"]), ("add", 'tags[value eq "b"]', "c")) == {"tags": ["a", "c"]}
    _refused(NoTarget, _group(tags=["a"]), ("add", 'tags[value sw "b"]', "c"))


def test_L6_an_element_that_is_created_twice_is_there_once() -> None:
    operations = [("add", 'emails[type eq "x"].value', "a"), ("add", 'emails[type eq "x" and value eq "a"].type', "x")]
    assert _changes(_user(), *operations) == {"emails": [{"type": "x", "value": "a"}]}


# --- replace ---


def test_L7_replace_without_filter_replaces_all_values() -> None:
    assert _changes(_MAILS, ("replace", "emails", [{"value": "n"}])) == {"emails": [{"value": "n"}]}
    assert _changes(_user(), ("replace", "emails", [{"value": "n"}])) == {"emails": [{"value": "n"}]}
    assert _changes(
        _group(members=[{"value": "1"}]), ("replace", "members", [{"value": "2"}, {"value": "2", "note": "n"}])
    ) == {"members": [{"value": "2"}]}


def test_L7_replace_sets_a_single_value_whether_or_not_it_is_there() -> None:
    assert _changes(_user(title="t"), ("replace", "title", "x")) == {"title": "x"}
    assert _changes(_user(), ("replace", "title", "x")) == {"title": "x"}
    assert _changes(_user(), ("replace", "userName", "bob")) == {"userName": "bob"}


def test_L7_replace_merges_a_complex_attribute_and_leaves_what_it_does_not_name() -> None:
    resource = _user(name={"givenName": "A", "familyName": "B"})
    assert _changes(resource, ("replace", "name", {"givenName": "C"})) == {
        "name": {"givenName": "C", "familyName": "B"}
    }
    assert _changes(resource, ("replace", "name.givenName", "C")) == {"name": {"givenName": "C", "familyName": "B"}}
    assert _changes(_user(), ("replace", "name.givenName", "C")) == {"name": {"givenName": "C"}}


def test_L7_replace_with_a_value_path_replaces_every_value_that_matches() -> None:
    resource = _user(emails=[{"value": "a", "type": "x", "display": "A"}, {"value": "b", "type": "x"}, _HOME])
    assert _changes(resource, ("replace", 'emails[type eq "x"]', {"value": "c"})) == {"emails": [{"value": "c"}, _HOME]}
    assert _changes(resource, ("replace", 'emails[type eq "x"].value', "c")) == {
        "emails": [{"value": "c", "type": "x", "display": "A"}, {"value": "c", "type": "x"}, _HOME]
    }
    assert _changes(_group(tags=["a", "B"]), ("replace", 'tags[value eq "b"]', "c")) == {"tags": ["a", "c"]}
    assert _changes(_group(tags=["a", "B"]), ("add", 'tags[value eq "b"]', "c")) == {"tags": ["a", "c"]}


@pytest.mark.parametrize("path", ['emails[type eq "other"].value', 'emails[type eq "other"]'])
def test_L7_replace_with_a_value_path_that_matches_nothing_has_no_target(path: str) -> None:
    value = {"value": "x"} if path.endswith("]") else "x"
    name = "emails" if path.endswith("]") else "emails.value"
    detail = f"No value of {name} matches the filter of the path; add one, or correct the filter."
    assert _refused(NoTarget, _MAILS, ("replace", path, value)) == detail
    assert _refused(NoTarget, _user(), ("replace", path, value)) == detail


# --- remove ---


def test_L8_remove_unassigns() -> None:
    resource = _user(title="t", name={"givenName": "A", "familyName": "B"}, emails=[_WORK, _HOME], active=True)
    assert _changes(resource, ("remove", "title")) == {"title": None}
    assert _changes(resource, ("remove", "active")) == {"active": None}
    assert _changes(resource, ("remove", "name")) == {"name": None}
    assert _changes(resource, ("remove", "name.givenName")) == {"name": {"familyName": "B"}}
    assert _changes(resource, ("remove", "name.givenName"), ("remove", "name.familyName")) == {"name": None}
    assert _changes(resource, ("remove", "emails")) == {"emails": None}
    assert "title" not in _patched(resource, ("remove", "title"))
    assert "name" not in _patched(resource, ("remove", "name.givenName"), ("remove", "name.familyName"))


def test_L8_remove_with_a_value_path_removes_what_matches_and_with_the_last_value_the_attribute() -> None:
    assert _changes(_MAILS, ("remove", 'emails[type eq "work"]')) == {"emails": [_HOME]}
    assert _changes(_MAILS, ("remove", "emails[value pr]")) == {"emails": None}
    assert "emails" not in _patched(_MAILS, ("remove", "emails[value pr]"))
    assert _changes(_MAILS, ("remove", 'emails[type eq "work"].primary')) == {
        "emails": [{"value": "w", "type": "work"}, _HOME]
    }
    assert _changes(_group(tags=["a", "b"]), ("remove", 'tags[value eq "A"]')) == {"tags": ["b"]}


def test_L8_an_element_without_sub_attributes_is_gone() -> None:
    resource = _user(emails=[{"value": "a"}, {"value": "b", "type": "x"}])
    assert _changes(resource, ("remove", "emails.value")) == {"emails": [{"type": "x"}]}
    assert _changes(resource, ("remove", "emails.value"), ("remove", "emails.type")) == {"emails": None}


def test_L8_the_last_value_of_what_is_required_stays() -> None:
    detail = "schemas is required and cannot be removed."
    assert _refused(Mutability, _user(), ("remove", "schemas[value pr]")) == detail
    assert _refused(Mutability, _user(), ("remove", "schemas")) == detail
    assert _refused(Mutability, _user(), ("remove", "userName")) == "userName is required and cannot be removed."
    assert _refused(Mutability, _user(), ("remove", f'schemas[value eq "{urns.USER}"]')) == detail


def test_L8_removals_in_a_row_are_one_pass_and_end_where_another_kind_begins() -> None:
    group = _group(members=[{"value": str(n)} for n in range(9)], tags=["0", "1"])
    operations = [
        ("remove", 'members[value eq "0"]'),
        ("remove", 'members[value eq "1" or value eq "2"]'),
        ("remove", 'members[value eq "9"]'),
        ("remove", 'tags[value eq "0"]'),
        ("remove", 'members[value eq "3"]'),
        ("add", 'members[value eq "4"]', {"note": "n"}),
        ("remove", 'members[value eq "5"]'),
        ("remove", 'members[value eq "4"].note'),
        ("remove", 'members[value eq "5"]'),
        ("add", "members", [{"value": "0"}]),
        ("remove", 'members[value eq "6"]'),
        ("remove", "tags"),
        ("remove", 'members[value eq "7"]'),
        ("add", None, {_X: {"a": 1}}),
        ("remove", 'members[value eq "0"]'),
    ]
    after = _patched(group, *operations)
    assert after["members"] == [{"value": "4"}, {"value": "8"}]
    assert "tags" not in after
    assert after[_X] == {"a": 1}


def test_L8_a_run_of_removals_keeps_extensions_and_core_apart() -> None:
    group = _group(tags=["a", "b"], **{BADGE_URN: {"marks": ["a", "b"]}})
    after = _patched(group, ("remove", f'{BADGE_URN}:marks[value eq "a"]'), ("remove", 'tags[value eq "b"]'))
    assert (after["tags"], after[BADGE_URN]) == (["a"], {"marks": ["b"]})
    after = _patched(
        group, ("remove", f'{BADGE_URN}:marks[value eq "a"]'), ("remove", f'{BADGE_URN}:marks[value eq "b"]')
    )
    assert BADGE_URN not in after
    opaque = _user(**{_X: {"a": [{"k": 1}, {"k": 2}, {"k": 3}], "b": [{"k": 1}]}})
    after = _patched(
        opaque, ("remove", f"{_X}:a[k eq 1]"), ("remove", f"{_X}:A[k eq 2]"), ("remove", f"{_X}:b[k eq 3]")
    )
    assert after[_X] == {"a": [{"k": 3}], "b": [{"k": 1}]}


# --- primary ---


def test_L10_a_new_primary_value_is_the_only_one() -> None:
    unset = {**_WORK, "primary": False}
    new = {"value": "n", "primary": True}
    assert _changes(_MAILS, ("add", "emails", [new])) == {"emails": [unset, _HOME, new]}
    assert _changes(_MAILS, ("add", 'emails[type eq "home"].primary', True)) == {
        "emails": [unset, {**_HOME, "primary": True}]
    }
    assert _changes(_MAILS, ("replace", 'emails[type eq "home"]', new)) == {"emails": [unset, new]}
    assert _changes(_MAILS, ("add", 'emails[type eq "home"]', {"primary": True})) == {
        "emails": [unset, {**_HOME, "primary": True}]
    }
    assert _changes(_MAILS, ("add", 'emails[type eq "x" and primary eq true].value', "n")) == {
        "emails": [unset, _HOME, {"type": "x", "primary": True, "value": "n"}]
    }
    assert _changes(_MAILS, ("replace", "emails", [new])) == {"emails": [new]}


def test_L10_other_changes_leave_the_primary_value_alone() -> None:
    assert _changes(_MAILS, ("add", "emails", [{"value": "n", "primary": False}]))["emails"][0] == _WORK
    assert _changes(_MAILS, ("add", 'emails[type eq "home"].primary', False))["emails"][0] == _WORK
    assert _changes(_MAILS, ("replace", 'emails[type eq "home"].display', "D"))["emails"][0] == _WORK
    assert _changes(_MAILS, ("add", 'emails[type eq "home"]', {"display": "D"}))["emails"][0] == _WORK
    assert _changes(_MAILS, ("remove", 'emails[type eq "home"].type'))["emails"][0] == _WORK
    assert _changes(_MAILS, ("remove", 'emails[type eq "home"].value'))["emails"][0] == _WORK
    assert _patched(_MAILS, ("add", "emails", [_WORK])) == _MAILS


def test_L10_two_values_cannot_become_primary_at_once() -> None:
    detail = "emails has more than one value with primary true."
    assert _refused(InvalidValue, _MAILS, ("add", "emails.primary", True)) == detail
    assert _refused(InvalidValue, _MAILS, ("replace", "emails[value pr].primary", True)) == detail


def test_L10_a_value_that_equals_the_one_that_was_primary_is_not_there_twice() -> None:
    resource = _user(emails=[_WORK, {**_WORK, "primary": False}])
    new = {"value": "n", "primary": True}
    assert _changes(resource, ("add", "emails", [new])) == {"emails": [{**_WORK, "primary": False}, new]}
    operations = [("add", "emails", [new]), ("add", "emails", [{**_WORK, "primary": False}, {"value": "x"}])]
    assert _changes(resource, *operations) == {"emails": [{**_WORK, "primary": False}, new, {"value": "x"}]}


def test_L10_a_sub_attribute_called_otherwise_makes_nothing_primary() -> None:
    doors = [{"name": "a", "primary": True}, {"name": "b"}]
    assert _changes(_group(doors=doors), ("add", 'doors[name eq "b"].open', True)) == {
        "doors": [doors[0], {"name": "b", "open": True}]
    }


# --- mutability ---


@pytest.mark.parametrize(
    "operation",
    [
        ("replace", "id", "2"),
        ("remove", "id"),
        ("add", "meta", {"created": "x"}),
        ("add", "groups", [{"value": "1"}]),
        ("remove", 'groups[value eq "1"]'),
        ("replace", f"{_E}:manager.displayName", "x"),
    ],
)
def test_L9_what_is_readOnly_cannot_be_changed(operation: tuple[Any, ...]) -> None:
    assert _refused(Mutability, _user(), operation).endswith(" is readOnly.")


def test_L9_an_immutable_attribute_is_set_once() -> None:
    assert _changes(_group(), ("add", "birth", "x")) == {"birth": "x"}
    assert _changes(_group(birth="x"), ("replace", "birth", "x")) == {}
    assert _changes(_group(), ("remove", "birth")) == {}
    for operation in (("replace", "birth", "y"), ("add", "birth", "y"), ("remove", "birth")):
        assert _refused(Mutability, _group(birth="x"), operation) == "birth is immutable and has a value."
    badge = _group(**{BADGE_URN: {"serial": "1"}})
    assert _refused(Mutability, badge, ("remove", BADGE_URN)) == f"{BADGE_URN}:serial is immutable and has a value."
    for path, value in ((f"{BADGE_URN}:serial", "2"), (BADGE_URN, {"serial": "2"})):
        assert _refused(Mutability, badge, ("add", path, value)) == f"{BADGE_URN}:serial is immutable and has a value."


def test_L9_immutable_sub_attributes_are_set_once() -> None:
    owner = _group(owner={"value": "1", "since": "x"})
    detail = "owner.since is immutable and has a value."
    assert _refused(Mutability, owner, ("replace", "owner", {"since": "y"})) == detail
    assert _refused(Mutability, owner, ("add", "owner.since", "y")) == detail
    assert _refused(Mutability, owner, ("remove", "owner.since")) == detail
    assert _changes(owner, ("replace", "owner", {"value": "2", "since": "x"})) == {
        "owner": {"value": "2", "since": "x"}
    }
    assert _changes(owner, ("replace", "owner.since", "x")) == {}
    assert _changes(owner, ("remove", "owner")) == {"owner": None}
    assert _changes(_group(owner={"value": "1"}), ("add", "owner.since", "y")) == {
        "owner": {"value": "1", "since": "y"}
    }


def test_L9_members_are_added_and_removed_as_a_whole() -> None:
    member = {"value": "1", "type": "User", "note": "n"}
    group = _group(members=[member])
    detail = "members.value is immutable and has a value."
    path = 'members[value eq "1"]'
    assert _refused(Mutability, group, ("replace", path, {"value": "2"})) == detail
    assert _refused(Mutability, group, ("add", path, {"value": "2"})) == detail
    assert _refused(Mutability, group, ("replace", f"{path}.value", "2")) == detail
    assert _refused(Mutability, group, ("remove", f"{path}.value")) == detail
    assert _refused(Mutability, group, ("remove", "members.type")) == "members.type is immutable and has a value."
    assert _changes(group, ("replace", path, {"note": "m"})) == {
        "members": [{"value": "1", "type": "User", "note": "m"}]
    }
    assert _changes(group, ("replace", path, {"value": "1"})) == {"members": [{"value": "1", "type": "User"}]}
    assert _changes(group, ("add", f"{path}.$ref", "../Users/1")) == {"members": [{**member, "$ref": "../Users/1"}]}
    assert _changes(group, ("remove", f"{path}.note")) == {"members": [{"value": "1", "type": "User"}]}
    assert _changes(group, ("remove", path), ("add", "members", [{"value": "1", "type": "Group"}])) == {
        "members": [{"value": "1", "type": "Group"}]
    }
    assert _changes(group, ("replace", "members", [{"value": "1", "type": "Group"}])) == {
        "members": [{"value": "1", "type": "Group"}]
    }


def test_L9_a_simple_value_has_no_sub_attribute_that_could_be_immutable() -> None:
    assert _changes(_group(tags=["a"]), ("replace", 'tags[value eq "a"]', "b")) == {"tags": ["b"]}


# --- extensions ---


def test_L11_an_extension_attribute_brings_its_urn_and_the_last_one_takes_it_away() -> None:
    added = _patched(_user(), ("add", f"{_E}:department", "d"))
    assert added == {**_user(), "schemas": [urns.USER, _E], _E: {"department": "d"}}
    assert _patched(added, ("remove", f"{_E}:department")) == _user()
    assert _patched(added, ("remove", _E)) == _user()
    assert _patched(added, ("add", _E, {"division": "x"}), ("remove", _E)) == _user()
    assert _patched(added, ("add", f"{_E}:division", "x"), ("remove", f"{_E}:department"))[_E] == {"division": "x"}
    assert _patched(added, ("remove", _E), ("add", f"{_E}:division", "x"))["schemas"] == [urns.USER, _E]
    assert _patched(added, ("remove", _E), ("add", f"{_E}:division", "x"))[_E] == {"division": "x"}


def test_L11_a_urn_that_the_client_listed_without_attributes_stays() -> None:
    listed = {**_user(), "schemas": [urns.USER, _E, "urn:other"]}
    assert _patched(listed, ("remove", f"{_E}:department")) == listed
    assert _patched(listed, ("remove", _E)) == listed
    assert _patched(listed, ("add", f"{_E}:department", "d"))["schemas"] == listed["schemas"]


def test_L11_urns_are_listed_in_the_order_in_which_they_came_into_use() -> None:
    operations = [("add", f"{urn}:a", 1) for urn in ("urn:q", "urn:c", "urn:x", "urn:a")]
    assert _patched(_user(), *operations)["schemas"] == [urns.USER, "urn:q", "urn:c", "urn:x", "urn:a"]


def test_L11_a_urn_in_another_spelling_is_the_same() -> None:
    listed = {**_user(), "schemas": [urns.USER, _X.upper()]}
    added = _patched(listed, ("add", f"{_X}:a", 1))
    assert added == {**listed, _X: {"a": 1}}
    assert _patched({**added, "schemas": [urns.USER, _X.upper()]}, ("remove", f"{_X.lower()}:A")) == _user()


def test_L7_an_extension_as_a_whole_is_merged() -> None:
    resource = _user(**{_E: {"department": "d", "manager": {"value": "1", "$ref": "r"}}})
    for op in ("add", "replace"):
        assert _changes(resource, (op, _E, {"division": "x", "manager": {"value": "2"}})) == {
            _E: {"department": "d", "division": "x", "manager": {"value": "2", "$ref": "r"}}
        }
    assert _patched(_user(), ("replace", _E, {"division": "x"}))[_E] == {"division": "x"}
    group = _group(**{BADGE_URN: {"marks": ["a"]}})
    assert _changes(group, ("add", BADGE_URN, {"marks": ["b"]})) == {BADGE_URN: {"marks": ["a", "b"]}}
    assert _changes(group, ("replace", BADGE_URN, {"marks": ["b"]})) == {BADGE_URN: {"marks": ["b"]}}


def test_extension_attributes_of_every_kind_are_patched_like_core_ones() -> None:
    group = _group(**{BADGE_URN: {"marks": ["a"], "maker": {"value": "m", "city": "c"}}})
    operations = [
        ("add", f"{BADGE_URN}:marks", ["b"]),
        ("remove", f'{BADGE_URN}:marks[value eq "a"]'),
        ("remove", f"{BADGE_URN}:maker.city"),
        ("add", f"{BADGE_URN}:colour", "red"),
    ]
    assert _changes(group, *operations) == {BADGE_URN: {"marks": ["b"], "maker": {"value": "m"}, "colour": "red"}}


def test_L11_schemas_that_lack_what_is_in_use_are_refused() -> None:
    resource = _user(**{_E: {"department": "d"}})
    assert _refused(InvalidValue, resource, ("replace", "schemas", [urns.USER])) == (
        f"schemas must list {_E}, whose attributes the resource has."
    )
    assert _refused(InvalidValue, resource, ("remove", f'schemas[value eq "{urns.USER}"]')) == (
        f"schemas must list {urns.USER}."
    )
    assert _refused(InvalidValue, resource, ("add", "schemas", [_E.upper()])) == "schemas lists a URN twice."
    assert _changes(resource, ("add", "schemas", ["urn:other"])) == {"schemas": [urns.USER, _E, "urn:other"]}


# --- unknown extensions ---


def test_attributes_of_an_unknown_extension_are_json() -> None:
    resource = _user(**{_X: {"List": [1, {"k": "v"}], "obj": {"k": 1}, "text": "t"}})

    def after(*operations: tuple[Any, ...]) -> dict[str, Any]:
        return {**resource[_X], **_changes(resource, *operations)[_X]}

    assert after(("add", f"{_X}:list", 2))["List"] == [1, {"k": "v"}, 2]
    assert after(("add", f"{_X}:list", [True, 1, 1.0, {"k": "v"}]))["List"] == [1, {"k": "v"}, True, 1.0]
    twice = _patched(_user(), ("add", f"{_X}:list", [{"a": 1, "b": 2}]), ("add", f"{_X}:list", [{"b": 2, "a": 1}]))
    assert twice[_X] == {"list": [{"a": 1, "b": 2}]}
    assert after(("replace", f"{_X}:list", [2]))["List"] == [2]
    assert after(("add", f"{_X}:obj", {"j": 2}))["obj"] == {"k": 1, "j": 2}
    assert after(("replace", f"{_X}:obj", {"j": 2}))["obj"] == {"k": 1, "j": 2}
    assert after(("replace", f"{_X}:obj", "s"))["obj"] == "s"
    assert after(("add", f"{_X}:text", {"j": 2}))["text"] == {"j": 2}
    assert after(("add", f"{_X}:text", ["j"]))["text"] == ["j"]
    assert after(("add", f"{_X.upper()}:OBJ.K", 2))["obj"] == {"k": 2}
    assert after(("replace", f"{_X}:obj.new", 2))["obj"] == {"k": 1, "new": 2}
    assert after(("add", f"{_X}:fresh.sub", 2))["fresh"] == {"sub": 2}
    assert after(("add", f"{_X}:fresh", [2]))["fresh"] == [2]
    assert _changes(resource, ("remove", f"{_X}:obj.k"))[_X] == {"List": [1, {"k": "v"}], "text": "t"}
    assert _changes(resource, ("remove", f"{_X}:LIST"))[_X] == {"obj": {"k": 1}, "text": "t"}


def test_a_simple_value_of_an_unknown_extension_has_no_sub_attributes() -> None:
    resource = _user(**{_X: {"text": "t", "list": ["s"]}})
    detail = f"{_X}:text.sub is not there: the value before it has no sub-attributes."
    assert _refused(NoTarget, resource, ("add", f"{_X}:text.sub", 1)) == detail
    assert _refused(NoTarget, resource, ("replace", f"{_X}:list.sub", 1)).startswith(f"{_X}:list.sub is not there")
    assert _patched(resource, ("remove", f"{_X}:text.sub")) == resource
    assert _patched(resource, ("remove", f"{_X}:list.sub")) == resource


def test_values_of_an_unknown_extension_are_selected_by_filters() -> None:
    resource = _user(**{_X: {"list": [{"K": "v", "n": 1, "primary": True}, {"K": "w"}, "s"], "obj": {"k": "v"}}})

    def after(*operations: tuple[Any, ...]) -> Any:
        return _patched(resource, *operations)[_X]["list"]

    first, second, third = resource[_X]["list"]
    assert after(("replace", f'{_X}:list[k eq "V"].N', 2)) == [{**first, "n": 2}, second, third]
    assert after(("add", f'{_X}:list[k eq "w"]', {"n": 3})) == [first, {"K": "w", "n": 3}, third]
    assert after(("replace", f'{_X}:list[k eq "w"]', {"primary": True})) == [first, {"primary": True}, third]
    assert after(("replace", f'{_X}:list[k eq "w"]', "text")) == [first, "text", third]
    assert after(("add", f'{_X}:list[value eq "s"]', {"n": [1]})) == [first, second, {"n": [1]}]
    assert after(("replace", f'{_X}:list[k eq "v" or k eq "w"]', "s")) == ["s", "s", "s"]
    assert after(("remove", f'{_X}:list[k eq "v"]')) == [second, third]
    assert after(("remove", f'{_X}:list[value eq "s"]')) == [first, second]
    assert after(("add", f'{_X}:list[k eq "x"].n', 4)) == [first, second, third, {"k": "x", "n": 4}]
    assert after(("add", f'{_X}:list[k eq "x"]', {"n": 4})) == [first, second, third, {"k": "x", "n": 4}]
    assert _patched(_user(), ("add", f'{_X}:list[k eq "x"].n', 4))[_X] == {"list": [{"k": "x", "n": 4}]}
    assert _refused(NoTarget, resource, ("add", f'{_X}:obj[k eq "v"].n', 4)) == (
        f"{_X}:obj.n has one value and no others to choose from."
    )
    assert _patched(resource, ("remove", f'{_X}:obj[k eq "v"]')) == resource


def test_an_unknown_extension_is_merged_as_a_whole_and_null_unassigns() -> None:
    resource = _user(**{_X: {"a": 1, "B": [1], "c": {"k": 1}}})
    value = {_X.upper(): {"A": 2, "b": None, "c": {"j": 2}, "d e": 1, "gone": None}}
    assert _changes(resource, ("replace", None, value)) == {_X: {"a": 2, "c": {"k": 1, "j": 2}, "d e": 1}}
    assert _changes(resource, ("add", None, {_X: {"b": [1, 2, True, 1.0, [1], {"k": []}]}}))[_X]["B"] == [
        1, 2, True, 1.0, [1], {"k": []}
    ]  # fmt: skip
    assert _changes(resource, ("add", None, {_X: {"b": 2}}))[_X]["B"] == [1, 2]
    assert _changes(resource, ("replace", None, {_X: {"b": [2]}}))[_X]["B"] == [2]
    assert _patched(resource, ("replace", None, {_X: None})) == _user()
    assert _patched(resource, ("replace", None, {_X: {"a": None, "b": None, "C": None}})) == _user()
    assert _patched(_user(), ("add", None, {_X: {"a": 1}, "urn:z": {"b": 2}})) == {
        **_user(),
        "schemas": [urns.USER, _X, "urn:z"],
        _X: {"a": 1},
        "urn:z": {"b": 2},
    }
    assert _patched(_user(), ("add", None, {_X: {"a": 1, "A": 2}}))[_X] == {"a": 2}


def test_a_path_that_is_the_urn_of_an_unknown_extension_in_use_means_all_of_it() -> None:
    urn = "urn:x:2.0:User"
    resource = _user(**{urn: {"a": 1}})
    assert _patched(resource, ("remove", urn.upper())) == _user()
    assert _changes(resource, ("replace", urn, {"b": 2})) == {urn: {"a": 1, "b": 2}}
    many = _user(**{urn: {"a": [1]}})
    assert _changes(many, ("add", urn, {"a": [2]})) == {urn: {"a": [1, 2]}}
    assert _changes(many, ("replace", urn, {"a": [2]})) == {urn: {"a": [2]}}
    added = _patched(resource, ("replace", urn, "text"))
    assert added[urn] == {"a": 1}
    assert added["urn:x:2.0"] == {"User": "text"}
    assert _patched(_user(), ("add", urn, {"b": 2}))["urn:x:2.0"] == {"User": {"b": 2}}
    assert _patched(resource, ("remove", "urn:x:2.0:Other")) == resource


# --- completeness, errors, limits ---


def test_the_result_must_be_complete() -> None:
    incomplete = {name: value for name, value in _user().items() if name != "userName"}
    assert _refused(InvalidValue, incomplete, ("add", "title", "x")) == "userName is required."


def test_a_path_that_is_undefined_is_refused_here_too() -> None:
    _refused(InvalidPath, _user(), ("add", "undefined", "x"))


def _tags(count: int, start: int = 0) -> list[str]:
    return [str(n) for n in range(start, start + count)]


_TOO_MANY = "The operations touch more than 10000 values; send them in several requests."


def test_ten_thousand_touched_values_are_the_limit() -> None:
    full = ("add", "tags", _tags(10_000))
    assert len(_patched(_group(), full)["tags"]) == 10_000
    for operation in (
        ("add", "level", 1),
        ("replace", "owner", {"value": "1"}),
        ("add", "owner.value", "1"),
        ("remove", "level"),
        ("replace", "codes", ["a"]),
        ("add", 'doors[name eq "a"].floor', 1),
        ("replace", None, {_X: {"a": None}}),
        ("add", f"{_X}:a", 1),
        ("add", None, {_X: {"a": 1}}),
        ("remove", 'tags[value eq "1"]'),
        ("replace", 'tags[value eq "1"]', "x"),
    ):
        assert _refused(InvalidValue, _group(), full, operation) == _TOO_MANY
        _patched(_group(), ("add", "tags", _tags(9_999)), operation)
    _patched(_group(), full, ("remove", 'tags[value eq "x"]'))


def test_the_members_of_an_unknown_extension_are_touched_one_by_one() -> None:
    value = {f"k{n}": n for n in range(10_000)}
    assert _patched(_user(), ("add", None, {_X: value}))[_X] == value
    assert _refused(InvalidValue, _user(), ("add", None, {_X: {**value, "one": 1}})) == _TOO_MANY
    _patched(_group(), ("add", "tags", _tags(9_999)), ("replace", None, {_X: None}))
    assert _refused(InvalidValue, _group(), ("add", "tags", _tags(10_000)), ("replace", None, {_X: None})) == _TOO_MANY


def test_values_that_a_filter_selects_are_touched() -> None:
    doors = [{"name": str(n)} for n in range(5000)]
    change = ("replace", "doors[name pr].floor", 1)
    _patched(_group(doors=doors), change, change)
    assert _refused(InvalidValue, _group(doors=doors), change, change, ("add", "level", 1)) == _TOO_MANY
    removal = ("remove", "doors.floor")
    _patched(_group(doors=doors), removal, removal)
    assert _refused(InvalidValue, _group(doors=doors), removal, removal, ("add", "level", 1)) == _TOO_MANY


_TOO_FAR = "The operations search more than 500000 values for what they name; send them in several requests."


def test_half_a_million_comparisons_are_the_limit() -> None:
    group = _group(doors=[{"name": str(n)} for n in range(10_000)])
    found = ("replace", 'doors[name eq "5"].floor', 1)
    _patched(group, *[found] * 16)  # Each compares once, looks again for what to change, and for what has become equal.
    assert _refused(InvalidValue, group, *[found] * 17) == _TOO_FAR
    dear = ("remove", "doors[" + " and ".join(["floor gt 1"] * 25) + "].floor")
    _patched(group, dear, dear)
    assert _refused(InvalidValue, group, dear, dear, found) == _TOO_FAR


def test_looking_for_a_name_among_many_counts_as_comparing() -> None:
    resource = _user(**{_X: {f"k{n}": n for n in range(9_990)}})
    _patched(resource, *[("remove", f"{_X}:none")] * 50)
    assert _refused(InvalidValue, resource, *[("remove", f"{_X}:none")] * 51) == _TOO_FAR
    many = _user(**{_X: {"a": _tags(9_990)}})
    assert _patched(many, *[("add", f"{_X}:a", ["0"])] * 500) == many, "looked through once for all of them"


def test_adds_one_at_a_time_search_the_values_once() -> None:
    group = _group(tags=_tags(9_500))
    after = _patched(group, *[("add", "tags", [str(n)]) for n in range(9_400, 9_900)])
    assert after["tags"] == _tags(9_900)


def test_removals_that_name_thousands_of_values_are_one_pass() -> None:
    group = _group(members=[{"value": str(n)} for n in range(10_000)])
    paths = [
        "members[" + " or ".join(f'value eq "{start + n}"' for n in range(50)) + "]" for start in range(0, 5000, 50)
    ]
    after = _patched(group, *[("remove", path) for path in paths])
    assert after["members"] == [{"value": str(n)} for n in range(5000, 10_000)]


def test_a_hostile_request_takes_no_longer_than_its_limits_allow() -> None:
    members = [{"value": f"{n:036}"} for n in range(10_000)]
    group = _group(members=members)
    removals = [("remove", f'members[value eq "{n:036}"]') for n in range(0, 1000, 2)]
    started = time.process_time()
    assert len(_patched(group, *removals)["members"]) == 9_500
    adds = [("add", "members", [{"value": f"new{n}"}]) for n in range(500)]
    assert len(_patched(group, *adds)["members"]) == 10_500
    assert time.process_time() - started < 2
