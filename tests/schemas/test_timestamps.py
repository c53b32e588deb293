"""Times as numbers and as text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas import timestamps

UNTIL_9999 = st.integers(min_value=0, max_value=253_402_300_799_999)


def test_a_time_is_shown_in_utc_with_milliseconds() -> None:
    assert timestamps.text(0) == "1970-01-01T00:00:00.000Z"
    assert timestamps.text(1_795_262_400_007) == "2026-11-21T12:00:00.007Z"
    assert timestamps.text(1_795_262_400_999) == "2026-11-21T12:00:00.999Z"
    assert timestamps.text(1_795_262_401_000) == "2026-11-21T12:00:01.000Z"


@given(UNTIL_9999)
def test_a_text_is_read_back_exactly(milliseconds: int) -> None:
    assert timestamps.milliseconds(timestamps.text(milliseconds)) == milliseconds


@given(UNTIL_9999, UNTIL_9999)
def test_texts_sort_as_their_times_do(one: int, other: int) -> None:
    assert (timestamps.text(one) < timestamps.text(other)) == (one < other)
