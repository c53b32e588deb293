"""The comparison with another product: its installation, what it is asked, and how its table reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import msgspec
import pytest

from tests.load import bench, population
from tests.load.against import OURS, compared, measures, said_as
from tests.load.budget import Budget
from tests.load.deployments import Embedded, Running
from tests.load.errors import RunFailed
from tests.load.measures import RowResult, measured
from tests.load.report import comparison
from tests.load.scim2_server import HOME, PACKAGES, Scim2Server, installed
from tests.load.test_closed_loop import at
from tests.load.test_measures import a_run
from tests.load.wrk import Load


def test_a_package_that_cannot_be_had_ends_the_bench_with_the_remedy_and_leaves_no_half_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "environment"
    monkeypatch.setattr(bench, "HOME", home)
    monkeypatch.setattr(bench, "find_wrk", lambda: "wrk")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert bench.main(["--against", "--data", str(tmp_path)]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("bench: --against needs scim2-server==")
    assert "PIP_INDEX_URL" in said
    assert list(tmp_path.iterdir()) == []


def test_an_environment_that_is_complete_is_not_made_again(tmp_path: Path) -> None:
    (tmp_path / "installed").write_text(" ".join(PACKAGES))
    assert installed(tmp_path) == tmp_path / "bin" / "python"
    assert [file.name for file in tmp_path.iterdir()] == ["installed"]


def test_the_other_product_is_expected_to_write_json_in_its_own_way(tmp_path: Path) -> None:
    load = Load("filter", 16, {"expect": '"totalResults":1,'})
    ours = at(1, tmp_path)
    assert said_as(load, ours) is load
    assert said_as(load, msgspec.structs.replace(ours, ours=False)).arguments == {"expect": '"totalResults": 1,'}


def test_the_comparison_has_a_line_for_each_load_with_the_median_ratios_of_its_turns() -> None:
    runs = [
        msgspec.structs.replace(a_run(rate, OURS), more={"rate_ratio": ratio, "cpu_ratio": ratio + 1})
        for rate, ratio in ((4000, 4.0), (4400, 4.4), (3000, 2.0))
    ]
    runs += [a_run(1000, "theirs"), a_run(1100, "theirs"), a_run(1500, "theirs")]
    rows = [
        RowResult("get", "GET by id", tuple(measured(each, runs) for each in measures("theirs")), tuple(runs)),
        RowResult("create", "create", (), (), "3 timeouts"),
    ]
    heading, line = comparison(rows).splitlines()
    assert "theirs /s" in heading
    assert "theirs, CPU ms" in heading
    assert line.split() == ["GET", "by", "id", "4,000", "1,100", "4.00", "0.10", "0.10", "5.00"]


def test_a_product_that_does_not_start_fails_the_comparison(tmp_path: Path) -> None:
    class Standing(Embedded):
        @contextmanager
        def running(self, count: int, *, password: str = "drop", keep: bool = False) -> Iterator[Running]:
            yield at(1, tmp_path)

    class Dead(Embedded):
        name = "dead"

        def running(self, count: int, *, password: str = "drop", keep: bool = False) -> NoReturn:
            raise RunFailed("the server ended with 1")

    (row,) = compared(Standing(tmp_path), Dead(tmp_path), Budget(runs=1))
    assert row.failure == "the server ended with 1"
    assert comparison([row]) == ""


@pytest.mark.skipif(
    not (HOME / "installed").exists(), reason="make bench ARGS=--against has installed nothing here yet"
)
def test_scim2_server_serves_the_population_at_the_paths_of_ours(tmp_path: Path) -> None:
    with Scim2Server(tmp_path).running(20) as running:
        assert population.total_users(running.port, running.token) == 20
        assert len(population.read_file(running.population_file)) == 20
