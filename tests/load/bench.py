"""The bench's command line: ``python -m tests.load.bench``, which is what ``make bench`` runs."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from tests.load import machine, report
from tests.load.against import compared
from tests.load.bare_servers import BareServers
from tests.load.budget import Budget
from tests.load.deployments import ROOT, Deployment, Embedded
from tests.load.errors import BenchError
from tests.load.measures import RowResult
from tests.load.on_servers import OnServers
from tests.load.ratios import ratio
from tests.load.rows import BESIDE, TABLES, Row, measure_in_turn
from tests.load.scim2_server import HOME, Scim2Server, installed
from tests.load.servers import SharedBroker
from tests.load.users import HERE
from tests.load.wrk import find_wrk

RESULTS = HERE / "results"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench; 0 when every floor holds, 1 when not, 2 for wrong usage, 130 when interrupted."""
    parsed = _parser().parse_args(arguments)
    # A SIGTERM unwinds too, so that no server stays behind.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        find_wrk()
        chosen = _chosen(TABLES[parsed.on[0]], parsed.rows)
        if parsed.against:
            installed(HOME)  # before anything is started
        with _directory(parsed.data) as directory, contextlib.ExitStack() as stack:
            broker = SharedBroker(directory / "kafka")
            deployments = [
                stack.enter_context(contextlib.closing(_deployment(name, directory, broker))) for name in parsed.on
            ]
            if parsed.against:
                rows = compared(deployments[0], Scim2Server(directory), _budget(parsed))
            else:
                rows = _measured(chosen, deployments, _budget(parsed))
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)
    made = _report(rows, parsed)
    print(report.encode(made).decode() if parsed.json else report.table(made))
    if parsed.against and not parsed.json:
        print(f"\n{report.comparison(rows)}")
    if parsed.name or not parsed.quick:
        name = parsed.name or made.deployment + "-against" * parsed.against
        print(f"bench: {report.write(made, RESULTS, name).relative_to(ROOT)}", file=sys.stderr)
    judged = not (parsed.no_floors or parsed.quick)
    return 1 if any(row.failure or (judged and not row.ok) for row in rows) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.load.bench",
        description="Measure the modes with wrk and hold the figures against their floors.",
        epilog="example: python -m tests.load.bench --on kafka,bare --rows create-64,create-256 --runs 3",
    )
    parser.add_argument(
        "--on",
        type=_modes,
        default=["embedded"],
        metavar="MODE,...",
        help="embedded; kafka: one gateway and one worker; bare: their steps without SCIM's rules. "
        "Several take turns, run by run, and the first is also given as a multiple of each other (embedded)",
    )
    rows = "; ".join(f"{name}: {', '.join(row.key for row in table)}" for name, table in TABLES.items())
    parser.add_argument("--rows", metavar="KEY,...", help=f"only these of {rows}")
    parser.add_argument(
        "--against",
        action="store_true",
        help="instead of the rows: the mode beside scim2-server (PyPI; installed under ./var on first use), both with "
        "the same users and requests, turn by turn, without floors",
    )
    parser.add_argument("--runs", type=_whole, default=5, help="runs of each row (5)")
    parser.add_argument("--seconds", type=_whole, default=8, help="length of a run (8)")
    parser.add_argument("--minutes", type=_whole, default=0, help="length of the row of memory (as some runs)")
    parser.add_argument("--users", type=_users, default=10_000, help="users that a run begins with (10000)")
    parser.add_argument(
        "--quick", action="store_true", help="one short run a row, a small large population, floors not judged"
    )
    parser.add_argument("--no-floors", action="store_true", help="only print the verdicts: exit 0 also below a floor")
    parser.add_argument("--json", action="store_true", help="print the raw figures instead of the table")
    parser.add_argument(
        "--name", help="name of the file under tests/load/results (the mode); --quick writes one only with it"
    )
    parser.add_argument("--limit", type=_whole, default=24, metavar="MINUTES", help="no run is begun after it (24)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="where the servers' files go while it runs (./var)")
    return parser


def _modes(text: str) -> list[str]:
    names = text.split(",")
    if not set(names) <= TABLES.keys() or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(f"each of them once: {', '.join(TABLES)}")
    return names


def _whole(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 99:
        raise argparse.ArgumentTypeError("1 to 99")
    return value


def _users(text: str) -> int:
    value = int(text)
    if not 200 <= value <= 1_000_000:
        raise argparse.ArgumentTypeError("200 to 1000000")
    return value


def _budget(parsed: argparse.Namespace) -> Budget:
    sizes = Budget(population=parsed.users, minutes=parsed.minutes, until=time.monotonic() + parsed.limit * 60)
    if parsed.quick:
        return msgspec.structs.replace(sizes, runs=1, seconds=2, warm_up_s=1, large=10_000)
    return msgspec.structs.replace(sizes, runs=parsed.runs, seconds=parsed.seconds)


def _chosen(rows: Sequence[Row], keys: str | None) -> list[Row]:
    if keys is None:
        return list(rows)
    known = {row.key: row for row in rows}
    unknown = [key for key in keys.split(",") if key not in known]
    if unknown:
        raise BenchError(f"no row {unknown[0]!r}; there are {', '.join(known)}")
    return [known[key] for key in keys.split(",")]


@contextlib.contextmanager
def _directory(parent: Path | None) -> Iterator[Path]:
    """Yield a new directory and remove it at the end; not in /tmp, which may be memory where an fsync costs nothing."""
    parent = parent or ROOT / "var"
    parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix="bench-", dir=parent))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _deployment(name: str, directory: Path, broker: SharedBroker) -> Deployment:
    if name == BareServers.name:
        return BareServers(directory, broker)
    return OnServers(directory, broker) if name == OnServers.name else Embedded(directory)


def _measured(rows: Sequence[Row], deployments: Sequence[Deployment], budget: Budget) -> tuple[RowResult, ...]:
    """Measure the first deployment's rows, and beside each the row of that key on the others that have one."""
    results: list[RowResult] = []
    for row in rows:
        beside = [
            (other, deployment)
            for deployment in deployments[1:]
            for other in TABLES[deployment.name]
            if other.key == row.key
        ]
        found = measure_in_turn([(row, deployments[0]), *beside], budget)
        found += [
            ratio((deployments[0].name, deployment.name), found[0], other, BESIDE)
            for (_, deployment), other in zip(beside, found[1:], strict=True)
        ]
        for result in found:
            _say(result)
        results += found
    return tuple(results)


def _say(result: RowResult) -> None:
    said = result.failure or ", ".join(
        f"{figure.title} {report.number(figure.value)} {figure.unit} {report.verdict(figure)}".strip()
        for figure in result.figures
    )
    print(f"         {result.title}: {said}", file=sys.stderr, flush=True)


def _report(rows: tuple[RowResult, ...], parsed: argparse.Namespace) -> report.Report:
    runs = [run for row in rows for run in row.runs]
    return report.Report(
        deployment=",".join(parsed.on),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=machine.describe(ROOT),
        uvloop=any(run.uvloop for run in runs),
        fsync_ms=statistics.median([run.fsync_ms for run in runs]) if runs else 0.0,
        seconds_a_run=2 if parsed.quick else parsed.seconds,
        rows=rows,
    )


if __name__ == "__main__":
    sys.exit(main())
