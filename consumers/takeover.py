"""Taking a partition over: fence, settle, replay, activate (CP-11 to CP-15); what happens before its first command."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from consumers.errors import PartitionHalted
from consumers.failpoints import hit
from consumers.metrics import Metrics
from consumers.partition_ports import CommandFeed, Ends, PartitionLog, PartitionStore
from consumers.retention import DELETE_RETENTION_MS
from schemas import replays
from schemas.numbering import Watermark
from schemas.transactions import StateRecord

logger = logging.getLogger(__name__)

SETTLE_LIMIT_S: Final = 30.0
"""How long a transaction that is not ours may keep the end of the log in doubt before the partition halts (CP-12)."""
SETTLE_PAUSE_S: Final = 0.02
OLDEST_MARK_MS: Final = DELETE_RETENTION_MS // 2
"""A store that was left alone for longer may have missed deletes that the log no longer names (CP-13)."""


Belongs = Callable[[str, str], bool]
"""Tells whether a tenant's resource belongs to the partition."""


class Resumption(msgspec.Struct, frozen=True):
    """Where a new owner begins."""

    offset: int
    """Of the first command to decide."""
    unclean: bool
    """Whether the last owner ended in the middle of something: its commands may have killed it (CP-26)."""


async def take_over(
    partition: int,
    log: PartitionLog,
    store: PartitionStore,
    feed: CommandFeed,
    *,
    metrics: Metrics,
    belongs: Belongs,
    clock: Callable[[], float] = time.time,
) -> Resumption:
    """Become the owner of a partition; return where to begin.

    Raises OwnershipLost when another was faster, LogUnavailable and StoreUnavailable when it cannot be done now, and
    PartitionHalted when going on would lose something.
    """
    started = time.perf_counter()
    mark = await store.take()
    hit("takeover.fenced")
    token = await log.open()
    hit("takeover.opened")
    ends = await _settled(partition, log)
    mark = await _usable(partition, mark, ends, log, store, feed, belongs, int(clock() * 1000))
    position = await _replayed(log, store, mark, ends, metrics, belongs, clock)
    hit("takeover.replayed")
    offset = await _first(partition, position, feed, metrics)
    unclean = await store.unclean()
    await store.activate(token)
    metrics.taken_over(partition, time.perf_counter() - started)
    logger.info(
        "partition taken over",
        extra={"action": "take_over", "partition": partition, "offset": offset, "state": ends.end},
    )
    return Resumption(offset, unclean)


async def _settled(partition: int, log: PartitionLog) -> Ends:
    """Wait until nothing before the end of the log is in doubt.

    Before that, the committed end can lie behind a record that was acknowledged (CP-12: 152 of 200 take-overs).
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + SETTLE_LIMIT_S
    while True:
        ends = await log.ends()
        if ends.committed == ends.end:
            return ends
        if loop.time() > deadline:
            raise PartitionHalted(
                f"partition {partition}: a transaction that is not the owner's keeps the state topic in doubt from "
                f"offset {ends.committed}; find it with kafka-transactions.sh and abort it"
            )
        await asyncio.sleep(SETTLE_PAUSE_S)


async def _usable(
    partition: int,
    mark: Watermark | None,
    ends: Ends,
    log: PartitionLog,
    store: PartitionStore,
    feed: CommandFeed,
    belongs: Belongs,
    now: int,
) -> Watermark | None:
    """Return the watermark to replay from, or None where all must be replayed, into an empty shard (CP-13)."""
    if mark is None:
        return None
    if mark.offset > ends.end:
        raise PartitionHalted(
            f"partition {partition}: the store has seen state up to offset {mark.offset}, the log ends at {ends.end}: "
            "Kafka has lost its tail; restore it, or accept the loss with 'scimgw rebuild'"
        )
    if now - mark.time > OLDEST_MARK_MS or mark.offset < ends.start:
        # What halts the partition must be found first: others read of this shard, and nobody would fill it again.
        position = -1
        async for stretch in log.read(ends.start, ends.end):
            found = _folded(stretch, belongs).position
            position = position if found is None else found
        _check_end(partition, position, (await feed.bounds())[1])
        await store.empty()
        return None
    return mark


async def _replayed(
    log: PartitionLog,
    store: PartitionStore,
    mark: Watermark | None,
    ends: Ends,
    metrics: Metrics,
    belongs: Belongs,
    clock: Callable[[], float],
) -> int:
    """Take everything from the watermark to the end into the store; return the position that the log tells (CP-14)."""
    begin = ends.start if mark is None else mark.offset
    position = -1 if mark is None else mark.position
    # The watermark moves when all is in: until then another take-over begins where this one did.
    standing = Watermark(offset=begin, position=position, time=int(clock() * 1000))
    async for stretch in log.read(begin, ends.end):
        chunk = _folded(stretch, belongs)
        stored = await store.records(list(chunk.resources))
        changes = replays.changes_of(chunk, stored)
        await store.replay(changes, chunk.tombstones, chunk.outcomes, chunk.numbers, standing)
        if chunk.position is not None:
            position = chunk.position
        metrics.replayed.inc(len(stretch))
    await store.replay((), (), (), {}, Watermark(offset=ends.end, position=position, time=int(clock() * 1000)))
    return position


def _folded(stretch: Sequence[StateRecord], belongs: Belongs) -> replays.Chunk:
    """Return what a stretch of the log comes to, if all of it may stand in this partition (CP-1)."""
    try:
        chunk = replays.fold(stretch)
    except replays.UnknownRecord as error:
        raise PartitionHalted(f"{error}; it was written by a later version than this one") from error
    addresses = (*(latest.address for latest in chunk.resources.values()), *chunk.tombstones)
    if not all(belongs(address.tenant, address.resource_id) for address in addresses):
        raise PartitionHalted(
            "the state log of this partition has resources of another one: redis.shards or kafka.partitions is not what "
            "it was when they were written; set it back, it is fixed for life"
        )
    return chunk


async def _first(partition: int, position: int, feed: CommandFeed, metrics: Metrics) -> int:
    """Return the offset of the first command to decide (CP-14)."""
    start, end = await feed.bounds()
    offset = position + 1
    _check_end(partition, position, end)
    if offset < start:
        if position >= 0:
            metrics.skipped_commands.inc(start - offset)
            logger.error(
                "commands were removed by retention before they were decided",
                extra={"action": "take_over", "partition": partition, "from": offset, "to": start},
            )
        return start
    return offset


def _check_end(partition: int, position: int, end: int) -> None:
    if position + 1 > end:
        raise PartitionHalted(
            f"partition {partition}: commands were decided up to offset {position}, the command topic ends at {end}: "
            "it was emptied or made anew; restore it"
        )
