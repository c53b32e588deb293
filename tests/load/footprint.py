"""What users and writes leave behind: bytes in Redis by kind of key, in its append-only file, in the broker's log segments."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import redis

from tests.load.errors import RunFailed
from tests.load.exposition import counts, scrape
from tests.load.on_servers import RunningOnServers

KINDS: Final[Mapping[str, str]] = {
    "r": "record",
    "uq": "names",
    "ix": "index",
    "ord": "order",
    "rep": "replies",
    **dict.fromkeys(("out", "key", "rk", "un", "unseen", "held", "heldk"), "outcome"),
}
"""What a key is for, by the word that tells it (``consumers.backends.redis_keys``); all else is ``other``."""
ALL: Final = (*dict.fromkeys(KINDS.values()), "other")
FOR_GOOD: Final = ("record", "names", "index", "order")
"""What stays for as long as its user."""
_WITHOUT_TENANT: Final = frozenset({"recovered", "fence", "wm", "att", "gone", "held", "heldk", "rep", "gw"})
TOPICS: Final = ("commands.v1", "state.v1", "events.v1", "commands.dead.v1")
SETTLED_S: Final = 1.0
"""After the last answer: markers of transactions are written behind it, and the append-only file once a second."""
REWRITE_LIMIT_S: Final = 60
_SOME: Final = 2000


class Footprint(msgspec.Struct, frozen=True):
    """Bytes at one moment, all of them since the servers were started."""

    keys: dict[str, int]
    """By what keys are for, as ``MEMORY USAGE`` tells them; streams as if nothing had been taken out of them."""
    used: int
    """All that Redis has allocated."""
    file: int
    """Redis' append-only file."""
    received: int
    sent: int
    """By Redis over the network, when looking began."""
    looking: tuple[int, int]
    """What looking itself had Redis receive and send after that."""
    logs: dict[str, int]
    """Segments by topic; ``internal`` is what the broker keeps of transactions."""
    transactions: int
    """That workers have committed; no bytes, but what these bytes are shared by."""


def footprint(running: RunningOnServers) -> Footprint:
    """Read everything. Raises RunFailed where the append-only file was rewritten meanwhile."""
    time.sleep(SETTLED_S)
    with redis.Redis.from_url(running.redis_url) as client:
        info = info_of(client)
        if info["aof_rewrites"]:
            raise RunFailed(
                "Redis has rewritten its append-only file: what it wrote is not in it any more; fewer --users"
            )
        keys = _keys(client)
        last = info_of(client)
    received, sent = info["total_net_input_bytes"], info["total_net_output_bytes"]
    return Footprint(
        keys=keys,
        used=info["used_memory"],
        file=info["aof_current_size"],
        received=received,
        sent=sent,
        looking=(last["total_net_input_bytes"] - received, last["total_net_output_bytes"] - sent),
        logs=segments(running.logs, running.topic_prefix),
        transactions=sum(
            count
            for port in running.worker_ports
            for count in counts(scrape(port), "scimgw_transactions_total", ()).values()
        ),
    )


def info_of(client: Any) -> dict[str, Any]:
    """Return Redis' ``INFO``; redis-py types hardly any of its commands."""
    found: dict[str, Any] = client.info("everything")
    return found


def kind_of(key: str) -> str:
    """Return what a key is for."""
    words = key.partition("}:")[2].split(":", 2)
    word = words[0] if words[0] in _WITHOUT_TENANT or len(words) == 1 else words[1]
    return KINDS.get(word, "other")


def _keys(client: Any) -> dict[str, int]:
    found: Counter[str] = Counter()
    keys: list[bytes] = list(client.scan_iter(count=_SOME))
    for first in range(0, len(keys), _SOME):
        some = keys[first : first + _SOME]
        asked = client.pipeline(transaction=False)
        for key in some:
            asked.memory_usage(key, samples=0)  # all elements, not a sample of them
        for key, size in zip(some, asked.execute(), strict=True):
            kind = kind_of(key.decode())
            found[kind] += _untrimmed(client, key, size) if kind == "replies" else size or 0
    return dict(found)


def _untrimmed(client: Any, key: bytes, size: int | None) -> int:
    """Return what a stream would have come to: gateways take out of theirs what they have read."""
    if size is None:
        return 0
    stream = client.xinfo_stream(key)
    return int(size * stream["entries-added"] / max(1, stream["length"]))


def segments(logs: Path, prefix: str) -> dict[str, int]:
    """Return the bytes of log segments by topic; indexes, which are made at their full size beforehand, are left out."""
    return {
        **{topic.removesuffix(".v1"): _bytes(logs.glob(f"{prefix}.{topic}-*/*.log")) for topic in TOPICS},
        "internal": _bytes(logs.glob("__*-*/*.log")),
    }


def _bytes(files: Iterable[Path]) -> int:
    return sum(file.stat().st_size for file in files)


def growth(before: Footprint, after: Footprint, writes: int) -> dict[str, float]:
    """Return what each write added, by name; ``batch`` is the number of writes in a transaction."""
    named = {
        **{f"redis_{kind}": (before.keys.get(kind, 0), after.keys.get(kind, 0)) for kind in ALL},
        "redis_used": (before.used, after.used),
        "file": (before.file, after.file),
        "received": (before.received + before.looking[0], after.received),
        "sent": (before.sent + before.looking[1], after.sent),
        **{f"log_{topic}": (before.logs[topic], after.logs[topic]) for topic in after.logs},
    }
    added = {name: (last - first) / writes for name, (first, last) in named.items()}
    accounted = sum(added[f"redis_{kind}"] for kind in ALL)
    return {
        **added,
        "redis_for_good": sum(added[f"redis_{kind}"] for kind in FOR_GOOD),
        "redis_beside_keys": added["redis_used"] - accounted,
        "batch": writes / max(1, after.transactions - before.transactions),
    }


def rewritten(running: RunningOnServers) -> float:
    """Have Redis rewrite its append-only file; return the bytes of the new one by those that its keys have in memory."""
    with redis.Redis.from_url(running.redis_url) as client:
        any_client: Any = client
        any_client.bgrewriteaof()
        until = time.monotonic() + REWRITE_LIMIT_S
        while not (info := info_of(client))["aof_rewrites"] or info["aof_rewrite_in_progress"]:
            if time.monotonic() > until:
                raise RunFailed(f"Redis did not rewrite its append-only file within {REWRITE_LIMIT_S} s")
            time.sleep(0.1)
        return float(info["aof_base_size"] / info["used_memory"])
