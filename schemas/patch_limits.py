"""How much the operations of one PATCH may do: they run where everybody else's requests wait."""

from __future__ import annotations

from typing import Final

from schemas.errors import InvalidValue
from schemas.patch_requests import MAX_TOUCHED

MAX_EXAMINED: Final = 500_000
"""Comparisons and look-ups that the operations of one request may make; well under a second."""


class PatchLimits:
    """Counts what the operations of one request do; raises InvalidValue beyond MAX_TOUCHED and MAX_EXAMINED."""

    def __init__(self) -> None:
        self._touched = 0
        self._examined = 0

    def touch(self, count: int) -> None:
        """Count values that are added, changed or removed."""
        self._touched += count
        if self._touched > MAX_TOUCHED:
            raise InvalidValue(f"The operations touch more than {MAX_TOUCHED} values; send them in several requests.")

    def examine(self, count: int) -> None:
        """Count comparisons, or what takes as long as so many."""
        self._examined += count
        if self._examined > MAX_EXAMINED:
            raise InvalidValue(
                f"The operations search more than {MAX_EXAMINED} values for what they name; send them in several requests."
            )
