"""The events topic on a real broker, as one reads it who wants only what is committed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from consumers.backends.kafka_events import KafkaEvents, open_event_logs
from consumers.backends.kafka_log import KafkaPartitionLog
from consumers.errors import LogUnavailable
from consumers.settings import KafkaSettings
from consumers.topics import Topics
from tests.consumers.backends.kafka_topics_of_tests import created, event, plain_producer, transaction
from tests.services.processes import KafkaServer

pytestmark = pytest.mark.services

PARTITION = 1


@pytest.fixture
async def kafka(kafka_bootstrap: str, topic_prefix: str) -> KafkaSettings:
    return await created(kafka_bootstrap, topic_prefix)


@pytest.fixture
async def log(kafka: KafkaSettings) -> AsyncIterator[KafkaPartitionLog]:
    log = KafkaPartitionLog(kafka, PARTITION)
    await log.open()
    yield log
    await log.close()


@pytest.fixture
async def logs(kafka: KafkaSettings) -> AsyncIterator[tuple[KafkaEvents, ...]]:
    async with open_event_logs(kafka) as logs:
        yield logs


async def settled(events: KafkaEvents, end: int) -> None:
    """Wait for the marker of the last transaction: the commit is acknowledged before it is written."""
    async with asyncio.timeout(20):
        while await events.end() < end:
            await asyncio.sleep(0.01)


async def test_there_is_one_log_a_partition(
    log: KafkaPartitionLog, logs: tuple[KafkaEvents, ...], kafka: KafkaSettings
) -> None:
    await log.append(transaction("ann"))
    await settled(logs[PARTITION], 2)
    assert len(logs) == kafka.partitions
    for partition, events in enumerate(logs):
        found = await events.read(0, 10)
        assert [one.partition for one in found] == ([PARTITION] if partition == PARTITION else [])
    assert (await logs[PARTITION].read(0, 1))[0].event == event("ann")


async def test_CP22_offsets_rise_over_the_markers_and_no_read_is_stopped_by_them(
    log: KafkaPartitionLog, logs: tuple[KafkaEvents, ...]
) -> None:
    events = logs[PARTITION]
    # A commit is acknowledged before its marker is written: each is waited for, so that it has its own place.
    for names, end in ((("a",), 2), (("b", "c"), 5), (("d",), 7)):
        await log.append(transaction(*names))
        await settled(events, end)
    for limit in (1, 2, 100):
        found = []
        offset = await events.earliest()
        while some := await events.read(offset, limit):
            assert len(some) <= limit
            found += some
            offset = some[-1].offset + 1
        assert [one.offset for one in found] == [0, 2, 3, 5]
        assert [one.event.key[-1] for one in found] == ["a", "b", "c", "d"]
    # From a marker on, from behind everything, and again from where it began.
    assert [one.offset for one in await events.read(1, 1)] == [2]
    assert await events.read(6, 10) == []
    assert await events.read(1000, 10) == []
    assert [one.offset for one in await events.read(0, 10)] == [0, 2, 3, 5]


async def test_what_is_not_committed_is_not_shown_and_keeps_later_events_waiting(
    kafka: KafkaSettings, log: KafkaPartitionLog, logs: tuple[KafkaEvents, ...]
) -> None:
    events = logs[PARTITION]
    topic = Topics(kafka.topic_prefix).events
    async with plain_producer(kafka, f"{kafka.topic_prefix}-foreign") as foreign:
        await foreign.begin_transaction()
        await foreign.send_and_wait(topic, b"open", key=b"acme/x", partition=PARTITION)
        await log.append(transaction("ann"))
        assert await events.end() == 0
        assert await events.read(0, 10) == []
        await foreign.abort_transaction()
    await settled(events, 4)
    assert [one.event.value for one in await events.read(0, 10)] == [event("ann").value]


async def test_following_waits_for_an_offset_behind_the_end(
    log: KafkaPartitionLog, logs: tuple[KafkaEvents, ...]
) -> None:
    events = logs[PARTITION]
    await log.append(transaction("a"))

    async def first_of(offset: int) -> int:
        async for batch in events.follow(offset):
            return batch[0].offset
        raise AssertionError("following never ends")

    follower = asyncio.create_task(first_of(4))
    await asyncio.sleep(0.3)
    assert not follower.done()
    for name in ("b", "c"):
        await log.append(transaction(name))
    assert await asyncio.wait_for(follower, 20) == 4


async def test_a_time_leads_to_the_first_event_since(log: KafkaPartitionLog, logs: tuple[KafkaEvents, ...]) -> None:
    events = logs[PARTITION]
    await log.append(transaction("a"))
    await settled(events, 2)
    assert await events.offset_at(0) == 0
    assert await events.offset_at(-5) == 0
    assert await events.offset_at(9_999_999_999_999) == await events.end() == 2


async def test_a_broker_that_is_away_is_said_in_one_line(
    kafka_broker: KafkaServer, log: KafkaPartitionLog, logs: tuple[KafkaEvents, ...]
) -> None:
    await log.append(transaction("a"))
    with pytest.raises(LogUnavailable, match=r"Kafka at 127\.0\.0\.1:9 failed"):
        async with open_event_logs(KafkaSettings(bootstrap="127.0.0.1:9")):
            pass
    kafka_broker.kill()
    async with asyncio.timeout(40):
        with pytest.raises(LogUnavailable, match=r"connect: Kafka at .* failed"):
            await logs[PARTITION].read(0, 1)
