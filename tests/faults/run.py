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
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.faults import campaign
from tests.faults.campaign import Result, Size, Strike
from tests.faults.checker import check
from tests.faults.cluster import clustered
from tests.faults.history import read_history
from tests.faults.load import Plan
from tests.faults.outcomes import check_told, parked
from tests.faults.rows import READERS, ROWS, SIZES
from tests.faults.servers import serving
from tests.faults.violations import Kind, Violation

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
    "seen",
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
    for name in parsed.names or ROWS:
        if parsed.keep and (parsed.keep / name).exists():
            parser.error(f"{parsed.keep / name} exists: what is left of another run would count as this one's")
    seed = secrets.randbits(32) if parsed.seed is None else parsed.seed
    print(f"seed {seed}", flush=True)
    lines, failed = [COLUMNS], False
    for name in parsed.names or ROWS:
        directory = parsed.keep / name if parsed.keep else Path(tempfile.mkdtemp(prefix="scimgw-faults-"))
        print(f"{name}: {ROWS[name].what}", file=sys.stderr, flush=True)
        try:
            result, seen = asyncio.run(
                run_row(name, size_of(name, parsed.size), seed, Plan(rate=parsed.rate), directory)
            )
        except (RuntimeError, AssertionError, ExceptionGroup) as error:
            # The other rows may still show something.
            traceback.print_exception(error)
            print(f"{name}: broken off, evidence kept in {directory}", file=sys.stderr, flush=True)
            failed = True
            continue
        lines.append(_line(name, result, seen))
        missing = unproven(name, result, seen)
        _report(name, [*result.violations, *missing])
        failed |= bool(result.violations or missing)
        if result.violations or missing:
            print(f"{name}: evidence kept in {directory}", file=sys.stderr, flush=True)
        elif not parsed.keep:
            shutil.rmtree(directory)
    print(_table(lines), flush=True)
    return int(failed)


def check_kept(directory: Path) -> list[Violation]:
    """Check a run again from ``history.jsonl``, ``state.jsonl`` and ``events.jsonl``."""
    history = list(read_history(directory / "history.jsonl"))
    state, events, outcomes = (_records(directory / f"{name}.jsonl") for name in ("state", "events", "outcomes"))
    polled = len({operation.gateway for operation in history}) > 1  # several gateways: the distributed service
    return check(history, state, events, polled=polled, parked=parked(outcomes)) + check_told(history, events, outcomes)


def _records(path: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


def size_of(name: str, size: str) -> Size:
    """Return how large a row is in a size."""
    general = SIZES[size]
    times = ROWS[name].times.get(size)
    return general if times is None else replace(general, strikes=times, most=1)


async def run_row(name: str, size: Size, seed: int, plan: Plan, directory: Path) -> tuple[Result, Counter[str]]:
    """Run a row; returns what it showed, and what the service's metrics have counted.

    Raises RuntimeError, alone or in a group, when the service does not come back.
    """
    row = ROWS[name]
    directory.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()

    def progress(line: str) -> None:
        print(f"{name} {time.monotonic() - started:6.1f} s: {line}", file=sys.stderr, flush=True)

    if not row.distributed:
        async with serving(directory / "data") as server:
            return await campaign.run(server, row.strike, size, seed, plan, progress), Counter()
    cluster = row.cluster(directory)
    plan = replace(plan, readers=READERS)
    async with clustered(cluster):
        await cluster.scrape()
        before = cluster.seen
        result = await campaign.run(cluster, row.strike, size, seed, plan, progress)
        await cluster.scrape()
    seen = cluster.seen - before + cluster.noted
    seen["reads refused"] = sum(result.refused_reads(strike) for strike in result.strikes)
    return result, seen


def unproven(name: str, result: Result, seen: Mapping[str, int]) -> list[str]:
    """Tell what is missing to show that the fault bit; a run that hit nothing shows nothing."""
    row = ROWS[name]
    hit = [_struck(name, result, strike) for strike in result.strikes]
    missing = []
    if hit.count(0) * 2 > len(hit):
        missing.append(f"{hit.count(0)} of {len(hit)} strikes hit no write in flight")
    for what, each in row.seen.items():
        wanted = max(1, each * len(result.strikes))
        if seen.get(what, 0) < wanted:
            missing.append(f"{what}: {seen.get(what, 0)} seen, {wanted} are the least that shows anything")
    return missing


def _struck(name: str, result: Result, strike: Strike) -> int:
    """Count writes in flight; of the embedded server's those that its end left without an answer."""
    return result.under_way(strike) if ROWS[name].distributed else result.unanswered(strike)


def _report(name: str, violations: Sequence[object]) -> int:
    for violation in violations[:50]:
        print(f"{name}: {violation}", file=sys.stderr, flush=True)
    if len(violations) > 50:
        print(f"{name}: and {len(violations) - 50} more", file=sys.stderr, flush=True)
    return int(bool(violations))


def _line(name: str, result: Result, seen: Mapping[str, int]) -> tuple[str, ...]:
    kinds = Counter(violation.kind for violation in result.violations)
    named: tuple[Kind, ...] = ("lost", "doubled", "reordered", "refused")
    return (
        name,
        str(len(result.strikes)),
        str(result.acknowledged),
        str(sum(_struck(name, result, strike) for strike in result.strikes)),
        *(str(kinds[kind]) for kind in named),
        str(sum(count for kind, count in kinds.items() if kind not in named)),
        f"{result.longest_gap():.2f}",
        f"{result.time_to_normal():.2f}",
        ", ".join(f"{count} {what}" for what, count in seen.items()),
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
