"""The checker finds what it must: clean histories pass, every planted bug and every broken invariant is caught."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.faults.checker import check
from tests.faults.reference import BUGS, Bug, Reference
from tests.faults.simulation import Simulation
from tests.faults.violations import Violation


def simulate(seed: int, steps: int, overlap: int = 300, loss: float = 0.1) -> list[Violation]:
    simulation = Simulation(Random(seed), overlap=overlap, loss=loss)
    simulation.run(steps)
    return check(simulation.history, simulation.server.final_state(), simulation.server.events)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    steps=st.integers(0, 250),
    overlap=st.sampled_from([0, 50, 300, 2000]),
    loss=st.sampled_from([0.0, 0.1, 0.5]),
)
def test_any_interleaving_of_a_correct_server_is_accepted(seed: int, steps: int, overlap: int, loss: float) -> None:
    assert simulate(seed, steps, overlap, loss) == []


def test_a_long_history_of_a_correct_server_is_accepted() -> None:
    assert simulate(seed=2, steps=8000, overlap=20, loss=0.25) == []


CAUGHT: dict[Bug, set[str]] = {
    "case-sensitive uniqueness": {"INV-4"},
    "commit before names": {"INV-4"},
    "conflict without holder": {"INV-4"},
    "doubled event": {"INV-3"},
    "doubled version": {"INV-2"},
    "dropped ack": {"INV-1"},
    "forgotten first answer": {"INV-4"},
    "If-Match ignored": {"INV-5"},
    "If-Match refused": {"INV-5"},
    "key answered differently": {"INV-7"},
    "late effect": {"INV-13"},
    "lost event": {"INV-3"},
    "lost flip": {"INV-3"},
    "name never freed": {"INV-4"},
    "nondeterministic decide": {"INV-17"},
    "refused but done": {"INV-6"},
    "revived": {"INV-14"},
    "skipped dedupe": {"INV-7"},
    "stale read": {"INV-8"},
    "swapped events": {"INV-3"},
    "swapped replies": {"INV-2", "INV-12"},
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_caught_and_named(bug: Bug, seed: int) -> None:
    server = Reference(bug)
    simulation = Simulation(Random(seed), server, overlap=20, loss=0.25, lateness=1000)
    simulation.run(1500)
    found = check(simulation.history, server.final_state(), server.events, budget_ns=10**9)
    assert server.bitten or bug == "case-sensitive uniqueness", "the bug had no opportunity"
    assert {violation.invariant for violation in found} & CAUGHT[bug], found[:5]
