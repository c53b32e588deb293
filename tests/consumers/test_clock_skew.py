"""Clocks apart: when it is told, and when it is over."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from consumers.clock_skew import REMEMBERED_S, ClockSkew
from consumers.metrics import Metrics


@dataclass
class Clocks:
    """A clock that may step, one that never does, and the comparison of the first with the brokers'."""

    wall: float = 1_800_000_000.0
    steady: float = 50.0
    metrics: Metrics = field(default_factory=Metrics)

    def __post_init__(self) -> None:
        self.skew = ClockSkew(self.metrics, wall=lambda: self.wall, steady=lambda: self.steady)

    def problem(self) -> str | None:
        return self.skew.problem

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


@pytest.mark.parametrize(
    ("ahead", "says"), [(0.0, None), (0.99, None), (-0.99, None), (1.5, "1.5 s ahead"), (-2.0, "2.0 s behind")]
)
def test_CP18_a_clock_more_than_a_second_apart_is_a_problem(ahead: float, says: str | None) -> None:
    clocks = Clocks()
    clocks.skew.observed(ahead)
    problem = clocks.problem()
    assert (problem is None) if says is None else (problem is not None and says in problem)
    assert clocks.metrics.registry.get_sample_value("scimgw_clock_skew_seconds") == pytest.approx(ahead)


def test_CP18_a_clock_that_agrees_again_is_none(caplog: pytest.LogCaptureFixture) -> None:
    clocks = Clocks()
    with caplog.at_level("INFO", "scimgw.clock"):
        clocks.skew.observed(3.0)
        clocks.skew.observed(3.1)
        clocks.skew.observed(0.1)
        assert clocks.problem() is None
    actions = [vars(record)["action"] for record in caplog.records]
    assert actions == ["clock_out", "clock_agrees"], "said once each"


def test_CP18_a_clock_that_is_set_right_shows_without_another_comparison() -> None:
    clocks = Clocks()
    clocks.skew.observed(30.0)
    clocks.passes(5)
    assert clocks.problem() is not None
    clocks.wall -= 30
    assert clocks.problem() is None


def test_CP18_a_clock_that_steps_away_shows_without_another_comparison() -> None:
    clocks = Clocks()
    clocks.skew.observed(0.0)
    clocks.passes(3600)
    assert clocks.problem() is None
    clocks.wall -= 10
    assert clocks.problem() is not None
    clocks.passes(REMEMBERED_S + 1)
    assert clocks.problem() is None, "it may have been right to step: a machine that slept"


def test_CP18_a_clock_that_nobody_compares_any_more_gets_another_chance() -> None:
    clocks = Clocks()
    clocks.skew.observed(5.0)
    clocks.passes(REMEMBERED_S - 1)
    assert clocks.problem() is not None
    clocks.passes(2)
    assert clocks.problem() is None
    clocks.skew.observed(5.0)
    assert clocks.problem() is not None
