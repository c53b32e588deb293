"""The embedded database as a file: settings, format version, damage, death of the process."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import pytest

from consumers.backends.sqlite import open_embedded, open_event_log
from consumers.backends.sqlite_database import FORMAT, open_reader, open_writer
from consumers.backends.sqlite_thread import DatabaseThread
from consumers.errors import DatabaseDamaged, DatabaseTooNew, OperatorError, StoreUnavailable
from tests.contract.commands import create
from tests.contract.owner import Owner


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "scimgw.db"


def one(database: sqlite3.Connection, question: str) -> object:
    return database.execute(question).fetchone()[0]


def test_a_commit_is_synced_before_it_returns(path: Path) -> None:
    with closing(open_writer(path)) as database:
        assert one(database, "PRAGMA journal_mode") == "wal"
        assert one(database, "PRAGMA synchronous") == 2
        assert database.isolation_level is None


def test_the_format_version_stands_in_the_file(path: Path) -> None:
    open_writer(path).close()
    with closing(sqlite3.connect(path)) as database:
        assert one(database, "PRAGMA user_version") == FORMAT == 1


def test_room_for_groups_is_there(path: Path) -> None:
    with closing(open_writer(path)) as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(edge)")]
    assert columns == ["tenant", "group_id", "member_id", "record"]


def test_a_reader_cannot_write(path: Path) -> None:
    open_writer(path).close()
    with closing(open_reader(path)) as database, pytest.raises(sqlite3.OperationalError, match="readonly"):
        database.execute("INSERT INTO number VALUES ('acme', 1)")


@pytest.mark.parametrize("opener", [open_writer, open_reader])
def test_a_database_of_a_later_version_is_refused_and_left_alone(path: Path, opener: object) -> None:
    open_writer(path).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {FORMAT + 1}")
    with pytest.raises(DatabaseTooNew) as caught:
        opener(path)  # type: ignore[operator]
    assert str(path) in str(caught.value)
    assert "use that version" in str(caught.value)
    assert "\n" not in str(caught.value)
    with closing(sqlite3.connect(path)) as database:
        assert one(database, "PRAGMA user_version") == FORMAT + 1


async def test_serving_from_a_database_of_a_later_version_is_refused(path: Path) -> None:
    open_writer(path).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(DatabaseTooNew):
        async with open_embedded(path, gateway="here", retention_days=7):
            pytest.fail("it was opened")
    with pytest.raises(DatabaseTooNew):
        async with open_event_log(path):
            pytest.fail("it was opened")


@pytest.mark.parametrize("opener", [open_writer, open_reader])
def test_a_file_that_is_no_database_is_damage(path: Path, opener: object) -> None:
    path.write_bytes(b"this is no database at all " * 400)
    with pytest.raises(DatabaseDamaged, match="restore a backup"):
        opener(path)  # type: ignore[operator]


async def test_events_of_a_missing_database_are_refused_with_the_remedy(path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="scimgw serve"):
        async with open_event_log(path):
            pytest.fail("it was opened")
    assert not path.exists()


def test_a_directory_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        open_writer(tmp_path / "missing" / "scimgw.db")


async def test_a_record_that_cannot_be_read_is_damage_of_that_resource_alone(path: Path) -> None:
    async with open_embedded(path, gateway="here", retention_days=7) as embedded:
        bad, good = create(), create()
        await Owner(embedded.store).apply(bad, good)
        with closing(sqlite3.connect(path)) as database:
            database.execute('UPDATE resource SET record = \'{"kind":"alien"}\' WHERE id = ?', (bad.resource_id,))
            database.commit()
        with pytest.raises(DatabaseDamaged):
            await embedded.reader.get("acme", "User", bad.resource_id)
        with pytest.raises(DatabaseDamaged):
            await embedded.store.view([bad])
        assert await embedded.reader.get("acme", "User", good.resource_id) is not None


async def test_closing_leaves_one_file(path: Path) -> None:
    async with open_embedded(path, gateway="here", retention_days=7) as embedded:
        await Owner(embedded.store).apply(create())
    assert [file.name for file in path.parent.iterdir()] == [path.name]


async def test_a_thread_does_its_jobs_before_it_ends(path: Path) -> None:
    thread = DatabaseThread(path, open_writer, "test")
    await thread.open()
    done: list[int] = []
    for number in range(5):
        thread_job = thread.run(lambda _, n=number: done.append(n))  # type: ignore[misc]
        await thread_job
    await thread.close()
    await thread.close()
    assert done == [0, 1, 2, 3, 4]
    with pytest.raises(StoreUnavailable, match="closed"):
        await thread.run(lambda _: None)


async def test_a_defect_in_a_job_reaches_its_caller_and_no_other(path: Path) -> None:
    thread = DatabaseThread(path, open_writer, "test")
    await thread.open()
    try:
        with pytest.raises(ZeroDivisionError):
            await thread.run(lambda _: 1 // 0)
        with pytest.raises(OperatorError):
            await thread.run(lambda database: database.execute("SELECT nonsense"))
        assert await thread.run(lambda database: one(database, "SELECT 7")) == 7
    finally:
        await thread.close()


WRITER = textwrap.dedent(
    """
    import asyncio, sys
    from pathlib import Path
    from consumers.backends.sqlite import open_embedded
    from tests.contract.commands import create, name_of
    from tests.contract.owner import Owner

    async def main():
        async with open_embedded(Path(sys.argv[1]), gateway="g", retention_days=7) as embedded:
            owner = Owner(embedded.store)
            while True:
                commands = [create() for _ in range(10)]
                await owner.apply(*commands)
                for command in commands:
                    print(command.resource_id, name_of(command), flush=True)

    asyncio.run(main())
    """
)


async def test_INV_1_what_was_committed_survives_the_death_of_the_process(path: Path) -> None:
    root = Path(__file__).parents[3]
    acknowledged: list[tuple[str, str]] = []
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)],
            stdout=subprocess.PIPE,
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
        ) as process:
            assert process.stdout is not None
            for _ in range(400):
                resource_id, name = process.stdout.readline().decode().split()
                acknowledged.append((resource_id, name))
            process.send_signal(signal.SIGKILL)
            for line in process.stdout.readlines():
                if line.endswith(b"\n"):
                    resource_id, name = line.decode().split()
                    acknowledged.append((resource_id, name))
        assert process.returncode == -signal.SIGKILL
    assert len(acknowledged) >= 1200
    async with open_embedded(path, gateway="here", retention_days=7) as embedded:
        for resource_id, name in acknowledged:
            assert await embedded.reader.get("acme", "User", resource_id) is not None
            assert len(await embedded.reader.find("acme", "User", ("userName", name))) == 1
        total = (await embedded.reader.page("acme", "User", 0, 0)).total
        assert total % 10 == 0, "part of a batch was kept"
        assert await embedded.events.end() - await embedded.events.earliest() == total
        assert (await embedded.store.view([create()])).numbers == {"acme": total}
    with closing(sqlite3.connect(path)) as database:
        assert one(database, "PRAGMA integrity_check") == "ok"


def test_names_are_unique_in_the_table_itself(path: Path) -> None:
    """INV-4 does not rest on any code above the table."""
    with closing(open_writer(path)) as database:
        database.execute("INSERT INTO name VALUES ('acme', 'userName', 'ann', 1)")
        with pytest.raises(sqlite3.IntegrityError):
            database.execute("INSERT INTO name VALUES ('acme', 'userName', 'ann', 2)")
