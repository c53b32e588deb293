"""Commands decided, numbered and written without a store: what a partition's owner does, as plain values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from schemas import batches, replays
from schemas.changes import Change, Name, NoChange, StoredResource, View
from schemas.commands import ChangeCommand, Create
from schemas.fingerprints import unseen_key
from schemas.numbering import Batch, NumberedChange, StoredChange, number
from schemas.outcomes import Outcome, Refusal
from schemas.records import Address, GoneRecord, UserRecord, decode_resource, resource_key
from schemas.transactions import StateRecord
from tests.schemas.samples import NOON


class Held:
    """What a store holds: records, names and index entries; a change is executed as a replay has to."""

    def __init__(self) -> None:
        self.records: dict[str, bytes] = {}
        self.names: dict[tuple[str, Name], str] = {}
        """Tenant and name → the key of the resource that holds it."""
        self.entries: set[tuple[str, Name, str]] = set()

    def execute(self, change: StoredChange) -> None:
        """Put one change in: names go to whom the log gives them, and are only taken from who has them."""
        for name in change.releases:
            if self.names.get((change.tenant, name)) == change.key:
                del self.names[change.tenant, name]
        self.names |= {(change.tenant, name): change.key for name in change.acquires}
        self.entries -= {(change.tenant, name, change.key) for name in change.drops}
        self.entries |= {(change.tenant, name, change.key) for name in change.adds}
        self.records[change.key] = change.record

    def forget(self, address: Address) -> None:
        """Let the place of a deleted resource go, and what a store has not heard of the delete still holds."""
        key = resource_key(address.tenant, address.resource_type, address.resource_id)
        self.records.pop(key, None)
        self.names = {name: holder for name, holder in self.names.items() if holder != key}
        self.entries = {entry for entry in self.entries if entry[2] != key}

    def replay(self, records: Iterable[StateRecord]) -> replays.Chunk:
        """Put a stretch of the log in, as a take-over does."""
        chunk = replays.fold(records)
        stored = {key: self.records[key] for key in chunk.resources if key in self.records}
        for change in replays.changes_of(chunk, stored):
            self.execute(change)
        for address in chunk.tombstones:
            self.forget(address)
        return chunk

    def image(self) -> tuple[object, object, object]:
        """Return all of it, to compare."""
        return self.records, self.names, self.entries


class Owner:
    """Decides commands batch by batch; names are reserved among its own resources."""

    def __init__(self) -> None:
        self.held = Held()
        self.numbers: dict[str, int] = {}

    def decide(self, commands: Sequence[ChangeCommand]) -> tuple[Batch, int]:
        """Return what the next batch comes to, and how many commands it took; its changes are executed."""
        steps = batches.plan(commands, [self._view(command) for command in commands], NOON, 0)
        changes: list[NumberedChange] = []
        outcomes: list[tuple[str, Outcome]] = []
        for command, planned in zip(commands, steps, strict=False):
            step, unseen = planned, None
            if isinstance(step, Change) and self._is_taken(step):
                step = Refusal(status=409, detail="userName is in use", scim_type="uniqueness")
            if isinstance(step, Change):
                changes.append(self._numbered(step))
                if isinstance(command.change, Create):
                    unseen = unseen_key(command.principal, command.fingerprint)
            assert isinstance(step, Change | NoChange | Refusal)
            outcomes.append((command.tenant, batches.outcome_of(command, step, unseen)))
        for change in changes:
            self.held.execute(change)
        moved = {change.tenant: self.numbers[change.tenant] for change in changes}
        return Batch(changes=tuple(changes), outcomes=tuple(outcomes), numbers=moved), len(steps)

    def _numbered(self, change: Change) -> NumberedChange:
        tenant = change.command.tenant
        self.numbers[tenant] = self.numbers.get(tenant, 0) + 1
        return number(change, partition=3, number=self.numbers[tenant], issuer="urn:scimgw")

    def _is_taken(self, change: Change) -> bool:
        key = resource_key(*change.command.address)
        held = (self.held.names.get((change.command.tenant, name), key) for name in change.acquires)
        return any(holder != key for holder in held)

    def _view(self, command: ChangeCommand) -> View:
        stored = self.held.records.get(resource_key(*command.address))
        return View() if stored is None else view_of(stored)


def view_of(value: bytes) -> View:
    """Return what a command may look at where this record is stored."""
    record: UserRecord | GoneRecord = decode_resource(value)
    if isinstance(record, GoneRecord):
        return View(gone=True)
    fields = {name: getattr(record, name) for name in StoredResource.__struct_fields__}
    return View(resource=StoredResource(**fields))


def with_txns(commands: Iterable[ChangeCommand]) -> list[ChangeCommand]:
    """Return the commands with ids of their own."""
    return [msgspec.structs.replace(command, txn=f"txn-{place}") for place, command in enumerate(commands)]
