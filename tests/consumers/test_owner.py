"""The owner of a partition where only its own arithmetic counts; what it promises is shown in ``tests/simulation``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import msgspec
import pytest

from consumers import batch_limit
from consumers import owner as owner_module
from consumers.errors import NotRecovered, StoreUnavailable
from consumers.metrics import Metrics
from consumers.owner import PartitionOwner
from consumers.partition_ports import Addressed, Delivered, Held, OwnershipLost, TransactionTooSlow
from consumers.ports import Claim, Granted, Reply, Reservation, Snapshot
from consumers.slots import TransactionSlots
from consumers.submission import Failed
from consumers.takeover import Resumption
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
        self.expected = 0

    def expect(self) -> None:
        self.expected += 1

    async def append(self, transaction: Transaction) -> int:
        self.appended.append(transaction)
        return len(self.appended)

    async def close(self) -> None: ...


class Store:
    """A store that is not there for a while, as a test says."""

    def __init__(self, *, missing: Sequence[Exception], lost_counts: int = 0) -> None:
        self._missing = list(missing)
        self._lost_counts = lost_counts
        self.attempts = 0
        self.viewed: list[int] = []
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
        self.viewed.append(len(asked))
        if self._missing:
            raise self._missing.pop()
        return Snapshot((View(),) * len(asked), {"acme": 0})

    async def reserve(self, claims: Sequence[Claim]) -> list[Reservation]:
        return [Granted()] * len(claims)

    async def commit(self, _batch: Batch) -> None: ...

    async def check(self, _now: int) -> Held:
        return Held(0, 0)

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


async def test_what_the_store_could_not_answer_is_asked_in_halves() -> None:
    """256 users of a megabyte are more than some networks carry within the time limit."""
    feed, store = Feed(commands.create(resource_id="x")), Store(missing=[StoreUnavailable("no answer")] * 3)
    first = feed.left[0]
    feed.left = [msgspec.structs.replace(first, offset=7 + n) for n in range(10)]
    await served(feed, Log(), store, careful=False)
    assert store.viewed[:4] == [10, 5, 3, 2]


async def test_the_lag_is_told_while_nothing_can_be_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner_module, "CHECK_S", 0.0)
    monkeypatch.setattr(owner_module, "RECOVERY_PAUSE_S", 0.0)
    feed, log, store, metrics = Feed(commands.create(resource_id="x")), Log(), Store(missing=[]), Metrics()
    owner = PartitionOwner(
        0, feed, log, store, metrics=metrics, issuer="urn:test", slots=TransactionSlots(1)  # type: ignore[arg-type]
    )  # fmt: skip
    store._missing = [NotRecovered("another partition is missing")] * 1_000_000
    waiting = "scimgw_partition_lag_commands", {"partition": "0"}
    serving = asyncio.create_task(owner._serve(7, careful=False))
    async with asyncio.timeout(30):
        await asyncio.sleep(0.05)
        metrics.lag(0, 0)
        while metrics.registry.get_sample_value(*waiting) != 1:
            await asyncio.sleep(0.01)
        store._missing.clear()
        while metrics.registry.get_sample_value(*waiting) != 0:
            await asyncio.sleep(0.01)
    owner.stop()
    await serving


async def test_the_lag_is_told_while_the_store_is_away_for_this_worker_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps its partitions, from all others, too: somebody must be told."""
    monkeypatch.setattr(owner_module, "CHECK_S", 0.0)
    feed, store, metrics = Feed(commands.create(resource_id="x")), Store(missing=[]), Metrics()
    owner = PartitionOwner(
        0, feed, Log(), store, metrics=metrics, issuer="urn:test", slots=TransactionSlots(1)  # type: ignore[arg-type]
    )  # fmt: skip

    async def away(*_: object, **__: object) -> Resumption:
        raise StoreUnavailable("no answer")

    async def there(*_: object, **__: object) -> Resumption:
        monkeypatch.setattr(owner_module, "take_over", away)
        return Resumption(7, unclean=False)

    monkeypatch.setattr(owner_module, "take_over", there)
    store._missing = [OwnershipLost("another owner has the fence")]
    monkeypatch.setattr(store, "forgive", away)
    running = asyncio.create_task(owner.run())
    waiting = "scimgw_partition_lag_commands", {"partition": "0"}
    async with asyncio.timeout(30):
        while metrics.registry.get_sample_value(*waiting) != 1:
            await asyncio.sleep(0.01)
        while metrics.registry.get_sample_value("scimgw_store_failures_total") == 0:
            await asyncio.sleep(0.01)
    owner.stop()
    await running


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


class SlowLog(Log):
    """A log that takes too long for transactions of more than so many commands, and settles each in a take-over."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.tried: list[int] = []

    async def append(self, transaction: Transaction) -> int:
        self.tried.append(len(transaction.events))
        if len(transaction.events) > self.most:
            raise TransactionTooSlow("it took too long")
        return await super().append(transaction)


class LongFeed(Feed):
    """So many commands."""

    def __init__(self, count: int) -> None:
        self.left = []
        for offset in range(7, 7 + count):
            command = commands.create()
            key = f"acme/{command.resource_id}"
            self.left.append(Delivered(offset, command.accepted_at, key, encode_command(command)))

    async def take(self, most: int, _most_bytes: int, _wait_s: float) -> Sequence[Delivered]:
        await asyncio.sleep(0)
        return self.left[:most]


@pytest.mark.parametrize(("most", "tried"), [(9, [30, 16, 8, 8, 8, 6]), (1, [30, 16, 8, 4, 2, *[1] * 30])])
async def test_CP23_a_batch_whose_transaction_takes_too_long_is_halved_until_it_passes(
    most: int, tried: list[int]
) -> None:
    feed, log, store, metrics = LongFeed(30), SlowLog(most), Store(missing=[]), Metrics()
    owner = PartitionOwner(
        0, feed, log, store, metrics=metrics, issuer="urn:test", slots=TransactionSlots(1)  # type: ignore[arg-type]
    )  # fmt: skip

    async def owning() -> None:
        while feed.left:
            try:
                await owner._serve(7, careful=False)
            except OwnershipLost:
                continue  # a take-over

    owning_task = asyncio.create_task(owning())
    async with asyncio.timeout(60):
        while feed.left:
            await asyncio.sleep(0.01)
    owner.stop()
    await owning_task
    assert log.tried == tried
    slow = sum(1 for count in tried if count > most)
    assert metrics.registry.get_sample_value("scimgw_transactions_slow_total") == slow


class GrowingFeed(LongFeed):
    """So many commands, of which the first is there and the others come."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.come = 1
        self.asked = asyncio.Event()

    async def take(self, most: int, most_bytes: int, wait_s: float) -> Sequence[Delivered]:
        self.asked.set()
        return await super().take(min(most, self.come), most_bytes, wait_s)


async def test_CP22_what_comes_while_another_partition_has_the_slot_joins_the_batch() -> None:
    feed, log, store, slots = GrowingFeed(30), SlowLog(30), Store(missing=[]), TransactionSlots(1)
    owner = PartitionOwner(0, feed, log, store, metrics=Metrics(), issuer="urn:test", slots=slots)  # type: ignore[arg-type]
    async with asyncio.timeout(30):
        async with slots.one():
            serving = asyncio.create_task(owner._serve(7, careful=False))
            await feed.asked.wait()
            feed.come = 30
        while feed.left:
            await asyncio.sleep(0.01)
    owner.stop()
    await serving
    assert log.tried == [30]
    assert log.expected == len(log.appended), "the log is told of each transaction before its batch is decided"


async def test_CP23_batches_grow_again_when_transactions_pass_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_limit, "RESTRAINT_S", 0.0)
    feed, log, store = LongFeed(30), SlowLog(9), Store(missing=[])
    owner = PartitionOwner(
        0, feed, log, store, metrics=Metrics(), issuer="urn:test", slots=TransactionSlots(1)  # type: ignore[arg-type]
    )  # fmt: skip
    owner._limit.most = 1
    serving = asyncio.create_task(owner._serve(7, careful=False))
    async with asyncio.timeout(60):
        while sum(log.tried) < 14:
            await asyncio.sleep(0.01)
    owner.stop()
    with contextlib.suppress(OwnershipLost):
        await serving
    assert log.tried[:3] == [2, 4, 8]
