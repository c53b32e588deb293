"""The Kafka subscriber that we hand out, against a real broker: committed events alone, each once, gaps noticed (INV-3)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.deploy.test_subscriber import APPLIED, SAMPLES, USER, numbered

pytestmark = pytest.mark.services
SUBSCRIBER: Final = Path(__file__).parent.parent.parent / "deploy/events/kafka_subscriber.py"


@pytest.fixture
async def topic(kafka_bootstrap: str, topic_prefix: str) -> str:
    """Make a topic of two partitions and return its name."""
    name = f"{topic_prefix}events"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 2, 1)])
    finally:
        await admin.close()
    return name


@pytest.fixture
async def producer(kafka_bootstrap: str, topic_prefix: str) -> AsyncIterator[AIOKafkaProducer]:
    """Give a transactional producer."""
    made = AIOKafkaProducer(bootstrap_servers=kafka_bootstrap, transactional_id=f"{topic_prefix}tests")
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


async def sent(producer: AIOKafkaProducer, topic: str, *samples: dict[str, Any]) -> None:
    """Send events to the partition that their seq names."""
    for sample in samples:
        partition = int(sample["value"]["seq"].split(":")[0])
        await producer.send(topic, json.dumps(sample["value"]).encode(), sample["key"].encode(), partition)


class Subscriber:
    """The subscriber as a process, its lines one by one."""

    def __init__(self, bootstrap: str, group: str, topic: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, SUBSCRIBER, bootstrap, group, topic],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )

    def lines(self, count: int) -> list[str]:
        """Return the next lines."""
        assert self.process.stdout is not None
        return [self.process.stdout.readline().rstrip("\n") for _ in range(count)]


@contextmanager
def subscribed(bootstrap: str, topic: str) -> Iterator[Subscriber]:
    """Have a subscriber running, of the same group each time."""
    subscriber = Subscriber(bootstrap, f"{topic}-readers", topic)
    try:
        yield subscriber
    finally:
        subscriber.process.terminate()
        subscriber.process.communicate(timeout=30)


async def test_INV_3_a_committed_event_is_applied_once_an_aborted_one_never(
    kafka_bootstrap: str, topic: str, producer: AIOKafkaProducer
) -> None:
    elsewhere = numbered(SAMPLES[0], "other", "1:7")
    async with producer.transaction():
        await sent(producer, topic, SAMPLES[0])
    await producer.begin_transaction()
    await sent(producer, topic, SAMPLES[4])
    await producer.abort_transaction()
    async with producer.transaction():
        await sent(producer, topic, SAMPLES[1], SAMPLES[1], SAMPLES[2], elsewhere)

    with subscribed(kafka_bootstrap, topic) as subscriber:
        printed = subscriber.lines(5)

    in_order = [line for line in printed if not line.startswith("other")]
    assert in_order == [*APPLIED[:2], f"repeat {USER}:2", APPLIED[2]]
    assert [line for line in printed if line.startswith("other")] == [f"other 1:7 {USER}:1 create:full"]


async def test_INV_3_what_was_applied_and_committed_is_not_offered_to_the_next_of_the_group(
    kafka_bootstrap: str, topic: str, producer: AIOKafkaProducer
) -> None:
    async with producer.transaction():
        await sent(producer, topic, *SAMPLES[:2])
    with subscribed(kafka_bootstrap, topic) as subscriber:
        assert subscriber.lines(2) == APPLIED[:2]
        async with producer.transaction():
            await sent(producer, topic, SAMPLES[2])
        # It takes the next batch only after the commit of the last one.
        assert subscriber.lines(1) == APPLIED[2:3]
    async with producer.transaction():
        await sent(producer, topic, *SAMPLES[3:])

    with subscribed(kafka_bootstrap, topic) as subscriber:
        printed = [*iter(lambda: subscriber.lines(1)[0], APPLIED[4])]

    # The third was applied; whether its place was kept before the end came is a matter of luck.
    assert printed in ([APPLIED[3]], APPLIED[2:4])


async def test_INV_3_a_missing_event_ends_the_subscriber_before_anything_behind_it_is_applied(
    kafka_bootstrap: str, topic: str, producer: AIOKafkaProducer
) -> None:
    async with producer.transaction():
        await sent(producer, topic, SAMPLES[0], SAMPLES[2], SAMPLES[3])

    with subscribed(kafka_bootstrap, topic) as subscriber:
        printed, complaint = subscriber.process.communicate(timeout=60)

        assert (subscriber.process.returncode, printed.splitlines()) == (3, APPLIED[:1])
        assert "gap in default, partition 0: 43 came, 42 was due\n" in complaint
