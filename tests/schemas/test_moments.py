"""dateTime values as instants."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.moments import moment


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2011-05-13T04:42:34Z", datetime(2011, 5, 13, 4, 42, 34, tzinfo=UTC)),
        ("2011-05-13T04:42:34", datetime(2011, 5, 13, 4, 42, 34, tzinfo=UTC)),
        ("2011-05-13T06:42:34+02:00", datetime(2011, 5, 13, 4, 42, 34, tzinfo=UTC)),
        ("2011-05-13T04:42:34.25Z", datetime(2011, 5, 13, 4, 42, 34, 250000, tzinfo=UTC)),
        ("2011-05-13T04:42:34.1234567Z", datetime(2011, 5, 13, 4, 42, 34, 123456, tzinfo=UTC)),
        ("2011-05-13T24:00:00Z", datetime(2011, 5, 14, tzinfo=UTC)),
        ("2011-12-31T24:00:00", datetime(2012, 1, 1, tzinfo=UTC)),
    ],
)
def test_A8_a_dateTime_is_an_instant_whatever_its_zone(text: str, instant: datetime) -> None:
    assert moment(text) == instant


def test_two_spellings_of_one_instant_are_equal() -> None:
    assert moment("2011-05-13T04:42:34Z") == moment("2011-05-13T01:42:34-03:00")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2011-05-13",
        "2011-05-13T04:42",
        "2011-05-13 04:42:34Z",
        "20110513T04:42:34+00",
        "2011-W19-5T04:42:34Z",
        "2011-05-13T044234+00:00",
        "2011-05-13T04:42.34:00Z",
        "2011-13-13T04:42:34Z",
        "2011-05-13T25:42:34Z",
        "9999-12-31T24:00:00Z",
        "2011-05-13T04:42:34 Z",
        "2011-05-13T04:42:34xZ",
        "２０１１-05-13T04:42:34Z",
    ],
)
def test_A8_another_text_is_no_dateTime(text: str) -> None:
    assert moment(text) is None


@settings(deadline=None)
@given(st.datetimes(), st.integers(-14 * 60, 14 * 60))
def test_every_datetime_is_read_as_it_was_written(value: datetime, minutes: int) -> None:
    zoned = value.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert moment(zoned.isoformat()) == zoned


@settings(deadline=None)
@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    assert moment(text) is None or isinstance(moment(text), datetime)
