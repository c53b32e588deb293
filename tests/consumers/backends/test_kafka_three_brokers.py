"""Three real brokers: the settings that are accepted there, and what was acknowledged outlives any one of them (CP-9)."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from consumers.backends.kafka_commands import KafkaCommandLog
from consumers.backends.kafka_log import KafkaPartitionLog
from consumers.backends.kafka_topics import check_topics, create_topics, require_topics
from consumers.errors import LogUnavailable, WrongSettings
from consumers.partition_ports import OwnershipLost
from consumers.settings import KafkaSettings, Settings
from consumers.topics import Topics, wanted
from tests.consumers.backends.kafka_topics_of_tests import administering, created, transaction, values
from tests.faults.brokers import NUMBER, Brokers, Member
from tests.services.choice import absent
from tests.services.processes import Missing

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(600)]

T = TypeVar("T")
PARTITION = 0
PATIENCE_S = 120.0
"""Three brokers on a busy machine take their time to elect a leader."""


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brokers]:
    """Three of them, each record on all."""
    try:
        cluster = Brokers(tmp_path_factory.mktemp("three-brokers"))
    except Missing as why:
        absent("kafka", str(why))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.kill()


@pytest.fixture
async def kafka(brokers: Brokers, topic_prefix: str) -> AsyncIterator[KafkaSettings]:
    """Give settings of topics with three copies; every broker runs before and after."""
    for member in brokers.members:
        member.revive()
    async with asyncio.timeout(PATIENCE_S):
        settings = await patiently(lambda: created(brokers.bootstrap, topic_prefix, replication=NUMBER))
        await everywhere(settings)
        yield settings
    for member in brokers.members:
        member.revive()


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask until it works: while a leader is elected nothing does."""
    while True:
        try:
            return await ask()
        except (LogUnavailable, OwnershipLost):
            await asyncio.sleep(0.2)


async def partitions(kafka: KafkaSettings, *topics: str) -> list[dict[str, Any]]:
    """Return what a broker tells of each partition of the topics."""
    async with administering(kafka.bootstrap) as admin:
        described = await admin.describe_topics(list(topics))
    return [one for topic in described for one in topic["partitions"]]


async def everywhere(kafka: KafkaSettings) -> None:
    """Wait until all copies are in step: only then may a broker be lost."""
    names = [*Topics(kafka.topic_prefix).all, "__transaction_state"]
    while True:
        found = await partitions(kafka, *names)
        if found and all(len(one["isr"]) == NUMBER for one in found):
            return
        await asyncio.sleep(0.2)


async def leader(brokers: Brokers, kafka: KafkaSettings, topic: str) -> Member:
    """Return the broker that leads the partition we write."""
    (found,) = [one["leader"] for one in await partitions(kafka, topic) if one["partition"] == PARTITION]
    return next(member for member in brokers.members if member.node == found)


async def altered(kafka: KafkaSettings, topic: str, **values: str) -> None:
    """Give a topic what ``topics create`` gives it, but for these."""
    wants = wanted(Topics(kafka.topic_prefix), partitions=4, replication=NUMBER, retention_days=14)[topic]
    plain = {name: want.value for name, want in wants.items() if "." in name}
    async with administering(kafka.bootstrap) as admin:
        changed = plain | {name.replace("_", "."): value for name, value in values.items()}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, changed)])


async def test_CP9_three_copies_of_which_two_acknowledge_are_accepted(kafka: KafkaSettings) -> None:
    settings = Settings(kafka=kafka)
    await require_topics(settings)
    rows = {(row.topic, row.setting): (row.actual, row.ok) for row in await check_topics(settings)}
    for topic in Topics(kafka.topic_prefix).all:
        assert rows[topic, "replication"] == ("3", True)
        assert rows[topic, "min.insync.replicas"] == ("2", True)
    assert rows["broker", "transaction.state.log.replication.factor"] == ("3", True)
    assert rows["broker", "transaction.state.log.min.isr"] == ("2", True)


@pytest.mark.parametrize("value", ["1", "3"], ids=["one acknowledges", "all must"])
async def test_CP9_another_number_that_acknowledges_is_refused(kafka: KafkaSettings, value: str) -> None:
    """One alone may be lost with what it acknowledged; where all must, none may be lost."""
    state = Topics(kafka.topic_prefix).state
    await altered(kafka, state, min_insync_replicas=value)
    refused = await refusal(kafka)
    assert refused.startswith(f"topic {state}: min.insync.replicas is {value}, should be 2 to 2; "), refused
    await altered(kafka, state)
    await patiently_accepted(kafka)


async def refusal(kafka: KafkaSettings) -> str:
    """Return why the settings are refused; a broker learns of a change a moment later."""
    while True:
        try:
            await require_topics(Settings(kafka=kafka))
        except WrongSettings as error:
            return str(error)
        await asyncio.sleep(0.1)


async def patiently_accepted(kafka: KafkaSettings) -> None:
    while True:
        try:
            return await require_topics(Settings(kafka=kafka))
        except WrongSettings:
            await asyncio.sleep(0.1)


async def test_CP9_a_topic_with_one_copy_is_refused_where_three_were_set(brokers: Brokers) -> None:
    prefix = f"t{uuid.uuid4().hex[:10]}"
    kafka = msgspec.structs.replace(KafkaSettings(), bootstrap=brokers.bootstrap, topic_prefix=prefix, replication=3)
    events = Topics(prefix).events
    async with administering(kafka.bootstrap) as admin:
        await admin.create_topics([NewTopic(events, 4, 1)])
    await create_topics(Settings(kafka=kafka))
    rows = {(row.topic, row.setting): row for row in await check_topics(Settings(kafka=kafka))}
    assert (rows[events, "replication"].actual, rows[events, "replication"].ok) == ("1", False)
    assert "kafka-reassign-partitions.sh" in rows[events, "replication"].remedy
    with pytest.raises(WrongSettings, match=f"topic {events}: "):
        await require_topics(Settings(kafka=kafka))


async def test_CP9_what_was_acknowledged_outlives_the_leader_of_its_partition(
    brokers: Brokers, kafka: KafkaSettings
) -> None:
    """Commands and transactions, while the leader of first the state, then the commands is killed."""
    topics = Topics(kafka.topic_prefix)
    log, commands = KafkaPartitionLog(kafka, PARTITION), KafkaCommandLog(kafka, lambda _ahead_s: None)
    acknowledged: list[str] = []
    appended: list[bytes] = []
    stopping = asyncio.Event()

    async def deciding() -> None:
        """An owner: whatever fails in a transaction is settled by opening again (CP-11)."""
        await patiently(log.open)
        while not stopping.is_set():
            name = f"u{len(acknowledged)}-{uuid.uuid4().hex[:6]}"
            try:
                await log.append(transaction(name))
            except OwnershipLost:
                await patiently(log.open)
            else:
                acknowledged.append(name)

    async def calling() -> None:
        await commands.start()
        number = 0
        while not stopping.is_set():
            number += 1
            value = str(number).encode()
            try:
                await commands.append(PARTITION, "acme/x", value)
            except LogUnavailable:
                await asyncio.sleep(0.05)
            else:
                appended.append(value)

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(deciding(), name="deciding")
            group.create_task(calling(), name="calling")
            await both(acknowledged, appended, 20)
            for topic in (topics.state, topics.commands):
                lost = await leader(brokers, kafka, topic)
                lost.kill()
                await both(acknowledged, appended, 20)  # two brokers are enough
                assert (await leader(brokers, kafka, topic)).node != lost.node
                lost.revive()
                await everywhere(kafka)
            stopping.set()
        ends = await patiently(log.ends)
        found = [record.key async for stretch in log.read(0, ends.end) for record in stretch]
        events = await values(kafka, topics.events, PARTITION)
    finally:
        await log.close()
        await commands.close()
    names = [key.removeprefix("acme/User/") for key in found]
    assert [name for name in names if name in set(acknowledged)] == acknowledged, "all, once, in their order"
    assert {msgspec.json.decode(value)["jti"].removesuffix(":1") for value in events} == set(names)
    assert ends.committed == ends.end
    kept = await values(kafka, topics.commands, PARTITION, "read_uncommitted")
    assert set(appended) <= set(kept)


async def both(one: list[str], other: list[bytes], more: int) -> None:
    """Wait until both have grown by so much."""
    least = len(one) + more, len(other) + more
    while len(one) < least[0] or len(other) < least[1]:
        await asyncio.sleep(0.05)


async def test_CP9_one_broker_alone_acknowledges_nothing(brokers: Brokers, kafka: KafkaSettings) -> None:
    topics = Topics(kafka.topic_prefix)
    log = KafkaPartitionLog(kafka, PARTITION)
    try:
        await patiently(log.open)
        await log.append(transaction("before"))
        staying = await leader(brokers, kafka, topics.state)
        for member in brokers.members:
            if member is not staying:
                member.kill()
        with pytest.raises((OwnershipLost, LogUnavailable)):
            await log.append(transaction("alone"))
        with pytest.raises((OwnershipLost, LogUnavailable)):
            await log.append(transaction("not open"))
        for member in brokers.members:
            member.revive()
        await patiently(log.open)
        await patiently(lambda: log.append(transaction("after")))
        ends = await patiently(log.ends)
        found = [record.key async for stretch in log.read(0, ends.end) for record in stretch]
    finally:
        await log.close()
    # What failed is in doubt until the log is opened again: then it is there as a whole or not at all.
    assert [key for key in found if not key.endswith("alone")] == ["acme/User/before", "acme/User/after"]


def test_members_have_what_the_runbook_asks_for(tmp_path: Path) -> None:
    properties = Brokers(tmp_path).members[0].properties
    assert properties["transaction.state.log.min.isr"] == "2"
    assert properties["unclean.leader.election.enable"] == "false"
