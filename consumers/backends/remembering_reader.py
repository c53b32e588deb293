"""Reads that need no hop to the database: a decorator around the embedded reader."""

from __future__ import annotations

from consumers.backends.sqlite_reader import SqliteReader, image_of
from consumers.backends.sqlite_remembering import RememberingStore
from consumers.ports import Page
from schemas.changes import Name
from schemas.memberships import Membership
from schemas.outcomes import Outcome
from schemas.records import ResourceImage


class RememberingReader:
    """``consumers.ports.Reader`` over a SqliteReader, with the records that the store remembers.

    They are as of the last commit: what a commit is about to change is not remembered until it succeeded, and who asks
    meanwhile asks the database, which shows it before it is acknowledged or when it is (INV-8).
    """

    def __init__(self, reader: SqliteReader, store: RememberingStore) -> None:
        self._reader = reader
        self._store = store

    async def get(self, tenant: str, resource_type: str, resource_id: str) -> ResourceImage | None:
        """See ``consumers.ports.Reader.get``."""
        record = self._store.recalled((tenant, resource_type, resource_id))
        if record is not None:
            return image_of(record)
        return await self._reader.get(tenant, resource_type, resource_id)

    async def find(self, tenant: str, resource_type: str, name: Name) -> tuple[ResourceImage, ...]:
        """See ``consumers.ports.Reader.find``."""
        return await self._reader.find(tenant, resource_type, name)

    async def page(self, tenant: str, resource_type: str, offset: int, limit: int) -> Page:
        """See ``consumers.ports.Reader.page``."""
        return await self._reader.page(tenant, resource_type, offset, limit)

    async def groups_of(self, tenant: str, member_id: str) -> tuple[Membership, ...]:
        """See ``consumers.ports.Reader.groups_of``."""
        return await self._reader.groups_of(tenant, member_id)

    async def outcome(self, tenant: str, txn: str) -> Outcome | None:
        """See ``consumers.ports.Reader.outcome``."""
        return await self._reader.outcome(tenant, txn)
