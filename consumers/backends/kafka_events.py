"""The events topic on Kafka, partition by partition, as one reads it who wants what is committed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from consumers.backends.kafka_client import START_LIMIT_S, consuming, translating
from consumers.errors import LogUnavailable
from consumers.ports import LoggedEvent
from consumers.settings import KafkaSettings
from consumers.topics import Topics
from schemas.events import EventRecord

_WAIT_MS: Final = 20
_FETCH_WAIT_MS: Final = 100
"""For how long a broker keeps an empty fetch of the reader: what is sought meanwhile waits for its end."""
_FOLLOW_WAIT_MS: Final = 500
_FOLLOWED_AT_ONCE: Final = 500
_READ_LIMIT_S: Final = 15.0
_POLL_S: Final = 0.1
_TENANT: Final = "ce_tenant"


class KafkaEvents:
    """``consumers.ports.EventLog`` of one partition; offsets rise, but not by one: transactions leave markers between.

    Made by ``open_event_logs``.
    """

    def __init__(self, kafka: KafkaSettings, partition: int) -> None:
        self._kafka = kafka
        self._place = TopicPartition(Topics(kafka.topic_prefix).events, partition)
        self._reader: AIOKafkaConsumer | None = None
        self._questions: AIOKafkaConsumer | None = None
        """Apart from the reader: on its connection they would wait behind a fetch."""
        self._stack = AsyncExitStack()
        self._reading = asyncio.Lock()
        self._next: int | None = None
        """The offset behind what the last read returned: a read that goes on from there has it at hand."""

    async def open(self) -> None:
        """Connect. Raises LogUnavailable."""
        self._questions = await self._stack.enter_async_context(self._consuming())

    async def close(self) -> None:
        """Let go of the connection."""
        self._reader = self._questions = self._next = None
        await self._stack.aclose()

    async def earliest(self) -> int:
        """See ``EventLog.earliest``. Raises LogUnavailable."""
        async with self._asking() as consumer:
            offset: int = (await consumer.beginning_offsets([self._place]))[self._place]
        return offset

    async def end(self) -> int:
        """See ``EventLog.end``: a marker that stands there already makes the next event's offset greater."""
        async with self._asking() as consumer:
            offset: int = (await consumer.end_offsets([self._place]))[self._place]
        return offset

    async def offset_at(self, milliseconds: int) -> int:
        """See ``EventLog.offset_at``."""
        async with self._asking() as consumer:
            found = (await consumer.offsets_for_times({self._place: max(0, milliseconds)}))[self._place]
        end = await self.end()
        return end if found is None else min(found.offset, end)

    async def read(self, offset: int, limit: int) -> list[LoggedEvent]:
        """See ``EventLog.read``."""
        async with self._reading:
            return await self._read(offset, limit) if limit > 0 else []

    async def follow(self, offset: int) -> AsyncIterator[list[LoggedEvent]]:
        """See ``EventLog.follow``; raises LogUnavailable when the brokers do."""
        # To seek behind the end is an error to a broker: it has to come first.
        while await self.end() < offset:  # noqa: ASYNC110 - no event of ours
            await asyncio.sleep(_POLL_S)
        offset = max(offset, await self.earliest())
        async with self._consuming() as consumer:
            consumer.seek(self._place, offset)
            while True:
                with translating(self._kafka, self._what):
                    found = await consumer.getmany(timeout_ms=_FOLLOW_WAIT_MS, max_records=_FOLLOWED_AT_ONCE)
                if records := found.get(self._place):
                    yield [_logged(record) for record in records]

    async def _read(self, offset: int, limit: int) -> list[LoggedEvent]:
        if self._reader is None:
            opening = self._consuming(fetch_max_wait_ms=_FETCH_WAIT_MS)
            self._reader = await self._stack.enter_async_context(opening)
        consumer: AIOKafkaConsumer = self._reader
        if offset != self._next:
            offset = max(offset, await self.earliest())
            if offset >= await self.end():
                return []
            self._next = None
            consumer.seek(self._place, offset)
        loop = asyncio.get_running_loop()
        started = loop.time()
        while True:
            with translating(self._kafka, self._what):
                found = await consumer.getmany(timeout_ms=_WAIT_MS, max_records=limit)
                position = await consumer.position(self._place)
            if records := found.get(self._place):
                self._next = records[-1].offset + 1
                return [_logged(record) for record in records]
            # What is left before the end may be markers and aborted records alone, which move the position silently.
            if position >= await self.end():
                return []
            if loop.time() - started > _READ_LIMIT_S:
                raise LogUnavailable(f"{self._what}: nothing came for {_READ_LIMIT_S:.0f} s at offset {position}")

    @property
    def _what(self) -> str:
        return f"read {self._place.topic}"

    def _consuming(self, **arguments: Any) -> AbstractAsyncContextManager[AIOKafkaConsumer]:
        return consuming(self._kafka, self._place, isolation_level="read_committed", **arguments)

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[AIOKafkaConsumer]:
        if self._questions is None:
            raise LogUnavailable(f"{self._what}: the event log is closed")
        with translating(self._kafka, self._what):
            async with asyncio.timeout(START_LIMIT_S):
                yield self._questions


@asynccontextmanager
async def open_event_logs(kafka: KafkaSettings) -> AsyncIterator[tuple[KafkaEvents, ...]]:
    """Give the event log of each partition, in their order. Raises LogUnavailable."""
    logs = tuple(KafkaEvents(kafka, partition) for partition in range(kafka.partitions))
    async with AsyncExitStack() as stack:
        for log in logs:
            stack.push_async_callback(log.close)
            await log.open()
        yield logs


def _logged(record: ConsumerRecord) -> LoggedEvent:
    headers = tuple((name, (text or b"").decode(errors="replace")) for name, text in record.headers)
    key = (record.key or b"").decode(errors="replace")
    tenant = dict(headers).get(_TENANT) or key.partition("/")[0]
    event = EventRecord(tenant, key, record.value or b"", headers)
    return LoggedEvent(record.partition, record.offset, event)
