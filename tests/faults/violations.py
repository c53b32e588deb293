"""What a check finds: one broken invariant, with its witnesses."""

from __future__ import annotations

from typing import Literal

import msgspec

Kind = Literal["lost", "doubled", "reordered", "refused", "stale", "late", "content", "name", "form"]
"""The column of the faults table it counts in; the last five share one."""


class Violation(msgspec.Struct, frozen=True):
    """One broken invariant of ``design.md`` section 12, the resource and the numbers of the operations that show it."""

    invariant: str
    kind: Kind
    text: str
    resource: str | None = None
    operations: tuple[int, ...] = ()

    def __str__(self) -> str:
        where = f" resource {self.resource}" if self.resource else ""
        who = f" operations {', '.join(map(str, self.operations))}" if self.operations else ""
        return f"{self.invariant} ({self.kind}){where}{who}: {self.text}"
