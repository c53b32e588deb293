"""The fake Redis in the contract suite, so that the fake and the real one keep the same promises."""

from __future__ import annotations

import asyncio
import time
from typing import cast

from tests.simulation.loop import VirtualLoop
from tests.simulation.network import Process
from tests.simulation.redis_ports import FakePartitionStore, FakeReader, FakeReplies
from tests.simulation.redis_server import RedisServer
from tests.simulation.world import World


class _RealTime(RedisServer):
    """The suite does not run in virtual time."""

    def now(self) -> int:
        return int(time.time() * 1000)


class SimulatedPartitionStand:
    """``tests.contract.partition_stands.PartitionStand`` without a server."""

    def __init__(self, _url: str) -> None:
        loop = cast("VirtualLoop", asyncio.get_running_loop())
        self._world = World(0, loop, partitions=2)
        self._world.redis = _RealTime(loop, self._world.counts)
        self._world.reply_loss = self._world.network.slow = 0.0

    def _process(self, kind: str) -> Process:
        return self._world.process(kind)

    def owner(self, partition: int) -> FakePartitionStore:
        """See ``PartitionStand.owner``."""
        return FakePartitionStore(self._world, self._process("worker"), partition)

    def reader(self) -> FakeReader:
        """See ``PartitionStand.reader``."""
        return FakeReader(self._world, self._process("gateway"))

    def replies(self, gateway: str) -> FakeReplies:
        """See ``PartitionStand.replies``."""
        process = self._process("gateway")
        process.name = gateway
        return FakeReplies(self._world, process)

    async def close(self) -> None:
        """See ``PartitionStand.close``."""
        await self._world.end()
