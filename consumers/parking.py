"""Parking commands that cannot be applied: a dead letter, the position and the outcome in one transaction (CP-26)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from consumers.deliveries import failure, failure_of_none
from consumers.metrics import Metrics
from consumers.partition_ports import Addressed, Delivered, PartitionStore
from consumers.submission import Failed
from schemas.changes import View
from schemas.commands import ChangeCommand
from schemas.dead_letters import DeadLetter, envelope_of, parked
from schemas.numbering import Batch
from schemas.outcomes import Outcome

logger = logging.getLogger(__name__)


class Persist(Protocol):
    """Makes a batch durable with the position and dead letters; see ``PartitionOwner``."""

    async def __call__(self, batch: Batch, position: int, dead: tuple[DeadLetter, ...] = (), /) -> None:
        """Return once both have it; raises OwnershipLost where that is not known."""
        ...


class Parking:
    """Parks the commands of one partition, for its owner; raises what the owner's store and ``persist`` raise."""

    def __init__(
        self,
        partition: int,
        store: PartitionStore,
        persist: Persist,
        *,
        metrics: Metrics,
        clock: Callable[[], float],
    ) -> None:
        self._partition = partition
        self._store = store
        self._persist = persist
        self._metrics = metrics
        self._clock = clock

    async def park(self, delivered: Delivered, command: ChangeCommand, why: str) -> None:
        """Park a command; the letter tells the version of its resource, for who redrives it."""
        snapshot = await self._store.view([command])
        view: View = snapshot.views[0]
        letter = self._letter(delivered, why, 0 if view.resource is None else view.resource.version)
        await self._put(delivered, letter, (command.tenant, failure(command)))

    async def park_undecodable(self, delivered: Delivered) -> Addressed | None:
        """Park what is no command; return its caller's answer, where it can be read who that is (INV-18)."""
        envelope = envelope_of(delivered.value)
        letter = self._letter(delivered, "it cannot be decoded", 0)
        if envelope.txn is None or envelope.tenant is None:
            await self._put(delivered, letter, None)
            return None
        await self._put(delivered, letter, (envelope.tenant, failure_of_none(envelope, delivered.appended_at)))
        if not envelope.gateway:
            return None
        return Addressed(envelope.gateway, envelope.tenant, envelope.txn, Failed(envelope.txn))

    def _letter(self, delivered: Delivered, why: str, version: int) -> DeadLetter:
        return parked(
            key=delivered.key,
            value=delivered.value,
            why=why,
            partition=self._partition,
            offset=delivered.offset,
            parked_at=int(self._clock() * 1000),
            version=version,
        )

    async def _put(self, delivered: Delivered, letter: DeadLetter, outcome: tuple[str, Outcome] | None) -> None:
        batch = Batch(changes=(), outcomes=() if outcome is None else (outcome,), numbers={})
        await self._persist(batch, delivered.offset, (letter,))
        self._metrics.parked.inc()
        logger.error(
            "a command was parked",
            extra={"action": "park", "partition": self._partition, "offset": delivered.offset, "why": letter.why},
        )
