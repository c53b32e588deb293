"""``python -m tests.simulation``: many seeds, and each rule removed; a table of what happened on standard output."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from tests.simulation.planted import PLANTED, Planted, planted
from tests.simulation.run import Report, simulate

FRESH: Final = 250
"""So many fresh seeds get the chance to catch a planted bug."""
FRESH_FROM: Final = 50_000
"""The first of them: none of these ever chose a committed seed, or a number in a run."""
BLOCK: Final = 25
FEW: Final = 3
TALLY: Final = Path(__file__).with_name("results") / "tally.json"
EVERY: Final = 100
BITES: Final = (
    "workers killed",
    "gateways killed",
    "killed at a fail point",
    "killed by poison",
    "workers paused",
    "rebalances",
    "redis restarts",
    "redis failovers",
    "redis emptied",
    "redis scripts lost",
    "old files restored",
    "shard emptied",
    "redis away",
    "kafka away",
    "redis replies lost",
    "redis scripts late",
    "kafka replies lost",
    "replies lost",
    "commands repeated",
    "appended late",
    "leaps",
    "compacted",
    "tombstones gone",
    "commands expired",
    "fenced by kafka",
    "fenced by redis",
    "settled in doubt",
    "aborted in doubt",
    "transactions in doubt",
    "changes replayed",
    "outcomes replayed",
    "spent keys refused",
    "parked",
    "claims contended",
)
"""What every long run must have seen: a fault that hit nothing proves nothing."""


class Count(msgspec.Struct):
    """How many of so many fresh seeds caught a planted bug."""

    caught: int = 0
    seeds: int = 0


class Tally(msgspec.Struct):
    """What fresh seeds caught, by the planted bugs' rules."""

    commit: str
    ended: str
    """In UTC."""
    rules: dict[str, Count]


def read_tally(path: Path = TALLY) -> Tally:
    """Return what the last long run of the planted bugs came to."""
    return msgspec.json.decode(path.read_bytes(), type=Tally)


def run_one(seed: int, bug: Planted | None) -> Report:
    """Run a seed, with a rule removed where one is given."""
    with nullcontext() if bug is None else planted(bug):
        return simulate(seed)


def main(arguments: Sequence[str]) -> int:
    """Run what the arguments ask for; return 1 where something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2000, help="how many seeds (2000)")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first of them (0)")
    parser.add_argument("--rule", help="remove this rule; all: each rule in turn, over at most 250 seeds")
    parser.add_argument("--every", action="store_true", help="with --rule: count all seeds that catch it, not only one")
    parser.add_argument(
        "--tally", action="store_true", help=f"each rule in turn over {FRESH} fresh seeds; kept in {TALLY.name}"
    )
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args(arguments)
    with ProcessPoolExecutor(asked.jobs) as pool:
        if asked.tally:
            return _tally(pool, min(asked.seeds, FRESH))
        if asked.rule is None:
            return _clean(pool, asked.first, asked.seeds)
        bugs = [bug for bug in PLANTED if asked.rule in {"all", bug.rule}]
        if not bugs:
            parser.error(f"no such rule; known: {', '.join(bug.rule for bug in PLANTED)}")
        seeds = range(asked.first, asked.first + min(asked.seeds, FRESH))
        missed = [bug for bug in bugs if not _caught(pool, bug, seeds, every=asked.every)]
    return 1 if missed else 0


def _reports(pool: ProcessPoolExecutor, seeds: Sequence[int], bug: Planted | None) -> Iterator[Report]:
    return iter(pool.map(partial(run_one, bug=bug), seeds, chunksize=5))


def _clean(pool: ProcessPoolExecutor, first: int, count: int) -> int:
    total: Counter[str] = Counter()
    bad = []
    for done, report in enumerate(_reports(pool, range(first, first + count), None), start=1):
        total.update(report.counts)
        if report.complaints:
            bad.append(report.seed)
            print(f"seed {report.seed}: {'; '.join(report.complaints[:3])}", file=sys.stderr)
        if done % EVERY == 0:
            print(f"{done} of {count} seeds, {len(bad)} bad", file=sys.stderr)
    idle = [name for name in BITES if not total[name]]
    print(f"seeds {first} to {first + count - 1}: {len(bad)} bad{''.join(f' {seed}' for seed in bad[:20])}")
    for name in sorted(total):
        print(f"  {name:24} {total[name]:>10,}")
    if idle:
        print(f"never happened: {', '.join(idle)}")
    return 1 if bad or (idle and count >= FRESH) else 0


def _caught(pool: ProcessPoolExecutor, bug: Planted, seeds: Sequence[int], *, every: bool) -> bool:
    caught: list[int] = []
    tried = 0
    size = len(seeds) if every else 20
    for start in range(0, len(seeds), size):
        part = seeds[start : start + size]
        found = [report for report in _reports(pool, part, bug) if report.complaints]
        tried += len(part)
        caught += [report.seed for report in found]
        if found and not every:
            print(f"    {found[0].complaints[0][:200]}", file=sys.stderr)
            break
    seen = f"caught by {len(caught)} of {tried}, first {caught[0]}" if caught else f"NOT caught by {tried}"
    print(f"{bug.rule:28} {seen:36} {bug.what}", flush=True)
    return bool(caught)


def _tally(pool: ProcessPoolExecutor, most: int) -> int:
    """Count for each planted bug the fresh seeds that catch it; the result so far is written after each block of them.

    What few seeds have caught comes first, so that a run that is broken off has told the most.
    """
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout
    tally = Tally(commit.strip(), "", {bug.rule: Count() for bug in PLANTED})
    TALLY.parent.mkdir(exist_ok=True)
    while left := [bug for bug in PLANTED if tally.rules[bug.rule].seeds < most]:
        bug = min(left, key=lambda bug: (min(tally.rules[bug.rule].caught, FEW), tally.rules[bug.rule].seeds))
        count = tally.rules[bug.rule]
        start = FRESH_FROM + count.seeds
        count.caught += sum(map(_shows, _reports(pool, range(start, start + BLOCK), bug)))
        count.seeds += BLOCK
        tally.ended = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
        TALLY.write_bytes(msgspec.json.format(msgspec.json.encode(tally)) + b"\n")
        print(f"{bug.rule:22} {count.caught:>4} of {count.seeds}  {bug.what}", flush=True)
    return 0 if all(count.caught for count in tally.rules.values()) else 1


def _shows(report: Report) -> bool:
    """Tell whether the rule was missed, not only a script that does not run without its line."""
    return any(not complaint.startswith("a script failed") for complaint in report.complaints)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
