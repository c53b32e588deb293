"""Everything known about a run, indexed for the checks, and what they found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.faults.attribution import Attribution, Request
from tests.faults.evidence import Event
from tests.faults.history import Operation
from tests.faults.timelines import Timeline
from tests.faults.violations import Kind, Violation


@dataclass(slots=True)
class Findings:
    """A run and its violations, which grow as the checks go through it."""

    history: Sequence[Operation]
    attribution: Attribution
    versions: dict[str, dict[int, Event]]
    """By resource and version."""
    timelines: dict[str, Timeline]
    polled: bool = False
    """Whether an answer may be a stored outcome whose reply was lost: its body is the resource as it is now."""
    parked: frozenset[str] = frozenset()
    """The txns of commands that were set aside."""
    swallowed: bool = False
    """Whether the network may have lost an answer that it took."""
    violations: list[Violation] = field(default_factory=list)

    def add(self, invariant: str, kind: Kind, text: str, resource: str | None, *operations: Operation) -> None:
        """Note a violation."""
        numbers = tuple(operation.number for operation in operations)
        self.violations.append(Violation(invariant, kind, text, resource, numbers))

    def event(self, resource: str | None, version: int | None) -> Event | None:
        """Return the event of a version, or None."""
        return self.versions.get(resource or "", {}).get(version or 0)

    def last(self, resource: str) -> Event | None:
        """Return the last event of a resource, or None."""
        made = self.versions.get(resource)
        return made[max(made)] if made else None


def decided_between(request: Request) -> tuple[int, int]:
    """Return when a request that got an answer was decided: from its first attempt to its first answer."""
    return request.invoked_at, min(answer.returned_at for answer in request.answers)
