"""When each version of a resource took effect: the interval that all answers together leave for it.

Every write and read says its version, so linearizability of one resource needs no search: version v took effect at one
moment, not before its request was sent, not after it was answered, not after anybody saw v or a later one, not before
anybody was still shown an earlier one, and after v-1. An order without contradiction exists exactly when no version is
left with an empty interval (``faults.md``, history checker, b).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.faults.attribution import NEVER
from tests.faults.history import Operation
from tests.faults.violations import Violation

START = -1


@dataclass(slots=True)
class Bound:
    """A moment and the operation that proves it."""

    at: int
    by: Operation | None = None


@dataclass(slots=True)
class Timeline:
    """Of one resource with versions 1 … ``last``: bounds for the moment of each, after ``settle``."""

    resource: str
    last: int
    after: list[Bound] = field(init=False)
    """``after[v]``: version v took effect at or after this; ``after[last + 1]``: the last one was seen until then."""
    before: list[Bound] = field(init=False)

    def __post_init__(self) -> None:
        self.after = [Bound(START) for _ in range(self.last + 2)]
        self.before = [Bound(NEVER) for _ in range(self.last + 2)]

    def wrote(self, version: int, invoked_at: int, returned_at: int, by: Operation) -> None:
        """Note that a request sent and answered at these times made the version."""
        self._not_before(version, invoked_at, by)
        self._not_after(version, returned_at, by)

    def saw(self, version: int, invoked_at: int, returned_at: int, by: Operation) -> None:
        """Note that the version was current at some moment between these times."""
        self._not_after(version, returned_at, by)
        self._not_before(version + 1, invoked_at, by)

    def _not_before(self, version: int, at: int, by: Operation) -> None:
        if at > self.after[version].at:
            self.after[version] = Bound(at, by)

    def _not_after(self, version: int, at: int, by: Operation) -> None:
        if at < self.before[version].at:
            self.before[version] = Bound(at, by)

    def settle(self) -> list[Violation]:
        """Carry the bounds over to later and earlier versions; returns what contradicts itself (INV-8, INV-12)."""
        for version in range(1, self.last + 2):
            if self.after[version - 1].at > self.after[version].at:
                self.after[version] = self.after[version - 1]
        for version in range(self.last, -1, -1):
            if self.before[version + 1].at < self.before[version].at:
                self.before[version] = self.before[version + 1]
        violations: list[Violation] = []
        told: set[tuple[int, int]] = set()
        for version in range(1, self.last + 1):
            after, before = self.after[version], self.before[version]
            if after.at <= before.at or after.by is None or before.by is None:
                continue
            witnesses = (before.by.number, after.by.number)
            if witnesses in told:
                continue
            told.add(witnesses)
            violations.append(self._contradiction(version, before.by, after.by))
        return violations

    def _contradiction(self, version: int, earlier: Operation, later: Operation) -> Violation:
        numbers = (earlier.number, later.number)
        if later.is_write:
            text = (
                f"version {version} or later was acknowledged or seen before a write was sent that made an earlier one"
            )
            return Violation("INV-12", "reordered", text, self.resource, numbers)
        text = f"a read that began after version {version} was acknowledged or seen was shown an earlier one"
        return Violation("INV-8", "stale", text, self.resource, numbers)
