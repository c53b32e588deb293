"""One partition's log on a real broker: transactions by two producers in turn, fencing, ends, limits."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiokafka import AIOKafkaProducer

from consumers.backends import kafka_log
from consumers.backends.kafka_client import abandoned
from consumers.backends.kafka_log import KafkaPartitionLog
from consumers.errors import LogUnavailable, RecordTooLarge
from consumers.partition_ports import OwnershipLost, TransactionTooSlow
from consumers.settings import KafkaSettings
from consumers.topics import MOST_RECORD_BYTES, Topics
from schemas.transactions import StateRecord, Transaction
from tests.consumers.backends.kafka_topics_of_tests import created, plain_producer, transaction, values
from tests.services.processes import KafkaServer

pytestmark = pytest.mark.services

PARTITION = 2


@pytest.fixture
async def kafka(kafka_bootstrap: str, topic_prefix: str) -> KafkaSettings:
    return await created(kafka_bootstrap, topic_prefix)


@pytest.fixture
def topics(kafka: KafkaSettings) -> Topics:
    return Topics(kafka.topic_prefix)


NewLog = Callable[[], KafkaPartitionLog]


@pytest.fixture
async def new_log(kafka: KafkaSettings) -> AsyncIterator[NewLog]:
    made: list[KafkaPartitionLog] = []

    def make() -> KafkaPartitionLog:
        made.append(KafkaPartitionLog(kafka, PARTITION))
        return made[-1]

    yield make
    for log in made:
        await log.close()


async def state(log: KafkaPartitionLog, offset: int = 0, end: int | None = None) -> list[StateRecord]:
    """Return what a take-over would read."""
    end = (await log.ends()).end if end is None else end
    return [record async for stretch in log.read(offset, end) for record in stretch]


async def hung_transaction(kafka: KafkaSettings, turn: int, value: bytes) -> AIOKafkaProducer:
    """Return a producer that died in the middle: its record is there, and its transaction open."""
    topics = Topics(kafka.topic_prefix)
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap, transactional_id=f"{topics.state}-{PARTITION}-{turn}"
    )
    await producer.start()
    await producer.begin_transaction()
    await producer.send_and_wait(topics.state, value, key=b"acme/User/hung", partition=PARTITION)
    return producer


async def test_CP2_an_owner_writes_only_its_own_partition_of_state_events_and_dead_letters(
    kafka: KafkaSettings, topics: Topics, new_log: NewLog
) -> None:
    log = new_log()
    await log.open()
    await log.append(transaction("ann", dead=(("acme/bob", b"parked"),)))
    for partition in range(kafka.partitions):
        found = [await values(kafka, topic, partition) for topic in (topics.state, topics.events, topics.dead)]
        assert [len(one) for one in found] == ([1, 1, 1] if partition == PARTITION else [0, 0, 0])


async def test_CP2_two_transactional_ids_take_turns_and_derive_from_the_topic_alone(
    kafka: KafkaSettings, topics: Topics, new_log: NewLog
) -> None:
    log = new_log()
    await log.open()
    await log.append(transaction("one"))
    # Whoever starts the id that is next in turn fences it, and only it.
    async with plain_producer(kafka, f"{topics.state}-{PARTITION}-0"):
        await log.append(transaction("two"))
        with pytest.raises(OwnershipLost):
            await log.append(transaction("three"))
    assert [record.key for record in await state(log)] == ["acme/User/one", "acme/User/two"]


async def test_CP2_each_opening_has_a_token_of_its_own(new_log: NewLog) -> None:
    tokens = []
    for log in (new_log(), new_log()):
        for _ in range(3):
            tokens.append(await log.open())
    assert len(set(tokens)) == 6


async def test_CP3_a_second_transaction_beside_the_first_is_refused_and_harms_neither(new_log: NewLog) -> None:
    log = new_log()
    await log.open()
    first = asyncio.create_task(log.append(transaction("one")))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="one at a time"):
        await log.append(transaction("two"))
    await first
    await log.append(transaction("three"))
    assert [record.key for record in await state(log)] == ["acme/User/one", "acme/User/three"]


@pytest.mark.parametrize("where", ["state", "events", "headers", "dead"])
async def test_CP10_a_record_over_the_limit_is_refused_before_anything_is_sent(new_log: NewLog, where: str) -> None:
    log = new_log()
    await log.open()
    large = b"x" * MOST_RECORD_BYTES
    good = transaction("ann")
    headers = (*good.events[0].headers, ("tracestate", large.decode()))
    bad = {
        "state": Transaction(state=(*good.state, StateRecord("acme/User/large", large))),
        "events": Transaction(state=good.state, events=(type(good.events[0])("acme", "acme/large", large, ()),)),
        "headers": Transaction(state=good.state, events=(type(good.events[0])("acme", "acme/ann", b"{}", headers),)),
        "dead": Transaction(state=good.state, dead=(("acme/large", large),)),
    }[where]
    with pytest.raises(RecordTooLarge):
        await log.append(bad)
    # The producers are as they were: no opening in between.
    for _ in range(4):
        await log.append(good)
    assert len(await state(log)) == 4


async def test_CP10_the_largest_record_allowed_is_taken_by_the_broker(new_log: NewLog) -> None:
    log = new_log()
    await log.open()
    # Random bytes: what is compressed away would not show whether they fit.
    value = os.urandom(MOST_RECORD_BYTES - len("acme/User/large"))
    await log.append(Transaction(state=(StateRecord("acme/User/large", value),)))
    assert (await state(log))[0].value == value


async def test_CP22_a_transaction_that_was_expected_is_like_any_other(
    kafka: KafkaSettings, topics: Topics, new_log: NewLog
) -> None:
    log = new_log()
    log.expect()  # nothing is open yet
    await log.open()
    log.expect()
    log.expect()
    await log.append(transaction("one"))
    log.expect()
    # More partitions than were expected, and fewer.
    await log.append(transaction("two", dead=(("acme/bob", b"parked"),)))
    log.expect()
    await log.append(transaction("three", events=False))
    await log.append(transaction("four"))
    assert [record.key.rpartition("/")[2] for record in await state(log)] == ["one", "two", "three", "four"]
    assert await values(kafka, topics.dead, PARTITION) == [b"parked"]
    assert len(await values(kafka, topics.events, PARTITION)) == 3


async def test_CP23_what_was_expected_long_ago_is_begun_anew(
    kafka: KafkaSettings, new_log: NewLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_log, "FRESH_S", 0.2)
    log = new_log()
    await log.open()
    for name in ("one", "two"):
        log.expect()
        await asyncio.sleep(0.3)
        await log.append(transaction(name))
    ends = await log.ends()
    assert ends.committed == ends.end == 6, "two records, and after each transaction, also those without one, a marker"
    assert [record.key[-3:] for record in await state(log)] == ["one", "two"]


async def test_CP23_an_owner_that_waits_for_its_store_is_not_fenced_by_what_it_expects(
    new_log: NewLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker ends a transaction that is open for too long, and with it whoever began it."""
    monkeypatch.setattr(kafka_log, "BACKSTOP_MS", 2500)
    monkeypatch.setattr(kafka_log, "FRESH_S", 0.5)
    log = new_log()
    await log.open()
    for _ in range(40):
        log.expect()
        await asyncio.sleep(0.1)
    await log.append(transaction("one"))
    log.expect()
    await asyncio.sleep(5)
    # Nobody told it again: then it costs a take-over, and nothing else.
    with pytest.raises(OwnershipLost):
        await log.append(transaction("two"))
    await log.open()
    await log.append(transaction("three"))
    assert [record.key.rpartition("/")[2] for record in await state(log)] == ["one", "three"]


async def test_CP12_what_was_expected_and_never_came_holds_up_neither_readers_nor_the_next_owner(
    new_log: NewLog,
) -> None:
    first, second = new_log(), new_log()
    await first.open()
    await first.append(transaction("one"))
    first.expect()
    await asyncio.sleep(0.2)
    ends = await second.ends()
    assert ends.committed == ends.end
    await second.open()
    with pytest.raises(OwnershipLost):
        await first.append(transaction("late"))
    await second.append(transaction("two"))
    first.expect()
    await first.close()
    assert [record.key[-3:] for record in await state(second)] == ["one", "two"]


async def test_CP12_an_owner_that_was_fenced_learns_it_from_the_append_not_from_expecting(new_log: NewLog) -> None:
    first, second = new_log(), new_log()
    await first.open()
    await second.open()
    first.expect()
    await asyncio.sleep(0.2)
    with pytest.raises(OwnershipLost, match="taken over"):
        await first.append(transaction("late"))
    assert await state(second) == []


@pytest.mark.parametrize("turn", [0, 1])
async def test_CP12_opening_settles_what_an_earlier_owner_left_open(
    kafka: KafkaSettings, topics: Topics, new_log: NewLog, turn: int
) -> None:
    first = new_log()
    await first.open()
    await first.append(transaction("before"))
    hung = await hung_transaction(kafka, turn, b"in doubt")
    try:
        log = new_log()
        ends = await log.ends()
        assert ends.committed < ends.end, "an open transaction must hold the committed end back"
        await log.open()
        ends = await log.ends()
        assert (ends.start, ends.committed) == (0, ends.end)
        await log.append(transaction("after"))
        with pytest.raises(Exception, match=r"(?i)fenced"):
            await hung.commit_transaction()
    finally:
        await abandoned(hung)
    assert [record.key for record in await state(log)] == ["acme/User/before", "acme/User/after"]
    assert b"in doubt" in await values(kafka, topics.state, PARTITION, "read_uncommitted")


async def test_CP12_the_fenced_owner_loses_the_partition_and_writes_nothing_more(new_log: NewLog) -> None:
    old, new = new_log(), new_log()
    await old.open()
    for name in ("one", "two", "three"):
        await old.append(transaction(name))
    await new.open()
    for name in ("late", "later"):
        with pytest.raises(OwnershipLost):
            await old.append(transaction(name))
    await new.append(transaction("four"))
    assert [record.key.rpartition("/")[2] for record in await state(new)] == ["one", "two", "three", "four"]


async def test_CP12_a_foreign_transaction_keeps_the_ends_apart_until_it_ends(
    kafka: KafkaSettings, topics: Topics, new_log: NewLog
) -> None:
    log = new_log()
    async with plain_producer(kafka, f"{topics.prefix}-foreign") as foreign:
        await foreign.begin_transaction()
        await foreign.send_and_wait(topics.state, b"foreign", key=b"k", partition=PARTITION)
        await log.open()
        ends = await log.ends()
        assert (ends.committed, ends.end) == (0, 1)
        await foreign.abort_transaction()
    ends = await log.ends()
    assert ends.committed == ends.end == 2
    assert await state(log) == []


async def test_CP22_the_offset_is_behind_the_last_state_record_whatever_markers_lie_between(
    kafka: KafkaSettings, new_log: NewLog
) -> None:
    log = new_log()
    await log.open()
    offsets = []
    for count in (1, 3, 2, 5):
        offsets.append(await log.append(transaction(*(f"u{n}" for n in range(count)))))
        ends = await log.ends()
        # What a replay from there would read is nothing: only the marker is behind it.
        assert offsets[-1] <= ends.end == ends.committed
        assert await state(log, offsets[-1]) == []
        assert len(await state(log, offsets[-1] - 1)) == 1
    assert offsets == [1, 5, 8, 14]


async def test_CP22_a_transaction_of_many_batches_is_whole_and_in_order(
    kafka: KafkaSettings, topics: Topics, new_log: NewLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_log, "BATCH_BYTES", 2000)
    log = new_log()
    await log.open()
    names = [f"user-{n}" for n in range(300)]
    offset = await log.append(transaction(*names))
    assert offset == 300
    assert [record.key.rpartition("/")[2] for record in await state(log)] == names
    assert len(await values(kafka, topics.events, PARTITION)) == 300


async def test_CP22_reading_ends_at_the_end_it_was_given_and_skips_what_was_aborted(
    kafka: KafkaSettings, new_log: NewLog
) -> None:
    log = new_log()
    await log.open()
    for name in ("a", "b"):
        await log.append(transaction(name))
    hung = await hung_transaction(kafka, 0, b"aborted")
    await abandoned(hung)
    await log.open()
    await log.append(transaction("c", "d"))
    assert [record.key[-1] for record in await state(log)] == ["a", "b", "c", "d"]
    assert [record.key[-1] for record in await state(log, 0, 1)] == ["a"]
    assert [record.key[-1] for record in await state(log, 2)] == ["b", "c", "d"]
    assert await state(log, 5, 5) == []


async def test_CP23_a_broker_that_does_not_answer_costs_the_time_limit_and_opening_again_settles_it(
    kafka_broker: KafkaServer, new_log: NewLog
) -> None:
    log = new_log()
    await log.open()
    await log.append(transaction("before"))
    kafka_broker.pause()
    try:
        started = time.monotonic()
        with pytest.raises(TransactionTooSlow):
            await log.append(transaction("in doubt"))
        assert kafka_log.LEAST_LIMIT_S <= time.monotonic() - started < kafka_log.LEAST_LIMIT_S + 1
        with pytest.raises(OwnershipLost, match="not open"):
            await log.append(transaction("nobody asked"))
    finally:
        kafka_broker.resume()
    await reopened(log.open)
    ends = await log.ends()
    assert ends.committed == ends.end
    await log.append(transaction("after"))
    keys = [record.key.rpartition("/")[2] for record in await state(log)]
    assert keys in (["before", "after"], ["before", "in doubt", "after"])


async def test_CP23_a_killed_broker_loses_nothing_that_was_acknowledged(
    kafka_broker: KafkaServer, new_log: NewLog
) -> None:
    log = new_log()
    await log.open()
    for n in range(5):
        await log.append(transaction(f"u{n}"))
    kafka_broker.kill()
    with pytest.raises(OwnershipLost):
        await log.append(transaction("lost"))
    kafka_broker.start()
    await reopened(log.open)
    await log.append(transaction("after"))
    keys = [record.key.rpartition("/")[2] for record in await state(log)]
    assert [key for key in keys if key != "lost"] == ["u0", "u1", "u2", "u3", "u4", "after"]


@pytest.mark.parametrize("expected", [False, True])
async def test_CP23_an_append_that_is_cancelled_leaves_the_log_to_be_opened_again(
    new_log: NewLog, expected: bool
) -> None:
    log = new_log()
    await log.open()
    for turns in range(12):
        if expected:
            log.expect()
        running = asyncio.create_task(log.append(transaction(f"cut-{turns}")))
        for _ in range(turns):
            await asyncio.sleep(0)
        if running.done():
            break
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        if turns:
            with pytest.raises(OwnershipLost, match="not open"):
                await log.append(transaction("too early"))
        await log.open()
        await log.append(transaction(f"whole-{turns}"))
    ends = await log.ends()
    assert ends.committed == ends.end
    keys = [record.key.rpartition("/")[2] for record in await state(log)]
    assert [key for key in keys if key.startswith("whole")] == [f"whole-{n}" for n in range(12)]
    assert len(set(keys)) == len(keys)


async def reopened(open_again: Callable[[], Awaitable[str]]) -> None:
    """Open as a take-over does: until it works."""
    async with asyncio.timeout(60):
        while True:
            try:
                await open_again()
                return
            except LogUnavailable:
                await asyncio.sleep(0.2)


async def test_opening_where_no_broker_is_says_so_in_one_line(kafka: KafkaSettings) -> None:
    log = KafkaPartitionLog(KafkaSettings(bootstrap="127.0.0.1:9", topic_prefix=kafka.topic_prefix), PARTITION)
    with pytest.raises(LogUnavailable, match=r"open partition 2: Kafka at 127\.0\.0\.1:9 failed"):
        await log.open()
    await log.close()


async def test_CP12_rivals_that_take_the_partition_from_each_other_lose_and_double_nothing(new_log: NewLog) -> None:
    rivals = [new_log(), new_log()]
    opened: list[KafkaPartitionLog] = []
    durable: list[str] = []
    chance = random.Random(5)
    for n in range(50):
        log = rivals[chance.randrange(2)]
        if log not in opened:
            await log.open()
            opened = [log]
        doomed = chance.random() < 0.15
        running = asyncio.create_task(log.append(transaction(f"u{n}")))
        if doomed:
            await asyncio.sleep(chance.random() * 0.005)
            running.cancel()
        try:
            await running
            durable.append(f"u{n}")
        except asyncio.CancelledError:
            opened = []
        if chance.random() < 0.1:
            # The other one takes over in the middle of a transaction of this one.
            other = rivals[1 - rivals.index(log)]
            late = asyncio.create_task(log.append(transaction(f"late-{n}"))) if opened else None
            await other.open()
            opened = [other]
            if late is not None:
                with contextlib.suppress(OwnershipLost):
                    await late
                    durable.append(f"late-{n}")
    await rivals[0].open()
    keys = [record.key.rpartition("/")[2] for record in await state(rivals[0])]
    assert len(set(keys)) == len(keys)
    assert [key for key in keys if key in set(durable)] == durable
