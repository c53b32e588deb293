"""What an all-seeing observer of a run notes: when commands were looked at last before they were decided."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from schemas.commands import ChangeCommand
from schemas.events import ResourceEvent
from schemas.transactions import Transaction
from tests.simulation.loop import VirtualLoop
from tests.simulation.network import Process

_decoder = msgspec.json.Decoder(ResourceEvent)


class Witness:
    """Notes by true time, in virtual seconds."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._looked: dict[tuple[str, str], float] = {}
        self.budgets: dict[str, float] = {}
        """When the budget of each command ends, by txn."""
        self.taken: set[tuple[str, str]] = set()
        """Who was told that a name is held by another: tenant and resource id."""
        self.parked: set[str] = set()
        """The commands that were answered as set aside, by txn."""
        self.decided: dict[str, float] = {}
        """When the command of each change that reached the log was looked at, by txn: it was decided then."""

    def accepted(self, txn: str, budget_ms: int) -> None:
        """Note that a gateway takes a command in, or that one whose clock is far ahead has appended it (CP-18)."""
        self.budgets[txn] = self._loop.time() + budget_ms / 1000

    def viewed(self, process: Process, commands: Sequence[ChangeCommand]) -> None:
        """Note that these commands are about to be decided."""
        for command in commands:
            self._looked[process.name, command.txn] = self._loop.time()

    def sending(self, process: Process, transaction: Transaction) -> None:
        """Note that the effects of decided commands go to the log."""
        for event in transaction.events:
            txn = _decoder.decode(event.value).txn
            self.decided[txn] = self._looked.get((process.name, txn), self._loop.time())
