"""Back ends as the contract suites meet them: one joins by a class here and its line in ``STORES`` or ``LOGS``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, Protocol

import msgspec

from consumers.backends.sqlite import Embedded, open_embedded
from consumers.ports import EventLog, Reader, Store
from schemas.commands import ChangeCommand
from schemas.numbering import Batch

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


STORES: Final[dict[str, Callable[[Path], StoreStand]]] = {
    "sqlite": SqliteStand,
    "sqlite-remembering": RememberingStand,
}
"""By name; a stand is made with an empty directory of its own."""
LOGS: Final[dict[str, Callable[[Path], LogStand]]] = {"sqlite": SqliteStand}
