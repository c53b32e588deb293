"""``scimgw topics`` and ``scimgw events`` on a real broker."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import time

import pytest

from consumers.backends.kafka_log import KafkaPartitionLog
from consumers.settings import KafkaSettings
from consumers.topics import Topics
from tests.consumers.backends.kafka_topics_of_tests import transaction
from tests.gateway.test_cli import COMMAND, Ran, environment, scimgw

pytestmark = pytest.mark.services


@pytest.fixture
def settings(kafka_bootstrap: str, topic_prefix: str) -> dict[str, str]:
    return {
        "SCIMGW_KAFKA__BOOTSTRAP": kafka_bootstrap,
        "SCIMGW_KAFKA__TOPIC_PREFIX": topic_prefix,
        "SCIMGW_REDIS__URL": "redis://127.0.0.1:1",
    }


def run(settings: dict[str, str], *arguments: str) -> Ran:
    return scimgw(*arguments, cwd=None, **settings)


def filled(settings: dict[str, str]) -> None:
    """Create the topics and put two events into partition 0, three into partition 3."""
    assert run(settings, "topics", "create").code == 0
    asyncio.run(put(settings, 0, "a", "b"))
    asyncio.run(put(settings, 3, "c", "d"))
    asyncio.run(put(settings, 3, "e"))


async def put(settings: dict[str, str], partition: int, *names: str) -> None:
    kafka = KafkaSettings(
        bootstrap=settings["SCIMGW_KAFKA__BOOTSTRAP"], topic_prefix=settings["SCIMGW_KAFKA__TOPIC_PREFIX"]
    )
    log = KafkaPartitionLog(kafka, partition)
    await log.open()
    await log.append(transaction(*names))
    # The marker, which makes it visible, is written after the acknowledgement.
    async with asyncio.timeout(20):
        while (ends := await log.ends()).committed != ends.end:
            await asyncio.sleep(0.01)
    await log.close()


def jtis(out: str) -> list[str]:
    return [json.loads(line)["jti"][0] for line in out.splitlines()]


def test_topics_are_created_once_and_checked(settings: dict[str, str]) -> None:
    topics = Topics(settings["SCIMGW_KAFKA__TOPIC_PREFIX"])
    missing = run(settings, "topics", "check")
    assert missing.code == 1
    assert f"{topics.state} topic: run 'scimgw topics create'" in missing.err
    for _ in range(2):
        created = run(settings, "topics", "create")
        assert (created.code, created.err) == (0, "")
        rows = [line.split() for line in created.out.splitlines()]
        assert rows[0] == ["topic", "setting", "is", "should", "be"]
        assert [topics.state, "cleanup.policy", "compact", "compact", "ok"] in rows
    assert run(settings, "topics", "check").code == 0


def test_a_difference_is_shown_as_it_is_and_as_it_should_be(settings: dict[str, str]) -> None:
    run(settings, "topics", "create")
    other = settings | {"SCIMGW_KAFKA__PARTITIONS": "8", "SCIMGW_EVENTS__RETENTION_DAYS": "3"}
    differing = run(other, "topics", "check", "--json")
    assert differing.code == 1
    rows = {(row["topic"], row["setting"]): row for row in json.loads(differing.out) if not row["ok"]}
    topics = Topics(settings["SCIMGW_KAFKA__TOPIC_PREFIX"])
    assert set(rows) == {(topic, "partitions") for topic in topics.all} | {(topics.events, "retention.ms")}
    row = rows[topics.events, "retention.ms"]
    assert (row["actual"], row["wanted"]) == (str(14 * 86_400_000), str(3 * 86_400_000))


def test_topics_without_a_broker_named_or_running_are_refused_in_one_line(settings: dict[str, str]) -> None:
    none = scimgw("topics", "check")
    assert none.code == 2
    assert "set SCIMGW_KAFKA__BOOTSTRAP" in none.err
    away = run(settings | {"SCIMGW_KAFKA__BOOTSTRAP": "127.0.0.1:9"}, "topics", "check")
    assert away.code == 1
    assert "scimgw: connect: Kafka at 127.0.0.1:9 failed" in away.err


def test_events_of_all_partitions_are_printed_in_the_order_of_each(settings: dict[str, str]) -> None:
    filled(settings)
    assert jtis(run(settings, "events").out) == ["a", "b", "c", "d", "e"]
    assert jtis(run(settings, "events", "--from", "2020-01-01T00:00:00Z").out) == ["a", "b", "c", "d", "e"]
    assert run(settings, "events", "--from", "latest").out == ""
    assert run(settings, "events", "--from", "2100-01-01T00:00:00Z").out == ""
    assert run(settings, "events", "--tenant", "other").out == ""
    assert jtis(run(settings, "events", "--from", "3:1").out) == ["d", "e"]
    wrapped = [json.loads(line) for line in run(settings, "events", "--meta").out.splitlines()]
    assert [(one["partition"], one["offset"]) for one in wrapped] == [(0, 0), (0, 1), (3, 0), (3, 1), (3, 3)]
    assert wrapped[0]["key"] == "acme/a"
    assert wrapped[0]["headers"]["ce_tenant"] == "acme"
    refused = run(settings, "events", "--from", "4:0")
    assert refused.code == 2
    assert "the last partition here is 3" in refused.err


def test_following_merges_the_partitions_until_interrupted(settings: dict[str, str]) -> None:
    filled(settings)
    following = subprocess.Popen(
        [*COMMAND, "events", "--follow"], env=environment(**settings), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert following.stdout is not None
        first = [json.loads(following.stdout.readline())["jti"][0] for _ in range(5)]
        assert sorted(first) == ["a", "b", "c", "d", "e"]
        asyncio.run(put(settings, 1, "f"))
        assert json.loads(following.stdout.readline())["jti"] == "f:1"
        started = time.monotonic()
        following.send_signal(signal.SIGINT)
        assert following.wait(timeout=20) == 130
        assert time.monotonic() - started < 10
    finally:
        following.kill()
        following.communicate()
