"""Five times as many callers as the service can serve, of another tenant, then calm (F17)."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path
from random import Random
from typing import Final

from tests.distributed import Program
from tests.faults.campaign import Strike, under_way
from tests.faults.cluster import Cluster
from tests.faults.history import Recorder
from tests.faults.strikes import recovered
from tests.faults.violations import Violation
from tests.load.users import HERE
from tests.load.wrk import WrkResult, parse
from tests.services.processes import Missing

CROWD: Final = "other"
"""The tenant that overloads the service; the clients of the run are another's."""
CONNECTIONS: Final = 64
"""To each gateway: what the service is busy with."""
TIMES: Final = 5
WARM_UP_S: Final = 3
PEAK_S: Final = 5
OVERLOAD_S: Final = 8
LEAST_GOODPUT: Final = 0.8
MOST_GATEWAY_MB: Final = 400


async def overload(cluster: Cluster, recorder: Recorder, random: Random) -> list[Strike]:
    """Measure what the service can do, ask five times as much, and let it recover. Raises Missing without wrk."""
    if shutil.which("wrk") is None:
        raise Missing("no wrk on PATH; Debian, Ubuntu: apt-get install wrk")
    token = cluster.directory / "token"
    token.write_text(cluster.service.tokens[CROWD])
    await under_way(recorder, random)
    at = time.monotonic_ns()
    await _goodput(cluster, token, random, CONNECTIONS, WARM_UP_S)
    peak = await _goodput(cluster, token, random, CONNECTIONS, PEAK_S)
    during = await _goodput(cluster, token, random, TIMES * CONNECTIONS, OVERLOAD_S)
    over = time.monotonic_ns()
    cluster.noted["/s at the peak"] = max(cluster.noted["/s at the peak"], int(peak))
    cluster.noted["/s in overload, the least"] = min(cluster.noted["/s in overload, the least"] or 10**6, int(during))
    if during < LEAST_GOODPUT * peak:
        text = f"{during:.0f} of {peak:.0f} creates a second are left in overload"
        cluster.broken.append(Violation("F17", "form", text))
    for gateway in cluster.service.gateways:
        megabytes = _megabytes(gateway)
        cluster.noted["MB of a gateway"] = max(cluster.noted["MB of a gateway"], megabytes)
        if megabytes > MOST_GATEWAY_MB:
            cluster.broken.append(Violation("INV-19", "form", f"{gateway.name} holds {megabytes} MB"))
    return await recovered(cluster, recorder, at, back=over)


async def _goodput(cluster: Cluster, token: Path, random: Random, connections: int, seconds: int) -> float:
    """Return creates answered 2xx a second, of all gateways together."""
    results = await asyncio.gather(
        *(_loaded(url, token, random.getrandbits(20), connections, seconds) for url in cluster.service.origins)
    )
    cluster.noted["turned away"] += sum(result.answered_otherwise for result in results)
    return sum(result.answered_well / (result.duration_us / 1e6) for result in results)


async def _loaded(url: str, token: Path, number: int, connections: int, seconds: int) -> WrkResult:
    words = [f"seed={number}", f"tag={number:06x}", f"token={token}", f"template={HERE / 'user.json'}"]
    process = await asyncio.create_subprocess_exec(
        *("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s"),
        *("-s", str(HERE / "create.lua"), url, "--", *words),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    return parse(output.decode())


def _megabytes(program: Program) -> int:
    """Return how much memory a process holds."""
    status = Path(f"/proc/{program.pid}/status").read_text()
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return int(kilobytes) // 1024
