"""The row of growth: creates on a large population against creates on a small one, turn by turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tests.load import closed_loop
from tests.load.budget import Budget
from tests.load.deployments import Deployment
from tests.load.measures import Run
from tests.load.wrk import Load

LOAD: Final = Load("create", 64)


def scale_runs(deployment: Deployment, budget: Budget, title: str) -> Sequence[Run]:
    """Return pairs of runs, parts ``small`` and ``large``; the second of a pair has their ratio.

    Turn by turn, for a machine's pace changes within minutes. Half as long as other rows' runs, lest the small
    population be small no more; the large one is made once and grows from run to run, to our disadvantage.
    """
    made: list[Run] = []
    seconds = max(1.0, budget.seconds / 2)
    for number in range(budget.runs):
        step = f"run {number + 1} of {budget.runs} with"
        small = _run(deployment, budget, title, f"{step} {budget.small:,} users", "small", number, seconds)
        large = _run(deployment, budget, title, f"{step} {budget.large:,} users", "large", number, seconds)
        made += [small, closed_loop.with_more(large, {"ratio": large.rate / small.rate})]
    return made


def _run(deployment: Deployment, budget: Budget, title: str, step: str, part: str, number: int, seconds: float) -> Run:
    budget.begin(title, step)
    large = part == "large"
    with deployment.running(budget.large if large else budget.small, keep=large) as running:
        counted = closed_loop.Counted(running)
        closed_loop.warm_up(running, LOAD, counted, f"{part[:1]}w{number:04d}", budget.warm_up_s / 2)
        run = closed_loop.measure(running, LOAD, counted, f"{part[:1]}r{number:04d}", seconds, part=part)
        counted.check()
    return run
