"""A worker: a member of the group that runs an owner for each partition it is assigned."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from consumers.errors import OperatorError
from consumers.metrics import Metrics
from consumers.owner import PartitionOwner
from consumers.partition_ports import CommandFeed, CommandGroup

logger = logging.getLogger(__name__)

HAND_OVER_S: Final = 5.0
"""How long an owner may finish its batch before its partition goes to somebody else."""
LONGEST_PAUSE_S: Final = 1.0


class Worker:
    """Keeps its membership alive, and with it the owners; a broken one is made anew."""

    def __init__(
        self,
        group: Callable[[], CommandGroup],
        owner: Callable[[int, CommandFeed], PartitionOwner],
        *,
        metrics: Metrics,
    ) -> None:
        self._new_group = group
        self._new_owner = owner
        self._metrics = metrics
        self._group: CommandGroup | None = None
        self._owners: dict[int, tuple[PartitionOwner, asyncio.Task[None]]] = {}
        self._joining: asyncio.Task[None] | None = None
        self._joined = self._rejoining = False
        self._stopping = asyncio.Event()

    @property
    def owned(self) -> frozenset[int]:
        """The partitions that this worker has owners for."""
        return frozenset(self._owners)

    @property
    def joined(self) -> bool:
        """Whether the group has told this worker what is its own, if only that it is nothing."""
        return self._joined

    async def run(self) -> None:
        """Work until ``stop``, or until cancelled: then nothing is finished."""
        failures = 0
        try:
            while not self._stopping.is_set():
                self._group, self._joined, self._rejoining = self._new_group(), False, False
                self._joining = asyncio.create_task(self._group.run(self._assigned, self._revoked), name="group")
                try:
                    await self._joining
                    return
                except asyncio.CancelledError:
                    if not self._joining.cancelled() or _cancelling():
                        raise
                    if not self._rejoining:
                        return
                except OperatorError as error:
                    # Also its certificates' files, which may be halfway to new ones: they were right when it began.
                    failures = 1 if self._joined else failures + 1
                    self._metrics.memberships_lost.inc()
                    logger.warning("group membership lost", extra={"action": "join", "error": str(error)})
                await self._revoked(frozenset(self._owners))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(LONGEST_PAUSE_S, 0.1 * 2 ** min(failures, 8))):
                        await self._stopping.wait()
        finally:
            await self._abandon()

    async def stop(self) -> None:
        """Finish the running batches, then leave the group; ``run`` returns."""
        self._stopping.set()
        await self._revoked(frozenset(self._owners))
        if self._joining is not None:
            self._joining.cancel()

    async def _assigned(self, partitions: frozenset[int]) -> None:
        group, self._joined = self._group, True
        if self._stopping.is_set():
            return  # what a rebalance gives us now goes to somebody else with our leaving
        for partition in sorted(partitions - self._owners.keys()):
            if group is not None:
                owner = self._new_owner(partition, group.feed(partition))
                task = asyncio.create_task(owner.run(), name=f"owner-{partition}")
                task.add_done_callback(partial(self._ended, partition, group))
                self._owners[partition] = owner, task
        self._metrics.partitions.set(len(self._owners))

    async def _revoked(self, partitions: frozenset[int]) -> None:
        """Let owners finish their batches, cut off those that cannot: a fence makes up for it."""
        leaving = [self._owners.pop(partition) for partition in partitions if partition in self._owners]
        self._metrics.partitions.set(len(self._owners))
        for owner, _ in leaving:
            owner.stop()
        tasks = [task for _, task in leaving]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=HAND_OVER_S)
            await _cancelled(late)

    def _ended(self, partition: int, group: CommandGroup, task: asyncio.Task[None]) -> None:
        """Join anew where an owner ended that nobody had told to: its partition would be nobody's until the next rebalance."""
        owned = partition in self._owners and self._owners[partition][1] is task
        if owned and group is self._group and group.feed(partition).assigned and self._joining is not None:
            error = None if task.cancelled() else task.exception()
            logger.critical("an owner has ended", exc_info=error, extra={"action": "own", "partition": partition})
            self._rejoining = True
            self._joining.cancel()

    async def _abandon(self) -> None:
        """End everything at once."""
        tasks = {task for _, task in self._owners.values()}
        self._owners.clear()
        if self._joining is not None and not self._joining.done():
            tasks.add(self._joining)
        await _cancelled(tasks)


async def _cancelled(tasks: set[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task


def _cancelling() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
