"""Reads of Redis or Valkey: what is asked for in one turn of the event loop goes into one script a shard."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from consumers.backends.redis_client import RedisClient, ScriptGone
from consumers.backends.redis_keys import ShardKeys, indexed
from consumers.backends.redis_records import image_of
from consumers.backends.redis_scripts import Scripts, boot_of
from consumers.errors import NotRecovered, OperatorError
from consumers.ports import MOST_BYTES, MOST_GROUPS, MOST_NESTED, Page
from schemas.changes import Name
from schemas.memberships import Membership, membership
from schemas.outcomes import Outcome, decode_outcome, expires_at
from schemas.partitions import partitions_of_shard, shard_of
from schemas.records import ResourceImage

logger = logging.getLogger(__name__)

CHECK_S: Final = 1.0
"""How often boot and ``recovered`` are read again (CP-28)."""
AGAIN_S: Final = 0.05
"""How long reads are refused without looking again."""
MOST_FOUND: Final = 1000
_MOST_WEIGHT: Final = 128
_WEIGHTS: Final = {"get": 1, "outcome": 1, "find": 8, "page": 32, "groups": 32}
"""What a read counts in a script: its answers must fit into memory, and nobody else is served while it runs."""

_encoder = msgspec.msgpack.Encoder()
Question = tuple[Any, ...]


class _Asked(msgspec.Struct):
    """A read that waits for its answer."""

    question: Question
    answer: asyncio.Future[Any]


class RedisReader:
    """``consumers.ports.Reader`` on all shards; raises NotRecovered, a StoreUnavailable, while one is not complete."""

    def __init__(
        self, client: RedisClient, *, shards: int, partitions: int, clock: Callable[[], float] = time.time
    ) -> None:
        self._client = client
        self._shards = shards
        self._clock = clock
        self._keys = [ShardKeys(shard) for shard in range(shards)]
        self._fields = [
            tuple(str(p) for p in partitions_of_shard(shard, shards=shards, partitions=partitions))
            for shard in range(shards)
        ]
        self._waiting: defaultdict[int, list[_Asked]] = defaultdict(list)
        self._flushing: asyncio.TimerHandle | asyncio.Handle | None = None
        self._asking: set[asyncio.Task[None]] = set()
        self._scripts: Scripts | None = None
        self._connections = -1
        """The connection for which ``_scripts`` and ``_missing`` were found out."""
        self._missing: str | None = "Redis was not asked yet"
        self._away_since: float | None = None
        self._checking: asyncio.Task[OperatorError | None] | None = None
        self._checked_at = -AGAIN_S

    # -- What may be read ---------------------------------------------------------------------------------------------

    @property
    def recovered(self) -> bool:
        """Whether all partitions of all shards were recovered for the boot of Redis when it was last looked at."""
        return self._missing is None

    def away_s(self) -> float:
        """Return for how many seconds a check has found something missing; 0 while nothing is."""
        return 0.0 if self._away_since is None else asyncio.get_running_loop().time() - self._away_since

    def missing(self) -> str | None:
        """Return what is missing, for whoever asks why the gateway is not ready; None for nothing."""
        return self._missing

    async def monitor(self) -> None:
        """Look at boot and ``recovered`` each second until cancelled; never raises otherwise (CP-28)."""
        while True:
            try:
                await self.check()
            except OperatorError as error:
                logger.debug("the store cannot be read", extra={"action": "monitor", "error": str(error)})
            await asyncio.sleep(CHECK_S)

    async def check(self) -> None:
        """Look at boot and ``recovered`` now, together with whoever else asks. Raises StoreUnavailable if it cannot."""
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(self._checked(), name="redis-check")
        error = await asyncio.shield(self._checking)
        if error is not None:
            raise error

    async def _checked(self) -> OperatorError | None:
        try:
            await self._check()
        except OperatorError as error:
            self._missing = str(error)
            return error
        finally:
            self._checked_at = asyncio.get_running_loop().time()
            if self._missing is None:
                self._away_since = None
            elif self._away_since is None:
                self._away_since = self._checked_at
        return None

    async def _check(self) -> None:
        answers = await self._client.calls(
            [("INFO", "server", "replication"), *(("HGETALL", keys.recovered) for keys in self._keys)]
        )
        connections = self._client.connections
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        boot = boot_of(answers[0])
        if self._scripts is None or self._scripts.boot != boot or self._connections != connections:
            self._scripts = await self._client.load()
        self._connections = connections
        missing = []
        for fields, flat in zip(self._fields, answers[1:], strict=True):
            found = dict(zip(flat[::2], flat[1::2], strict=True))
            complete = found if found.get(b"boot") == self._scripts.boot.encode() else {}
            missing += [field for field in fields if field.encode() not in complete]
        self._missing = f"partitions not recovered: {', '.join(missing)}" if missing else None

    # -- Reads --------------------------------------------------------------------------------------------------------

    async def get(self, tenant: str, resource_type: str, resource_id: str) -> ResourceImage | None:
        """See ``consumers.ports.Reader.get``."""
        shard = shard_of(tenant, self._shards)
        value = await self._ask(shard, ("get", self._keys[shard].record(tenant, resource_id), resource_type))
        return None if value is None else image_of(value)

    async def find(self, tenant: str, resource_type: str, name: Name) -> tuple[ResourceImage, ...]:
        """See ``consumers.ports.Reader.find``."""
        shard = shard_of(tenant, self._shards)
        keys = self._keys[shard]
        values = await self._ask(
            shard,
            (
                "find",
                keys.record(tenant, ""),
                resource_type,
                keys.names(tenant, name[0]),
                name[1],
                keys.entries(tenant, resource_type, name[0]),
                indexed(name[1]),
            ),
        )
        return tuple(image_of(value) for value in values)

    async def page(self, tenant: str, resource_type: str, offset: int, limit: int) -> Page:
        """See ``consumers.ports.Reader.page``."""
        shard = shard_of(tenant, self._shards)
        keys = self._keys[shard]
        order = keys.order(tenant, resource_type)
        total, values = await self._ask(shard, ("page", keys.record(tenant, ""), resource_type, order, offset, limit))
        return Page(total, tuple(image_of(value) for value in values))

    async def groups_of(self, tenant: str, member_id: str) -> tuple[Membership, ...]:
        """See ``consumers.ports.Reader.groups_of``."""
        shard = shard_of(tenant, self._shards)
        keys = self._keys[shard]
        question = ("groups", keys.record(tenant, ""), keys.groups(tenant, ""), member_id, MOST_NESTED, MOST_GROUPS)
        found = await self._ask(shard, question)
        return tuple(
            membership(group.decode(), bytes(image_of(value).doc), direct=level == 1)
            for group, level, value in sorted(found)
        )

    async def outcome(self, tenant: str, txn: str) -> Outcome | None:
        """See ``consumers.ports.Reader.outcome``."""
        shard = shard_of(tenant, self._shards)
        value = await self._ask(shard, ("outcome", self._keys[shard].outcome(tenant, txn)))
        outcome = None if value is None else decode_outcome(value)
        return None if outcome is None or expires_at(outcome) <= self._clock() * 1000 else outcome

    async def close(self) -> None:
        """Wait for the reads under way."""
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.wait([self._checking])
        while self._asking or self._waiting:
            await asyncio.gather(*self._asking, return_exceptions=True)
            await asyncio.sleep(0)

    async def _ask(self, shard: int, question: Question) -> Any:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting[shard].append(_Asked(question, future))
        if self._flushing is None:
            self._flushing = loop.call_soon(self._flush)
        return await future

    def _flush(self) -> None:
        """Send what gathered in this turn, in scripts of a bounded weight."""
        self._flushing = None
        waiting, self._waiting = self._waiting, defaultdict(list)
        for shard, asked in waiting.items():
            weight, together = 0, list[_Asked]()
            for one in asked:
                cost = _WEIGHTS[one.question[0]]
                if together and weight + cost > _MOST_WEIGHT:
                    self._send(shard, together)
                    weight, together = 0, []
                weight += cost
                together.append(one)
            self._send(shard, together)

    def _send(self, shard: int, asked: Sequence[_Asked]) -> None:
        task = asyncio.create_task(self._answer(shard, asked), name="redis-read")
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _answer(self, shard: int, asked: Sequence[_Asked]) -> None:
        try:
            answers = await self._answers(shard, [one.question for one in asked])
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is for those who wait, not for the task
            for one in asked:
                if not one.answer.done():
                    one.answer.set_exception(error)
                    one.answer.exception()
            return
        for one, answer in zip(asked, answers, strict=True):
            if not one.answer.done():
                one.answer.set_result(answer)

    async def _answers(self, shard: int, questions: Sequence[Question]) -> list[Any]:
        while True:
            answers = await self._tried(shard, questions)
            if self._connections == self._client.connections:
                return answers
            # The question was what found the connection broken: behind the new one another history may answer (CP-28).

    async def _tried(self, shard: int, questions: Sequence[Question]) -> list[Any]:
        unsure = self._scripts is None or self._connections != self._client.connections
        if unsure or self._missing is not None:
            # While Redis is away its readers are refused at once, not after a time limit each.
            if self._missing is not None and asyncio.get_running_loop().time() - self._checked_at < AGAIN_S:
                raise NotRecovered(f"the store cannot be read yet ({self._missing}); try again soon")
            await self.check()
        if self._scripts is None or self._missing is not None:
            raise NotRecovered(f"the store is being recovered ({self._missing}); try again soon")
        asked = _encoder.encode((self._fields[shard], MOST_BYTES, MOST_FOUND, questions))
        try:
            status, answer = await self._client.run(self._scripts, "read", [self._keys[shard].recovered], asked)
        except ScriptGone as error:
            self._connections = -1
            self._missing = "Redis was started again, or another one took over"
            raise NotRecovered(f"the store is being recovered ({self._missing}); try again soon") from error
        if status != b"ok":
            self._missing = f"partition {answer.decode()}"
            raise NotRecovered(f"the store is being recovered ({self._missing}); try again soon")
        found: list[Any] = answer
        return found
