"""Records put into the command topic past the gateways: repeats of what is there, and what is no command at all."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Final

import aiohttp
import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.distributed import PARTITIONS
from tests.faults.campaign import Strike, under_way
from tests.faults.cluster import Cluster, committed
from tests.faults.collect import answer_to
from tests.faults.history import Recorder

REPEATED: Final = 0.1
"""The share of command records that are produced again."""
REPEATING_S: Final = 4.0
POISON_LIMIT_S: Final = 60.0


@asynccontextmanager
async def producing(cluster: Cluster) -> AsyncIterator[AIOKafkaProducer]:
    """Give a producer of plain records."""
    producer = AIOKafkaProducer(bootstrap_servers=cluster.broker.bootstrap, max_request_size=4 * 1024 * 1024)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def redelivery(cluster: Cluster, recorder: Recorder, random: Random) -> list[Strike]:
    """For some seconds every tenth command record is produced again as it is."""
    await under_way(recorder, random)
    topic = cluster.topic("commands.v1")
    consumer = AIOKafkaConsumer(
        bootstrap_servers=cluster.broker.bootstrap, auto_offset_reset="latest", enable_auto_commit=False
    )
    copies = 0
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, partition) for partition in range(PARTITIONS)])
        await consumer.seek_to_end()
        at = time.monotonic_ns()
        until = time.monotonic() + REPEATING_S
        async with producing(cluster) as producer:
            while time.monotonic() < until:
                for place, records in (await consumer.getmany(timeout_ms=100)).items():
                    for record in (one for one in records if random.random() < REPEATED):
                        await producer.send_and_wait(
                            topic, record.value, key=record.key, partition=place.partition, headers=record.headers
                        )
                        copies += 1
    finally:
        await consumer.stop()
    if not copies:
        raise RuntimeError("no command record was produced again")
    return [Strike(at, time.monotonic_ns(), f"{copies} copies")]


async def poison(cluster: Cluster, recorder: Recorder, random: Random) -> list[Strike]:
    """One record of each kind that nobody can decide: each is parked within a minute, and who sent it has an answer."""
    await under_way(recorder, random)
    at = time.monotonic_ns()
    txn = str(uuid.UUID(int=random.getrandbits(128)))
    resource = str(uuid.UUID(int=random.getrandbits(128)))
    values = [
        random.randbytes(200),
        random.randbytes(1024 * 1024),
        b'{"v":1,"change":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        _future(txn, cluster.tenant, resource),
    ]
    places: set[tuple[int, int]] = set()
    async with producing(cluster) as producer:
        for value in values:
            partition = random.randrange(PARTITIONS)
            key = f"{cluster.tenant}/{resource}".encode()
            sent = await producer.send_and_wait(cluster.topic("commands.v1"), value, key=key, partition=partition)
            places.add((sent.partition, sent.offset))
    await _parked(cluster, places)
    headers = {"Authorization": f"Bearer {cluster.token}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        for url in cluster.urls:
            status, _, outcome = await answer_to(session, f"{url}/scim/v2/Outcomes/{txn}")
            if (status, outcome.get("state"), outcome.get("status")) != (200, "refused", 500):
                raise RuntimeError(f"the outcome of a parked command is told as {status} {outcome}")
    return [Strike(at, time.monotonic_ns(), f"{len(values)} records")]


def _future(txn: str, tenant: str, resource: str) -> bytes:
    """Return a command of a schema that nobody knows yet, in an envelope that can be read."""
    return msgspec.json.encode(
        {
            "v": 99,
            "txn": txn,
            "tenant": tenant,
            "gateway": "",
            "resource_type": "User",
            "resource_id": resource,
            "fingerprint": "0" * 32,
            "accepted_at": int(time.time() * 1000),
            "change": {"verb": "transmogrify"},
        }
    )


async def _parked(cluster: Cluster, places: set[tuple[int, int]]) -> None:
    """Wait until there is a dead letter about each of these records."""
    until = time.monotonic() + POISON_LIMIT_S
    while True:
        letters = await committed(cluster.broker.bootstrap, cluster.topic("commands.dead.v1"))
        told = [msgspec.json.decode(letter.value) for letter in letters]
        missing = places - {(letter["partition"], letter["offset"]) for letter in told}
        if not missing:
            return
        if time.monotonic() > until:
            raise RuntimeError(f"not parked after {POISON_LIMIT_S:.0f} s: {sorted(missing)}")
        await asyncio.sleep(0.2)
