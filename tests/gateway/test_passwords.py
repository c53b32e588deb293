"""Hashing beside the event loop."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher as Argon2
from argon2.exceptions import VerifyMismatchError

from consumers.ports import Reply
from consumers.submission import Busy
from gateway import passwords
from gateway.passwords import PasswordHasher
from schemas.commands import ChangeCommand
from schemas.errors import Unavailable
from schemas.urns import USER
from tests.gateway.fronts import Ports, calling, tenants

ROOT = Path(__file__).resolve().parents[2]
linux = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at processes in /proc")


@pytest.fixture
async def hasher() -> AsyncIterator[PasswordHasher]:
    """Give a hasher with one process; its tasks have ended when the test has."""
    hasher = PasswordHasher(1)
    yield hasher
    hasher.close()
    await asyncio.gather(*hasher._working, return_exceptions=True)


def children(pid: int | str = "self") -> set[int]:
    """Return the processes that another one started, of all its threads."""
    found = (task.joinpath("children").read_text() for task in Path(f"/proc/{pid}/task").iterdir())
    return {int(child) for text in found for child in text.split()}


def is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_a_hash_is_argon2id_at_the_recommended_settings_and_verifies(hasher: PasswordHasher) -> None:
    one, other = await asyncio.gather(hasher.hash("t1meMa$heen"), hasher.hash("t1meMa$heen"))
    assert one.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert one != other, "each with its own salt"
    assert Argon2().verify(one, "t1meMa$heen")
    with pytest.raises(VerifyMismatchError):
        Argon2().verify(one, "another")


@pytest.mark.parametrize("password", ["", "\n", "é漢🎈\x00\r\n", "x" * 300_000])
async def test_any_password_is_hashed_as_it_is(hasher: PasswordHasher, password: str) -> None:
    assert Argon2().verify(await hasher.hash(password), password)


async def test_the_event_loop_turns_while_passwords_are_hashed(hasher: PasswordHasher) -> None:
    longest, before = 0.0, time.perf_counter()
    hashing = asyncio.gather(*(hasher.hash(f"password-{number}") for number in range(8)))
    started = before
    while not hashing.done():
        await asyncio.sleep(0.001)
        now = time.perf_counter()
        longest, before = max(longest, now - before), now
    assert longest < (before - started) / 2, "no turn of the loop waited for all of them"


async def test_what_waits_is_dropped_when_the_process_stops(hasher: PasswordHasher) -> None:
    waiting = [asyncio.ensure_future(hasher.hash(f"password-{number}")) for number in range(20)]
    await asyncio.sleep(0)
    hasher.close()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(result) for result in results} == {asyncio.CancelledError}


async def test_a_caller_that_goes_away_leaves_the_others_their_own_hashes(hasher: PasswordHasher) -> None:
    await hasher.hash("the process is there")
    hashing = [asyncio.ensure_future(hasher.hash(f"password-{number}")) for number in range(6)]
    await asyncio.sleep(0.005)
    for gone in hashing[::2]:
        gone.cancel()
    kept = await asyncio.gather(*hashing[1::2])
    for number, hashed in zip((1, 3, 5), kept, strict=True):
        assert Argon2().verify(hashed, f"password-{number}")


@linux
async def test_there_are_processes_only_from_the_first_password_to_the_end() -> None:
    before, hasher = children(), PasswordHasher(2)
    assert children() == before
    await asyncio.gather(*(hasher.hash("t1meMa$heen") for _ in range(4)))
    assert len(children() - before) == 2
    hasher.close()
    await asyncio.gather(*hasher._working, return_exceptions=True)
    assert children() == before


@linux
async def test_a_process_that_is_killed_is_replaced_and_no_password_is_lost(hasher: PasswordHasher) -> None:
    before = children()
    await hasher.hash("the process is there")
    hashing = [asyncio.ensure_future(hasher.hash(f"password-{number}")) for number in range(4)]
    await asyncio.sleep(0.005)
    (first,) = children() - before
    os.kill(first, signal.SIGKILL)
    for number, hashed in enumerate(await asyncio.gather(*hashing)):
        assert Argon2().verify(hashed, f"password-{number}")
    (second,) = children() - before
    assert second != first


@linux
async def test_no_password_is_in_the_arguments_or_the_environment(hasher: PasswordHasher) -> None:
    before = children()
    await hasher.hash("t1meMa$heen")
    (process,) = children() - before
    told = b"".join(Path(f"/proc/{process}/{file}").read_bytes() for file in ("cmdline", "environ"))
    assert b"hashing.py" in told
    assert b"t1meMa$heen" not in told
    assert b"t1meMa$heen".hex().encode() not in told


@linux
async def test_it_takes_no_part_in_the_signals_that_end_the_server(hasher: PasswordHasher) -> None:
    before = children()
    await hasher.hash("the process is there")
    (process,) = children() - before
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(process, number)
    await hasher.hash("still there")
    assert children() - before == {process}


@linux
@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM])
def test_the_processes_end_with_the_server_whatever_ends_it(signal_number: signal.Signals) -> None:
    program = """
        import asyncio
        from gateway.passwords import PasswordHasher

        async def main():
            hasher = PasswordHasher(2)
            await asyncio.gather(*(hasher.hash("t1meMa$heen") for _ in range(4)))
            print("hashed", flush=True)
            while True:
                await asyncio.gather(*(hasher.hash("t1meMa$heen") for _ in range(4)))

        asyncio.run(main())
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "hashed\n"
        started = children(server.pid)
        server.send_signal(signal_number)
    assert len(started) == 2
    until = time.monotonic() + 20
    while any(is_alive(pid) for pid in started):
        assert time.monotonic() < until, "a process outlived its server"
        time.sleep(0.05)


async def test_where_no_process_starts_it_is_unavailable_until_one_does(
    hasher: PasswordHasher, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(passwords, "_PROGRAM", tmp_path / "missing.py")
        with pytest.raises(Unavailable):
            await hasher.hash("t1meMa$heen")
        broken.setattr(sys, "executable", str(tmp_path / "missing"))
        with pytest.raises(Unavailable):
            await hasher.hash("t1meMa$heen")
    assert Argon2().verify(await hasher.hash("t1meMa$heen"), "t1meMa$heen")


async def test_INV19_a_password_that_would_wait_too_long_is_503_and_nothing_is_submitted() -> None:
    submitted: list[str] = []

    async def submit(command: ChangeCommand) -> Reply:
        submitted.append(command.txn)
        raise Busy(command.txn)

    # 40 ms for hashing, by one process that takes about 20 for each, and longer to start.
    async with calling(Ports(submit), tenants=tenants(password="argon2id"), budget_ms=160) as session:
        bodies = [{"schemas": [USER], "userName": f"u{number}", "password": "t1meMa$heen"} for number in range(40)]
        answers = await asyncio.gather(*(session.post("/scim/v2/Users", json=body) for body in bodies))
        details = [(await answer.json(content_type=None))["detail"] for answer in answers]
    assert {answer.status for answer in answers} == {503}
    assert all(answer.headers["Retry-After"] for answer in answers)
    waited = [detail for detail in details if "wait to be hashed" in detail]
    assert len(waited) == 40 - len(submitted)
    assert len(waited) > 20
