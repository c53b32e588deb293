"""From the state log back to what a store holds: the latest record of each key, and the outcomes on the way (CP-14)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from schemas.changes import Name
from schemas.fingerprints import unseen_key
from schemas.indexing import index_entries
from schemas.numbering import StoredChange
from schemas.outcomes import Outcome
from schemas.records import (
    Address,
    GoneRecord,
    PositionRecord,
    SeqRecord,
    UserRecord,
    address_of,
    decode_record,
    decode_resource,
)
from schemas.transactions import StateRecord


class UnknownRecord(ValueError):
    """A record that this version cannot replay: nothing is skipped or guessed."""


class Latest(msgspec.Struct, frozen=True):
    """The last record of a resource, decoded and as it stands in the log."""

    address: Address
    record: UserRecord | GoneRecord
    value: bytes


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """What a stretch of a partition's state log comes to."""

    resources: dict[str, Latest]
    """The last record of each resource, by key."""
    tombstones: tuple[Address, ...]
    """The resources whose places are forgotten: a tombstone was their last record.

    A store may still hold one of them live, when its delete stood in the same stretch: names and index entries go too.
    """
    outcomes: tuple[tuple[str, Outcome], ...]
    """Tenant and outcome, in the order of the log."""
    numbers: dict[str, int]
    position: int | None
    """The last position among the records, None for none."""


def fold(records: Iterable[StateRecord]) -> Chunk:
    """Return what these records, in the order of the log, come to. Raises UnknownRecord."""
    resources: dict[str, Latest] = {}
    tombstones: dict[str, Address] = {}
    outcomes: list[tuple[str, Outcome]] = []
    numbers: dict[str, int] = {}
    position: int | None = None
    for record in records:
        address = address_of(record.key)
        if record.value is None:
            resources.pop(record.key, None)
            if address is not None:
                tombstones[record.key] = address
            continue
        match _decoded(record.value):
            case UserRecord() | GoneRecord() as state if address is not None:
                resources[record.key] = Latest(address, state, record.value)
                tombstones.pop(record.key, None)
                outcome = outcome_of_record(address, state)
                if outcome is not None:
                    outcomes.append((address.tenant, outcome))
            case PositionRecord() as place if address is None:
                position = place.offset
                outcomes += [(answered.tenant, answered.outcome) for answered in place.answered]
            case SeqRecord() as last if address is None:
                numbers[record.key.partition("/")[2]] = last.seq
            case _:
                raise UnknownRecord(f"the state record {record.key.partition('/')[0]}/… is of a kind not known here")
    return Chunk(
        resources=resources,
        tombstones=tuple(tombstones.values()),
        outcomes=tuple(outcomes),
        numbers=numbers,
        position=position,
    )


def _decoded(value: bytes) -> object:
    try:
        return decode_record(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnknownRecord(f"a state record cannot be decoded: {error}") from error


def outcome_of_record(address: Address, record: UserRecord | GoneRecord) -> Outcome | None:
    """Return the outcome of the command that made this version; None where the record does not tell."""
    if record.verb is msgspec.UNSET or record.at is msgspec.UNSET or record.gateway is msgspec.UNSET:
        return None
    unseen = None
    if record.verb == "create" and record.principal is not msgspec.UNSET:
        unseen = unseen_key(record.principal, record.fp)
    return Outcome(
        txn=record.txn,
        status=record.status,
        resource_type=address.resource_type,
        resource_id=address.resource_id,
        version=record.version,
        verb=record.verb,
        fingerprint=record.fp,
        key=None if record.idempotency is msgspec.UNSET else record.idempotency,
        unseen=unseen,
        gateway=record.gateway,
        decided_at=record.at,
    )


def changes_of(chunk: Chunk, stored: Mapping[str, bytes]) -> tuple[StoredChange, ...]:
    """Return what a store that holds ``stored`` (key → record) must do to hold the chunk's resources.

    A resource that is stored at the chunk's version, or a later one, is left as it is.
    """
    changes = (_change(key, latest, stored.get(key)) for key, latest in chunk.resources.items())
    return tuple(change for change in changes if change is not None)


def _change(key: str, latest: Latest, stored: bytes | None) -> StoredChange | None:
    record, address = latest.record, latest.address
    before = None if stored is None else decode_resource(stored)
    if before is not None and before.version >= record.version:
        return None
    names, entries = _names(record), _entries(record)
    old_names, old_entries = _names(before), _entries(before)
    return StoredChange(
        tenant=address.tenant,
        resource_type=address.resource_type,
        resource_id=address.resource_id,
        key=key,
        record=latest.value,
        deleted=isinstance(record, GoneRecord),
        expected=0 if before is None else before.version,
        version=record.version,
        created=record.created if isinstance(record, UserRecord) else record.modified,
        modified=record.modified,
        acquires=tuple(sorted(names - old_names)),
        releases=tuple(sorted(old_names - names)),
        adds=tuple(sorted(entries - old_entries)),
        drops=tuple(sorted(old_entries - entries)),
    )


def _names(record: UserRecord | GoneRecord | None) -> frozenset[Name]:
    return frozenset(record.names.items()) if isinstance(record, UserRecord) else frozenset()


def _entries(record: UserRecord | GoneRecord | None) -> frozenset[Name]:
    return index_entries(record.doc) if isinstance(record, UserRecord) else frozenset()
