"""The row of memory: every kind of request in turn on one server, its resident memory watched all along."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from tests.load import closed_loop
from tests.load.budget import Budget
from tests.load.deployments import Deployment, Running
from tests.load.measures import Run, drift
from tests.load.processes import MemoryWatch, memory, uses_uvloop
from tests.load.wrk import Load

LOADS: Final = (
    Load("create", 64),
    Load("patch", 64),
    Load("get", 64),
    Load("filter", 64, {"expect": '"totalResults":1,'}),
    Load("list", 64, {"expect": '"itemsPerPage":100,'}),
)
ROUNDS: Final = 5
"""At least; one a minute where ``budget.minutes`` are more."""


def memory_runs(deployment: Deployment, budget: Budget, title: str) -> Sequence[Run]:
    """Return a run for each load in each round, and one of part ``whole`` with the peak and the drift.

    One server for all rounds, also with fewer runs: five fresh ones would show five times how caches fill. Creates make
    the population grow all the time, so memory that follows the number of users shows as drift.
    """
    made: list[Run] = []
    rounds: list[dict[str, list[float]]] = []
    rounds_due = max(ROUNDS, budget.minutes)
    each_s = budget.minutes * 60 / rounds_due / len(LOADS) if budget.minutes else max(1.0, budget.seconds / 3)
    with deployment.running(budget.population) as running:
        counted = closed_loop.Counted(running)
        load_average = os.getloadavg()[0]
        for number in range(rounds_due):
            budget.begin(title, f"round {number + 1} of {rounds_due}")
            with MemoryWatch(running.watched) as watch:
                for load in LOADS:
                    tag = f"{load.script[:4]:-<4}{number:02d}"
                    made.append(closed_loop.measure(running, load, counted, tag, each_s, part=load.script))
            rounds.append({process.name: watch.of(process.name) for process in running.watched})
        counted.check()
        return [*made, _whole(running, made, rounds, load_average)]


def _whole(running: Running, made: Sequence[Run], rounds: Sequence[dict[str, list[float]]], load_average: float) -> Run:
    """Return all rounds as one run; the drift is that of the process that grew most."""
    drifts = {process.name: drift([each[process.name] for each in rounds]) for process in running.watched}
    seconds = sum(run.seconds for run in made)
    requests = sum(run.requests for run in made)
    now = {process.name: memory(process.pid) for process in running.watched}
    return Run(
        part="whole",
        population=made[0].population,
        seconds=seconds,
        requests=requests,
        rate=requests / seconds,
        p50_ms=0,
        p90_ms=0,
        p99_ms=0,
        max_ms=max(run.max_ms for run in made),
        cpu_us={},
        memory_mib={name: each.peak for name, each in now.items()},
        fsync_ms=made[0].fsync_ms,
        load_average=load_average,
        others=max(run.others for run in made),
        uvloop=any(uses_uvloop(process.pid) for process in running.watched),
        more={
            "drift_percent": 100 * max(drifts.values()),
            **{f"drift_percent_{name}": 100 * each for name, each in drifts.items()},
            **{f"anonymous_mib_{name}": each.anonymous for name, each in now.items()},
        },
    )
