"""What a row says: medians of its runs, each beside its floor."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec


class Run(msgspec.Struct, frozen=True):
    """One run of a row: everything that was read, nothing judged."""

    part: str
    """Which of the row's loads this was."""
    population: int
    """Users before the run."""
    seconds: float
    requests: int
    rate: float
    """Answers a second."""
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    cpu_us: dict[str, float]
    """CPU microseconds a request, of each process and of wrk."""
    memory_mib: dict[str, float]
    """Most resident memory of each process since its start."""
    fsync_ms: float
    load_average: float
    """Of the last minute, before the run."""
    others: float
    """Cores that everything else on the machine kept busy during the run; beyond some tenths the figures say little."""
    uvloop: bool
    more: dict[str, float] = {}
    """What only this kind of row reads."""


class Floor(msgspec.Struct, frozen=True):
    """A promise about a figure."""

    sign: Literal["<=", ">="]
    limit: float

    def holds(self, value: float) -> bool:
        """Tell whether the figure keeps the promise."""
        return value <= self.limit if self.sign == "<=" else value >= self.limit


class Measure(msgspec.Struct, frozen=True):
    """One figure of a row and where it is read in a run."""

    title: str
    unit: str
    floor: Floor | None
    read: Callable[[Run], float]
    part: str = ""
    """Read only runs of this part; "" = all."""


class Measured(msgspec.Struct, frozen=True):
    """The median of a figure over the runs."""

    title: str
    unit: str
    value: float
    low: float
    high: float
    floor: Floor | None
    ok: bool


class RowResult(msgspec.Struct, frozen=True):
    """A measured row."""

    key: str
    title: str
    figures: tuple[Measured, ...]
    runs: tuple[Run, ...]
    failure: str = ""
    """Why the row says nothing; then there are no figures."""

    @property
    def ok(self) -> bool:
        """Whether it was measured and every floor holds."""
        return not self.failure and all(figure.ok for figure in self.figures)


def cpu_ms(run: Run) -> float:
    """Return milliseconds of CPU a request, of all processes but wrk."""
    return sum(spent for name, spent in run.cpu_us.items() if name != "wrk") / 1000


def measured(measure: Measure, runs: Sequence[Run]) -> Measured:
    """Return the median of a figure and its least and greatest value."""
    values = [measure.read(run) for run in runs if measure.part in {"", run.part}]
    return judged(measure.title, measure.unit, measure.floor, values)


def judged(title: str, unit: str, floor: Floor | None, values: Sequence[float]) -> Measured:
    """Return the median of the values beside its floor."""
    value = statistics.median(values)
    return Measured(title, unit, value, min(values), max(values), floor, floor is None or floor.holds(value))


def drift(rounds: Sequence[Sequence[float]]) -> float:
    """Return by what part the last round's median lies over the second one's; 0 is flat, and so is anything below.

    The first round is left out: caches fill. With fewer than three rounds the first stands for the second.
    """
    before = statistics.median(rounds[1] if len(rounds) > 2 else rounds[0])
    return statistics.median(rounds[-1]) / before - 1


def percentile(values: Sequence[float], part: float) -> float:
    """Return the smallest value that ``part`` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    index = max(0, -(-len(ordered) * round(part * 10_000) // 10_000) - 1)
    return ordered[index]
