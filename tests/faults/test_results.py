"""The README's table of faults is what the raw log of the run says."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
import pytest

from tests.faults.figures import Figures

ROOT: Final = Path(__file__).resolve().parents[2]
RESULTS: Final = ROOT / "tests" / "faults" / "results"


def figures_of(name: str) -> list[Figures]:
    """Return the rounds of a log; its first line says with what the run was begun."""
    return [msgspec.json.decode(line, type=Figures) for line in (RESULTS / name).read_bytes().splitlines()[1:]]


@pytest.mark.parametrize("row", figures_of("2026-11-22-faults.jsonl"), ids=lambda row: row.row)
def test_a_row_of_the_README_is_what_its_run_has_logged(row: Figures) -> None:
    assert not row.kinds
    assert not row.violations
    assert not row.unproven
    gaps = f"{row.gap:.1f} s; {row.partition_gap:.1f} s"
    cells = f"| {row.times} | {row.acknowledged:,} | {row.in_flight:,} | 0 | {gaps} | {row.normal:.1f} s |"
    assert f"(`{row.row}`) {cells}\n" in (ROOT / "README.md").read_text()


def test_the_release_run_of_the_README_is_what_was_logged() -> None:
    rows = figures_of("2026-11-21-release.jsonl")
    assert not [row.row for row in rows if row.kinds or row.violations or row.unproven]
    sums = (sum(row.times for row in rows), sum(row.acknowledged for row in rows), sum(row.in_flight for row in rows))
    said = " ".join((ROOT / "README.md").read_text().split())
    assert f"{sums[0]} strikes, {sums[1]:,} acknowledged writes, {sums[2]:,} in flight" in said
