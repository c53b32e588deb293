"""Batches by themselves: what comes while a round trip is under way goes into the next one together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Gathered(Generic[T]):
    """One round trip at a time; ``pause_s`` is left after each for every item that was in it, 10 ms at the most."""

    def __init__(self, send: Callable[[list[T]], Awaitable[None]], *, most: int = 500, pause_s: float = 0) -> None:
        self._send = send
        self._most = most
        self._pause_s = pause_s
        self._waiting: list[T] = []
        self._filled = asyncio.Event()

    def add(self, item: T) -> None:
        """Queue an item for the next round trip."""
        self._waiting.append(item)
        self._filled.set()

    async def run(self) -> None:
        """Make round trips until cancelled, or until one of them fails."""
        while True:
            await self._filled.wait()
            items, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            if not self._waiting:
                self._filled.clear()
            await self._send(items)
            if self._pause_s:
                await asyncio.sleep(min(0.010, self._pause_s * len(items)))
