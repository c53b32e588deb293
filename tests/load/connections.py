"""A small HTTP/1.1 client on keep-alive connections, cheap enough to fill a population from the same two cores."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec

from tests.load.errors import BenchError


class Answer(msgspec.Struct, frozen=True):
    """One answer, its body whole."""

    status: int
    head: bytes
    """Status line and headers as received, without the empty line."""
    body: bytes


def encode(method: str, target: str, token: str, body: bytes | None = None, headers: Sequence[str] = ()) -> bytes:
    """Return one request as bytes; ``headers`` are whole lines."""
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {token}", *headers]
    if body is not None:
        lines += ["Content-Type: application/scim+json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def split_answer(received: bytes) -> tuple[Answer, bytes] | None:
    """Cut the first answer off; None while it is not whole. Raises BenchError for what the server never sends."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = received[:end]
    if not head.startswith(b"HTTP/1.1 "):
        raise BenchError(f"no HTTP/1.1 answer: {head[:40]!r}")
    status = int(head[9:12])
    length = _content_length(head, status)
    after = end + 4 + length
    if len(received) < after:
        return None
    return Answer(status, head, received[end + 4 : after]), received[after:]


def _content_length(head: bytes, status: int) -> int:
    lower = head.lower()
    start = lower.find(b"\r\ncontent-length:")
    if start >= 0:
        return int(lower[start + 17 :].split(b"\r\n", 1)[0])
    if status in {204, 304}:
        return 0
    raise BenchError("an answer without Content-Length; this client reads no chunked ones")


class Connection(asyncio.Protocol):
    """One keep-alive connection; answers come in the order of the requests (RFC 9112 section 9.3.2)."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._received = b""
        self._waiting: deque[asyncio.Future[Answer]] = deque()
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while self._waiting and (cut := split_answer(self._received)):
            answer, self._received = cut
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_exception(ConnectionResetError("the server closed a connection with a request on it"))

    def close(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.close()

    async def ask(
        self, method: str, target: str, body: bytes | None = None, headers: Sequence[str] = (), *, limit_s: float = 30
    ) -> Answer:
        """Send one request and wait for its answer. Raises TimeoutError and ConnectionResetError."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the connection is closed")
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        self._transport.write(encode(method, target, self._token, body, headers))
        return await asyncio.wait_for(waiting, limit_s)


@asynccontextmanager
async def connections(port: int, token: str, count: int) -> AsyncIterator[list[Connection]]:
    """Open ``count`` connections to the loopback and close them at the end."""
    loop = asyncio.get_running_loop()
    opened: list[Connection] = []
    try:
        for _ in range(count):
            _, connection = await loop.create_connection(lambda: Connection(token), "127.0.0.1", port)
            opened.append(connection)
        yield opened
    finally:
        for connection in opened:
            connection.close()
