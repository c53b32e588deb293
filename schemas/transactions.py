"""What one transaction puts into the topics: state records, the position, events, dead letters (CP-6, CP-7, CP-22)."""

from __future__ import annotations

import msgspec

from schemas.dead_letters import DeadLetter, encode_dead_letter
from schemas.events import EventRecord
from schemas.numbering import Batch
from schemas.records import (
    Answered,
    PositionRecord,
    SeqRecord,
    encode_record,
    number_key,
    position_key,
    resource_key,
)


class StateRecord(msgspec.Struct, frozen=True):
    """A record of the state topic: key and value as they stand there."""

    key: str
    value: bytes | None
    """None for a tombstone."""


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """All that is written together, in the order given."""

    state: tuple[StateRecord, ...]
    events: tuple[EventRecord, ...] = ()
    dead: tuple[tuple[str, bytes], ...] = ()
    """Key and value of dead letters."""


def transaction_of(batch: Batch, *, partition: int, position: int, dead: tuple[DeadLetter, ...] = ()) -> Transaction:
    """Return what makes a batch durable; ``position`` is the offset of the last command decided, -1 for none.

    The position record comes last, so that whoever has read it has read everything before it.
    """
    changed = {(change.tenant, change.txn) for change in batch.changes}
    left = tuple(
        Answered(tenant, outcome) for tenant, outcome in batch.outcomes if (tenant, outcome.txn) not in changed
    )
    state = [StateRecord(change.key, change.record) for change in batch.changes]
    state += [
        StateRecord(resource_key(gone.tenant, gone.resource_type, gone.resource_id), None) for gone in batch.forgotten
    ]
    state += [StateRecord(number_key(tenant), encode_record(SeqRecord(seq=n))) for tenant, n in batch.numbers.items()]
    place = PositionRecord(offset=position, answered=left)
    state.append(StateRecord(position_key(partition), encode_record(place)))
    return Transaction(
        state=tuple(state),
        events=tuple(change.event for change in batch.changes),
        dead=tuple((letter.key, encode_dead_letter(letter)) for letter in dead),
    )
