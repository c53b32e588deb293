"""The proxy does to connections what it is told, and a worker whose connection lost its other end goes on."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consumers.backends.kafka_group import KafkaCommandGroup
from consumers.backends.kafka_topics import create_topics
from consumers.errors import LogUnavailable
from consumers.settings import KafkaSettings, Settings
from tests.faults.links import LinkedBroker, Links
from tests.faults.proxy import Kind, Order
from tests.services.processes import server_port

LONG_S = 30.0


@pytest.fixture
async def links() -> AsyncIterator[Links]:
    links = Links()
    links.start()
    yield links
    links.close()


@pytest.fixture
async def port(links: Links) -> AsyncIterator[int]:
    writers: list[asyncio.StreamWriter] = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(1024):
                writer.write(chunk * 1000)
        writer.close()

    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        port = server_port()
        await links.order(Order(port=port, target=f"127.0.0.1:{server.sockets[0].getsockname()[1]}"))
        yield port
        links.close()
        for writer in writers:
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connected(port: int) -> Ends:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await asked(reader, writer)
    return reader, writer


async def asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"abc")
    async with asyncio.timeout(LONG_S):
        assert await reader.readexactly(3000) == b"abc" * 1000


async def test_without_a_fault_everything_goes_through(port: int) -> None:
    reader, writer = await connected(port)
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()


async def test_a_black_hole_holds_everything_back_until_it_ends(links: Links, port: int) -> None:
    reader, writer = await connected(port)
    await links.order(Order(port=port, fault="black hole"))
    writer.write(b"abc")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.2)
    await links.order(Order(port=port, fault="none"))
    async with asyncio.timeout(LONG_S):
        assert await reader.readexactly(3000) == b"abc" * 1000
    writer.close()
    assert (await links.seen([port]))["held back"]


@pytest.mark.parametrize(("fault", "counted"), [("reset", "reset"), ("swallow", "swallowed")])
async def test_a_broken_connection_is_reset_before_its_reply_is_whole(
    links: Links, port: int, fault: Kind, counted: str
) -> None:
    reader, writer = await connected(port)
    await links.order(Order(port=port, fault=fault))
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await asked(reader, writer)
    writer.close()
    assert (await links.seen([port]))[counted]
    await links.order(Order(port=port, fault="none"))
    _, again = await connected(port)
    again.close()


async def test_a_delay_is_only_a_delay(links: Links, port: int) -> None:
    reader, writer = await connected(port)
    await links.order(Order(port=port, fault="delay", seconds=0.2))
    await asked(reader, writer)
    assert (await links.seen([port]))["delayed"] >= 2
    writer.close()


async def test_a_half_open_connection_is_silent_and_others_are_not(links: Links, port: int) -> None:
    ends = [await connected(port) for _ in range(12)]
    await links.order(Order(port=port, fault="half-open"))

    async def is_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"abc")
        try:
            assert not await asyncio.wait_for(reader.read(1), 0.5)
        except TimeoutError:
            return True
        except ConnectionError:
            return False
        return False

    silent = await asyncio.gather(*(is_silent(*one) for one in ends))
    assert 0 < sum(silent) < len(ends)
    reader, writer = await connected(port)
    for _, each in (*ends, (reader, writer)):
        each.close()


@pytest.mark.services
@pytest.mark.timeout(120)
async def test_a_question_whose_connection_lost_its_other_end_is_asked_anew(links: Links, tmp_path: Path) -> None:
    broker = LinkedBroker(tmp_path)
    port = broker.advertised["worker-kafka"]
    await links.order(Order(port=port, target=f"127.0.0.1:{broker.ports['worker-kafka']}"))
    broker.start()
    kafka = KafkaSettings(bootstrap=f"127.0.0.1:{port}", partitions=1)
    try:
        await create_topics(Settings(kafka=kafka))
        group = KafkaCommandGroup(kafka, None)
        membership = asyncio.create_task(group.run(told, told))
        await answered(group, LONG_S)
        for _ in range(3):  # either end may be the one that is lost
            await links.order(Order(port=port, fault="half-open"))
            await answered(group, LONG_S)
        membership.cancel()
        await asyncio.wait([membership])
    finally:
        broker.close()


async def told(_partitions: frozenset[int]) -> None:
    """Nobody works."""


async def answered(group: KafkaCommandGroup, limit_s: float) -> None:
    until = time.monotonic() + limit_s
    while True:
        try:
            assert await group.feed(0).bounds() == (0, 0)
            return
        except LogUnavailable:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.1)
