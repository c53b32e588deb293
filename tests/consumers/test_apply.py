"""The apply loop over the embedded store: what every command is answered, also when a step fails."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import msgspec
import pytest
from prometheus_client import generate_latest

from consumers import apply as apply_module
from consumers.apply import Answer, ApplyLoop, straight_to
from consumers.metrics import Metrics
from consumers.ports import Claim, KeyUsed, Reader, Reply, Reservation, Snapshot
from consumers.submission import Busy, Expired, Failed, OutcomeUnknown
from schemas import batches
from schemas.commands import ChangeCommand, Create
from schemas.numbering import Batch
from schemas.outcomes import Refusal
from tests.consumers.faults import FaultyStore, Line
from tests.contract import commands
from tests.contract.stands import SqliteStand


def loop_over(
    line: Line, store: FaultyStore, *, now: int | None = None, margin_ms: int = 0, metrics: Metrics | None = None
) -> ApplyLoop:
    """Return an apply loop; ``now`` stops its clock, in milliseconds since 1970."""
    clock = (lambda: commands.now() / 1000) if now is None else (lambda: now / 1000)
    return ApplyLoop(
        line,
        store,
        straight_to(store),
        metrics=metrics or Metrics(),
        issuer="urn:test",
        margin_ms=margin_ms,
        clock=clock,
    )


@contextlib.asynccontextmanager
async def running(line: Line, store: FaultyStore) -> AsyncIterator[None]:
    """Run the loop beside the test; it must still run at the end."""
    task = asyncio.create_task(loop_over(line, store).run(line), name="apply")
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def stored(reader: Reader, command: ChangeCommand) -> bool:
    return await reader.get(command.tenant, "User", command.resource_id) is not None


def status_of(answer: Answer) -> int:
    assert isinstance(answer, Reply), answer
    return answer.outcome.status


async def test_a_batch_is_answered_when_it_can_be_read(store: FaultyStore, reader: Reader) -> None:
    first, second = commands.create(), commands.create()
    change = commands.replace(first, commands.name_of(first))
    gone = commands.delete(second)
    line = Line(first, second, change, gone)
    async with running(line, store):
        answers = await line.answered(first, second, change, gone)
    assert [status_of(answer) for answer in answers] == [201, 201, 200, 204]
    image = await reader.get("acme", "User", first.resource_id)
    assert image is not None
    assert image.version == 2
    assert isinstance(answers[2], Reply)
    assert answers[2].image == image
    assert not await stored(reader, second)
    for command, answer in zip((first, second, change, gone), answers, strict=True):
        assert isinstance(answer, Reply)
        assert await reader.outcome("acme", command.txn) == answer.outcome


@pytest.mark.parametrize("step", ["view", "reserve"])
async def test_what_fails_before_deciding_is_no_unknown_and_never_applied(
    store: FaultyStore, reader: Reader, step: str
) -> None:
    early, late = [commands.create(), commands.create()], commands.create()
    store.failing[step] = 1
    line = Line(*early)
    async with running(line, store):
        assert {type(answer) for answer in await line.answered(*early)} == {Expired}
        line.add(late)
        assert status_of((await line.answered(late))[0]) == 201, "the loop goes on"
    assert not any([await stored(reader, command) for command in early])
    assert [await reader.outcome("acme", command.txn) for command in early] == [None, None]


async def test_what_fails_while_it_is_made_durable_is_unknown(store: FaultyStore, reader: Reader) -> None:
    early, late = commands.create(), commands.create()
    store.failing["commit"] = 1
    line = Line(early)
    async with running(line, store):
        assert isinstance((await line.answered(early))[0], OutcomeUnknown)
        line.add(late)
        assert status_of((await line.answered(late))[0]) == 201
    assert await reader.outcome("acme", early.txn) is None
    assert not await stored(reader, early)


async def test_what_hangs_on_no_change_has_its_answer_though_the_batch_is_lost(store: FaultyStore) -> None:
    known = commands.create(key="k" * 32)
    line = Line(known)
    loop = loop_over(line, store)
    await loop.apply([known])
    again = msgspec.structs.replace(known, txn=commands.new_id())
    late = commands.create(accepted_at=commands.now() - 60_000)
    bad = commands.command(Create(body={}), commands.new_id())
    fresh = commands.create()
    no_op = commands.replace(known, commands.name_of(known), title="Engineer")
    batch = [again, late, bad, fresh, no_op]
    store.failing["commit"] = 1
    line.add(*batch)
    assert await loop.apply(batch) == len(batch)
    kinds = [type(answer) for answer in await line.answered(*batch)]
    assert kinds == [Reply, Expired, Failed, OutcomeUnknown, OutcomeUnknown]


async def test_an_unknown_outcome_may_be_an_effect_and_can_be_asked_for(store: FaultyStore, reader: Reader) -> None:
    command = commands.create(key="k" * 32)
    store.failing["acknowledge"] = 1
    line = Line(command)
    async with running(line, store):
        assert isinstance((await line.answered(command))[0], OutcomeUnknown)
        outcome = await reader.outcome("acme", command.txn)
        assert outcome is not None
        assert outcome.status == 201
        again = msgspec.structs.replace(command, txn=commands.new_id())
        line.add(again)
        (answer,) = await line.answered(again)
    assert isinstance(answer, Reply)
    assert answer.replayed
    assert answer.outcome == outcome
    assert len(store.commits) == 1, "nothing is done twice"


async def test_a_command_delivered_again_has_its_first_answer(store: FaultyStore) -> None:
    command = commands.create()
    line = Line(command)
    loop = loop_over(line, store)
    await loop.apply([command])
    (first,) = await line.answered(command)
    line.answers.clear()
    line.add(command)
    await loop.apply([command])
    (second,) = await line.answered(command)
    assert isinstance(first, Reply)
    assert isinstance(second, Reply)
    assert second.replayed
    assert second.outcome == first.outcome
    assert len(store.commits) == 1


@pytest.mark.parametrize("redelivers", [True, False])
async def test_CP27_a_repeat_whose_reply_may_be_lost_leaves_its_own_outcome(
    store: FaultyStore, redelivers: bool
) -> None:
    first = commands.create(key="k" * 32)
    again = msgspec.structs.replace(first, txn=commands.new_id())
    other = commands.create()
    line = Line(first, again, other)
    loop = ApplyLoop(line, store, straight_to(store), metrics=Metrics(), issuer="urn:test", redelivers=redelivers)
    await loop.apply([first])
    assert await loop.apply([again, other]) == 2
    (told,), (made,) = await line.answered(again), await line.answered(other)
    assert isinstance(told, Reply)
    assert isinstance(made, Reply)
    assert (told.replayed, told.outcome.txn) == (True, first.txn)
    assert (made.outcome.txn, made.image is None) == (other.txn, False), "answers keep to their commands"
    kept = [outcome.txn for batch in store.commits[1:] for _, outcome in batch.outcomes]
    assert kept == ([again.txn] if redelivers else []) + [other.txn]


async def test_a_name_that_is_only_reserved_is_waited_for(store: FaultyStore, reader: Reader) -> None:
    command = commands.create()
    store.contended[commands.name_of(command)] = 3
    line = Line(command)
    async with running(line, store):
        assert status_of((await line.answered(command))[0]) == 201
    assert await stored(reader, command)


async def test_CP20_a_name_that_stays_reserved_is_503_and_not_409(
    store: FaultyStore, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply_module, "CONTENTION_LIMIT_S", 0.1)
    command, following = commands.create(), commands.create()
    store.contended[commands.name_of(command)] = 1000
    line = Line(command, following)
    async with running(line, store):
        first, second = await line.answered(command, following)
    assert isinstance(first, Expired)
    assert status_of(second) == 201
    assert await reader.outcome("acme", command.txn) is None, "not stored: a retry must be free to succeed"


async def test_CP20_the_batch_is_cut_before_a_contended_name(store: FaultyStore) -> None:
    batch = [commands.create() for _ in range(4)]
    store.contended[commands.name_of(batch[2])] = 1
    line = Line(*batch)
    assert await loop_over(line, store).apply(batch) == 2
    assert len(line.answers) == 2
    async with running(line, store):
        assert [status_of(answer) for answer in await line.answered(*batch)] == [201] * 4


async def test_CP30_an_outcome_that_came_to_the_key_meanwhile_answers_the_command(
    store: FaultyStore, reader: Reader
) -> None:
    """Another partition used the key between view and reserve: the same request is answered again, another refused."""
    holder = commands.create()
    asked = [
        commands.replace(holder, commands.name_of(holder), key="k" * 32),
        commands.create(key="q" * 32),
        commands.create(),
    ]
    firsts = {
        command.key: batches.outcome_of(command, Refusal(status=404, detail="no such user"), None)
        for command in (commands.delete(commands.create(), key="k" * 32), asked[1])
    }
    claimed: list[Claim] = []
    reserve = store.reserve

    async def used(claims: Sequence[Claim]) -> list[Reservation]:
        claimed.extend(claims)
        made = await reserve(claims)
        for i, claim in enumerate(claims):
            if claim.key in firsts:
                made[i] = KeyUsed(firsts[claim.key])
        return made

    line = Line(holder)
    loop = loop_over(line, store)
    await loop.apply([holder])
    store.reserve = used  # type: ignore[method-assign]
    line.add(*asked)
    assert await loop.apply(asked) == 3
    refused, repeated, applied = await line.answered(*asked)

    assert isinstance(repeated, Reply)
    assert (status_of(refused), status_of(applied)) == (422, 201)
    assert (repeated.replayed, repeated.outcome) == (True, firsts["q" * 32])
    assert [claim.key for claim in claimed] == ["k" * 32, "q" * 32, None]
    outcome = await reader.outcome("acme", asked[0].txn)
    assert outcome is not None
    assert outcome.key is None, "a refused use does not own the key"
    assert [await stored(reader, command) for command in asked[1:]] == [False, True]


async def test_CP30_a_command_without_a_key_reserves_nothing_more(store: FaultyStore) -> None:
    holder = commands.create()
    line = Line(holder)
    loop = loop_over(line, store)
    await loop.apply([holder])
    store.failing["reserve"] = 1
    change = commands.replace(holder, commands.name_of(holder))
    line.add(change, commands.delete(commands.create()))
    assert await loop.apply(await line.take(9)) == 2
    assert status_of(line.answers[change.txn]) == 200


async def test_a_batch_is_cut_where_one_answer_hangs_on_another(store: FaultyStore) -> None:
    name = commands.new_name()
    first, twin, other = commands.create(name), commands.create(name), commands.create()
    line = Line(first, twin, other)
    assert await loop_over(line, store).apply([first, twin, other]) == 1
    async with running(line, store):
        answers = await line.answered(first, twin, other)
    assert [status_of(answer) for answer in answers] == [201, 409, 201]


async def test_a_refused_name_takes_nobody_else_down(store: FaultyStore, reader: Reader) -> None:
    holder = commands.create()
    line = Line(holder)
    loop = loop_over(line, store)
    await loop.apply([holder])
    batch = [commands.create(), commands.create(commands.name_of(holder)), commands.create()]
    line.add(*batch)
    assert await loop.apply(batch) == 3
    assert [status_of(answer) for answer in await line.answered(*batch)] == [201, 409, 201]
    assert [await stored(reader, command) for command in batch] == [True, False, True]


async def test_a_crash_of_one_decision_is_its_own(store: FaultyStore, reader: Reader) -> None:
    good, other = commands.create(), commands.create()
    # What no gateway sends: a body without schemas.
    bad = commands.command(Create(body={"userName": "x"}), commands.new_id())
    line = Line(good, bad, other)
    async with running(line, store):
        first, crashed, last = await line.answered(good, bad, other)
    assert (status_of(first), status_of(last)) == (201, 201)
    assert isinstance(crashed, Failed)
    assert crashed.txn == bad.txn
    assert not await stored(reader, bad)
    assert await reader.outcome("acme", bad.txn) is None


@pytest.mark.parametrize(
    ("late_by", "margin", "decided"), [(-1, 0, True), (0, 0, False), (-101, 100, True), (-100, 100, False)]
)
async def test_INV13_nothing_is_decided_from_the_end_of_its_budget_on(
    store: FaultyStore, reader: Reader, late_by: int, margin: int, decided: bool
) -> None:
    command = commands.create()
    line = Line(command)
    end = command.accepted_at + command.budget
    await loop_over(line, store, now=end + late_by, margin_ms=margin).apply([command])
    (answer,) = await line.answered(command)
    assert isinstance(answer, Reply) if decided else isinstance(answer, Expired)
    assert await stored(reader, command) == decided
    assert (await reader.outcome("acme", command.txn) is not None) == decided, (
        "an expired command has no outcome (CP-25)"
    )


async def test_an_expired_command_between_others_is_skipped(store: FaultyStore) -> None:
    batch = [commands.create(), commands.create(accepted_at=commands.now() - 60_000), commands.create()]
    line = Line(*batch)
    async with running(line, store):
        answers = await line.answered(*batch)
    assert [isinstance(answer, Expired) for answer in answers] == [False, True, False]


async def test_numbers_are_contiguous_per_tenant_whatever_fails_between(stand: SqliteStand, store: FaultyStore) -> None:
    line = Line()
    async with running(line, store):
        for step in ("", "commit", "", "view", "", "reserve", ""):
            store.failing[step] = 1
            batch = [commands.create(tenant=tenant) for tenant in ("acme", "umbrella", "acme")]
            line.add(*batch)
            await line.answered(*batch)
    logged = await stand.events.read(await stand.events.earliest(), 100)
    for tenant, count in (("acme", 8), ("umbrella", 4)):
        own = [each.event for each in logged if each.event.tenant == tenant]
        assert [dict(event.headers)["ce_sequence"] for event in own] == [str(n) for n in range(1, count + 1)]


async def test_metrics_count_every_answer(store: FaultyStore) -> None:
    metrics = Metrics()
    first = commands.create()
    twin = commands.create(commands.name_of(first))
    same = commands.replace(first, commands.name_of(first), title="Engineer")
    late = commands.create(accepted_at=commands.now() - 60_000)
    bad = commands.command(Create(body={}), commands.new_id())
    lost = commands.create()
    line = Line(first, twin, same, late, bad)
    loop = loop_over(line, store, metrics=metrics)
    for _ in range(2):
        await loop.apply(await line.take(100))
    await line.answered(first, twin, same, late, bad)
    store.failing["commit"] = 1
    line.add(lost)
    await loop.apply([lost])
    text = generate_latest(metrics.registry).decode()
    for verb, result in (
        ("create", "applied"),
        ("create", "refused"),
        ("replace", "no_change"),
        ("create", "expired"),
    ):
        assert f'scimgw_commands_total{{result="{result}",tenant="acme",verb="{verb}"}} 1.0' in text
    assert 'scimgw_commands_total{result="failed",tenant="acme",verb="create"} 2.0' in text
    assert 'scimgw_events_total{tenant="acme"} 1.0' in text
    assert "scimgw_store_failures_total 1.0" in text


# --- what persists and parks ------------------------------------------------------------------------------------------


class Log:
    """What was made durable, as the loop asked for it, and what was parked; both in the order of the calls."""

    def __init__(self, store: FaultyStore) -> None:
        self._straight = straight_to(store)
        self.counts: list[tuple[int, int, int]] = []
        """Changes and outcomes of each batch, and how many commands it decided."""
        self.parked: list[tuple[str, type[Exception]]] = []

    async def persist(self, batch: Batch, count: int) -> None:
        """See ``consumers.apply.Persist``."""
        self.counts.append((len(batch.changes), len(batch.outcomes), count))
        await self._straight(batch, count)

    async def park(self, command: ChangeCommand, error: Exception) -> None:
        """See ``consumers.apply.Park``."""
        self.parked.append((command.txn, type(error)))


def logging_loop(line: Line, store: FaultyStore, log: Log, *, parks: bool = True) -> ApplyLoop:
    park = log.park if parks else None
    return ApplyLoop(line, store, log.persist, metrics=Metrics(), issuer="urn:test", park=park)


def undecidable() -> ChangeCommand:
    """Return what no gateway sends: a create of nothing."""
    return commands.command(Create(body={}), commands.new_id())


async def test_straight_to_a_store_commits_the_batch_and_nothing_else(store: FaultyStore) -> None:
    command = commands.create()
    line = Line(command)
    await loop_over(line, store).apply([command])
    (batch,) = store.commits
    await straight_to(store)(Batch(changes=(), outcomes=(), numbers={}), 7)
    assert [change.txn for change in batch.changes] == [command.txn]
    assert store.commits[1:] == [Batch(changes=(), outcomes=(), numbers={})]


async def test_CP6_what_persists_is_told_how_many_commands_are_decided(store: FaultyStore) -> None:
    known = commands.create()
    name = commands.name_of(known)
    line, log = Line(known), Log(store)
    loop = logging_loop(line, store, log)
    await loop.apply([known])
    late = commands.create(accepted_at=commands.now() - 60_000)
    refused = commands.create(name)
    no_op = commands.replace(known, name, title="Engineer")
    twin = commands.create()
    cut = commands.create(commands.name_of(twin))
    batch = [known, late, refused, no_op, twin, cut]
    line.answers.clear()
    line.add(*batch)
    assert await loop.apply(batch) == 5
    assert log.counts == [(1, 1, 1), (1, 3, 5)], "replayed and expired commands have no outcome, and are decided too"


async def test_what_leaves_no_outcome_is_not_persisted(store: FaultyStore) -> None:
    late = [commands.create(accepted_at=commands.now() - 60_000) for _ in range(2)]
    line, log = Line(*late), Log(store)
    assert await logging_loop(line, store, log).apply(late) == 2
    assert log.counts == []
    assert {type(answer) for answer in await line.answered(*late)} == {Expired}


async def test_INV18_a_command_that_crashes_first_is_parked_and_answered_alone(
    store: FaultyStore, reader: Reader
) -> None:
    bad, good = undecidable(), commands.create()
    line, log = Line(bad, good), Log(store)
    loop = logging_loop(line, store, log)
    assert await loop.apply([bad, good]) == 1
    assert log.parked == [(bad.txn, KeyError)]
    assert log.counts == [], "its outcome is written by who parks it"
    (answer,) = await line.answered(bad)
    assert isinstance(answer, Failed)
    assert line.answers.keys() == {bad.txn}
    assert await loop.apply([good]) == 1
    assert await stored(reader, good)


async def test_INV18_a_batch_is_cut_before_a_command_that_crashes_later(store: FaultyStore, reader: Reader) -> None:
    first, second, bad, last = commands.create(), commands.create(), undecidable(), commands.create()
    line, log = Line(first, second, bad, last), Log(store)
    loop = logging_loop(line, store, log)
    assert await loop.apply([first, second, bad, last]) == 2
    assert (log.parked, log.counts) == ([], [(2, 2, 2)])
    assert line.answers.keys() == {first.txn, second.txn}
    assert await loop.apply([bad, last]) == 1
    assert log.parked == [(bad.txn, KeyError)]
    assert await loop.apply([last]) == 1
    assert [await stored(reader, command) for command in (first, second, last)] == [True, True, True]


async def test_a_batch_without_a_crash_is_not_cut(store: FaultyStore) -> None:
    batch = [commands.create(), commands.create()]
    line, log = Line(*batch), Log(store)
    assert await logging_loop(line, store, log).apply(batch) == 2
    assert (log.parked, log.counts) == ([], [(2, 2, 2)])


async def test_a_contended_name_before_a_crash_is_waited_for_first(store: FaultyStore) -> None:
    wanting, bad = commands.create(), undecidable()
    store.contended[commands.name_of(wanting)] = 1
    line, log = Line(wanting, bad), Log(store)
    assert await logging_loop(line, store, log).apply([wanting, bad]) == 1
    assert (log.parked, log.counts) == ([], [(1, 1, 1)])


async def test_without_a_place_to_park_a_crash_is_answered_with_its_batch(store: FaultyStore) -> None:
    first, bad, last = commands.create(), undecidable(), commands.create()
    line, log = Line(first, bad, last), Log(store)
    assert await logging_loop(line, store, log, parks=False).apply([first, bad, last]) == 3
    assert (log.parked, log.counts) == ([], [(2, 2, 3)])
    assert [type(answer) for answer in await line.answered(first, bad, last)] == [Reply, Failed, Reply]


@pytest.mark.parametrize("late", [True, False])
async def test_INV6_where_commands_come_again_even_never_waits_until_the_place_is_kept(
    store: FaultyStore, *, late: bool
) -> None:
    """Told "not applied" and then decided by the next owner: the caller's repeat would be a 409 for good."""
    answered_before: list[int] = []
    kept: list[tuple[int, int]] = []
    line = Line()

    async def persist(batch: Batch, count: int) -> None:
        answered_before.append(len(line.answers))
        kept.append((len(batch.outcomes), count))
        await store.commit(batch)

    loop = ApplyLoop(line, store, persist, metrics=Metrics(), issuer="urn:test", redelivers=True)
    applied = commands.create()
    line.add(applied)
    await loop.apply([applied])
    line.answers.clear()
    again = commands.create(accepted_at=commands.ANCIENT) if late else applied
    line.add(again)
    await loop.apply([again])

    assert kept == [(1, 1), (0, 1)]
    assert answered_before == [0, 0]
    answer = line.answers[again.txn]
    assert isinstance(answer, Expired) if late else isinstance(answer, Reply) and answer.replayed


async def test_CP18_what_became_late_while_names_were_waited_for_is_not_decided(
    store: FaultyStore, reader: Reader
) -> None:
    command, timely = commands.create(), commands.create()
    now = command.accepted_at / 1000
    late = msgspec.structs.replace(command, budget=5000)
    line = Line(late, timely)
    reserve = store.reserve

    async def slowly(claims: Sequence[Claim]) -> list[Reservation]:
        nonlocal now
        now += 2
        return await reserve(claims)

    store.reserve = slowly  # type: ignore[method-assign]
    loop = ApplyLoop(
        line, store, straight_to(store), metrics=Metrics(), issuer="urn:test", margin_ms=4000, clock=lambda: now
    )
    assert await loop.apply([late, timely]) == 2
    first, second = await line.answered(late, timely)

    assert isinstance(first, Expired)
    assert status_of(second) == 201
    assert not await stored(reader, late)


async def test_CP18_a_refusal_that_was_late_when_it_was_planned_is_not_planned_for_ever(store: FaultyStore) -> None:
    first = commands.create(key="k", fingerprint="one")
    line = Line(first)
    await loop_over(line, store).apply([first])
    other = commands.create(key="k", fingerprint="two", accepted_at=commands.ANCIENT)
    line.add(other)
    ticks = iter(range(commands.now(), commands.now() + 10_000_000, 10))
    loop = ApplyLoop(
        line, store, straight_to(store), metrics=Metrics(), issuer="urn:test", clock=lambda: next(ticks) / 1000
    )
    await loop.apply([other])
    (answer,) = await line.answered(other)

    assert status_of(answer) == 422


async def test_CP25_where_no_outcome_can_be_kept_a_new_key_is_503_and_a_known_one_is_answered(
    store: FaultyStore, reader: Reader
) -> None:
    known = commands.create(key="k" * 32)
    line = Line(known)
    metrics = Metrics()
    loop = loop_over(line, store, metrics=metrics)
    await loop.apply([known])
    view = store.view

    async def full(commands: Sequence[ChangeCommand]) -> Snapshot:
        return msgspec.structs.replace(await view(commands), full=True)

    store.view = full  # type: ignore[method-assign]
    new, again = commands.create(key="q" * 32), msgspec.structs.replace(known, txn=commands.new_id())
    without = commands.create()
    line.add(new, again, without)
    assert await loop.apply([new, again, without]) == 3
    refused, repeated, applied = await line.answered(new, again, without)
    assert isinstance(refused, Busy)
    assert (status_of(repeated), status_of(applied)) == (201, 201)
    assert not await stored(reader, new)
    assert await reader.outcome("acme", new.txn) is None
    counted = metrics.registry.get_sample_value(
        "scimgw_commands_total", {"tenant": "acme", "verb": "create", "result": "full"}
    )
    assert counted == 1
