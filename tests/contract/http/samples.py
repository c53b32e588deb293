"""A user with something to change."""

from __future__ import annotations

from typing import Any, Final

from tests.served import Scim

WORK: Final = {"value": "w@example.com", "type": "work", "primary": True}
HOME: Final = {"value": "h@example.com", "type": "home"}


def made_ann(caller: Scim) -> Any:
    """Create the user and return her."""
    return caller.made(
        displayName="Ann",
        title="Engineer",
        name={"familyName": "Lee", "givenName": "Ann"},
        emails=[WORK, HOME],
        enterprise={"department": "d", "manager": {"value": "m-1"}},
    )


def unchanged(caller: Scim, made: Any) -> None:
    """Check that a user is as she was."""
    assert caller.read(made["id"]) == made
