"""Attacks cost memory while they last and not afterwards: the same again takes no more than before."""

from __future__ import annotations

import gzip

from tests.contract.hostile.conftest import Watch
from tests.contract.hostile.wire import USERS, Caller, Connection, chunked, user, user_with
from tests.served import Service, unique

MEBIBYTE = 1024 * 1024
GROWTH = 24 * MEBIBYTE
"""What the second half of the rounds may add; an allocator's unrest is a third of it."""
ROUNDS = 12


def attack(caller: Caller, crowded: str, number: int) -> None:
    """Send one of everything that is large, each round with other values: nothing may be remembered."""
    large = b"x" * (900 * 1024)
    words = [f"w{number}-{each}" for each in range(48)]
    terms = " or ".join(f'value eq "{word}"' for word in words)
    caller.post(user_with(unique(), b'"emails":[%b]' % b",".join([b"{}"] * 100_000)))
    caller.post(user_with(unique(), b'"urn:x":{%b}' % b",".join(b'"a%d":1' % each for each in range(70_000))))
    caller.post(b"[" * 500_000)
    caller.post(b'{"a":' * 150_000)
    caller.post(b"{" + large)
    caller.post(gzip.compress(bytes(20_000_000)), ["Content-Encoding: gzip"])
    caller.post(b" " * (MEBIBYTE + 1))
    caller.raw(caller.text("POST", USERS, chunked(*([large[:50_000]] * 40)), framing="Transfer-Encoding: chunked"))
    caller.patch(crowded, [{"op": "remove", "path": f"emails[{terms}]"}] * 200)
    caller.patch(crowded, [{"op": "add", "value": {f"urn:y{number}:{each}": {"a": 1} for each in range(9_000)}}])
    for word in words:
        caller.find(f"filter=userName+eq+%22{word * 100}%22")
        caller.request("GET", f"{USERS}/{word}", headers=[f"X-{word}: {word}", f"X-Request-Id: {word}"])
        caller.request("GET", f"/{word}/{word}")
        caller.request("GET", USERS, headers=[f"Host-{word}: x", f"Accept: {word}"])
        Caller(caller.address, word).request("GET", USERS)
        with Connection(caller.address) as connection:
            connection.send(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + word.encode() * 1_000)
    for _ in range(30):
        with Connection(caller.address) as connection:
            connection.send(caller.text("POST", USERS, user(unique(), title="x" * 100_000))[:90_000])
            connection.abort()


def test_memory_does_not_grow_with_the_number_of_attacks(hostile: Caller, watch: Watch) -> None:
    crowded = hostile.made(unique(), emails=[{"value": f"{number}"} for number in range(10_000)])
    resident = []
    for number in range(ROUNDS):
        attack(hostile, crowded, number)
        resident.append(watch.resident())
    assert resident[-1] - resident[ROUNDS // 2 - 1] < GROWTH, [size // MEBIBYTE for size in resident]


def test_routes_and_methods_that_do_not_exist_make_no_metrics(hostile: Caller, service: Service) -> None:
    def lines() -> int:
        return len(service.metrics().splitlines())

    for _ in range(2):
        before = lines()
        for number in range(50):
            hostile.request("GET", f"/nowhere/{number}")
            hostile.request("GET", f"{USERS}/{number}")
            hostile.request("PROPFIND", f"{USERS}/{number}")
            hostile.request("GET", f"/scim/v{number + 3}/{number}")
            hostile.patch(f"{number}", [{"op": "add", "path": f"a{number}", "value": 1}])
    assert lines() == before
