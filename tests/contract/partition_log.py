"""The state log of a partition in memory, and an owner that writes it and the store as a worker does."""

from __future__ import annotations

import os
from collections.abc import Sequence

import msgspec

from consumers.partition_ports import PartitionStore
from schemas import batches, replays
from schemas.batches import Step
from schemas.changes import Change
from schemas.commands import ChangeCommand
from schemas.numbering import Batch, Watermark
from schemas.partitions import partition_of
from schemas.transactions import StateRecord, transaction_of
from tests.contract.commands import create, new_id, now
from tests.contract.owner import claim, numbered
from tests.contract.partition_stands import PARTITIONS


def id_in(partition: int, tenant: str = "acme") -> str:
    """Return an id whose resource belongs to this partition."""
    while True:
        resource_id = new_id()
        if partition_of(tenant, resource_id, shards=1, partitions=PARTITIONS) == partition:
            return resource_id


def create_in(partition: int, user_name: str | None = None, *, external_id: str | None = None) -> ChangeCommand:
    """Return a create in this partition."""
    return create(user_name, external_id=external_id, resource_id=id_in(partition))


class Partition:
    """What outlives the owners of a partition: its log."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.records: list[StateRecord] = []
        self.decided = -1

    async def take(self, store: PartitionStore, *, stretch: int = 1000) -> str:
        """Take the partition over and return the token."""
        mark = await store.take()
        await self.replay(store, mark, stretch=stretch)
        token = f"{os.urandom(4).hex()}:0"
        await store.activate(token)
        return token

    async def replay(self, store: PartitionStore, mark: Watermark | None, *, stretch: int = 1000) -> None:
        """Take the log into the store, in stretches, as ``consumers.takeover`` does."""
        begin = 0 if mark is None else mark.offset
        standing = Watermark(offset=begin, position=-1 if mark is None else mark.position, time=now())
        for start in range(begin, len(self.records), stretch):
            chunk = replays.fold(self.records[start : start + stretch])
            stored = await store.records(list(chunk.resources))
            changes = replays.changes_of(chunk, stored)
            await store.replay(changes, chunk.tombstones, chunk.outcomes, chunk.numbers, standing)
        await store.replay((), (), (), {}, self.mark)

    @property
    def mark(self) -> Watermark:
        """The watermark of a store that has all of it."""
        return Watermark(offset=len(self.records), position=self.decided, time=now())

    async def apply(self, store: PartitionStore, *commands: ChangeCommand) -> list[Step]:
        """View, decide, reserve, log and commit."""
        batch, steps = await self.logged(store, *commands)
        await store.commit(batch)
        return steps

    async def logged(self, store: PartitionStore, *commands: ChangeCommand) -> tuple[Batch, list[Step]]:
        """View, decide, reserve and log; the owner dies before it commits, unless the caller does it."""
        steps, numbers = await self.decided_steps(store, commands)
        claims = [
            msgspec.structs.replace(claim(command), names=step.acquires if isinstance(step, Change) else ())
            for command, step in zip(commands, steps, strict=True)
        ]
        claims = [asked for asked in claims if asked.names or asked.key is not None]
        assert {type(answer).__name__ for answer in await store.reserve(claims)} <= {"Granted"}
        batch = numbered(commands, steps, numbers)
        self.decided += len(commands)
        self.records += transaction_of(batch, partition=self.number, position=self.decided).state
        return msgspec.structs.replace(batch, mark=self.mark), steps

    async def decided_steps(
        self, store: PartitionStore, commands: Sequence[ChangeCommand]
    ) -> tuple[list[Step], dict[str, int]]:
        """View and decide."""
        snapshot = await store.view(commands)
        steps = batches.plan(commands, snapshot.views, now(), 0)
        assert len(steps) == len(commands), "a command had to wait for the next batch"
        return steps, snapshot.numbers
