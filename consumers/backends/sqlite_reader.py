"""Reads of the embedded database: what is asked for while a job is under way goes into the next one together."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Any, Final

import msgspec

from consumers.backends.sqlite_queries import (
    FindQuery,
    GetQuery,
    GroupsQuery,
    OutcomeQuery,
    PageQuery,
    Query,
    answer_all,
)
from consumers.backends.sqlite_thread import DatabaseThread
from consumers.errors import DatabaseDamaged, OperatorError
from consumers.ports import Page
from schemas.changes import Name
from schemas.memberships import Membership, membership
from schemas.outcomes import Outcome, decode_outcome
from schemas.records import ResourceImage, decode_image

_MOST_A_JOB: Final = 64
"""How many reads one job may hold, so that the answers of a job fit into memory."""


class SqliteReader:
    """``consumers.ports.Reader`` on the embedded database.

    One job is under way at a time. Under load each takes what gathered during the one before, so that the hops
    between the threads are shared; a read alone waits for nothing.
    """

    def __init__(self, thread: DatabaseThread, *, clock: Callable[[], float] = time.time) -> None:
        self._thread = thread
        self._clock = clock
        self._waiting: deque[tuple[Query, asyncio.Future[Any]]] = deque()
        self._asking: asyncio.Task[None] | None = None

    async def get(self, tenant: str, resource_type: str, resource_id: str) -> ResourceImage | None:
        """See ``consumers.ports.Reader.get``."""
        record: bytes | None = await self._ask(GetQuery(tenant, resource_type, resource_id))
        return None if record is None else image_of(record)

    async def find(self, tenant: str, resource_type: str, name: Name) -> tuple[ResourceImage, ...]:
        """See ``consumers.ports.Reader.find``."""
        records: list[bytes] = await self._ask(FindQuery(tenant, resource_type, *name))
        return tuple(image_of(record) for record in records)

    async def page(self, tenant: str, resource_type: str, offset: int, limit: int) -> Page:
        """See ``consumers.ports.Reader.page``."""
        found: tuple[int, list[bytes]] = await self._ask(PageQuery(tenant, resource_type, offset, limit))
        return Page(found[0], tuple(image_of(record) for record in found[1]))

    async def outcome(self, tenant: str, txn: str) -> Outcome | None:
        """See ``consumers.ports.Reader.outcome``."""
        value: bytes | None = await self._ask(OutcomeQuery(tenant, txn, int(self._clock() * 1000)))
        return None if value is None else decode_outcome(value)

    async def groups_of(self, tenant: str, member_id: str) -> tuple[Membership, ...]:
        """See ``consumers.ports.Reader.groups_of``."""
        rows: list[tuple[str, int, bytes]] = await self._ask(GroupsQuery(tenant, member_id))
        return tuple(membership(group, bytes(image_of(record).doc), direct=level == 1) for group, level, record in rows)

    async def close(self) -> None:
        """Wait for the reads under way."""
        if self._asking is not None:
            await self._asking

    async def _ask(self, query: Query) -> Any:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((query, future))
        if self._asking is None:
            self._asking = asyncio.create_task(self._answer(), name="sqlite-reader")
        return await future

    async def _answer(self) -> None:
        try:
            while self._waiting:
                asked = list(islice(self._waiting, _MOST_A_JOB))
                for _ in asked:
                    self._waiting.popleft()
                await self._answer_together(asked)
        finally:
            self._asking = None
            for _, future in self._waiting:
                future.cancel()

    async def _answer_together(self, asked: list[tuple[Query, asyncio.Future[Any]]]) -> None:
        queries = [query for query, _ in asked]
        try:
            answers = await self._thread.run(lambda database: answer_all(database, queries))
        except OperatorError as error:
            _fail(asked, error)
        except Exception as error:  # noqa: BLE001 - what no query may raise, and its neighbours must not suffer for
            if len(asked) == 1:
                _fail(asked, error)
            else:
                for one in asked:
                    await self._answer_together([one])
        else:
            for (_, future), answer in zip(asked, answers, strict=True):
                if not future.done():
                    future.set_result(answer)


def _fail(asked: list[tuple[Query, asyncio.Future[Any]]], error: Exception) -> None:
    for _, future in asked:
        if not future.done():
            future.set_exception(error)


def image_of(record: bytes) -> ResourceImage:
    """Return what a reader sees of a record. Raises DatabaseDamaged where it cannot be read."""
    try:
        return decode_image(record)
    except msgspec.DecodeError as error:
        raise DatabaseDamaged(
            f"a resource's record cannot be read ({error}); stop the server and restore a backup"
        ) from error
