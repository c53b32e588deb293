"""The row of sizing: so many creates and PATCHes, together and one by one, and the bytes that each leaves behind."""

from __future__ import annotations

import asyncio
import os
import random
import string
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal

import msgspec

from tests.load import population
from tests.load.budget import Budget
from tests.load.closed_loop import with_more
from tests.load.connections import Connection, connections
from tests.load.deployments import Deployment
from tests.load.errors import BenchError, RunFailed
from tests.load.footprint import footprint, growth, rewritten
from tests.load.machine import fsync_ms
from tests.load.measures import Run, percentile
from tests.load.on_servers import OnServers, RunningOnServers
from tests.load.processes import CpuMeter, busy_seconds, memory, uses_uvloop
from tests.load.users import name_of, user_body

MANY: Final = 256
LONGEST_S: Final = 800
"""Outcomes expire after 15 minutes; those of the first write must still be there when the last bytes are read."""
OWN: Final = (
    *("Barbara", "Jane", "Jensen", "Vice President", "7946-0123"),
    *("21A Drury Lane", "WC2N 5DU", "4130", "Theme Park", "Tour Operations"),
)
"""Values of the bench's user that are drawn for each here: the same person 20,000 times would compress too well."""

Write = tuple[str, str, bytes, tuple[str, ...], int]
"""Method, target, body, header lines, status that it must be answered."""


class Stage(msgspec.Struct, frozen=True):
    """So many writes of one kind."""

    part: str
    verb: Literal["create", "patch"]
    share: float
    """How many, as a part of the users asked for."""
    connections: int = MANY
    keyed: bool = False
    """Each with an Idempotency-Key."""


STAGES: Final = (
    Stage("create", "create", 1),
    Stage("patch", "patch", 0.5),
    Stage("keyed", "patch", 0.1, keyed=True),
    Stage("create-alone", "create", 0.01, connections=1),
    Stage("patch-alone", "patch", 0.01, connections=1),
)


def sizing_runs(deployment: Deployment, budget: Budget, title: str) -> Iterator[Run]:
    """Yield a run of each stage, what a write of it added in ``more``; one pass, for bytes do not vary as times do.

    Of one connection each write is a transaction of its own, as on a service with little to do; of 256 as many share
    one as under the highest load. What lies between is between them.
    """
    if not isinstance(deployment, OnServers):
        raise BenchError("only the distributed mode has servers to size")
    made: list[tuple[str, str]] = []
    patched = 0
    with deployment.running(0) as running:
        began = time.monotonic()
        for stage in STAGES:
            budget.begin(title, stage.part)
            count = max(1, round(budget.population * stage.share))
            writes = creates(len(made), count) if stage.verb == "create" else patches(made, count, stage)
            patched += count if stage.verb == "patch" else 0
            run = _run(running, stage, writes, made)
            if time.monotonic() - began > LONGEST_S:
                raise RunFailed("the first outcomes have expired before the last bytes were read; fewer --users")
            if stage is STAGES[-1]:
                _check(running, len(made), patched)
                run = with_more(run, {"file_by_memory": rewritten(running)})
            yield run


def creates(first: int, count: int) -> list[Write]:
    """Return the creates of users from number ``first`` on."""
    return [("POST", "/scim/v2/Users", own_body(number), (), 201) for number in range(first, first + count)]


def own_body(number: int) -> bytes:
    """Return the bench's user with values of its own, as long as it is everywhere else."""
    drawn = random.Random(number)
    body = user_body(name_of("sizing", number)).decode()
    for value in OWN:
        body = body.replace(value, letters(drawn, len(value)))
    return body.encode()


def letters(drawn: random.Random, count: int) -> str:
    """Return so many letters."""
    return "".join(drawn.choices(string.ascii_letters, k=count))


def patches(users: Sequence[tuple[str, str]], count: int, stage: Stage) -> list[Write]:
    """Return PATCHes of one attribute of users drawn from all, each to a value of its own, as long as the one before."""
    drawn = random.Random(stage.part)
    found: list[Write] = []
    for _ in range(count):
        value = letters(drawn, 32)
        body = (
            '{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":['
            f'{{"op":"replace","path":"displayName","value":"{value}"}}]}}'
        )
        headers = (f"Idempotency-Key: {letters(drawn, 36)}",) if stage.keyed else ()
        found.append(("PATCH", f"/scim/v2/Users/{drawn.choice(users)[0]}", body.encode(), headers, 200))
    return found


def _run(running: RunningOnServers, stage: Stage, writes: Sequence[Write], made: list[tuple[str, str]]) -> Run:
    """Send the writes, and add the users that they made to ``made``."""
    population_before = len(made)
    fsync, load_average = fsync_ms(running.directory), os.getloadavg()[0]
    before = footprint(running)
    meter, busy, own = CpuMeter(running.watched), busy_seconds(), time.process_time()
    begun = time.monotonic()
    identifiers, times = asyncio.run(send(running.port, running.token, writes, stage.connections))
    seconds = time.monotonic() - begun
    used, own, busy = meter.used(), time.process_time() - own, busy_seconds() - busy
    after = footprint(running)
    if stage.verb == "create":
        made += [(identifier, "") for identifier in identifiers]
    return Run(
        part=stage.part,
        population=population_before,
        seconds=seconds,
        requests=len(writes),
        rate=len(writes) / seconds,
        p50_ms=percentile(times, 0.5) * 1000,
        p90_ms=percentile(times, 0.9) * 1000,
        p99_ms=percentile(times, 0.99) * 1000,
        max_ms=max(times) * 1000,
        cpu_us={name: spent * 1e6 / len(writes) for name, spent in used.items()},
        memory_mib={process.name: memory(process.pid).peak for process in running.watched},
        fsync_ms=fsync,
        load_average=load_average,
        others=max(0.0, busy - sum(used.values()) - own) / seconds,
        uvloop=any(uses_uvloop(process.pid) for process in running.watched),
        more=growth(before, after, len(writes)),
    )


class _Changed(msgspec.Struct, frozen=True):
    id: str


async def send(port: int, token: str, writes: Iterable[Write], count: int) -> tuple[list[str], list[float]]:
    """Share writes out to so many connections; return the ids of the users written and how long each write took, in seconds.

    Raises RunFailed for another status than expected.
    """
    waiting = iter(writes)
    identifiers: list[str] = []
    times: list[float] = []

    async def work(connection: Connection) -> None:
        for method, target, body, headers, status in waiting:
            begun = time.monotonic()
            answer = await connection.ask(method, target, body, headers)
            times.append(time.monotonic() - begun)
            if answer.status != status:
                raise RunFailed(f"{method} answered {answer.status} {answer.body[:300]!r}")
            identifiers.append(msgspec.json.decode(answer.body, type=_Changed).id)

    try:
        async with connections(port, token, count) as opened, asyncio.TaskGroup() as group:
            for connection in opened:
                group.create_task(work(connection))
    except* (RunFailed, OSError) as failures:
        raise RunFailed(f"{failures.exceptions[0]}") from None
    return identifiers, times


def _check(running: RunningOnServers, users: int, patched: int) -> None:
    """Raise RunFailed unless the service has each of the writes once."""
    found = population.total_users(running.port, running.token), population.changes_applied(running.port, running.token)
    if found != (users, patched):
        raise RunFailed(f"{found[0]} users and {found[1]} changes, where {users} and {patched} were acknowledged")
