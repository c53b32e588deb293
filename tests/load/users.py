"""The user of every row: an enterprise user of 1,013 bytes, as in the figures that the floors were set by."""

from __future__ import annotations

from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
TEMPLATE: Final = HERE / "user.json"
"""One JSON object in which ``@NAME@`` stands where a user differs from the next; the Lua scripts read it too."""
NAME_LENGTH: Final = 17
"""Characters of every name, so that all bodies have one length."""
_MARK: Final = "@NAME@"


def name_of(tag: str, number: int) -> str:
    """Return the name of user ``number`` under a tag of six characters; the Lua scripts build theirs in the same form."""
    return f"{tag}00{number:09d}"


def user_name(name: str) -> str:
    """Return the ``userName`` of the user with this name."""
    return f"{name}@example.com"


def user_body(name: str) -> bytes:
    """Return the JSON of one user."""
    return TEMPLATE.read_text().strip().replace(_MARK, name).encode()
