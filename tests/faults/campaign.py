"""A fault run: load, strikes, rest; then everything the clients and the service know goes to the checker."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, Final, Protocol, TypeVar

import msgspec

from schemas.partitions import partition_of
from tests.distributed import PARTITIONS
from tests.faults.caller import Caller
from tests.faults.checker import check
from tests.faults.collect import final_state
from tests.faults.history import Operation, Recorder
from tests.faults.load import Load, Plan
from tests.faults.logs import Logs, check_topics
from tests.faults.outcomes import asked, check_told, parked
from tests.faults.servers import Embedded
from tests.faults.violations import Violation

SECOND: Final = 10**9
TOPICS: Final = "topics.json"
"""A file of kept evidence: ``Logs``."""
SWALLOWED: Final = "swallowed"
"""A file that tells of kept evidence that the network swallowed answers."""
UNDER_WAY_LIMIT_S: Final = 60.0
WORKING_LIMIT_S: Final = 90.0


class Site(Protocol):
    """A service under test, as a run sees it."""

    @property
    def urls(self) -> Sequence[str]:
        """``http://host:port`` of each gateway."""

    @property
    def token(self) -> str:
        """A token of the tenant."""

    @property
    def tenant(self) -> str:
        """The tenant that the clients work in."""

    @property
    def polled(self) -> bool:
        """See ``checker.check``."""

    @property
    def directory(self) -> Path:
        """Where the evidence is kept."""

    async def published(self) -> list[dict[str, Any]]:
        """Return all events, as ``scimgw events --meta`` would print them."""

    @property
    def swallows(self) -> bool:
        """See ``swallowed`` of ``checker.check``."""

    @property
    def broken(self) -> Sequence[Violation]:
        """What strikes have found that the history does not show."""

    async def logs(self) -> Logs | None:
        """Return what the other topics hold, where there are any."""

    async def rebuilt(self) -> list[Violation]:
        """Return how what is served differs from what the log would make; the service need not go on after it."""

    async def quiet(self, caller: Caller, random: Random) -> None:
        """Wait until nothing that any client has sent can take effect any more; ``caller`` may write for it."""

    def excuses(self, operation: Operation) -> bool:
        """Tell whether an answer is outside the promise, and says nothing."""


S = TypeVar("S", bound=Site)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a run is."""

    strikes: int
    acknowledged: int
    calm: tuple[float, float] = (1.0, 3.0)
    """Seconds between the end of one strike and the next."""
    most: int = 2
    """It strikes on, up to so many times ``strikes``, until enough is acknowledged."""
    limit_s: float = 24 * 3600
    """After so long the run has come to a stop."""


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault: when it began, and when the server was whole again."""

    at: int
    over: int
    what: str = ""
    back: int | None = None
    """When what was taken away was there again; None where nothing was."""


@dataclass(slots=True)
class Result:
    """What a run showed."""

    history: list[Operation]
    state: list[dict[str, Any]]
    events: list[dict[str, Any]]
    strikes: list[Strike]
    outcomes: list[dict[str, Any]] = field(default_factory=list)
    """What ``GET /Outcomes`` says of writes that were answered "unknown"."""
    violations: list[Violation] = field(default_factory=list)
    logs: Logs | None = None
    """The topics beside that of the events."""

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

    def under_way(self, strike: Strike) -> int:
        """How many writes were with the service when the strike came, whatever became of them."""
        return sum(o.is_write and o.sent and o.invoked_at < strike.at <= o.returned_at for o in self.history)

    def refused_reads(self, strike: Strike) -> int:
        """How many reads were answered 503 from a strike until its end."""
        return sum(
            not o.is_write and o.status == 503 and strike.at <= o.returned_at <= strike.over for o in self.history
        )

    def longest_gap(self) -> float:
        """The longest time in seconds in which no write was acknowledged."""
        return _longest(self._acknowledgements())

    def longest_partition_gap(self) -> float:
        """The longest time in seconds in which no write to one and the same partition was acknowledged."""
        times: dict[int, list[int]] = defaultdict(list)
        for o in self.history:
            if o.is_write and o.succeeded and o.resource:
                times[partition_of(o.tenant, o.resource, shards=1, partitions=PARTITIONS)].append(o.returned_at)
        return max((_longest(sorted(found)) for found in times.values()), default=0)

    def time_to_normal(self) -> float:
        """The longest time in seconds from a strike until half a second with 80 % of the usual acknowledged writes."""
        return max((normal - strike.at for strike, normal in self._normal()), default=0) / SECOND

    def time_to_normal_after_return(self) -> float | None:
        """The same from when what a strike had taken away was there again; None where none took anything away."""
        found = [max(0, normal - strike.back) for strike, normal in self._normal() if strike.back is not None]
        return max(found) / SECOND if found else None

    def _normal(self) -> Iterator[tuple[Strike, int]]:
        """Yield each strike with the moment from which on all was as usual."""
        times = self._acknowledgements()
        window = SECOND // 2
        calm = [_count(times, s.at - window, s.at) for s in self.strikes]
        usual = median(calm) if calm else 0
        for strike, before in zip(self.strikes, calm, strict=True):
            end = strike.at + window
            # Whatever else the machine does makes the rate drift: what was usual just before counts, too.
            while _count(times, end - window, end) < 0.8 * min(usual, before) and end < times[-1]:
                end += window // 10
            yield strike, end - window

    def _acknowledgements(self) -> list[int]:
        return sorted(o.returned_at for o in self.history if o.is_write and o.succeeded)


def _longest(times: list[int]) -> float:
    return max((b - a for a, b in pairwise(times)), default=0) / SECOND


def _count(times: list[int], since: int, until: int) -> int:
    return bisect_left(times, until) - bisect_left(times, since)


async def run(
    site: S,
    strike: Callable[[S, Recorder, Random], Awaitable[Sequence[Strike]]],
    size: Size,
    seed: int,
    plan: Plan,
    progress: Callable[[str], None],
) -> Result:
    """Load the service, strike as often as ``size`` says, check; the evidence is kept in the site's directory.

    Raises RuntimeError when the service does not come back, or nothing goes on.
    """
    random = Random(seed)
    recorder = Recorder(site.directory / "history.jsonl")
    load = Load(site.urls, site.token, recorder, random, plan, tenant=site.tenant)
    strikes: list[Strike] = []
    until = time.monotonic() + size.limit_s
    async with asyncio.TaskGroup() as group:
        group.create_task(load.run(), name="load")
        try:
            await working(recorder)
            while len(strikes) < size.strikes or recorder.acknowledged < size.acknowledged:
                await asyncio.sleep(random.uniform(*size.calm))
                if len(strikes) < size.most * size.strikes:
                    strikes += await strike(site, recorder, random)
                progress(f"strikes {len(strikes)}, acknowledged {recorder.acknowledged}")
                if time.monotonic() > until:
                    raise RuntimeError(f"after {size.limit_s:.0f} s only {recorder.acknowledged} acknowledged")
            await asyncio.sleep(1)
        finally:
            load.stopping.set()
    async with Caller("last", recorder, site.token, tenant=site.tenant) as caller:
        await site.quiet(caller, random)
    recorder.close()
    history = [operation for operation in recorder.operations if not site.excuses(operation)]
    outcomes = await asked(site.urls, site.token, history)
    state = await final_state(site.urls, site.token, history, site.tenant)
    result = Result(history, state, await site.published(), strikes, outcomes, logs=await site.logs())
    keep(site.directory, result)
    result.violations = [*site.broken]
    if site.swallows:
        (site.directory / SWALLOWED).touch()
    result.violations += check(
        history,
        state,
        result.events,
        polled=site.polled,
        parked=parked(outcomes, () if result.logs is None else result.logs.dead),
        swallowed=site.swallows,
    )
    result.violations += check_told(history, result.events, outcomes)
    if result.logs is not None:
        result.violations += check_topics(result.logs, result.events, site.tenant)
    result.violations += await site.rebuilt()
    return result


def keep(directory: Path, result: Result) -> None:
    """Write history, state, events and outcomes, so that the run can be checked again."""
    with (directory / "history.jsonl").open("wb") as lines:
        lines.writelines(msgspec.json.encode(operation) + b"\n" for operation in result.history)
    if result.logs is not None:
        (directory / TOPICS).write_bytes(msgspec.json.encode(result.logs))
    for name, records in (("state", result.state), ("events", result.events), ("outcomes", result.outcomes)):
        with (directory / f"{name}.jsonl").open("wb") as lines:
            lines.writelines(msgspec.json.encode(record) + b"\n" for record in records)


async def under_way(recorder: Recorder, random: Random, writes: int = 3) -> None:
    """Wait until so many writes wait for their answer. Raises RuntimeError when that does not come to pass."""
    until = time.monotonic() + UNDER_WAY_LIMIT_S
    while recorder.writes_in_flight < writes:
        await asyncio.sleep(random.uniform(0, 0.001))
        if time.monotonic() > until:
            raise RuntimeError(f"no {writes} writes are under way at once: the fault would hit nothing")


async def working(recorder: Recorder, writes: int = 20) -> None:
    """Wait until so many more writes are acknowledged. Raises RuntimeError when that does not come to pass."""
    until = time.monotonic() + WORKING_LIMIT_S
    wanted = recorder.acknowledged + writes
    while recorder.acknowledged < wanted:
        await asyncio.sleep(0.01)
        if time.monotonic() > until:
            raise RuntimeError(f"after {WORKING_LIMIT_S:.0f} s no {writes} more writes are acknowledged")


async def kill(server: Embedded, recorder: Recorder, random: Random) -> list[Strike]:
    """``kill -9`` while a write is under way, a short pause, the same data again."""
    # Several, so that some are still without an answer when the signal arrives.
    await under_way(recorder, random)
    at = time.monotonic_ns()
    server.kill()
    await asyncio.sleep(random.uniform(0, 0.2))
    await server.start()
    return [Strike(at, time.monotonic_ns())]
