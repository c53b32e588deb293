"""A batch as rows of the view ``applying``, whose triggers put them into the tables (``sqlite_schema.sql``)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from functools import cache
from itertools import chain, zip_longest
from typing import Final

import msgspec

from consumers.errors import StoreConflict
from schemas.numbering import Batch, NumberedChange
from schemas.outcomes import Outcome, encode_outcome, expires_at
from schemas.records import GoneRecord, decode_record

TOMBSTONE_LIFE_MS: Final = 30 * 24 * 3600 * 1000
"""How long the place of a deleted resource is kept; a derived id is spent for good (CP-8)."""

_MOST_ROWS: Final = 1024

_headers = msgspec.json.Encoder()

_NO_CHANGE: Final = (None,) * 9
_NO_NAMES: Final = (None,) * 8
_NO_EVENT: Final = (None,) * 3
_NO_OUTCOME: Final = (None,) * 6
_NO_NUMBER: Final = (None,) * 2
_NO_NAME: Final = (None, None)
_EMPTY: Final = (*_NO_CHANGE, *_NO_NAMES, *_NO_EVENT, *_NO_OUTCOME, *_NO_NUMBER, None)
_COLUMNS: Final = len(_EMPTY)


def commit_batch(database: sqlite3.Connection, batch: Batch, now: int) -> None:
    """Make the batch durable, all or nothing; ``now`` in milliseconds since 1970.

    Raises StoreConflict when a version or a name is not what the batch rests on, sqlite3.Error when SQLite fails.
    """
    values: list[object] = []
    created = {(tenant, outcome.resource_id): outcome.txn for tenant, outcome in batch.outcomes if outcome.unseen}
    changes = [part for change in batch.changes for part in _changes(change, created, now)]
    outcomes = [_outcome(tenant, outcome) for tenant, outcome in batch.outcomes if expires_at(outcome) > now]
    nothing = (*_NO_CHANGE, *_NO_NAMES, *_NO_EVENT)
    for change, outcome, number in zip_longest(changes, outcomes, batch.numbers.items()):
        values += change or nothing
        values += outcome or _NO_OUTCOME
        values += number or _NO_NUMBER
        values.append(now)
    try:
        _insert(database, values)
    except sqlite3.IntegrityError as error:
        raise StoreConflict(f"the batch was decided on a state that is no longer stored: {error}") from error


def _changes(change: NumberedChange, created: dict[tuple[str, str], str], now: int) -> Iterator[tuple[object, ...]]:
    """Yield a change's columns: what it does, names and entries, event; further names and entries follow in more rows."""
    tenant, resource_type, resource_id = change.tenant, change.resource_type, change.resource_id
    forget_at, created_by = None, None
    if change.deleted:
        part = "delete"
        record = decode_record(change.record)
        forget_at = None if isinstance(record, GoneRecord) and record.derived is True else now + TOMBSTONE_LIFE_MS
    elif change.expected:
        part = "update"
    else:
        part = "create"
        created_by = created.get((tenant, resource_id))
    names = zip_longest(change.releases, change.acquires, change.drops, change.adds, fillvalue=_NO_NAME)
    released, acquired, dropped, added = next(names, (_NO_NAME,) * 4)
    event = change.event
    yield (
        part, tenant, resource_type, resource_id, change.expected, change.version, forget_at, change.record, created_by,
        *released, *acquired, *dropped, *added,
        event.key, event.value, _headers.encode(event.headers),
    )  # fmt: skip
    for more in names:
        yield (
            None, tenant, resource_type, resource_id, None, None, None, None, None,
            *chain.from_iterable(more),
            *_NO_EVENT,
        )  # fmt: skip


def _outcome(tenant: str, outcome: Outcome) -> tuple[object, ...]:
    return tenant, outcome.txn, outcome.key, outcome.unseen, expires_at(outcome), encode_outcome(outcome)


def _insert(database: sqlite3.Connection, values: list[object]) -> None:
    """Insert the rows by one statement, which is its own transaction; by several in one where they are too many."""
    rows = len(values) // _COLUMNS
    if rows == 0:
        return
    if rows <= _MOST_ROWS:
        size = _size(rows)
        values += _EMPTY * (size - rows)
        database.execute(_statement(size), values)
        return
    database.execute("BEGIN IMMEDIATE")
    try:
        for start in range(0, len(values), _COLUMNS * _MOST_ROWS):
            chunk = values[start : start + _COLUMNS * _MOST_ROWS]
            database.execute(_statement(len(chunk) // _COLUMNS), chunk)
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _size(rows: int) -> int:
    """Return for how many rows the statement is made: few sizes, so that it is compiled once; empty rows do nothing."""
    step = 1 if rows <= 8 else 8 if rows <= 128 else 64
    return -(-rows // step) * step


@cache
def _statement(rows: int) -> str:
    row = f"({','.join('?' * _COLUMNS)})"
    return f"INSERT INTO applying VALUES {','.join([row] * rows)}"  # noqa: S608 - question marks only
