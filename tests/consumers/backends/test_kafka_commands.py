"""The command topic as a gateway writes it, on a real broker."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition

from consumers.backends import kafka_commands
from consumers.backends.kafka_commands import KafkaCommandLog
from consumers.errors import LogUnavailable, RecordTooLarge
from consumers.partition_ports import Appended
from consumers.settings import KafkaSettings
from consumers.topics import MOST_RECORD_BYTES, Topics
from tests.consumers.backends.kafka_topics_of_tests import created, until, values
from tests.services.processes import KafkaServer

pytestmark = pytest.mark.services


@pytest.fixture
async def kafka(kafka_bootstrap: str, topic_prefix: str) -> KafkaSettings:
    return await created(kafka_bootstrap, topic_prefix)


@pytest.fixture
def skews() -> list[float]:
    return []


@pytest.fixture
async def log(kafka: KafkaSettings, skews: list[float]) -> AsyncIterator[KafkaCommandLog]:
    log = KafkaCommandLog(kafka, skews.append)
    await log.start()
    yield log
    await log.close()


async def commands(kafka: KafkaSettings, partition: int) -> list[bytes]:
    return await values(kafka, Topics(kafka.topic_prefix).commands, partition)


async def test_a_command_is_durable_when_append_returns(kafka: KafkaSettings, log: KafkaCommandLog) -> None:
    before = int(time.time() * 1000)
    appended = await log.append(1, "acme/a", b"1")
    assert log.reached
    assert appended.offset == 0
    assert before - 1 <= appended.appended_at <= time.time() * 1000
    assert await commands(kafka, 1) == [b"1"]


async def test_commands_of_a_partition_stand_in_the_order_of_the_calls(
    kafka: KafkaSettings, log: KafkaCommandLog
) -> None:
    appends = [log.append(n % 4, "acme/a", str(n).encode()) for n in range(2000)]
    places = await asyncio.gather(*appends)
    for partition in range(4):
        expected = [str(n).encode() for n in range(2000) if n % 4 == partition]
        assert await commands(kafka, partition) == expected
        assert [place.offset for place in places[partition::4]] == list(range(500))


async def test_what_waits_is_gathered_into_few_batches(log: KafkaCommandLog, skews: list[float]) -> None:
    await log.append(0, "acme/a", b"0")
    await asyncio.gather(*(log.append(0, "acme/a", b"x" * 100) for _ in range(500)))
    assert len(skews) <= 4


async def test_callers_who_each_wait_for_their_last_answer_share_batches(
    log: KafkaCommandLog, skews: list[float]
) -> None:
    async def call() -> None:
        for _ in range(20):
            await log.append(0, "acme/a", b"1")

    await asyncio.gather(*(call() for _ in range(50)))
    assert len(skews) < 1000 / 10, "one batch for ten commands or more"


async def test_CP18_a_broker_with_our_clock_is_seen_without_skew(log: KafkaCommandLog, skews: list[float]) -> None:
    for _ in range(5):
        await log.append(0, "acme/a", b"1")
    assert skews == [0.0] * 5


@pytest.mark.parametrize("apart_s", [-3.0, 3.0])
async def test_CP18_a_clock_apart_shows_by_how_much(
    log: KafkaCommandLog, skews: list[float], monkeypatch: pytest.MonkeyPatch, apart_s: float
) -> None:
    await log.append(0, "acme/a", b"1")

    class Apart:
        """The time module with our clock put forward or back."""

        @staticmethod
        def time() -> float:
            return time.time() + apart_s

    monkeypatch.setattr(kafka_commands, "time", Apart)
    await log.append(0, "acme/a", b"1")
    assert 2.0 < skews[-1] * (1 if apart_s > 0 else -1) < 3.1


async def test_CP10_a_record_over_the_limit_is_refused_and_the_next_is_taken(
    kafka: KafkaSettings, log: KafkaCommandLog
) -> None:
    with pytest.raises(RecordTooLarge):
        await log.append(0, "acme/a", b"x" * MOST_RECORD_BYTES)
    largest = os.urandom(MOST_RECORD_BYTES - 6)
    await log.append(0, "acme/a", largest)
    await log.append(0, "acme/a", b"small")
    assert await commands(kafka, 0) == [largest, b"small"]


async def test_a_caller_that_gives_up_takes_nobody_with_it(kafka: KafkaSettings, log: KafkaCommandLog) -> None:
    await log.append(0, "acme/a", b"first")
    first = asyncio.ensure_future(log.append(0, "acme/a", b"given up"))
    second = asyncio.ensure_future(log.append(0, "acme/a", b"second"))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert [one for one in await commands(kafka, 0) if one != b"given up"] == [b"first", b"second"]


async def test_a_broken_producer_is_made_anew_and_who_waited_is_told(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    new_producer = KafkaCommandLog._producer

    def noted(log: KafkaCommandLog) -> Any:
        made.append(new_producer(log))
        return made[-1]

    monkeypatch.setattr(KafkaCommandLog, "_producer", noted)
    log = KafkaCommandLog(kafka, lambda _: None)
    await log.start()
    try:
        await log.append(0, "acme/a", b"1")
        # As after a batch that was given up: the broker takes no later one of this producer.
        place = TopicPartition(Topics(kafka.topic_prefix).commands, 0)
        made[0]._txn_manager.increment_sequence_number(place, 7)
        waiting = [log.append(0, "acme/a", b"lost") for _ in range(3)]
        told = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(one) for one in told] == [LogUnavailable] * 3
        started = time.monotonic()
        await appended_again(lambda: log.append(0, "acme/a", b"2"))
        assert time.monotonic() - started < 3
        assert len(made) == 2
        assert await commands(kafka, 0) == [b"1", b"2"]
    finally:
        await log.close()


async def test_a_frozen_broker_delays_appends_and_loses_none(
    kafka: KafkaSettings, log: KafkaCommandLog, kafka_broker: KafkaServer
) -> None:
    await log.append(0, "acme/a", b"0")
    kafka_broker.pause()
    waiting = [asyncio.ensure_future(log.append(0, "acme/a", str(n).encode())) for n in range(1, 20)]
    await asyncio.sleep(1)
    kafka_broker.resume()
    await asyncio.gather(*waiting)
    assert await commands(kafka, 0) == [str(n).encode() for n in range(20)]


async def test_a_killed_broker_loses_nothing_acknowledged_and_doubles_nothing(
    kafka: KafkaSettings, log: KafkaCommandLog, kafka_broker: KafkaServer
) -> None:
    for n in range(5):
        await log.append(0, "acme/a", f"before-{n}".encode())
    kafka_broker.kill()
    doubtful = [asyncio.ensure_future(log.append(0, "acme/a", f"doubt-{n}".encode())) for n in range(5)]
    kafka_broker.start()
    await asyncio.gather(*doubtful, return_exceptions=True)
    await appended_again(lambda: log.append(0, "acme/a", b"after"))
    found = await commands(kafka, 0)
    assert len(set(found)) == len(found)
    sure = {f"before-{n}".encode() for n in range(5)} | {b"after"}
    sure |= {f"doubt-{n}".encode() for n, one in enumerate(doubtful) if not one.exception()}
    assert sure <= set(found)


async def test_too_much_that_waits_is_refused_at_once(
    kafka_broker: KafkaServer, log: KafkaCommandLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_commands, "MOST_WAITING", 5)
    await log.append(0, "acme/a", b"0")
    kafka_broker.pause()
    waiting = [asyncio.ensure_future(log.append(0, "acme/a", b"1")) for _ in range(5)]
    await asyncio.sleep(0.1)
    with pytest.raises(LogUnavailable, match="too slow"):
        await log.append(0, "acme/a", b"one more")
    kafka_broker.resume()
    await asyncio.gather(*waiting)
    await log.append(0, "acme/a", b"there is room again")


async def test_without_a_broker_appends_fail_at_once_and_closing_ends() -> None:
    log = KafkaCommandLog(KafkaSettings(bootstrap="127.0.0.1:9"), lambda _: None)
    await log.start()
    first = asyncio.ensure_future(log.append(0, "acme/a", b"1"))
    with pytest.raises(LogUnavailable, match=r"append to scim\.commands\.v1: Kafka at 127\.0\.0\.1:9 failed"):
        await first
    assert not log.reached
    with pytest.raises(LogUnavailable):
        await log.append(0, "acme/a", b"1")
    await log.close()
    with pytest.raises(LogUnavailable, match="stopping"):
        await log.append(0, "acme/a", b"1")


async def test_a_certificate_that_cannot_be_read_is_tried_again_and_said_now_and_then(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As a rotation leaves it for a moment: neither the end of appending nor a loop that says so a thousand times."""
    kafka = KafkaSettings(bootstrap="127.0.0.1:1", security_protocol="SSL", ca_file=str(tmp_path / "absent.pem"))
    log = KafkaCommandLog(kafka, lambda _skew: None)
    await log.start()
    await asyncio.sleep(0.6)
    with pytest.raises(LogUnavailable, match="ca_file"):
        await log.append(0, "acme/a", b"1")
    assert {record.levelname for record in caplog.records} == {"WARNING"}
    assert 1 <= len(caplog.records) <= 6
    await log.close()


async def test_topics_that_are_not_there_yet_are_found_when_they_are(kafka_bootstrap: str, topic_prefix: str) -> None:
    log = KafkaCommandLog(KafkaSettings(bootstrap=kafka_bootstrap, topic_prefix=topic_prefix), lambda _: None)
    await log.start()
    try:
        await asyncio.sleep(0.5)
        assert not log.reached
        await created(kafka_bootstrap, topic_prefix)
        await until(lambda: log.reached, 40)
        assert (await log.append(0, "acme/a", b"1")).offset == 0
    finally:
        await log.close()


async def appended_again(append: Callable[[], Awaitable[Appended]]) -> Appended:
    async with asyncio.timeout(60):
        while True:
            try:
                return await append()
            except LogUnavailable:
                await asyncio.sleep(0.1)
