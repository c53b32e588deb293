"""What a decision can be: a change and what goes with it, no change, or a refusal."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from schemas.commands import ChangeCommand
from schemas.outcomes import Outcome, Refusal
from schemas.records import ResourceImage

Name = tuple[str, str]
"""A unique name: attribute and folded value. Also an index entry: attribute and value as compared."""


class StoredResource(msgspec.Struct, frozen=True, kw_only=True):
    """A resource as ``decide`` sees it: stored, or as an earlier command of the batch will leave it."""

    version: int
    created: str
    modified: str
    names: dict[str, str]
    doc: dict[str, Any]
    password: str | msgspec.UnsetType = msgspec.UNSET


def image_of(command: ChangeCommand, resource: StoredResource) -> ResourceImage:
    """Return what a reader would see of the resource that the command found."""
    kind: Literal["user", "group"] = "user" if command.resource_type == "User" else "group"
    return ResourceImage(
        kind=kind,
        v=1,
        version=resource.version,
        created=resource.created,
        modified=resource.modified,
        doc=msgspec.Raw(msgspec.json.encode(resource.doc)),
    )


class View(msgspec.Struct, frozen=True):
    """All that a command may look at when it is decided."""

    resource: StoredResource | None = None
    gone: bool = False
    """Whether a deleted resource had this id."""
    answered: Outcome | None = None
    """The outcome of this very command, when it is delivered again."""
    keyed: Outcome | None = None
    """The outcome of the first request under the same Idempotency-Key."""
    size: int = 0
    """Bytes of what is stored of the resource, roughly."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """The next state of one resource and what goes with it; a store executes it without knowing SCIM."""

    command: ChangeCommand
    effect: Literal["create", "put", "patch", "delete"]
    expected: int
    """The version that must be stored; 0 for none."""
    status: int
    created: str
    modified: str
    doc: dict[str, Any] | None
    """The resource in canonical form; None when the change deletes it."""
    text: bytes = b""
    """``doc`` as JSON: encoded once, for its size, and copied into record, event and answer."""
    password: str | msgspec.UnsetType = msgspec.UNSET
    names: dict[str, str]
    acquires: tuple[Name, ...] = ()
    releases: tuple[Name, ...] = ()
    adds: tuple[Name, ...] = ()
    """Index entries to add."""
    drops: tuple[Name, ...] = ()
    """Index entries to drop."""
    flipped: bool | None = None
    """What ``active`` became, where it changed."""

    @property
    def version(self) -> int:
        """The version that the change makes."""
        return self.expected + 1

    def resource(self) -> StoredResource | None:
        """Return the resource as the next command of the batch sees it, or None when it is deleted."""
        if self.doc is None:
            return None
        return StoredResource(
            version=self.version,
            created=self.created,
            modified=self.modified,
            names=self.names,
            doc=self.doc,
            password=self.password,
        )


class NoChange(msgspec.Struct, frozen=True):
    """The resource is already as the command wants it: success, the same version, no event (RFC 7644 section 3.5.2)."""

    resource: StoredResource
    status: int = 200


Decision = Change | NoChange | Refusal
