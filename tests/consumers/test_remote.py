"""The way of a command through the command topic, and of its answer back, whatever is lost on either."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from consumers import remote
from consumers.errors import LogUnavailable, StoreUnavailable
from consumers.metrics import Metrics
from consumers.partition_ports import Appended
from consumers.ports import Page, Reply
from consumers.remote import RemoteCommands
from consumers.submission import Busy, Expired, OutcomeUnknown
from schemas.changes import Name
from schemas.commands import ChangeCommand, decode_command
from schemas.errors import TooLarge
from schemas.memberships import Membership
from schemas.outcomes import Outcome
from schemas.partitions import partition_of
from schemas.records import ResourceImage
from tests.contract import commands

SHARDS, PARTITIONS = 2, 8


@dataclass
class Log:
    """A command topic whose appends wait at a gate, or fail."""

    appended: list[tuple[int, str, bytes]] = field(default_factory=list)
    failing: bool = False
    cancelled: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def append(self, partition: int, key: str, value: bytes) -> Appended:
        """See ``consumers.partition_ports.CommandLog``."""
        self.appended.append((partition, key, value))
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.failing:
            raise LogUnavailable("the test says so")
        return Appended(len(self.appended), 0)


@dataclass
class Outcomes:
    """A reader that knows outcomes alone, or cannot be asked."""

    stored: dict[tuple[str, str], Outcome] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    away: bool = False
    unreadable: set[str] = field(default_factory=set)

    async def groups_of(self, tenant: str, member_id: str) -> tuple[Membership, ...]:
        """See ``consumers.ports.Reader``."""
        raise AssertionError

    async def outcome(self, tenant: str, txn: str) -> Outcome | None:
        """See ``consumers.ports.Reader``."""
        self.asked.append(txn)
        if self.away:
            raise StoreUnavailable("the test says so")
        if txn in self.unreadable:
            raise msgspec.ValidationError("the test says so")
        return self.stored.get((tenant, txn))

    async def get(self, tenant: str, resource_type: str, resource_id: str) -> ResourceImage | None:
        """See ``consumers.ports.Reader``."""
        raise AssertionError

    async def find(self, tenant: str, resource_type: str, name: Name) -> tuple[ResourceImage, ...]:
        """See ``consumers.ports.Reader``."""
        raise AssertionError

    async def page(self, tenant: str, resource_type: str, offset: int, limit: int) -> Page:
        """See ``consumers.ports.Reader``."""
        raise AssertionError


@dataclass
class Stand:
    """A gateway's end with everything around it in a test's hands, time included."""

    now: float = 1000.0
    log: Log = field(default_factory=Log)
    outcomes: Outcomes = field(default_factory=Outcomes)
    metrics: Metrics = field(default_factory=Metrics)
    unseen: list[tuple[str, str]] = field(default_factory=list)
    limits: dict[str, int] = field(default_factory=dict)
    store_away_s: float = 0.0

    def __post_init__(self) -> None:
        self.remote = RemoteCommands(
            self.log,
            self.outcomes,
            self.metrics,
            lambda tenant, unseen: self.unseen.append((tenant, unseen)),
            shards=SHARDS,
            partitions=PARTITIONS,
            store_away_s=lambda: self.store_away_s,
            clock=lambda: self.now,
            **self.limits,
        )

    def command(self, budget_s: float = 20.0, **given: Any) -> ChangeCommand:
        """Return a create that was accepted now."""
        made = commands.create(accepted_at=int(self.now * 1000), **given)
        return msgspec.structs.replace(made, budget=int(budget_s * 1000))

    async def submitted(self, *wanted: ChangeCommand) -> list[asyncio.Task[Reply]]:
        """Submit, and return once the appends have begun."""
        tasks = [asyncio.create_task(self.remote.submit(command), name=command.txn) for command in wanted]
        await rest()
        return tasks

    def counted(self, name: str) -> float:
        """Return a metric's value."""
        value = self.metrics.registry.get_sample_value(name)
        assert value is not None
        return value


async def rest() -> None:
    """Let everything run that can."""
    for _ in range(5):
        await asyncio.sleep(0)


def outcome_of(command: ChangeCommand, **given: Any) -> Outcome:
    known: dict[str, Any] = {"txn": command.txn, "status": 201, "version": 1, "gateway": command.gateway}
    return Outcome(
        resource_type="User",
        resource_id=command.resource_id,
        verb="create",
        fingerprint=command.fingerprint,
        decided_at=command.accepted_at,
        **(known | given),
    )


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    """A gateway's end; nothing is left of it afterwards."""
    made = Stand()
    yield made
    await made.remote.close()
    assert len(made.remote) == 0
    assert made.remote._bytes == 0


@contextlib.asynccontextmanager
async def sweeping(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Sweep as fast as the loop turns."""
    monkeypatch.setattr(remote, "SWEEP_S", 0)
    sweeper = asyncio.create_task(stand.remote.sweep(), name="sweep")
    try:
        yield
    finally:
        assert not sweeper.done()
        sweeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sweeper


async def test_CP1_a_command_goes_to_the_partition_of_its_resource_under_the_resources_key(stand: Stand) -> None:
    command = stand.command()
    (waiting,) = await stand.submitted(command)
    ((partition, key, value),) = stand.log.appended
    assert partition == partition_of("acme", command.resource_id, shards=SHARDS, partitions=PARTITIONS)
    assert key == f"acme/{command.resource_id}"
    assert decode_command(value) == command
    stand.remote.deliver(command.txn, Reply(outcome_of(command)))
    assert (await waiting).outcome.txn == command.txn
    assert stand.counted("scimgw_commands_appended_total") == 1


async def test_commands_are_appended_in_the_order_of_their_submission(stand: Stand) -> None:
    wanted = [stand.command() for _ in range(50)]
    await stand.submitted(*wanted)
    assert [decode_command(value).txn for _, _, value in stand.log.appended] == [command.txn for command in wanted]


async def test_a_reply_ends_the_wait_and_takes_the_place_in_the_table_with_it(stand: Stand) -> None:
    command = stand.command()
    (waiting,) = await stand.submitted(command)
    assert len(stand.remote) == 1
    assert stand.remote.is_pending("acme", command.txn)
    assert not stand.remote.is_pending("other", command.txn)
    stand.now += 0.2
    reply = Reply(outcome_of(command))
    stand.remote.deliver(command.txn, reply)
    assert await waiting is reply
    assert len(stand.remote) == 0
    assert not stand.remote.is_pending("acme", command.txn)
    assert stand.counted("scimgw_reply_seconds_sum") == pytest.approx(0.2)


async def test_trouble_that_the_owner_tells_is_raised(stand: Stand) -> None:
    command = stand.command()
    (waiting,) = await stand.submitted(command)
    stand.remote.deliver(command.txn, Expired(command.txn))
    with pytest.raises(Expired):
        await waiting


async def test_INV19_what_waits_is_bounded_in_number() -> None:
    stand = Stand(limits={"most_pending": 2})
    first, second, third = stand.command(), stand.command(), stand.command()
    await stand.submitted(first, second)
    with pytest.raises(Busy):
        await stand.remote.submit(third)
    assert stand.counted("scimgw_commands_shed_total") == 1
    assert len(stand.log.appended) == 2
    stand.remote.deliver(first.txn, Reply(outcome_of(first)))
    (waiting,) = await stand.submitted(third)
    stand.remote.deliver(third.txn, Reply(outcome_of(third)))
    assert await waiting
    await stand.remote.close()


async def test_INV19_what_waits_is_bounded_in_bytes() -> None:
    stand = Stand(limits={"most_bytes": 2500})
    large, larger = stand.command(title="x" * 1500), stand.command(title="x" * 1500)
    await stand.submitted(large)
    with pytest.raises(Busy):
        await stand.remote.submit(larger)
    await stand.remote.close()


async def test_INV19_an_append_that_hangs_counts_until_it_ends_even_if_its_caller_was_answered() -> None:
    stand = Stand(limits={"most_pending": 1})
    stand.log.gate.clear()
    command = stand.command()
    (waiting,) = await stand.submitted(command)
    stand.remote.deliver(command.txn, Reply(outcome_of(command)))
    assert await waiting
    with pytest.raises(Busy):
        await stand.remote.submit(stand.command())
    stand.log.gate.set()
    await rest()
    assert len(stand.remote) == 0
    await stand.remote.close()


async def test_an_append_that_hangs_is_given_up_with_its_caller(stand: Stand) -> None:
    stand.log.gate.clear()
    (waiting,) = await stand.submitted(stand.command(budget_s=1))
    stand.remote.expire(stand.now + 1)
    with pytest.raises(OutcomeUnknown):
        await waiting
    await rest()
    assert len(stand.remote) == 0
    assert stand.log.cancelled == 1, "what is still queued for the broker need not be sent any more"


async def test_a_partition_that_takes_nothing_refuses_what_comes_later_until_it_does_again(stand: Stand) -> None:
    stand.log.gate.clear()
    first = stand.command()
    (waiting,) = await stand.submitted(first)
    stand.now += remote.STUCK_S - 0.5
    (second,) = await stand.submitted(msgspec.structs.replace(first, txn="second"))
    stand.now += 1
    with pytest.raises(Busy):
        await stand.remote.submit(msgspec.structs.replace(first, txn="third"))
    assert len(stand.log.appended) == 2
    elsewhere = next(
        made
        for made in (stand.command() for _ in range(1000))
        if partition_of("acme", made.resource_id, shards=SHARDS, partitions=PARTITIONS) != stand.log.appended[0][0]
    )
    await stand.submitted(elsewhere)
    assert len(stand.log.appended) == 3, "another partition may have another broker"
    stand.log.gate.set()
    await rest()
    await stand.submitted(msgspec.structs.replace(first, txn="fourth"))
    assert len(stand.log.appended) == 4
    assert not waiting.done()
    assert not second.done()


async def test_while_the_store_is_away_writes_are_refused_at_once_and_a_short_absence_is_waited_for(
    stand: Stand,
) -> None:
    stand.store_away_s = remote.STUCK_S
    (waiting,) = await stand.submitted(stand.command())
    stand.store_away_s = remote.STUCK_S + 0.1
    with pytest.raises(Busy):
        await stand.remote.submit(stand.command())
    assert len(stand.log.appended) == 1
    assert not waiting.done()
    stand.store_away_s = 0.0
    await stand.submitted(stand.command())
    assert len(stand.log.appended) == 2
    await stand.remote.close()


async def test_CP10_a_command_that_the_topic_would_not_take_is_refused_before_it_is_sent(stand: Stand) -> None:
    with pytest.raises(TooLarge):
        await stand.remote.submit(stand.command(title="x" * (4 * 1024 * 1024)))
    assert not stand.log.appended
    assert len(stand.remote) == 0


async def test_CP27_at_the_end_of_the_budget_the_outcome_is_unknown_and_the_command_still_pending(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = stand.command(budget_s=5)
    (waiting,) = await stand.submitted(command)
    async with sweeping(stand, monkeypatch):
        stand.now += 4.99
        await rest()
        assert not waiting.done()
        stand.now += 0.02
        with pytest.raises(OutcomeUnknown) as told:
            await waiting
    assert told.value.txn == command.txn
    assert stand.remote.is_pending("acme", command.txn)
    assert not stand.remote.is_pending("other", command.txn)
    assert stand.counted("scimgw_commands_unknown_total") == 1
    stand.remote.expire(stand.now + remote.OVERDUE_S)
    assert not stand.remote.is_pending("acme", command.txn)


async def test_an_answer_after_the_budget_is_dropped_and_counted_and_ends_what_is_pending(stand: Stand) -> None:
    command = stand.command(budget_s=1)
    (waiting,) = await stand.submitted(command)
    stand.remote.expire(stand.now + 1)
    with pytest.raises(OutcomeUnknown):
        await waiting
    stand.remote.deliver(command.txn, Expired(command.txn))
    assert not stand.remote.is_pending("acme", command.txn)
    stand.remote.deliver("never-seen", Expired("never-seen"))
    assert stand.counted("scimgw_replies_unknown_total") == 2


async def test_a_reply_about_another_command_answers_nobody(stand: Stand) -> None:
    mine, other = stand.command(), stand.command()
    (waiting,) = await stand.submitted(mine)
    stand.remote.deliver(mine.txn, Reply(outcome_of(other)))
    stand.remote.deliver(mine.txn, Expired(other.txn))
    await rest()
    assert not waiting.done()
    replayed = Reply(outcome_of(other), replayed=True)
    stand.remote.deliver(mine.txn, replayed)
    assert await waiting is replayed, "a replayed answer is that of an earlier command"


async def test_G3_an_append_that_fails_leaves_the_outcome_unknown_at_once(stand: Stand) -> None:
    stand.log.failing = True
    command = stand.command()
    with pytest.raises(OutcomeUnknown):
        await stand.remote.submit(command)
    assert stand.remote.is_pending("acme", command.txn), "it may yet appear"


async def test_a_lost_reply_is_found_as_the_stored_outcome(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    command = stand.command()
    (waiting,) = await stand.submitted(command)
    stored = stand.outcomes.stored["acme", command.txn] = outcome_of(command)
    async with sweeping(stand, monkeypatch):
        stand.now += 0.24
        await rest()
        assert not stand.outcomes.asked
        stand.now += 0.02
        assert await waiting == Reply(stored, image=None, replayed=False)
    assert stand.counted("scimgw_replies_late_total") == 1


async def test_the_outcome_is_looked_for_ever_more_rarely_and_shortly_before_the_deadline(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = stand.command(budget_s=10)
    (waiting,) = await stand.submitted(command)
    began, asked_at = stand.now, []
    async with sweeping(stand, monkeypatch):
        for step in range(1, 100):
            stand.now = began + step / 10
            before = len(stand.outcomes.asked)
            await rest()
            asked_at += [step / 10] * (len(stand.outcomes.asked) - before)
    assert asked_at == [0.3, 1.0, 1.5, 2.3, 3.5, 5.3, 8.0, 9.7]
    assert not waiting.done()


async def test_a_budget_shorter_than_the_polls_is_polled_only_within_it(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    (waiting,) = await stand.submitted(stand.command(budget_s=0.2))
    async with sweeping(stand, monkeypatch):
        stand.now += 0.3
        with pytest.raises(OutcomeUnknown):
            await waiting
    assert not stand.outcomes.asked


async def test_a_store_that_cannot_be_asked_answers_nobody_and_stops_nothing(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = stand.command()
    (waiting,) = await stand.submitted(command)
    stand.outcomes.away = True
    async with sweeping(stand, monkeypatch):
        stand.now += 0.5
        await rest()
        assert stand.outcomes.asked == [command.txn]
        assert not waiting.done()
        stand.outcomes.away = False
        stand.outcomes.stored["acme", command.txn] = outcome_of(command)
        stand.now += 1
        assert await waiting


async def test_an_outcome_that_cannot_be_read_disturbs_nobody_else(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    strange, plain = stand.command(), stand.command()
    first, second = await stand.submitted(strange, plain)
    stand.outcomes.unreadable.add(strange.txn)
    stand.outcomes.stored["acme", plain.txn] = outcome_of(plain)
    async with sweeping(stand, monkeypatch):
        stand.now += 0.5
        assert await second
        assert not first.done()


async def test_an_owner_that_does_not_know_leaves_the_command_pending(stand: Stand) -> None:
    command = stand.command()
    (waiting,) = await stand.submitted(command)
    stand.remote.deliver(command.txn, OutcomeUnknown(command.txn))
    with pytest.raises(OutcomeUnknown):
        await waiting
    assert stand.remote.is_pending("acme", command.txn)


async def test_a_caller_who_goes_away_takes_nothing_back(stand: Stand) -> None:
    stand.log.gate.clear()
    command = stand.command()
    (waiting,) = await stand.submitted(command)
    waiting.cancel()
    await rest()
    assert stand.remote.is_pending("acme", command.txn)
    stand.log.gate.set()
    await rest()
    assert stand.counted("scimgw_commands_appended_total") == 1
    stand.remote.deliver(command.txn, Reply(outcome_of(command)))
    assert len(stand.remote) == 0


async def test_whoever_waits_when_the_process_stops_is_told_that_the_outcome_is_unknown(stand: Stand) -> None:
    waiting = await stand.submitted(stand.command(), stand.command())
    stand.remote.abandon()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(answer) for answer in answers] == [OutcomeUnknown] * 2


async def test_a_close_ends_the_appends_that_hang(stand: Stand) -> None:
    stand.log.gate.clear()
    (waiting,) = await stand.submitted(stand.command())
    await stand.remote.close()
    with pytest.raises(OutcomeUnknown):
        await waiting
    assert len(stand.remote) == 0


async def test_CP30_an_unseen_answer_is_noted(stand: Stand) -> None:
    stand.remote.mark_unseen("acme", "f")
    assert stand.unseen == [("acme", "f")]


async def test_CP27_a_shorter_budget_ends_before_a_longer_one_that_began_earlier(stand: Stand) -> None:
    longer, shorter = await stand.submitted(stand.command(budget_s=20), stand.command(budget_s=2))
    began = stand.now
    stand.now = began + 2.5
    stand.remote.expire(stand.now)
    with pytest.raises(OutcomeUnknown):
        await shorter
    assert not longer.done()
    stand.now = began + 20.5
    stand.remote.expire(stand.now)
    with pytest.raises(OutcomeUnknown):
        await longer
