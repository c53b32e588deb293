"""Stores of partitions as their suite meets them: one joins by a class here and its line in ``PARTITION_STORES``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from consumers.backends.redis_client import RedisClient
from consumers.backends.redis_reader import RedisReader
from consumers.backends.redis_replies import RedisReplies
from consumers.backends.redis_store import RedisPartitionStore
from consumers.partition_ports import PartitionStore, ReplySource
from consumers.ports import Reader
from consumers.settings import RedisSettings
from tests.simulation.stand import SimulatedPartitionStand

PARTITIONS: Final = 2
"""Of the one shard of a stand."""


class PartitionStand(Protocol):
    """One shard of two partitions, empty, that nobody owns yet."""

    def owner(self, partition: int) -> PartitionStore:
        """Return the store of an owner to be, which has a process of its own."""
        ...

    def reader(self) -> Reader:
        """Return the reader of a gateway."""
        ...

    def replies(self, gateway: str) -> ReplySource:
        """Return the answers for a gateway."""
        ...

    async def close(self) -> None:
        """Let go of everything."""
        ...


class RedisPartitionStand:
    """A Redis or Valkey."""

    def __init__(self, url: str) -> None:
        self._settings = RedisSettings(url=url)
        self._clients: list[RedisClient] = []

    def client(self) -> RedisClient:
        """Return a connection of its own."""
        self._clients.append(RedisClient(self._settings))
        return self._clients[-1]

    def owner(self, partition: int) -> RedisPartitionStore:
        """See ``PartitionStand.owner``."""
        return RedisPartitionStore(self.client(), partition=partition, shards=1, partitions=PARTITIONS)

    def reader(self) -> RedisReader:
        """See ``PartitionStand.reader``."""
        return RedisReader(self.client(), shards=1, partitions=PARTITIONS)

    def replies(self, gateway: str) -> RedisReplies:
        """See ``PartitionStand.replies``."""
        return RedisReplies(self.client(), self._settings, gateway=gateway)

    async def close(self) -> None:
        """See ``PartitionStand.close``."""
        for client in self._clients:
            await client.close()


PARTITION_STORES: Final[dict[str, tuple[str | None, Callable[[str], PartitionStand]]]] = {
    "redis": ("redis_url", RedisPartitionStand),
    "simulated": (None, SimulatedPartitionStand),
    "valkey": ("valkey_url", RedisPartitionStand),
}
"""By name: the fixture of the URL that the stand is made with, None for no server and "" as the URL."""
