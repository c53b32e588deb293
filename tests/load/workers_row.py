"""The row of workers: creates on two workers against creates on one, turn by turn, CPU a write of all processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tests.load import closed_loop
from tests.load.budget import Budget
from tests.load.deployments import Deployment
from tests.load.errors import BenchError, RunFailed
from tests.load.measures import Run, cpu_ms
from tests.load.on_servers import OnServers
from tests.load.wrk import Load

LOAD: Final = Load("create", 256)
PARTITIONS: Final = 4
LEAST_SHARE: Final = 0.25
"""Of the workers' CPU: a worker below it had no even part of the partitions."""


def workers_runs(deployment: Deployment, budget: Budget, title: str) -> Sequence[Run]:
    """Return pairs of runs, parts ``one`` and ``two``; the second of a pair has the ratio of their CPU a write.

    Turn by turn and first in turn, for a machine's pace changes within minutes. Rates are not compared: two workers on
    the cores of one have no more to work with.
    """
    if not isinstance(deployment, OnServers):
        raise BenchError("only the distributed mode has workers")
    made: list[Run] = []
    for number in range(budget.runs):
        pair: dict[int, Run] = {}
        for workers in (1, 2) if number % 2 == 0 else (2, 1):
            budget.begin(title, f"run {number + 1} of {budget.runs} with {workers}")
            pair[workers] = _run(deployment, budget, workers, number)
        made += [pair[1], closed_loop.with_more(pair[2], {"ratio": cpu_ms(pair[2]) / cpu_ms(pair[1])})]
    return made


def _run(deployment: OnServers, budget: Budget, workers: int, number: int) -> Run:
    with deployment.running(budget.population, workers=workers, partitions=PARTITIONS) as running:
        counted = closed_loop.Counted(running)
        closed_loop.warm_up(running, LOAD, counted, f"warm{number:02d}", budget.warm_up_s)
        part = "one" if workers == 1 else "two"
        run = closed_loop.measure(running, LOAD, counted, f"runs{number:02d}", budget.seconds, part=part)
        counted.check()
    return shared_out(run)


def shared_out(run: Run) -> Run:
    """Return the run if each worker had its part in it. Raises RunFailed."""
    spent = [used for name, used in run.cpu_us.items() if name.startswith("worker")]
    if min(spent) < LEAST_SHARE * sum(spent) and len(spent) > 1:
        raise RunFailed(f"the workers shared the writes as {', '.join(f'{used:.0f}' for used in spent)} µs each")
    return run
