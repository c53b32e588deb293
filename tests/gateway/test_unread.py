"""Answers that nobody reads: bounded for each tenant, and no other tenant pays for them."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import msgspec

from gateway.app import main_app
from gateway.listening import listen, runner
from gateway.unread import MOST_UNREAD_BYTES
from schemas.records import ResourceImage
from tests.gateway.fronts import TOKEN, Ports, front_of, unused

MEBIBYTE = 1024 * 1024
GET = f"GET /scim/v2/Users/u-1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
DELETE = GET.replace(b"GET", b"DELETE", 1)


class LargeUser(Ports):
    """One user of 1 MiB under every id."""

    async def get(self, tenant: str, resource_type: str, resource_id: str) -> ResourceImage | None:
        """See ``consumers.ports.Reader``."""
        doc = msgspec.Raw(msgspec.json.encode({"schemas": [], "id": "u-1", "title": "x" * MEBIBYTE}))
        return ResourceImage(kind="user", v=1, version=1, created="", modified="", doc=doc)


async def asked(port: int, request: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    # Small buffers at this end: what the test does not read stays in the server's hands, not in the kernel's.
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    small.setblocking(False)
    await asyncio.get_running_loop().sock_connect(small, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=small, limit=1024)
    writer.write(request)
    return reader, writer


async def leave(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def status(reader: asyncio.StreamReader) -> bytes:
    return (await asyncio.wait_for(reader.readline(), 10))[9:12]


async def test_INV19_what_a_tenant_leaves_unread_is_bounded() -> None:
    front = front_of(LargeUser(unused))
    running = runner(main_app(front), 1.0)
    await running.setup()
    server = await listen(running, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)  # its connections inherit it
    try:
        left = [await asked(port, GET) for _ in range(3 * MOST_UNREAD_BYTES // MEBIBYTE)]
        statuses = [await status(reader) for reader, _ in left]
        assert set(statuses) == {b"200", b"429"}, "the first are answered, the last refused"
        assert front.unread.bytes_of("acme") <= MOST_UNREAD_BYTES
        assert front.unread.bytes_of("other") == 0

        for _, writer in left:
            await leave(writer)
        await asyncio.sleep(0.2)
        assert front.unread.bytes_of("acme") == 0
        reader, writer = await asked(port, GET)
        assert await status(reader) == b"200", "there is room again"
        await leave(writer)
    finally:
        server.close()
        await running.cleanup()
        front.passwords.close()


async def test_INV19_changes_are_refused_before_they_are_applied_while_too_much_is_unread() -> None:
    front = front_of(LargeUser(unused))
    front.unread.bytes_of = lambda tenant: MOST_UNREAD_BYTES + 1  # type: ignore[method-assign]
    running = runner(main_app(front), 1.0)
    await running.setup()
    server = await listen(running, "127.0.0.1", 0)
    try:
        reader, writer = await asked(server.sockets[0].getsockname()[1], DELETE)
        assert await status(reader) == b"429"
        await leave(writer)
    finally:
        server.close()
        await running.cleanup()
        front.passwords.close()
