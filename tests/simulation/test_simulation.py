"""A hundred seeds keep the promise, and each rule that is taken away is missed; more: ``python -m tests.simulation``."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from types import FunctionType

import msgspec
import pytest

from consumers.backends.redis_scripts import scripts_for
from tests.simulation.__main__ import read_tally, run_one
from tests.simulation.planted import PLANTED, Planted, planted
from tests.simulation.run import simulate

STRETCH = 10
NEEDED = (
    "workers killed",
    "workers paused",
    "redis restarts",
    "fenced by redis",
    "commands repeated",
    "changes replayed",
)
"""What must have happened in ten runs, or they prove nothing."""


@pytest.mark.parametrize("first", range(0, 100, STRETCH))
def test_all_invariants_hold_whatever_happens(first: int) -> None:
    counts: Counter[str] = Counter()
    for seed in range(first, first + STRETCH):
        report = simulate(seed)
        assert not report.complaints, f"seed {seed}: {report.complaints}"
        counts.update(report.counts)
    assert [name for name in NEEDED if not counts[name]] == []


@pytest.mark.parametrize("bug", PLANTED, ids=lambda bug: bug.rule)
def test_a_rule_that_is_removed_is_missed(bug: Planted) -> None:
    showing = next((seed for seed in bug.seeds if _complaints(seed, bug)), None)
    assert showing is not None, f"without {bug.rule} the seeds {bug.seeds} are clean; others: --rule '{bug.rule}'"
    assert not _complaints(showing, None), "the seed shows something else than the rule's absence"


def _complaints(seed: int, bug: Planted | None) -> tuple[str, ...]:
    return run_one(seed, bug).complaints


def test_each_rule_that_is_removed_was_missed_by_fresh_seeds_too() -> None:
    rules = read_tally().rules
    assert [bug.rule for bug in PLANTED if bug.rule not in rules or not rules[bug.rule].caught] == []


def test_a_patch_is_taken_back() -> None:
    function = PLANTED[0].function
    assert isinstance(function, FunctionType)
    code = function.__code__
    with planted(PLANTED[0]):
        assert function.__code__ is not code
    assert function.__code__ is code


def test_a_line_of_a_script_is_put_back() -> None:
    bug = next(bug for bug in PLANTED if bug.script is not None)
    texts = scripts_for("run replid").texts
    with planted(bug):
        assert scripts_for("run replid").texts != texts
    assert scripts_for("run replid").texts == texts


def test_a_line_that_is_not_there_cannot_be_removed() -> None:
    gone = msgspec.structs.replace(PLANTED[0], line="no such line")
    with pytest.raises(AssertionError, match="stands 0 times"), planted(gone):
        pass


def test_a_run_is_the_same_in_every_process() -> None:
    script = "from tests.simulation.run import simulate; print(simulate(3))"
    runs = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(runs) == 1
    assert "Report(seed=3" in runs.pop()
