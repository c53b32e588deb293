"""The reader that remembers: it gives what the database would, and asks it only for what it does not know."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from consumers.backends.remembering_reader import RememberingReader
from consumers.backends.sqlite_database import open_reader
from consumers.backends.sqlite_reader import SqliteReader
from consumers.backends.sqlite_thread import DatabaseThread
from consumers.errors import StoreUnavailable
from schemas.commands import ChangeCommand
from schemas.records import ResourceImage
from tests.consumers.backends.test_sqlite_remembering import Opened, opened
from tests.contract.commands import create, delete, name_of, replace


class Counting(SqliteReader):
    """A reader that counts what it is asked for by id."""

    asked = 0

    async def get(self, tenant: str, resource_type: str, resource_id: str) -> ResourceImage | None:
        self.asked += 1
        return await super().get(tenant, resource_type, resource_id)


class Stand:
    """A store that remembers, the database's reader, and the reader over both."""

    def __init__(self, store: Opened, database: Counting) -> None:
        self.store = store
        self.database = database
        self.reader = RememberingReader(database, store.store)

    async def version(self, command: ChangeCommand) -> int | None:
        """Return the version that is read; the database's own reader must read the same."""
        address = command.tenant, command.resource_type, command.resource_id
        image = await self.reader.get(*address)
        assert image == await SqliteReader.get(self.database, *address)
        return None if image is None else image.version


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(opened(tmp_path))
        thread = DatabaseThread(tmp_path / "scimgw.db", open_reader, "reader")
        await thread.open()
        stack.push_async_callback(thread.close)
        yield Stand(store, Counting(thread))


async def test_what_was_committed_is_read_from_memory_in_its_last_version(stand: Stand) -> None:
    command = create()
    await stand.store.owner.apply_one_by_one(command, replace(command, name_of(command), title="Queen"))
    assert await stand.version(command) == 2
    assert stand.database.asked == 0


async def test_what_is_not_remembered_is_asked_for(stand: Stand) -> None:
    command = create()
    assert await stand.version(command) is None
    await stand.store.owner.apply(command)
    assert await stand.version(command) == 1
    await stand.store.owner.apply(delete(command))
    assert await stand.version(command) is None
    assert stand.database.asked == 2


@pytest.mark.parametrize("failing", ["before", "after"])
async def test_INV8_after_a_commit_of_which_it_is_not_known_whether_it_is_done_the_database_is_asked(
    stand: Stand, failing: str
) -> None:
    command = create()
    await stand.store.owner.apply(command)
    stand.store.database.failing = failing
    with pytest.raises(StoreUnavailable):
        await stand.store.owner.apply(replace(command, name_of(command), title="Queen"))
    assert await stand.version(command) == (2 if failing == "after" else 1)
    assert stand.database.asked == 1
