"""A gateway's presence: a subscription to a channel of its own, of which Redis knows the moment the process is gone.

A sign of life with an expiry lets a killed gateway count as alive for seconds, in which the retry of a POST whose answer
died with it would get a 409 for good (G2). A socket ends with its process.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

from redis.asyncio.connection import AbstractConnection

from consumers.backends.redis_client import CONNECTION_ERRORS, connection_pool, unavailable
from consumers.settings import RedisSettings

TIMEOUT_S: Final = 5.0


class RedisPresence:
    """One connection, subscribed to the channels that are to count us."""

    def __init__(self, settings: RedisSettings, channels: Sequence[str]) -> None:
        self._pool = connection_pool(settings, TIMEOUT_S)
        self._channels = channels
        self._connection: AbstractConnection | None = None
        self._renewing = asyncio.Lock()

    async def renew(self) -> None:
        """Subscribe, unless the subscription stands. Raises StoreUnavailable."""
        async with self._renewing:
            connection, self._connection = self._connection, None
            if connection is not None:
                # By using it: one that was reset while nobody used it looks like one that stands.
                with contextlib.suppress(*CONNECTION_ERRORS):
                    self._connection = await self._subscribed(connection)
                    return
            try:
                new = self._pool.connection_class(**self._pool.connection_kwargs)
                self._connection = await self._subscribed(new)
            except CONNECTION_ERRORS as error:
                raise unavailable(error) from error

    async def _subscribed(self, connection: AbstractConnection) -> AbstractConnection:
        """Return the connection, subscribed, made where it is not; it is closed where that fails."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await connection.connect_check_health(check_health=False, retry_socket_connect=False)
                await connection.send_command("SUBSCRIBE", *self._channels)
                for _ in self._channels:
                    await connection.read_response()
        except BaseException:
            with contextlib.suppress(*CONNECTION_ERRORS):
                await connection.disconnect(nowait=True)
            raise
        return connection

    async def close(self) -> None:
        """Be gone; never raises."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*CONNECTION_ERRORS):
                await connection.disconnect(nowait=True)
