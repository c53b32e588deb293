"""A run from its seed: begin, harm, heal, look."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Coroutine
from typing import Any, Final

import msgspec

from tests.faults.history import Intent
from tests.simulation.callers import Callers, Sent
from tests.simulation.chaos import Chaos
from tests.simulation.loop import StuckError, VirtualLoop
from tests.simulation.verdict import judge
from tests.simulation.world import Patched, World

DRAIN_LIMIT_S: Final = 240.0
"""So long after the last fault everything is decided."""


class Report(msgspec.Struct, frozen=True):
    """What came of one seed."""

    seed: int
    complaints: tuple[str, ...]
    counts: dict[str, int]
    trace: int
    """A number that two runs of one seed have in common."""


def simulate(seed: int) -> Report:
    """Run one seed."""
    loop = VirtualLoop()
    world = World(seed, loop)
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with Patched(world):
            try:
                complaints = _until_complete(loop, _run(world))
            except StuckError as error:
                complaints = [*world.complaints, str(error)]
    finally:
        logging.disable(disabled)
    counts = Counter(world.counts)
    trace = hash((loop.time(), tuple(log.end for log in world.broker.state), len(world.operations)))
    return Report(seed, tuple(complaints), dict(counts), trace)


def _until_complete(loop: VirtualLoop, main: Coroutine[Any, Any, list[str]]) -> list[str]:
    loop.set_exception_handler(lambda _loop, _context: None)
    try:
        return loop.run_until_complete(main)
    finally:
        loop.close()


async def _run(world: World) -> list[str]:
    random = world.random
    for _ in range(random.choice((1, 2, 2, 3))):
        world.start_worker()
    for _ in range(random.choice((1, 2, 2))):
        world.start_gateway()
    await asyncio.sleep(2.0)
    callers, chaos = Callers(world, random), Chaos(world, random)
    if random.random() < 0.2:
        callers.poison = 0.06
    autumn = random.random()
    try:
        await _harmed(world, callers, chaos, autumn=autumn < 0.1)
        chaos.heal()
        if autumn > 0.88:
            await _autumn(world, callers, chaos)
        if not await _drained(world):
            world.complaints.append(f"not everything was decided {DRAIN_LIMIT_S:.0f} s after the last fault")
            return world.complaints
        return world.complaints + await judge(world, callers)
    finally:
        await world.end()


async def _harmed(world: World, callers: Callers, chaos: Chaos, *, autumn: bool) -> None:
    harm = asyncio.create_task(chaos.run())
    tasks = [asyncio.create_task(callers.run(world.random.choice((15, 25, 40)))) for _ in range(4)]
    if autumn:
        tasks.append(asyncio.create_task(_autumn(world, callers, chaos)))
    try:
        await asyncio.gather(*tasks)
    finally:
        harm.cancel()


async def _autumn(world: World, callers: Callers, chaos: Chaos) -> None:
    await asyncio.sleep(world.random.uniform(1.0, 8.0))
    created = await callers.create_own()
    if created is None:
        return

    async def delete() -> str:
        intent = Intent("delete", created.resource)
        for _ in range(10):
            operation = await callers.send(Sent(created.tenant, intent, world.loop.time()))
            if operation is not None and operation.status in {204, 404}:
                break
            await asyncio.sleep(1.0)
        await callers.run(4)
        return f"{created.tenant}/User/{created.resource}"

    await chaos.autumn(delete)
    await callers.run(5)


async def _drained(world: World) -> bool:
    """Wait until every command is decided and every partition has an owner; tell whether that came to pass."""
    end = world.loop.time() + DRAIN_LIMIT_S
    while world.loop.time() < end:
        await asyncio.sleep(1.0)
        logs = world.broker.commands
        whole = world.redis.is_whole(world.shard)
        if whole and all(world.dealt_with(p) >= logs[p].end for p in world.shard):
            await asyncio.sleep(25.0)
            return True
    return False
