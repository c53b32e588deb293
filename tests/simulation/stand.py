"""The product's store on a simulated Redis in the contract suite: the simulated and the real one keep the same promises."""

from __future__ import annotations

import asyncio
import time
from typing import cast

from consumers.backends.redis_reader import RedisReader
from consumers.backends.redis_replies import RedisReplies
from consumers.partition_ports import Deliver
from tests.simulation.loop import VirtualLoop
from tests.simulation.network import Process
from tests.simulation.redis_connection import SETTINGS, connected
from tests.simulation.redis_ports import WatchedStore
from tests.simulation.redis_server import RedisServer
from tests.simulation.world import World


class _RealTime(RedisServer):
    """The suite does not run in virtual time."""

    def now(self) -> int:
        return int(time.time() * 1000)


class _RealClock(Process):
    def clock(self) -> float:
        return time.time()


class _Replies(RedisReplies):
    """Runs in its own process, whoever awaits it."""

    def __init__(self, world: World, process: Process) -> None:
        super().__init__(world.client(process), SETTINGS, gateway=process.name)
        self._process = process

    async def run(self, deliver: Deliver) -> None:
        """See ``ReplySource.run``."""
        await self._process.start(super().run(deliver), "replies")


class SimulatedPartitionStand:
    """``tests.contract.partition_stands.PartitionStand`` without a server."""

    def __init__(self, _url: str) -> None:
        loop = cast("VirtualLoop", asyncio.get_running_loop())
        self._world = World(0, loop, partitions=2)
        self._world.redis = _RealTime(loop, self._world.counts, loses_reply=lambda: False)
        self._world.network.slow = 0.0
        self._patches = connected(self._world.network)
        for one in self._patches:
            one.start()

    def _process(self, kind: str) -> Process:
        process = self._world.process(kind)
        process.__class__ = _RealClock
        return process

    def owner(self, partition: int) -> WatchedStore:
        """See ``PartitionStand.owner``."""
        return WatchedStore(self._world, self._process("worker"), partition)

    def reader(self) -> RedisReader:
        """See ``PartitionStand.reader``."""
        process = self._process("gateway")
        return RedisReader(self._world.client(process), shards=1, partitions=self._world.partitions)

    def replies(self, gateway: str) -> RedisReplies:
        """See ``PartitionStand.replies``."""
        process = self._process("gateway")
        process.name = gateway
        return process.run(_Replies, self._world, process)

    async def close(self) -> None:
        """See ``PartitionStand.close``."""
        for one in self._patches:
            one.stop()
        await self._world.end()
