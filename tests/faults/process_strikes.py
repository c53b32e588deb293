"""What is done to processes in numbers: both kinds killed, a storm of rebalances, rolling restarts, starvation, clocks."""

from __future__ import annotations

import asyncio
import re
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Final

from tests.distributed import Program
from tests.faults.campaign import SECOND, Strike, under_way
from tests.faults.cluster import Cluster
from tests.faults.history import Recorder
from tests.faults.strikes import recovered
from tests.faults.violations import Violation
from tests.services.processes import Missing

CHANGES: Final = 5
EVERY_S: Final = 3.0
LEAST_PROGRESS: Final = 0.3
CALM_S: Final = 3.0
STOP_LIMIT_S: Final = 10.0
STARVED_S: Final = 8.0
LIBRARIES: Final = (
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
)
SKEWS: Final = ("+3600", "-3600", "+5", "-5", "+0.8", "-0.8")
"""Seconds; the last two are within what is tolerated."""
EXPIRING: Final = re.compile(r":(?:out|key|un):\S+: missing on the left")
"""An outcome, or what leads to it, that the log would restore and live Redis does not have."""
TOLERATED_S: Final = 1.0
ALARM_LIMIT_S: Final = 20.0


async def both_kill(cluster: Cluster, recorder: Recorder, random: Random) -> list[Strike]:
    """``kill -9`` of a worker and a gateway at once."""
    victims = [random.choice(cluster.service.workers), random.choice(cluster.service.gateways)]
    await under_way(recorder, random)
    at = time.monotonic_ns()
    for victim in victims:
        victim.send(signal.SIGKILL)
    for victim in victims:
        victim.ended()
    await asyncio.sleep(random.uniform(0, 0.5))
    async with asyncio.TaskGroup() as group:
        for victim in victims:
            group.create_task(cluster.restarted(victim))
    return await recovered(cluster, recorder, at, " and ".join(victim.name for victim in victims))


async def rebalance_storm(cluster: Cluster, recorder: Recorder, random: Random) -> list[Strike]:
    """Every three seconds a worker without a name joins, or one leaves or is killed; more than 30 % still goes on."""
    await asyncio.sleep(CALM_S)
    await under_way(recorder, random)
    at = time.monotonic_ns()
    calm = max(1, _acknowledged(recorder, at - int(CALM_S * SECOND), at)) / CALM_S
    guests = cluster.guests
    try:
        for _ in range(CHANGES):
            if len(guests) > 2 or (guests and random.random() < 0.4):
                await _sent_away(guests.pop(0), random)
            else:
                cluster.round += 1
                guest = Program(
                    f"guest-{cluster.round}", ["worker"], cluster.service.environment, cluster.service.directory
                )
                guests.append(guest)
                await cluster.restarted(guest)
            cluster.noted["came or went"] += 1
            await asyncio.sleep(EVERY_S)
            await cluster.scrape()
        while guests:
            await _sent_away(guests.pop(), random)
    finally:
        for guest in guests:
            if guest.running:
                guest.kill()
        guests.clear()
    over = time.monotonic_ns()
    progress = _acknowledged(recorder, at, over) * SECOND / (over - at) / calm
    cluster.noted["% of calm, the least"] = min(cluster.noted["% of calm, the least"] or 100, int(100 * progress))
    if progress < LEAST_PROGRESS:
        text = f"{100 * progress:.0f} % of what is acknowledged in calm, {100 * LEAST_PROGRESS:.0f} % are the least"
        cluster.broken.append(Violation("F12", "form", text))
    return await recovered(cluster, recorder, at)


async def _sent_away(guest: Program, random: Random) -> None:
    if random.random() < 0.5:
        guest.kill()
    else:
        await asyncio.to_thread(guest.stop)


def _acknowledged(recorder: Recorder, begin: int, end: int) -> int:
    return sum(one.is_write and one.succeeded and begin < one.returned_at <= end for one in recorder.operations)


async def rolling_restart(cluster: Cluster, recorder: Recorder, random: Random) -> list[Strike]:
    """Each worker, then each gateway: SIGTERM, its end within ten seconds, a new start; no request fails of it."""
    await under_way(recorder, random)
    at = time.monotonic_ns()
    for program in (*cluster.service.workers, *cluster.service.gateways):
        began = time.monotonic()
        code = await asyncio.to_thread(program.stop)
        took = time.monotonic() - began
        if code != 0 or took > STOP_LIMIT_S:
            cluster.broken.append(Violation("F22", "form", f"{program.name} ended with {code} after {took:.1f} s"))
        await cluster.restarted(program)
        cluster.noted["restarted"] += 1
    found = await recovered(cluster, recorder, at)
    for one in recorder.operations:
        # Where nobody listened a load balancer asks the next: nothing was sent.
        failed = one.sent and not one.gave_up and (one.status is None or one.status >= 500)
        if failed and one.returned_at > at:
            text = f"{one.verb} was answered {one.status} while processes were restarted in good order"
            cluster.broken.append(Violation("F22", "refused", text, one.resource, (one.number,)))
    return found


async def starvation(cluster: Cluster, recorder: Recorder, random: Random) -> list[Strike]:
    """A process gets a tenth of its time, in slices."""
    program = random.choice(cluster.service.programs)
    await under_way(recorder, random)
    at = time.monotonic_ns()
    until = time.monotonic() + STARVED_S
    try:
        while time.monotonic() < until:
            away = random.uniform(0.02, 0.6)
            program.send(signal.SIGSTOP)
            await asyncio.sleep(away)
            program.send(signal.SIGCONT)
            cluster.noted["stops"] += 1
            await asyncio.sleep(away / 9)
    finally:
        program.send(signal.SIGCONT)
    return await recovered(cluster, recorder, at, program.name)


class SkewedCluster(Cluster):
    """A ``Cluster`` whose gateways and workers each have a clock that can be set; time that passes is the machine's."""

    def __init__(self, directory: Path, environment: Mapping[str, str] | None = None) -> None:
        self.library = next((path for path in LIBRARIES if Path(path).exists()), None)
        if self.library is None:
            raise Missing("no libfaketime; Debian, Ubuntu: apt-get install faketime")
        directory.mkdir(parents=True, exist_ok=True)
        super().__init__(directory, environment)

    def _environment_of(self, name: str) -> Mapping[str, str]:
        self.set_clock(name, "+0")
        return {
            "LD_PRELOAD": self.library or "",
            "FAKETIME_TIMESTAMP_FILE": str(self._clock(name)),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    async def rebuilt(self) -> list[Violation]:
        """See ``campaign.Site.rebuilt``: an owner whose clock jumped ahead after it decided stores no outcome.

        It has expired by then, as far as that owner can tell; how long outcomes live is what clocks are for.
        """
        return [one for one in await super().rebuilt() if not EXPIRING.search(one.text)]

    def _clock(self, name: str) -> Path:
        return self.directory / f"clock-{name}"

    def set_clock(self, name: str, seconds: str) -> None:
        """Set a program's clock so many seconds (with a sign) apart from the machine's."""
        fresh = self._clock(name).with_suffix(".new")
        fresh.write_text(f"{seconds}\n")
        fresh.replace(self._clock(name))


async def clock_jump(cluster: SkewedCluster, recorder: Recorder, random: Random) -> list[Strike]:
    """A process's clock jumps, is noticed where it is further off than is tolerated, and is set right."""
    skew = SKEWS[cluster.round % len(SKEWS)]
    program = (cluster.service.gateways if random.random() < 0.5 else cluster.service.workers)[random.randrange(2)]
    cluster.round += 1
    await under_way(recorder, random)
    at = time.monotonic_ns()
    cluster.set_clock(program.name, skew)
    try:
        if abs(float(skew)) > TOLERATED_S:
            await _noticed(program, cluster)
        await asyncio.sleep(random.uniform(1, 3))
    finally:
        cluster.set_clock(program.name, "+0")
    return await recovered(cluster, recorder, at, f"{program.name} {skew} s")


async def _noticed(program: Program, cluster: Cluster) -> None:
    """Wait until the process says that its clock is wrong: a gateway is not ready, a worker alarms (CP-18)."""
    until = time.monotonic() + ALARM_LIMIT_S
    while True:
        status, text = await asyncio.to_thread(program.probe, "readyz")
        if "clock" in text and (status == 503 or program.name.startswith("worker")):
            cluster.noted[f"{program.name.partition('-')[0]} alarms"] += 1
            return
        if time.monotonic() > until:
            cluster.broken.append(
                Violation("CP-18", "form", f"{program.name} does not notice its clock: {status} {text}")
            )
            return
        await asyncio.sleep(0.1)
