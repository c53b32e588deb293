"""Hashing beside the event loop."""

from __future__ import annotations

import asyncio
import time

import pytest
from argon2 import PasswordHasher as Argon2
from argon2.exceptions import VerifyMismatchError

from gateway.passwords import PasswordHasher


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
