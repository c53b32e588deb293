"""The embedded queue between the gateway's submit and the apply loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from consumers.apply import ApplyLoop, straight_to
from consumers.embedded import LocalCommands
from consumers.metrics import Metrics
from consumers.ports import Reader, Reply
from consumers.submission import Busy, Failed, OutcomeUnknown
from schemas.commands import ChangeCommand, encode_command
from schemas.outcomes import Outcome
from tests.consumers.faults import FaultyStore
from tests.contract import commands


def queue(most_pending: int = 100) -> LocalCommands:
    return LocalCommands(Metrics(), lambda tenant, unseen: None, most_pending=most_pending)


def an_outcome(txn: str) -> Reply:
    return Reply(
        Outcome(
            txn=txn,
            status=204,
            resource_type="User",
            resource_id="u-1",
            verb="delete",
            fingerprint="f",
            gateway="g",
            decided_at=commands.now(),
        )
    )


@contextlib.asynccontextmanager
async def serving(local: LocalCommands, store: FaultyStore) -> AsyncIterator[None]:
    """Apply what is submitted, and sweep."""
    loop = ApplyLoop(local, store, straight_to(store), metrics=Metrics(), issuer="urn:test")
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(loop.run(local), name="apply"), group.create_task(local.sweep(), name="sweep")]
        yield
        for task in tasks:
            assert not task.done()
            task.cancel()


async def submitted(local: LocalCommands, *wanted: ChangeCommand) -> list[asyncio.Task[Reply]]:
    """Submit commands and return once they are in the queue."""
    tasks = [asyncio.create_task(local.submit(command), name=command.txn) for command in wanted]
    await asyncio.sleep(0)
    return tasks


async def test_what_is_submitted_is_applied_in_order_and_answered(store: FaultyStore, reader: Reader) -> None:
    local = queue(1000)
    first = commands.create()
    changes = [commands.replace(first, commands.name_of(first), title=str(number)) for number in range(50)]
    async with serving(local, store):
        replies = await asyncio.gather(*(local.submit(command) for command in (first, *changes)))
    assert [reply.outcome.version for reply in replies] == list(range(1, 52))
    image = await reader.get("acme", "User", first.resource_id)
    assert image is not None
    assert b'"title":"49"' in bytes(image.doc)
    assert len(local) == 0


async def test_commands_pass_through_the_codec() -> None:
    local = queue()
    command = commands.create()
    (task,) = await submitted(local, command)
    (taken,) = await local.take(10)
    assert taken == command
    assert taken is not command
    task.cancel()


async def test_INV19_a_full_queue_is_busy_and_accepts_nothing() -> None:
    local = queue(2)
    accepted = [commands.create(), commands.create()]
    tasks = await submitted(local, *accepted)
    late = commands.create()
    with pytest.raises(Busy) as busy:
        await local.submit(late)
    assert busy.value.txn == late.txn
    assert not local.is_pending("acme", late.txn)
    assert [command.txn for command in await local.take(10)] == [command.txn for command in accepted]
    local.answer(accepted[0], an_outcome(accepted[0].txn))
    (again,) = await submitted(local, late)
    assert local.is_pending("acme", late.txn), "what was answered makes room"
    for task in (*tasks, again):
        task.cancel()


async def test_INV19_what_waits_is_bounded_in_bytes_too() -> None:
    first, second = commands.create(), commands.create()
    size = len(encode_command(first))
    local = LocalCommands(Metrics(), lambda tenant, unseen: None, most_bytes=size * 3 // 2)
    tasks = await submitted(local, first)
    with pytest.raises(Busy):
        await local.submit(second)
    local.answer(first, an_outcome(first.txn))
    (again,) = await submitted(local, second)
    assert local.is_pending("acme", second.txn), "what was answered makes room"
    for task in (*tasks, again):
        task.cancel()


async def test_pending_is_told_to_its_own_tenant_only() -> None:
    local = queue()
    command = commands.create(tenant="acme")
    (task,) = await submitted(local, command)
    assert local.is_pending("acme", command.txn)
    assert not local.is_pending("umbrella", command.txn)
    assert not local.is_pending("acme", "never")
    local.answer(command, an_outcome(command.txn))
    assert (await task).outcome.txn == command.txn
    assert not local.is_pending("acme", command.txn)


async def test_an_error_is_raised_to_who_waits() -> None:
    local = queue()
    command = commands.create()
    (task,) = await submitted(local, command)
    local.answer(command, Failed(command.txn))
    with pytest.raises(Failed):
        await task


async def test_who_goes_away_does_not_take_the_command_back(store: FaultyStore, reader: Reader) -> None:
    local = queue()
    command, following = commands.create(), commands.create()
    (task,) = await submitted(local, command)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with serving(local, store):
        assert (await local.submit(following)).outcome.status == 201
    assert await reader.get("acme", "User", command.resource_id) is not None


async def test_CP27_the_outcome_is_unknown_at_the_deadline_and_not_before() -> None:
    local = queue()
    command = commands.create()
    (task,) = await submitted(local, command)
    deadline = (command.accepted_at + command.budget) / 1000
    local.expire(deadline - 0.001)
    await asyncio.sleep(0)
    assert not task.done()
    local.expire(deadline)
    with pytest.raises(OutcomeUnknown) as unknown:
        await task
    assert unknown.value.txn == command.txn
    assert local.is_pending("acme", command.txn), "it was accepted, and may yet be applied"
    local.answer(command, an_outcome(command.txn))
    assert not local.is_pending("acme", command.txn)


async def test_CP27_the_sweep_answers_and_the_outcome_is_told_later(store: FaultyStore, reader: Reader) -> None:
    local = queue()
    # Its budget is over in a quarter of a second.
    command = commands.create(accepted_at=commands.now() - 19_750)
    store.gate.clear()
    async with serving(local, store):
        with pytest.raises(OutcomeUnknown):
            await local.submit(command)
        assert local.is_pending("acme", command.txn)
        assert await reader.outcome("acme", command.txn) is None
        store.gate.set()
        following = await local.submit(commands.create())
        assert following.outcome.status == 201
        outcome = await reader.outcome("acme", command.txn)
    assert outcome is not None
    assert outcome.status == 201
    assert not local.is_pending("acme", command.txn)


async def test_a_stopping_process_answers_all_who_still_wait() -> None:
    local = queue()
    tasks = await submitted(local, *(commands.create() for _ in range(3)))
    local.abandon()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(result) for result in results} == {OutcomeUnknown}
    assert len(local) == 3, "they may yet be applied"


async def test_unseen_answers_are_marked_in_the_store() -> None:
    marked: list[tuple[str, str]] = []
    local = LocalCommands(Metrics(), lambda tenant, unseen: marked.append((tenant, unseen)))
    local.mark_unseen("acme", "name")
    assert marked == [("acme", "name")]
