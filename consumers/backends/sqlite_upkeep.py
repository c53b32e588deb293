"""Upkeep of the embedded database: what has had its time is purged, the write-ahead log is copied into the database."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable
from typing import Final

from consumers.backends.sqlite_outcomes import OutcomeBound
from consumers.backends.sqlite_thread import DatabaseThread
from consumers.errors import OperatorError

logger = logging.getLogger(__name__)

PAUSE_S: Final = 0.25
PURGE_EVERY_S: Final = 10.0
CHECKPOINT_EVERY_S: Final = 5.0
ROWS_WORTH_A_CHECKPOINT: Final = 30_000
"""Some 5,000 creates, 50 MB of log. The more of the log is copied at once, the fewer pages are copied twice."""
SLICE: Final = 200
"""Rows deleted by one transaction: a few milliseconds, between two batches of commands."""
_PAGES_LEFT_FOR_WRITER: Final = 256
_ROUNDS: Final = 4

_PURGES: Final = (
    (
        "DELETE FROM outcome WHERE (tenant, txn) IN"
        " (SELECT tenant, txn FROM outcome WHERE expires_at <= :now ORDER BY expires_at LIMIT :slice)"
    ),
    (
        "DELETE FROM event WHERE offset IN (SELECT offset FROM event ORDER BY offset LIMIT :slice)"
        " AND logged_at < :event_cutoff"
    ),
    (
        "DELETE FROM resource WHERE ordinal IN"
        " (SELECT ordinal FROM resource WHERE forget_at <= :now ORDER BY forget_at LIMIT :slice)"
    ),
)

_HELD: Final = """
SELECT (SELECT count(*) FROM outcome),
  (SELECT count(*) FROM outcome INDEXED BY outcome_by_key WHERE key IS NOT NULL)
"""
_OLDEST: Final = (
    "DELETE FROM outcome WHERE (tenant, txn) IN"
    " (SELECT tenant, txn FROM outcome WHERE key IS NULL ORDER BY expires_at LIMIT :slice)"
)


class SqliteUpkeep:
    """Purges and checkpoints in small pieces, so that no batch waits for more than one of them."""

    def __init__(
        self,
        writer: DatabaseThread,
        checkpointer: DatabaseThread,
        *,
        retention_days: float,
        bound: OutcomeBound,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._writer = writer
        self._checkpointer = checkpointer
        self._retention_ms = int(retention_days * 24 * 3600 * 1000)
        self._bound = bound
        self._clock = clock
        self._purging = asyncio.Lock()
        self._purged_at = 0.0
        self._checkpointed_at = 0.0
        self._rows_checkpointed = 0
        self._failing = False

    async def maintain(self) -> None:
        """Do it until cancelled, whatever fails; the first failure of a row of them is logged."""
        while True:
            try:
                await self._checkpoint_if_due()
                if time.monotonic() - self._purged_at > PURGE_EVERY_S:
                    await self.purge()
                    self._purged_at = time.monotonic()
                self._failing = False
            except OperatorError as error:
                if not self._failing:
                    logger.warning("upkeep of the database fails", extra={"action": "upkeep", "error": str(error)})
                self._failing = True
            await asyncio.sleep(PAUSE_S)

    async def purge(self) -> int:
        """Delete all that has had its time: outcomes, events, places of deleted resources; return how many rows.

        And the oldest outcomes without an Idempotency-Key, where there are more than may be.
        """
        async with self._purging:  # two that count the same excess would delete it twice
            return await self._purge_all()

    async def _purge_all(self) -> int:
        now = int(self._clock() * 1000)
        bounds = {"now": now, "event_cutoff": now - self._retention_ms, "slice": SLICE}
        total = 0
        for statement in _PURGES:
            total += await self._purge(statement, bounds)
        return total + await self._purge_outcomes()

    async def _purge_outcomes(self) -> int:
        # Beside the writer: to count a million takes it tens of milliseconds.
        total, keyed = await self._checkpointer.run(lambda database: database.execute(_HELD).fetchone())
        excess = left = self._bound.counted(total - keyed, keyed)
        while left > 0:
            purged = await self._purge_slice(_OLDEST, {"slice": min(SLICE, left)})
            left = left - purged if purged else 0
        return excess

    async def _purge(self, statement: str, bounds: dict[str, int]) -> int:
        total, purged = 0, SLICE
        while purged == SLICE:
            purged = await self._purge_slice(statement, bounds)
            total += purged
        return total

    async def _purge_slice(self, statement: str, bounds: dict[str, int]) -> int:
        started = time.perf_counter()
        purged: int = await self._writer.run(lambda database: database.execute(statement, bounds).rowcount)
        if purged:
            # At most a fifth of the writer's time.
            await asyncio.sleep(4 * (time.perf_counter() - started))
            await self._checkpoint_if_due()
        return purged

    async def checkpoint(self) -> None:
        """Copy the log into the database beside the writer, so that the next commit begins the log again."""
        left = 0
        for _ in range(_ROUNDS):
            pages, copied = await self._checkpointer.run(_checkpoint)
            left = pages - copied
            if left == 0:
                return
        if left <= _PAGES_LEFT_FOR_WRITER:
            # Only when nothing is left does the log begin again: what is written meanwhile, the writer copies itself.
            await self._writer.run(_checkpoint)

    async def _checkpoint_if_due(self) -> None:
        rows = await self._writer.run(lambda database: database.total_changes)
        # Fewer than before: the connection was opened anew.
        written = rows - self._rows_checkpointed if rows >= self._rows_checkpointed else rows
        waited = time.monotonic() - self._checkpointed_at
        if written >= ROWS_WORTH_A_CHECKPOINT or (written and waited > CHECKPOINT_EVERY_S):
            await self.checkpoint()
            self._rows_checkpointed, self._checkpointed_at = rows, time.monotonic()


def _checkpoint(database: sqlite3.Connection) -> tuple[int, int]:
    """Copy what no reader holds back; return the pages in the log and those copied."""
    _, pages, copied = database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return max(pages, 0), max(copied, 0)
