"""The load and the recorder against a server in this process: complete records, no hidden repeats, bugs found over HTTP."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from tests.faults.caller import Caller
from tests.faults.checker import check
from tests.faults.collect import final_state
from tests.faults.history import Intent, Operation, Recorder, Verb, read_history
from tests.faults.load import Load, Plan
from tests.faults.reference import Bug, Reference
from tests.faults.reference_server import ReferenceServer, listening
from tests.faults.servers import free_port
from tests.faults.violations import Violation

PLAN = Plan(rate=1500, impatient=0.01)


async def load(reference: Reference, recorder: Recorder, *, loss: float, writes: int) -> list[Violation]:
    server = ReferenceServer(reference, Random(1), loss=loss)
    async with listening(server) as url, asyncio.timeout(60), asyncio.TaskGroup() as group:
        work = Load([url], "token", recorder, Random(2), PLAN)
        running = group.create_task(work.run())
        while recorder.acknowledged < writes:
            await asyncio.sleep(0.01)
        work.stopping.set()
        await running
        state = await final_state([url], "token", recorder.operations)
    return check(recorder.operations, state, reference.events)


async def test_a_correct_server_that_loses_answers_passes_and_the_record_is_complete(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "history.jsonl")
    reference = Reference()
    assert await load(reference, recorder, loss=0.05, writes=800) == []
    recorder.close()
    assert list(read_history(tmp_path / "history.jsonl")) == recorder.operations
    counted = Counter((o.verb, o.status) for o in recorder.operations)
    expected: list[tuple[Verb, int | None]] = [
        ("create", 201),
        ("create", 409),
        ("replace", 200),
        ("patch", 200),
        ("patch", 412),
        ("delete", 204),
    ]
    expected += [("patch", 409), ("patch", 422), ("find", 200), ("read", 200), ("patch", None), ("create", None)]
    assert not [kind for kind in expected if not counted[kind]], counted
    assert recorder.writes_in_flight == 0
    writes = [o for o in recorder.operations if o.is_write]
    clients = {resource: {o.client for o in writes if o.resource == resource} for resource in reference.versions}
    shared = sum(len(clients.get(o.resource or "", ())) > 2 for o in writes) / len(writes)
    assert 0.3 < shared < 0.7, "about half of the writes are on resources that all clients share"


@pytest.mark.parametrize(
    "bug", ["dropped ack", "stale read", "swapped replies", "case-sensitive uniqueness", "lost event"]
)
async def test_a_planted_bug_is_caught_over_http(bug: Bug) -> None:
    assert await load(Reference(bug), Recorder(), loss=0.0, writes=300)


async def test_a_request_on_a_dead_connection_is_not_sent_twice() -> None:
    server, recorder = ReferenceServer(Reference(), Random(1), loss=1.0), Recorder()
    async with listening(server) as url, Caller("c", recorder, "token") as caller:
        await caller.call(url, Intent("read", "x"), 5)
        operation = await caller.call(url, Intent("replace", "x", {"userName": "ann"}), 5)
    assert operation.status is None
    assert operation.is_open
    assert [method for method, _ in server.seen] == ["GET", "PUT"]


async def test_a_request_that_found_nobody_listening_is_known_to_be_unsent() -> None:
    async with Caller("c", Recorder(), "token") as caller:
        operation = await caller.call(f"http://127.0.0.1:{free_port()}", Intent("delete", "x"), 5)
    assert (operation.sent, operation.status, operation.is_open) == (False, None, False)


async def test_a_client_that_hangs_up_is_told_from_a_server_that_does() -> None:
    server = ReferenceServer(Reference(), Random(1), delay_s=5)
    async with listening(server) as url, Caller("c", Recorder(), "token") as caller:
        operation = await caller.call(url, Intent("delete", "x"), 0.05)
    assert operation.gave_up
    assert operation.is_open


def test_a_recorded_operation_is_read_back_as_it_was(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "history.jsonl")
    number, invoked_at = recorder.begin("patch")
    assert recorder.writes_in_flight == 1
    operation = Operation(
        number=number,
        client="c",
        gateway="http://g",
        verb="patch",
        resource="r",
        body={"Operations": []},
        if_match=3,
        key="k",
        invoked_at=invoked_at,
        returned_at=invoked_at + 5,
        status=200,
        version=4,
        txn="t",
    )
    recorder.record(operation)
    recorder.close()
    assert recorder.writes_in_flight == 0
    assert recorder.acknowledged == 1
    assert list(read_history(tmp_path / "history.jsonl")) == [operation]
