"""The ports: what the gateway and the apply loop ask of a back end, written as promises.

All are asynchronous and take batches where a caller has more than one thing to ask. No driver's type or exception
passes through: an implementation raises ``consumers.errors`` and nothing else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final, Protocol

import msgspec

from schemas.changes import Name, View
from schemas.commands import ChangeCommand
from schemas.events import EventRecord
from schemas.memberships import Membership
from schemas.numbering import Batch
from schemas.outcomes import Outcome
from schemas.records import ResourceImage

MOST_BYTES: Final = 4 * 1024 * 1024
"""Bytes of records in one answer, not counting its last: a thousand resources may have a mebibyte each."""


class Reply(msgspec.Struct, frozen=True):
    """What a caller of ``submit`` gets: the outcome, and the resource where there is one."""

    outcome: Outcome
    image: ResourceImage | None = None
    """The resource as the command left or found it; None for refusals, deletes and replayed answers."""
    replayed: bool = False
    """Whether this is the answer of an earlier request: the same status, id and version again."""


class Submitter(Protocol):
    """The way of a command to the owner of its resource, and of the outcome back."""

    async def submit(self, command: ChangeCommand) -> Reply:
        """Have the command decided and made durable, then return its outcome.

        Commands for one resource take effect in the order in which they were submitted. When this returns, the
        outcome is durable and its effect visible to every reader (INV-1, INV-8).

        Raises ``Busy`` when the queue is full: nothing was accepted. Raises ``OutcomeUnknown`` when the budget is over
        or the store failed midway: the command may yet appear, is never decided after its budget (INV-13), and its
        ``txn`` tells what became of it. Cancelling the caller does not take the command back.
        """
        ...

    def is_pending(self, tenant: str, txn: str) -> bool:
        """Tell whether this tenant's command was submitted here and is not decided yet."""
        ...

    def mark_unseen(self, tenant: str, unseen: str) -> None:
        """Note that the answer to the create known by this name (``fingerprints.unseen_key``) never reached its caller.

        For ten minutes an identical create of the same principal then gets that answer instead of a 409 (CP-30).
        Idempotent; never raises.
        """
        ...


MOST_GROUPS: Final = 1000
"""How many groups of one resource are told."""
MOST_NESTED: Final = 10
"""How many groups may be nested in one another for the outermost to be told."""


class Page(msgspec.Struct, frozen=True):
    """A page of resources in a stable order: the order of their creation."""

    total: int
    images: tuple[ResourceImage, ...]


class Reader(Protocol):
    """Reads of the primary: what was acknowledged before a read began is seen by it (INV-8).

    Raises ``StoreUnavailable`` when the store cannot be read. Unknown and foreign ids look the same: None.
    """

    async def get(self, tenant: str, resource_type: str, resource_id: str) -> ResourceImage | None:
        """Return the live resource of that id, or None."""
        ...

    async def find(self, tenant: str, resource_type: str, name: Name) -> tuple[ResourceImage, ...]:
        """Return the live resources that have this value in an index or hold this unique name.

        ``name`` is ``("userName", folded)`` or ``("externalId", value)``. In order of creation, at most 1,000, and no
        more once they have MOST_BYTES.
        """
        ...

    async def page(self, tenant: str, resource_type: str, offset: int, limit: int) -> Page:
        """Return ``limit`` (≥ 0) live resources after the first ``offset``, and how many there are in all.

        Fewer are returned where MOST_BYTES of records come before ``limit`` of them, but one at least. The order is
        stable: a resource keeps its place for life. The total costs the same at any population.
        """
        ...

    async def groups_of(self, tenant: str, member_id: str) -> tuple[Membership, ...]:
        """Return the live groups that the resource is in, in the order of their ids; at most MOST_GROUPS.

        Groups in which those are members come along as indirect ones, MOST_NESTED levels up; a cycle ends the way.
        """
        ...

    async def outcome(self, tenant: str, txn: str) -> Outcome | None:
        """Return the stored outcome of a command, or None when there is none (any more)."""
        ...


class Snapshot(msgspec.Struct, frozen=True):
    """What a store holds for a batch of commands."""

    views: tuple[View, ...]
    """One for each command, in their order."""
    numbers: dict[str, int]
    """The number of the last change of each tenant among the commands; 0 for none."""
    full: bool = False
    """Whether so many outcomes under Idempotency-Keys are held that no further one may be kept."""


class Granted(msgspec.Struct, frozen=True):
    """The names belong to the command until it commits; nobody else gets them."""


class Taken(msgspec.Struct, frozen=True):
    """A name is held by another live resource: final for this command (409)."""

    name: Name
    unseen: Outcome | None = None
    """The first answer, where an identical create of the same principal got one that never reached its caller."""


class Contended(msgspec.Struct, frozen=True):
    """A name or the key is only reserved by an undecided command: try again soon (CP-20)."""


class KeyUsed(msgspec.Struct, frozen=True):
    """The Idempotency-Key has an outcome by now, of a command on another resource: it answers this one, too (INV-7)."""

    outcome: Outcome


Reservation = Granted | Taken | Contended | KeyUsed


class Claim(msgspec.Struct, frozen=True):
    """The names and the Idempotency-Key one command asks for, all or none; but with a taken name it gets its key."""

    tenant: str
    resource_id: str
    names: tuple[Name, ...]
    unseen: str | None
    """``fingerprints.unseen_key`` of a create, to look up an unseen answer on the way to a 409."""
    now: int
    """Milliseconds since 1970."""
    key: str | None = None
    """The Idempotency-Key, hashed, where an outcome would hold it."""


class Store(Protocol):
    """The state of resources: view, reserve, commit, in this order, by one owner at a time.

    A store executes what ``schemas`` computed and knows no SCIM. How many outcomes it holds is bounded: of those without
    an Idempotency-Key the oldest go, for those with one the view says that it is full.

    Raises ``StoreUnavailable`` when it cannot tell or cannot keep; after a failed commit either all of the batch is
    durable or nothing is.
    """

    async def view(self, commands: Sequence[ChangeCommand]) -> Snapshot:
        """Return what each command may look at, as of one moment; unaffected by reservations."""
        ...

    async def reserve(self, claims: Sequence[Claim]) -> list[Reservation]:
        """Reserve the names and the Idempotency-Key of each claim, in order, all or nothing a claim.

        A name that the resource itself holds is granted. A repeated claim of the same resource is granted again. The key
        is looked at first, and reserved also where a name is taken: that refusal is an outcome under the key (CP-30).
        Behind a contended claim everything is contended: the batch ends there, and whoever waits must hold nothing that
        another owner waits for.
        """
        ...

    async def commit(self, batch: Batch) -> None:
        """Make the whole batch durable and visible, or nothing of it.

        Each resource must be at the change's ``expected`` version, each acquired name free or its own; else
        ``StoreConflict`` is raised and nothing happened: the view was stale. Durable means: survives the death of the
        process and of the machine's power supply.
        """
        ...


class LoggedEvent(msgspec.Struct, frozen=True):
    """An event at its place in the log."""

    partition: int
    offset: int
    event: EventRecord


class EventLog(Protocol):
    """The events of all applied changes, in the order in which they were applied."""

    async def earliest(self) -> int:
        """Return the offset of the oldest event kept, or of the next one where there is none."""
        ...

    async def end(self) -> int:
        """Return the offset that the next event will get."""
        ...

    async def offset_at(self, milliseconds: int) -> int:
        """Return the offset of the first event logged at or after this time (ms since 1970), else the end."""
        ...

    async def read(self, offset: int, limit: int) -> list[LoggedEvent]:
        """Return up to ``limit`` events from ``offset`` on, in order; none where there are none yet.

        Only durable events are returned, and an event once returned is returned again until its retention is over.
        """
        ...

    def follow(self, offset: int) -> AsyncIterator[list[LoggedEvent]]:
        """Yield events from ``offset`` on, batch by batch, in order, without a gap, waiting for new ones for ever."""
        ...
