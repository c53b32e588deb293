"""A fault run: load, strikes, rest; then everything the clients and the server know goes to the checker."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, Final

import msgspec

from tests.faults.checker import check
from tests.faults.collect import final_state
from tests.faults.history import Operation, Recorder
from tests.faults.load import Load, Plan
from tests.faults.servers import Embedded
from tests.faults.violations import Violation

SECOND: Final = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a run is."""

    strikes: int
    acknowledged: int
    calm: tuple[float, float] = (1.0, 3.0)
    """Seconds between the end of one strike and the next."""


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault: when it began, and when the server was whole again."""

    at: int
    over: int


@dataclass(slots=True)
class Result:
    """What a run showed."""

    history: list[Operation]
    state: list[dict[str, Any]]
    events: list[dict[str, Any]]
    strikes: list[Strike]
    violations: list[Violation] = field(default_factory=list)

    @property
    def acknowledged(self) -> int:
        """Writes answered 2xx."""
        return sum(operation.is_write and operation.succeeded for operation in self.history)

    def unanswered(self, strike: Strike) -> int:
        """How many writes were with the server when the strike came, and were never answered, or answered 5xx."""
        return sum(
            o.is_write and o.is_open and not o.gave_up and o.invoked_at < strike.over and o.returned_at >= strike.at
            for o in self.history
        )

    def longest_gap(self) -> float:
        """The longest time in seconds in which no write was acknowledged."""
        times = self._acknowledgements()
        return max((b - a for a, b in pairwise(times)), default=0) / SECOND

    def time_to_normal(self) -> float:
        """The longest time in seconds from a strike until half a second with 80 % of the usual acknowledged writes."""
        times = self._acknowledgements()
        window = SECOND // 2
        calm = [_count(times, s.at - window, s.at) for s in self.strikes]
        usual = median(calm) if calm else 0
        longest = 0
        for strike, before in zip(self.strikes, calm, strict=True):
            end = strike.at + window
            # Whatever else the machine does makes the rate drift: what was usual just before counts, too.
            while _count(times, end - window, end) < 0.8 * min(usual, before) and end < times[-1]:
                end += window // 10
            longest = max(longest, end - window - strike.at)
        return longest / SECOND

    def _acknowledgements(self) -> list[int]:
        return sorted(o.returned_at for o in self.history if o.is_write and o.succeeded)


def _count(times: list[int], since: int, until: int) -> int:
    return bisect_left(times, until) - bisect_left(times, since)


StrikeOnce = Callable[[Embedded, Recorder, Random], Awaitable[Strike]]


async def run(
    server: Embedded, strike: StrikeOnce, size: Size, seed: int, plan: Plan, progress: Callable[[str], None]
) -> Result:
    """Load the server, strike as often as ``size`` says, check; the evidence is kept beside the server's data."""
    random = Random(seed)
    recorder = Recorder(server.data.parent / "history.jsonl")
    load = Load([server.url], server.token, recorder, random, plan)
    strikes: list[Strike] = []
    async with asyncio.TaskGroup() as group:
        group.create_task(load.run(), name="load")
        try:
            while len(strikes) < size.strikes or recorder.acknowledged < size.acknowledged:
                await asyncio.sleep(random.uniform(*size.calm))
                if len(strikes) < 2 * size.strikes:
                    strikes.append(await strike(server, recorder, random))
                progress(f"strikes {len(strikes)}, acknowledged {recorder.acknowledged}")
            await asyncio.sleep(1)
        finally:
            load.stopping.set()
    recorder.close()
    state = await final_state(server.url, server.token, recorder.operations)
    events = await asyncio.to_thread(server.events)
    result = Result(recorder.operations, state, events, strikes)
    keep(server.data.parent, result)
    result.violations = check(result.history, state, events)
    return result


def keep(directory: Path, result: Result) -> None:
    """Write state and events beside the history, so that the run can be checked again."""
    for name, records in (("state", result.state), ("events", result.events)):
        with (directory / f"{name}.jsonl").open("wb") as lines:
            lines.writelines(msgspec.json.encode(record) + b"\n" for record in records)


async def kill(server: Embedded, recorder: Recorder, random: Random) -> Strike:
    """``kill -9`` while a write is under way, a short pause, the same data again."""
    # Several, so that some are still without an answer when the signal arrives.
    while recorder.writes_in_flight < 3:
        await asyncio.sleep(random.uniform(0, 0.001))
    at = time.monotonic_ns()
    server.kill()
    await asyncio.sleep(random.uniform(0, 0.2))
    await server.start()
    return Strike(at, time.monotonic_ns())
