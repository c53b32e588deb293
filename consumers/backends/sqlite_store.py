"""The state of resources in the embedded database: view, reserve and commit by one writer thread."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

import msgspec

from consumers.backends.sqlite_commit import commit_batch
from consumers.backends.sqlite_outcomes import OutcomeBound
from consumers.backends.sqlite_rows import asked, lines
from consumers.backends.sqlite_thread import DatabaseThread
from consumers.errors import DatabaseDamaged
from consumers.ports import Claim, Contended, Granted, KeyUsed, Reservation, Snapshot, Taken
from schemas.changes import Name, StoredResource, View
from schemas.commands import ChangeCommand
from schemas.indexing import wanted_names
from schemas.numbering import Batch
from schemas.outcomes import UNSEEN_LIFE_MS, Outcome, decode_outcome
from schemas.records import UserRecord, decode_record

MOST_MARKS: Final = 100_000
"""How many unseen answers are remembered; the oldest go first."""

Clock = Callable[[], float]
_Holders = dict[tuple[str, Name], str | None]
_Keyed = dict[tuple[str, str], Outcome | None]

# Left to itself, SQLite looks for a key among all outcomes of the tenant.
_VIEW: Final = """
SELECT
  (SELECT CAST(group_concat(q.key || char(31) || r.live || char(31) || r.record, char(30)) AS BLOB)
     FROM json_each(:addresses) q CROSS JOIN resource r
     ON r.tenant = q.value ->> 0 AND r.type = q.value ->> 1 AND r.id = q.value ->> 2),
  (SELECT CAST(group_concat(q.key || char(31) || o.outcome, char(30)) AS BLOB)
     FROM json_each(:txns) q CROSS JOIN outcome o
     ON o.tenant = q.value ->> 0 AND o.txn = q.value ->> 1 AND o.expires_at > :now),
  (SELECT CAST(group_concat(q.key || char(31) || o.outcome, char(30)) AS BLOB)
     FROM json_each(:keys) q CROSS JOIN outcome o INDEXED BY outcome_by_key
     ON o.tenant = q.value ->> 0 AND o.key = q.value ->> 1 AND o.expires_at > :now),
  (SELECT CAST(group_concat(q.key || char(31) || n.last, char(30)) AS BLOB)
     FROM json_each(:tenants) q CROSS JOIN number n ON n.tenant = q.value),
  (SELECT CAST(group_concat(q.key || char(31) || r.id, char(30)) AS BLOB)
     FROM json_each(:names) q
     CROSS JOIN name n ON n.tenant = q.value ->> 0 AND n.attribute = q.value ->> 1 AND n.value = q.value ->> 2
     CROSS JOIN resource r ON r.ordinal = n.ordinal)
"""

_HOLDERS: Final = """
SELECT CAST(group_concat(q.key || char(31) || r.id, char(30)) AS BLOB)
  FROM json_each(:names) q
  CROSS JOIN name n ON n.tenant = q.value ->> 0 AND n.attribute = q.value ->> 1 AND n.value = q.value ->> 2
  CROSS JOIN resource r ON r.ordinal = n.ordinal
"""

_KEYED: Final = """
SELECT CAST(group_concat(q.key || char(31) || o.outcome, char(30)) AS BLOB)
  FROM json_each(:keys) q CROSS JOIN outcome o INDEXED BY outcome_by_key
  ON o.tenant = q.value ->> 0 AND o.key = q.value ->> 1 AND o.expires_at > :now
"""

# The answer to the create of the name's holder: were it another's, the resource it speaks of has lost the name since.
_UNSEEN: Final = """
SELECT o.outcome FROM name n
  CROSS JOIN resource r ON r.ordinal = n.ordinal
  CROSS JOIN outcome o ON o.tenant = r.tenant AND o.txn = r.txn AND o.unseen = :unseen
  WHERE n.tenant = :tenant AND n.attribute = :attribute AND n.value = :value
"""

_NOTHING: Final = View()


class SqliteStore:
    """``consumers.ports.Store`` on the embedded database; the thread's connection must be the only writer."""

    def __init__(
        self,
        thread: DatabaseThread,
        *,
        gateway: str,
        bound: OutcomeBound,
        committed: Callable[[], None] = lambda: None,
        clock: Clock = time.time,
    ) -> None:
        """``gateway``: the only one alive, outcomes of any other count as unseen; ``committed``: called after each commit."""
        self._thread = thread
        self._gateway = gateway
        self._bound = bound
        self._committed = committed
        self._clock = clock
        self._marks: dict[tuple[str, str], None] = {}
        self._holders: _Holders = {}
        """Who holds each name that was looked up, None for nobody: true until the next commit, by this only writer."""
        self._keyed: _Keyed = {}
        """The same of Idempotency-Keys and their outcomes."""

    def mark_unseen(self, tenant: str, unseen: str) -> None:
        """See ``consumers.ports.Submitter.mark_unseen``."""
        # In memory only: after the death of this process every outcome it left counts as unseen anyway.
        self._marks.pop((tenant, unseen), None)
        self._marks[tenant, unseen] = None
        if len(self._marks) > MOST_MARKS:
            del self._marks[next(iter(self._marks))]

    async def view(self, commands: Sequence[ChangeCommand]) -> Snapshot:
        """See ``consumers.ports.Store.view``."""
        snapshot, self._holders, self._keyed = await self._thread.run(lambda database: self._view(database, commands))
        return snapshot

    async def reserve(self, claims: Sequence[Claim]) -> list[Reservation]:
        """See ``consumers.ports.Store.reserve``; without a hop where the view looked up all and all is free."""
        names = dict.fromkeys((claim.tenant, name) for claim in claims for name in claim.names)
        missing = [name for name in names if name not in self._holders]
        if missing:
            self._holders |= await self._thread.run(lambda database: _holders(database, missing))
        keys = dict.fromkeys((claim.tenant, claim.key) for claim in claims if claim.key is not None)
        unknown = [key for key in keys if key not in self._keyed]
        if unknown:
            self._keyed |= await self._thread.run(lambda database: _keyed(database, unknown, self._now()))
        made = reservations(claims, self._holders, self._keyed)
        for i, (claim, reservation) in enumerate(zip(claims, made, strict=True)):
            if isinstance(reservation, Taken) and claim.unseen is not None:
                made[i] = await self._thread.run(partial(self._taken, claim=claim, name=reservation.name))
        return made

    async def commit(self, batch: Batch) -> None:
        """See ``consumers.ports.Store.commit``."""
        now = self._now()
        self._holders, self._keyed = {}, {}
        await self._thread.run(lambda database: commit_batch(database, batch, now))
        self._bound.added(batch.outcomes)
        self._committed()

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _view(
        self, database: sqlite3.Connection, commands: Sequence[ChangeCommand]
    ) -> tuple[Snapshot, _Holders, _Keyed]:
        addresses = list(dict.fromkeys(command.address for command in commands))
        tenants = list(dict.fromkeys(command.tenant for command in commands))
        txns = [(command.tenant, command.txn) for command in commands]
        keys = list(
            dict.fromkeys((command.tenant, command.key) for command in commands if command.key is not msgspec.UNSET)
        )
        names = list(dict.fromkeys((command.tenant, name) for command in commands for name in wanted_names(command)))
        asking = [(tenant, *name) for tenant, name in names]
        question = {
            "addresses": asked(addresses),
            "txns": asked(txns),
            "keys": asked(keys),
            "tenants": asked(tenants),
            "names": asked(asking),
            "now": self._now(),
        }
        row = database.execute(_VIEW, question).fetchone()
        holders: _Holders = dict.fromkeys(names)
        holders.update((names[int(position)], holder.decode()) for position, holder in lines(row[4]))
        stored: dict[tuple[str, str, str], StoredResource | None] = {}
        sizes: dict[tuple[str, str, str], int] = {}
        for position, live, record in lines(row[0]):
            address = addresses[int(position)]
            stored[address] = stored_resource(record) if live == b"1" else None
            sizes[address] = len(record)
        answered = {txns[int(position)]: decode_outcome(outcome) for position, outcome in lines(row[1])}
        keyed: _Keyed = dict.fromkeys(keys)
        keyed.update((keys[int(position)], decode_outcome(outcome)) for position, outcome in lines(row[2]))
        numbers = dict.fromkeys(tenants, 0)
        numbers.update((tenants[int(position)], int(last)) for position, last in lines(row[3]))
        if not (stored or answered or any(keyed.values())):
            return Snapshot((_NOTHING,) * len(commands), numbers, full=self._bound.full), holders, keyed
        views = []
        for command in commands:
            address = command.address
            resource = stored.get(address)
            views.append(
                View(
                    resource=resource,
                    gone=resource is None and address in stored,
                    answered=answered.get((command.tenant, command.txn)),
                    keyed=None if command.key is msgspec.UNSET else keyed.get((command.tenant, command.key)),
                    size=sizes.get(address, 0),
                )
            )
        return Snapshot(tuple(views), numbers, full=self._bound.full), holders, keyed

    def _taken(self, database: sqlite3.Connection, claim: Claim, name: Name) -> Taken:
        """Return that the name is taken, with the answer of an identical create that never reached its caller (CP-30)."""
        question = {"tenant": claim.tenant, "attribute": name[0], "value": name[1], "unseen": claim.unseen}
        row = database.execute(_UNSEEN, question).fetchone()
        if row is None:
            return Taken(name)
        outcome = decode_outcome(row[0])
        unseen = outcome.gateway != self._gateway or (claim.tenant, claim.unseen) in self._marks
        return Taken(name, outcome if unseen and claim.now - outcome.decided_at <= UNSEEN_LIFE_MS else None)


def reservations(
    claims: Sequence[Claim],
    holders: Mapping[tuple[str, Name], str | None],
    keyed: Mapping[tuple[str, str], Outcome | None],
) -> list[Reservation]:
    """Reserve what each claim asks for, in order.

    ``holders`` tells who holds each name, None for nobody; ``keyed`` the outcome of each key, None for none.
    """
    # The owner is the only writer, and what it reserved before and did not commit it has given up: so names
    # and keys collide with committed ones and with earlier claims of this call, and nothing else.
    reserved: dict[tuple[str, Name | str], str] = {}
    result: list[Reservation] = []
    for claim in claims:
        answer = _reservation(claim, holders, keyed, reserved)
        if isinstance(answer, Contended):
            return result + [answer] * (len(claims) - len(result))
        if isinstance(answer, Granted):
            reserved.update(dict.fromkeys(((claim.tenant, name) for name in claim.names), claim.resource_id))
        if claim.key is not None and not isinstance(answer, KeyUsed):
            reserved[claim.tenant, claim.key] = claim.resource_id
        result.append(answer)
    return result


def _reservation(
    claim: Claim,
    holders: Mapping[tuple[str, Name], str | None],
    keyed: Mapping[tuple[str, str], Outcome | None],
    reserved: Mapping[tuple[str, Name | str], str],
) -> Reservation:
    """Return what a claim is answered: its key comes first, for with it a refusal because of a name is kept, too."""
    tenant, resource_id = claim.tenant, claim.resource_id
    if claim.key is not None:
        outcome = keyed[tenant, claim.key]
        if outcome is not None:
            return KeyUsed(outcome)
        if reserved.get((tenant, claim.key), resource_id) != resource_id:
            return Contended()
    taken = next((name for name in claim.names if holders[tenant, name] not in {None, resource_id}), None)
    if taken is not None:
        return Taken(taken)
    if any(reserved.get((tenant, name), resource_id) != resource_id for name in claim.names):
        return Contended()
    return Granted()


def _holders(database: sqlite3.Connection, names: Sequence[tuple[str, Name]]) -> _Holders:
    """Return who holds each name, None for nobody."""
    row = database.execute(_HOLDERS, {"names": asked([(tenant, *name) for tenant, name in names])}).fetchone()
    holders: _Holders = dict.fromkeys(names)
    holders.update((names[int(position)], holder.decode()) for position, holder in lines(row[0]))
    return holders


def _keyed(database: sqlite3.Connection, keys: Sequence[tuple[str, str]], now: int) -> _Keyed:
    """Return the outcome of each key, None for none."""
    row = database.execute(_KEYED, {"keys": asked(keys), "now": now}).fetchone()
    keyed: _Keyed = dict.fromkeys(keys)
    keyed.update((keys[int(position)], decode_outcome(outcome)) for position, outcome in lines(row[0]))
    return keyed


def stored_resource(value: bytes) -> StoredResource:
    """Return the resource of a stored record. Raises DatabaseDamaged where it cannot be read or is no resource's."""
    try:
        record = decode_record(value)
    except msgspec.DecodeError as error:
        raise DatabaseDamaged(
            f"a resource's record cannot be read ({error}); stop the server and restore a backup"
        ) from error
    if not isinstance(record, UserRecord):
        raise DatabaseDamaged("a record of another kind stands for a resource; stop the server and restore a backup")
    return StoredResource(
        version=record.version,
        created=record.created,
        modified=record.modified,
        names=record.names,
        doc=record.doc,
        password=record.password,
    )
