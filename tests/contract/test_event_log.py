"""What ``consumers.ports.EventLog`` promises, on every back end."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import msgspec
import pytest

from consumers.ports import EventLog, LoggedEvent
from schemas import batches
from schemas.changes import View
from schemas.events import EventRecord
from schemas.numbering import Batch
from tests.contract.commands import create, now
from tests.contract.owner import numbered
from tests.contract.stands import LogStand

PATIENCE_S = 10


class Writer:
    """Writes batches of creates, whose events are all that the log shows."""

    def __init__(self, stand: LogStand) -> None:
        self._stand = stand
        self._last = 0
        self.written: list[EventRecord] = []

    async def write(self, count: int = 1) -> Batch:
        commands = [create() for _ in range(count)]
        steps = batches.plan(commands, [View()] * count, now(), 0)
        batch = numbered(commands, steps, {"acme": self._last})
        await self._stand.persist(batch)
        self._last += count
        self.written += [change.event for change in batch.changes]
        return batch


@pytest.fixture
def writer(log_stand: LogStand) -> Writer:
    return Writer(log_stand)


async def everything(events: EventLog) -> list[LoggedEvent]:
    result: list[LoggedEvent] = []
    offset = await events.earliest()
    while batch := await events.read(offset, 100):
        result += batch
        offset = batch[-1].offset + 1
    return result


async def following(events: EventLog, offset: int, count: int) -> list[LoggedEvent]:
    """Follow until ``count`` events were seen."""
    seen: list[LoggedEvent] = []
    async with asyncio.timeout(PATIENCE_S):
        async for batch in events.follow(offset):
            assert batch
            seen += batch
            if len(seen) >= count:
                break
    return seen


async def test_an_empty_log_ends_where_it_begins(events: EventLog) -> None:
    assert await events.earliest() == await events.end()
    assert await events.read(await events.earliest(), 10) == []
    assert await events.offset_at(0) == await events.end()


async def test_events_come_in_the_order_of_their_changes(events: EventLog, writer: Writer) -> None:
    for count in (1, 5, 40, 1, 100):
        await writer.write(count)
    assert [logged.event for logged in await everything(events)] == writer.written


def rising(offsets: list[int]) -> bool:
    """Tell whether each is greater than the one before; some logs have numbers between that are no event's."""
    return all(one < other for one, other in pairwise(offsets))


async def test_offsets_rise(events: EventLog, writer: Writer) -> None:
    begin = await events.end()
    await writer.write(3)
    await writer.write(2)
    assert await events.earliest() == begin
    found = await everything(events)
    assert [logged.offset for logged in found[:3]] == [begin, begin + 1, begin + 2]
    assert rising([logged.offset for logged in found])
    assert {logged.partition for logged in found} == {0}
    assert await events.end() > found[-1].offset


async def test_an_event_carries_key_value_and_headers(events: EventLog, writer: Writer) -> None:
    batch = await writer.write()
    event = (await everything(events))[0].event
    change = batch.changes[0]
    assert event == change.event
    assert (event.tenant, event.key) == ("acme", f"acme/{change.resource_id}")
    assert msgspec.json.decode(event.value)["jti"] == f"{change.resource_id}:1"
    assert dict(event.headers)["ce_sequence"] == "1"


async def test_a_read_begins_at_its_offset_and_gives_no_more_than_asked_for(events: EventLog, writer: Writer) -> None:
    await writer.write(10)
    begin = await events.earliest()
    read = await events.read(begin + 4, 3)
    assert [logged.event for logged in read] == writer.written[4:7]
    assert len(await events.read(begin + 8, 100)) == 2
    assert await events.read(begin + 10, 100) == []
    assert await events.read(begin + 1000, 100) == []


async def test_a_read_repeated_is_the_same(events: EventLog, writer: Writer) -> None:
    await writer.write(10)
    begin = await events.earliest()
    first = await events.read(begin, 10)
    await writer.write(10)
    assert await events.read(begin, 10) == first


async def test_a_time_leads_to_the_first_event_logged_since(events: EventLog, writer: Writer) -> None:
    begin = await events.end()
    await writer.write(7)
    await asyncio.sleep(0.01)
    between = now()
    await writer.write(4)
    assert await events.offset_at(0) == begin
    since = await events.read(await events.offset_at(between), 100)
    assert [logged.event for logged in since] == writer.written[7:]
    assert await events.offset_at(now() + 60_000) == await events.end() >= begin + 11


async def test_the_log_goes_on_after_closing_and_opening(log_stand: LogStand, writer: Writer) -> None:
    await writer.write(3)
    before = await everything(log_stand.events)
    await log_stand.close()
    await log_stand.open()
    assert await everything(log_stand.events) == before
    await writer.write(2)
    after = await everything(log_stand.events)
    assert [logged.event for logged in after] == writer.written
    assert after[:3] == before
    assert rising([logged.offset for logged in after])


async def test_following_begins_with_what_is_there(events: EventLog, writer: Writer) -> None:
    await writer.write(5)
    begin = await events.earliest()
    assert [logged.event for logged in await following(events, begin + 2, 3)] == writer.written[2:]


async def test_following_goes_on_without_a_gap(events: EventLog, writer: Writer) -> None:
    begin = await events.end()
    follower = asyncio.create_task(following(events, begin, 60))
    for count in (1, 9, 20, 30):
        await writer.write(count)
        await asyncio.sleep(0.01)
    seen = await follower
    assert [logged.event for logged in seen] == writer.written
    assert rising([logged.offset for logged in seen])


async def test_followers_do_not_take_events_from_each_other(events: EventLog, writer: Writer) -> None:
    begin = await events.end()
    followers = [asyncio.create_task(following(events, begin, 4)) for _ in range(3)]
    for _ in range(4):
        await writer.write()
    for seen in await asyncio.gather(*followers):
        assert [logged.event for logged in seen] == writer.written


async def test_following_waits_for_an_offset_to_come(events: EventLog, writer: Writer) -> None:
    begin = await events.end()
    follower = asyncio.create_task(following(events, begin + 2, 1))
    await writer.write(2)
    await asyncio.sleep(0.05)
    assert not follower.done()
    await writer.write()
    assert [logged.event for logged in await follower] == writer.written[2:]


async def test_a_follower_that_waits_can_be_cancelled(events: EventLog) -> None:
    follower = asyncio.create_task(following(events, await events.end(), 1))
    await asyncio.sleep(0.02)
    follower.cancel()
    with pytest.raises(asyncio.CancelledError):
        await follower
