"""What the only writer knows of the database without asking it: a decorator around the embedded store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from consumers.backends.name_filter import NameFilter
from consumers.backends.record_cache import Address, RecordCache
from consumers.backends.sqlite_rows import lines
from consumers.backends.sqlite_store import SqliteStore, reservations, stored_resource
from consumers.backends.sqlite_thread import DatabaseThread
from consumers.errors import OperatorError
from consumers.ports import Claim, Reservation, Snapshot
from schemas.changes import View
from schemas.commands import ChangeCommand, Create
from schemas.numbering import Batch

MOST_RECORD_BYTES: Final = 24 * 1024 * 1024
MOST_TENANTS: Final = 10_000
"""How many tenants' last numbers are kept."""

Fresh = Callable[[ChangeCommand], bool]
"""Tells that no store can hold anything of the command: its txn, of a create also its id, are new, and it has no key."""

_SLICE: Final = 500
"""Rows read by one job while learning: a millisecond or two, between two batches of commands."""
_SLICE_BYTES: Final = 256 * 1024
_RETRY_S: Final = 1.0
_PAST_ALL: Final = (1 << 63) - 1

_NAMES: Final = """
SELECT json_group_array(json_array(tenant, attribute, value)) FROM (
  SELECT tenant, attribute, value FROM name
    WHERE (tenant, attribute, value) > (:tenant, :attribute, :value)
    ORDER BY tenant, attribute, value LIMIT :slice)
"""
# The last of them is in any case read as a whole: a record may be longer than a slice.
_RECORDS: Final = """
SELECT min(ordinal), CAST(group_concat(
    tenant || char(31) || type || char(31) || id || char(31) || record, char(30)) FILTER (WHERE live) AS BLOB) FROM (
  SELECT r.* FROM (
    SELECT ordinal, sum(size) OVER (ORDER BY ordinal DESC) - size AS before FROM (
      SELECT ordinal, length(record) AS size FROM resource WHERE ordinal < :ordinal ORDER BY ordinal DESC LIMIT :slice)
  ) p CROSS JOIN resource r ON r.ordinal = p.ordinal WHERE p.before < :slice_bytes)
"""

_NOTHING: Final = View()


def minted_by(gateway: str) -> Fresh:
    """Return what tells the fresh commands of a process that keeps no command log.

    A command that bears the id which this process took at its start was made by it, and is delivered to its apply loop
    once: nothing of it can be stored before it is decided. An Idempotency-Key may have been used before, and the id
    of its create is derived from it.
    """
    return lambda command: command.gateway == gateway and command.key is msgspec.UNSET


class RememberingStore:
    """``consumers.ports.Store`` over a SqliteStore, without a hop to its thread where memory has the answer.

    A hop's result waits for the event loop: in batches of 32 a view took 5 ms, of which it worked half a one.

    It rests on the store being the only writer of live resources, names and numbers. What a commit is about to change
    is forgotten before it is asked for, and known again once it succeeded: what a failed or abandoned one left is
    asked of the database. Names are only ever added to those that somebody may hold.
    """

    def __init__(
        self, store: SqliteStore, thread: DatabaseThread, *, fresh: Fresh, most_bytes: int = MOST_RECORD_BYTES
    ) -> None:
        """``thread``: the one on which the store commits, so that what is read there is as of a place between commits."""
        self._store = store
        self._thread = thread
        self._fresh = fresh
        self._records = RecordCache(most_bytes)
        """Of live resources only: the places of deleted ones are purged without a commit."""
        self._numbers: dict[str, int] = {}
        self._names = NameFilter()
        self._all_names = False
        """Whether every name stored is in the filter."""
        self._changed: set[Address] | None = None
        """What commits changed while records are being read; None while none are."""

    def mark_unseen(self, tenant: str, unseen: str) -> None:
        """See ``consumers.ports.Submitter.mark_unseen``."""
        self._store.mark_unseen(tenant, unseen)

    async def view(self, commands: Sequence[ChangeCommand]) -> Snapshot:
        """See ``consumers.ports.Store.view``; the store is asked for those commands of which anything is unknown."""
        if len(self._numbers) > MOST_TENANTS:
            self._numbers.clear()
        read: dict[Address, View] = {}
        views = [self._known(command, read) for command in commands]
        asking = [i for i, view in enumerate(views) if view is None]
        full = False  # only a command with a key would ask, and is never known
        if asking:
            snapshot = await self._store.view([commands[i] for i in asking])
            for i, view in zip(asking, snapshot.views, strict=True):
                views[i] = view
            self._numbers |= snapshot.numbers
            full = snapshot.full
        numbers = {command.tenant: self._numbers[command.tenant] for command in commands}
        return Snapshot(tuple(view for view in views if view is not None), numbers, full=full)

    async def reserve(self, claims: Sequence[Claim]) -> list[Reservation]:
        """See ``consumers.ports.Store.reserve``; the store is asked when somebody may hold a name or the key."""
        names = [(claim.tenant, name) for claim in claims for name in claim.names]
        keyed = any(claim.key is not None for claim in claims)
        if not keyed and self._all_names and all(self._names.is_new(*name) for name in names):
            return reservations(claims, dict.fromkeys(names), {})
        return await self._store.reserve(claims)

    async def commit(self, batch: Batch) -> None:
        """See ``consumers.ports.Store.commit``."""
        for change in batch.changes:
            self._records.drop((change.tenant, change.resource_type, change.resource_id))
            for name in change.acquires:
                self._names.add(change.tenant, name)
        for tenant in batch.numbers:
            self._numbers.pop(tenant, None)
        if self._changed is not None:
            self._changed.update((change.tenant, change.resource_type, change.resource_id) for change in batch.changes)
        await self._store.commit(batch)
        for change in batch.changes:
            address = change.tenant, change.resource_type, change.resource_id
            if change.deleted:
                self._records.drop(address)
            else:
                self._records.put(address, change.record)
        self._numbers |= batch.numbers

    def recalled(self, address: Address) -> bytes | None:
        """Return the record of a live resource as of the last commit, or None where only the database knows."""
        return self._records.get(address)

    async def learn(self) -> None:
        """Read all names, then the records of the resources made last until their bytes are used up.

        In small pieces, at most a quarter of the time; goes on by itself after a failure, which views and commits
        meet and tell of as well.
        """
        await self._learn_names()
        self._all_names = True
        await self._learn_records()

    def _known(self, command: ChangeCommand, read: dict[Address, View]) -> View | None:
        """Return what the command may look at, or None where the database must be asked.

        ``read``: views of records that were read for commands before it; gets this one's.
        """
        if not self._fresh(command) or command.tenant not in self._numbers:
            return None
        if isinstance(command.change, Create):
            return None if command.address in self._records else _NOTHING
        view = read.get(command.address)
        if view is None and (record := self._records.get(command.address)) is not None:
            view = read[command.address] = View(resource=stored_resource(record), size=len(record))
        return view

    async def _learn_names(self) -> None:
        last = ["", "", ""]
        while last:
            (found,) = await self._read(_NAMES, dict(zip(("tenant", "attribute", "value"), last, strict=True)))
            last = []
            for last in msgspec.json.decode(found):
                self._names.add(last[0], (last[1], last[2]))

    async def _learn_records(self) -> None:
        ordinal: int | None = _PAST_ALL
        while ordinal is not None:
            self._changed = set()
            ordinal, found = await self._read(_RECORDS, {"ordinal": ordinal, "slice_bytes": _SLICE_BYTES})
            changed, self._changed = self._changed, None
            for *parts, record in lines(found):
                address = parts[0].decode(), parts[1].decode(), parts[2].decode()
                # What a commit changed before the reading was asked for, was read; what one changed since, is newer.
                if address in changed or address in self._records:
                    continue
                if not self._records.offer(address, record):
                    return

    async def _read(self, statement: str, bounds: dict[str, Any]) -> tuple[Any, ...]:
        started = time.perf_counter()
        while True:
            try:
                row: tuple[Any, ...] = await self._thread.run(
                    lambda database: database.execute(statement, {**bounds, "slice": _SLICE}).fetchone()
                )
            except OperatorError:
                await asyncio.sleep(_RETRY_S)
            else:
                await asyncio.sleep(min(_RETRY_S, 3 * (time.perf_counter() - started)))
                return row
