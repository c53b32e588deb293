"""Sequence numbers: given to changes after their names are granted, and only then are record and event encoded (CP-19)."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from schemas.changes import Change, Name
from schemas.events import EventRecord, event_record
from schemas.outcomes import Outcome
from schemas.records import GoneRecord, ResourceImage, UserRecord, encode_record, resource_key


class NumberedChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change as a store executes it and a log keeps it: plain values, no SCIM."""

    tenant: str
    resource_type: str
    resource_id: str
    key: str
    record: bytes
    """The after-image, or what a delete leaves."""
    image: ResourceImage | None
    """What a reader sees of it; None when the change deleted the resource."""
    deleted: bool
    expected: int
    version: int
    number: int
    modified: str
    acquires: tuple[Name, ...]
    releases: tuple[Name, ...]
    adds: tuple[Name, ...]
    drops: tuple[Name, ...]
    event: EventRecord


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What one transaction makes durable: changes in order, an outcome for every command decided, the tenants' numbers."""

    changes: tuple[NumberedChange, ...]
    outcomes: tuple[tuple[str, Outcome], ...]
    """Tenant and outcome, in the order of the commands."""
    numbers: dict[str, int]
    """The number of the last change of each tenant that changed."""


def number(change: Change, *, partition: int, number: int, issuer: str) -> NumberedChange:
    """Return the change with its number, its state record and its event encoded."""
    command = change.command
    return NumberedChange(
        tenant=command.tenant,
        resource_type=command.resource_type,
        resource_id=command.resource_id,
        key=resource_key(command.tenant, command.resource_type, command.resource_id),
        record=encode_record(_record(change, number)),
        image=None if change.doc is None else _image(change),
        deleted=change.doc is None,
        expected=change.expected,
        version=change.version,
        number=number,
        modified=change.modified,
        acquires=change.acquires,
        releases=change.releases,
        adds=change.adds,
        drops=change.drops,
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
            derived=True if _is_derived(command.resource_id) else msgspec.UNSET,
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


def _is_derived(resource_id: str) -> bool:
    """Tell whether an id was made by ``schemas.ids.derived``: its version digit is 8 (RFC 9562 section 5.8)."""
    return resource_id[14:15] == "8"
