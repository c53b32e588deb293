"""Upkeep of the embedded database: purges keep their terms, the write-ahead log stays bounded."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from consumers.backends.sqlite import Embedded, open_embedded
from schemas.ids import derived
from tests.contract.commands import create, delete, name_of, replace
from tests.contract.owner import Owner

DAY = 24 * 3600.0


class Clock:
    """The time of day, as far ahead as a test wants."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "scimgw.db"


@pytest.fixture
async def embedded(path: Path, clock: Clock) -> AsyncIterator[Embedded]:
    async with open_embedded(path, gateway="here", retention_days=7, clock=clock) as opened:
        yield opened


def count(path: Path, table: str) -> int:
    with closing(sqlite3.connect(path)) as database:
        found: int = database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        return found


async def test_nothing_goes_before_its_time(embedded: Embedded, path: Path) -> None:
    command = create(key="k-1")
    await Owner(embedded.store).apply(command, create())
    await Owner(embedded.store).apply(delete(command))
    assert await embedded.upkeep.purge() == 0
    assert [count(path, table) for table in ("outcome", "event", "resource")] == [3, 3, 2]


async def test_outcomes_go_after_their_life_those_with_a_key_later(
    embedded: Embedded, path: Path, clock: Clock
) -> None:
    await Owner(embedded.store).apply(create(key="k-1"), *[create() for _ in range(500)])
    clock.ahead = 16 * 60
    assert await embedded.upkeep.purge() == 500
    assert count(path, "outcome") == 1
    clock.ahead = 25 * 3600
    assert await embedded.upkeep.purge() == 1


async def test_events_go_after_their_retention_and_offsets_are_never_given_twice(
    embedded: Embedded, path: Path, clock: Clock
) -> None:
    owner = Owner(embedded.store)
    await owner.apply(*[create() for _ in range(500)])
    clock.ahead = 4 * DAY
    await owner.apply(*[create() for _ in range(3)])
    clock.ahead = 8 * DAY
    await embedded.upkeep.purge()
    assert (count(path, "event"), await embedded.events.earliest(), await embedded.events.end()) == (3, 501, 504)
    assert [logged.offset for logged in await embedded.events.read(1, 10)] == [501, 502, 503]
    clock.ahead = 20 * DAY
    await embedded.upkeep.purge()
    assert (await embedded.events.earliest(), await embedded.events.end()) == (504, 504)
    await owner.apply(create())
    assert [logged.offset for logged in await embedded.events.read(1, 10)] == [504]


async def test_the_place_of_a_deleted_resource_goes_after_thirty_days(
    embedded: Embedded, path: Path, clock: Clock
) -> None:
    owner = Owner(embedded.store)
    gone, live = create(), create()
    await owner.apply(gone, live)
    await owner.apply(delete(gone))
    clock.ahead = 29 * DAY
    await embedded.upkeep.purge()
    assert (await embedded.store.view([gone])).views[0].gone
    clock.ahead = 31 * DAY
    await embedded.upkeep.purge()
    assert not (await embedded.store.view([gone])).views[0].gone
    assert count(path, "resource") == 1
    assert (await embedded.reader.page("acme", "User", 0, 10)).total == 1


async def test_a_derived_id_is_spent_for_good(embedded: Embedded, clock: Clock) -> None:
    """CP-8: a late retry under its key must not create the resource anew."""
    owner = Owner(embedded.store)
    gone = create(resource_id=derived("acme", "okta", "User", "k-1"))
    await owner.apply_one_by_one(gone, delete(gone))
    clock.ahead = 1000 * DAY
    await embedded.upkeep.purge()
    assert (await embedded.store.view([gone])).views[0].gone


async def test_events_are_in_the_order_of_their_times_though_the_clock_goes_back(
    embedded: Embedded, clock: Clock, path: Path
) -> None:
    owner = Owner(embedded.store)
    for ahead in (0.0, 3600.0, -3600.0, 1800.0):
        clock.ahead = ahead
        await owner.apply(create())
    with closing(sqlite3.connect(path)) as database:
        times = [row[0] for row in database.execute("SELECT logged_at FROM event ORDER BY offset")]
    assert times == sorted(times)
    assert await embedded.events.offset_at(int((time.time() + 1800) * 1000)) == 2


async def test_a_purge_leaves_room_for_commits(embedded: Embedded, clock: Clock) -> None:
    owner = Owner(embedded.store)
    for _ in range(8):
        await owner.apply(*[create() for _ in range(500)])
    clock.ahead = 40 * DAY
    purging = asyncio.create_task(embedded.upkeep.purge())
    commits = 0
    while not purging.done():
        await owner.apply(create())
        commits += 1
    assert await purging == 8000
    assert commits > 40, "commits had to wait for the whole purge"


async def test_the_log_begins_again_after_a_checkpoint(embedded: Embedded, path: Path) -> None:
    owner = Owner(embedded.store)
    log = path.with_name(path.name + "-wal")

    async def write() -> None:
        for _ in range(10):
            await owner.apply(*[create(title="x" * 4000) for _ in range(50)])

    await write()
    size = log.stat().st_size
    assert size > 4_000_000
    for _ in range(4):
        await embedded.upkeep.checkpoint()
        await write()
    assert log.stat().st_size < 1.7 * size
    assert path.stat().st_size > 4 * 4_000_000


async def test_the_task_does_it_by_itself(path: Path, clock: Clock) -> None:
    command = create()
    async with open_embedded(path, gateway="here", retention_days=7) as embedded:
        await Owner(embedded.store).apply(command)
    clock.ahead = 16 * 60
    async with open_embedded(path, gateway="here", retention_days=7, clock=clock) as embedded:
        async with asyncio.timeout(60):
            while count(path, "outcome"):
                await asyncio.sleep(0.05)
        assert await embedded.reader.get("acme", "User", command.resource_id) is not None


async def test_pages_far_down_the_list_are_right_after_many_deletes(embedded: Embedded) -> None:
    """The order is kept by blocks of 4,096 places: 10,000 reach over three of them."""
    owner = Owner(embedded.store)
    commands = []
    for _ in range(10):
        batch = [create() for _ in range(1000)]
        await owner.apply(*batch)
        commands += batch
    leaving = {command.resource_id for n, command in enumerate(commands) if n % 3 == 0 or 4000 <= n < 8300}
    await owner.apply(*(delete(command) for command in commands if command.resource_id in leaving))
    kept = [command for command in commands if command.resource_id not in leaving]
    await owner.apply(replace(kept[0], name_of(kept[0])))
    for offset in (0, 1, 2666, 2667, 2668, len(kept) - 3, len(kept) - 1, len(kept), len(kept) + 5000):
        page = await embedded.reader.page("acme", "User", offset, 5)
        assert page.total == len(kept)
        assert [
            command.resource_id in bytes(image.doc).decode()
            for command, image in zip(kept[offset:], page.images, strict=False)
        ] == [True] * len(kept[offset : offset + 5])
        assert len(page.images) == len(kept[offset : offset + 5])
