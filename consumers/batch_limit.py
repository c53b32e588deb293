"""How many commands of a partition are decided together: fewer after a transaction that took too long (CP-23)."""

from __future__ import annotations

from typing import Final

MOST: Final = 256
FEW: Final = 32
"""A transaction of fewer that takes too long does so for another reason; one by one they would take longer still."""
RESTRAINT_S: Final = 60.0
"""How long batches stay as small as a slow transaction made them, before they double."""


class BatchLimit:
    """Halves with each transaction that is given up at its time limit: at the same size it might never pass."""

    def __init__(self) -> None:
        self.most = MOST
        self._changed_at = 0.0

    def at(self, now: float) -> int:
        """Return how many commands may be taken together now; ``now`` in seconds of a clock that never steps."""
        if self.most < MOST and now - self._changed_at >= RESTRAINT_S:
            self.most, self._changed_at = min(MOST, 2 * self.most), now
        return self.most

    def too_slow(self, commands: int, now: float) -> None:
        """Note that a transaction of so many commands was given up: the next has half of them.

        Few count as FEW, until it happens again: in a quiet second a broker's pause hits batches of one command.
        """
        self.most, self._changed_at = max(1, min(self.most, max(commands, FEW)) // 2), now
