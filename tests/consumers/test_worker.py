"""A worker's membership and its end; what workers do to one another is shown in ``tests/faults`` and ``tests/simulation``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

import pytest

from consumers import worker as worker_module
from consumers.errors import LogUnavailable, OperatorError, WrongSettings
from consumers.metrics import Metrics
from consumers.partition_ports import CommandFeed
from consumers.worker import Worker

Told = Callable[[frozenset[int]], Awaitable[None]]


class Group:
    """A membership that is told what it owns, or breaks at once."""

    def __init__(self, breaks: OperatorError | None = None) -> None:
        self.breaks = breaks
        self.assign: Told | None = None

    async def run(self, assigned: Told, _revoked: Told) -> None:
        if self.breaks is not None:
            raise self.breaks
        self.assign = assigned
        await assigned(frozenset({0}))
        await asyncio.Event().wait()

    def feed(self, _partition: int) -> CommandFeed:
        return cast("CommandFeed", None)  # the owners of these tests take no commands


class Owner:
    """Runs until it is told to stop."""

    def __init__(self) -> None:
        self.stopped = asyncio.Event()
        self.leaving = asyncio.Event()
        self.leaving.set()

    def stop(self) -> None:
        self.stopped.set()

    async def run(self) -> None:
        await self.stopped.wait()
        await self.leaving.wait()


class Site:
    """A worker, the groups that it made, and the owners."""

    def __init__(self, *breaks: OperatorError) -> None:
        self.breaks = list(breaks)
        self.groups: list[Group] = []
        self.owners: list[Owner] = []
        self.metrics = Metrics()
        self.worker = Worker(self.group, self.owner, metrics=self.metrics)  # type: ignore[arg-type]

    def group(self) -> Group:
        self.groups.append(Group(self.breaks.pop(0) if self.breaks else None))
        return self.groups[-1]

    def owner(self, _partition: int, _feed: CommandFeed) -> Owner:
        self.owners.append(Owner())
        return self.owners[-1]

    async def until(self, groups: int, owners: int = 0) -> None:
        async with asyncio.timeout(60):
            while len(self.groups) < groups or len(self.owners) < owners:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("why", [LogUnavailable("away"), WrongSettings("kafka.ca_file cannot be read")])
async def test_a_membership_that_breaks_is_made_anew_whatever_broke_it(why: OperatorError) -> None:
    site = Site(why)
    running = asyncio.create_task(site.worker.run())
    await site.until(2, owners=1)
    assert site.metrics.registry.get_sample_value("scimgw_memberships_lost_total") == 1
    await site.worker.stop()
    await running
    assert [owner.stopped.is_set() for owner in site.owners] == [True]


async def test_a_stop_between_two_memberships_is_heard_and_makes_no_third(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "LONGEST_PAUSE_S", 60.0)
    site = Site(*[LogUnavailable("away")] * 9)
    running = asyncio.create_task(site.worker.run())
    await site.until(2)
    await asyncio.sleep(0.05)
    await site.worker.stop()
    async with asyncio.timeout(1):
        await running
    assert len(site.groups) == 2


async def test_what_a_rebalance_gives_a_stopping_worker_gets_no_owner() -> None:
    site = Site()
    running = asyncio.create_task(site.worker.run())
    await site.until(1, owners=1)
    site.owners[0].leaving.clear()
    stopping = asyncio.create_task(site.worker.stop())
    await site.owners[0].stopped.wait()
    assign = site.groups[0].assign
    assert assign is not None
    await assign(frozenset({0, 1}))
    site.owners[0].leaving.set()
    await stopping
    await running
    assert len(site.owners) == 1
