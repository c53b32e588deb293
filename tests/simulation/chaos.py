"""The faults of a run: what happens, when, and to whom, drawn from the seed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

from consumers import failpoints
from tests.simulation.world import Harm, World, arm

DAY_S: Final = 86_400.0
POINTS: Final = (
    *(point for point in failpoints.POINTS if not point.startswith("gateway.")),
    *("worker.reserved", "worker.logged") * 2,
)
"""Most is at stake between reserving, logging and committing."""


class Chaos:
    """Does harm until it is cancelled; ``heal`` makes it good."""

    def __init__(self, world: World, random: Random) -> None:
        self._world = world
        self._random = random
        choices: list[tuple[float, Callable[[], None]]] = [
            (2.0, self._kill_worker),
            (0.7, self._kill_gateway),
            (2.0, self._pause_worker),
            (0.4, self._pause_gateway),
            (3.0, self._arm),
            (1.0, self._rebalance),
            (1.5, self._lose_redis),
            (0.4, self._world.flush),
            (0.5, self._redis_away),
            (0.5, self._kafka_away),
            (0.7, self._lose_replies),
            (0.4, self._clean),
            (0.5, self._leap),
        ]
        # Each run has its own weather: some faults often, some never.
        self._acts = [act for _, act in choices]
        self._weights = [weight * random.choice((0.0, 0.5, 1.0, 4.0)) for weight, _ in choices]
        if not any(self._weights):
            self._weights[0] = 1.0
        self._pace = random.choice((0.4, 1.0, 2.5))

    async def run(self) -> None:
        """Do one thing after the other."""
        while True:
            await asyncio.sleep(self._random.uniform(0.1, 2.0) * self._pace)
            self._random.choices(self._acts, self._weights)[0]()

    def heal(self) -> None:
        """Stop all harm; who is dead is started again, who stands still wakes up in time."""
        world = self._world
        world.healed = True
        world.redis.up = world.broker.up = True
        world.redis.loss = world.broker.loss = world.reply_loss = world.network.slow = 0.0
        failpoints._countdown.clear()

    def _kill_worker(self) -> None:
        if self._world.workers:
            self._world.kill_worker(self._random.choice(list(self._world.workers.values())))

    def _kill_gateway(self) -> None:
        self._world.kill_gateway(self._random.choice(self._world.gateways))

    def _pause_worker(self) -> None:
        if self._world.workers:
            process = self._random.choice(list(self._world.workers.values()))
            self._world.counts["workers paused"] += 1
            process.pause(self._random.choice((0.2, 2.0, 8.0, 15.0)))

    def _pause_gateway(self) -> None:
        self._world.counts["gateways paused"] += 1
        self._random.choice(self._world.gateways).process.pause(self._random.choice((0.5, 4.0)))

    def _arm(self) -> None:
        point = self._random.choice(POINTS)
        harms: tuple[Harm, ...] = ("kill", "kill", "pause", "pause", "failover")
        harms += ("flush", "flush") if point.startswith("takeover.") else ("away", "away", "failover")
        arm(self._world, point, self._random.choice((1, 1, 2, 4)), self._random.choice(harms))

    def _rebalance(self) -> None:
        self._world.group.rebalance(rude=self._random.random() < 0.5)

    def _lose_redis(self) -> None:
        redis = self._world.redis
        kind = self._random.choice(("none", "few", "few", "many", "empty", "failover", "failover"))
        few = self._random.choice((1, 2, 3, 6, 20))
        match kind:
            case "none":
                redis.restart(0)
            case "few":
                redis.restart(few)
            case "many":
                redis.restart(self._random.randrange(redis.writes + 1))
            case "empty":
                redis.restart(0, empty=True)
            case _:
                redis.fail_over_and_back(few)

    def _redis_away(self) -> None:
        self._world.redis.fall(self._random.choice((0.3, 2.0, 6.0)), hangs=self._random.random() < 0.5)

    def _kafka_away(self) -> None:
        self._world.broker.fall(self._random.choice((0.3, 2.0, 6.0)), hangs=self._random.random() < 0.5)

    def _lose_replies(self) -> None:
        server = self._random.choice((self._world.redis, self._world.broker))
        server.loss = 0.15
        self._world.loop.call_later(self._random.uniform(0.5, 4.0), setattr, server, "loss", 0.0)

    def _clean(self) -> None:
        self._world.broker.clean()

    def _leap(self) -> None:
        days = self._random.choice((1.3, 1.3, 4.0, 31.0))
        self.leap(days)

    def leap(self, days: float) -> None:
        """Let days pass at once, with compaction at their end."""
        self._world.counts["leaps"] += 1
        self._world.leapt_at = self._world.loop.time()
        self._world.loop.leap(days * DAY_S)
        self._world.leapt_at = self._world.loop.time()
        self._world.broker.clean()

    async def autumn(self, delete: Callable[[], Awaitable[str]]) -> None:
        """Let a deleted user be forgotten by the log, then bring back a Redis that still has it (CP-13)."""
        world = self._world
        old_writes = world.redis.writes
        key = await delete()
        self.leap(31.0)
        for _ in range(20):
            # Its owner lets it go: an owner that lives, sooner or later.
            if any(entry.key == key and entry.value is None for log in world.broker.state for entry in log.entries):
                break
            await asyncio.sleep(1.0)
        self.leap(1.2)
        await asyncio.sleep(1.0)
        self.leap(8.0)
        if world.redis.writes >= old_writes:
            world.counts["old files restored"] += 1
            world.redis.restart(world.redis.writes - old_writes)
