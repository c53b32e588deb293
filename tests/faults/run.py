"""``make faults``: the fault runs, one line each of one table; exit code 1 when the promise was broken.

python -m tests.faults.run [NAME ...] [--size ci|faults|release] [--seed N] [--keep DIR]
python -m tests.faults.run --size release --resume DIR    the same again goes on where it was stopped
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
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import structs

from tests.faults import campaign
from tests.faults.campaign import Result, Size, Strike
from tests.faults.checker import check
from tests.faults.cluster import clustered
from tests.faults.figures import Figures, added, figures_of, table
from tests.faults.history import read_history
from tests.faults.load import Plan
from tests.faults.logs import Logs, check_topics
from tests.faults.outcomes import check_told, parked
from tests.faults.rows import A_ROUND, READERS, RELEASE_TIMES, ROWS, SIZES
from tests.faults.servers import serving
from tests.faults.violations import Violation
from tests.faults.without import REMOVED, environment_without
from tests.services.processes import Missing

DONE: Final = "log.jsonl"
"""The log of a run that can be resumed: a line a round; the first says with what it was begun."""
CLIENTS: Final = 32
"""Enough that a transaction has several commands: with few clients most of a run is the cost of small transactions."""


class Begun(msgspec.Struct, frozen=True):
    """The first line of the log."""

    seed: int
    size: str
    rate: float
    clients: int = Plan().clients


@dataclass(frozen=True, slots=True)
class Run:
    """What was asked for, and where what it leaves behind goes."""

    begun: Begun
    names: Sequence[str]
    keep: Path | None = None
    """Where all evidence stays."""
    resume: Path | None = None
    """Where the log is, and the evidence of what failed."""
    minutes: float | None = None
    """No round begins later."""
    without: str | None = None
    """The rule that the service is to lack."""

    def rounds(self) -> Iterator[tuple[str, int]]:
        """Yield rows and their rounds: the first round of all, then the second of all, so that a part shows everything."""
        most = max(rounds_of(name, self.begun.size) for name in self.names)
        for number in range(most):
            yield from ((name, number) for name in self.names if number < rounds_of(name, self.begun.size))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rows named, or all; print the table."""
    parsed = _parsed(arguments)
    if parsed.check:
        return _report("check", check_kept(parsed.check))
    seed = secrets.randbits(32) if parsed.seed is None else parsed.seed
    begun, done = Begun(seed, parsed.size, parsed.rate, parsed.clients), list[Figures]()
    if parsed.resume:
        begun, done = _resumed(parsed.resume, begun)
    print(f"seed {begun.seed}", flush=True)
    run = Run(begun, parsed.names or list(ROWS), parsed.keep, parsed.resume, parsed.minutes, parsed.without)
    done += _run_all(run, {(one.row, one.round) for one in done})
    by_row = {name: [one for one in done if one.row == name] for name in run.names}
    targets = {name: row.target_s for name, row in ROWS.items() if row.target_s is not None}
    print(table((added(rounds) for rounds in by_row.values() if rounds), targets), flush=True)
    return int(any(one.failed for one in done))


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make faults", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    rows = "\n".join(f"  {name}: {row.what}" for name, row in ROWS.items())
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"rows to run; all if none is named\n{rows}")
    parser.add_argument("--size", choices=SIZES, default="faults")
    parser.add_argument("--seed", type=int, default=None, help="of the clients and the strikes; printed")
    parser.add_argument("--rate", type=float, default=Plan().rate, help="requests a second, at most")
    parser.add_argument("--clients", type=int, default=CLIENTS, help=f"at work at once ({CLIENTS})")
    parser.add_argument("--keep", type=Path, help="directory for histories, states, events and data of the runs")
    parser.add_argument(
        "--resume", type=Path, metavar="DIR", help="log each round in DIR, and go on from there next time"
    )
    parser.add_argument("--minutes", type=float, help="begin no round later than this")
    parser.add_argument(
        "--without",
        choices=REMOVED,
        metavar="RULE",
        help="take a rule of the commit protocol away: the run must fail\n"
        + "\n".join(f"  {rule} {removed.row}: {removed.what}" for rule, removed in REMOVED.items()),
    )
    parser.add_argument("--check", type=Path, metavar="DIR", help="check a kept run again and stop")
    parsed = parser.parse_args(arguments)
    unknown = [name for name in parsed.names if name not in ROWS]
    if unknown:
        parser.error(f"no row {', '.join(unknown)}; there are {', '.join(ROWS)}")
    if parsed.keep and parsed.resume:
        parser.error("--resume keeps the evidence of what failed; --keep is for one run")
    for name in parsed.names or ROWS:
        if parsed.keep and (parsed.keep / name).exists():
            parser.error(f"{parsed.keep / name} exists: what is left of another run would count as this one's")
    return parsed


def _resumed(directory: Path, begun: Begun) -> tuple[Begun, list[Figures]]:
    """Return with what the log was begun, and its rounds; a new log is begun where there is none."""
    directory.mkdir(parents=True, exist_ok=True)
    log = directory / DONE
    if not log.exists():
        log.write_bytes(msgspec.json.encode(begun) + b"\n")
        return begun, []
    first, *lines = log.read_bytes().splitlines()
    return msgspec.json.decode(first, type=Begun), [msgspec.json.decode(line, type=Figures) for line in lines]


def _run_all(run: Run, done: Set[tuple[str, int]]) -> Iterator[Figures]:
    """Run what is not done yet; log it where there is a log."""
    until = None if run.minutes is None else time.monotonic() + 60 * run.minutes
    waiting = [one for one in run.rounds() if one not in done]
    for place, (name, number) in enumerate(waiting):
        if until is not None and time.monotonic() >= until:
            print(f"{len(waiting) - place} rounds are left for another time", file=sys.stderr, flush=True)
            return
        print(f"{name}, {place + 1} of {len(waiting)}: {ROWS[name].what}", file=sys.stderr, flush=True)
        figures = _run_round(run, name, number)
        if run.resume:
            with (run.resume / DONE).open("ab") as log:
                log.write(msgspec.json.encode(figures) + b"\n")
        yield figures


def _run_round(run: Run, name: str, number: int) -> Figures:
    """Run one round; its evidence stays where it failed, or where all is kept."""
    if run.keep:
        directory = run.keep / name
    elif run.resume:
        directory = run.resume / f"{name}-{number}"
        shutil.rmtree(directory, ignore_errors=True)  # of a round that was cut off
    else:
        directory = Path(tempfile.mkdtemp(prefix="scimgw-faults-"))
    began, started = datetime.now(UTC), time.monotonic()
    size, seed = size_of(name, run.begun.size), run.begun.seed + number
    try:
        environment = environment_without(run.without, directory / "product") if run.without else {}
        result, seen = asyncio.run(run_row(name, size, seed, _plan(run.begun), directory, environment))
        figures = _figures(name, result, seen)
    except Missing as why:
        print(f"{name}: SKIPPED: {why}", file=sys.stderr, flush=True)
        figures = Figures(row=name, skipped=str(why))
    except (RuntimeError, AssertionError, ExceptionGroup) as error:
        # The other rows may still show something.
        traceback.print_exception(error)
        figures = Figures(row=name, broken_off=_first(error))
    if figures.failed:
        _report(name, [*figures.violations, *figures.unproven])
        print(f"{name}: evidence kept in {directory}", file=sys.stderr, flush=True)
    elif not run.keep:
        shutil.rmtree(directory, ignore_errors=True)
    took = round(time.monotonic() - started, 1)
    return structs.replace(figures, round=number, seed=seed, began=f"{began:%Y-%m-%dT%H:%M:%SZ}", took=took)


def _plan(begun: Begun) -> Plan:
    return Plan(rate=begun.rate, clients=begun.clients)


def _first(error: BaseException) -> str:
    """Return what went wrong first, in one line."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return " ".join(str(error).split())[:300]


def _figures(name: str, result: Result, seen: Mapping[str, int]) -> Figures:
    figures = figures_of(
        name, result, seen, lambda strike: _struck(name, result, strike), partitioned=ROWS[name].distributed
    )
    return structs.replace(figures, unproven=unproven(name, result, seen))


def check_kept(directory: Path) -> list[Violation]:
    """Check a run again from ``history.jsonl``, ``state.jsonl`` and ``events.jsonl``."""
    history = list(read_history(directory / "history.jsonl"))
    state, events, outcomes = (_records(directory / f"{name}.jsonl") for name in ("state", "events", "outcomes"))
    polled = len({operation.gateway for operation in history}) > 1  # several gateways: the distributed service
    topics = directory / campaign.TOPICS
    logs = msgspec.json.decode(topics.read_bytes(), type=Logs) if topics.exists() else Logs()
    told = check(
        history,
        state,
        events,
        polled=polled,
        parked=parked(outcomes, logs.dead),
        swallowed=(directory / campaign.SWALLOWED).exists(),
    )
    told += check_told(history, events, outcomes)
    if topics.exists() and history:
        told += check_topics(logs, events, history[0].tenant)
    return told


def _records(path: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


def size_of(name: str, size: str) -> Size:
    """Return how large a round of a row is in a size."""
    general, times = SIZES[size], ROWS[name].times.get(size)
    whole = general if times is None else replace(general, strikes=times, most=1)
    if size != "release":
        return whole
    # All points of a worker are gone through in fifteen.
    return replace(A_ROUND, strikes=15 if name == "failpoints" else A_ROUND.strikes, most=whole.most)


def rounds_of(name: str, size: str) -> int:
    """Return in how many rounds, each on a service of its own, a row is run: a release is cut into many."""
    if size != "release":
        return 1
    times = ROWS[name].times.get(size, RELEASE_TIMES.get(name, SIZES[size].strikes))
    return max(1, times // size_of(name, size).strikes)


async def run_row(
    name: str, size: Size, seed: int, plan: Plan, directory: Path, environment: Mapping[str, str] | None = None
) -> tuple[Result, Counter[str]]:
    """Run a row; returns what it showed, and what the service's metrics have counted; ``environment``: of its programs.

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
    cluster = row.cluster(directory, environment or {})
    cluster.round = seed  # strikes that take turns do not begin with the same in each round
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


if __name__ == "__main__":
    sys.exit(main())
