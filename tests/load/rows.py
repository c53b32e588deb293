"""The rows of a table: what is asked of a fresh server, and the floor beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from tests.load import closed_loop
from tests.load.budget import Budget
from tests.load.deployments import Deployment
from tests.load.errors import RunFailed
from tests.load.measures import Floor, Measure, RowResult, Run, cpu_ms, measured
from tests.load.memory_row import memory_runs
from tests.load.password_row import password_runs
from tests.load.scale_row import scale_runs
from tests.load.sizing_row import STAGES, sizing_runs
from tests.load.workers_row import workers_runs
from tests.load.wrk import Load


class Row(msgspec.Struct, frozen=True):
    """One row: how its runs are made, and what is read in them."""

    key: str
    """What ``--rows`` calls it."""
    title: str
    runs: Callable[[Deployment, Budget, str], Iterable[Run]]
    """Given the title, for the lines of progress. Made one by one where it is an iterator. Raises RunFailed."""
    measures: tuple[Measure, ...]


def measure_row(row: Row, deployment: Deployment, budget: Budget) -> RowResult:
    """Measure a row; what made a run worthless stands in the result."""
    return measure_in_turn([(row, deployment)], budget)[0]


def measure_in_turn(rows: Sequence[tuple[Row, Deployment]], budget: Budget) -> list[RowResult]:
    """Measure rows of several deployments, a run of each before the next of any, and each time the other way round.

    The machine's pace changes within minutes, and a broker is slower in its first one.
    """
    going = [iter(_guarded(row, deployment, budget)) for row, deployment in rows]
    found: list[list[Run | str]] = [[] for _ in rows]
    left = list(range(len(rows)))
    while left:
        for place in tuple(left):
            one = next(going[place], None)
            if one is None:
                left.remove(place)
            else:
                found[place].append(one)
        left.reverse()
    return [_result(row, each) for (row, _), each in zip(rows, found, strict=True)]


def _guarded(row: Row, deployment: Deployment, budget: Budget) -> Iterator[Run | str]:
    """Yield the runs; in the place of the first that fails, why."""
    try:
        yield from row.runs(deployment, budget, row.title)
    except (RunFailed, OSError) as failure:
        # OSError: a server that died, refused or timed out (TimeoutError is one) costs its row, not the other rows.
        # Without its text, which may hold a path: results are committed.
        yield str(failure) if isinstance(failure, RunFailed) else f"{type(failure).__name__} while it ran"


def _result(row: Row, found: Sequence[Run | str]) -> RowResult:
    runs = [one for one in found if isinstance(one, Run)]
    failure = next((one for one in found if isinstance(one, str)), "")
    if failure:
        return RowResult(row.key, row.title, (), (), failure)
    return RowResult(row.key, row.title, tuple(measured(each, runs) for each in row.measures), tuple(runs))


def plain(load: Load) -> Callable[[Deployment, Budget, str], Iterator[Run]]:
    """Return how a row of one load is run: each time on a fresh server with the population."""

    def runs(deployment: Deployment, budget: Budget, title: str) -> Iterator[Run]:
        for number in range(budget.runs):
            budget.begin(title, f"run {number + 1} of {budget.runs}")
            with deployment.running(budget.population) as running:
                counted = closed_loop.Counted(running)
                closed_loop.warm_up(running, load, counted, f"warm{number:02d}", budget.warm_up_s)
                made = closed_loop.measure(running, load, counted, f"runs{number:02d}", budget.seconds)
                counted.check()
            # With the server stopped: before the next run another deployment may have its turn.
            yield made

    return runs


def _rate(run: Run) -> float:
    return run.rate


def _p50(run: Run) -> float:
    return run.p50_ms


def _largest(run: Run) -> float:
    return max(run.memory_mib.values())


def _megabytes(process: str) -> Callable[[Run], float]:
    """Read the most resident of one process; the floors of the distributed mode are in MB."""
    return lambda run: run.memory_mib[process] * 2**20 / 1e6


def _more(key: str) -> Callable[[Run], float]:
    return lambda run: run.more[key]


def _at_least(rate: float) -> tuple[Measure, ...]:
    return (Measure("rate", "/s", Floor(">=", rate), _rate),)


_CPU: Final = Measure("CPU of all processes but wrk", "ms", None, cpu_ms)


def _alone(most_ms: float) -> Row:
    """Return the row of one caller, who waits for each answer before he sends the next request."""
    p50 = Measure("p50", "ms", Floor("<=", most_ms), _p50)
    return Row("create-1", "create, 1 connection", plain(Load("create", 1)), (p50,))


def _scale(least: float) -> Row:
    """Return the row of the large population against the small."""
    return Row(
        "scale",
        "create at the large population against the small, 64 connections",
        scale_runs,
        (
            Measure("small", "/s", None, _rate, "small"),
            Measure("large", "/s", None, _rate, "large"),
            Measure("ratio", "", Floor(">=", least), _more("ratio"), "large"),
        ),
    )


EMBEDDED: Final = (
    _alone(4),
    Row("create", "create, 64 connections", plain(Load("create", 64)), _at_least(4000)),
    Row("patch", "PATCH of one attribute, 64 connections", plain(Load("patch", 64)), _at_least(4000)),
    Row("get", "GET by id, 64 connections", plain(Load("get", 64)), _at_least(5000)),
    Row(
        "filter",
        "userName eq, 64 connections",
        plain(Load("filter", 64, {"expect": '"totalResults":1,'})),
        _at_least(4000),
    ),
    Row(
        "list",
        "list page of 100, 8 connections",
        plain(Load("list", 8, {"expect": '"itemsPerPage":100,'})),
        (Measure("CPU a page", "ms", Floor("<=", 8), cpu_ms),),
    ),
    Row(
        "memory",
        "memory under mixed load, 64 connections",
        memory_runs,
        (
            Measure("most resident", "MiB", Floor("<=", 200), _largest, "whole"),
            Measure("growth, round 2 to the last", "%", Floor("<=", 5), _more("drift_percent"), "whole"),
        ),
    ),
    _scale(0.8),
    Row(
        "password",
        "create with argon2id passwords, 16 connections",
        password_runs,
        (
            Measure("rate", "/s", None, _rate),
            Measure("share of what the cores can hash", "", Floor(">=", 0.6), _more("share")),
            Measure("p99 of GETs beside it, as a multiple", "", Floor("<=", 2), _more("p99_ratio")),
        ),
    ),
)
KAFKA: Final = (
    _alone(6),
    Row("create-64", "create, 64 connections", plain(Load("create", 64)), (*_at_least(2500), _CPU)),
    Row(
        "create-256",
        "create, 256 connections",
        plain(Load("create", 256)),
        (*_at_least(4500), msgspec.structs.replace(_CPU, floor=Floor("<=", 0.320))),
    ),
    Row("patch-64", "PATCH of one attribute, 64 connections", plain(Load("patch", 64)), (*_at_least(2500), _CPU)),
    Row("get-64", "GET by id, 64 connections", plain(Load("get", 64)), (*_at_least(5000), _CPU)),
    Row(
        "memory",
        "memory under mixed load, 64 connections",
        memory_runs,
        tuple(
            measure
            for process in ("gateway", "worker")
            for measure in (
                Measure(f"{process}: most resident", "MB", Floor("<=", 150), _megabytes(process), "whole"),
                Measure(
                    f"{process}: growth, round 2 to the last",
                    "%",
                    Floor("<=", 5),
                    _more(f"drift_percent_{process}"),
                    "whole",
                ),
            )
        ),
    ),
    _scale(0.9),
    Row(
        "workers",
        "create on two workers against one, 4 partitions, 256 connections",
        workers_runs,
        (
            Measure("CPU with one", "ms", None, cpu_ms, "one"),
            Measure("CPU with two", "ms", None, cpu_ms, "two"),
            Measure("ratio", "", Floor("<=", 1.15), _more("ratio"), "two"),
        ),
    ),
    Row(
        "sizing",
        "what a user and a write leave behind, 256 connections and 1",
        sizing_runs,
        (
            Measure("Redis' memory: a user", "B", None, _more("redis_for_good"), "create"),
            Measure("the outcome of a create", "B", None, _more("redis_outcome"), "create"),
            Measure("the outcome of a PATCH", "B", None, _more("redis_outcome"), "patch"),
            Measure("… with an Idempotency-Key", "B", None, _more("redis_outcome"), "keyed"),
            *(
                Measure(f"{title}: {stage.part}", "B", None, _more(key), stage.part)
                for key, title in (
                    ("file", "append-only file"),
                    ("log_commands", "commands on disk"),
                    ("log_state", "state on disk"),
                    ("log_events", "events on disk"),
                )
                for stage in STAGES
            ),
            *(Measure(f"CPU: {stage.part}", "ms", None, cpu_ms, stage.part) for stage in STAGES),
        ),
    ),
)
BESIDE: Final = (Measure("rate", "/s", None, _rate), Measure("p50", "ms", None, _p50), _CPU)
"""What is said of a row on two deployments, and of the one as a multiple of the other."""
BARE: Final = tuple(
    msgspec.structs.replace(row, title=f"bare: {row.title}", measures=BESIDE)
    for row in KAFKA
    if row.key in {"create-1", "create-64", "create-256", "patch-64", "get-64"}
)
TABLES: Final[Mapping[str, tuple[Row, ...]]] = {"embedded": EMBEDDED, "kafka": KAFKA, "bare": BARE}
"""The rows of each deployment, by its name."""
