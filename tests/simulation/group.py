"""The coordinator of the workers' group: who should have which partition, and who is still there."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Final

from tests.simulation.loop import VirtualLoop


class Coordinator:
    """Shares out partitions; a partition goes to its next owner when the last gave it back or was not heard of."""

    HEARTBEAT_S: Final = 1.0
    SESSION_S: Final = 6.0

    def __init__(self, loop: VirtualLoop, random: Random, partitions: int, counts: Counter[str]) -> None:
        self._loop = loop
        self._random = random
        self._counts = counts
        self._heard: dict[str, float] = {}
        self._wanted: dict[int, str] = {}
        self._holder: dict[int, str | None] = dict.fromkeys(range(partitions))

    def heartbeat(self, member: str, held: frozenset[int]) -> frozenset[int]:
        """Note that a member lives and what it holds; return what it should hold now."""
        is_new = member not in self._heard
        self._heard[member] = self._loop.time()
        gone = [name for name, at in self._heard.items() if self._loop.time() - at > self.SESSION_S]
        for name in gone:
            self.leave(name)
        if is_new:
            self.rebalance()
        for partition, holder in self._holder.items():
            if holder == member and partition not in held and self._wanted.get(partition) != member:
                self._holder[partition] = None
        for partition, wanted in self._wanted.items():
            if wanted == member and self._holder[partition] is None:
                self._holder[partition] = member
        return frozenset(
            p for p, holder in self._holder.items() if holder == member and self._wanted.get(p, member) == member
        )

    def leave(self, member: str) -> None:
        """Take a member out: its partitions go to the others."""
        if self._heard.pop(member, None) is None:
            return
        for partition, holder in self._holder.items():
            if holder == member:
                self._holder[partition] = None
        self.rebalance()

    def rebalance(self, *, rude: bool = False) -> None:
        """Share the partitions out anew, at random; ``rude``: without waiting for who has them."""
        self._counts["rebalances"] += 1
        members = list(self._heard)
        for partition in self._holder:
            if not members:
                self._wanted.pop(partition, None)
                continue
            self._wanted[partition] = self._random.choice(members)
            if rude:
                self._holder[partition] = self._wanted[partition]
