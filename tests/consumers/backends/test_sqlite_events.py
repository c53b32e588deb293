"""The embedded event log as another process reads it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from consumers.backends.sqlite import open_embedded, open_event_log
from tests.contract.commands import create
from tests.contract.owner import Owner


async def test_events_are_read_while_another_process_serves(tmp_path: Path) -> None:
    path = tmp_path / "scimgw.db"
    async with open_embedded(path, gateway="here", retention_days=7) as embedded, open_event_log(path) as events:
        await Owner(embedded.store).apply(create(), create())
        assert len(await events.read(await events.earliest(), 10)) == 2
        follower = events.follow(await events.end())
        following = asyncio.ensure_future(anext(follower))
        await asyncio.sleep(0.05)
        started = time.monotonic()
        await Owner(embedded.store).apply(create())
        assert [logged.offset for logged in await following] == [3]
        assert time.monotonic() - started < 1


async def test_events_are_read_when_nobody_serves(tmp_path: Path) -> None:
    path = tmp_path / "scimgw.db"
    async with open_embedded(path, gateway="here", retention_days=7) as embedded:
        await Owner(embedded.store).apply(create(), create())
    async with open_event_log(path) as events:
        assert (await events.earliest(), await events.end()) == (1, 3)


async def test_a_follower_in_the_same_process_is_woken(tmp_path: Path) -> None:
    """The poll alone would take 100 ms."""
    async with open_embedded(tmp_path / "scimgw.db", gateway="here", retention_days=7) as embedded:
        owner = Owner(embedded.store)
        follower = embedded.events.follow(1)
        waits = []
        for _ in range(5):
            following = asyncio.ensure_future(anext(follower))
            await asyncio.sleep(0.01)
            started = time.monotonic()
            await owner.apply(create())
            await following
            waits.append(time.monotonic() - started)
        assert min(waits) < 0.08


async def test_a_read_of_large_events_stops_before_they_fill_the_memory(tmp_path: Path) -> None:
    async with open_embedded(tmp_path / "scimgw.db", gateway="here", retention_days=7) as embedded:
        for _ in range(4):
            await Owner(embedded.store).apply(*[create(title="x" * 900_000) for _ in range(5)])
        first = await embedded.events.read(1, 1000)
        assert 1 < len(first) < 20
        rest = await embedded.events.read(first[-1].offset + 1, 1000)
        assert [logged.offset for logged in first + rest][:15] == list(range(1, 16))
