"""Back ends for the suites of the store and the event log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consumers.ports import EventLog, Reader, Store
from tests.contract.kafka_stand import KafkaStand
from tests.contract.owner import Owner
from tests.contract.stands import LOGS, SERVED_STORES, STORES, LogStand, StoreStand


@pytest.fixture(
    params=[*sorted(STORES), *(pytest.param(name, marks=pytest.mark.services) for name in sorted(SERVED_STORES))]
)
async def store_stand(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[StoreStand]:
    """Give a back end with an empty store, open."""
    if request.param in SERVED_STORES:
        fixture, made = SERVED_STORES[request.param]
        stand = made(request.getfixturevalue(fixture))
    else:
        stand = STORES[request.param](tmp_path)
    await stand.open()
    try:
        yield stand
    finally:
        await stand.close()


@pytest.fixture(params=[*sorted(LOGS), pytest.param("kafka", marks=pytest.mark.services)])
async def log_stand(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LogStand]:
    """Give a back end with an empty event log, open."""
    stand: LogStand
    if request.param == "kafka":
        stand = KafkaStand(request.getfixturevalue("kafka_bootstrap"), request.getfixturevalue("topic_prefix"))
    else:
        stand = LOGS[request.param](tmp_path)
    await stand.open()
    try:
        yield stand
    finally:
        await stand.close()


@pytest.fixture
def store(store_stand: StoreStand) -> Store:
    """Give an empty store."""
    return store_stand.store


@pytest.fixture
def reader(store_stand: StoreStand) -> Reader:
    """Give the reader of the store."""
    return store_stand.reader


@pytest.fixture
def owner(store: Store) -> Owner:
    """Give the owner of the resources in the store."""
    return Owner(store)


@pytest.fixture
def events(log_stand: LogStand) -> EventLog:
    """Give an empty event log."""
    return log_stand.events
