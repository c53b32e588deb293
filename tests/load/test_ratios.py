"""One deployment's figures as a multiple of another's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.load.budget import Budget
from tests.load.deployments import Deployment, Embedded
from tests.load.errors import RunFailed
from tests.load.measures import RowResult, Run
from tests.load.ratios import ratio
from tests.load.rows import BESIDE, Row, measure_in_turn
from tests.load.test_measures import a_run


def test_each_run_is_held_against_the_one_of_its_turn() -> None:
    ours = RowResult("create", "create", (), (a_run(100), a_run(300), a_run(80)))
    bare = RowResult("create", "bare: create", (), (a_run(200), a_run(600), a_run(100)))
    found = ratio(("kafka", "bare"), ours, bare, BESIDE[:1])
    assert found.title == "create: kafka as a multiple of bare"
    assert (found.figures[0].low, found.figures[0].value, found.figures[0].high) == (0.5, 0.5, 0.8)


def test_there_is_no_ratio_where_one_of_the_two_failed() -> None:
    row = RowResult("create", "create", (), (a_run(100),))
    assert ratio(("kafka", "bare"), row, RowResult("create", "create", (), (), "3 timeouts"), BESIDE).failure


def test_deployments_take_turns_run_by_run_and_one_that_fails_stops_alone(tmp_path: Path) -> None:
    order: list[str] = []

    def row(name: str, fails_at: int) -> Row:
        def runs(_deployment: Deployment, budget: Budget, _title: str) -> Iterator[Run]:
            for number in range(budget.runs):
                order.append(f"{name}{number}")
                if number == fails_at:
                    raise RunFailed("3 timeouts")
                yield a_run(100)

        return Row(name, name, runs, BESIDE)

    deployment = Embedded(tmp_path)
    found = measure_in_turn([(row("a", -1), deployment), (row("b", 1), deployment)], Budget(runs=3))
    assert order == ["a0", "b0", "b1", "a1", "a2"]
    assert [result.failure for result in found] == ["", "3 timeouts"]
