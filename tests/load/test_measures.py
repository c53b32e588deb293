"""Medians, floors, percentiles and drift."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.load.measures import Floor, Measure, RowResult, Run, drift, judged, measured, percentile


def a_run(rate: float, part: str = "") -> Run:
    return Run(
        part,
        10,
        1.0,
        int(rate),
        rate,
        1.0,
        1.0,
        2.0,
        3.0,
        {"server": 100.0, "wrk": 20.0},
        {"server": 50.0},
        1.0,
        0.1,
        0.05,
        False,
    )


def test_a_row_is_judged_by_its_median_run() -> None:
    rate = Measure("rate", "/s", Floor(">=", 100), lambda run: run.rate)
    assert measured(rate, [a_run(90), a_run(110), a_run(101)]).ok
    assert not measured(rate, [a_run(90), a_run(110), a_run(99)]).ok


def test_a_figure_reads_only_the_runs_of_its_part() -> None:
    rate = Measure("rate", "/s", None, lambda run: run.rate, "large")
    assert measured(rate, [a_run(1, "small"), a_run(7, "large"), a_run(2, "small")]).value == 7


@pytest.mark.parametrize(
    ("floor", "value", "holds"),
    [
        (Floor(">=", 4000), 4000, True),
        (Floor(">=", 4000), 3999.9, False),
        (Floor("<=", 4), 4, True),
        (Floor("<=", 4), 4.001, False),
    ],
)
def test_a_floor_holds_at_its_limit_and_not_beyond(floor: Floor, value: float, holds: bool) -> None:
    assert judged("figure", "", floor, [value]).ok is holds


def test_a_row_that_failed_is_not_ok_though_no_floor_is_broken() -> None:
    assert not RowResult("create", "create", (), (), "403").ok


def test_memory_is_compared_between_the_second_round_and_the_last() -> None:
    assert drift([[10, 20], [40, 40, 41], [90], [44, 44, 43]]) == pytest.approx(0.1)
    assert drift([[40], [50]]) == pytest.approx(0.25)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300), st.sampled_from([0.5, 0.9, 0.99, 0.999, 1.0]))
def test_a_percentile_is_the_least_value_that_enough_values_do_not_exceed(values: list[float], part: float) -> None:
    found = percentile(values, part)
    assert found in values
    assert sum(value <= found for value in values) >= part * len(values) - 1e-9
    assert sum(value < found for value in values) < part * len(values)
