"""A Bloom filter over unique names: tells which are surely held by nobody, in bounded memory."""

from __future__ import annotations

from typing import Final

from schemas.changes import Name

_BITS: Final = 1 << 25
"""4 MiB: with a million names one free name in 1,700 is not known to be free; with ten million, one in five."""
_MASK: Final = _BITS - 1


class NameFilter:
    """Names are added, never removed: one given back since is no longer known to be free, which costs a lookup.

    Python's hash of strings is keyed by a random number of the process: no caller can aim at another's name. Not safe
    to be changed by several threads: setting a bit reads and writes its byte.
    """

    def __init__(self) -> None:
        self._bits = bytearray(_BITS >> 3)

    def add(self, tenant: str, name: Name) -> None:
        """Note that the name is, or is about to be, held in this tenant."""
        first, step = _spread(tenant, name)
        bits = self._bits
        for position in (first & _MASK, (first + step) & _MASK, (first + 2 * step) & _MASK):
            bits[position >> 3] |= 1 << (position & 7)

    def is_new(self, tenant: str, name: Name) -> bool:
        """Tell whether the name was surely never added."""
        first, step = _spread(tenant, name)
        bits = self._bits
        for position in (first & _MASK, (first + step) & _MASK, (first + 2 * step) & _MASK):
            if not bits[position >> 3] & 1 << (position & 7):
                return True
        return False


def _spread(tenant: str, name: Name) -> tuple[int, int]:
    """Return where a name's bits begin, and how far apart they are."""
    value = hash((tenant, name))
    return value, value >> 32 | 1
