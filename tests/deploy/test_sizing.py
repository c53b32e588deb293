"""The page of sizing: its tables are what its formulas make of its constants, and the constants are those measured or set."""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from consumers.backends import redis_replies
from consumers.remote import MOST_PENDING
from consumers.settings import Settings
from consumers.topics import Topics, wanted
from schemas.outcomes import LIFE_MS

ROOT: Final = Path(__file__).parent.parent.parent
PAGE: Final = (ROOT / "deploy" / "sizing.md").read_text()
RESULTS: Final = ROOT / "tests" / "load" / "results"
RATES: Final = (10, 100, 1_000, 3_000)
USERS: Final = (10_000, 100_000, 1_000_000, 5_000_000)
HOUR_MS: Final = 3_600_000

ROWS: Final = [
    [cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| `")
]
CONSTANTS: Final = {name.strip("`"): float(value) for name, value, *_ in ROWS}
ORIGINS: Final = {name.strip("`"): origin for name, _, _, origin in ROWS}


def sized(rate: float, users: float) -> dict[str, float]:
    """Return all that the page's formulas give."""
    (formulas,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    names: dict[str, Any] = {**CONSTANTS, "rate": rate, "users": users, "ceil": math.ceil}
    exec(formulas, names)
    return {name: value for name, value in names.items() if isinstance(value, int | float)}


def size(count: float) -> str:
    """Return bytes with two digits that count."""
    units = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"))
    unit, name = next((pair for pair in units if count >= pair[0] * 0.95), units[-1])
    return f"{two_digits(count / unit)} {name}"


def duration(seconds: float) -> str:
    """Return a time with two digits that count."""
    units = ((86_400, "days"), (3600, "h"), (60, "min"), (1, "s"))
    unit, name = next((pair for pair in units if seconds >= 1.9 * pair[0]), units[-1])
    return f"{two_digits(seconds / unit)} {name}"


def two_digits(value: float) -> str:
    """Return a number rounded to two digits."""
    rounded = float(f"{value:.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:g}"


def table(heads: str, rows: Iterable[Iterable[str]]) -> str:
    """Return a table of Markdown."""
    count = heads.count("|") + 1
    return "\n".join([f"| {heads} |", "|" + "---|" * count, *(f"| {' | '.join(row)} |" for row in rows)])


def by_rate() -> str:
    """Return the table by the highest rate."""
    found = [(rate, sized(rate, 0)) for rate in RATES]
    return table(
        "writes a second | partitions | writes a transaction | gateways | workers | cores | network",
        (
            (
                *(f"{rate:,}", f"{s['partitions']:.0f}", two_digits(s["batch"])),
                *(f"{s['gateways']:.0f}", f"{s['workers']:.0f}", two_digits(s["cores"]), f"{size(s['network'])}/s"),
            )
            for rate, s in found
        ),
    )


def by_rate_on_disk() -> str:
    """Return the table of what topics keep, and what does not depend on users."""
    found = [(rate, sized(rate, 0)) for rate in RATES]
    return table(
        "writes a second | commands, 72 h | events, 14 days | state, last 26 h",
        ((f"{rate:,}", size(s["commands"]), size(s["events"]), size(s["state"])) for rate, s in found),
    )


def by_users() -> str:
    """Return the table by users and rate."""
    found = [(users, rate, sized(rate, users)) for users in USERS for rate in RATES]
    return table(
        "users | writes a second | Redis: used | `maxmemory` | machine | file | state | broker's disk | rebuild",
        (
            (
                *(f"{users:,}", f"{rate:,}", size(s["used"]), size(s["maxmemory"]), size(s["machine"])),
                *(size(s["file"]), size(s["state"]), size(s["broker"]), duration(s["rebuild"])),
            )
            for users, rate, s in found
        ),
    )


@pytest.mark.parametrize("made", [by_rate, by_rate_on_disk, by_users])
def test_the_tables_are_what_the_formulas_make_of_the_constants(made: Any) -> None:
    assert made() in PAGE, made()


MEASURED: Final = [
    (name, *found.groups())
    for name, origin in ORIGINS.items()
    if (found := re.fullmatch(r"measured, `(\S+)` `(\S+)`: `(.+)`", origin))
]


@pytest.mark.parametrize(("name", "file", "part", "figure"), MEASURED)
def test_a_measured_constant_is_the_median_of_the_raw_result_that_it_names(
    name: str, file: str, part: str, figure: str
) -> None:
    (dated,) = set(re.findall(rf"\d{{4}}-\d\d-\d\d-{file}\.json", PAGE))
    report = json.loads((RESULTS / dated).read_text())
    ours = [row for row in report["rows"] if not row["title"].startswith("bare: ")]
    runs = [run for row in ours for run in row["runs"] if part in {run["part"], row["key"]}]
    values = [
        eval(figure, {**run["more"], **{f"cpu_{process}": spent for process, spent in run["cpu_us"].items()}})
        for run in runs
    ]

    digits = 2 if CONSTANTS[name] < 1 else 0
    assert CONSTANTS[name] == round(statistics.median(values), digits)


def test_a_constant_that_is_set_is_what_the_code_and_compose_set() -> None:
    settings = Settings()
    topics = Topics("scim")
    of = wanted(topics, partitions=4, replication=3, retention_days=settings.events.retention_days)
    compose = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
    command = compose["services"]["redis"]["command"]
    least = command[command.index("--auto-aof-rewrite-min-size") + 1]
    expected = {
        "most_outcomes": settings.outcomes.most,
        "outcome_s": LIFE_MS / 1000,
        "most_waiting": MOST_PENDING,
        "taken_s": redis_replies.BEAT_S,
        "file_least": int(least.removesuffix("mb")) * 2**20,
        "commands_hours": int(of[topics.commands]["retention.ms"].value) / HOUR_MS,
        "events_hours": int(of[topics.events]["retention.ms"].value) / HOUR_MS,
        "state_segment": int(of[topics.state]["segment.bytes"].value),
        "lag_hours": int(of[topics.state]["min.compaction.lag.ms"].value) / HOUR_MS,
    }

    assert {name: CONSTANTS[name] for name, origin in ORIGINS.items() if origin.startswith("set")} == expected


def test_every_constant_says_where_it_is_from_and_the_rebuild_is_the_readmes() -> None:
    rest = {name: origin for name, origin in ORIGINS.items() if name not in {measured[0] for measured in MEASURED}}

    assert len(MEASURED) > 15
    assert {origin.split(",")[0].split(":")[0].split(";")[0] for origin in rest.values()} == {
        "measured",
        "set",
        "assumed",
    }
    assert f"({CONSTANTS['rebuilt']:,.0f}/s" in (ROOT / "README.md").read_text()


def test_every_file_that_is_linked_exists() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        assert (ROOT / "deploy" / target.partition("#")[0]).exists()
