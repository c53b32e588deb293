"""Tokens: the same look-up and the same comparison for every kind of wrong one (faults.md, threats)."""

from __future__ import annotations

import hmac
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from gateway import auth
from tests.gateway.fronts import TOKEN, Ports, calling, front_of, served, tenants, unused


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes, bytes]]:
    """Every comparison of digests that is made."""
    made: list[tuple[bytes, bytes]] = []
    compare = hmac.compare_digest

    def noted(one: Any, other: Any) -> bool:
        made.append((one, other))
        return compare(one, other)

    monkeypatch.setattr(auth, "hmac", SimpleNamespace(compare_digest=noted))
    return made


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),
        (f"Bearer {TOKEN}x", 401),
        ("Bearer nonsense", 401),
        ("Bearer", 401),
        ("", 401),
        (f"Basic {TOKEN}", 401),
        (f"Token {TOKEN}", 401),
    ],
)
async def test_every_token_is_compared_once(
    compared: list[tuple[bytes, bytes]], authorization: str, status: int
) -> None:
    async with calling(Ports(unused)) as session:
        answer = await session.get("/scim/v2/Users", headers={"Authorization": authorization})
        assert answer.status == status
    assert len(compared) == 1
    assert [len(digest) for digest in compared[0]] == [32, 32]


@pytest.mark.parametrize(("left", "status"), [(60.0, 200), (0.0, 401), (-1.0, 401)])
async def test_a_token_ends_at_its_time(monkeypatch: pytest.MonkeyPatch, left: float, status: int) -> None:
    now = 1_800_000_000.0
    monkeypatch.setattr(auth, "time", SimpleNamespace(time=lambda: now))
    async with calling(Ports(unused), tenants=tenants(expires=now + left)) as session:
        answer = await session.get("/scim/v2/Users")
        assert answer.status == status


async def test_a_new_snapshot_of_the_tenants_counts_at_once() -> None:
    front = front_of(Ports(unused))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with served(front) as origin, aiohttp.ClientSession(origin, headers=headers) as session:
        assert (await session.get("/scim/v2/Users")).status == 200
        front.tenants = tenants(expires=1.0)
        assert (await session.get("/scim/v2/Users")).status == 401


async def test_of_two_Authorization_headers_none_counts() -> None:
    async with calling(Ports(unused)) as session:
        headers = [("Authorization", f"Bearer {TOKEN}"), ("Authorization", f"Bearer {TOKEN}")]
        answer = await session.get("/scim/v2/Users", headers=headers)
        assert answer.status == 401
