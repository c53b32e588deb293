"""How many outcomes the embedded database holds, and whether there is room for another under an Idempotency-Key."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from consumers.settings import OutcomeSettings
from schemas.outcomes import Outcome


class OutcomeBound:
    """What the upkeep has counted, and of those with a key also what the store has added since."""

    def __init__(
        self, limits: OutcomeSettings, told: Callable[[int, int], None] = lambda _unkeyed, _keyed: None
    ) -> None:
        """``told``: hears how many there are without and with a key, each time they are counted."""
        self.limits = limits
        self._told = told
        self._keyed = 0

    @property
    def full(self) -> bool:
        """Whether so many outcomes are held under Idempotency-Keys that no further one may be kept."""
        return self._keyed >= self.limits.most_keyed

    def added(self, outcomes: Iterable[tuple[str, Outcome]]) -> None:
        """Note outcomes that were stored."""
        self._keyed += sum(outcome.key is not None for _, outcome in outcomes)

    def counted(self, unkeyed: int, keyed: int) -> int:
        """Note how many there are; return how many of those without a key are too many."""
        self._keyed = keyed
        self._told(unkeyed, keyed)
        return max(0, unkeyed - self.limits.most)
