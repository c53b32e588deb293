"""What is done to brokers beyond a kill of the only one: a leader of three killed, a tail that is lost (F10)."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path
from random import Random
from typing import Final

from schemas.partitions import partition_of
from tests.distributed import PARTITIONS, Program
from tests.faults.brokers import ReplicatedCluster
from tests.faults.campaign import Strike, under_way
from tests.faults.cluster import Cluster
from tests.faults.history import Recorder
from tests.faults.strikes import recovered

LED: Final = ("state.v1", "commands.v1", "__transaction_state", "__consumer_offsets")
AWAY_S: Final = (0.0, 8.0)
HALT_LIMIT_S: Final = 60.0
HALTED_S: Final = 3.0
MEND_LIMIT_S: Final = 60.0
MOST_CUT: Final = 64 * 1024


async def leader_kill(cluster: ReplicatedCluster, recorder: Recorder, random: Random) -> list[Strike]:
    """``kill -9`` of the broker that leads a partition of ours or of Kafka's own; it comes back, and catches up."""
    name = LED[cluster.round % len(LED)]
    cluster.round += 1
    topic = name if name.startswith("__") else cluster.topic(name)
    broker = await cluster.leader(topic, random.randrange(PARTITIONS))
    await under_way(recorder, random)
    at = time.monotonic_ns()
    await asyncio.to_thread(broker.kill)
    await asyncio.sleep(random.uniform(*AWAY_S))
    await asyncio.to_thread(broker.start)
    found = await recovered(cluster, recorder, at, f"leader of {name}")
    await cluster.in_sync()
    return found


async def tail_loss(cluster: Cluster, recorder: Recorder, random: Random) -> list[Strike]:
    """The only broker loses acknowledged records of a partition: it halts with an alarm, and goes on when they are back.

    The workers end in good order before, so that no transaction is open whose end the log would lack when the copy is
    put back. Raises RuntimeError where the loss is not seen.
    """
    partition = random.randrange(PARTITIONS)
    await under_way(recorder, random)
    at = time.monotonic_ns()
    for worker in cluster.service.workers:
        await asyncio.to_thread(worker.stop)
    await asyncio.to_thread(cluster.broker.kill)
    log = cluster.broker.directory / "logs" / f"{cluster.topic('state.v1')}-{partition}"
    copy = cluster.directory / f"copy-{cluster.round}"
    cluster.round += 1
    shutil.copytree(log, copy)
    cluster.noted["bytes lost"] += _lose_tail(log, random)
    await asyncio.to_thread(cluster.broker.start)
    for worker in cluster.service.workers:
        worker.start()
    await _halted(cluster, partition)
    halted_at = time.monotonic_ns()
    await asyncio.sleep(HALTED_S)
    told = [
        operation
        for operation in recorder.operations
        if operation.is_write and operation.succeeded and operation.invoked_at > halted_at and operation.resource
    ]
    if any(_partition(cluster, operation.resource or "") == partition for operation in told):
        raise RuntimeError(f"partition {partition} is halted, and writes to it are acknowledged")
    cluster.noted["halted"] += 1
    cluster.noted["acknowledged elsewhere meanwhile"] += len(told)
    await asyncio.to_thread(cluster.broker.kill)
    shutil.rmtree(log)
    shutil.copytree(copy, log)
    await asyncio.to_thread(cluster.broker.start)
    await _mended(cluster)
    return await recovered(cluster, recorder, at, f"state of partition {partition}")


def _lose_tail(log: Path, random: Random) -> int:
    segment = max(log.glob("*.log"))
    size = segment.stat().st_size
    left = max(0, size - random.randint(200, MOST_CUT))
    with segment.open("r+b") as opened:
        opened.truncate(left)
    return size - left


def _partition(cluster: Cluster, resource: str) -> int:
    return partition_of(cluster.tenant, resource, shards=1, partitions=PARTITIONS)


async def _halted(cluster: Cluster, partition: int) -> None:
    """Wait for the metric and the line in the log that the runbook names."""
    line = f'scimgw_partition_halted{{partition="{partition}"}} 1'
    until = time.monotonic() + HALT_LIMIT_S
    while True:
        for worker in cluster.service.workers:
            if line in await _metrics(worker) and "Kafka has lost its tail" in worker.log():
                return
        if time.monotonic() > until:
            raise RuntimeError(f"the lost tail of partition {partition} raised no alarm in {HALT_LIMIT_S:.0f} s")
        await asyncio.sleep(0.1)


async def _mended(cluster: Cluster) -> None:
    until = time.monotonic() + MEND_LIMIT_S
    while True:
        texts = [await _metrics(worker) for worker in cluster.service.workers]
        told = [line for text in texts for line in text.splitlines() if line.startswith("scimgw_partition_halted{")]
        if len(told) >= PARTITIONS and all(line.endswith(" 0.0") for line in told):
            return
        if time.monotonic() > until:
            raise RuntimeError(f"its tail is back, and the partition does not go on: {told}")
        await asyncio.sleep(0.1)


async def _metrics(worker: Program) -> str:
    status, text = await asyncio.to_thread(worker.probe, "metrics")
    return text if status == 200 else ""
