"""The latest records of the resources used last, bounded by their bytes."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

Address = tuple[str, str, str]
"""Tenant, resource type and id (``ChangeCommand.address``)."""

_ENTRY_BYTES: Final = 500
"""What an entry takes beside its record: the address, its strings, the places in the table."""


class RecordCache:
    """Keeps up to ``most_bytes`` of records; the one not used for longest goes first."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._records: OrderedDict[Address, bytes] = OrderedDict()

    def __len__(self) -> int:
        """Return how many records are kept."""
        return len(self._records)

    def __contains__(self, address: Address) -> bool:
        """Tell whether a record is kept, without using it."""
        return address in self._records

    def get(self, address: Address) -> bytes | None:
        """Return the record, or None where it is not kept."""
        record = self._records.get(address)
        if record is not None:
            self._records.move_to_end(address)
        return record

    def put(self, address: Address, record: bytes) -> None:
        """Keep the record as the one used last, in the place of what was kept for this address."""
        self.drop(address)
        self._records[address] = record
        self._bytes += len(record) + _ENTRY_BYTES
        while self._bytes > self._most_bytes:
            _, oldest = self._records.popitem(last=False)
            self._bytes -= len(oldest) + _ENTRY_BYTES

    def offer(self, address: Address, record: bytes) -> bool:
        """Keep the record as the one not used for longest, unless that takes the place of another; tell which."""
        size = len(record) + _ENTRY_BYTES
        if address in self._records or self._bytes + size > self._most_bytes:
            return False
        self._records[address] = record
        self._records.move_to_end(address, last=False)
        self._bytes += size
        return True

    def drop(self, address: Address) -> None:
        """Forget the record, where it is kept."""
        record = self._records.pop(address, None)
        if record is not None:
            self._bytes -= len(record) + _ENTRY_BYTES
