"""One run: wrk against a running deployment, with what the processes used and what is in the database afterwards."""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager, nullcontext

import msgspec

from tests.load import population
from tests.load.deployments import Running
from tests.load.errors import RunFailed
from tests.load.exposition import REQUESTS, counts, scrape
from tests.load.machine import fsync_ms
from tests.load.measures import Run
from tests.load.processes import CpuMeter, busy_seconds, memory, uses_uvloop
from tests.load.users import TEMPLATE
from tests.load.wrk import Load, WrkResult, run


class Counted:
    """What wrk asked of one running server, so that the database can be held against it."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._before = population.total_users(running.port, running.token)
        self._least = {"create": 0, "patch": 0}
        self._most = {"create": 0, "patch": 0}

    def add(self, load: Load, result: WrkResult) -> None:
        """Note what was acknowledged, and what else may have been applied when wrk closed its connections."""
        if load.script in self._least:
            self._least[load.script] += result.requests
            self._most[load.script] += result.issued

    def check(self) -> int:
        """Return the users there are now. Raises RunFailed when creates or changes were lost or doubled."""
        total = population.total_users(self._running.port, self._running.token)
        self._within("create", total - self._before, "users more than before")
        if self._most["patch"] and self._running.ours:
            applied = population.changes_applied(self._running.port, self._running.token)
            self._within("patch", applied, "changes in the users' versions")
        return total

    def _within(self, script: str, found: int, what: str) -> None:
        least, most = self._least[script], self._most[script]
        if not least <= found <= most:
            raise RunFailed(f"{found} {what}, where {least} were acknowledged and {most} asked for")


def arguments(running: Running, tag: str) -> dict[str, str]:
    """Return what every script is given; ``tag`` has six characters and is used once on a population."""
    if len(tag) != 6:
        raise ValueError("a tag has six characters")
    return {
        "seed": str(sum(tag.encode())),
        "tag": tag,
        "token": str(running.token_file),
        "template": str(TEMPLATE),
        "population": str(running.population_file),
    }


def warm_up(running: Running, load: Load, counted: Counted, tag: str, seconds: float) -> None:
    """Put the same load on for a moment, so that caches and the interpreter's specialisations are filled."""
    counted.add(load, run(load, running.port, seconds, arguments(running, tag)))


def measure(
    running: Running,
    load: Load,
    counted: Counted,
    tag: str,
    seconds: float,
    *,
    part: str = "",
    around: AbstractContextManager[object] | None = None,
) -> Run:
    """Return one run; ``around`` is entered while the load is on."""
    before = population.total_users(running.port, running.token)
    fsync = fsync_ms(running.directory)
    load_average = os.getloadavg()[0]
    shown = _answers_shown(running) if running.ours else 0
    with around or nullcontext():
        meter, busy = CpuMeter(running.watched), busy_seconds() - time.process_time()
        result = run(load, running.port, seconds, arguments(running, tag))
        used, busy = meter.used(), busy_seconds() - time.process_time() - busy
    counted.add(load, result)
    shown = _answers_shown(running) - shown if running.ours else result.requests
    # With GETs beside the load the server has answered more than wrk counted.
    if shown < result.requests or (around is None and shown > result.issued):
        raise RunFailed(f"/metrics shows {shown} answers of 2xx, wrk {result.requests} of {result.issued} asked for")
    return Run(
        part=part,
        population=before,
        seconds=result.duration_us / 1e6,
        requests=result.requests,
        rate=result.rate,
        p50_ms=result.p50_us / 1000,
        p90_ms=result.p90_us / 1000,
        p99_ms=result.p99_us / 1000,
        max_ms=result.max_us / 1000,
        cpu_us={name: spent * 1e6 / result.requests for name, spent in {**used, "wrk": result.cpu_s}.items()},
        memory_mib={process.name: memory(process.pid).peak for process in running.watched},
        fsync_ms=fsync,
        load_average=load_average,
        others=max(0.0, busy - sum(used.values()) - result.cpu_s) / (result.duration_us / 1e6),
        uvloop=any(uses_uvloop(process.pid) for process in running.watched),
    )


def _answers_shown(running: Running) -> int:
    """Return the 2xx answers of ``/Users`` that ``/metrics`` has counted."""
    shown = counts(scrape(running.admin_port), REQUESTS, ("route", "status"))
    return sum(count for (route, status), count in shown.items() if "/Users" in route and status.startswith("2"))


def with_more(one: Run, more: dict[str, float]) -> Run:
    """Return the run with more figures."""
    return msgspec.structs.replace(one, more={**one.more, **more})
