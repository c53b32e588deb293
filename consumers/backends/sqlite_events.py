"""The event log in the embedded database, for the process that serves and for others that only read."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from typing import Final

import msgspec

from consumers.backends.sqlite_thread import DatabaseThread
from consumers.ports import LoggedEvent
from schemas.events import EventRecord, Headers

POLL_S: Final = 0.1
"""How often an event log is asked for events of another process."""
_FOLLOWED_AT_ONCE: Final = 256
_BYTES_AT_ONCE: Final = 8 * 1024 * 1024
"""A read stops after this many bytes of events, so that large resources do not add up."""

_END: Final = "coalesce((SELECT seq + 1 FROM sqlite_sequence WHERE name = 'event'), 1)"

_headers = msgspec.json.Decoder(Headers)


class SqliteEvents:
    """``consumers.ports.EventLog`` on the embedded database: one partition, 0; offsets from 1."""

    def __init__(self, thread: DatabaseThread, *, poll_s: float = POLL_S) -> None:
        self._thread = thread
        self._poll_s = poll_s
        self._followers: set[asyncio.Event] = set()

    def wake(self) -> None:
        """Have followers look at once: this process has just committed."""
        for follower in self._followers:
            follower.set()

    async def earliest(self) -> int:
        """See ``consumers.ports.EventLog.earliest``."""
        return await self._number(f"SELECT coalesce((SELECT min(offset) FROM event), {_END})")  # noqa: S608 - constants

    async def end(self) -> int:
        """See ``consumers.ports.EventLog.end``."""
        return await self._number(f"SELECT {_END}")

    async def offset_at(self, milliseconds: int) -> int:
        """See ``consumers.ports.EventLog.offset_at``."""
        return await self._thread.run(lambda database: _offset_at(database, milliseconds))

    async def read(self, offset: int, limit: int) -> list[LoggedEvent]:
        """See ``consumers.ports.EventLog.read``."""
        return await self._thread.run(lambda database: _read(database, offset, limit))

    async def follow(self, offset: int) -> AsyncIterator[list[LoggedEvent]]:
        """See ``consumers.ports.EventLog.follow``."""
        woken = asyncio.Event()
        self._followers.add(woken)
        try:
            while True:
                # Cleared before the read: a commit that lands during it must not be slept over.
                woken.clear()
                events = await self.read(offset, _FOLLOWED_AT_ONCE)
                if events:
                    offset = events[-1].offset + 1
                    yield events
                else:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(woken.wait(), self._poll_s)
        finally:
            self._followers.discard(woken)

    async def _number(self, question: str) -> int:
        row: tuple[int] = await self._thread.run(lambda database: database.execute(question).fetchone())
        return row[0]


def _read(database: sqlite3.Connection, offset: int, limit: int) -> list[LoggedEvent]:
    rows = database.execute(
        "SELECT offset, tenant, key, value, headers FROM event WHERE offset >= ? ORDER BY offset LIMIT ?",
        (offset, limit),
    )
    result = []
    size = 0
    with contextlib.closing(rows):
        for place, tenant, key, value, headers in rows:
            result.append(LoggedEvent(0, place, EventRecord(tenant, key, value, _headers.decode(headers))))
            size += len(value)
            if size > _BYTES_AT_ONCE:
                break
    return result


def _offset_at(database: sqlite3.Connection, milliseconds: int) -> int:
    """Search by halves: ``logged_at`` never falls from one event to the next."""
    # One transaction, so that what is purged meanwhile does not move the bounds.
    database.execute("BEGIN")
    try:
        low, end = database.execute(f"SELECT coalesce(min(offset), {_END}), {_END} FROM event").fetchone()  # noqa: S608 - constants
        high: int = end
        while low < high:
            middle = (low + high) // 2
            row = database.execute(
                "SELECT logged_at FROM event WHERE offset >= ? ORDER BY offset LIMIT 1", (middle,)
            ).fetchone()
            if row is not None and row[0] < milliseconds:
                low = middle + 1
            else:
                high = middle
        return high
    finally:
        database.execute("COMMIT")
