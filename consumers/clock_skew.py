"""How far this process's clock is from the brokers' (CP-18)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from consumers.metrics import Metrics

logger = logging.getLogger("scimgw.clock")

MOST_SKEW_S: Final = 1.0
"""The margin that decisions leave for clocks; further apart a command might be decided after its budget."""
REMEMBERED_S: Final = 60.0
"""After so long without a comparison a clock that was out gets another chance: only a write can compare again."""


class ClockSkew:
    """Keeps the last comparison, and carries it on: a step of this clock shows against the one that never steps.

    A process that is not ready gets no writes to compare with; mending its clock must make it ready all the same.
    """

    def __init__(
        self,
        metrics: Metrics,
        *,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._metrics = metrics
        self._wall = wall
        self._steady = steady
        self._observed = 0.0
        self._offset = wall() - steady()
        self._compared_at = steady()
        self._alarmed = False

    def observed(self, skew_s: float) -> None:
        """Take a comparison: by how many seconds this clock is ahead of the brokers' (negative: behind)."""
        self._observed = skew_s
        self._compared_at = self._steady()
        self._offset = self._wall() - self._compared_at
        self._look()

    @property
    def ahead_s(self) -> float:
        """By how many seconds this clock is ahead now, as far as is known."""
        if abs(self._observed) > MOST_SKEW_S and self._steady() - self._compared_at > REMEMBERED_S:
            self._observed, self._offset = 0.0, self._wall() - self._steady()
        return self._observed + (self._wall() - self._steady()) - self._offset

    @property
    def problem(self) -> str | None:
        """What ``/readyz`` says while the clock is out; None while it is not."""
        ahead = self._look()
        if abs(ahead) <= MOST_SKEW_S:
            return None
        direction = "ahead of" if ahead > 0 else "behind"
        return f"this clock is {abs(ahead):.1f} s {direction} the brokers'; let NTP set it"

    def _look(self) -> float:
        ahead = self.ahead_s
        self._metrics.clock_skew.set(ahead)
        out = abs(ahead) > MOST_SKEW_S
        if out != self._alarmed:
            self._alarmed = out
            fields = {"action": "clock_out" if out else "clock_agrees", "ahead_s": round(ahead, 3)}
            if out:
                logger.error("this clock and the brokers' are more than %.0f s apart", MOST_SKEW_S, extra=fields)
            else:
                logger.info("this clock and the brokers' agree again", extra=fields)
        return ahead
