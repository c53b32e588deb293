"""Topics, transactions and plain clients for tests on a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from consumers.backends.kafka_topics import create_topics
from consumers.settings import KafkaSettings, Settings
from consumers.topics import Topics
from schemas.events import EventRecord
from schemas.transactions import StateRecord, Transaction

PATIENCE_S = 20


async def created(bootstrap: str, prefix: str, **more: object) -> KafkaSettings:
    """Create the topics and return the settings that go with them."""
    kafka = msgspec.convert({"bootstrap": bootstrap, "topic_prefix": prefix, **more}, KafkaSettings)
    rows = await create_topics(Settings(kafka=kafka))
    assert all(row.ok for row in rows), rows
    return kafka


@asynccontextmanager
async def administering(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """Give a client that may look at topics and change them."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


def transaction(*names: str, events: bool = True, dead: tuple[tuple[str, bytes], ...] = ()) -> Transaction:
    """Return a state record and an event for each name."""
    return Transaction(
        state=tuple(StateRecord(f"acme/User/{name}", f'{{"v":1,"is":"{name}"}}'.encode()) for name in names),
        events=tuple(event(name) for name in names) if events else (),
        dead=dead,
    )


def event(name: str) -> EventRecord:
    """Return an event with two headers."""
    headers = (("content-type", "application/json"), ("ce_tenant", "acme"))
    return EventRecord("acme", f"acme/{name}", f'{{"jti":"{name}:1"}}'.encode(), headers)


async def values(kafka: KafkaSettings, topic: str, partition: int, level: str = "read_committed") -> list[bytes]:
    """Return all values of a partition, as a plain client reads them up to the end of what was ever appended."""
    place = TopicPartition(topic, partition)
    async with AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap) as consumer:
        end = (await consumer.end_offsets([place]))[place]
    async with AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap, isolation_level=level) as consumer:
        consumer.assign([place])
        await consumer.seek_to_beginning(place)
        found: list[bytes] = []
        async with asyncio.timeout(PATIENCE_S):
            # A commit is acknowledged before its markers are written: what is committed is seen a moment later.
            while await consumer.position(place) < end:
                batch = await consumer.getmany(place, timeout_ms=100)
                found += [record.value for record in batch.get(place, [])]
    return found


@asynccontextmanager
async def plain_producer(kafka: KafkaSettings, transactional_id: str | None = None) -> AsyncIterator[AIOKafkaProducer]:
    """Give a producer as anybody has it; one that was fenced closes in silence."""
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap, transactional_id=transactional_id, enable_idempotence=True
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def sent(kafka: KafkaSettings, partition: int, *commands: tuple[bytes, bytes]) -> None:
    """Put records into the command topic."""
    async with plain_producer(kafka) as producer:
        for key, value in commands:
            await producer.send_and_wait(Topics(kafka.topic_prefix).commands, value, key=key, partition=partition)


async def until(condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    """Wait for something to become true."""
    async with asyncio.timeout(patience_s):
        while not condition():
            await asyncio.sleep(0.01)
