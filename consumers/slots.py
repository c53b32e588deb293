"""How many batches are worked on at once: small transactions on few cores cost more than they carry (CP-22).

A batch has its slot from the first look at the store on: what comes for the other partitions meanwhile makes one batch
each, and not the two halves that would follow each other for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

LONGEST_S: Final = 0.1


class TransactionSlots:
    """At most ``count`` at once, while the others gather more; a slow one gives its place back after 100 ms."""

    def __init__(self, count: int) -> None:
        self._free = asyncio.Semaphore(count)

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Wait for a slot and hold it, 100 ms at most: a hanging one must not stop the other partitions."""
        await self._free.acquire()
        held = [True]

        def give_back() -> None:
            if held:
                held.clear()
                self._free.release()

        timer = asyncio.get_running_loop().call_later(LONGEST_S, give_back)
        try:
            yield
        finally:
            timer.cancel()
            give_back()
