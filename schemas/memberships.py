"""A user's groups: no part of its record, derived from the edges that the groups' members are (RFC 7643 section 4.1.2)."""

from __future__ import annotations

import msgspec


class Membership(msgspec.Struct, frozen=True):
    """A group that a resource is in."""

    group_id: str
    display: str | None
    direct: bool
    """False where it is in a group that is in this one."""


class _Head(msgspec.Struct):
    display_name: str | None = msgspec.field(name="displayName", default=None)


_head = msgspec.json.Decoder(_Head)


def membership(group_id: str, doc: bytes, *, direct: bool) -> Membership:
    """Return a membership in the group whose document is ``doc``. Raises msgspec.DecodeError where it is none."""
    return Membership(group_id, _head.decode(doc).display_name, direct)
