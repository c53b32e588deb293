"""The scripts of the store on the fake Redis: the twins of the Lua files, held to the same contract suite."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from consumers.errors import NotRecovered, StoreConflict
from consumers.partition_ports import OwnershipLost
from consumers.ports import Claim, Contended, Granted, Reservation, Taken
from schemas.changes import Name, StoredResource, View
from schemas.commands import ChangeCommand
from schemas.numbering import StoredChange, Watermark
from schemas.outcomes import UNSEEN_LIFE_MS, Outcome, expires_at
from schemas.records import Address, UserRecord, decode_record
from tests.simulation.redis_server import RedisServer

MARK_AGE_MS = 60_000
GATEWAY_LIFE_MS = 10_000


class Kept(msgspec.Struct, frozen=True):
    """A resource as the store has it."""

    version: int
    live: bool
    record: bytes
    created: str
    forget_at: int | None = None


class Rest(msgspec.Struct, frozen=True):
    """What the last part of a batch brings along."""

    numbers: dict[str, int]
    counts: dict[str, int]
    """How many changes of each tenant the batch has."""
    forgotten: tuple[Address, ...]
    mark: Watermark | None


class Scripts:
    """What one owner, or one reader, has Redis execute for one shard."""

    def __init__(self, redis: RedisServer, partitions: Sequence[int], partition_of: Callable[[str, str], int]) -> None:
        self.redis = redis
        self._partitions = frozenset(partitions)
        self._partition_of = partition_of

    # -- What every script begins with -------------------------------------------------------------------------------

    def same_boot(self, boot: str) -> None:
        """Refuse a script that was written for another history (CP-4)."""
        if boot != self.redis.boot:
            raise OwnershipLost("Redis has another boot")

    def fenced(self, partition: int, fence: str) -> None:
        """Refuse whoever does not have the fence exactly so (CP-5, CP-11)."""
        if self.redis.get(("fence", partition)) != fence:
            raise OwnershipLost("the fence is another's")

    def recovered(self) -> None:
        """Refuse while a partition of the shard is not recovered for this boot (INV-11)."""
        if not self.is_whole():
            raise NotRecovered("a partition is not recovered for this boot")

    def is_whole(self) -> bool:
        """Tell whether every partition is recovered for this boot."""
        boot, partitions = self.redis.get(("recovered",), ("", frozenset()))
        return bool(boot == self.redis.boot and partitions >= self._partitions)

    # -- Take-over ---------------------------------------------------------------------------------------------------

    def take(self, partition: int, fence: str) -> Watermark | None:
        """Set the fence, return the watermark."""
        self.redis.put(("fence", partition), fence)
        mark: Watermark | None = self.redis.get(("wm", partition))
        return mark

    def empty(self, partition: int, fence: str) -> None:
        """Forget everything but the fence of who asks."""
        self.redis.clear()
        self.redis.put(("fence", partition), fence)

    def records(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return stored records."""
        found = {key: self.redis.get(("r", *key.split("/"))) for key in keys}
        return {key: kept.record for key, kept in found.items() if kept is not None}

    def replay(
        self,
        partition: int,
        changes: Sequence[StoredChange],
        tombstones: Sequence[Address],
        outcomes: Sequence[tuple[str, Outcome]],
        numbers: dict[str, int],
        mark: Watermark,
    ) -> None:
        """Put a stretch of the log in: names go to whom the log gives them."""
        for change in changes:
            kept: Kept | None = self.redis.get(_place(change))
            if kept is not None and kept.version >= change.version:
                continue
            self._store(change)
            for name in change.releases:
                self._release(change, name)
            for name in change.acquires:
                holders = self.redis.get(("uq", change.tenant, *name), frozenset())
                self.redis.put(("uq", change.tenant, *name), holders | {change.resource_id})
                self._let_go(change, name)
        for gone in tombstones:
            self._forget(gone)
        self._answered(outcomes)
        for tenant, number in numbers.items():
            self.redis.put(("seq", partition, tenant), max(number, self.redis.get(("seq", partition, tenant), 0)))
        self.redis.put(("wm", partition), mark)

    def activate(self, partition: int, token: str) -> None:
        """End a take-over."""
        self.redis.put(("fence", partition), token)
        self.redis.put(("owned", partition), True)
        boot, partitions = self.redis.get(("recovered",), ("", frozenset()))
        before = partitions if boot == self.redis.boot else frozenset()
        self.redis.put(("recovered",), (self.redis.boot, before | {partition}))

    # -- Batches -----------------------------------------------------------------------------------------------------

    def view(self, commands: Sequence[ChangeCommand]) -> tuple[View, ...]:
        """Return what each command may look at."""
        return tuple(self._view(command) for command in commands)

    def _view(self, command: ChangeCommand) -> View:
        kept: Kept | None = self.redis.get(("r", *command.address))
        resource = None
        if kept is not None and kept.live:
            record = decode_record(kept.record)
            assert isinstance(record, UserRecord)
            resource = StoredResource(
                version=record.version,
                created=record.created,
                modified=record.modified,
                names=record.names,
                doc=record.doc,
                password=record.password,
            )
        keyed = None if command.key is msgspec.UNSET else self.redis.get(("key", command.tenant, command.key))
        return View(
            resource=resource,
            gone=kept is not None and not kept.live,
            answered=self.outcome(command.tenant, command.txn),
            keyed=None if keyed is None else self.outcome(command.tenant, keyed),
        )

    def outcome(self, tenant: str, txn: str) -> Outcome | None:
        """Return a stored outcome that has not expired."""
        found: Outcome | None = self.redis.get(("out", tenant, txn))
        return found if found is not None and expires_at(found) > self.redis.now() else None

    def numbers(self, partition: int, commands: Sequence[ChangeCommand]) -> dict[str, int]:
        """Return the tenants' numbers in this partition."""
        tenants = dict.fromkeys(command.tenant for command in commands)
        return {tenant: self.redis.get(("seq", partition, tenant), 0) for tenant in tenants}

    def reserve(self, partition: int, token: str, claims: Sequence[Claim]) -> list[Reservation]:
        """Reserve names, all or nothing a claim (CP-19, CP-20)."""
        return [self._claimed(partition, token, claim) for claim in claims]

    def _claimed(self, partition: int, token: str, claim: Claim) -> Reservation:
        for name in claim.names:
            holders = self.redis.get(("uq", claim.tenant, *name), frozenset())
            if holders - {claim.resource_id}:
                return Taken(name, self._unseen(claim, holders))
        for name in claim.names:
            held = self.redis.get(("res", claim.tenant, *name))
            if held is not None and held[0] != claim.resource_id and not self._stale(held[1], held[2]):
                return Contended()
        for name in claim.names:
            self.redis.put(("res", claim.tenant, *name), (claim.resource_id, partition, token))
        return Granted()

    def release(self, token: str, granted: Mapping[tuple[str, str], Sequence[Name]]) -> None:
        """Let go what this owner reserved for commands that were cut."""
        for (tenant, resource_id), names in granted.items():
            for name in names:
                held = self.redis.get(("res", tenant, *name))
                if held is not None and held[0] == resource_id and held[2] == token:
                    self.redis.drop(("res", tenant, *name))

    def _stale(self, partition: int, token: str) -> bool:
        """Tell whether the partition of a reservation is active under another token (CP-20)."""
        fence = self.redis.get(("fence", partition)) or ""
        return fence.startswith("active:") and fence != token

    def _unseen(self, claim: Claim, holders: frozenset[str]) -> Outcome | None:
        """Return the first answer to an identical create of the same principal, if nobody saw it (CP-30)."""
        if claim.unseen is None:
            return None
        txn = self.redis.get(("first", claim.tenant, claim.unseen))
        outcome = None if txn is None else self.outcome(claim.tenant, txn)
        if outcome is None or outcome.resource_id not in holders:
            return None
        if claim.now - outcome.decided_at > UNSEEN_LIFE_MS:
            return None
        marked = self.redis.get(("unseen", claim.tenant, claim.unseen), 0) > self.redis.now()
        alive = self.redis.get(("alive", outcome.gateway), 0) > self.redis.now()
        return outcome if marked or not alive else None

    def validate(self, partition: int, changes: Sequence[StoredChange], last: Rest | None) -> None:
        """Look at everything before the first write, because Redis does not roll back (CP-24)."""
        if last is not None:
            for tenant, number in last.numbers.items():
                if self.redis.get(("seq", partition, tenant), 0) + last.counts.get(tenant, 0) != number:
                    raise StoreConflict("a number is not the next one")
        states: dict[tuple[str, ...], tuple[int, bool]] = {}
        names: dict[tuple[str, ...], frozenset[str]] = {}
        for change in changes:
            kept: Kept | None = self.redis.get(_place(change))
            before = (0, False) if kept is None else (kept.version, kept.live)
            version, live = states.get(_place(change), before)
            if version != change.expected or change.version != change.expected + 1:
                raise StoreConflict(f"version {version} is stored, {change.expected} was expected")
            if version > 0 and not live:
                raise StoreConflict("the resource is deleted already")
            states[_place(change)] = change.version, not change.deleted
            for name in change.releases:
                key = ("uq", change.tenant, *name)
                names[key] = names.get(key, self.redis.get(key, frozenset())) - {change.resource_id}
            for name in change.acquires:
                key = ("uq", change.tenant, *name)
                holders = names.get(key, self.redis.get(key, frozenset()))
                if holders - {change.resource_id}:
                    raise StoreConflict(f"{name[0]} is held by another")
                names[key] = holders | {change.resource_id}

    def commit(
        self,
        partition: int,
        changes: Sequence[StoredChange],
        outcomes: Sequence[tuple[str, Outcome]],
        last: Rest | None,
    ) -> None:
        """Make a part of a batch visible."""
        for change in changes:
            self._store(change)
            for name in change.releases:
                self._release(change, name)
            for name in change.acquires:
                self.redis.put(("uq", change.tenant, *name), frozenset({change.resource_id}))
                self._let_go(change, name)
        self._answered(outcomes)
        if last is not None:
            for tenant, number in last.numbers.items():
                self.redis.put(("seq", partition, tenant), number)
            for gone in last.forgotten:
                self.redis.drop(("r", gone.tenant, gone.resource_type, gone.resource_id))
            if last.mark is not None:
                self.redis.put(("wm", partition), last.mark)

    def forgotten(self, partition: int, now: int, most: int) -> list[Address]:
        """Return places that may go."""
        found = []
        for (_, tenant, resource_type, resource_id), kept in self.redis.items("r"):
            due = not kept.live and kept.forget_at is not None and kept.forget_at <= now
            if due and self._partition_of(tenant, resource_id) == partition:
                found.append(Address(tenant, resource_type, resource_id))
        return found[:most]

    # -- Parts -------------------------------------------------------------------------------------------------------

    def _store(self, change: StoredChange) -> None:
        for entry in change.drops:
            self._index(change, entry, present=False)
        for entry in change.adds:
            self._index(change, entry, present=True)
        forget_at = change.forget_at if change.deleted else None
        kept = Kept(change.version, not change.deleted, change.record, change.created, forget_at)
        self.redis.put(_place(change), kept)

    def _index(self, change: StoredChange, entry: Name, *, present: bool) -> None:
        key = ("ix", change.tenant, change.resource_type, *entry)
        members = self.redis.get(key, frozenset()) - {change.resource_id}
        if present:
            members |= {change.resource_id}
        if members:
            self.redis.put(key, members)
        else:
            self.redis.drop(key)

    def _forget(self, gone: Address) -> None:
        """Forget a place; where the log kept only the tombstone, names and entries go with it."""
        key = ("r", gone.tenant, gone.resource_type, gone.resource_id)
        kept: Kept | None = self.redis.get(key)
        if kept is not None and kept.live:
            for kind in ("uq", "ix"):
                for entry, members in self.redis.items(kind):
                    if entry[1] == gone.tenant and gone.resource_id in members:
                        self._without(entry, members, gone.resource_id)
        self.redis.drop(key)

    def _without(self, key: tuple[str, ...], members: frozenset[str], resource_id: str) -> None:
        if members - {resource_id}:
            self.redis.put(key, members - {resource_id})
        else:
            self.redis.drop(key)

    def _let_go(self, change: StoredChange, name: Name) -> None:
        reserved = self.redis.get(("res", change.tenant, *name))
        if reserved is not None and reserved[0] == change.resource_id:
            self.redis.drop(("res", change.tenant, *name))

    def _release(self, change: StoredChange, name: Name) -> None:
        key = ("uq", change.tenant, *name)
        self._without(key, self.redis.get(key, frozenset()), change.resource_id)

    def _answered(self, outcomes: Sequence[tuple[str, Outcome]]) -> None:
        for tenant, outcome in outcomes:
            if expires_at(outcome) <= self.redis.now():
                continue
            self.redis.put(("out", tenant, outcome.txn), outcome)
            if outcome.key is not None:
                first = self.redis.get(("key", tenant, outcome.key))
                if first is None or self.outcome(tenant, first) is None:
                    self.redis.put(("key", tenant, outcome.key), outcome.txn)
            if outcome.unseen is not None:
                self.redis.put(("first", tenant, outcome.unseen), outcome.txn)


def _place(change: StoredChange) -> tuple[str, ...]:
    return ("r", change.tenant, change.resource_type, change.resource_id)
