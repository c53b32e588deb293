"""Ours beside another product: both have the same users at the same time and get the same requests, turn by turn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from tests.load import closed_loop
from tests.load.budget import Budget
from tests.load.deployments import Deployment, Running
from tests.load.errors import RunFailed
from tests.load.measures import Measure, RowResult, Run, cpu_ms, measured
from tests.load.wrk import Load

CONNECTIONS: Final = 16
LOADS: Final[Mapping[str, tuple[str, Load]]] = {
    "get": ("GET by id", Load("get", CONNECTIONS)),
    "filter": ("userName eq", Load("filter", CONNECTIONS, {"expect": '"totalResults":1,'})),
    "patch": ("PATCH of one attribute", Load("patch", CONNECTIONS)),
    # Last: it makes the population grow, and that of the faster one more.
    "create": ("create", Load("create", CONNECTIONS)),
}
"""By key: what a table calls it, and the load."""
OURS: Final = "ours"


def measures(other: str) -> tuple[Measure, ...]:
    """Return what a row of the comparison reads; ratios are of the two runs of one turn."""
    return (
        Measure(OURS, "/s", None, lambda run: run.rate, OURS),
        Measure(other, "/s", None, lambda run: run.rate, other),
        Measure("rate, ours over theirs", "", None, lambda run: run.more["rate_ratio"], OURS),
        Measure(f"{OURS}, CPU", "ms", None, cpu_ms, OURS),
        Measure(f"{other}, CPU", "ms", None, cpu_ms, other),
        Measure("CPU, theirs over ours", "", None, lambda run: run.more["cpu_ratio"], OURS),
    )


def compared(ours: Deployment, theirs: Deployment, budget: Budget) -> tuple[RowResult, ...]:
    """Return a row for each load. What makes one run worthless makes all of them so: they are from the same servers."""
    turns: dict[str, list[Run]] = {key: [] for key in LOADS}
    try:
        budget.begin(theirs.name, f"{budget.population:,} users each")
        with ours.running(budget.population) as us, theirs.running(budget.population) as them:
            pair = {OURS: us, theirs.name: them}
            counted = {name: closed_loop.Counted(running) for name, running in pair.items()}
            for number in range(budget.runs):
                for key in LOADS:
                    budget.begin(LOADS[key][0], f"run {number + 1} of {budget.runs}, {OURS} and {theirs.name}")
                    turns[key] += _turn(pair, counted, key, number, budget)
            for each in counted.values():
                each.check()
    except (RunFailed, OSError) as failure:
        said = str(failure) if isinstance(failure, RunFailed) else f"{type(failure).__name__} while it ran"
        return (RowResult("against", f"beside {theirs.name}", (), (), said),)
    return tuple(
        RowResult(
            key,
            f"{title}, {CONNECTIONS} connections",
            tuple(measured(each, turns[key]) for each in measures(theirs.name)),
            tuple(turns[key]),
        )
        for key, (title, _) in LOADS.items()
    )


def _turn(
    pair: Mapping[str, Running], counted: Mapping[str, closed_loop.Counted], key: str, number: int, budget: Budget
) -> list[Run]:
    """Return a run of each, the first one first in every other turn; ours with the ratios."""
    runs: dict[str, Run] = {}
    for name in list(pair)[:: 1 if number % 2 == 0 else -1]:
        load = said_as(LOADS[key][1], pair[name])
        closed_loop.warm_up(pair[name], load, counted[name], f"{key[:3]}w{number:02d}", budget.warm_up_s / 2)
        tag = f"{key[:3]}r{number:02d}"
        runs[name] = closed_loop.measure(pair[name], load, counted[name], tag, budget.seconds, part=name)
    us, them = (runs[name] for name in pair)
    ratios = {"rate_ratio": us.rate / them.rate, "cpu_ratio": cpu_ms(them) / cpu_ms(us)}
    return [closed_loop.with_more(us, ratios), them]


def said_as(load: Load, running: Running) -> Load:
    """Return the load with the expected text as the other product writes it: JSON with a space after each colon."""
    if running.ours or "expect" not in load.arguments:
        return load
    arguments = {**load.arguments, "expect": load.arguments["expect"].replace(":", ": ")}
    return msgspec.structs.replace(load, arguments=arguments)
