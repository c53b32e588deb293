"""PATCH applied: what one operation of a request remembers of the values must not outlive the next one's change to them."""

from __future__ import annotations

from typing import Any

import pytest

from schemas import urns
from schemas.errors import InvalidValue
from schemas.patch import apply_patch
from schemas.patch_requests import Operation, normalise
from schemas.resource_types import USER
from schemas.rules import Rules

_X = "urn:x:Y"


def _user(**members: Any) -> dict[str, Any]:
    extensions = [name for name in members if ":" in name]
    return {"schemas": [urns.USER, *extensions], "id": "1", "userName": "ann", **members}


def _patched(resource: dict[str, Any], *operations: tuple[Any, ...]) -> dict[str, Any]:
    return apply_patch([Operation(*each) for each in operations], resource, USER, Rules())


def test_L5_a_value_that_was_removed_with_its_attribute_can_be_added_again() -> None:
    mail = {"value": "a", "type": "work"}
    after = _patched(_user(), ("add", "emails", [mail]), ("remove", "emails"), ("add", "emails", [mail]))
    assert after["emails"] == [mail]


def test_L5_a_value_that_another_operation_demoted_is_not_added_twice() -> None:
    old = {"value": "a", "primary": True}
    demoted = {"value": "a", "primary": False}
    new = {"value": "b", "primary": True}
    after = _patched(_user(emails=[old]), ("add", "emails", [new]), ("add", "emails", [demoted]))
    assert after["emails"] == [demoted, new]


def test_L10_a_value_that_another_operation_demoted_can_be_added_as_primary() -> None:
    old = {"value": "a", "primary": True}
    new = {"value": "b", "primary": True}
    after = _patched(_user(emails=[old]), ("add", "emails", [new]), ("add", "emails", [old]))
    assert after["emails"] == [old, {"value": "b", "primary": False}]


@pytest.mark.parametrize("primary", [True, False, None])
def test_L5_a_value_that_is_there_is_not_added_again_whatever_is_said_of_primary(primary: bool | None) -> None:
    """RFC 7643 section 2.4: no two values have the same type and value."""
    there, other = {"value": "a", "type": "work"}, {"value": "b", "primary": True}
    again = there if primary is None else {**there, "primary": primary}
    after = _patched(_user(emails=[there, other]), ("add", "emails", [again]))
    assert after["emails"] == ([again, {"value": "b", "primary": False}] if primary else [there, other])


def test_L5_the_primary_that_is_added_again_without_saying_so_stays_primary() -> None:
    mail = {"value": "a", "primary": True}
    assert _patched(_user(emails=[mail]), ("add", "emails", [{"value": "a"}]))["emails"] == [mail]


def test_no_operations_make_more_values_than_a_body_can_hold() -> None:
    user = _user(emails=[{"value": str(n)} for n in range(9_990)])
    more = [{"value": f"new-{n}"} for n in range(11)]
    with pytest.raises(InvalidValue, match="emails would have more than 10000 values"):
        _patched(user, ("add", "emails", more))
    full = _patched(user, ("add", "emails", more[1:]))
    assert len(full["emails"]) == 10_000
    assert _patched(full, ("add", "emails", more[1:])) == full


def test_A4_names_of_no_schema_are_one_in_any_case_when_objects_are_merged() -> None:
    user = _user(**{_X: {"badge": {"color": "red", "size": 1}, "list": [{"id": 1, "Tag": "a"}]}})
    replaced = _patched(user, ("replace", f"{_X}:badge", {"Color": "blue"}))
    assert replaced[_X]["badge"] == {"color": "blue", "size": 1}
    added = _patched(user, ("add", f"{_X}:list[id eq 1]", {"tag": "b", "new": 2}))
    assert added[_X]["list"] == [{"id": 1, "Tag": "b", "new": 2}]
    made = _patched(user, ("add", f"{_X}:list[id eq 2]", {"ID": 2}))
    assert made[_X]["list"][1] == {"id": 2}


def test_L5_an_opaque_value_is_the_same_in_whatever_order_its_members_stand() -> None:
    user = _user(**{_X: {"badges": [{"a": 1, "b": 2}]}})
    after = _patched(user, ("add", f"{_X}:badges", [{"b": 2, "a": 1}, {"b": 1, "a": 1}]))
    assert after[_X]["badges"] == [{"a": 1, "b": 2}, {"b": 1, "a": 1}]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"{urns.ENTERPRISE_USER}:manager", ""),
        (f"{urns.ENTERPRISE_USER}:manager", {"value": ""}),
        (f"{urns.ENTERPRISE_USER}:manager.value", ""),
    ],
)
def test_D5_no_string_for_a_manager_removes_it_however_it_is_spelled(path: str, value: object) -> None:
    rules = Rules(complex_from_string=True)
    body = {"schemas": [urns.PATCH_OP], "Operations": [{"op": "replace", "path": path, "value": value}]}
    user = _user(**{urns.ENTERPRISE_USER: {"manager": {"value": "271"}, "department": "x"}})
    after = apply_patch(normalise(body, USER, rules).operations, user, USER, rules)
    assert after[urns.ENTERPRISE_USER] == {"department": "x"}
