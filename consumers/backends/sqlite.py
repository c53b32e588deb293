"""The embedded mode's back end: store, reader and events on one SQLite database in one process."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from consumers.backends.remembering_reader import RememberingReader
from consumers.backends.sqlite_database import open_reader, open_writer
from consumers.backends.sqlite_events import SqliteEvents
from consumers.backends.sqlite_outcomes import OutcomeBound
from consumers.backends.sqlite_reader import SqliteReader
from consumers.backends.sqlite_remembering import Fresh, RememberingStore
from consumers.backends.sqlite_store import SqliteStore
from consumers.backends.sqlite_thread import DatabaseThread
from consumers.backends.sqlite_upkeep import SqliteUpkeep
from consumers.settings import OutcomeSettings


@dataclass(frozen=True, slots=True)
class Embedded:
    """What stands behind the ports in the embedded mode."""

    store: SqliteStore | RememberingStore
    reader: SqliteReader | RememberingReader
    events: SqliteEvents
    upkeep: SqliteUpkeep


@contextlib.asynccontextmanager
async def open_embedded(
    path: Path,
    *,
    gateway: str,
    retention_days: float,
    fresh: Fresh | None = None,
    bound: OutcomeBound | None = None,
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[Embedded]:
    """Open the database at ``path`` for the one process that serves from it, and make it where there is none.

    ``gateway``: the id this process took at its start. Events are kept for ``retention_days``, and no more outcomes than
    ``bound`` says. With ``fresh`` the store answers from memory what it can. On leaving, what was asked for is done, the
    log is copied into the database, and all is closed.

    Raises DatabaseTooNew, DatabaseDamaged, StoreUnavailable.
    """
    bound = bound or OutcomeBound(OutcomeSettings())
    async with contextlib.AsyncExitStack() as stack:
        writer = DatabaseThread(path, open_writer, "sqlite-writer")
        await writer.open()
        stack.push_async_callback(writer.close, _fold_log)
        checkpointer = DatabaseThread(path, open_writer, "sqlite-checkpointer")
        await checkpointer.open()
        stack.push_async_callback(checkpointer.close)
        reading = DatabaseThread(path, open_reader, "sqlite-reader")
        await reading.open()
        stack.push_async_callback(reading.close)
        reader = SqliteReader(reading, clock=clock)
        stack.push_async_callback(reader.close)
        events = SqliteEvents(reading)
        store = SqliteStore(writer, gateway=gateway, bound=bound, committed=events.wake, clock=clock)
        upkeep = SqliteUpkeep(writer, checkpointer, retention_days=retention_days, bound=bound, clock=clock)
        maintaining = asyncio.create_task(upkeep.maintain(), name="sqlite-upkeep")
        stack.push_async_callback(_end, maintaining)
        if fresh is None:
            yield Embedded(store, reader, events, upkeep)
            return
        remembering = RememberingStore(store, writer, fresh=fresh)
        learning = asyncio.create_task(remembering.learn(), name="sqlite-learn")
        stack.push_async_callback(_end, learning)
        yield Embedded(remembering, RememberingReader(reader, remembering), events, upkeep)


@contextlib.asynccontextmanager
async def open_event_log(path: Path) -> AsyncIterator[SqliteEvents]:
    """Open the events of a database for reading only, also while another process serves from it.

    Raises DatabaseTooNew, DatabaseDamaged, and StoreUnavailable where there is no database.
    """
    thread = DatabaseThread(path, open_reader, "sqlite-events")
    await thread.open()
    try:
        yield SqliteEvents(thread)
    finally:
        await thread.close()


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _fold_log(database: sqlite3.Connection) -> None:
    """Copy the whole log into the database and empty it: what is left is one file."""
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
