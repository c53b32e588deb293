"""A real store with injected faults, and a line of commands that remembers its answers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from itertools import islice

from consumers.apply import Answer
from consumers.errors import StoreUnavailable
from consumers.ports import Claim, Contended, Reservation, Snapshot, Store
from schemas.commands import ChangeCommand
from schemas.numbering import Batch


class Line:
    """``consumers.apply.CommandSource``: commands in order; their answers by txn."""

    def __init__(self, *commands: ChangeCommand) -> None:
        self._waiting = deque(commands)
        self._changed = asyncio.Event()
        self._changed.set()
        self.answers: dict[str, Answer] = {}

    def add(self, *commands: ChangeCommand) -> None:
        """Put commands at the end."""
        self._waiting.extend(commands)
        self._changed.set()

    async def take(self, most: int) -> list[ChangeCommand]:
        """See ``CommandSource.take``."""
        while not self._waiting:
            self._changed.clear()
            await self._changed.wait()
        return list(islice(self._waiting, most))

    def answer(self, command: ChangeCommand, answer: Answer) -> None:
        """See ``CommandSource.answer``."""
        assert self._waiting.popleft() is command, "answers come in the order of the commands"
        assert command.txn not in self.answers, "one answer each"
        self.answers[command.txn] = answer

    async def answered(self, *commands: ChangeCommand) -> list[Answer]:
        """Wait until these commands have their answers."""
        async with asyncio.timeout(10):
            while not all(command.txn in self.answers for command in commands):
                await asyncio.sleep(0.001)
        return [self.answers[command.txn] for command in commands]


class FaultyStore:
    """A store whose steps fail, wait or contend as often as a test says."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.failing: dict[str, int] = {}
        """Step → how many more times it fails: ``view``, ``reserve``, ``commit``, or ``acknowledge`` (fails when it is done)."""
        self.contended: dict[str, int] = {}
        """userName, folded → how many more times it is only reserved by somebody else."""
        self.gate = asyncio.Event()
        self.gate.set()
        """Commits wait while it is clear."""
        self.commits: list[Batch] = []

    async def view(self, commands: Sequence[ChangeCommand]) -> Snapshot:
        """See ``Store.view``."""
        self._fail("view")
        return await self._store.view(commands)

    async def reserve(self, claims: Sequence[Claim]) -> list[Reservation]:
        """See ``Store.reserve``."""
        self._fail("reserve")
        reservations = await self._store.reserve(claims)
        return [
            Contended() if any(self._spend(self.contended, value) for _, value in claim.names) else reservation
            for claim, reservation in zip(claims, reservations, strict=True)
        ]

    async def commit(self, batch: Batch) -> None:
        """See ``Store.commit``."""
        self._fail("commit")
        await self.gate.wait()
        await self._store.commit(batch)
        self.commits.append(batch)
        self._fail("acknowledge")

    def _fail(self, step: str) -> None:
        if self._spend(self.failing, step):
            raise StoreUnavailable("the test says so")

    @staticmethod
    def _spend(left: dict[str, int], name: str) -> bool:
        if left.get(name, 0) == 0:
            return False
        left[name] -= 1
        return True
