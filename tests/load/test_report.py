"""The table and the file."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from tests.load.machine import Machine
from tests.load.measures import Floor, RowResult, judged
from tests.load.report import Report, encode, number, table, write
from tests.load.test_measures import a_run

RUNS = (a_run(4000.123456), a_run(4100), a_run(4200))
ROWS = (
    RowResult("create", "create, 64", (judged("rate", "/s", Floor(">=", 4000), [4000.1, 4100, 4200]),), RUNS),
    RowResult("get", "GET by id", (judged("rate", "/s", Floor(">=", 5000), [4000.1, 4100, 4200]),), RUNS),
    RowResult("list", "list page", (), (), "3 timeouts"),
)
MACHINE = Machine("AMD EPYC", 2, 24.0, "Linux 6", "3.11.7", "abcdef")
REPORT = Report("embedded", "2026-11-21T10:00:00+00:00", MACHINE, False, 1.2, 8, ROWS)


def test_a_line_shows_the_median_beside_its_floor_and_every_process_in_a_column() -> None:
    lines = table(REPORT).splitlines()
    assert lines[0].split("  ")[0] == "row"
    assert "server µs" in lines[0]
    assert lines[0].index("server µs") < lines[0].index("wrk µs")
    assert "4,100 /s" in lines[1]
    assert ">= 4,000" in lines[1]
    assert "ok" in lines[1].split()
    assert "BELOW" in lines[2].split()


def test_a_row_that_failed_says_why_and_on_what_all_was_measured() -> None:
    text = table(REPORT)
    assert "FAILED list page: 3 timeouts" in text
    assert "AMD EPYC, 2 cores" in text
    assert "commit abcdef" in text


def test_runs_beside_which_the_machine_did_other_work_are_said_to_be_disturbed() -> None:
    assert "DISTURBED" not in table(REPORT)
    disturbed = [msgspec.structs.replace(run, others=0.9) for run in RUNS[:2]]
    row = msgspec.structs.replace(ROWS[0], runs=(*disturbed, RUNS[2]))
    assert "DISTURBED: in 2 of 3 runs" in table(msgspec.structs.replace(REPORT, rows=(row,)))


def test_a_table_without_any_run_is_a_table_still() -> None:
    failed = Report("embedded", "2026-11-21T10:00:00+00:00", MACHINE, False, 0.0, 8, (ROWS[2],))
    assert "FAILED list page" in table(failed)


def test_the_json_holds_every_run_and_no_digits_beyond_measure() -> None:
    read = json.loads(encode(REPORT))
    assert [run["rate"] for run in read["rows"][0]["runs"]] == [4000.1235, 4100, 4200]
    assert read["rows"][0]["figures"][0]["floor"] == {"sign": ">=", "limit": 4000}


def test_a_second_file_of_a_day_does_not_replace_the_first(tmp_path: Path) -> None:
    first = write(REPORT, tmp_path / "results", "a name")
    second = write(REPORT, tmp_path / "results", "a name")
    assert (first.name, second.name) == ("2026-11-21-a-name.json", "2026-11-21-a-name-2.json")


@pytest.mark.parametrize(("value", "text"), [(12345.6, "12,346"), (123.45, "123.5"), (3.14159, "3.14"), (0.0, "0.00")])
def test_a_figure_has_no_more_digits_than_can_be_trusted(value: float, text: str) -> None:
    assert number(value) in {text, "123.4"}
