"""What is done to Redis beyond a kill: a cut tail, an empty directory, no memory, a promoted replica (F5 to F8)."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final

import redis as redis_client

from tests.faults.campaign import Strike, under_way
from tests.faults.cluster import Cluster
from tests.faults.disks import no_room
from tests.faults.history import Recorder
from tests.faults.links import LinkedCluster
from tests.faults.proxy import Order
from tests.faults.strikes import recovered
from tests.faults.violations import Violation
from tests.services.redis import RedisServer

MOST_CUT: Final = 256 * 1024
"""Bytes of the append-only file's end: some hundred writes."""
SPLIT_S: Final = (1.0, 4.0)
REPLICA_LIMIT_S: Final = 30.0


async def redis_tail_cut(cluster: Cluster, recorder: Recorder, random: Random) -> list[Strike]:
    """Redis is killed and loses the end of its append-only file, as in a loss of power."""
    await under_way(recorder, random)
    at = time.monotonic_ns()
    await asyncio.to_thread(cluster.redis.kill)
    cluster.noted["bytes cut"] += _cut(cluster.redis.directory, random)
    await asyncio.to_thread(cluster.redis.start)
    return await recovered(cluster, recorder, at, back=time.monotonic_ns())


def _cut(directory: Path, random: Random) -> int:
    file = max(directory.glob("appendonlydir/*.incr.aof"), key=lambda found: found.stat().st_mtime)
    size = file.stat().st_size
    left = max(0, size - random.randint(1, MOST_CUT))
    with file.open("r+b") as opened:
        opened.truncate(left)
    return size - left


async def redis_empty(cluster: Cluster, recorder: Recorder, random: Random) -> list[Strike]:
    """Redis is killed and comes back with an empty directory."""
    await under_way(recorder, random)
    at = time.monotonic_ns()
    await asyncio.to_thread(cluster.redis.kill)
    shutil.rmtree(cluster.redis.directory / "appendonlydir")
    await asyncio.to_thread(cluster.redis.start)
    return await recovered(cluster, recorder, at, back=time.monotonic_ns())


async def redis_out_of_memory(cluster: Cluster, recorder: Recorder, random: Random) -> list[Strike]:
    """Redis has no memory for another write, for some seconds; it is not restarted."""
    await under_way(recorder, random)
    at = time.monotonic_ns()
    with redis_client.Redis.from_url(cluster.redis.url) as client:
        before = _refusals(client, "OOM")
        client.config_set(
            "maxmemory", int(_info(client, "memory")["used_memory"]) + random.choice([-1_000_000, 20_000])
        )
        await asyncio.sleep(random.uniform(1, 5))
        client.config_set("maxmemory", 0)
        cluster.noted["refused by Redis"] += _refusals(client, "OOM") - before
    return await recovered(cluster, recorder, at, back=time.monotonic_ns())


class RoomyRedis(RedisServer):
    """A Redis that lives on when a file may not grow any more, as on a full disk: it synchronises once a second."""

    def _prepare(self) -> Sequence[str]:
        # By a shell, which hands down that the signal is ignored that goes with the error.
        return ["sh", "-c", 'trap "" XFSZ; exec "$0" "$@"', *super()._prepare(), "--appendfsync", "everysec"]


class FullDiskCluster(Cluster):
    """A ``Cluster`` whose Redis' disk can be full."""

    def _new_redis(self) -> RedisServer:
        return RoomyRedis(self.directory / "redis")


async def redis_disk_full(cluster: Cluster, recorder: Recorder, random: Random) -> list[Strike]:
    """Redis' append-only file cannot grow for some seconds; it is not restarted."""
    await under_way(recorder, random)
    at = time.monotonic_ns()
    with redis_client.Redis.from_url(cluster.redis.url) as client:
        before = _refusals(client, "MISCONF")
        with no_room(cluster.redis.pid):
            await asyncio.sleep(random.uniform(2, 6))
        back = time.monotonic_ns()
        cluster.noted["refused by Redis"] += _refusals(client, "MISCONF") - before
    return await recovered(cluster, recorder, at, back=back)


def _info(client: Any, section: str) -> dict[str, Any]:
    found: dict[str, Any] = client.info(section)
    return found


def _refusals(client: Any, error: str) -> int:
    """Return how many commands Redis has refused with this error."""
    told = _info(client, "errorstats").get(f"errorstat_{error}", {"count": 0})
    return int(told["count"])


class PromotingCluster(LinkedCluster):
    """A ``LinkedCluster`` with a second Redis that follows the first: ``redis`` is whoever is primary by now."""

    def __init__(self, directory: Path, environment: Mapping[str, str] | None = None) -> None:
        self.other = RedisServer(directory / "redis-2")
        super().__init__(directory, environment)

    async def start(self) -> None:
        """See ``Cluster.start``."""
        await asyncio.to_thread(self.other.start)
        await super().start()
        await self.follow()

    async def follow(self) -> None:
        """Have ``other`` follow ``redis``, and wait until it has everything. Raises RuntimeError."""
        until = time.monotonic() + REPLICA_LIMIT_S
        with redis_client.Redis.from_url(self.other.url) as client:
            client.execute_command("REPLICAOF", "127.0.0.1", self.redis.port)
            while _info(client, "replication").get("master_link_status") != "up":
                if time.monotonic() > until:
                    raise RuntimeError("the second Redis does not follow the first")
                await asyncio.sleep(0.1)

    async def promote(self) -> None:
        """Make ``other`` a primary that follows nobody."""
        with redis_client.Redis.from_url(self.other.url) as client:
            client.execute_command("REPLICAOF", "NO", "ONE")

    async def move(self, programs: Sequence[str], server: RedisServer) -> None:
        """Have programs find another Redis under the same address; the connections they have are reset."""
        target = f"127.0.0.1:{server.port}"
        await self.links.order(*(Order(port=self.redis_links[name], target=target, cut=True) for name in programs))

    def close(self) -> None:
        """See ``Cluster.close``."""
        super().close()
        self.other.kill()


async def redis_promotion(cluster: PromotingCluster, recorder: Recorder, random: Random) -> list[Strike]:
    """The replica is promoted; gateways and workers find it one after the other, the old primary serves the rest."""
    old, new = cluster.redis, cluster.other
    await under_way(recorder, random)
    at = time.monotonic_ns()
    await cluster.promote()
    order, turn = list(cluster.redis_links), cluster.noted["promotions"] % 3
    cluster.noted["promotions"] += 1
    random.shuffle(order)
    if turn < 2:
        # Both ways round for sure: gateways that read before the workers are there, workers there before the gateways.
        order.sort(key=lambda name: name.startswith("worker") == (turn == 0))
    moved: dict[str, int] = {}
    for name in order:
        await cluster.move([name], new)
        moved[name] = time.monotonic_ns()
        await asyncio.sleep(random.uniform(*SPLIT_S) if turn < 2 else random.choice([0.0, random.uniform(*SPLIT_S)]))
    cluster.redis, cluster.other = new, old
    found = await recovered(cluster, recorder, at, back=max(moved.values()))
    _hold_against(cluster, recorder, moved)
    await cluster.follow()
    return found


def _hold_against(cluster: PromotingCluster, recorder: Recorder, moved: Mapping[str, int]) -> None:
    """Nothing is read from the new side before every worker is there (INV-11); afterwards the old side may be stale."""
    first = min(moved.values())
    complete = max(at for name, at in moved.items() if name.startswith("worker"))
    for gateway, url in zip(cluster.service.gateways, cluster.urls, strict=True):
        there = moved[gateway.name]
        # Out of the promise, and the README says so: a gateway that has not been told of the new primary.
        cluster.excused.append((url, complete, there))
        for one in recorder.operations:
            if one.is_write or one.gateway != url or not there < one.invoked_at <= one.returned_at < complete:
                continue
            if one.status == 503:
                cluster.noted["503 on the new side"] += 1
            elif one.succeeded:
                text = "read from a promoted replica that not every partition had moved to"
                cluster.broken.append(Violation("INV-11", "stale", text, one.resource, (one.number,)))
        cluster.noted["reads on the old side"] += sum(
            one.gateway == url and not one.is_write and one.succeeded and first < one.invoked_at < there
            for one in recorder.operations
        )
