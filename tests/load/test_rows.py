"""What a failing run does to its row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.load.budget import Budget
from tests.load.deployments import Deployment, Embedded
from tests.load.errors import RunFailed
from tests.load.measures import Run
from tests.load.rows import Row, measure_row


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RunFailed("get: 3 timeouts"), "get: 3 timeouts"),
        (TimeoutError(), "TimeoutError while it ran"),
        (FileNotFoundError(2, "gone", "/some/path"), "FileNotFoundError while it ran"),
    ],
)
def test_a_run_that_fails_costs_its_row_and_names_no_path(error: Exception, said: str, tmp_path: Path) -> None:
    def runs(deployment: Deployment, budget: Budget, title: str) -> Sequence[Run]:
        raise error

    result = measure_row(Row("get", "GET", runs, ()), Embedded(tmp_path), Budget())
    assert result.failure == said
    assert not result.ok


def test_a_row_begun_after_the_time_is_over_says_so(tmp_path: Path) -> None:
    def runs(deployment: Deployment, budget: Budget, title: str) -> Sequence[Run]:
        budget.begin(title, "run 1")
        return []

    result = measure_row(Row("get", "GET", runs, ()), Embedded(tmp_path), Budget(until=0))
    assert "the time is over" in result.failure
