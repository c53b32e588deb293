"""The event log on Kafka as the contract suite meets it: written by transactions of one partition's owner."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from consumers.backends.kafka_events import KafkaEvents, open_event_logs
from consumers.backends.kafka_log import KafkaPartitionLog
from consumers.backends.kafka_topics import create_topics
from consumers.ports import EventLog
from consumers.settings import KafkaSettings, Settings
from schemas.numbering import Batch
from schemas.transactions import transaction_of
from tests.contract.stands import GATEWAY


class KafkaStand:
    """Topics of their own with one partition; opened again, by its next owner."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self._settings = KafkaSettings(bootstrap=bootstrap, topic_prefix=prefix, partitions=1)
        self._log = KafkaPartitionLog(self._settings, 0)
        self._events: KafkaEvents | None = None
        self._stack = AsyncExitStack()

    @property
    def events(self) -> EventLog:
        """See ``LogStand.events``."""
        return self._opened

    @property
    def _opened(self) -> KafkaEvents:
        assert self._events is not None, "the stand is closed"
        return self._events

    async def persist(self, batch: Batch) -> None:
        """See ``LogStand.persist``; returns when the events are seen, a moment after they are durable."""
        before = await self._opened.end()
        await self._log.append(transaction_of(batch, partition=0, position=-1))
        async with asyncio.timeout(20):
            # The marker comes behind the events.
            while await self._opened.end() < before + len(batch.changes) + 1:
                await asyncio.sleep(0.005)

    async def open(self, gateway: str = GATEWAY) -> None:
        """See ``Stand.open``."""
        await create_topics(Settings(kafka=self._settings))
        (self._events,) = await self._stack.enter_async_context(open_event_logs(self._settings))
        await self._log.open()

    async def close(self) -> None:
        """See ``Stand.close``."""
        self._events = None
        await self._log.close()
        await self._stack.aclose()
