"""A thread that owns one connection to the embedded database and does jobs on it, one after the other."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

from consumers.backends.sqlite_database import translated
from consumers.errors import OperatorError, StoreUnavailable

T = TypeVar("T")
Opener = Callable[[Path], sqlite3.Connection]
Task = Callable[[], None]


class DatabaseThread:
    """Runs jobs on a connection in a thread of its own, so that waiting for the disk never stops the event loop.

    A job is one hop there and one back, whatever it does: statements that belong together go into one job.
    """

    def __init__(self, path: Path, opener: Opener, name: str) -> None:
        self._path = path
        self._opener = opener
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._database: sqlite3.Connection | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._closed = False

    async def open(self) -> None:
        """Start the thread and open the connection; raises what the opener raises."""
        self._thread.start()
        try:
            await self.run(lambda _: None)
        except BaseException:
            await self.close()
            raise

    async def run(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Do the job in the thread and return its result; jobs are done in the order in which they were asked for.

        Raises OperatorError: SQLite's own errors are translated, after a rollback. A job whose caller is cancelled is
        done all the same.
        """
        if self._closed:
            raise StoreUnavailable(f"{self._path}: the database is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def task() -> None:
            try:
                result = job(self._connection())
            except sqlite3.Error as error:
                self._reset()
                _tell(loop, _fail, future, translated(self._path, error))
            except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to the caller, not to the thread
                _tell(loop, _fail, future, error)
            else:
                _tell(loop, _finish, future, result)

        self._tasks.put(task)
        return await future

    async def close(self, last: Callable[[sqlite3.Connection], None] | None = None) -> None:
        """Do what was asked for, then ``last``, close the connection and end the thread. Idempotent."""
        if self._closed:
            return
        if last is not None:
            with contextlib.suppress(
                OperatorError
            ):  # a closing that fails leaves the log, which the next opening reads
                await self.run(last)
        self._closed = True
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()

        def end() -> None:
            self._reset()
            _tell(loop, _finish, ended, None)

        self._tasks.put(end)
        self._tasks.put(None)
        await ended
        self._thread.join()

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()

    def _connection(self) -> sqlite3.Connection:
        if self._database is None:
            self._database = self._opener(self._path)
        return self._database

    def _reset(self) -> None:
        """Close the connection after a failure: the next job gets a new one, without what the failure left in it."""
        database, self._database = self._database, None
        if database is not None:
            with contextlib.suppress(sqlite3.Error):
                database.close()


def _tell(loop: asyncio.AbstractEventLoop, tell: Callable[..., None], future: asyncio.Future[T], what: object) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(tell, future, what)


def _finish(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[T], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
