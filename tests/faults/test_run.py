"""The command behind ``make faults``: kept runs are checked again, a broken one fails, wrong names are refused."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import msgspec
import pytest

from schemas.partitions import partition_of
from tests.distributed import PARTITIONS
from tests.faults import campaign, run
from tests.faults.campaign import SECOND, Result, Size, Strike
from tests.faults.figures import Figures, added, table
from tests.faults.history import Operation
from tests.faults.reference import Bug, Reference
from tests.faults.rows import ROWS, SIZES
from tests.faults.simulation import Simulation
from tests.faults.without import REMOVED, ROOT, environment_without


def kept(directory: Path, bug: Bug | None) -> Path:
    simulation = Simulation(Random(1), Reference(bug))
    simulation.run(300)
    server = simulation.server
    (directory / "history.jsonl").write_bytes(b"".join(msgspec.json.encode(o) + b"\n" for o in simulation.history))
    campaign.keep(directory, Result(simulation.history, list(server.final_state()), server.events, []))
    return directory


def test_a_kept_run_that_was_clean_is_clean_again(tmp_path: Path) -> None:
    assert run.main(["--check", str(kept(tmp_path, None))]) == 0


def test_a_kept_run_that_broke_the_promise_fails_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--check", str(kept(tmp_path, "dropped ack"))]) == 1
    assert "INV-1 (lost)" in capsys.readouterr().err


def test_an_unknown_row_is_wrong_usage() -> None:
    with pytest.raises(SystemExit) as stopped:
        run.main(["no-such-row"])
    assert stopped.value.code == 2


def acknowledged(at: float) -> Operation:
    moment = int(at * SECOND)
    return Operation(
        number=1,
        client="c",
        gateway="g",
        verb="patch",
        invoked_at=moment - 1,
        returned_at=moment,
        status=200,
        version=1,
    )


def test_the_times_in_the_table_are_those_of_the_acknowledgements() -> None:
    history = [acknowledged(t / 100) for t in (*range(500), *range(700, 1200))]
    history.append(msgspec.structs.replace(history[499], status=None, returned_at=6 * SECOND))
    strikes = [Strike(5 * SECOND, 7 * SECOND)]
    result = Result(history, [], [], strikes)
    assert result.acknowledged == 1000
    assert result.unanswered(strikes[0]) == 1
    assert result.longest_gap() == pytest.approx(2.01)
    assert result.time_to_normal() == pytest.approx(1.9, abs=0.15)


def test_a_run_that_was_stopped_goes_on_where_its_log_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(SIZES, "ci", Size(strikes=5, acknowledged=20, calm=(0, 0.1)))
    begin = ["embedded-kill", "--size", "ci", "--resume", str(tmp_path), "--rate", "300"]
    assert run.main([*begin, "--seed", "5", "--minutes", "0"]) == 0
    assert "1 rounds are left for another time" in capsys.readouterr().err
    assert run.main(begin) == 0
    table = capsys.readouterr().out
    assert "seed 5" in table
    assert re.search(r"\| embedded-kill \| 5 ", table)
    log = (tmp_path / run.DONE).read_bytes().splitlines()
    assert [msgspec.json.decode(line).get("row") for line in log] == [None, "embedded-kill"]
    assert run.main(begin) == 0
    told = capsys.readouterr()
    assert told.out == table
    assert not told.err


def test_a_release_is_cut_into_rounds_and_all_rows_have_their_first_before_any_has_its_second() -> None:
    chosen = run.Run(run.Begun(1, "release", 600), ["tcp-worker-redis", "redis-promotion"])
    rounds = list(chosen.rounds())
    assert rounds[:3] == [("tcp-worker-redis", 0), ("redis-promotion", 0), ("tcp-worker-redis", 1)]
    strikes = sum(run.size_of(name, "release").strikes for name, _ in rounds if name == "tcp-worker-redis")
    assert strikes == ROWS["tcp-worker-redis"].times["release"]


def test_the_rounds_of_a_row_are_added_up() -> None:
    rounds = [
        Figures(row="a", times=2, acknowledged=10, kinds={"lost": 1}, gap=1.5, normal=2, back=1, seen={"x": 2}),
        Figures(row="a", times=3, acknowledged=20, kinds={"lost": 2}, gap=0.5, normal=9, back=8, seen={"x": 1}),
        Figures(row="a", broken_off="the service did not come back"),
    ]
    whole = added(rounds)
    assert (whole.times, whole.acknowledged, whole.kinds, whole.seen) == (5, 30, {"lost": 3}, {"x": 3})
    assert (whole.gap, whole.normal, whole.back) == (1.5, 9, 8)
    assert rounds[2].failed
    shown = table([whole, added([Figures(row="b", skipped="no broker")])], {"a": 3.0})
    assert "3 MISSED" in shown
    assert "SKIPPED" in shown


def test_the_longest_time_without_service_of_one_partition_is_told_apart() -> None:
    here, there = ids_of_two_partitions()
    history = [msgspec.structs.replace(acknowledged(t / 10), resource=here, tenant="rfc") for t in range(100)]
    history += [
        msgspec.structs.replace(acknowledged(t / 10), resource=there, tenant="rfc")
        for t in (*range(20), *range(60, 100))
    ]
    result = Result(history, [], [], [])
    assert result.longest_gap() == pytest.approx(0.1)
    assert result.longest_partition_gap() == pytest.approx(4.1)


def ids_of_two_partitions() -> tuple[str, str]:
    names = [f"id-{number}" for number in range(100)]
    placed = {partition_of("rfc", name, shards=1, partitions=PARTITIONS): name for name in names}
    first, second, *_ = placed.values()
    return first, second


@pytest.mark.parametrize("rule", REMOVED)
def test_a_rule_can_be_taken_away(rule: str, tmp_path: Path) -> None:
    removed = REMOVED[rule]
    assert removed.row in ROWS
    assert environment_without(rule, tmp_path)["PYTHONPATH"] == str(tmp_path)
    changed = (tmp_path / removed.file).read_text()
    assert len(changed) == len((ROOT / removed.file).read_text()) - len(removed.line) + len(removed.instead)
