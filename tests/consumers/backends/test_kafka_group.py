"""Membership of workers on a real broker: who gets which partitions, when, and what their feeds deliver."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from consumers.backends import kafka_group
from consumers.backends.kafka_group import KafkaCommandGroup, KafkaFeed
from consumers.errors import LogUnavailable
from consumers.partition_ports import CommandFeed, Delivered
from consumers.settings import KafkaSettings
from consumers.topics import Topics
from tests.consumers.backends.kafka_topics_of_tests import created, plain_producer, sent, until
from tests.services.processes import KafkaServer

pytestmark = pytest.mark.services

ALL = frozenset(range(4))


class Member:
    """A worker that keeps book of what it is told."""

    def __init__(self, kafka: KafkaSettings, name: str | None = None, hand_over_s: float = 0.0) -> None:
        self.group = KafkaCommandGroup(kafka, name)
        self.owned: frozenset[int] = frozenset()
        self.told: list[str] = []
        self._hand_over_s = hand_over_s
        self._task: asyncio.Task[None] | None = None

    @property
    def task(self) -> asyncio.Task[None]:
        assert self._task is not None
        return self._task

    def start(self) -> None:
        self._task = asyncio.create_task(self.group.run(self._assigned, self._revoked))

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError, LogUnavailable):
                await self._task

    async def _assigned(self, partitions: frozenset[int]) -> None:
        assert all(self.group.feed(partition).assigned for partition in partitions)
        self.owned = partitions
        self.told.append("assigned")

    async def _revoked(self, partitions: frozenset[int]) -> None:
        await asyncio.sleep(self._hand_over_s)
        self.owned -= partitions
        self.told.append("revoked")


@pytest.fixture
async def kafka(kafka_bootstrap: str, topic_prefix: str) -> KafkaSettings:
    return await created(kafka_bootstrap, topic_prefix, session_timeout_s=2)


@pytest.fixture
async def members() -> AsyncIterator[list[Member]]:
    made: list[Member] = []
    yield made
    for member in made:
        await member.stop()


async def joined(members: list[Member], kafka: KafkaSettings, name: str | None = None) -> Member:
    member = Member(kafka, name)
    members.append(member)
    member.start()
    await until(lambda: bool(member.owned) or member.task.done())
    return member


async def taken(feed: CommandFeed, count: int) -> list[Delivered]:
    """Take so many records off."""
    found: list[Delivered] = []
    async with asyncio.timeout(20):
        while len(found) < count:
            some = await feed.take(100, 1_000_000, 1.0)
            feed.done(len(some))
            found += some
    return found


async def test_a_member_alone_gets_every_partition(kafka: KafkaSettings, members: list[Member]) -> None:
    member = await joined(members, kafka)
    assert member.owned == ALL
    assert member.told == ["assigned"]


async def test_nothing_is_delivered_before_the_feed_is_sought(kafka: KafkaSettings, members: list[Member]) -> None:
    await sent(kafka, 1, (b"acme/a", b"1"))
    member = await joined(members, kafka)
    feed = member.group.feed(1)
    assert await feed.take(10, 1000, 0.5) == []
    await feed.seek(0)
    assert [one.value for one in await taken(feed, 1)] == [b"1"]


async def test_commands_come_in_order_with_place_key_and_the_brokers_time(
    kafka: KafkaSettings, members: list[Member]
) -> None:
    member = await joined(members, kafka)
    feed = member.group.feed(2)
    await feed.seek(0)
    before = int(time.time() * 1000)
    await sent(kafka, 2, *((f"acme/{n}".encode(), str(n).encode()) for n in range(50)))
    found = await taken(feed, 50)
    assert [one.offset for one in found] == list(range(50))
    assert [one.value for one in found] == [str(n).encode() for n in range(50)]
    assert found[7].key == "acme/7"
    assert all(before - 1 <= one.appended_at <= time.time() * 1000 for one in found)


async def test_what_is_not_taken_off_is_delivered_again_and_take_keeps_its_limits(
    kafka: KafkaSettings, members: list[Member]
) -> None:
    await sent(kafka, 0, *((b"acme/a", b"x" * 100) for _ in range(20)))
    member = await joined(members, kafka)
    feed = member.group.feed(0)
    await feed.seek(0)
    await until(lambda: member.group._feed(0)._bytes == 2000)
    assert len(await feed.take(5, 10_000, 1.0)) == 5
    assert [one.offset for one in await feed.take(5, 10_000, 1.0)] == [0, 1, 2, 3, 4]
    assert len(await feed.take(20, 350, 1.0)) == 3
    assert len(await feed.take(20, 1, 1.0)) == 1, "one at least, however large"
    feed.done(3)
    assert (await feed.take(1, 1000, 1.0))[0].offset == 3


async def test_seeking_goes_back_and_forth(kafka: KafkaSettings, members: list[Member]) -> None:
    await sent(kafka, 3, *((b"acme/a", str(n).encode()) for n in range(10)))
    member = await joined(members, kafka)
    feed = member.group.feed(3)
    for offset in (5, 0, 9, 3):
        await feed.seek(offset)
        found = await taken(feed, 10 - offset)
        assert [one.offset for one in found] == list(range(offset, 10))


async def test_keys_that_cannot_be_decoded_and_missing_values_are_delivered(
    kafka: KafkaSettings, members: list[Member]
) -> None:
    topic = Topics(kafka.topic_prefix).commands
    async with plain_producer(kafka) as producer:
        await producer.send_and_wait(topic, b"1", key=b"\xff\xfe", partition=0)
        await producer.send_and_wait(topic, None, key=b"acme/a", partition=0)
        await producer.send_and_wait(topic, b"3", partition=0)
    member = await joined(members, kafka)
    feed = member.group.feed(0)
    await feed.seek(0)
    assert [(one.key, one.value) for one in await taken(feed, 3)] == [("��", b"1"), ("acme/a", b""), ("", b"3")]


async def test_bounds_are_those_of_the_commands(kafka: KafkaSettings, members: list[Member]) -> None:
    member = await joined(members, kafka)
    feed = member.group.feed(1)
    assert await feed.bounds() == (0, 0)
    await sent(kafka, 1, (b"acme/a", b"1"), (b"acme/a", b"2"))
    assert await feed.bounds() == (0, 2)


async def test_what_waits_for_a_slow_owner_is_bounded_and_keeps_no_other_waiting(
    kafka: KafkaSettings, members: list[Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_group, "MOST_BUFFERED", 30)
    monkeypatch.setattr(kafka_group, "READ_AT_ONCE", 20)
    await sent(kafka, 0, *((b"acme/a", str(n).encode()) for n in range(300)))
    member = await joined(members, kafka)
    slow, quick = member.group.feed(0), member.group.feed(1)
    await slow.seek(0)
    await quick.seek(0)
    await until(lambda: member.group._feed(0).full)
    for n in range(5):
        await sent(kafka, 1, (b"acme/b", str(n).encode()))
        started = time.monotonic()
        assert [one.value for one in await taken(quick, 1)] == [str(n).encode()]
        assert time.monotonic() - started < 1
    held = len(member.group._feed(0)._records)
    assert 30 <= held < 50
    found = await taken(slow, 300)
    assert [one.value for one in found] == [str(n).encode() for n in range(300)]


async def test_an_offset_behind_the_end_is_an_error_rather_than_a_beginning_again(
    kafka: KafkaSettings, members: list[Member]
) -> None:
    await sent(kafka, 0, (b"acme/a", b"old"))
    member = await joined(members, kafka)
    feed = member.group.feed(0)
    await feed.seek(7)
    with pytest.raises(LogUnavailable, match="lost its end"):
        await taken(feed, 1)
    await feed.seek(0)
    assert len(await taken(feed, 1)) == 1


async def test_what_retention_has_removed_before_it_was_decided_ends_the_reading(
    kafka: KafkaSettings, members: list[Member]
) -> None:
    """A take-over then counts it; the owner would never know."""
    feed = KafkaFeed(KafkaCommandGroup(kafka), 1)
    feed.begin()
    feed.position = feed._next = 0
    feed.put([record(0), record(1)])
    feed.put([record(5)])
    feed.put([record(6)])
    assert [one.offset for one in await feed.take(10, 1000, 0.0)] == [0, 1], "what was read before is decided"
    feed.done(2)
    with pytest.raises(LogUnavailable, match="commands 2 to 4 were removed by retention"):
        await feed.take(10, 1000, 0.0)


def record(offset: int) -> ConsumerRecord[bytes, bytes]:
    return ConsumerRecord(
        topic="commands",
        partition=1,
        offset=offset,
        timestamp=1,
        timestamp_type=1,
        key=b"acme/x",
        value=b"{}",
        checksum=None,
        serialized_key_size=6,
        serialized_value_size=2,
        headers=(),
    )


async def test_a_second_member_gets_half_after_the_first_has_handed_over(
    kafka: KafkaSettings, members: list[Member]
) -> None:
    first = await joined(members, kafka)
    first._hand_over_s = 0.5
    second = Member(kafka)
    members.append(second)
    second.start()
    await until(lambda: bool(second.owned))
    # Whoever is assigned a partition had it handed over: the first one's ``revoked`` ended before.
    assert "revoked" in first.told
    await until(lambda: len(first.owned) == 2)
    assert first.owned | second.owned == ALL
    assert not first.owned & second.owned
    for member in (first, second):
        assert all(member.group.feed(p).assigned == (p in member.owned) for p in ALL)


async def test_an_unnamed_member_that_is_cancelled_leaves_at_once(kafka: KafkaSettings, members: list[Member]) -> None:
    first, second = await joined(members, kafka), await joined(members, kafka)
    await until(lambda: len(first.owned) == len(second.owned) == 2)
    started = time.monotonic()
    await first.stop()
    assert not any(first.group.feed(p).assigned for p in ALL)
    await until(lambda: second.owned == ALL)
    assert time.monotonic() - started < kafka.session_timeout_s


async def test_a_named_member_keeps_its_partitions_until_it_is_back(
    kafka_bootstrap: str, topic_prefix: str, members: list[Member]
) -> None:
    kafka = await created(kafka_bootstrap, topic_prefix, session_timeout_s=20)
    first, second = await joined(members, kafka, "one"), await joined(members, kafka, "two")
    await until(lambda: len(first.owned) == len(second.owned) == 2)
    had = first.owned
    told = list(second.told)
    await first.stop()
    await asyncio.sleep(2)
    again = await joined(members, kafka, "one")
    assert again.owned == had
    assert second.told == told, "nobody else was disturbed"


async def test_a_named_member_that_does_not_come_back_loses_its_partitions_with_its_session(
    kafka: KafkaSettings, members: list[Member]
) -> None:
    first, second = await joined(members, kafka, "one"), await joined(members, kafka, "two")
    await until(lambda: len(first.owned) == len(second.owned) == 2)
    started = time.monotonic()
    await first.stop()
    await until(lambda: second.owned == ALL)
    assert time.monotonic() - started > kafka.session_timeout_s - 1.5


async def test_a_membership_survives_a_killed_broker_or_says_that_it_broke(
    kafka_broker: KafkaServer, kafka: KafkaSettings, members: list[Member]
) -> None:
    await sent(kafka, 0, (b"acme/a", b"1"))
    member = await joined(members, kafka)
    kafka_broker.kill()
    kafka_broker.start()
    async with asyncio.timeout(60):
        while True:
            if member.task.done():
                assert isinstance(member.task.exception(), LogUnavailable)
                member = await joined(members, kafka)
            if member.owned == ALL:
                feed = member.group.feed(0)
                with contextlib.suppress(LogUnavailable):
                    await feed.seek(0)
                    if await feed.take(1, 1000, 1.0):
                        break
            await asyncio.sleep(0.1)


async def test_group_offsets_are_committed_for_lag_monitors(
    kafka: KafkaSettings, members: list[Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_group, "COMMIT_S", 0.1)
    await sent(kafka, 1, *((b"acme/a", b"1") for _ in range(5)))
    member = await joined(members, kafka)
    feed = member.group.feed(1)
    await feed.seek(0)
    await taken(feed, 5)
    topics = Topics(kafka.topic_prefix)
    async with AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap, group_id=topics.group) as monitor:
        async with asyncio.timeout(60):
            while await monitor.committed(TopicPartition(topics.commands, 1)) != 5:
                await asyncio.sleep(0.05)


async def test_a_worker_that_cannot_take_its_partitions_in_is_no_member(
    kafka: KafkaSettings, members: list[Member]
) -> None:
    member = Member(kafka)
    members.append(member)

    async def failing(partitions: frozenset[int]) -> None:
        raise ValueError("a mistake")

    with pytest.raises(LogUnavailable, match="a rebalance went wrong"):
        async with asyncio.timeout(20):
            await member.group.run(failing, failing)
    assert not any(member.group.feed(p).assigned for p in ALL)


async def test_without_a_broker_the_membership_breaks_in_one_line(members: list[Member]) -> None:
    member = Member(KafkaSettings(bootstrap="127.0.0.1:9"))
    members.append(member)
    member.start()
    with pytest.raises(LogUnavailable, match=r"Kafka at 127\.0\.0\.1:9 failed"):
        await member.task
    with pytest.raises(LogUnavailable):
        await member.group.feed(0).seek(0)
    with pytest.raises(LogUnavailable):
        await member.group.feed(0).bounds()
