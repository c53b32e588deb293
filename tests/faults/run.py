"""``make faults``: the fault runs, one line each of one table; exit code 1 when the promise was broken.

python -m tests.faults.run [NAME ...] [--size ci|faults|release] [--seed N] [--keep DIR]
python -m tests.faults.run --check DIR    check a kept run again
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.faults import campaign, disks
from tests.faults.campaign import Result, Size, StrikeOnce
from tests.faults.checker import check
from tests.faults.history import read_history
from tests.faults.load import Plan
from tests.faults.servers import serving
from tests.faults.violations import Kind, Violation


@dataclass(frozen=True, slots=True)
class Row:
    """A fault run by name."""

    strike: StrikeOnce
    what: str


ROWS: Final = {
    "embedded-kill": Row(campaign.kill, "kill -9 of the serving process, same data again"),
    "embedded-disk-full": Row(disks.fill, "no room on the disk for a second, no restart"),
}
SIZES: Final = {
    "ci": Size(strikes=3, acknowledged=1_000),
    "faults": Size(strikes=20, acknowledged=20_000),
    "release": Size(strikes=500, acknowledged=1_000_000),
}
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
    "without service s",
    "until normal s",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rows named, or all; print the table."""
    parser = argparse.ArgumentParser(
        prog="make faults", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    rows = "\n".join(f"  {name}: {row.what}" for name, row in ROWS.items())
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"rows to run; all if none is named\n{rows}")
    parser.add_argument("--size", choices=SIZES, default="faults")
    parser.add_argument("--seed", type=int, default=None, help="of the clients and the strikes; printed")
    parser.add_argument("--rate", type=float, default=Plan().rate, help="requests a second, at most")
    parser.add_argument("--keep", type=Path, help="directory for histories, states, events and data of the runs")
    parser.add_argument("--check", type=Path, metavar="DIR", help="check a kept run again and stop")
    parsed = parser.parse_args(arguments)
    unknown = [name for name in parsed.names if name not in ROWS]
    if unknown:
        parser.error(f"no row {', '.join(unknown)}; there are {', '.join(ROWS)}")
    if parsed.check:
        return _report("check", check_kept(parsed.check))
    seed = secrets.randbits(32) if parsed.seed is None else parsed.seed
    print(f"seed {seed}", flush=True)
    lines, failed = [COLUMNS], False
    for name in parsed.names or ROWS:
        directory = parsed.keep / name if parsed.keep else Path(tempfile.mkdtemp(prefix="scimgw-faults-"))
        result = asyncio.run(_run(name, SIZES[parsed.size], seed, Plan(rate=parsed.rate), directory))
        lines.append(_line(name, result))
        bit = _bit(name, result)
        failed |= bool(_report(name, result.violations)) or not bit
        if result.violations:
            print(f"{name}: evidence kept in {directory}", file=sys.stderr, flush=True)
        elif not parsed.keep:
            shutil.rmtree(directory)
    print(_table(lines), flush=True)
    return int(failed)


def check_kept(directory: Path) -> list[Violation]:
    """Check a run again from ``history.jsonl``, ``state.jsonl`` and ``events.jsonl``."""
    return check(
        read_history(directory / "history.jsonl"),
        _records(directory / "state.jsonl"),
        _records(directory / "events.jsonl"),
    )


def _records(path: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


async def _run(name: str, size: Size, seed: int, plan: Plan, directory: Path) -> Result:
    directory.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()

    def progress(line: str) -> None:
        print(f"{name} {time.monotonic() - started:6.1f} s: {line}", file=sys.stderr, flush=True)

    async with serving(directory / "data") as server:
        return await campaign.run(server, ROWS[name].strike, size, seed, plan, progress)


def _bit(name: str, result: Result) -> bool:
    """Tell whether the fault struck writes in flight; a run that hit nothing shows nothing."""
    missed = sum(result.unanswered(strike) == 0 for strike in result.strikes)
    if missed * 2 > len(result.strikes):
        print(f"{name}: {missed} of {len(result.strikes)} strikes hit no write in flight", file=sys.stderr, flush=True)
        return False
    return True


def _report(name: str, violations: Sequence[Violation]) -> int:
    for violation in violations[:50]:
        print(f"{name}: {violation}", file=sys.stderr, flush=True)
    if len(violations) > 50:
        print(f"{name}: and {len(violations) - 50} more", file=sys.stderr, flush=True)
    return int(bool(violations))


def _line(name: str, result: Result) -> tuple[str, ...]:
    kinds = Counter(violation.kind for violation in result.violations)
    named: tuple[Kind, ...] = ("lost", "doubled", "reordered", "refused")
    return (
        name,
        str(len(result.strikes)),
        str(result.acknowledged),
        str(sum(result.unanswered(strike) for strike in result.strikes)),
        *(str(kinds[kind]) for kind in named),
        str(sum(count for kind, count in kinds.items() if kind not in named)),
        f"{result.longest_gap():.2f}",
        f"{result.time_to_normal():.2f}",
    )


def _table(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    rule = ["-" * width for width in widths]
    rows = (lines[0], rule, *lines[1:])
    return "\n".join(
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |" for row in rows
    )


if __name__ == "__main__":
    sys.exit(main())
