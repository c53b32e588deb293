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
        self._out_since: float | None = None

    def observed(self, skew_s: float) -> None:
        """Take a comparison: by how many seconds this clock is ahead of the brokers' (negative: behind)."""
        self._observed = skew_s
        self._compared_at = self._steady()
        self._offset = self._wall() - self._compared_at
        self._look()

    @property
    def problem(self) -> str | None:
        """What ``/readyz`` says while the clock is out; None while it is not."""
        ahead = self._look()
        if abs(ahead) <= MOST_SKEW_S:
            return None
        direction = "ahead of" if ahead > 0 else "behind"
        return f"this clock is {abs(ahead):.1f} s {direction} the brokers'; let NTP set it"

    def _look(self) -> float:
        """Return by how many seconds this clock is ahead now, as far as is known; tell of a change."""
        now, wall = self._steady(), self._wall()
        if self._out_since is not None and now - max(self._out_since, self._compared_at) > REMEMBERED_S:
            self._observed, self._offset = 0.0, wall - now
        ahead = self._observed + wall - now - self._offset
        self._metrics.clock_skew.set(ahead)
        fields = {"ahead_s": round(ahead, 3)}
        if abs(ahead) > MOST_SKEW_S:
            if self._out_since is None:
                self._out_since = now
                logger.error("this clock and the brokers' are apart", extra={"action": "clock_out", **fields})
        elif self._out_since is not None:
            self._out_since = None
            logger.info("this clock and the brokers' agree again", extra={"action": "clock_agrees", **fields})
        return ahead
