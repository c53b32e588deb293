"""What a fault run comes to: one line of the table, kept as one line of a log, added up over rounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from tests.faults.campaign import Result, Strike
from tests.faults.violations import Kind

COLUMNS: Final[tuple[str, ...]] = (
    "fault",
    "times",
    "acknowledged",
    "in flight",
    "lost",
    "doubled",
    "reordered",
    "refused wrongly",
    "other",
    "without service s: all",
    "one partition",
    "until normal s",
    "after it is back",
    "target s",
    "seen",
)
NAMED: Final[tuple[Kind, ...]] = ("lost", "doubled", "reordered", "refused")
MOST_TOLD: Final = 50


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What a round of a row showed; times in seconds."""

    row: str
    round: int = 0
    seed: int = 0
    began: str = ""
    """UTC."""
    took: float = 0.0
    times: int = 0
    acknowledged: int = 0
    in_flight: int = 0
    """Writes that were with the service when it was struck."""
    kinds: dict[str, int] = {}
    """Violations by kind."""
    gap: float = 0.0
    """The longest time in which nothing was acknowledged."""
    partition_gap: float = 0.0
    """The longest time in which nothing was acknowledged in one partition."""
    normal: float = 0.0
    """The longest time from a strike to business as usual."""
    back: float | None = None
    """The same from when what was taken away is back; None where nothing was."""
    seen: dict[str, int] = {}
    violations: list[str] = []
    unproven: list[str] = []
    """What is missing to show that the fault bit."""
    broken_off: str = ""
    """Why the round has no figures."""
    skipped: str = ""
    """What this machine lacks for it."""

    @property
    def failed(self) -> bool:
        """Whether the promise was broken, or nothing was shown."""
        return bool(self.violations or self.unproven or self.broken_off)


def figures_of(
    row: str, result: Result, seen: Mapping[str, int], struck: Callable[[Strike], int], partitioned: bool
) -> Figures:
    """Return the figures of a run; ``struck`` counts the writes that a strike has hit."""
    return Figures(
        row=row,
        times=len(result.strikes),
        acknowledged=result.acknowledged,
        in_flight=sum(map(struck, result.strikes)),
        kinds=dict(Counter(violation.kind for violation in result.violations)),
        gap=result.longest_gap(),
        partition_gap=result.longest_partition_gap() if partitioned else result.longest_gap(),
        normal=result.time_to_normal(),
        back=result.time_to_normal_after_return(),
        seen=dict(seen),
        violations=[str(violation) for violation in result.violations[:MOST_TOLD]],
    )


def added(rounds: Sequence[Figures]) -> Figures:
    """Return the sums, and the longest times, of a row's rounds."""
    whole = [one for one in rounds if not one.broken_off and not one.skipped]
    seen: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for one in whole:
        seen.update(one.seen)
        kinds.update(one.kinds)
    backs = [one.back for one in whole if one.back is not None]
    return Figures(
        row=rounds[0].row,
        times=sum(one.times for one in whole),
        acknowledged=sum(one.acknowledged for one in whole),
        in_flight=sum(one.in_flight for one in whole),
        kinds=dict(kinds),
        gap=max((one.gap for one in whole), default=0.0),
        partition_gap=max((one.partition_gap for one in whole), default=0.0),
        normal=max((one.normal for one in whole), default=0.0),
        back=max(backs, default=None),
        seen=dict(seen),
        broken_off="; ".join(one.broken_off for one in rounds if one.broken_off),
        skipped=next((one.skipped for one in rounds if one.skipped), ""),
    )


def table(rows: Iterable[Figures], targets: Mapping[str, float]) -> str:
    """Return the table that ``make faults`` prints; ``targets``: row → until when all should be normal again."""
    lines = [COLUMNS, *(_line(row, targets.get(row.row)) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    rule = ["-" * width for width in widths]
    return "\n".join(
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |"
        for line in (lines[0], rule, *lines[1:])
    )


def _line(row: Figures, target: float | None) -> tuple[str, ...]:
    if row.skipped:
        return (row.row, "SKIPPED", *[""] * (len(COLUMNS) - 3), row.skipped)
    if not row.times and row.broken_off:
        return (row.row, "BROKEN OFF", *[""] * (len(COLUMNS) - 3), row.broken_off)
    took = row.normal if row.back is None else row.back
    return (
        row.row,
        str(row.times),
        str(row.acknowledged),
        str(row.in_flight),
        *(str(row.kinds.get(kind, 0)) for kind in NAMED),
        str(sum(count for kind, count in row.kinds.items() if kind not in NAMED)),
        f"{row.gap:.2f}",
        f"{row.partition_gap:.2f}",
        f"{row.normal:.2f}",
        "" if row.back is None else f"{row.back:.2f}",
        "" if target is None else f"{target:g}{' MISSED' if took > target else ''}",
        ", ".join(f"{count} {what}" for what, count in row.seen.items() if count),
    )
