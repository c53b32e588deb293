"""Sequence numbers: given to changes after their names are granted, and only then are record and event encoded (CP-19)."""

from __future__ import annotations

from typing import Any, Final, cast

import msgspec

from schemas.changes import Change, Name
from schemas.commands import verb_of
from schemas.events import EventRecord, event_record
from schemas.ids import is_derived
from schemas.outcomes import Outcome
from schemas.records import Address, GoneRecord, ResourceImage, UserRecord, encode_record, resource_key
from schemas.timestamps import milliseconds

TOMBSTONE_LIFE_MS: Final = 30 * 24 * 3600 * 1000
"""How long the place of a deleted resource is kept (CP-8)."""


class StoredChange(msgspec.Struct, frozen=True, kw_only=True):
    """What a store executes of a change: plain values, no SCIM."""

    tenant: str
    resource_type: str
    resource_id: str
    key: str
    record: bytes
    """The after-image, or what a delete leaves."""
    deleted: bool
    expected: int
    """The version that must be stored; 0 for none."""
    version: int
    created: str
    modified: str
    acquires: tuple[Name, ...]
    releases: tuple[Name, ...]
    adds: tuple[Name, ...]
    drops: tuple[Name, ...]

    @property
    def forget_at(self) -> int | None:
        """When a deleted resource's place may go, in milliseconds since 1970; None: a derived id is spent for good (CP-8)."""
        return None if is_derived(self.resource_id) else milliseconds(self.modified) + TOMBSTONE_LIFE_MS


class NumberedChange(StoredChange, frozen=True, kw_only=True):
    """A change as a log keeps it, too: with its number, its event, and what a reader sees of it."""

    txn: str
    number: int
    image: ResourceImage | None
    """None when the change deleted the resource."""
    event: EventRecord


class Watermark(msgspec.Struct, frozen=True, kw_only=True):
    """How far a store has taken in the state log of a partition (CP-5)."""

    offset: int
    """Of the next state record that the store has not seen."""
    position: int
    """Offset of the last command decided; -1 for none."""
    time: int
    """When it was written, in milliseconds since 1970."""


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What one transaction makes durable: changes in order, an outcome for every command decided, the tenants' numbers."""

    changes: tuple[NumberedChange, ...]
    outcomes: tuple[tuple[str, Outcome], ...]
    """Tenant and outcome, in the order of the commands."""
    numbers: dict[str, int]
    """The number of the last change of each tenant that changed."""
    forgotten: tuple[Address, ...] = ()
    """Deleted resources whose places go."""
    mark: Watermark | None = None
    """How far the log is once this batch is in it; None where there is no log beside the store."""


def number(change: Change, *, partition: int, number: int, issuer: str) -> NumberedChange:
    """Return the change with its number, its state record and its event encoded."""
    command = change.command
    return NumberedChange(
        tenant=command.tenant,
        resource_type=command.resource_type,
        resource_id=command.resource_id,
        key=resource_key(command.tenant, command.resource_type, command.resource_id),
        record=encode_record(_record(change, number)),
        deleted=change.doc is None,
        expected=change.expected,
        version=change.version,
        created=change.created,
        modified=change.modified,
        acquires=change.acquires,
        releases=change.releases,
        adds=change.adds,
        drops=change.drops,
        txn=command.txn,
        number=number,
        image=None if change.doc is None else _image(change),
        event=event_record(change, partition=partition, number=number, issuer=issuer),
    )


def _record(change: Change, number: int) -> UserRecord | GoneRecord:
    command = change.command
    if change.doc is None:
        return GoneRecord(
            version=change.version,
            seq=number,
            txn=command.txn,
            fp=command.fingerprint,
            status=change.status,
            modified=change.modified,
            derived=True if is_derived(command.resource_id) else msgspec.UNSET,
            verb=verb_of(command),
            at=command.accepted_at,
            gateway=command.gateway,
            principal=command.principal,
            idempotency=command.key,
        )
    return UserRecord(
        version=change.version,
        seq=number,
        txn=command.txn,
        fp=command.fingerprint,
        status=change.status,
        created=change.created,
        modified=change.modified,
        names=change.names,
        doc=cast("dict[str, Any]", msgspec.Raw(change.text)),  # already encoded: copied into the record as it is
        password=change.password,
        verb=verb_of(command),
        at=command.accepted_at,
        gateway=command.gateway,
        principal=command.principal,
        idempotency=command.key,
    )


def _image(change: Change) -> ResourceImage:
    return ResourceImage(
        kind="user",
        v=1,
        version=change.version,
        created=change.created,
        modified=change.modified,
        doc=msgspec.Raw(change.text),
    )
