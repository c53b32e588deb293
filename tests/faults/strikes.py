"""What is done to the distributed service while it works: kills, pauses, restarts, at random and at fail points."""

from __future__ import annotations

import asyncio
import signal
import time
from random import Random
from typing import Final

import redis as redis_client

from consumers.failpoints import POINTS, VARIABLE
from tests.distributed import Program
from tests.faults.campaign import Strike, under_way, working
from tests.faults.cluster import SESSION_S, Cluster
from tests.faults.history import Recorder

GATEWAY_POINTS: Final = [point for point in POINTS if point.startswith("gateway.")]
WORKER_POINTS: Final = [point for point in POINTS if not point.startswith("gateway.")]
POINT_LIMIT_S: Final = 90.0
REBALANCE_S: Final = 3.0


async def worker_kill(cluster: Cluster, recorder: Recorder, random: Random) -> list[Strike]:
    """``kill -9`` of a worker; every other time the other one has to take its partitions over before it is back."""
    pause = random.choice([random.uniform(0, 0.5), SESSION_S + random.uniform(0.5, 1.5)])
    return await _killed(cluster, random.choice(cluster.service.workers), recorder, random, pause)


async def gateway_kill(cluster: Cluster, recorder: Recorder, random: Random) -> list[Strike]:
    """``kill -9`` of a gateway."""
    return await _killed(cluster, random.choice(cluster.service.gateways), recorder, random, random.uniform(0, 0.5))


async def _killed(
    cluster: Cluster, program: Program, recorder: Recorder, random: Random, pause_s: float
) -> list[Strike]:
    await under_way(recorder, random)
    at = time.monotonic_ns()
    program.kill()
    await asyncio.sleep(pause_s)
    await cluster.restarted(program)
    return await recovered(cluster, recorder, at, program.name)


async def fail_points(cluster: Cluster, recorder: Recorder, random: Random) -> list[Strike]:
    """Each worker and one gateway are started again with a fail point armed, die of it, and come back without.

    The rounds go through all points of ``consumers.failpoints``.
    """
    first, second = cluster.service.workers
    turn = cluster.round
    cluster.round += 1
    victims = {
        first: WORKER_POINTS[2 * turn % len(WORKER_POINTS)],
        second: WORKER_POINTS[(2 * turn + 1) % len(WORKER_POINTS)],
        random.choice(cluster.service.gateways): GATEWAY_POINTS[turn % len(GATEWAY_POINTS)],
    }
    async with asyncio.TaskGroup() as group:
        dying = [group.create_task(_die(cluster, *victim, random)) for victim in victims.items()]
    await working(recorder)
    return [task.result() for task in dying]


async def _die(cluster: Cluster, program: Program, point: str, random: Random) -> Strike:
    times = random.randint(1, 2) if point.startswith("takeover.") else random.randint(3, 15)
    program.kill()
    program.start(**{VARIABLE: f"{point}:{times}"})
    until = time.monotonic() + POINT_LIMIT_S
    while program.running:
        await asyncio.sleep(0.005)
        if time.monotonic() > until:
            raise RuntimeError(f"{program.name} did not come past {point} {times} times in {POINT_LIMIT_S:.0f} s")
    at = time.monotonic_ns()
    code = program.ended()
    if code != -signal.SIGKILL:
        raise RuntimeError(f"{program.name} ended with {code} instead of dying at {point}:\n{program.log()[-2000:]}")
    await cluster.restarted(program)
    return Strike(at, time.monotonic_ns(), point)


async def worker_pause(cluster: Cluster, recorder: Recorder, random: Random) -> list[Strike]:
    """A worker stands still for longer than its session, and wakes when another has its partitions."""
    worker = random.choice(cluster.service.workers)
    await under_way(recorder, random)
    at = time.monotonic_ns()
    worker.send(signal.SIGSTOP)
    try:
        await asyncio.sleep(SESSION_S + random.uniform(1, 4))
    finally:
        worker.send(signal.SIGCONT)
    return await recovered(cluster, recorder, at, worker.name)


async def redis_kill(cluster: Cluster, recorder: Recorder, random: Random) -> list[Strike]:
    """``kill -9`` of Redis, started again from its append-only file."""
    await under_way(recorder, random)
    at = time.monotonic_ns()
    await asyncio.to_thread(cluster.redis.kill)
    await asyncio.sleep(random.uniform(0, 2))
    await asyncio.to_thread(cluster.redis.start)
    return await recovered(cluster, recorder, at, back=time.monotonic_ns())


async def redis_flush(cluster: Cluster, recorder: Recorder, random: Random) -> list[Strike]:
    """FLUSHALL."""
    await under_way(recorder, random)
    at = time.monotonic_ns()
    with redis_client.Redis.from_url(cluster.redis.url) as client:
        await asyncio.to_thread(client.flushall)
    return await recovered(cluster, recorder, at)


async def redis_pause(cluster: Cluster, recorder: Recorder, random: Random) -> list[Strike]:
    """Redis stands still."""
    await under_way(recorder, random)
    at = time.monotonic_ns()
    await asyncio.to_thread(cluster.redis.pause)
    await asyncio.sleep(random.uniform(1, 8))
    cluster.redis.resume()
    return await recovered(cluster, recorder, at, back=time.monotonic_ns())


async def broker_restart(cluster: Cluster, recorder: Recorder, random: Random) -> list[Strike]:
    """``kill -9`` of the broker, started again on its files."""
    await under_way(recorder, random)
    at = time.monotonic_ns()
    await asyncio.to_thread(cluster.broker.kill)
    await asyncio.sleep(random.uniform(0, 2))
    await asyncio.to_thread(cluster.broker.start)
    return await recovered(cluster, recorder, at, back=time.monotonic_ns())


async def broker_pause(cluster: Cluster, recorder: Recorder, random: Random) -> list[Strike]:
    """The broker stands still."""
    await under_way(recorder, random)
    at = time.monotonic_ns()
    await asyncio.to_thread(cluster.broker.pause)
    await asyncio.sleep(random.uniform(1, 8))
    cluster.broker.resume()
    return await recovered(cluster, recorder, at, back=time.monotonic_ns())


async def recovered(
    cluster: Cluster, recorder: Recorder, at: int, what: str = "", *, back: int | None = None
) -> list[Strike]:
    """Wait until all processes are ready and writes are acknowledged; ``back``: see ``Strike``."""
    await working(recorder)
    await cluster.whole()
    return [Strike(at, time.monotonic_ns(), what, back)]


async def rebalance(cluster: Cluster, recorder: Recorder, random: Random) -> list[Strike]:
    """A third worker without a name joins, works for three seconds, and leaves: the group shares anew each time."""
    await under_way(recorder, random)
    before = recorder.acknowledged
    at = time.monotonic_ns()
    guest = Program("guest", ["worker"], cluster.service.environment, cluster.service.directory)
    try:
        await cluster.restarted(guest)
        await asyncio.sleep(REBALANCE_S)
        code = await asyncio.to_thread(guest.stop)
    finally:
        if guest.running:
            guest.kill()
    if code != 0:
        raise RuntimeError(f"a worker that was told to stop ended with {code}:\n{guest.log()[-2000:]}")
    if recorder.acknowledged == before:
        raise RuntimeError("nothing was acknowledged while a worker came and went")
    return [Strike(at, time.monotonic_ns())]
