"""Hashing beside the event loop."""

from __future__ import annotations

import asyncio
import time

import pytest
from argon2 import PasswordHasher as Argon2
from argon2.exceptions import VerifyMismatchError

from consumers.ports import Reply
from consumers.submission import Busy
from gateway.passwords import PasswordHasher
from schemas.commands import ChangeCommand
from schemas.urns import USER
from tests.gateway.fronts import Ports, calling, tenants


async def test_a_hash_is_argon2id_at_the_recommended_settings_and_verifies() -> None:
    hasher = PasswordHasher(1)
    try:
        one, other = await asyncio.gather(hasher.hash("t1meMa$heen"), hasher.hash("t1meMa$heen"))
    finally:
        hasher.close()
    assert one.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert one != other, "each with its own salt"
    assert Argon2().verify(one, "t1meMa$heen")
    with pytest.raises(VerifyMismatchError):
        Argon2().verify(one, "another")


async def test_the_event_loop_turns_while_passwords_are_hashed() -> None:
    hasher = PasswordHasher(1)
    longest, before = 0.0, time.perf_counter()
    try:
        hashing = asyncio.gather(*(hasher.hash(f"password-{number}") for number in range(8)))
        started = before
        while not hashing.done():
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            longest, before = max(longest, now - before), now
    finally:
        hasher.close()
    assert longest < (before - started) / 2, "no turn of the loop waited for all of them"


async def test_what_waits_is_dropped_when_the_process_stops() -> None:
    hasher = PasswordHasher(1)
    waiting = [asyncio.ensure_future(hasher.hash(f"password-{number}")) for number in range(20)]
    await asyncio.sleep(0)
    hasher.close()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert any(isinstance(result, asyncio.CancelledError) for result in results)


async def test_INV19_a_password_that_would_wait_too_long_is_503_and_nothing_is_submitted() -> None:
    submitted: list[str] = []

    async def submit(command: ChangeCommand) -> Reply:
        submitted.append(command.txn)
        raise Busy(command.txn)

    # 40 ms for hashing, by one thread that takes about 20 for each.
    async with calling(Ports(submit), tenants=tenants(password="argon2id"), budget_ms=160) as session:
        bodies = [{"schemas": [USER], "userName": f"u{number}", "password": "t1meMa$heen"} for number in range(40)]
        answers = await asyncio.gather(*(session.post("/scim/v2/Users", json=body) for body in bodies))
        details = [(await answer.json(content_type=None))["detail"] for answer in answers]
    assert {answer.status for answer in answers} == {503}
    assert all(answer.headers["Retry-After"] for answer in answers)
    waited = [detail for detail in details if "wait to be hashed" in detail]
    assert len(waited) == 40 - len(submitted)
    assert len(waited) > 20
