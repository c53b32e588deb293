"""The bench's result as a table for people and as JSON for the repository."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from tests.load.machine import Machine
from tests.load.measures import Measured, RowResult, Run

_HEADINGS = ("row", "figure", "median", "least to most", "floor", "", "rate/s", "p50 ms", "p99 ms")


OTHERS_LIMIT: Final = 0.3
"""Cores; with more of them busy for somebody else a run says little about us."""


class Report(msgspec.Struct, frozen=True):
    """Everything that a bench found."""

    deployment: str
    date: str
    """UTC, ISO 8601."""
    machine: Machine
    uvloop: bool
    fsync_ms: float
    """Median over all runs."""
    seconds_a_run: float
    rows: tuple[RowResult, ...]


def table(report: Report) -> str:
    """Return the table: a line for each figure, then what the figures were measured on."""
    processes = _processes(report.rows)
    lines = [(*_HEADINGS, *(f"{name} µs" for name in processes), "MiB", "fsync ms", "others")]
    failures: list[str] = []
    for row in report.rows:
        if row.failure:
            failures.append(f"FAILED {row.title}: {row.failure}")
        for number, figure in enumerate(row.figures):
            runs = _middle(row.runs) if number == 0 else ()
            lines.append((row.title if number == 0 else "", *_figure(figure), *_columns(runs, processes)))
    return "\n".join([*_aligned(lines), *failures, "", *_ground(report)])


def comparison(rows: Sequence[RowResult]) -> str:
    """Return the table of ``tests.load.against``: a line for each load, ours, theirs and the ratios in columns."""
    compared = [row for row in rows if row.figures]
    if not compared:
        return ""
    lines = [("request", *(f"{figure.title} {figure.unit}".strip() for figure in compared[0].figures))]
    lines += [(row.title, *(number(figure.value) for figure in row.figures)) for row in compared]
    return "\n".join(_aligned(lines))


def _processes(rows: Sequence[RowResult]) -> list[str]:
    """Return the names of all processes in the order met, wrk last."""
    found = dict.fromkeys(name for row in rows for run in row.runs for name in run.cpu_us)
    return [name for name in found if name != "wrk"] + ["wrk"] * ("wrk" in found)


def _figure(figure: Measured) -> tuple[str, ...]:
    floor = figure.floor
    return (
        figure.title,
        f"{number(figure.value)} {figure.unit}".strip(),
        f"{number(figure.low)} – {number(figure.high)}",
        f"{floor.sign} {number(floor.limit)}" if floor else "",
        verdict(figure),
    )


def verdict(figure: Measured) -> str:
    """Return whether the floor holds: for a limit from above, too, a broken promise is below the floor."""
    if figure.floor is None:
        return ""
    return "ok" if figure.ok else "BELOW"


def _middle(runs: Sequence[Run]) -> tuple[Run, ...]:
    """Return the run of median rate among those of the last part, to stand for the row in the other columns."""
    own = sorted((run for run in runs if run.part == runs[-1].part), key=lambda run: run.rate)
    return (own[len(own) // 2],) if own else ()


def _columns(runs: Sequence[Run], processes: Sequence[str]) -> tuple[str, ...]:
    if not runs:
        return ("",) * (len(processes) + 6)
    run = runs[0]
    return (
        number(run.rate),
        number(run.p50_ms) if run.p50_ms else "",
        number(run.p99_ms) if run.p99_ms else "",
        *(number(run.cpu_us[name]) if name in run.cpu_us else "" for name in processes),
        "+".join(number(value) for value in run.memory_mib.values()),
        number(run.fsync_ms),
        number(run.others),
    )


def number(value: float) -> str:
    """Return a figure with as many digits as can be trusted."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 20 else f"{value:.2f}"


def _aligned(lines: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def _ground(report: Report) -> list[str]:
    machine = report.machine
    runs = [run for row in report.rows for run in row.runs]
    disturbed = sum(run.others > OTHERS_LIMIT for run in runs)
    return [
        f"{machine.processor}, {machine.cores} cores with everything on them, {machine.memory_gib} GiB, {machine.system}; "
        f"4 KiB fdatasync {number(report.fsync_ms)} ms",
        f"Python {machine.python}, uvloop {'used' if report.uvloop else 'not used'}, commit {machine.commit}, {report.date}",
        "µs: CPU a request, wrk in a column of its own. MiB: most resident. others: cores kept busy by anything else. "
        "All of these are those of the run with the median rate.",
        *(
            [
                f"DISTURBED: in {disturbed} of {len(runs)} runs others kept more than {OTHERS_LIMIT} cores busy; measure again"
            ]
            if disturbed
            else []
        ),
    ]


def write(report: Report, directory: Path, name: str) -> Path:
    """Write the report with every run as ``<date>-<name>.json``; an earlier one of the same day is kept beside it."""
    directory.mkdir(exist_ok=True)
    stem = f"{report.date[:10]}-{re.sub(r'[^A-Za-z0-9._-]', '-', name)}"
    path = next(
        candidate
        for suffix in ("", *(f"-{count}" for count in range(2, 1000)))
        if not (candidate := directory / f"{stem}{suffix}.json").exists()
    )
    path.write_bytes(encode(report) + b"\n")
    return path


def encode(report: Report) -> bytes:
    """Return the report as JSON, figures rounded to what can be trusted."""
    plain = msgspec.to_builtins(report)
    return msgspec.json.format(msgspec.json.encode(_rounded(plain)), indent=1)


def _rounded(value: object) -> object:
    match value:
        case float():
            return round(value, 4)
        case dict():
            return {key: _rounded(each) for key, each in value.items()}
        case list() | tuple():
            return [_rounded(each) for each in value]
        case _:
            return value
