"""The topics on the brokers: made, compared with what they should be, and refused where they would break the promise."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import NodeNotReadyError, NoError, TopicAlreadyExistsError, for_code
from aiokafka.protocol.metadata import MetadataRequest

from consumers.backends.kafka_client import START_LIMIT_S, client_arguments, connecting, translating
from consumers.errors import LogUnavailable, WrongSettings
from consumers.settings import KafkaSettings, Settings
from consumers.topics import PARTITIONS, REPLICATION, SAFE_COPIES, Row, Topics, Wanted, compared, wanted

_BROKER: Final = "broker"
_TRANSACTION_LOG: Final = ("transaction.state.log.replication.factor", "transaction.state.log.min.isr")
"""With more than there are brokers, no transaction ever begins: the producers' start hangs."""
_TRANSACTIONS: Final = "__transaction_state"
_LOOK_AGAIN_S: Final = 0.05
"""After that a broker may know of what it did not know."""


async def create_topics(settings: Settings) -> list[Row]:
    """Create what is missing and return how everything is now; what exists is left as it is. Repeatable.

    Raises LogUnavailable.
    """
    names = Topics(settings.kafka.topic_prefix)
    async with _administering(settings.kafka) as admin:
        existing = await _actual(settings.kafka, admin, names.all)
        new = [_new_topic(topic, wants) for topic, wants in _wanted(settings).items() if topic not in existing]
        if new:
            with translating(settings.kafka, "create the topics"):
                response = await admin.create_topics(new, timeout_ms=int(START_LIMIT_S * 1000))
            _check_created(settings.kafka, response)
        await _known(settings.kafka, admin, names.all)
        return await _rows(settings, admin)


async def check_topics(settings: Settings) -> list[Row]:
    """Return each setting as it is and as it should be. Raises LogUnavailable."""
    async with _administering(settings.kafka) as admin:
        return await _rows(settings, admin)


async def require_topics(settings: Settings) -> None:
    """Raise WrongSettings where a topic or the brokers' transaction log would break the promise (CP-9).

    Names the setting, its value and the remedy; raises LogUnavailable when the brokers cannot be asked.
    """
    wrong = [row for row in await check_topics(settings) if not row.ok]
    if not wrong:
        return
    row = wrong[0]
    more = f" (and {len(wrong) - 1} more: 'scimgw topics check')" if len(wrong) > 1 else ""
    place = "Kafka's broker" if row.topic == _BROKER else f"topic {row.topic}"
    raise WrongSettings(f"{place}: {row.setting} is {row.actual}, should be {row.wanted}; {row.remedy}{more}")


def _wanted(settings: Settings) -> dict[str, dict[str, Wanted]]:
    kafka = settings.kafka
    return wanted(
        Topics(kafka.topic_prefix),
        partitions=kafka.partitions,
        replication=kafka.replication,
        retention_days=settings.events.retention_days,
    )


@contextlib.asynccontextmanager
async def _administering(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**client_arguments(kafka))
    try:
        async with connecting(kafka, "connect"):
            await admin.start()
        yield admin
    finally:
        await admin.close()


def _new_topic(topic: str, wants: dict[str, Wanted]) -> NewTopic:
    configuration = {name: want.value for name, want in wants.items() if name not in {PARTITIONS, REPLICATION}}
    return NewTopic(topic, int(wants[PARTITIONS].value), int(wants[REPLICATION].value), topic_configs=configuration)


def _check_created(kafka: KafkaSettings, response: Any) -> None:
    """Raise LogUnavailable for a topic that was not created; one that somebody else has just created is one."""
    for topic, code, *why in response.topic_errors:
        error = for_code(code)
        if error not in {NoError, TopicAlreadyExistsError}:
            reason = (why[0] if why else None) or error.__name__
            raise LogUnavailable(
                f"create topic {topic}: Kafka at {kafka.bootstrap} refused it ({reason}); "
                "check kafka.replication against the number of brokers, and the user's rights"
            )


async def _known(kafka: KafkaSettings, admin: AIOKafkaAdminClient, topics: Iterable[str]) -> None:
    """Wait until every broker knows topics that the controller has just made: nobody says which one is asked next."""
    names = set(topics)
    with translating(kafka, "wait for the topics"):
        async with asyncio.timeout(START_LIMIT_S):
            for broker in (await admin.describe_cluster())["brokers"]:
                while not await _is_known(admin, broker["node_id"], names):  # noqa: ASYNC110 - no event of ours
                    await asyncio.sleep(_LOOK_AGAIN_S)


async def _is_known(admin: AIOKafkaAdminClient, node: int, topics: set[str]) -> bool:
    """Tell whether a broker knows the topics; who is away learns of them before it answers anybody."""
    try:
        return not topics - (await _shapes(admin, topics, node)).keys()
    except NodeNotReadyError:
        return True


async def _rows(settings: Settings, admin: AIOKafkaAdminClient) -> list[Row]:
    wants = _wanted(settings)
    rows = compared(wants, await _actual(settings.kafka, admin, wants), bootstrap=settings.kafka.bootstrap)
    return rows + await _broker_rows(settings.kafka, admin)


async def _actual(kafka: KafkaSettings, admin: AIOKafkaAdminClient, topics: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return topic → setting → value of those topics that exist."""
    with translating(kafka, "look at the topics"):
        async with asyncio.timeout(START_LIMIT_S):
            while True:
                try:
                    found = await _shapes(admin, topics)
                    break
                except NodeNotReadyError:  # a broker that has just started tells of none
                    await asyncio.sleep(_LOOK_AGAIN_S)
                    await admin._client.force_metadata_update()
            for topic, values in (await _configurations(admin, ConfigResourceType.TOPIC, found)).items():
                found[topic] |= values
    return found


async def _shapes(
    admin: AIOKafkaAdminClient, topics: Iterable[str], node: int | None = None
) -> dict[str, dict[str, str]]:
    """Return the partitions and the replication of the topics that exist, as this broker knows, or any."""
    shapes = {}
    names = set(topics)
    # All of them: a broker that creates topics on demand would create those that are asked for by name.
    metadata = await admin._send_request(MetadataRequest(None), node)
    for topic in metadata.to_object()["topics"]:
        if topic["error_code"] == 0 and topic["topic"] in names:
            copies = {len(partition["replicas"]) for partition in topic["partitions"]}
            shapes[topic["topic"]] = {
                PARTITIONS: str(len(topic["partitions"])),
                REPLICATION: str(min(copies)),
            }
    return shapes


async def _configurations(
    admin: AIOKafkaAdminClient, kind: ConfigResourceType, names: Iterable[str]
) -> dict[str, dict[str, str]]:
    """Return name → setting → value, those the user may not see left out."""
    resources = [ConfigResource(kind, name) for name in names]
    if not resources:
        return {}
    result: dict[str, dict[str, str]] = {}
    for response in await admin.describe_configs(resources):
        for code, _, _, name, entries in response.resources:
            if code == 0:
                # A broker's secrets are null.
                result[name] = {entry[0]: str(entry[1]) for entry in entries if entry[1] is not None}
    return result


async def _broker_rows(kafka: KafkaSettings, admin: AIOKafkaAdminClient) -> list[Row]:
    """Return how the brokers' transaction log goes with their number and with ours; no rows where the user may not ask.

    What it has on one broker alone goes with that broker: then an acknowledged transaction lacks its end for ever.
    """
    with translating(kafka, "look at the brokers"):
        async with asyncio.timeout(START_LIMIT_S):
            brokers = [broker["node_id"] for broker in (await admin.describe_cluster())["brokers"]]
            # The topic, once it is there, counts; before, what the first transaction would make it with.
            made = (await _shapes(admin, [_TRANSACTIONS])).get(_TRANSACTIONS)
            configured = await _configurations(admin, ConfigResourceType.BROKER, [str(brokers[0])])
            of_topic = await _configurations(admin, ConfigResourceType.TOPIC, [_TRANSACTIONS] if made else [])
    settings = configured.get(str(brokers[0]), {})
    copies, in_sync = (settings.get(name) for name in _TRANSACTION_LOG)
    if made:
        copies = made[REPLICATION]
        in_sync = of_topic.get(_TRANSACTIONS, {}).get("min.insync.replicas", in_sync)
    most = int(made[REPLICATION]) if made else len(brokers)
    rows = []
    for name, value, least in zip(_TRANSACTION_LOG, (copies, in_sync), (SAFE_COPIES, 2), strict=True):
        if value is None:
            continue
        if kafka.replication >= SAFE_COPIES:
            want = Wanted("", least=least, most=most if least <= most else None)
        else:
            want = Wanted("", most=most)
        ok = want.accepts(value)
        remedy = (
            f"give {_TRANSACTIONS} that many with kafka-reassign-partitions.sh and kafka-configs.sh"
            if made
            else f"set {name} in the brokers' server.properties to what {len(brokers)} broker(s) can serve"
        )
        rows.append(Row(_BROKER, name, value, want.should_be, ok, "" if ok else remedy))
    return rows
