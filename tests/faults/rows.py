"""The fault runs by name: what is struck, on what, and what must have been seen for the run to show anything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final, get_args

from tests.faults import (
    broker_strikes,
    campaign,
    disks,
    network_strikes,
    overload,
    process_strikes,
    produced,
    redis_strikes,
    strikes,
)
from tests.faults.brokers import ReplicatedCluster
from tests.faults.campaign import Size, Strike
from tests.faults.cluster import Cluster
from tests.faults.history import Recorder
from tests.faults.links import LinkedCluster, Pair
from tests.faults.proxy import KINDS


@dataclass(frozen=True, slots=True)
class Row:
    """A fault run by name."""

    strike: Callable[[Any, Recorder, Random], Awaitable[Sequence[Strike]]]
    what: str
    distributed: bool = True
    cluster: Callable[[Path, Mapping[str, str]], Cluster] = Cluster
    seen: Mapping[str, int] = field(default_factory=dict)
    """What must have been seen, as often for each strike (0: once in the run): names of ``cluster.COUNTERS``."""
    times: Mapping[str, int] = field(default_factory=dict)
    """Size → how many strikes, where the row wants others."""
    target_s: float | None = None
    """Within what all should be normal again, after what was taken away is back."""


READERS: Final = 2
_POINT_TIMES: Final = {"ci": 15, "faults": 300, "release": 300}
"""Ten points of a worker, once or twenty times each; with them the three of a gateway."""
_EACH_FAULT: Final = {"ci": 5, "faults": 20, "release": 100}
"""Five kinds of fault of a connection."""
ROWS: Final = {
    "embedded-kill": Row(campaign.kill, "kill -9 of the serving process, same data again", distributed=False),
    "embedded-disk-full": Row(disks.fill, "no room on the disk for a second, no restart", distributed=False),
    "failpoints": Row(
        strikes.fail_points,
        "kill at each numbered step of a write and of a take-over, restart",
        seen={"take-overs": 0, "replayed": 0},
        times=_POINT_TIMES,
    ),
    "worker-kill": Row(strikes.worker_kill, "kill -9 of a worker, restart", seen={"take-overs": 1}, target_s=8),
    "gateway-kill": Row(strikes.gateway_kill, "kill -9 of a gateway, restart", target_s=8),
    "both-kill": Row(
        process_strikes.both_kill,
        "kill -9 of a worker and a gateway at once, restart",
        seen={"take-overs": 1},
        target_s=8,
    ),
    "worker-pause": Row(strikes.worker_pause, "SIGSTOP of a worker beyond its session, SIGCONT", seen={"lost": 0}),
    "redis-kill": Row(
        strikes.redis_kill,
        "kill -9 of Redis, restart from its append-only file",
        seen={"take-overs": 1, "lost": 0, "reads refused": 0},
        target_s=3,
    ),
    "redis-tail-cut": Row(
        redis_strikes.redis_tail_cut,
        "Redis killed, the end of its append-only file cut off",
        seen={"take-overs": 1, "replayed": 1, "bytes cut": 1},
        target_s=3,
    ),
    "redis-empty": Row(
        redis_strikes.redis_empty,
        "Redis killed, started again with an empty directory",
        seen={"take-overs": 1, "replayed": 1, "reads refused": 0},
        target_s=3,
    ),
    "redis-promotion": Row(
        redis_strikes.redis_promotion,
        "a replica promoted while the old primary serves the rest",
        cluster=redis_strikes.PromotingCluster,
        seen={"take-overs": 1, "503 on the new side": 0, "reads on the old side": 0},
    ),
    "redis-out-of-memory": Row(
        redis_strikes.redis_out_of_memory,
        "Redis without memory for another write, no restart",
        seen={"refused by Redis": 1},
    ),
    "redis-disk-full": Row(
        redis_strikes.redis_disk_full,
        "Redis' append-only file cannot grow, no restart",
        cluster=redis_strikes.FullDiskCluster,
        seen={"refused by Redis": 1},
    ),
    "redis-flush": Row(strikes.redis_flush, "FLUSHALL", seen={"take-overs": 1, "replayed": 1, "reads refused": 0}),
    "redis-pause": Row(strikes.redis_pause, "SIGSTOP of Redis for seconds, SIGCONT"),
    "broker-restart": Row(strikes.broker_restart, "kill -9 of the broker, restart"),
    "broker-pause": Row(strikes.broker_pause, "SIGSTOP of the broker for seconds, SIGCONT"),
    "rebalance": Row(strikes.rebalance, "a third worker comes and goes", seen={"take-overs": 2}),
    "leader-kill": Row(
        broker_strikes.leader_kill,
        "kill -9 of the leader of three brokers, restart",
        cluster=ReplicatedCluster,
        target_s=8,
    ),
    "tail-loss": Row(
        broker_strikes.tail_loss,
        "the only broker loses acknowledged state: halted with an alarm until it is back",
        seen={"bytes lost": 1, "halted": 1, "acknowledged elsewhere meanwhile": 1},
        times={"ci": 1, "faults": 4, "release": 20},
    ),
    "rebalance-storm": Row(
        process_strikes.rebalance_storm,
        "every 3 s a worker comes, goes or is killed",
        seen={"take-overs": 2, "came or went": 4},
        times={"ci": 2, "faults": 8, "release": 40},
    ),
    "rolling-restart": Row(
        process_strikes.rolling_restart,
        "SIGTERM and restart of each worker and gateway, one after the other",
        seen={"restarted": 4},
        times={"ci": 2, "faults": 20, "release": 100},
    ),
    "starvation": Row(process_strikes.starvation, "a process gets a tenth of its time", seen={"stops": 5}),
    "clock": Row(
        process_strikes.clock_jump,
        "a process's clock jumps by an hour, by 5 s, by 0.8 s",
        cluster=process_strikes.SkewedCluster,
        seen={"gateway alarms": 0, "worker alarms": 0},
        times={"ci": 6, "faults": 24, "release": 96},
    ),
    "hang-ups": Row(
        network_strikes.hang_ups,
        "150 clients hang up within their request, or while it is worked on",
        seen={"hung up within the request": 10, "hung up, the request sent": 10},
    ),
    "overload": Row(
        overload.overload,
        "five times as many callers as can be served, then calm",
        seen={"/s at the peak": 0},
        times={"ci": 1, "faults": 5, "release": 20},
        target_s=30,
    ),
    "redelivery": Row(produced.redelivery, "a tenth of the command records produced again", seen={"repeats": 1}),
    "poison": Row(produced.poison, "records that nobody can decide in the command topic", seen={"parked": 4}),
    **{
        f"tcp-{pair}": Row(
            network_strikes.disturbed(pair),
            f"TCP between {pair.replace('-', ' and ')}: {', '.join(KINDS)}",
            cluster=LinkedCluster,
            seen=dict.fromkeys(network_strikes.LEFT_TRACES, 0),
            times=_EACH_FAULT,
        )
        for pair in get_args(Pair)
    },
}
RELEASE_TIMES: Final = {
    "worker-pause": 200,
    "redis-kill": 100,
    "redis-tail-cut": 100,
    "redis-empty": 50,
    "redis-flush": 50,
    "redis-promotion": 30,
    "redis-out-of-memory": 30,
    "redis-disk-full": 30,
    "redis-pause": 50,
    "broker-restart": 50,
    "broker-pause": 50,
    "leader-kill": 50,
    "rebalance": 100,
    "redelivery": 50,
    "poison": 50,
    "starvation": 50,
    "hang-ups": 50,
}
"""Of ``faults.md``, where it is not the kills' number."""
A_ROUND: Final = Size(strikes=5, acknowledged=3_000, limit_s=900)
"""A piece of a release run: it ends soon enough to lose little when it is stopped."""
SIZES: Final = {
    "ci": Size(strikes=3, acknowledged=1_000, limit_s=300),
    # Long enough between strikes that 20,000 are acknowledged by the time of the twentieth: minutes a row, not ten.
    "faults": Size(strikes=20, acknowledged=20_000, calm=(4.0, 6.0)),
    "release": Size(strikes=500, acknowledged=1_000_000),
}
