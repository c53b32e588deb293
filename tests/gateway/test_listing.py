"""``startIndex`` and ``count`` as clients write them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.listing import _integer
from schemas.errors import InvalidValue


@settings(deadline=None)
@given(st.integers(-(10**16) + 1, 10**16 - 1))
def test_an_integer_is_read_and_bounded(number: int) -> None:
    assert _integer(str(number), "count", 7) == min(number, 2**53)


@pytest.mark.parametrize("text", [None, ""])
def test_what_is_missing_has_its_default(text: str | None) -> None:
    assert _integer(text, "count", 7) == 7


@pytest.mark.parametrize(
    "text", ["x", "1.0", "1e3", "--1", "-", "+1", " 1", "1_000", "１", "²", "0x10", "9" * 17, "9" * 5000]
)
def test_what_is_no_integer_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        _integer(text, "count", 7)
    assert refused.value.detail == "count takes an integer"
