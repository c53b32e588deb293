"""The command behind ``make faults``: kept runs are checked again, a broken one fails, wrong names are refused."""

from __future__ import annotations

from pathlib import Path
from random import Random

import msgspec
import pytest

from tests.faults import campaign, run
from tests.faults.campaign import SECOND, Result, Strike
from tests.faults.history import Operation
from tests.faults.reference import Bug, Reference
from tests.faults.simulation import Simulation


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
