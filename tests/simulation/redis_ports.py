"""The product's own store on a simulated Redis, and what a run counts and notes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from consumers.backends.redis_client import Word
from consumers.backends.redis_store import RedisPartitionStore
from consumers.partition_ports import OwnershipLost
from consumers.ports import Claim, Contended, Reservation, Snapshot, Taken
from schemas.commands import ChangeCommand
from schemas.numbering import StoredChange, Watermark
from schemas.outcomes import Outcome
from schemas.records import Address
from tests.simulation.network import Process

if TYPE_CHECKING:
    from tests.simulation.world import World


class WatchedStore(RedisPartitionStore):
    """``RedisPartitionStore`` as it is; its owner's steps are counted, and the witness is told."""

    def __init__(self, world: World, process: Process, partition: int) -> None:
        super().__init__(
            world.client(process), partition=partition, shards=1, partitions=world.partitions, clock=process.clock
        )
        self._world = world
        self._process = process

    async def empty(self) -> None:
        """See ``PartitionStore.empty``."""
        self._world.counts["shard emptied"] += 1
        await super().empty()

    async def replay(
        self,
        changes: Sequence[StoredChange],
        tombstones: Sequence[Address],
        outcomes: Sequence[tuple[str, Outcome]],
        numbers: dict[str, int],
        mark: Watermark,
    ) -> None:
        """See ``PartitionStore.replay``."""
        self._world.counts["changes replayed"] += len(changes)
        self._world.counts["outcomes replayed"] += len(outcomes)
        await super().replay(changes, tombstones, outcomes, numbers, mark)

    async def activate(self, token: str) -> None:
        """See ``PartitionStore.activate``."""
        await super().activate(token)
        self._world.counts["take-overs"] += 1

    async def view(self, commands: Sequence[ChangeCommand]) -> Snapshot:
        """See ``Store.view``."""
        snapshot = await super().view(commands)
        self._world.witness.viewed(self._process, commands)
        return snapshot

    async def reserve(self, claims: Sequence[Claim]) -> list[Reservation]:
        """See ``Store.reserve``."""
        made = await super().reserve(claims)
        self._world.counts["claims contended"] += sum(isinstance(one, Contended) for one in made)
        taken = [claim for claim, one in zip(claims, made, strict=True) if isinstance(one, Taken)]
        self._world.witness.taken.update((claim.tenant, claim.resource_id) for claim in taken)
        return made

    async def _run(self, name: str, keys: Sequence[str], *words: Word, timeout_s: float | None = None) -> list[Any]:
        try:
            return await super()._run(name, keys, *words, timeout_s=timeout_s)
        except OwnershipLost:
            self._world.counts["fenced by redis"] += 1
            raise
