"""A batch as rows of the view ``applying``, whose triggers put them into the tables (``sqlite_schema.sql``)."""

from __future__ import annotations

import sqlite3
from functools import cache
from typing import Final

import msgspec

from consumers.errors import StoreConflict
from schemas.numbering import Batch, NumberedChange
from schemas.outcomes import encode_outcome, expires_at
from schemas.records import GoneRecord, decode_record

TOMBSTONE_LIFE_MS: Final = 30 * 24 * 3600 * 1000
"""How long the place of a deleted resource is kept; a derived id is spent for good (CP-8)."""

COLUMNS: Final = 10
_MOST_ROWS: Final = 2048

_headers = msgspec.json.Encoder()


def commit_batch(database: sqlite3.Connection, batch: Batch, now: int) -> None:
    """Make the batch durable, all or nothing; ``now`` in milliseconds since 1970.

    Raises StoreConflict when a version or a name is not what the batch rests on, sqlite3.Error when SQLite fails.
    """
    values: list[object] = []
    for change in batch.changes:
        _add_change(values, change, now)
    for tenant, outcome in batch.outcomes:
        end = expires_at(outcome)
        if end > now:
            values += (
                "outcome", tenant, None, outcome.txn, outcome.key, outcome.unseen,
                None, now, end, encode_outcome(outcome),
            )  # fmt: skip
    for tenant, last in batch.numbers.items():
        values += ("number", tenant, None, None, None, None, None, last, None, None)
    try:
        _insert(database, values)
    except sqlite3.IntegrityError as error:
        raise StoreConflict(f"the batch was decided on a state that is no longer stored: {error}") from error


def _add_change(values: list[object], change: NumberedChange, now: int) -> None:
    """Append the change's rows: part, tenant, type, id, attribute, value, expected, version, at, content."""
    tenant, kind, resource_id = change.tenant, change.resource_type, change.resource_id
    forget_at = None
    if change.deleted:
        part = "delete"
        record = decode_record(change.record)
        forget_at = None if isinstance(record, GoneRecord) and record.derived is True else now + TOMBSTONE_LIFE_MS
    else:
        part = "update" if change.expected else "create"
    values += (
        part, tenant, kind, resource_id, None, None,
        change.expected, change.version, forget_at, change.record,
    )  # fmt: skip
    for attribute, value in change.releases:
        values += ("release", tenant, kind, resource_id, attribute, value, None, None, None, None)
    for attribute, value in change.acquires:
        values += ("acquire", tenant, kind, resource_id, attribute, value, None, None, None, None)
    for attribute, value in change.drops:
        values += ("drop", tenant, kind, resource_id, attribute, value, None, None, None, None)
    for attribute, value in change.adds:
        values += ("add", tenant, kind, resource_id, attribute, value, None, None, None, None)
    event = change.event
    values += (
        "event", event.tenant, None, event.key, None, _headers.encode(event.headers),
        None, None, now, event.value,
    )  # fmt: skip


def _insert(database: sqlite3.Connection, values: list[object]) -> None:
    """Insert the rows by one statement, which is its own transaction; by several in one where they are too many."""
    rows = len(values) // COLUMNS
    if rows <= _MOST_ROWS:
        size = _size(rows)
        values.extend([None] * (COLUMNS * (size - rows)))
        database.execute(_statement(size), values)
        return
    database.execute("BEGIN IMMEDIATE")
    try:
        for start in range(0, len(values), COLUMNS * _MOST_ROWS):
            chunk = values[start : start + COLUMNS * _MOST_ROWS]
            database.execute(_statement(len(chunk) // COLUMNS), chunk)
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _size(rows: int) -> int:
    """Return for how many rows the statement is made: few sizes, so that it is compiled once; empty rows do nothing."""
    step = 8 if rows <= 64 else 32 if rows <= 512 else 128
    return max(step, -(-rows // step) * step)


@cache
def _statement(rows: int) -> str:
    row = f"({','.join('?' * COLUMNS)})"
    return f"INSERT INTO applying VALUES {','.join([row] * rows)}"  # noqa: S608 - question marks only
