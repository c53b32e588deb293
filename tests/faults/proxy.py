"""TCP faults between two processes (F11): a proxy in a process of its own, told over its standard input what to do.

``python -m tests.faults.proxy``: a JSON line in (``Order``), a JSON line out (what each link has done to connections so
far); at the end of its input it ends. ``links.Links`` is the side that gives the orders.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import sys
from collections import Counter
from typing import Final, Literal

import msgspec

Kind = Literal["none", "delay", "black hole", "reset", "half-open", "swallow"]
KINDS: Final[tuple[Kind, ...]] = ("delay", "black hole", "reset", "half-open", "swallow")
CHUNK: Final = 65_536
LINGER_NOT: Final = struct.pack("ii", 1, 0)
"""SO_LINGER of no time: a close is a reset."""
MOST_REPLY_BYTES: Final = 2_000


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What to do with a link; the port is listened on from its first order on."""

    port: int
    target: str = ""
    """``host:port`` that new connections go to from now on; those that are there stay where they are."""
    fault: Kind | None = None
    """From now on: ``delay`` each chunk by up to ``seconds``; ``black hole``: everything is held back until the next
    order; ``reset`` all connections, new ones after their first chunk; ``half-open``: those that are there lose one end
    and the other is not told; ``swallow``: each breaks within its next reply."""
    seconds: float = 0.0
    cut: bool = False
    """Reset all connections now, whatever comes then."""


class Link:
    """One port and what goes through it."""

    def __init__(self) -> None:
        self.host, self.port = "", 0
        self.fault: Kind = "none"
        self.seconds = 0.0
        self.passable = asyncio.Event()
        self.passable.set()
        self.connections: set[Connection] = set()
        self.seen: Counter[str] = Counter()

    def take(self, order: Order) -> None:
        """Do as told."""
        if order.target:
            self.host, _, port = order.target.rpartition(":")
            self.port = int(port)
        if order.cut:
            self._reset_all()
        if order.fault is None:
            return
        self.fault, self.seconds = order.fault, order.seconds
        if order.fault == "black hole":
            self.passable.clear()
        else:
            self.passable.set()
        if order.fault == "reset":
            self._reset_all()
        elif order.fault == "half-open":
            for connection in self.connections:
                connection.lose_one_end()
        elif order.fault == "swallow":
            for connection in self.connections:
                connection.reply_bytes_left = random.randrange(MOST_REPLY_BYTES)

    def _reset_all(self) -> None:
        for connection in list(self.connections):
            self.seen["reset"] += 1
            connection.reset()

    async def accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until either end closes it."""
        await self.passable.wait()
        try:
            far_reader, far_writer = await asyncio.open_connection(self.host, self.port)
        except OSError:
            abort(writer)
            return
        connection = Connection(self, writer, far_writer)
        if self.fault == "swallow":
            connection.reply_bytes_left = random.randrange(MOST_REPLY_BYTES)
        self.connections.add(connection)
        try:
            await asyncio.gather(
                connection.carry(reader, far_writer, is_reply=False),
                connection.carry(far_reader, writer, is_reply=True),
            )
        finally:
            self.connections.discard(connection)
            for each in (writer, far_writer):
                each.close()


class Connection:
    """Both ends of one connection."""

    def __init__(self, link: Link, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self.link = link
        self.ends = (near, far)
        self.lost: asyncio.StreamWriter | None = None
        self.reply_bytes_left: int | None = None

    def reset(self) -> None:
        """Reset both ends."""
        for end in self.ends:
            abort(end)

    def lose_one_end(self) -> None:
        """Have one end vanish; what the other sends is swallowed from now on, and it is not told."""
        self.lost = random.choice(self.ends)
        self.link.seen["half-open"] += 1
        abort(self.lost)

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_reply: bool) -> None:
        """Carry one direction."""
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK):
                if not await self._disturbed(chunk, writer, is_reply=is_reply):
                    writer.write(chunk)
                    await writer.drain()
            if self.lost is None and not writer.is_closing():
                writer.write_eof()
                return
        if self.lost is None:
            self.reset()

    async def _disturbed(self, chunk: bytes, writer: asyncio.StreamWriter, *, is_reply: bool) -> bool:
        """Do to a chunk what the fault does; tell whether nothing of it is to go on."""
        link = self.link
        if link.fault == "delay":
            link.seen["delayed"] += 1
            await asyncio.sleep(random.uniform(0, link.seconds))
        elif link.fault == "black hole":
            link.seen["held back"] += 1
            await link.passable.wait()
        elif link.fault == "reset":
            link.seen["reset"] += 1
            self.reset()
        if self.lost is not None:
            link.seen["unheard"] += 1
            return True
        if is_reply and self.reply_bytes_left is not None:
            if len(chunk) < self.reply_bytes_left:
                self.reply_bytes_left -= len(chunk)
                return False
            link.seen["swallowed"] += 1
            writer.write(chunk[: self.reply_bytes_left])
            self.reset()
        return writer.is_closing()


def abort(writer: asyncio.StreamWriter) -> None:
    """Close a connection by a reset."""
    with contextlib.suppress(OSError, ValueError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
    writer.transport.abort()


async def main() -> None:
    """Take orders until the input ends."""
    loop = asyncio.get_running_loop()
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    links: dict[int, Link] = {}
    decoder = msgspec.json.Decoder(list[Order])
    while line := await orders.readline():
        for order in decoder.decode(line):
            if order.port not in links:
                link = links[order.port] = Link()
                await asyncio.start_server(link.accepted, "127.0.0.1", order.port)
            links[order.port].take(order)
        told = {str(port): dict(link.seen) for port, link in links.items()}
        print(msgspec.json.encode(told).decode(), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
