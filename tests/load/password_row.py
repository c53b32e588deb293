"""The row of passwords: creates that hash with argon2id, against what the cores can hash, and what others feel of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from statistics import mean
from typing import Final

from argon2 import PasswordHasher, Type

from tests.load import closed_loop, population
from tests.load.budget import Budget
from tests.load.deployments import Deployment, Running
from tests.load.machine import usable_cores
from tests.load.measures import Run
from tests.load.probe import Probe, Probed
from tests.load.wrk import Load

LOAD: Final = Load("create", 16, {"password": "correct-horse-battery-9"})
GETS_A_SECOND: Final = 400.0


def password_runs(deployment: Deployment, budget: Budget, title: str) -> Sequence[Run]:
    """Return runs with what was measured beside each: the hash floor, and GETs without and with the load."""
    made: list[Run] = []
    for number in range(budget.runs):
        budget.begin(title, f"run {number + 1} of {budget.runs}")
        with deployment.running(budget.population, password="argon2id") as running:
            ids = [identifier for identifier, _ in population.read_file(running.population_file)]
            counted = closed_loop.Counted(running)
            closed_loop.warm_up(running, LOAD, counted, f"warm{number:02d}", budget.warm_up_s / 2)
            hashes = hashes_a_second(usable_cores(), _hashing_s(budget))
            before = _gets_alone(running, ids, budget.seconds / 2)
            probe = Probe(running.port, running.token, ids, GETS_A_SECOND)
            run = closed_loop.measure(running, LOAD, counted, f"runs{number:02d}", budget.seconds, around=probe)
            counted.check()
            # Before and after: a machine that changes its pace in between must make neither look better.
            after = _gets_alone(running, ids, budget.seconds / 2)
            hashes = (hashes + hashes_a_second(usable_cores(), _hashing_s(budget))) / 2
        made.append(closed_loop.with_more(run, _beside(run, hashes, (before, after), probe.result())))
    return made


def _hashing_s(budget: Budget) -> float:
    """Return how long the hash floor is measured, each time: never so short that single hashes tell."""
    return max(2.0, budget.seconds / 4)


def _gets_alone(running: Running, ids: Sequence[str], seconds: float) -> Probed:
    with Probe(running.port, running.token, ids, GETS_A_SECOND) as probe:
        time.sleep(seconds)
    return probe.result()


def _beside(run: Run, hashes: float, alone: tuple[Probed, Probed], under_load: Probed) -> dict[str, float]:
    p99_alone_ms = mean(each.p99_ms for each in alone)
    return {
        "hashes_a_second": hashes,
        "share": run.rate / hashes,
        "get_p50_alone_ms": mean(each.p50_ms for each in alone),
        "get_p99_alone_ms": p99_alone_ms,
        "get_p50_ms": under_load.p50_ms,
        "get_p99_ms": under_load.p99_ms,
        "get_max_ms": under_load.max_ms,
        "p99_ratio": under_load.p99_ms / p99_alone_ms,
        "generator_lag_p99_ms": max(each.lag_p99_ms for each in (*alone, under_load)),
    }


def hashes_a_second(threads: int, seconds: float) -> float:
    """Return how many argon2id hashes at OWASP's settings (19 MiB, 2 passes) bare threads make a second."""
    hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)
    rates = [0.0] * threads

    def hash_on(thread: int) -> None:
        done, started = 0, time.perf_counter()
        while (taken := time.perf_counter() - started) < seconds or not done:
            hasher.hash("correct-horse-battery-9")
            done += 1
        rates[thread] = done / taken

    running = [threading.Thread(target=hash_on, args=(thread,), name=f"hash-{thread}") for thread in range(threads)]
    for each in running:
        each.start()
    for each in running:
        each.join()
    return sum(rates)
