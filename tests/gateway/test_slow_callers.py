"""Callers who send half a request, or read none of the answer: each is given its time and no more (API4, slowloris)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from gateway.app import main_app
from gateway.bodies import MOST_ARRIVING_BYTES
from gateway.listening import cut, listen, runner
from tests.gateway.fronts import TOKEN, Ports, front_of, unused

BODY_S = 0.4
HEADERS_S = 0.6
MARGIN_S = 20.0
"""What a busy machine may add; aiohttp's own patience would be minutes."""
POST = (
    b"POST /scim/v2/Users HTTP/1.1\r\nHost: x\r\nContent-Type: application/scim+json\r\n"
    b"Authorization: Bearer " + TOKEN.encode() + b"\r\n"
)
PROBE = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
LARGE = 20 * 1024 * 1024


@dataclass
class Server:
    """A gateway with short patience."""

    running: web.AppRunner
    port: int
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        return reader, writer

    async def leave(self) -> None:
        for writer in self.writers:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    @property
    def connections(self) -> int:
        assert self.running.server is not None
        return len(self.running.server.connections)


@contextlib.asynccontextmanager
async def listening(
    app: web.Application, *, drain_s: float = 1.0, stalled_s: float = HEADERS_S
) -> AsyncIterator[Server]:
    running = runner(app, drain_s, keep_alive_s=HEADERS_S)
    await running.setup()
    server = await listen(running, "127.0.0.1", 0, stalled_s=stalled_s)
    gateway = Server(running, server.sockets[0].getsockname()[1])
    try:
        yield gateway
    finally:
        await gateway.leave()
        server.close()
        cut(running)
        await running.cleanup()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """The gateway; nothing that these callers send reaches a back end."""
    front = front_of(Ports(unused), body_timeout_s=BODY_S)
    async with listening(main_app(front)) as running:
        yield running
    front.passwords.close()


async def dribble(writer: asyncio.StreamWriter, piece: bytes) -> None:
    """Send a little now and then, as a slow caller does to be thought alive."""
    with contextlib.suppress(ConnectionError):
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def dribbling(writer: asyncio.StreamWriter, piece: bytes) -> AsyncIterator[None]:
    task = asyncio.create_task(dribble(writer, piece), name="dribble")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def rest(reader: asyncio.StreamReader) -> bytes:
    """Return what comes until the server closes."""
    received = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(BODY_S + HEADERS_S + MARGIN_S):
            while piece := await reader.read(2**16):
                received += piece
    return received


async def timed_out(reader: asyncio.StreamReader) -> None:
    """Check that 408 comes in time, as a SCIM Error that says how long the limit is."""
    began = time.monotonic()
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), BODY_S + MARGIN_S)
    assert time.monotonic() - began >= BODY_S / 2
    assert head.startswith(b"HTTP/1.1 408 "), head
    assert b"Content-Type: application/scim+json\r\n" in head
    assert b"Connection: close\r\n" in head
    length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
    error = json.loads(await reader.readexactly(length))
    assert error["status"] == "408"
    assert f"{BODY_S:g} seconds" in error["detail"]


@pytest.mark.parametrize(
    "begun",
    [
        b"Content-Length: 100\r\n\r\n",
        b'Content-Length: 100\r\n\r\n{"schemas":',
        b"Transfer-Encoding: chunked\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",
        b"Content-Encoding: gzip\r\nContent-Length: 100\r\n\r\n\x1f\x8b",
        b"Expect: 200-ok\r\nContent-Length: 100\r\n\r\n",
    ],
)
async def test_half_a_body_is_408(server: Server, begun: bytes) -> None:
    reader, writer = await server.connect()
    writer.write(POST + begun)
    await timed_out(reader)


async def test_a_body_that_dribbles_is_408_all_the_same(server: Server) -> None:
    reader, writer = await server.connect()
    writer.write(POST + b"Content-Length: 100000\r\n\r\n")
    async with dribbling(writer, b" "):
        await timed_out(reader)
    reader, writer = await server.connect()
    writer.write(POST + b"Transfer-Encoding: chunked\r\n\r\n")
    async with dribbling(writer, b"1\r\n \r\n"):
        await timed_out(reader)


async def test_INV19_bodies_that_arrive_together_have_bounded_room() -> None:
    almost = POST + b"Content-Length: 1048576\r\n\r\n" + bytes(1048575)
    front = front_of(Ports(unused), body_timeout_s=MARGIN_S)
    async with listening(main_app(front)) as server:
        for _ in range(MOST_ARRIVING_BYTES // 1048576):
            _, writer = await server.connect()
            writer.write(almost)
            await writer.drain()
        reader, writer = await server.connect()
        writer.write(almost)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), MARGIN_S)
        assert head.startswith(b"HTTP/1.1 503 "), head
        assert b"Retry-After: " in head
        assert await refused_as_no_object(server, 100), "small ones pass"
        await server.leave()
        while front.arriving_bytes:
            await asyncio.sleep(0.05)
        assert await refused_as_no_object(server, 1_000_000), "there is room again"
    front.passwords.close()


async def refused_as_no_object(server: Server, length: int) -> bool:
    """Tell whether a body that comes later than its headers is read to its end."""
    reader, writer = await server.connect()
    writer.write(POST + b"Content-Length: %d\r\n\r\n" % length)
    await asyncio.sleep(0.05)
    writer.write(b"[" + b" " * (length - 2) + b"]")
    return (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), MARGIN_S)).startswith(b"HTTP/1.1 400 ")


async def test_bodies_that_are_promised_and_do_not_come_take_no_room(server: Server) -> None:
    for framing in (b"Content-Length: 1048576\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"):
        for _ in range(2 * MOST_ARRIVING_BYTES // 1048576):
            _, writer = await server.connect()
            writer.write(POST + framing)
    assert await refused_as_no_object(server, 100_000)


async def test_a_chunk_that_turns_out_to_be_none_is_no_5xx(server: Server) -> None:
    reader, writer = await server.connect()
    writer.write(POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n")
    await asyncio.sleep(0.1)
    writer.write(b"zz\r\n")
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), BODY_S + MARGIN_S)
    assert head[9:12] in {b"400", b"408"}, head


async def test_a_caller_who_leaves_in_the_middle_of_a_body_is_no_defect(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    for begun in (b"Content-Length: 100\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n5\r\nab"):
        _, writer = await server.connect()
        writer.write(POST + begun)
        await asyncio.sleep(0.1)
        writer.transport.abort()
        await asyncio.sleep(0.1)
    assert server.connections == 0
    assert not [record for record in caplog.records if record.levelname in {"ERROR", "CRITICAL"}]


@pytest.mark.parametrize("begun", [b"", b"\r\n", b"GET", b"GET /livez HTTP/1.1\r\nHost", POST, PROBE[:-2]])
async def test_half_of_the_headers_are_waited_for_as_long_as_a_connection_may_be_idle(
    server: Server, begun: bytes
) -> None:
    reader, writer = await server.connect()
    writer.write(begun)
    began = time.monotonic()
    assert await rest(reader) == b""
    assert HEADERS_S / 2 <= time.monotonic() - began <= HEADERS_S + MARGIN_S


async def test_headers_that_dribble_gain_no_time(server: Server) -> None:
    reader, writer = await server.connect()
    writer.write(PROBE[:-2])
    began = time.monotonic()
    async with dribbling(writer, b"X: y\r\n"):
        answer = await rest(reader)
    assert answer == b"" or answer.startswith(b"HTTP/1.0 400"), "more headers than may be are 400"
    assert time.monotonic() - began <= HEADERS_S + MARGIN_S


async def test_a_second_request_has_no_more_time_than_the_first(server: Server) -> None:
    reader, writer = await server.connect()
    writer.write(PROBE)
    answer = await reader.readuntil(b"}")
    assert answer.startswith(b"HTTP/1.1 200 ")
    began = time.monotonic()
    async with dribbling(writer, b"\r\n"):
        assert await rest(reader) == b""
    assert time.monotonic() - began <= HEADERS_S + MARGIN_S


async def test_an_idle_connection_is_closed(server: Server) -> None:
    reader, writer = await server.connect()
    writer.write(PROBE)
    answer = await rest(reader)
    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_who_has_no_token_is_not_waited_for(server: Server) -> None:
    """401, and not 408 after a while."""
    reader, writer = await server.connect()
    writer.write(POST.replace(TOKEN.encode(), b"wrong") + b"Content-Length: 100000\r\n\r\n")
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), MARGIN_S)
    assert head.startswith(b"HTTP/1.1 401 ")


def generous() -> web.Application:
    """Return an application whose answers are larger than any buffer of a socket."""

    async def large(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=bytes(LARGE))

    app = web.Application()
    app.router.add_get("/", large)
    return app


async def until_none(server: Server, limit_s: float) -> float:
    """Wait until the server has no connection left; return how long that took."""
    began = time.monotonic()
    while server.connections:
        assert time.monotonic() - began < limit_s
        await asyncio.sleep(0.05)
    return time.monotonic() - began


async def test_an_answer_that_nobody_reads_is_given_up() -> None:
    async with listening(generous()) as server:
        for _ in range(3):
            _, writer = await server.connect()
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.sleep(0.2)
        assert server.connections == 3
        await until_none(server, HEADERS_S + 2 * MARGIN_S)


async def test_an_answer_that_is_read_slowly_arrives_whole() -> None:
    async with listening(generous()) as server:
        reader, writer = await server.connect()
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        received = 0
        while piece := await reader.read(2**20):
            received += len(piece)
            if received < LARGE // 4:
                await asyncio.sleep(HEADERS_S / 20)
        assert received > LARGE


async def test_a_stop_does_not_wait_for_who_reads_nothing() -> None:
    async with listening(generous(), drain_s=10 * MARGIN_S, stalled_s=10 * MARGIN_S) as server:
        _, writer = await server.connect()
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.sleep(0.1)
        began = time.monotonic()
        asyncio.get_running_loop().call_later(0.1, cut, server.running)
        await server.running.cleanup()
        assert time.monotonic() - began < MARGIN_S
