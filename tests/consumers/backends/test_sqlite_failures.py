"""A disk that is full, read-only or failing: nothing half done, and no restart once it is well again."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from consumers.backends.sqlite_database import open_reader, open_writer
from consumers.backends.sqlite_events import SqliteEvents
from consumers.backends.sqlite_outcomes import OutcomeBound
from consumers.backends.sqlite_reader import SqliteReader
from consumers.backends.sqlite_store import SqliteStore
from consumers.backends.sqlite_thread import DatabaseThread
from consumers.errors import StoreUnavailable
from consumers.settings import OutcomeSettings
from schemas.records import ResourceImage
from tests.contract.commands import create, name_of, replace
from tests.contract.owner import Owner


class Disk:
    """A disk whose trouble is given to every connection that is opened, and to those open already."""

    def __init__(self) -> None:
        self.trouble: list[str] = []
        self._open: list[sqlite3.Connection] = []

    def opener(self, path: Path) -> sqlite3.Connection:
        database = open_writer(path)
        self._open.append(database)
        for pragma in self.trouble:
            database.execute(pragma)
        return database


@asynccontextmanager
async def opened(
    path: Path, disk: Disk
) -> AsyncIterator[tuple[DatabaseThread, SqliteStore, SqliteReader, SqliteEvents]]:
    writer, reading = DatabaseThread(path, disk.opener, "writer"), DatabaseThread(path, open_reader, "reader")
    await writer.open()
    await reading.open()
    try:
        store = SqliteStore(writer, gateway="here", bound=OutcomeBound(OutcomeSettings()))
        yield writer, store, SqliteReader(reading), SqliteEvents(reading)
    finally:
        await reading.close()
        await writer.close()


async def strike(thread: DatabaseThread, disk: Disk, *pragmas: str) -> None:
    disk.trouble = list(pragmas)
    for pragma in pragmas:
        await thread.run(lambda database, pragma=pragma: database.execute(pragma))  # type: ignore[misc]


@pytest.mark.parametrize(
    "pragma",
    [
        pytest.param("PRAGMA max_page_count = 1", id="full"),
        pytest.param("PRAGMA query_only = ON", id="read-only"),
    ],
)
async def test_a_commit_that_fails_leaves_nothing_and_the_next_one_works(tmp_path: Path, pragma: str) -> None:
    disk = Disk()
    async with opened(tmp_path / "scimgw.db", disk) as (thread, store, reader, events):
        owner = Owner(store)
        kept = create()
        await owner.apply(kept)
        commands = [create(title="x" * 1000) for _ in range(50)]
        batch, _ = await owner.decided(*commands, replace(kept, name_of(kept)))
        end = await events.end()

        await strike(thread, disk, pragma)
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                await store.commit(batch)
            assert await reader.get("acme", "User", commands[0].resource_id) is None
            assert (await reader.page("acme", "User", 0, 0)).total == 1
            assert await events.end() == end
            snapshot = await store.view([kept])
            assert snapshot.numbers == {"acme": 1}
            assert snapshot.views[0].resource is not None
            assert snapshot.views[0].resource.version == 1

        disk.trouble = []
        with pytest.raises(StoreUnavailable):
            await store.commit(batch)  # the connection still has the trouble; it is given up with it
        await store.commit(batch)
        assert (await reader.page("acme", "User", 0, 0)).total == 51
        assert await events.end() == end + 51


async def test_a_full_disk_is_named_with_its_remedy(tmp_path: Path) -> None:
    disk = Disk()
    async with opened(tmp_path / "scimgw.db", disk) as (thread, store, _, _):
        await strike(thread, disk, "PRAGMA max_page_count = 1")
        batch, _ = await Owner(store).decided(*[create(title="x" * 1000) for _ in range(50)])
        with pytest.raises(StoreUnavailable, match="free some space") as caught:
            await store.commit(batch)
        assert "\n" not in str(caught.value)


async def test_a_failing_reader_fails_those_who_asked_and_works_again(tmp_path: Path) -> None:
    path = tmp_path / "scimgw.db"
    async with opened(path, Disk()) as (_, store, reader, _):
        command = create()
        await Owner(store).apply(command)
        hidden = path.rename(tmp_path / "elsewhere.db")
        broken = DatabaseThread(path, open_reader, "broken")
        with pytest.raises(StoreUnavailable):
            await broken.open()
        hidden.rename(path)
        assert await reader.get("acme", "User", command.resource_id) is not None


async def test_a_query_that_cannot_be_asked_fails_alone(tmp_path: Path) -> None:
    """A lone surrogate has no UTF-8; the reads beside it are answered."""
    async with opened(tmp_path / "scimgw.db", Disk()) as (_, store, reader, _):
        command = create()
        await Owner(store).apply(command)
        bad, good = await asyncio.gather(
            reader.get("acme", "User", "\ud800"),
            reader.get("acme", "User", command.resource_id),
            return_exceptions=True,
        )
        assert isinstance(bad, UnicodeEncodeError)
        assert isinstance(good, ResourceImage)


# A limit on the size of a file strikes in the middle of writing, as a disk does; only a process of its own may have it.
LIMITED = textwrap.dedent(
    """
    import asyncio, os, resource, sys
    from pathlib import Path
    from consumers.backends.sqlite import open_embedded
    from consumers.errors import StoreUnavailable
    from tests.contract.commands import create
    from tests.contract.owner import Owner

    async def main():
        path = Path(sys.argv[1])
        async with open_embedded(path, gateway="g", retention_days=7) as embedded:
            owner, committed, failed = Owner(embedded.store), 0, 0
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, hard))
            while failed < 5:
                try:
                    await owner.apply(*[create(title="x" * 2000) for _ in range(20)])
                    committed += 20
                except StoreUnavailable:
                    failed += 1
            assert committed, "the limit struck too early"
            assert (await embedded.reader.page("acme", "User", 0, 0)).total == committed
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            for _ in range(10):
                await owner.apply(*[create(title="x" * 2000) for _ in range(20)])
                committed += 20
            assert (await embedded.reader.page("acme", "User", 0, 0)).total == committed
            events = await embedded.events.read(1, 10_000)
            numbers = [int(dict(logged.event.headers)["ce_sequence"]) for logged in events]
            assert numbers == list(range(1, len(numbers) + 1)), numbers
            print(committed)

    asyncio.run(main())
    """
)


def test_a_disk_that_fills_up_in_the_middle_of_a_batch_costs_that_batch_alone(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", LIMITED, str(tmp_path / "scimgw.db")],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 200
    database = sqlite3.connect(tmp_path / "scimgw.db")
    try:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    finally:
        database.close()
