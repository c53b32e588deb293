"""Whether a process is ready to be sent work, and what it lacks (``interfaces.md``, HTTP beside SCIM)."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Readiness:
    """What ``/readyz`` and ``/startupz`` tell. Names map to a sentence for whoever looks."""

    starting: dict[str, str] = field(default_factory=dict)
    """What is missing before the process is ready for the first time; empty for good from then on."""
    problems: dict[str, str] = field(default_factory=dict)
    """What keeps a process that was ready from being so: a clock that is out (CP-18)."""
    draining: bool = False

    @property
    def missing(self) -> dict[str, str]:
        """Return what keeps the process from being ready now."""
        stopping = {"draining": "the process is stopping"} if self.draining else {}
        return {**self.starting, **self.problems, **stopping}
