"""What 503s and ``/Outcomes`` tell is held against the events: each untruth is found, the truth passes (CP-27)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.faults.history import Intent, Operation
from tests.faults.logs import Parked
from tests.faults.outcomes import check_told, parked, told_unknown
from tests.faults.test_checker_by_hand import Story, titled


@pytest.fixture
def story() -> Story:
    """Ann is created, and patched by a request whose answer was lost."""
    told = Story()
    ann = told.create("ann", "1")
    told.do(Intent("patch", ann, titled("one", "2")))
    return told


def refused_by_503(story: Story, **answer: Any) -> Operation:
    """Have the patch answered 503, whatever became of it."""
    story.change(2, status=503, version=None, answer={"status": "503", **answer})
    return story.history[1]


def outcome(txn: str | None, state: str, version: str | None = None, resource: str | None = None) -> dict[str, Any]:
    location = resource and f"https://scim.example.com/scim/v2/Users/{resource}"
    return {"txn": txn, "state": state, "status": 200, "version": version, "location": location, "error": None}


def invariants(story: Story, *outcomes: dict[str, Any]) -> list[str]:
    return [violation.invariant for violation in check_told(story.history, story.events, outcomes)]


def test_an_effect_that_is_told_as_applied_is_the_truth(story: Story) -> None:
    patch = refused_by_503(story, txn=story.history[1].txn)
    assert told_unknown(patch)
    assert invariants(story, outcome(patch.txn, "applied", 'W/"2"', patch.resource)) == []


@pytest.mark.parametrize(
    ("state", "version"), [("unknown", None), ("pending", None), ("refused", None), ("applied", 'W/"1"')]
)
def test_an_effect_that_is_told_as_anything_else_is_found(story: Story, state: str, version: str | None) -> None:
    patch = refused_by_503(story, txn=story.history[1].txn)
    assert invariants(story, outcome(patch.txn, state, version, patch.resource)) == ["CP-27"]


def test_an_effect_of_what_was_told_not_applied_is_found(story: Story) -> None:
    patch = refused_by_503(story)
    assert not told_unknown(patch)
    assert invariants(story) == ["INV-6"]


def test_a_change_that_is_told_as_applied_and_left_nothing_is_found(story: Story) -> None:
    ann = story.history[0].resource
    assert invariants(story, outcome("another", "applied", 'W/"3"', ann)) == ["CP-27"]
    assert invariants(story, outcome("another", "applied", 'W/"2"', ann)) == [], "it had nothing to change"


@pytest.mark.parametrize("state", ["unknown", "pending", "refused"])
def test_what_left_nothing_may_be_told_as_such(story: Story, state: str) -> None:
    assert invariants(story, outcome("another", state)) == []


def test_an_outcome_that_cannot_be_had_is_found(story: Story) -> None:
    assert invariants(story, outcome("another", "status 503")) == ["CP-27"]


def test_what_was_set_aside_is_told_by_its_outcome_alone() -> None:
    told: list[dict[str, Any]] = [
        {"txn": "parked", "state": "refused", "status": 500},
        {"txn": "taken", "state": "refused", "status": 409},
        {"txn": "done", "state": "applied", "status": 200},
        {"txn": "lost", "state": "unknown", "status": None},
    ]

    assert parked(told) == {"parked"}
    letter = Parked(partition=0, offset=1, parked_at=2, txn="earlier")
    assert parked(told, (letter, msgspec.structs.replace(letter, txn=None))) == {"parked", "earlier"}
