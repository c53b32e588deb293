"""The main port: how many connections, and what is said when it cannot be had."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from consumers.errors import OperatorError
from gateway import listening
from gateway.app import main_app
from tests.gateway.fronts import Ports, front_of, served, unused

PROBE = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


async def answered(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> bool:
    """Tell whether a request on the connection gets an answer rather than a close."""
    reader, writer = connection
    try:
        writer.write(PROBE)
        return (await asyncio.wait_for(reader.read(100), 5)).startswith(b"HTTP/1.1 200")
    except ConnectionError:
        return False


async def test_INV19_more_connections_than_the_limit_are_closed_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "MOST_CONNECTIONS", 3)
    async with served(front_of(Ports(unused))) as origin:
        host, port = origin.removeprefix("http://").split(":")
        inside = [await asyncio.open_connection(host, int(port)) for _ in range(3)]
        assert [await answered(each) for each in inside] == [True] * 3
        outside = await asyncio.open_connection(host, int(port))
        assert not await answered(outside)
        inside[0][1].close()
        await inside[0][1].wait_closed()
        await asyncio.sleep(0.05)
        again = await asyncio.open_connection(host, int(port))
        assert await answered(again), "who leaves makes room"
        for _, writer in (*inside[1:], outside, again):
            writer.close()


async def test_a_port_in_use_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        running = listening.runner(main_app(front_of(Ports(unused))), 1)
        await running.setup()
        try:
            with pytest.raises(OperatorError, match=f"port {port} on 127.0.0.1 is in use; give another by --port"):
                await listening.listen(running, "127.0.0.1", port)
        finally:
            await running.cleanup()


async def test_an_address_that_is_not_ours_is_said_in_one_line() -> None:
    running = listening.runner(main_app(front_of(Ports(unused))), 1)
    await running.setup()
    try:
        with pytest.raises(OperatorError, match="cannot be had"):
            await listening.listen(running, "192.0.2.1", 0)
    finally:
        await running.cleanup()


async def test_connections_inherit_how_long_an_unread_answer_may_stay() -> None:
    running = listening.runner(main_app(front_of(Ports(unused))), 1)
    await running.setup()
    try:
        server = await listening.listen(running, "127.0.0.1", 0, stalled_s=7)
        assert server.sockets[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 7000
        server.close()
    finally:
        await running.cleanup()


def test_without_a_certificate_there_is_no_TLS() -> None:
    assert listening.tls_context("", "") is None


def test_a_certificate_that_will_not_do_is_said_in_one_line(tmp_path: Path) -> None:
    nonsense = tmp_path / "cert.pem"
    nonsense.write_text("nonsense")
    for cert in (nonsense, tmp_path / "missing.pem"):
        with pytest.raises(OperatorError, match="do not make a pair that can be used"):
            listening.tls_context(str(cert), str(nonsense))
