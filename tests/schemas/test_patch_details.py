"""PATCH applied: what one operation of a request remembers of the values must not outlive the next one's change to them."""

from __future__ import annotations

from typing import Any

from schemas import urns
from schemas.patch import apply_patch
from schemas.patch_requests import Operation
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
    assert after["emails"] == [{"value": "a", "primary": False}, {"value": "b", "primary": False}, old]


def test_L5_an_opaque_value_is_the_same_in_whatever_order_its_members_stand() -> None:
    user = _user(**{_X: {"badges": [{"a": 1, "b": 2}]}})
    after = _patched(user, ("add", f"{_X}:badges", [{"b": 2, "a": 1}, {"b": 1, "a": 1}]))
    assert after[_X]["badges"] == [{"a": 1, "b": 2}, {"b": 1, "a": 1}]
