"""How many outcomes of a partition the store holds: they expire there by themselves, so they are counted beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from schemas.outcomes import Outcome, expires_at

_MINUTE_MS: Final = 60_000


class HeldOutcomes:
    """Counts outcomes by the minute in which they expire: a day's worth is 1,440 numbers."""

    def __init__(self) -> None:
        self._expiring: Counter[int] = Counter()

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Count outcomes that were stored, or restored by a replay."""
        self._expiring.update(-(-expires_at(outcome) // _MINUTE_MS) for outcome in outcomes)

    def count(self, now: int) -> int:
        """Return how many have not expired by ``now`` (milliseconds since 1970), to the minute."""
        for minute in [minute for minute in self._expiring if minute * _MINUTE_MS <= now]:
            del self._expiring[minute]
        return self._expiring.total()

    def clear(self) -> None:
        """Forget all: the partition is taken over anew."""
        self._expiring.clear()
