"""Batches by themselves: what comes while a round trip is under way goes into the next one together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")


LOOK_S: Final = 0.003


class Gathered(Generic[T]):
    """One round trip at a time.

    After one of several items the next waits while more come, ``looks`` times 3 ms at the most.
    """

    def __init__(self, send: Callable[[list[T]], Awaitable[None]], *, most: int = 500, looks: int = 0) -> None:
        self._send = send
        self._most = most
        self._looks = looks
        self._waiting: list[T] = []
        self._filled = asyncio.Event()

    def add(self, item: T) -> None:
        """Queue an item for the next round trip."""
        self._waiting.append(item)
        self._filled.set()

    async def run(self) -> None:
        """Make round trips until cancelled, or until one of them fails."""
        last = 1
        while True:
            await self._filled.wait()
            if last > 1:
                await self._settled()
            items, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            if not self._waiting:
                self._filled.clear()
            await self._send(items)
            last = len(items)

    async def _settled(self) -> None:
        seen = 0
        for _ in range(self._looks):
            if len(self._waiting) == seen:
                return
            seen = len(self._waiting)
            await asyncio.sleep(LOOK_S)
