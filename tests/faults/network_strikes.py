"""What is done to connections: TCP faults between each pair of processes, clients that hang up (F11, F19)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

from tests.faults.campaign import Strike, under_way
from tests.faults.history import Recorder
from tests.faults.links import LinkedCluster, Pair
from tests.faults.proxy import KINDS
from tests.faults.strikes import recovered

LASTS_S: Final = (0.5, 4.0)
LONGEST_DELAY_S: Final = 0.3
LEFT_TRACES: Final = ("delayed", "held back", "reset", "half-open", "swallowed")
"""What the proxy counts, of each kind of fault."""


def disturbed(pair: Pair) -> Callable[[LinkedCluster, Recorder, Random], Awaitable[list[Strike]]]:
    """Return the strike that disturbs the connections of a pair, by each kind of fault in turn."""

    async def strike(cluster: LinkedCluster, recorder: Recorder, random: Random) -> list[Strike]:
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
        found = await recovered(cluster, recorder, at, kind)
        cluster.noted += (await cluster.links.seen(cluster.ports(pair))) - before
        return found

    return strike
