"""One run: servers, processes, callers and faults, all drawn from one seed."""

from __future__ import annotations

import asyncio
import random as global_random
from collections import Counter
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any, Final, Literal
from unittest.mock import patch

from consumers import failpoints, remote
from consumers.backends.redis_client import RedisClient
from consumers.metrics import Metrics
from consumers.owner import PartitionOwner
from consumers.partition_ports import CommandFeed
from consumers.slots import TransactionSlots
from consumers.worker import Worker
from schemas import batches, decide
from schemas.changes import Decision, View
from schemas.commands import ChangeCommand, Create
from schemas.partitions import partition_of
from tests.faults.history import Operation
from tests.simulation.broker import Broker
from tests.simulation.front import Gateway
from tests.simulation.group import Coordinator
from tests.simulation.kafka_ports import FakeGroup, FakePartitionLog
from tests.simulation.loop import HOME, VirtualLoop
from tests.simulation.network import Network, Process
from tests.simulation.redis_connection import SETTINGS, connected
from tests.simulation.redis_ports import WatchedStore
from tests.simulation.redis_server import RedisServer
from tests.simulation.witness import Witness

ISSUER: Final = "urn:scimgw"
Harm = Literal["kill", "pause", "flush", "away", "failover"]
POISONS: Final = ("poison that kills", "poison that raises")
"""Titles of users whose creation no worker survives, or can decide (CP-26)."""
SWEEP_S: Final = 0.2
"""How often a gateway looks at who waits: 0.05 in production, which would be half of all that happens in a run."""
_METRICS: Final = Metrics()


class World:
    """Everything there is in a run."""

    def __init__(self, seed: int, loop: VirtualLoop, partitions: int | None = None) -> None:
        self.seed = seed
        self.loop = loop
        self.random = Random(seed)
        self.counts: Counter[str] = Counter()
        self.partitions = partitions or self.random.choice((1, 2, 2, 3))
        self.shard = range(self.partitions)
        self.metrics = _METRICS
        self.broker = Broker(loop, self.random, self.partitions, self.counts)
        self.redis = self.new_redis()
        self.group = Coordinator(loop, self.random, self.partitions, self.counts)
        self.network = Network(loop, self.random, self.counts)
        self.witness = Witness(loop)
        self.reply_loss = 0.02
        self.repeats = 0.06
        """How often a command is appended a second time."""
        self.gateways: list[Gateway] = []
        self.workers: dict[str, Process] = {}
        self.operations: list[Operation] = []
        self.complaints: list[str] = []
        """What no checker has to work out."""
        self.armed: Harm = "kill"
        self.healed = self.judged = False
        """Whether the faults are over, and whether what comes now are the last questions."""
        self.leapt_at = -1.0
        """When time last leapt."""
        self.dealt: dict[int, dict[object, int]] = {partition: {} for partition in self.shard}
        """Offset behind the last command that each reader of a partition dealt with: an owner that was fenced begins again."""
        self._processes: list[Process] = []
        self._clients: dict[str, RedisClient] = {}
        self._names = 0

    def new_redis(self) -> RedisServer:
        """Return another Redis, empty."""
        return RedisServer(self.loop, self.counts, loses_reply=lambda: self.random.random() < self.reply_loss)

    def partition_of(self, tenant: str, resource_id: str) -> int:
        """Return the partition of a resource."""
        return partition_of(tenant, resource_id, shards=1, partitions=self.partitions)

    def dealt_with(self, partition: int) -> int:
        """Return the offset behind the last command of a partition that some reader dealt with."""
        return max(self.dealt[partition].values(), default=0)

    def process(self, kind: str, skew_s: float = 0.0) -> Process:
        """Return a new process with a name that none had before."""
        self._names += 1
        process = Process(f"{kind}-{self._names}", self.loop, skew_s, redis=self.redis)
        self._processes.append(process)
        return process

    def client(self, process: Process) -> RedisClient:
        """Return the process's connection to Redis."""
        client = self._clients.get(process.name)
        if client is None:
            client = self._clients[process.name] = process.run(RedisClient, SETTINGS)
        return client

    def skew(self) -> float:
        """Return by how much a clock that is looked after may be out, in seconds."""
        return self.random.uniform(-0.9, 0.9)

    def start_worker(self) -> None:
        """Start a worker with the real code on the fakes."""
        process = self.process("worker", self.skew())
        slots = TransactionSlots(2)

        worker = Worker(lambda: FakeGroup(self, process), partial(self.owner, process, slots), metrics=self.metrics)
        self.workers[process.name] = process
        process.start(worker.run(), "worker").add_done_callback(lambda task: self._ended(process, task))

    def owner(self, process: Process, slots: TransactionSlots, partition: int, feed: CommandFeed) -> PartitionOwner:
        """Return an owner of a partition in this process."""
        return PartitionOwner(
            partition,
            feed,
            FakePartitionLog(self, process, partition),
            WatchedStore(self, process, partition),
            metrics=self.metrics,
            issuer=ISSUER,
            slots=slots,
            clock=process.clock,
        )

    def start_gateway(self) -> None:
        """Start a gateway; now and then one whose clock is far ahead, which the append time makes up for (CP-18)."""
        ahead = 3600.0 if self.random.random() < 0.1 else 0.0
        self.gateways.append(Gateway(self, self.process("gateway", self.skew() + ahead)))

    def _ended(self, process: Process, task: asyncio.Task[Any]) -> None:
        if not process.dead and not task.cancelled():
            self.complaints.append(f"{process.name} ended by itself: {task.exception()!r}")

    def kill_worker(self, process: Process) -> None:
        """Kill a worker; another is started in its place after a while."""
        if process.dead:
            return
        self.counts["workers killed"] += 1
        process.kill()
        self.workers.pop(process.name, None)
        after = 0.2 if self.healed else self.random.choice((0.1, 1.0, 7.0))
        self.loop.call_later(after, self.start_worker)

    def kill_gateway(self, gateway: Gateway) -> None:
        """Kill a gateway; another is started in its place at once, so that there is always one to call."""
        self.counts["gateways killed"] += 1
        gateway.process.kill()
        self.gateways.remove(gateway)
        self.start_gateway()

    def flush(self) -> None:
        """Empty Redis as an operator can, its boot unchanged: a fence that is missing is lost (R2)."""
        self.counts["redis flushed"] += 1
        self.redis.flush()

    def repeat(self, partition: int, key: str, value: bytes, appended: Callable[[], None]) -> None:
        """Append a command again, now and then: at once or while it may still be in somebody's budget."""
        if self.healed or self.random.random() >= self.repeats:
            return
        after = self.random.choice((0.0, 0.5, 3.0, 10.0, 60.0))
        broker = self.broker

        def again() -> None:
            if broker.up and not self.judged:
                self.counts["commands repeated"] += 1
                broker.commands[partition].append(broker.now(), key, value)
                appended()

        self.loop.call_later(after, again)

    async def end(self) -> None:
        """Kill everybody and let their tasks run out."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            await process.end()


class Suicide:
    """Stands in for ``os`` in ``consumers.failpoints``: an armed point harms the simulated process that reached it."""

    def __init__(self, world: World) -> None:
        self._world = world

    def getpid(self) -> int:
        """Nobody's."""
        return 0

    def kill(self, _pid: int, _signal: int) -> None:
        """Kill the process that is running, or do what else was armed."""
        world, process = self._world, HOME.get()
        assert isinstance(process, Process)
        match world.armed:
            case "pause":
                world.counts["paused at a fail point"] += 1
                process.pause(world.random.choice((3.0, 9.0, 16.0)))
            case "flush":
                world.flush()
            case "away":
                world.redis.fall(world.random.choice((0.05, 0.3, 1.0)), hangs=world.random.random() < 0.3)
            case "failover":
                world.redis.fail_over_and_back(world.random.choice((1, 1, 2, 3)))
            case _:
                world.counts["killed at a fail point"] += 1
                world.kill_worker(process)
                raise asyncio.CancelledError


def arm(world: World, point: str, times: int, harm: Harm) -> None:
    """Have whoever reaches this point for the n-th time from now come to harm there."""
    world.armed = harm
    failpoints._countdown.clear()
    failpoints._countdown[point] = times
    world.counts["fail points armed"] += 1


class Patched:
    """For the time of a run: fail points kill simulated processes, and jitter comes from the seed."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __enter__(self) -> None:
        self._decide, self._state = decide.decide, global_random.getstate()
        self._patches: list[Any] = [
            patch.object(failpoints, "os", Suicide(self._world)),
            patch.object(batches, "decide", self._poisoned),
            patch.object(remote, "SWEEP_S", SWEEP_S),
            *connected(self._world.network),
        ]
        for one in self._patches:
            one.start()
        global_random.seed(self._world.seed)

    def __exit__(self, *_: object) -> None:
        for one in self._patches:
            one.stop()
        failpoints._countdown.clear()
        global_random.setstate(self._state)

    def _poisoned(self, command: ChangeCommand, view: View) -> Decision:
        title = command.change.body.get("title") if isinstance(command.change, Create) else None
        if title == POISONS[0]:
            process = HOME.get()
            assert isinstance(process, Process)
            self._world.counts["killed by poison"] += 1
            self._world.kill_worker(process)
            raise asyncio.CancelledError
        if title == POISONS[1]:
            raise RuntimeError("a defect of ours")
        return self._decide(command, view)
