"""One partition of the state and event topics on Kafka, written by two transactional producers in turn (CP-2, CP-22)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import ProducerFenced
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from consumers.backends.kafka_client import (
    CLIENT_ERRORS,
    START_LIMIT_S,
    abandoned,
    client_arguments,
    connecting,
    consuming,
    together,
    translated,
    translating,
)
from consumers.backends.kafka_compression import compression
from consumers.backends.kafka_transactions import Placed, Transactions
from consumers.errors import LogUnavailable, RecordTooLarge
from consumers.failpoints import hit
from consumers.partition_ports import Ends, OwnershipLost, TransactionTooSlow
from consumers.settings import KafkaSettings
from consumers.topics import MOST_BATCH_BYTES, MOST_RECORD_BYTES, Topics
from schemas.events import EventRecord
from schemas.transactions import StateRecord, Transaction

LEAST_LIMIT_S: Final = 3.0
RECORDS_A_SECOND: Final = 100_000
"""A transaction's own time limit: 3 s, and 1 s more for every 100,000 records (CP-23)."""
BACKSTOP_MS: Final = 15_000
"""``transaction.timeout.ms``: for an owner that is gone. A live one's own limit is shorter, and what it expects is begun
anew in time: the broker ends a transaction by fencing who began it."""
FRESH_S: Final = 5.0
"""A transaction that was begun longer ago, and has no record yet, is ended and another begun."""
BATCH_BYTES: Final = 1024 * 1024
"""Bytes of records, before compression, that go into one batch; a larger record makes one of its own."""
STRETCH: Final = 1000
READ_WAIT_MS: Final = 20
READ_LIMIT_S: Final = 15.0
"""For how long a read waits for the next committed record before it gives up."""

_Item = tuple[bytes, bytes | None, list[tuple[str, bytes]]]
"""Key, value and headers as they go over the wire."""
_size_of: Final = DefaultRecordBatchBuilder.estimate_size_in_bytes
"""Of key, value and headers: the most bytes that a batch of this one record takes before compression."""
_FRAME_BYTES: Final = 90
"""What of them is neither key, nor value, nor a header."""


class KafkaPartitionLog:
    """``consumers.partition_ports.PartitionLog`` over one partition of the topics.

    A producer that met an error is never used again: ``open`` makes both anew. That is also what fences: the broker
    answers a new start of a transactional id by aborting what its former holder left open (CP-12).
    """

    def __init__(
        self, kafka: KafkaSettings, partition: int, observed: Callable[[float], None] = lambda _ahead_s: None
    ) -> None:
        """``observed``: told by how many seconds this clock is ahead of the brokers', at each transaction (CP-18)."""
        self._kafka = kafka
        self._observed = observed
        self._topics = Topics(kafka.topic_prefix)
        self._partition = partition
        self._producers: tuple[AIOKafkaProducer, ...] = ()
        self._transactions: tuple[Transactions, ...] = ()
        self._turn = 0
        self._appending = False
        self._begun: _Begun | None = None
        """The transaction that ``expect`` began and ``append`` has not taken yet."""
        self._ending: set[asyncio.Task[None]] = set()

    async def open(self) -> str:
        """See ``PartitionLog.open``."""
        self._let_go()
        # The ids derive from the topic's name alone: whoever owns the partition next fences by them (CP-2).
        producers = tuple(self._producer(f"{self._topics.state}-{self._partition}-{n}") for n in range(2))
        try:
            async with connecting(self._kafka, f"open partition {self._partition}"):
                await together(*(producer.start() for producer in producers))
                # Now rather than in the first transaction, whose time limit is short.
                for topic in (self._topics.state, self._topics.events, self._topics.dead):
                    await together(*(producer.partitions_for(topic) for producer in producers))
        except BaseException:
            self._end(producers)
            raise
        self._producers, self._turn = producers, 0
        self._transactions = tuple(Transactions(producer) for producer in producers)
        return ",".join(one.identity for one in self._transactions)

    async def ends(self) -> Ends:
        """See ``PartitionLog.ends``."""
        place = self._place
        async with contextlib.AsyncExitStack() as stack:
            # The isolation level is the consumer's, not the question's: two of them.
            every, committed = await together(
                stack.enter_async_context(consuming(self._kafka, place, isolation_level="read_uncommitted")),
                stack.enter_async_context(consuming(self._kafka, place, isolation_level="read_committed")),
            )
            with translating(self._kafka, f"look at the ends of {self._topics.state}"):
                async with asyncio.timeout(START_LIMIT_S):
                    # In this order: what is committed in between must not make the log look unsettled.
                    end: int = (await every.end_offsets([place]))[place]
                    settled: int = (await committed.end_offsets([place]))[place]
                    start: int = (await every.beginning_offsets([place]))[place]
        return Ends(start=start, committed=min(settled, end), end=end)

    async def read(self, offset: int, end: int) -> AsyncIterator[Sequence[StateRecord]]:
        """See ``PartitionLog.read``."""
        if offset >= end:
            return
        place = self._place
        what = f"read {self._topics.state}"
        loop = asyncio.get_running_loop()
        async with consuming(self._kafka, place, isolation_level="read_committed") as consumer:
            consumer.seek(place, offset)
            last = loop.time()
            # By position, not by the last record's offset: the end is behind the marker of the last transaction, and
            # what a reader of committed records is not shown (markers, aborted records, compacted ones) moves it too.
            while offset < end:
                with translating(self._kafka, what):
                    found = await consumer.getmany(place, timeout_ms=READ_WAIT_MS, max_records=STRETCH)
                    position: int = await consumer.position(place)
                if position > offset:
                    offset, last = position, loop.time()
                elif loop.time() - last > READ_LIMIT_S:
                    raise LogUnavailable(f"{what}: nothing came for {READ_LIMIT_S:.0f} s at offset {offset} of {end}")
                records = [record for record in found.get(place, ()) if record.offset < end]
                if records:
                    yield [StateRecord((record.key or b"").decode(), record.value) for record in records]

    def expect(self) -> None:
        """See ``PartitionLog.expect``: state and events join the transaction while its batch is being decided."""
        if not self._transactions or self._appending:
            return
        begun = self._begun
        if begun is not None and (begun.is_fresh or not begun.joining.done()):
            return
        joining = asyncio.create_task(
            self._join(self._transactions[self._turn], begun), name=f"begin-{self._partition}"
        )
        joining.add_done_callback(_looked_at)
        self._begun = _Begun(joining, time.monotonic())

    async def _join(self, transactions: Transactions, before: _Begun | None) -> None:
        """Begin a transaction; end the one that was begun before, which has no record."""
        if before is not None:
            await before.joining
            await transactions.commit()
        await transactions.begin(self._usual)

    async def append(self, transaction: Transaction) -> int:
        """See ``PartitionLog.append``."""
        if self._appending:
            raise RuntimeError("a transaction is running: one at a time (CP-3)")
        parts: tuple[tuple[str, list[_Item]], ...] = (
            (self._topics.state, _state_items(transaction.state)),
            (self._topics.events, _event_items(transaction.events)),
            (self._topics.dead, [(key.encode(), value, []) for key, value in transaction.dead]),
        )
        count = 0
        for topic, items in parts:
            _check_sizes(topic, items)
            count += len(items)
        if not self._transactions:
            raise OwnershipLost(f"partition {self._partition} is not open")
        self.expect()  # where nobody has, or long ago
        begun, self._begun = self._begun, None
        transactions = self._transactions[self._turn]
        self._turn = 1 - self._turn
        self._appending = True
        try:
            async with asyncio.timeout(limit_s := LEAST_LIMIT_S + count / RECORDS_A_SECOND) as limit:
                if begun is not None:
                    await begun.joining
                behind = await self._written(transactions, [part for part in parts if part[1]])
                hit("worker.sent")
                await transactions.commit()
        except ProducerFenced as error:
            self._let_go()
            raise OwnershipLost(f"partition {self._partition} was taken over by another owner") from error
        except (*CLIENT_ERRORS, _OffsetsForgotten) as error:
            self._let_go()
            reason = str(translated(error, self._kafka, f"transaction on partition {self._partition}"))
            if limit.expired():
                raise TransactionTooSlow(f"{reason} ({count} records in {limit_s:.1f} s)") from error
            raise OwnershipLost(reason) from error
        except BaseException:
            # Cancelled, or a mistake of ours: whether it is durable only the next ``open`` settles.
            self._let_go()
            raise
        finally:
            self._appending = False
        return behind

    async def close(self) -> None:
        """See ``PartitionLog.close``."""
        self._let_go()
        if self._ending:
            await asyncio.wait(set(self._ending))

    async def _written(self, transactions: Transactions, parts: Sequence[tuple[str, list[_Item]]]) -> int:
        """Append all batches to a transaction that was begun; return the offset behind the last state record."""
        place_of = {topic: TopicPartition(topic, self._partition) for topic, _ in parts}
        if missing := [place for place in place_of.values() if place not in self._usual]:
            await transactions.begin(missing)
        behind = -1
        # The first batches of all topics go together, then the second of each.
        for wave in zip_longest(*(_batches(transactions.batch, items, topic) for topic, items in parts)):
            batches = [batch for batch in wave if batch is not None]
            began = time.time()
            placed = await transactions.append([(place_of[topic], builder) for topic, builder in batches])
            self._observed(ahead_s(began, time.time(), placed))
            for (topic, builder), where in zip(batches, placed, strict=True):
                if where.offset < 0:
                    raise _OffsetsForgotten
                if topic == self._topics.state:
                    behind = where.offset + builder.record_count()
        return behind

    @property
    def _usual(self) -> tuple[TopicPartition, ...]:
        """What nearly every transaction writes."""
        return tuple(TopicPartition(topic, self._partition) for topic in (self._topics.state, self._topics.events))

    @property
    def _place(self) -> TopicPartition:
        return TopicPartition(self._topics.state, self._partition)

    def _producer(self, transactional_id: str) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            **client_arguments(self._kafka),
            transactional_id=transactional_id,
            transaction_timeout_ms=BACKSTOP_MS,
            enable_idempotence=True,
            acks="all",
            compression_type=compression(),
            max_batch_size=BATCH_BYTES,
            max_request_size=MOST_BATCH_BYTES,
        )

    def _let_go(self) -> None:
        producers, self._producers, self._transactions = self._producers, (), ()
        begun, self._begun = self._begun, None
        if begun is not None:
            begun.joining.cancel()
        self._end(producers)

    def _end(self, producers: Iterable[AIOKafkaProducer]) -> None:
        """End producers beside what follows: a broker that hangs must not hold up the next take-over."""
        for producer in producers:
            task = asyncio.create_task(abandoned(producer), name=f"end-producer-{self._partition}")
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)


class _Begun(msgspec.Struct, frozen=True):
    """A transaction without a record yet, which holds nobody's reading back."""

    joining: asyncio.Task[None]
    at: float
    """Seconds of the clock that never steps."""

    @property
    def is_fresh(self) -> bool:
        """Whether the broker will not end it in the middle of an append."""
        return time.monotonic() - self.at < FRESH_S


class _OffsetsForgotten(Exception):
    """Something is durable, but not known where."""


def _looked_at(done: asyncio.Task[None]) -> None:
    """Or asyncio complains that nobody did, where the transaction never follows."""
    if not done.cancelled():
        done.exception()


def ahead_s(began: float, ended: float, placed: Iterable[Placed]) -> float:
    """Return by how many seconds a clock that showed ``began`` and ``ended`` around appends is ahead of the brokers'.

    0 where the brokers' times of the appends lie between; negative where the clock is behind.
    """
    times = [where.timestamp / 1000 for where in placed if where.timestamp > 0]
    # The broker's times are whole milliseconds.
    ahead = max((began - 0.001 - time for time in times), default=0.0)
    behind = max((time - ended - 0.001 for time in times), default=0.0)
    return max(ahead, 0.0) or -max(behind, 0.0)


def _state_items(records: Iterable[StateRecord]) -> list[_Item]:
    return [(record.key.encode(), record.value, []) for record in records]


def _event_items(events: Iterable[EventRecord]) -> list[_Item]:
    return [(one.key.encode(), one.value, [(name, text.encode()) for name, text in one.headers]) for one in events]


def _check_sizes(topic: str, items: Iterable[_Item]) -> None:
    """Refuse what the broker would: its refusal breaks the producer for good (CP-10)."""
    for item in items:
        size = _size_of(*item) - _FRAME_BYTES
        if size > MOST_RECORD_BYTES:
            raise RecordTooLarge(f"a record of {size} bytes for {topic}, which takes {MOST_RECORD_BYTES}")


def _batches(new: Callable[[], Any], items: Iterable[_Item], topic: str) -> Iterator[tuple[str, Any]]:
    """Yield batches of the records, in their order, each filled when it is asked for."""
    builder = new()
    for key, value, headers in items:
        if builder.append(timestamp=None, key=key, value=value, headers=headers) is None:
            yield topic, builder
            builder = new()
            builder.append(timestamp=None, key=key, value=value, headers=headers)
    yield topic, builder
