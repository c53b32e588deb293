"""The owner of a partition where only its own arithmetic counts; what it promises is shown in ``tests/simulation``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from consumers.errors import NotRecovered, StoreUnavailable
from consumers.metrics import Metrics
from consumers.owner import PartitionOwner
from consumers.partition_ports import Addressed, Delivered
from consumers.ports import Claim, Granted, Reply, Reservation, Snapshot
from consumers.slots import TransactionSlots
from consumers.submission import Failed
from schemas.changes import View
from schemas.commands import ChangeCommand, encode_command
from schemas.numbering import Batch
from schemas.transactions import Transaction
from tests.contract import commands


class Feed:
    """One command, until it is taken off."""

    assigned = True

    def __init__(self, command: ChangeCommand) -> None:
        self.left = [Delivered(7, command.accepted_at, "acme/x", encode_command(command))]

    async def bounds(self) -> tuple[int, int]:
        return 0, 8

    async def seek(self, offset: int) -> None:
        assert offset == 7

    async def take(self, _most: int, _most_bytes: int, _wait_s: float) -> Sequence[Delivered]:
        await asyncio.sleep(0)
        return self.left

    def done(self, count: int) -> None:
        del self.left[:count]


class Log:
    """Notes what is parked and what is not."""

    def __init__(self) -> None:
        self.appended: list[Transaction] = []

    async def append(self, transaction: Transaction) -> int:
        self.appended.append(transaction)
        return len(self.appended)


class Store:
    """A store that is not there for a while, as a test says."""

    def __init__(self, *, missing: Sequence[Exception], lost_counts: int = 0) -> None:
        self._missing = list(missing)
        self._lost_counts = lost_counts
        self.attempts = 0
        self.replies: list[Addressed] = []

    async def attempt(self, offset: int) -> int:
        assert offset == 7
        self.attempts += 1
        if self._lost_counts:
            self._lost_counts -= 1
            raise StoreUnavailable("the answer was lost")
        return self.attempts

    async def forgive(self) -> None:
        self.attempts = 0

    async def view(self, asked: Sequence[ChangeCommand]) -> Snapshot:
        if self._missing:
            raise self._missing.pop()
        return Snapshot((View(),) * len(asked), {"acme": 0})

    async def reserve(self, claims: Sequence[Claim]) -> list[Reservation]:
        return [Granted()] * len(claims)

    async def commit(self, _batch: Batch) -> None: ...

    async def check(self, _now: int) -> None: ...

    async def leave(self) -> None: ...

    async def reply(self, replies: Sequence[Addressed]) -> None:
        self.replies += replies


async def served(feed: Feed, log: Log, store: Store, *, careful: bool) -> None:
    """Have an owner deal with the one command and answer it."""
    owner = PartitionOwner(
        0, feed, log, store, metrics=Metrics(), issuer="urn:test", slots=TransactionSlots(1)  # type: ignore[arg-type]
    )  # fmt: skip
    serving = asyncio.create_task(owner._serve(7, careful=careful))
    async with asyncio.timeout(30):
        while feed.left or not store.replies:
            await asyncio.sleep(0.01)
    owner.stop()
    await serving


@pytest.mark.parametrize(
    "store",
    [
        Store(missing=[NotRecovered("another partition is missing")] * 5),
        Store(missing=[StoreUnavailable("no answer")] * 3),
        Store(missing=[], lost_counts=4),
    ],
    ids=["recovering", "away", "counts lost"],
)
async def test_CP26_waiting_for_the_store_is_no_attempt_at_the_command(store: Store) -> None:
    feed, log = Feed(commands.create(resource_id="x")), Log()
    await served(feed, log, store, careful=True)

    assert [len(transaction.dead) for transaction in log.appended] == [0], "it was applied, not parked"
    assert isinstance(store.replies[0].answer, Reply)
    assert store.attempts == 1


async def test_an_id_that_no_gateway_mints_is_404_and_no_dead_letter() -> None:
    command = commands.delete(commands.create(resource_id="jane@example.com"))
    store, feed, log = Store(missing=[]), Feed(command), Log()
    feed.left = [msgspec.structs.replace(feed.left[0], key="acme/jane@example.com")]
    await served(feed, log, store, careful=False)

    assert [len(transaction.dead) for transaction in log.appended] == [0]
    answer = store.replies[0].answer
    assert isinstance(answer, Reply)
    assert answer.outcome.status == 404


@pytest.mark.parametrize(
    "changed",
    [{"tenant": "a/b"}, {"tenant": ""}, {"resource_id": ""}, {"resource_id": "x\0y"}, {"resource_id": "y"}],
    ids=["tenant with a slash", "no tenant", "no id", "id with a NUL", "another id than the key's"],
)
async def test_INV18_a_command_that_no_gateway_writes_is_parked_before_its_names_become_keys(
    changed: dict[str, str],
) -> None:
    command = msgspec.structs.replace(commands.create(resource_id="x"), **changed)
    store, feed, log = Store(missing=[]), Feed(command), Log()
    await served(feed, log, store, careful=False)

    assert [len(transaction.dead) for transaction in log.appended] == [1]
    assert isinstance(store.replies[0].answer, Failed)
