"""What is done to connections: TCP faults between each pair of processes, clients that hang up (F11, F19)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from tests.distributed import Program
from tests.faults import bodies
from tests.faults.caller import MEDIA_TYPE
from tests.faults.campaign import Strike, under_way
from tests.faults.cluster import Cluster
from tests.faults.history import Intent, Operation, Recorder
from tests.faults.links import LinkedCluster, Pair
from tests.faults.proxy import KINDS, abort
from tests.faults.strikes import recovered
from tests.faults.violations import Violation

LASTS_S: Final = (0.5, 4.0)
LONGEST_DELAY_S: Final = 0.3
HANGERS_UP: Final = 150
AT_ONCE: Final = 15
LONGEST_WAIT_S: Final = 0.03
LEAK_LIMIT_S: Final = 15.0
SPARE_FILES: Final = 8
"""The load's own connections come and go."""
LEFT_TRACES: Final = ("delayed", "held back", "reset", "half-open", "swallowed")
"""What the proxy counts, of each kind of fault."""


def disturbed(pair: Pair) -> Callable[[LinkedCluster, Recorder, Random], Awaitable[list[Strike]]]:
    """Return the strike that disturbs the connections of a pair, by each kind of fault in turn."""

    async def strike(cluster: LinkedCluster, recorder: Recorder, random: Random) -> list[Strike]:
        cluster.swallows |= pair == "client-gateway"
        kind = KINDS[cluster.round % len(KINDS)]
        cluster.round += 1
        before = await cluster.links.seen(cluster.ports(pair))
        await under_way(recorder, random)
        at = time.monotonic_ns()
        await cluster.fault(pair, kind, random.uniform(0.02, LONGEST_DELAY_S))
        await asyncio.sleep(random.uniform(*LASTS_S))
        if kind == "black hole" and random.random() < 0.5:
            # What stood between them has forgotten its connections.
            await cluster.cut(pair)
        await cluster.fault(pair, "none")
        found = await recovered(cluster, recorder, at, kind, back=time.monotonic_ns())
        cluster.noted += (await cluster.links.seen(cluster.ports(pair))) - before
        return found

    return strike


async def hang_ups(cluster: Cluster, recorder: Recorder, random: Random) -> list[Strike]:
    """Many clients hang up, by a reset, at any byte of their request or any moment after it; nothing of them is left."""
    await under_way(recorder, random)
    before = {gateway.name: _files(gateway) for gateway in cluster.service.gateways}
    known = [one.resource for one in recorder.operations[-500:] if one.is_write and one.succeeded and one.resource]
    at = time.monotonic_ns()
    slots = asyncio.Semaphore(AT_ONCE)

    async def hang_up() -> None:
        async with slots:
            whole = await _hung_up(cluster, recorder, random, known)
        cluster.noted["hung up, the request sent" if whole else "hung up within the request"] += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(HANGERS_UP):
            group.create_task(hang_up())
    found = await recovered(cluster, recorder, at)
    until = time.monotonic() + LEAK_LIMIT_S
    while left := [one for one in cluster.service.gateways if _files(one) > before[one.name] + SPARE_FILES]:
        if time.monotonic() > until:
            told = ", ".join(f"{one.name} {before[one.name]} → {_files(one)}" for one in left)
            cluster.broken.append(Violation("F19", "form", f"files are left open: {told}"))
            break
        await asyncio.sleep(0.2)
    return found


def _files(program: Program) -> int:
    return sum(1 for _ in Path(f"/proc/{program.pid}/fd").iterdir())


async def _hung_up(cluster: Cluster, recorder: Recorder, random: Random, known: list[str]) -> bool:
    """Send some or all of a request, wait a little, reset the connection; tell whether all was sent."""
    if random.random() < 0.5 and known:
        intent = Intent("patch", random.choice(known), bodies.patch(random))
    else:
        intent = Intent("create", body=bodies.user(random, bodies.own_name(random)))
    gateway = random.choice(list(cluster.urls))
    host, _, port = gateway.removeprefix("http://").partition(":")
    request = _request(intent, cluster.token)
    whole = random.random() < 0.6
    number, invoked_at = recorder.begin(intent.verb)
    sent = False
    try:
        _, writer = await asyncio.open_connection(host, int(port))
        sent = True
        writer.write(request if whole else request[: random.randrange(len(request))])
        await asyncio.sleep(random.uniform(0, LONGEST_WAIT_S))
        abort(writer)
    except OSError:
        pass
    finally:
        recorder.record(
            Operation(
                number=number,
                client="hanging up",
                gateway=gateway,
                tenant=cluster.tenant,
                verb=intent.verb,
                invoked_at=invoked_at,
                returned_at=time.monotonic_ns(),
                resource=intent.resource,
                body=intent.body,
                sent=sent,
                gave_up=True,
            )
        )
    return whole


def _request(intent: Intent, token: str) -> bytes:
    content = msgspec.json.encode(intent.body)
    method, path = ("POST", "") if intent.resource is None else ("PATCH", f"/{intent.resource}")
    head = (
        f"{method} /scim/v2/Users{path} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: {MEDIA_TYPE}\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content
