"""How long and how often rows are measured, and when the bench must be over."""

from __future__ import annotations

import sys
import time
from typing import Final

import msgspec

from tests.load.errors import RunFailed

_START: Final = time.monotonic()


class Budget(msgspec.Struct, frozen=True):
    """The sizes of a bench; times in seconds."""

    runs: int = 5
    seconds: float = 10
    warm_up_s: float = 2
    population: int = 10_000
    small: int = 1_000
    """Population that creates at ``large`` are compared with."""
    large: int = 200_000
    minutes: int = 0
    """How long the row of memory takes; 0: as long as some runs of another row."""
    until: float = float("inf")
    """Monotonic time at which no further run is begun."""

    def begin(self, row: str, step: str) -> None:
        """Say on standard error what comes now. Raises RunFailed when the time is over."""
        if time.monotonic() >= self.until:
            raise RunFailed("the time is over; give more by --limit or fewer rows by --rows")
        print(f"[{time.monotonic() - _START:6.0f} s] {row}: {step}", file=sys.stderr, flush=True)
