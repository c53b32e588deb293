"""Membership in the group of workers on Kafka, and the commands of each partition as its owner reads them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import islice
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition

from consumers.backends.kafka_client import (
    CLIENT_ERRORS,
    START_LIMIT_S,
    client_arguments,
    connecting,
    consuming,
    hang_up,
    stopped,
    translating,
)
from consumers.errors import LogUnavailable
from consumers.partition_ports import CommandFeed, Delivered
from consumers.settings import KafkaSettings
from consumers.topics import Topics

logger = logging.getLogger(__name__)

MOST_BUFFERED: Final = 2000
MOST_BUFFERED_BYTES: Final = 8 * 1024 * 1024
"""What is read ahead of an owner; beyond it the partition is not read on."""
READ_AT_ONCE: Final = 500
FETCH_WAIT_MS: Final = 200
"""For how long a broker keeps an empty fetch: a partition that is sought to meanwhile waits so long for the next."""
FULL_WAIT_MS: Final = 5
REBALANCE_LIMIT_MS: Final = 9_000
"""For how long the others wait for a member that gives its partitions up: longer than its transaction takes, but shorter
than REQUEST_LIMIT_MS, within which aiokafka wants the answer of its own joining."""
QUESTION_LIMIT_S: Final = 3.0
COMMIT_S: Final = 5.0
"""Group offsets are for lag monitors alone: the place of a worker is the position record (CP-6)."""

Told = Callable[[frozenset[int]], Awaitable[None]]


class KafkaCommandGroup:
    """``consumers.partition_ports.CommandGroup``: one consumer reads for all owners of this process.

    A ``name`` makes it a static member: it is not revoked when it leaves, but when its session ends without it back.
    """

    def __init__(self, kafka: KafkaSettings, name: str | None = None) -> None:
        self._kafka = kafka
        self._name = name
        self._topics = Topics(kafka.topic_prefix)
        self._feeds: dict[int, KafkaFeed] = {}
        self._consumer: Any = None
        self._questions: Any = None
        self._failure: Exception | None = None

    def feed(self, partition: int) -> CommandFeed:
        """See ``CommandGroup.feed``: always the same for the same partition."""
        return self._feed(partition)

    async def run(self, assigned: Told, revoked: Told) -> None:
        """See ``CommandGroup.run``; ``revoked`` is not called when it is cancelled or raises."""
        what = f"be a member of group {self._topics.group}"
        self._failure = None
        async with contextlib.AsyncExitStack() as stack:
            # Questions go over a connection of their own: on the members' they would wait behind a fetch.
            places = [TopicPartition(self._topics.commands, n) for n in range(self._kafka.partitions)]
            self._questions = await stack.enter_async_context(consuming(self._kafka, *places))
            stack.callback(self._forget)
            consumer = self._consumer = AIOKafkaConsumer(**self._arguments())
            stack.push_async_callback(stopped, consumer)
            consumer.subscribe([self._topics.commands], listener=_Listener(self, assigned, revoked))
            async with connecting(self._kafka, what, START_LIMIT_S + REBALANCE_LIMIT_MS / 1000):
                await consumer.start()
            committing = asyncio.create_task(self._commit(consumer), name="group-offsets")
            stack.push_async_callback(_cancelled, committing)
            with translating(self._kafka, what):
                await self._read(consumer)

    async def bounds(self, partition: int) -> tuple[int, int]:
        """See ``CommandFeed.bounds``."""
        if self._questions is None:
            raise LogUnavailable("the worker is no member of its group now; it joins again by itself")
        place = TopicPartition(self._topics.commands, partition)
        questions = self._questions
        with translating(self._kafka, f"look at the ends of {self._topics.commands}"):
            try:
                async with asyncio.timeout(QUESTION_LIMIT_S):
                    start = (await questions.beginning_offsets([place]))[place]
                    end = (await questions.end_offsets([place]))[place]
            except TimeoutError:
                hang_up(questions)
                raise
        return start, end

    def seek(self, partition: int, offset: int) -> None:
        """Begin to read a partition at an offset; raises LogUnavailable when it is not assigned."""
        place = TopicPartition(self._topics.commands, partition)
        with translating(self._kafka, f"read {self._topics.commands}"):
            if self._consumer is None:
                raise LogUnavailable("the worker is no member of its group now; it joins again by itself")
            self._consumer.seek(place, offset)
            self._consumer.resume(place)

    def _arguments(self) -> dict[str, Any]:
        session_ms = int(self._kafka.session_timeout_s * 1000)
        return {
            **client_arguments(self._kafka),
            "group_id": self._topics.group,
            "group_instance_id": self._name,
            "session_timeout_ms": session_ms,
            # A rebalance is only heard of by a heartbeat: often, so that the others need not wait for us.
            "heartbeat_interval_ms": max(100, min(1000, session_ms // 6)),
            "rebalance_timeout_ms": REBALANCE_LIMIT_MS,
            "enable_auto_commit": False,
            # For a partition that nobody has sought yet; with "none" the client asks for its offset again and again.
            "auto_offset_reset": "earliest",
            "fetch_max_wait_ms": FETCH_WAIT_MS,
        }

    def _feed(self, partition: int) -> KafkaFeed:
        feed = self._feeds.get(partition)
        if feed is None:
            feed = self._feeds[partition] = KafkaFeed(self, partition)
        return feed

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        """Hand records to the feeds for ever; a feed that is full is left out, and keeps none of the others waiting."""
        while self._failure is None:
            full = {feed.partition for feed in self._feeds.values() if feed.assigned and feed.full}
            places = consumer.assignment()
            # What is left out stays fetched in the client; ``pause`` would throw it away and fetch it again.
            open_ones = [place for place in places if place.partition not in full] if full else []
            if full and not open_ones:
                await asyncio.sleep(FULL_WAIT_MS / 1000)
                continue
            wait_ms = FULL_WAIT_MS if full else FETCH_WAIT_MS
            found = await consumer.getmany(*open_ones, timeout_ms=wait_ms, max_records=READ_AT_ONCE)
            for place, records in found.items():
                self._feed(place.partition).put(records)
        raise LogUnavailable("a rebalance went wrong; the worker joins its group again") from self._failure

    async def _commit(self, consumer: AIOKafkaConsumer) -> None:
        """Commit group offsets now and then, for lag monitors; a failure is of no consequence."""
        last: dict[TopicPartition, int] = {}
        while True:
            await asyncio.sleep(COMMIT_S)
            places = {
                place: feed.position
                for place in consumer.assignment()
                if (feed := self._feed(place.partition)).position is not None
            }
            if places and places != last:
                with contextlib.suppress(*CLIENT_ERRORS):
                    await consumer.commit(places)
                    last = places

    def joined(self, partitions: Iterable[int]) -> None:
        """Take partitions in; they are read once their feed is sought."""
        for partition in partitions:
            self._consumer.pause(TopicPartition(self._topics.commands, partition))
            self._feed(partition).begin()

    def revoke(self, partitions: Iterable[int]) -> None:
        """Let partitions go: their feeds say so at once."""
        for partition in partitions:
            self._feed(partition).end()

    def broke(self, error: Exception) -> None:
        """End the membership: the worker does not know what it owns."""
        self._failure = error

    def _forget(self) -> None:
        self._consumer = self._questions = None
        self.revoke(list(self._feeds))


class KafkaFeed:
    """``consumers.partition_ports.CommandFeed``: what was read of one partition and not taken off yet."""

    def __init__(self, group: KafkaCommandGroup, partition: int) -> None:
        self.partition = partition
        self.position: int | None = None
        """The offset behind what was taken off; None before the first ``seek``."""
        self._next = 0
        """The offset expected of the next record read."""
        self._group = group
        self._assigned = False
        self._records: deque[Delivered] = deque()
        self._bytes = 0
        self._failure: Exception | None = None
        self._arrived = asyncio.Event()

    @property
    def assigned(self) -> bool:
        """See ``CommandFeed.assigned``."""
        return self._assigned

    @property
    def full(self) -> bool:
        """Whether no more is to be read for now."""
        return len(self._records) >= MOST_BUFFERED or self._bytes >= MOST_BUFFERED_BYTES

    async def bounds(self) -> tuple[int, int]:
        """See ``CommandFeed.bounds``."""
        return await self._group.bounds(self.partition)

    async def seek(self, offset: int) -> None:
        """See ``CommandFeed.seek``. Raises LogUnavailable."""
        self._clear()
        self._group.seek(self.partition, offset)
        self.position = self._next = offset

    async def take(self, most: int, most_bytes: int, wait_s: float) -> Sequence[Delivered]:
        """See ``CommandFeed.take``."""
        if not self._records and self._failure is None and self._assigned:
            self._arrived.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._arrived.wait()
        if self._failure is not None and not self._records:
            raise self._failure
        if not self._assigned:
            return ()
        taken: list[Delivered] = []
        size = 0
        for record in islice(self._records, most):
            size += len(record.value)
            if taken and size > most_bytes:
                break
            taken.append(record)
        return taken

    def done(self, count: int) -> None:
        """See ``CommandFeed.done``."""
        # What was taken may have been forgotten since, by a rebalance.
        for _ in range(min(count, len(self._records))):
            record = self._records.popleft()
            self._bytes -= len(record.value)
            self.position = record.offset + 1

    def put(self, records: Iterable[ConsumerRecord]) -> None:
        """Take in what was read; what came before the first ``seek`` is nobody's."""
        if self.position is None or self._failure is not None:
            return
        for record in records:
            if record.offset < self.position:
                # The offset sought lies behind the end: the topic was emptied or made anew, the client began again.
                self._clear()
                self.fail(LogUnavailable(f"partition {self.partition}: the command topic has lost its end"))
                return
            if record.offset > self._next:
                # Commands have no markers and are not compacted: retention overtook us. Behind what was read before, a
                # take-over counts them.
                why = f"partition {self.partition}: commands {self._next} to {record.offset - 1} were removed by retention"
                self.fail(LogUnavailable(why))
                return
            self._next = record.offset + 1
            value = record.value or b""
            key = (record.key or b"").decode(errors="replace")
            self._records.append(Delivered(record.offset, record.timestamp, key, value))
            self._bytes += len(value)
        self._arrived.set()

    def fail(self, error: Exception) -> None:
        """Make ``take`` raise until the next ``seek``."""
        self._failure = error
        self._arrived.set()

    def begin(self) -> None:
        """Be assigned, with nothing read."""
        self._clear()
        self.position = None
        self._assigned = True

    def end(self) -> None:
        """Be assigned no longer; wakes who waits."""
        self._assigned = False
        self._arrived.set()

    def _clear(self) -> None:
        self._records.clear()
        self._bytes = 0
        self._failure = None


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Told by the consumer of rebalances; an exception in here would be swallowed by it."""

    def __init__(self, group: KafkaCommandGroup, assigned: Told, revoked: Told) -> None:
        self._group = group
        self._assigned = assigned
        self._revoked = revoked

    async def on_partitions_assigned(self, places: Iterable[TopicPartition]) -> None:
        """Read nothing before an owner says from where on."""
        partitions = frozenset(place.partition for place in places)
        self._group.joined(partitions)
        await self._told(self._assigned, partitions)

    async def on_partitions_revoked(self, places: Iterable[TopicPartition]) -> None:
        """Wait for the owners to finish: nobody else gets the partitions before."""
        partitions = frozenset(place.partition for place in places)
        if partitions:
            self._group.revoke(partitions)
            await self._told(self._revoked, partitions)

    async def _told(self, told: Told, partitions: frozenset[int]) -> None:
        try:
            await told(partitions)
        except Exception as error:
            logger.exception("a rebalance went wrong", extra={"action": "rebalance"})
            # Raised, the consumer would swallow it and stay a member.
            self._group.broke(error)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, *CLIENT_ERRORS):
        await task
