"""Answers that their callers do not read: how much of them a tenant may leave in this process's memory (INV-19)."""

from __future__ import annotations

import asyncio
from typing import Final

LARGE_BYTES: Final = 64 * 1024
"""Smaller answers fit into the socket's own buffers, and are not watched."""
MOST_UNREAD_BYTES: Final = 32 * 1024 * 1024
"""How much of a tenant's answers may wait to be read; beyond it the tenant's large reads and its changes are 429."""

TOO_MUCH_UNREAD: Final = "too much of earlier answers waits to be read; read them, or close those connections"


class UnreadAnswers:
    """Knows which connections got a large answer, and asks them how much of it is still here.

    By tenant: callers of one that do not read must not cost the others their answers. A caller that reads nothing at
    all is cut off by TCP after ``listening.STALLED_S``.
    """

    def __init__(self) -> None:
        self._watched: dict[str, set[asyncio.WriteTransport]] = {}

    def watch(self, tenant: str, transport: asyncio.WriteTransport) -> None:
        """Note that a connection gets a large answer."""
        self._watched.setdefault(tenant, set()).add(transport)

    def bytes_of(self, tenant: str) -> int:
        """Return how many bytes of the tenant's large answers wait to be read, and forget the connections without any."""
        watched = self._watched.get(tenant)
        if not watched:
            return 0
        total = 0
        for transport in tuple(watched):
            size = 0 if transport.is_closing() else transport.get_write_buffer_size()
            if size == 0:
                watched.discard(transport)
            total += size
        return total
