"""The ports of the distributed mode: what a gateway and the owner of a partition ask of Kafka and Redis, as promises.

Like ``consumers.ports``: asynchronous, batched, no driver's type; an implementation raises what is named here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Protocol

import msgspec

from consumers.ports import Reply, Store
from consumers.submission import SubmissionError
from schemas.numbering import StoredChange, Watermark
from schemas.outcomes import Outcome
from schemas.records import Address
from schemas.transactions import StateRecord, Transaction


class OwnershipLost(Exception):
    """The partition is no longer ours as far as log or store can tell: take it over again, or let it go (CP-11).

    Raised by both for a lost fence, another boot of the store, and whatever leaves a transaction in doubt.
    """


class TransactionTooSlow(OwnershipLost):
    """The log did not take the transaction within its own time limit (CP-23): a smaller one may pass."""


class Delivered(msgspec.Struct, frozen=True):
    """A record of the command topic, as it came."""

    offset: int
    appended_at: int
    """The broker's time of the append, in milliseconds since 1970."""
    key: str
    value: bytes


class CommandFeed(Protocol):
    """The commands of one partition as its owner reads them."""

    async def bounds(self) -> tuple[int, int]:
        """Return the first offset that the topic still has and the offset that the next command will get.

        Raises LogUnavailable.
        """
        ...

    async def seek(self, offset: int) -> None:
        """Begin, or begin again, to deliver from this offset on; forgets what was delivered and not taken off."""
        ...

    async def take(self, most: int, most_bytes: int, wait_s: float) -> Sequence[Delivered]:
        """Return the next commands in order, without taking them off; waits ``wait_s`` seconds for the first.

        At least one where there is one, however large; none after that. Raises LogUnavailable.
        """
        ...

    def done(self, count: int) -> None:
        """Take off the first ``count`` of what was delivered."""
        ...

    @property
    def assigned(self) -> bool:
        """Whether this process is still the one that should own the partition, as far as it knows."""
        ...


class Ends(msgspec.Struct, frozen=True):
    """The bounds of a partition of the state topic."""

    start: int
    committed: int
    """The end as a reader of committed records sees it: the last stable offset."""
    end: int
    """The end with what is still in doubt."""


class PartitionLog(Protocol):
    """One partition of state and events, written by its owner alone, by transactions (CP-2)."""

    async def open(self) -> str:
        """Fence whoever wrote before and settle what it left in doubt; return a token that no owner had before (CP-12).

        May be called again after any error. Raises LogUnavailable.
        """
        ...

    async def ends(self) -> Ends:
        """Return the bounds of the state partition. Raises LogUnavailable."""
        ...

    def read(self, offset: int, end: int) -> AsyncIterator[Sequence[StateRecord]]:
        """Yield the committed records from ``offset`` up to ``end`` in order, in stretches. Raises LogUnavailable."""
        ...

    def expect(self) -> None:
        """Be told that a transaction will soon follow: what can be made ready for it is, beside what else is to be done.

        Told again every few seconds where it is not so soon. Never raises; what goes wrong, ``append`` raises.
        """
        ...

    async def append(self, transaction: Transaction) -> int:
        """Make the transaction durable and visible, all or nothing; return the offset behind its last state record.

        One at a time: the caller waits for one before it asks for the next (CP-3). Has its own time limit (CP-23).
        Raises OwnershipLost whenever it cannot say that all of it is durable: then it may be, and only ``open`` will
        tell (CP-11); TransactionTooSlow where it was the time limit. Raises RecordTooLarge before anything was sent, and
        needs no ``open`` then (CP-10).
        """
        ...

    async def close(self) -> None:
        """Let go of everything; never raises."""
        ...


class Addressed(msgspec.Struct, frozen=True):
    """An answer and who waits for it."""

    gateway: str
    tenant: str
    txn: str
    """Of the command that is answered; a replayed outcome has another: that of the first."""
    answer: Reply | SubmissionError


class Held(msgspec.Struct, frozen=True):
    """How many outcomes of a partition the store holds."""

    unkeyed: int
    keyed: int
    """With an Idempotency-Key."""


class PartitionStore(Store, Protocol):
    """The store as the owner of one partition has it: view, reserve and commit under a fence (CP-4, CP-5, CP-24).

    All of it raises OwnershipLost when the fence is not this owner's or the store's boot changed, and
    StoreUnavailable when the store cannot be asked. ``commit`` also raises OwnershipLost where the watermark is not
    what this owner wrote last. ``view``, ``reserve`` and ``commit`` raise NotRecovered, a StoreUnavailable, until every
    partition of the shard is recovered for this boot (INV-11): then nothing happened, try again.
    """

    async def take(self) -> Watermark | None:
        """Begin a take-over: set the fence to one of its own and return the partition's watermark (CP-11, CP-13).

        Everything below fails from now on for whoever had the fence before.
        """
        ...

    async def empty(self) -> None:
        """Forget the whole shard, at once, other partitions' fences included; our take-over goes on (CP-13)."""
        ...

    async def records(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the stored records of these resources, by the keys of their records; none for the unknown."""
        ...

    async def replay(
        self,
        changes: Sequence[StoredChange],
        tombstones: Sequence[Address],
        outcomes: Sequence[tuple[str, Outcome]],
        numbers: dict[str, int],
        mark: Watermark,
    ) -> None:
        """Put a stretch of the log into the store: names go to whom the log gives them (CP-14)."""
        ...

    async def activate(self, token: str) -> None:
        """End the take-over: the fence is ours under this token, the partition is recovered for this boot (CP-15)."""
        ...

    async def check(self, now: int) -> Held:
        """Check boot and fence; refresh the watermark's time where it is older than a minute (CP-16).

        Returns how many outcomes are held, those that have expired not counted.

        Asked between batches: what was reserved and not committed is let go, or a command that was cut and then
        expired would block its names until the partition changes hands (CP-20).
        """
        ...

    async def unclean(self) -> bool:
        """Tell whether the last owner left without ``leave``; asked during a take-over (CP-26)."""
        ...

    async def attempt(self, offset: int) -> int:
        """Count that the command at this offset is about to be tried; return for the how manieth time (CP-26).

        Raises NotRecovered, and counts nothing, until the shard is recovered: it could not be tried.
        """
        ...

    async def forgive(self) -> None:
        """Forget the attempts: what failed was not the command."""
        ...

    async def leave(self) -> None:
        """Note that this owner leaves in good order; nothing of the fence changes."""
        ...

    async def forgotten(self, now: int, most: int) -> list[Address]:
        """Return deleted resources of this partition whose places may go by now (CP-8)."""
        ...

    async def reply(self, replies: Sequence[Addressed]) -> None:
        """Send answers to gateways.

        What cannot be sent is lost, never raised: the stored outcome tells (CP-25).
        """
        ...


class Appended(msgspec.Struct, frozen=True):
    """Where and when a command came to stand in the command topic."""

    offset: int
    appended_at: int
    """By the broker's clock, in milliseconds since 1970."""


class CommandLog(Protocol):
    """The command topic as a gateway writes it."""

    def append(self, partition: int, key: str, value: bytes) -> Awaitable[Appended]:
        """Return a future of when the command is durable; commands of one partition stand in the order of the calls.

        Never raises; the future has LogUnavailable where it is not known whether it is, or ever will be (G3). To cancel
        it withdraws what is not yet on its way.
        """
        ...


Deliver = Callable[[str, Reply | SubmissionError], None]
"""Takes the txn of a command and its answer."""


class ReplySource(Protocol):
    """The answers for one gateway."""

    async def run(self, deliver: Deliver) -> None:
        """Deliver answers as they come, each at least zero times: a lost one is found as stored outcome. Never returns."""
        ...


class CommandGroup(Protocol):
    """Membership in the group of workers, which shares out the partitions."""

    def feed(self, partition: int) -> CommandFeed:
        """Return the commands of one partition."""
        ...

    async def run(
        self,
        assigned: Callable[[frozenset[int]], Awaitable[None]],
        revoked: Callable[[frozenset[int]], Awaitable[None]],
    ) -> None:
        """Be a member until cancelled, and tell what is assigned and revoked; leaves the group on cancellation.

        ``revoked`` is awaited before anybody else gets the partitions, within the rebalance's time limit. Raises
        LogUnavailable when the membership broke; then everything counts as revoked.
        """
        ...
