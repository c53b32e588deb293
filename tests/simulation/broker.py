"""Kafka as far as the protocol leans on it: logs, transactions with two phases, fencing, compaction, retention."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, Literal

from consumers.errors import LogUnavailable
from consumers.partition_ports import OwnershipLost
from consumers.retention import HOUR_MS
from consumers.topics import Topics, wanted
from schemas.events import Headers
from tests.simulation.loop import VirtualLoop
from tests.simulation.network import EPOCH_S, Server

TOPICS: Final = Topics("simulated")
DEFAULTS: Final = {"min.compaction.lag.ms": 0, "delete.retention.ms": 24 * HOUR_MS, "retention.ms": 7 * 24 * HOUR_MS}
"""Kafka's own, where ``topics create`` sets nothing."""
TRANSACTION_TIMEOUT_S: Final = 15.0
"""``transaction_timeout_ms``: after it the broker aborts what a client has left open."""


@dataclass(slots=True, eq=False)
class Writing:
    """One transaction, as the coordinator knows it."""

    began: float
    state: Literal["open", "committing", "aborting", "committed", "aborted"] = "open"
    logs: list[Log] = field(default_factory=list)

    @property
    def in_doubt(self) -> bool:
        """Whether its markers are not written yet."""
        return self.state in {"open", "committing", "aborting"}


@dataclass(slots=True, eq=False)
class Entry:
    """A record at its place."""

    offset: int
    at: int
    key: str
    value: bytes | None
    headers: Headers = ()
    writing: Writing | None = None
    cleaned_at: int | None = None
    """When compaction first met this tombstone."""

    @property
    def committed(self) -> bool:
        """Whether a reader of committed records gets it."""
        return self.writing is None or self.writing.state == "committed"


@dataclass(slots=True, eq=False)
class Log:
    """One partition of a topic; markers take offsets and are seen by nobody."""

    entries: list[Entry] = field(default_factory=list)
    start: int = 0
    end: int = 0
    unsettled: list[tuple[Writing, int]] = field(default_factory=list)
    """Transactions whose markers are missing, with the offset of their first record here."""
    waiting: list[asyncio.Future[None]] = field(default_factory=list)

    def append(
        self, at: int, key: str, value: bytes | None, headers: Headers = (), writing: Writing | None = None
    ) -> Entry:
        """Put a record behind the last one."""
        entry = Entry(self.end, at, key, value, headers, writing)
        if writing is not None and self not in writing.logs:
            writing.logs.append(self)
            self.unsettled.append((writing, self.end))
        self.entries.append(entry)
        self.end += 1
        waiting, self.waiting = self.waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)
        return entry

    def mark(self, writing: Writing) -> None:
        """Write the marker that ends a transaction."""
        self.unsettled = [(other, first) for other, first in self.unsettled if other is not writing]
        self.end += 1

    @property
    def stable(self) -> int:
        """The last stable offset: where a reader of committed records comes to stand."""
        return min((first for _, first in self.unsettled), default=self.end)

    def committed(self, offset: int, end: int) -> list[Entry]:
        """Return the committed records of a stretch."""
        end = min(end, self.stable)
        return [entry for entry in self.entries if offset <= entry.offset < end and entry.committed]


@dataclass(slots=True, eq=False)
class Coordinated:
    """What the transaction coordinator keeps of one transactional id."""

    producer: int
    epoch: int = -1
    writing: Writing | None = None


class Broker(Server):
    """All topics with all their partitions."""

    def __init__(self, loop: VirtualLoop, random: Random, partitions: int, counts: Counter[str]) -> None:
        super().__init__("kafka", LogUnavailable)
        self._loop = loop
        self._random = random
        self._counts = counts
        self._settings = wanted(TOPICS, partitions=partitions, replication=3, retention_days=7)
        """What ``topics create`` gives the topics (CP-9)."""
        self.commands = [Log() for _ in range(partitions)]
        self.state = [Log() for _ in range(partitions)]
        self.events = [Log() for _ in range(partitions)]
        self.dead: list[tuple[str, bytes]] = []
        self._ids: dict[str, Coordinated] = {}
        self._later: list[Callable[[], None]] = []

    def _setting(self, topic: str, name: str) -> int:
        set_to = self._settings[topic].get(name)
        return DEFAULTS[name] if set_to is None else int(set_to.value)

    def now(self) -> int:
        """Return the broker's time in milliseconds since 1970."""
        return int((EPOCH_S + self._loop.time()) * 1000)

    def fall(self, seconds: float, *, hangs: bool) -> None:
        """Be away for a while."""
        self.up, self.hangs = False, hangs
        self._counts["kafka away"] += 1
        self._loop.call_later(seconds, self._rise)

    def _rise(self) -> None:
        self.up = True
        later, self._later = self._later, []
        for append in later:
            append()

    def when_up(self, append: Callable[[], None]) -> None:
        """Carry out an append whose client keeps trying, as soon as it can be."""
        self._later.append(append)

    def start_producer(self, transactional_id: str) -> tuple[int, int]:
        """Fence earlier producers of this id, settle or abort what they left, return producer id and epoch."""
        known = self._ids.setdefault(transactional_id, Coordinated(1000 + len(self._ids)))
        writing = known.writing
        if writing is not None and writing.in_doubt:
            self._counts["left in doubt"] += 1
            self._counts["settled in doubt" if writing.state == "committing" else "aborted in doubt"] += 1
            self._end(writing, "committing" if writing.state == "committing" else "aborting")
        known.writing = None
        known.epoch += 1
        return known.producer, known.epoch

    def begin(self, transactional_id: str, epoch: int) -> Writing:
        """Begin a transaction; the markers of the one before are written by now."""
        known = self._known(transactional_id, epoch)
        if known.writing is not None:
            self._settle(known.writing)
        known.writing = Writing(self._loop.time())
        self._loop.call_later(TRANSACTION_TIMEOUT_S, self._time_out, known, known.writing)
        return known.writing

    def writing(self, transactional_id: str, epoch: int) -> Writing:
        """Return the open transaction of this producer."""
        known = self._known(transactional_id, epoch)
        if known.writing is None or known.writing.state != "open":
            raise OwnershipLost("the transaction was ended by the broker")
        return known.writing

    def commit(self, transactional_id: str, epoch: int) -> None:
        """Decide the transaction; the acknowledgement does not wait for the markers, nor may anybody (CP-12)."""
        self._end(self.writing(transactional_id, epoch), "committing")

    def _known(self, transactional_id: str, epoch: int) -> Coordinated:
        known = self._ids[transactional_id]
        if known.epoch != epoch:
            self._counts["fenced by kafka"] += 1
            raise OwnershipLost(f"{transactional_id} has another producer")
        return known

    def _time_out(self, known: Coordinated, writing: Writing) -> None:
        if writing.state == "open":
            known.epoch += 1
            self._end(writing, "aborting")

    def _end(self, writing: Writing, state: Literal["committing", "aborting"]) -> None:
        writing.state = state
        self._loop.call_later(self._random.uniform(0.0, 0.03), self._settle, writing)

    def _settle(self, writing: Writing) -> None:
        if not writing.in_doubt:
            return
        writing.state = "committed" if writing.state == "committing" else "aborted"
        for log in writing.logs:
            log.mark(writing)

    def clean(self) -> None:
        """Compact the state topic and drop old commands, as the cleaner threads would by now."""
        now, retention = self.now(), self._setting(TOPICS.commands, "retention.ms")
        for log in self.state:
            self._compact(log, now)
        for log in self.commands:
            kept = [entry for entry in log.entries if now - entry.at <= retention]
            log.start = kept[0].offset if kept else log.end
            self._counts["commands expired"] += len(log.entries) - len(kept)
            log.entries = kept

    def _compact(self, log: Log, now: int) -> None:
        lag = self._setting(TOPICS.state, "min.compaction.lag.ms")
        cleanable = next(
            (e.offset for e in log.entries if now - e.at < lag or e.offset >= log.stable),
            log.end,
        )
        latest = {entry.key: entry.offset for entry in log.entries if entry.offset < cleanable and entry.committed}
        kept: list[Entry] = []
        for entry in log.entries:
            if entry.offset >= cleanable or (
                entry.committed and latest[entry.key] == entry.offset and self._stays(entry, now)
            ):
                kept.append(entry)
            else:
                self._counts["compacted"] += 1
        log.entries = kept

    def _stays(self, entry: Entry, now: int) -> bool:
        if entry.value is not None:
            return True
        if entry.cleaned_at is None:
            entry.cleaned_at = now
        gone = now - entry.cleaned_at > self._setting(TOPICS.state, "delete.retention.ms")
        self._counts["tombstones gone"] += gone
        return not gone


def values(entries: Sequence[Entry]) -> list[tuple[str, bytes | None]]:
    """Return keys and values."""
    return [(entry.key, entry.value) for entry in entries]
