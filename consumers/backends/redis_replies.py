"""The way of answers to a gateway over a stream of its own in each shard, and its signs of life."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Final

import msgspec

from consumers.backends.redis_client import Command, RedisClient
from consumers.backends.redis_keys import ShardKeys
from consumers.backends.redis_presence import RedisPresence
from consumers.errors import StoreUnavailable
from consumers.partition_ports import Deliver
from consumers.replies import decode_replies, received
from consumers.settings import RedisSettings
from schemas.outcomes import UNSEEN_LIFE_MS
from schemas.partitions import shard_of

logger = logging.getLogger(__name__)

ALIVE_MS: Final = 10_000
"""After this without a sign of life a gateway is gone, and the answers that it had for callers are unseen.

For a machine that vanished: a process that ends takes its presence with it at once.
"""
BEAT_S: Final = 2.5
BLOCK_MS: Final = 2_000
MOST_ENTRIES: Final = 64
_PAUSE_S: Final = 0.2
MOST_READ: Final = 2_048
"""How many entries are taken out together: more than a stream has."""
_NOTHING: Final = b"0-0"
"""Before every entry."""


class RedisReplies:
    """``consumers.partition_ports.ReplySource`` of one gateway."""

    def __init__(self, client: RedisClient, settings: RedisSettings, *, gateway: str) -> None:
        """``client``: for signs of life and marks; the stream, which blocks, is read over a connection of its own."""
        self._client = client
        self._settings = settings
        self._gateway = gateway
        self._keys = [ShardKeys(shard) for shard in range(settings.shards)]
        self._presence = RedisPresence(settings, [keys.alive(gateway) for keys in self._keys])
        self._last = {keys.replies(gateway).encode(): _NOTHING for keys in self._keys}
        """The last entry read of each stream. The gateway's id is its process's own: the first read misses nothing."""
        self._read: dict[bytes, deque[bytes]] = {key: deque(maxlen=MOST_READ) for key in self._last}
        """Entries that were read and may still be there."""

    async def run(self, deliver: Deliver) -> None:
        """See ``ReplySource.run``; goes on after errors, where it left off."""
        reading = RedisClient(self._settings)
        connections = 0
        try:
            while True:
                try:
                    if reading.connections != connections:
                        await self._find_place(reading)
                        connections = reading.connections
                    await self._receive(reading, deliver)
                except StoreUnavailable as error:
                    logger.warning("replies cannot be read", extra={"action": "replies", "error": str(error)})
                    await asyncio.sleep(_PAUSE_S)
        finally:
            await reading.close()

    async def alive(self) -> None:
        """Give signs of life until cancelled; never raises otherwise."""
        try:
            while True:
                try:
                    await self.beat()
                except StoreUnavailable as error:
                    logger.debug("no sign of life", extra={"action": "alive", "error": str(error)})
                await asyncio.sleep(BEAT_S)
        finally:
            await self._presence.close()

    async def beat(self) -> None:
        """Give one sign of life, and be present until the process ends. Raises StoreUnavailable.

        What was read is taken out of the streams by and by: of a burst's answers they would keep the last 1,024 batches.
        """
        await self._presence.renew()
        signs: list[Command] = [("SET", keys.alive(self._gateway), "1", "PX", ALIVE_MS) for keys in self._keys]
        # By their names, not all before the last: of another Redis, whose clock is behind, that might be unread ones.
        read: list[Command] = []
        for key, entries in self._read.items():
            # The newest stays: it tells how far the stream has come.
            names = [entries.popleft() for _ in range(len(entries) - 1)]
            if names:
                read.append(("XDEL", key, *names))
        for answer in (await self._client.calls(signs + read))[: len(signs)]:
            if isinstance(answer, Exception):
                raise answer

    async def stop(self) -> None:
        """Take back the sign of life: the process ends in good order; what it did not answer is unseen at once."""
        commands: list[Command] = [
            ("DEL", keys.alive(self._gateway), keys.replies(self._gateway)) for keys in self._keys
        ]
        await self._presence.close()
        await self._client.calls(commands)

    def mark_unseen(self, tenant: str, unseen: str) -> None:
        """See ``consumers.ports.Submitter.mark_unseen``; sent before whatever is asked of the same client later."""
        keys = self._keys[shard_of(tenant, len(self._keys))]
        marked = self._client.send([("SET", keys.unseen(tenant, unseen), "1", "PX", UNSEEN_LIFE_MS)])
        marked.add_done_callback(_look_at)

    async def _find_place(self, reading: RedisClient) -> None:
        """Begin a stream anew where it has fallen behind what was read: another Redis, or a clock set back."""
        ends = await reading.calls([("XREVRANGE", key, "+", "-", "COUNT", 1) for key in self._last])
        for key, end in zip(self._last, ends, strict=True):
            if isinstance(end, Exception):
                raise end
            if not end or _place(end[0][0]) < _place(self._last[key]):
                self._last[key] = _NOTHING

    async def _receive(self, reading: RedisClient, deliver: Deliver) -> None:
        found = await reading.call(
            "XREAD", "COUNT", MOST_ENTRIES, "BLOCK", BLOCK_MS, "STREAMS", *self._last, *self._last.values()
        )  # fmt: skip
        if not found:
            # Also of a stream that ended and began anew behind a clock that was set back.
            await self._find_place(reading)
            return
        for key, entries in found:
            for entry, fields in entries:
                self._last[key] = entry
                self._read[key].append(entry)
                try:
                    replies = decode_replies(fields[1])
                except msgspec.DecodeError as error:
                    # Of a worker of another version: its outcomes are found where they are stored.
                    logger.warning("replies cannot be decoded", extra={"action": "replies", "error": str(error)})
                    continue
                for reply in replies:
                    deliver(reply.txn, received(reply))


def _place(entry: bytes) -> tuple[int, int]:
    milliseconds, _, number = entry.partition(b"-")
    return int(milliseconds), int(number)


def _look_at(marked: asyncio.Future[list[object]]) -> None:
    error = marked.exception() if not marked.cancelled() else None
    if error is not None:
        logger.warning("an unseen answer was not marked", extra={"action": "mark_unseen", "error": str(error)})
