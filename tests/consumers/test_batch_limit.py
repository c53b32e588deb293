"""How many commands are decided together after transactions that took too long (CP-23)."""

from __future__ import annotations

import pytest

from consumers.batch_limit import FEW, MOST, RESTRAINT_S, BatchLimit


def test_CP23_a_large_batch_that_is_too_slow_is_halved() -> None:
    limit = BatchLimit()
    limit.too_slow(200, 0.0)
    assert limit.at(1.0) == 100


@pytest.mark.parametrize("commands", [1, 5, FEW])
def test_CP23_a_small_batch_in_a_brokers_pause_leaves_room_for_batches(commands: int) -> None:
    limit = BatchLimit()
    limit.too_slow(commands, 0.0)
    assert limit.at(1.0) == FEW // 2


def test_CP23_what_stays_too_slow_is_tried_one_by_one_in_the_end() -> None:
    limit = BatchLimit()
    tried = []
    while (most := limit.at(1.0)) > 1:
        tried.append(most)
        limit.too_slow(most, 0.0)
    assert tried == [256, 128, 64, 32, 16, 8, 4, 2]
    limit.too_slow(1, 0.0)
    assert limit.at(1.0) == 1


def test_CP23_batches_double_after_each_minute_without_another() -> None:
    limit = BatchLimit()
    limit.too_slow(1, 0.0)
    sizes = [limit.at(minute * RESTRAINT_S) for minute in range(1, 7)]
    assert sizes == [32, 64, 128, MOST, MOST, MOST]
