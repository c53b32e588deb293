"""What the apply loop and the queue are tested with: the embedded database, with faults."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consumers.ports import Reader
from tests.consumers.faults import FaultyStore
from tests.contract.stands import SqliteStand


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[SqliteStand]:
    """An empty embedded database."""
    opened = SqliteStand(tmp_path)
    await opened.open()
    try:
        yield opened
    finally:
        await opened.close()


@pytest.fixture
def store(stand: SqliteStand) -> FaultyStore:
    """Its store, which fails when it is told to."""
    return FaultyStore(stand.store)


@pytest.fixture
def reader(stand: SqliteStand) -> Reader:
    """Its reader."""
    return stand.reader
