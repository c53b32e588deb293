"""Back ends as the contract suites meet them: one joins by a class here and its line in ``STORES`` or ``LOGS``."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, Protocol

import msgspec

from consumers.backends.redis_client import RedisClient
from consumers.backends.redis_reader import RedisReader
from consumers.backends.redis_replies import RedisReplies
from consumers.backends.redis_store import RedisPartitionStore
from consumers.backends.sqlite import Embedded, open_embedded
from consumers.ports import EventLog, Reader, Store
from consumers.settings import RedisSettings
from schemas.commands import ChangeCommand
from schemas.numbering import Batch
from tests.contract.edges import put_group_in_sqlite, redis_group_commands

GATEWAY: Final = "gateway-alive"


class Stand(Protocol):
    """One empty back end, which a test may close and open again."""

    async def open(self, gateway: str = GATEWAY) -> None:
        """Open it for the one owner of its resources; the gateway of this id is the only one alive."""
        ...

    async def close(self) -> None:
        """Close it; what was committed stays."""
        ...


class StoreStand(Stand, Protocol):
    """A store and the reader of what it holds."""

    @property
    def store(self) -> Store:
        """The state of resources."""
        ...

    @property
    def reader(self) -> Reader:
        """Reads of the same."""
        ...

    def mark_unseen(self, tenant: str, unseen: str) -> None:
        """Mark the answer of a create as unseen (``consumers.ports.Submitter.mark_unseen``)."""
        ...

    async def put_group(self, group_id: str, display: str, members: Sequence[str]) -> None:
        """Put a group of tenant ``acme`` with its edges into the back end: no command does that yet."""
        ...


class LogStand(Stand, Protocol):
    """An event log and a way to write it."""

    @property
    def events(self) -> EventLog:
        """The events."""
        ...

    async def persist(self, batch: Batch) -> None:
        """Make the batch's events durable, as the apply loop of this back end does."""
        ...


class SqliteStand:
    """The embedded database, which is both."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "scimgw.db"
        self._stack = AsyncExitStack()
        self._opened: Embedded | None = None

    @property
    def _embedded(self) -> Embedded:
        assert self._opened is not None, "the stand is closed"
        return self._opened

    @property
    def store(self) -> Store:
        """See ``StoreStand.store``."""
        return self._embedded.store

    @property
    def reader(self) -> Reader:
        """See ``StoreStand.reader``."""
        return self._embedded.reader

    @property
    def events(self) -> EventLog:
        """See ``LogStand.events``."""
        return self._embedded.events

    async def persist(self, batch: Batch) -> None:
        """See ``LogStand.persist``."""
        await self._embedded.store.commit(batch)

    def mark_unseen(self, tenant: str, unseen: str) -> None:
        """See ``StoreStand.mark_unseen``."""
        self._embedded.store.mark_unseen(tenant, unseen)

    async def put_group(self, group_id: str, display: str, members: Sequence[str]) -> None:
        """See ``StoreStand.put_group``."""
        put_group_in_sqlite(self._path, "acme", group_id, display, members)

    async def open(self, gateway: str = GATEWAY) -> None:
        """See ``Stand.open``."""
        opening = open_embedded(self._path, gateway=gateway, retention_days=7)
        self._opened = await self._stack.enter_async_context(opening)

    async def close(self) -> None:
        """See ``Stand.close``."""
        self._opened = None
        await self._stack.aclose()


class RememberingStand(SqliteStand):
    """The embedded database under a store that answers from memory what it can; a command is fresh only once."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._met: set[str] = set()

    async def open(self, gateway: str = GATEWAY) -> None:
        """See ``Stand.open``."""
        opening = open_embedded(self._path, gateway=gateway, retention_days=7, fresh=self._is_fresh)
        self._opened = await self._stack.enter_async_context(opening)

    def _is_fresh(self, command: ChangeCommand) -> bool:
        met = command.txn in self._met
        self._met.add(command.txn)
        return command.key is msgspec.UNSET and not met


class RedisStand:
    """A Redis or Valkey with one partition, taken over with an empty log; opened again, by its next owner."""

    def __init__(self, url: str) -> None:
        self._settings = RedisSettings(url=url)
        self._client: RedisClient | None = None
        self._store: RedisPartitionStore | None = None
        self._reader: RedisReader | None = None
        self._replies: RedisReplies | None = None

    @property
    def store(self) -> Store:
        """See ``StoreStand.store``."""
        assert self._store is not None, "the stand is closed"
        return self._store

    @property
    def reader(self) -> Reader:
        """See ``StoreStand.reader``."""
        assert self._reader is not None, "the stand is closed"
        return self._reader

    def mark_unseen(self, tenant: str, unseen: str) -> None:
        """See ``StoreStand.mark_unseen``."""
        assert self._replies is not None, "the stand is closed"
        self._replies.mark_unseen(tenant, unseen)

    async def put_group(self, group_id: str, display: str, members: Sequence[str]) -> None:
        """See ``StoreStand.put_group``."""
        assert self._client is not None
        await self._client.calls(redis_group_commands("acme", group_id, display, members))

    async def open(self, gateway: str = GATEWAY) -> None:
        """See ``Stand.open``."""
        self._client = RedisClient(self._settings)
        self._store = RedisPartitionStore(self._client, partition=0, shards=1, partitions=1)
        self._reader = RedisReader(self._client, shards=1, partitions=1)
        self._replies = RedisReplies(self._client, self._settings, gateway=gateway)
        await self._store.take()
        await self._store.activate(os.urandom(8).hex())
        await self._replies.beat()

    async def close(self) -> None:
        """See ``Stand.close``; the gateway is no longer alive."""
        assert self._client is not None
        assert self._replies is not None
        await self._replies.stop()
        await self._client.close()
        self._store = self._reader = self._replies = self._client = None


STORES: Final[dict[str, Callable[[Path], StoreStand]]] = {
    "sqlite": SqliteStand,
    "sqlite-remembering": RememberingStand,
}
"""By name; a stand is made with an empty directory of its own."""
SERVED_STORES: Final[dict[str, tuple[str, Callable[[str], StoreStand]]]] = {
    "redis": ("redis_url", RedisStand),
    "valkey": ("valkey_url", RedisStand),
}
"""By name; a stand is made with the URL that the fixture gives."""
LOGS: Final[dict[str, Callable[[Path], LogStand]]] = {"sqlite": SqliteStand}
