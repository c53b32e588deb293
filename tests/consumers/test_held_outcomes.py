"""Counting outcomes that expire by themselves."""

from __future__ import annotations

from consumers.held_outcomes import HeldOutcomes
from schemas.outcomes import KEYED_LIFE_MS, LIFE_MS, Outcome

NOON = 1_795_262_400_000


def outcome(decided_at: int, key: str | None = None) -> Outcome:
    return Outcome(
        txn="t", status=200, resource_type="User", resource_id="u", verb="patch", fingerprint="f", gateway="g",
        decided_at=decided_at, key=key,
    )  # fmt: skip


def test_outcomes_are_held_for_as_long_as_they_live() -> None:
    held = HeldOutcomes()
    held.add([outcome(NOON), outcome(NOON), outcome(NOON, key="k")])

    assert held.count(NOON) == 3
    assert held.count(NOON + LIFE_MS - 1) == 3
    assert held.count(NOON + LIFE_MS + 60_000) == 1
    assert held.count(NOON + KEYED_LIFE_MS + 60_000) == 0


def test_a_new_owner_counts_anew() -> None:
    held = HeldOutcomes()
    held.add([outcome(NOON)])
    held.clear()

    assert held.count(NOON) == 0
