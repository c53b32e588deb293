"""Connections to a simulated Redis, for the product's own clients: what ``redis.asyncio.connection`` is to them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any, Final
from unittest.mock import patch

import hiredis
import redis

from consumers.backends import redis_client, redis_presence, redis_store
from consumers.settings import RedisSettings
from tests.simulation.loop import HOME
from tests.simulation.network import Network, Process
from tests.simulation.redis_server import RedisServer

SETTINGS: Final = RedisSettings(url="redis://simulated")
MOST_COMMANDS: Final = 2
"""Commands of one commit script: 100 in production, so few here that batches take several."""
LIMIT_S: Final = 1.0
"""After so long a connection that hangs, or whose answers get lost, is seen to be broken."""


class Connection:
    """One connection of one process."""

    def __init__(self, network: Network, process: Process, server: RedisServer) -> None:
        self.process = process
        self.channels: set[bytes] = set()
        self.broken = False
        """Whether the server has closed it."""
        self._connected = self._closed = False
        self._reader = asyncio.StreamReader(loop=asyncio.get_running_loop())
        """Never reset unseen: here the server closes."""
        self._network = network
        self._server = server
        self._trips: deque[Any] = deque()
        self._answers: deque[Any] = deque()

    @property
    def is_there(self) -> bool:
        """Whether its process lives and has not closed it, nor the server."""
        return not (self.broken or self._closed or self.process.dead)

    async def connect_check_health(self, *, check_health: bool, retry_socket_connect: bool) -> None:
        """Connect, where it is not connected yet. Raises redis.ConnectionError."""
        del check_health, retry_socket_connect
        if not self._connected:
            await self._network.call(self.process, self._server, lambda: self._server.accept(self), limit_s=LIMIT_S)
            self._connected = True

    async def can_read(self) -> bool:
        """Tell whether there is something to read that nobody asked for: the end."""
        return self.broken

    async def send_packed_command(self, packed: Sequence[bytes], *, check_health: bool) -> None:
        """Send commands as they stand on the wire."""
        del check_health
        reader = hiredis.Reader()
        reader.feed(b"".join(packed))
        commands = []
        while (words := reader.gets()) is not False:
            commands.append(words)
        await self._send(commands)

    async def send_command(self, *words: str) -> None:
        """Send one command."""
        await self._send([[word.encode() for word in words]])

    async def _send(self, commands: Sequence[Sequence[bytes]]) -> None:
        await self.process.gate()
        if self.broken:
            raise redis.ConnectionError("the connection was closed by the server")
        execute = partial(self._server.execute, self, commands)
        self._trips.append(self._network.post(self.process, self._server, execute, limit_s=LIMIT_S))

    async def read_response(self) -> Any:
        """Return the next answer; raises it where it is an error."""
        if not self._answers:
            self._answers.extend(await self._trips.popleft())
        answer = self._answers.popleft()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def disconnect(self, *, nowait: bool = False) -> None:
        """Close it; what was sent arrives."""
        del nowait
        self._closed = True


class Pool:
    """``connection_pool`` of the product's clients: its connections lead from one process to one server."""

    def __init__(self, network: Network, process: Process, server: RedisServer) -> None:
        self.connection_class = Connection
        self.connection_kwargs = {"network": network, "process": process, "server": server}


def connected(network: Network) -> list[Any]:
    """Return the patches by which the product's clients, made by a simulated process, connect to its Redis."""

    def pool(_settings: object, _timeout_s: float) -> Pool:
        process = HOME.get()
        assert isinstance(process, Process)
        assert process.redis is not None
        return Pool(network, process, process.redis)

    return [
        patch.object(redis_client, "connection_pool", pool),
        patch.object(redis_presence, "connection_pool", pool),
        patch.object(redis_store, "MOST_COMMANDS", MOST_COMMANDS),
    ]
