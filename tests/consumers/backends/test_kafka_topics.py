"""Topics on a real broker: made once, compared, and refused where a setting would break the promise (CP-9)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import NodeNotReadyError

from consumers.backends.kafka_topics import check_topics, create_topics, require_topics
from consumers.errors import LogUnavailable, WrongSettings
from consumers.settings import EventSettings, KafkaSettings, Settings
from consumers.topics import ABSENT, Topics
from tests.consumers.backends.kafka_topics_of_tests import administering, plain_producer
from tests.services.kafka import Broker
from tests.services.processes import KafkaServer

pytestmark = pytest.mark.services

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@pytest.fixture
def settings(kafka_bootstrap: str, topic_prefix: str) -> Settings:
    return Settings(kafka=KafkaSettings(bootstrap=kafka_bootstrap, topic_prefix=topic_prefix))


@pytest.fixture
def topics(topic_prefix: str) -> Topics:
    return Topics(topic_prefix)


async def altered(settings: Settings, topic: str, values: Mapping[str, str]) -> None:
    """Give a topic these settings, and the broker's defaults for all else."""
    async with administering(settings.kafka.bootstrap) as admin:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, dict(values))
        for response in await admin.alter_configs([resource]):
            assert all(code == 0 for code, *_ in response.resources), response


async def made_of(settings: Settings, topic: str) -> dict[str, str]:
    """Return the settings that ``topics create`` gave a topic."""
    rows = [row for row in await check_topics(settings) if row.topic == topic]
    return {row.setting: row.actual for row in rows if row.setting not in {"partitions", "replication"}}


async def test_what_was_made_is_known_to_every_broker_that_is_there_before_anything_is_said_of_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more broker of the cluster learns of the topics later, and another is away."""
    lagging, away = 98, 99
    asked: list[int | None] = []
    send, describe = AIOKafkaAdminClient._send_request, AIOKafkaAdminClient.describe_cluster

    async def described(admin: AIOKafkaAdminClient) -> Any:
        found = await describe(admin)
        return {**found, "brokers": [*found["brokers"], {"node_id": lagging}, {"node_id": away}]}

    async def sent(admin: AIOKafkaAdminClient, request: Any, node: int | None = None) -> Any:
        asked.append(node)
        if node == away:
            raise NodeNotReadyError("away")
        response = await send(admin, request, None if node == lagging else node)
        if node == lagging and asked.count(lagging) < 4:
            response.topics.clear()
        return response

    monkeypatch.setattr(AIOKafkaAdminClient, "describe_cluster", described)
    monkeypatch.setattr(AIOKafkaAdminClient, "_send_request", sent)
    rows = await create_topics(settings)
    assert (asked.count(lagging), asked.count(away)) == (4, 1)
    assert all(row.ok for row in rows if row.topic != "broker")


async def test_a_broker_that_tells_of_no_broker_yet_is_asked_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that has just started: there is nobody whom the client could ask."""
    asked = 0
    send = AIOKafkaAdminClient._send_request

    async def sent(admin: AIOKafkaAdminClient, request: Any, node: int | None = None) -> Any:
        nonlocal asked
        asked += 1
        if asked <= 2:
            raise NodeNotReadyError("Attempt to send a request to node which is not ready (node id None).")
        return await send(admin, request, node)

    monkeypatch.setattr(AIOKafkaAdminClient, "_send_request", sent)
    assert all(row.ok for row in await create_topics(settings))
    assert asked > 2


async def test_creating_is_repeatable_and_leaves_what_is_there(settings: Settings, topics: Topics) -> None:
    first = await create_topics(settings)
    assert all(row.ok for row in first)
    assert {row.topic for row in first} >= set(topics.all)
    changed = {**(await made_of(settings, topics.commands)), "retention.ms": str(100 * HOUR_MS)}
    await altered(settings, topics.commands, changed)
    again = await create_topics(settings)
    assert [row.actual for row in again if (row.topic, row.setting) == (topics.commands, "retention.ms")] == [
        str(100 * HOUR_MS)
    ]
    await require_topics(settings)


async def test_creating_makes_only_what_is_missing(settings: Settings, topics: Topics) -> None:
    async with administering(settings.kafka.bootstrap) as admin:
        await admin.create_topics([NewTopic(topics.state, 4, 1)])
    rows = await create_topics(settings)
    wrong = {(row.topic, row.setting) for row in rows if not row.ok}
    assert {topic for topic, _ in wrong} == {topics.state}
    assert (topics.state, "cleanup.policy") in wrong


async def test_CP9_a_missing_topic_is_refused_and_the_remedy_named(settings: Settings, topics: Topics) -> None:
    rows = await check_topics(settings)
    assert {(row.topic, row.actual) for row in rows if not row.ok} == {(topic, ABSENT) for topic in topics.all}
    with pytest.raises(WrongSettings, match="run 'scimgw topics create'"):
        await require_topics(settings)
    # Looking has made nothing, whatever the broker creates on demand.
    assert await check_topics(settings) == rows


WRONG = [
    ("state", "cleanup.policy", "delete"),
    ("state", "cleanup.policy", "compact,delete"),
    ("state", "min.compaction.lag.ms", str(25 * HOUR_MS)),
    ("state", "max.compaction.lag.ms", str(29 * DAY_MS)),
    ("state", "delete.retention.ms", str(6 * DAY_MS)),
    ("state", "segment.bytes", str(2 * 1024**3 - 1)),
    ("state", "max.message.bytes", str(1024 * 1024)),
    ("state", "message.timestamp.type", "CreateTime"),
    ("commands", "message.timestamp.type", "CreateTime"),
    ("commands", "retention.ms", str(71 * HOUR_MS)),
    ("commands", "retention.bytes", str(1024**3)),
    ("commands", "cleanup.policy", "compact"),
    ("commands", "max.message.bytes", str(8 * 1024 * 1024)),
    ("events", "retention.ms", str(29 * DAY_MS)),
    ("events", "max.message.bytes", str(1024 * 1024)),
    ("dead", "retention.ms", str(DAY_MS)),
]


async def test_CP9_each_wrong_setting_is_refused_by_name_value_and_remedy(settings: Settings, topics: Topics) -> None:
    await create_topics(settings)
    right = {topic: await made_of(settings, topic) for topic in topics.all}
    for name, setting, value in WRONG:
        topic: str = getattr(topics, name)
        await altered(settings, topic, {**right[topic], setting: value})
        with pytest.raises(WrongSettings) as refused:
            await require_topics(settings)
        line = str(refused.value)
        assert line.startswith(f"topic {topic}: {setting} is {value}, should be "), line
        assert f"--add-config {setting}=" in line
        assert "\n" not in line
        assert "more:" not in line, "this alone is wrong"
        await altered(settings, topic, right[topic])
    await require_topics(settings)


async def test_CP9_other_partitions_are_refused_for_life(settings: Settings) -> None:
    await create_topics(settings)
    other = msgspec.structs.replace(settings, kafka=msgspec.structs.replace(settings.kafka, partitions=8))
    with pytest.raises(WrongSettings, match="partitions is 4, should be 8; partitions are fixed for life"):
        await require_topics(other)


async def test_CP9_fewer_copies_than_set_are_refused(settings: Settings) -> None:
    await create_topics(settings)
    other = msgspec.structs.replace(settings, kafka=msgspec.structs.replace(settings.kafka, replication=3))
    with pytest.raises(WrongSettings, match="replication is 1, should be at least 3"):
        await require_topics(other)
    rows = await check_topics(other)
    assert {row.actual for row in rows if row.setting == "min.insync.replicas" and not row.ok} == {"1"}


async def test_the_events_are_kept_as_long_as_set(settings: Settings, topics: Topics) -> None:
    other = msgspec.structs.replace(settings, events=EventSettings(retention_days=3))
    await create_topics(other)
    assert (await made_of(other, topics.events))["retention.ms"] == str(3 * DAY_MS)
    with pytest.raises(WrongSettings, match=f"retention.ms is {3 * DAY_MS}, should be {14 * DAY_MS}"):
        await require_topics(settings)


async def test_more_copies_than_brokers_are_refused_in_one_line(settings: Settings) -> None:
    other = msgspec.structs.replace(settings, kafka=msgspec.structs.replace(settings.kafka, replication=3))
    with pytest.raises(LogUnavailable, match=r"create topic .* refused it .*check kafka\.replication"):
        await create_topics(other)


async def test_a_transaction_log_that_the_broker_cannot_serve_is_refused(tmp_path: Path) -> None:
    broker = Broker(tmp_path, {"transaction.state.log.replication.factor": "3", "transaction.state.log.min.isr": "2"})
    broker.start()
    try:
        settings = Settings(kafka=KafkaSettings(bootstrap=broker.bootstrap))
        await create_topics(settings)
        with pytest.raises(
            WrongSettings,
            match=r"Kafka's broker: transaction\.state\.log\.replication\.factor is 3, should be at most 1; set ",
        ):
            await require_topics(settings)
    finally:
        broker.stop()


async def test_CP9_a_transaction_log_with_fewer_copies_than_the_topics_is_refused(
    settings: Settings, topic_prefix: str
) -> None:
    """It would go with its broker, and leave acknowledged transactions without an end: they would have to be aborted."""
    await create_topics(settings)
    async with plain_producer(settings.kafka, f"{topic_prefix}-any"):
        pass  # now the topic of the transaction log is there
    other = msgspec.structs.replace(settings, kafka=msgspec.structs.replace(settings.kafka, replication=3))
    rows = {row.setting: row for row in await check_topics(other) if row.topic == "broker"}
    assert [(row.actual, row.wanted, row.ok) for row in rows.values()] == [
        ("1", "at least 3", False),
        ("1", "at least 2", False),
    ]
    assert all("__transaction_state" in row.remedy for row in rows.values())
    assert all(row.ok for row in await check_topics(settings))


async def test_a_broker_that_is_away_or_frozen_is_unavailable_rather_than_wrong(
    kafka_broker: KafkaServer, settings: Settings
) -> None:
    away = Settings(kafka=KafkaSettings(bootstrap="127.0.0.1:9"))
    with pytest.raises(LogUnavailable, match=r"Kafka at 127\.0\.0\.1:9 failed"):
        await require_topics(away)
    kafka_broker.pause()
    try:
        async with asyncio.timeout(40):
            with pytest.raises(LogUnavailable, match="look whether its brokers run"):
                await require_topics(settings)
    finally:
        kafka_broker.resume()
