"""The owner of the resources: takes commands through a store as the apply loop does, one step at a time."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from consumers.ports import Claim, Granted, Reservation, Store
from schemas import batches
from schemas.batches import Step
from schemas.changes import Change, NoChange
from schemas.commands import ChangeCommand, Create
from schemas.fingerprints import unseen_key
from schemas.numbering import Batch, number
from schemas.outcomes import Refusal
from tests.contract.commands import now

ISSUER = "https://scim.example.com"


def unseen_of(command: ChangeCommand) -> str:
    """Return the name under which the answer to this create is marked as unseen."""
    return unseen_key(command.principal, command.fingerprint)


def claim(command: ChangeCommand, *names: tuple[str, str], at: int | None = None) -> Claim:
    """Return a claim of a command for its key and these names, or its userName where it is a create."""
    wanted = names
    if not names and isinstance(command.change, Create):
        wanted = (("userName", str(command.change.body["userName"])),)
    return Claim(
        tenant=command.tenant,
        resource_id=command.resource_id,
        names=wanted,
        unseen=unseen_of(command) if isinstance(command.change, Create) else None,
        now=now() if at is None else at,
        key=None if command.key is msgspec.UNSET else command.key,
    )


class Owner:
    """Decides commands and commits what comes of them."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def decided(self, *commands: ChangeCommand, at: int | None = None) -> tuple[Batch, list[Step]]:
        """Return the batch that these commands come to, not committed, and the steps; all must fit into one batch.

        Decided now, or ``at`` another time, in milliseconds since 1970.
        """
        snapshot = await self.store.view(commands)
        steps = batches.plan(commands, snapshot.views, now() if at is None else at, 0)
        assert len(steps) == len(commands), "a command had to wait for the next batch"
        return numbered(commands, steps, snapshot.numbers), steps

    async def reserve(self, *commands: ChangeCommand) -> list[Reservation]:
        """Ask for the userName of each create."""
        return await self.store.reserve([claim(command) for command in commands])

    async def apply(self, *commands: ChangeCommand) -> list[Step]:
        """View, decide, reserve, commit; every name must be granted."""
        batch, steps = await self.decided(*commands)
        claims = [
            Claim(change.tenant, change.resource_id, change.acquires, None, now())
            for change in batch.changes
            if change.acquires
        ]
        if claims:
            assert set(await self.store.reserve(claims)) == {Granted()}
        await self.store.commit(batch)
        return steps

    async def apply_one_by_one(self, *commands: ChangeCommand) -> None:
        """Apply each command in a batch of its own."""
        for command in commands:
            await self.apply(command)


def numbered(commands: Sequence[ChangeCommand], steps: Sequence[Step], numbers: dict[str, int]) -> Batch:
    """Return the batch of decided commands; replayed answers leave nothing to store."""
    last: dict[str, int] = {}
    changes = []
    outcomes = []
    for command, step in zip(commands, steps, strict=True):
        unseen = None
        if isinstance(step, Change):
            last[command.tenant] = last.get(command.tenant, numbers[command.tenant]) + 1
            changes.append(number(step, partition=0, number=last[command.tenant], issuer=ISSUER))
            unseen = unseen_of(command) if isinstance(command.change, Create) else None
        if isinstance(step, Change | NoChange | Refusal):
            outcomes.append((command.tenant, batches.outcome_of(command, step, unseen)))
    return Batch(changes=tuple(changes), outcomes=tuple(outcomes), numbers=last)
