"""Outcomes: read for ever, kept for as long as a repeat may come."""

from __future__ import annotations

import json

import msgspec
import pytest

from schemas.outcomes import Outcome, decode_outcome, encode_outcome, expires_at
from tests.schemas import golden

GOLDEN = golden.names("outcome")
DAY = 24 * 3600 * 1000
QUARTER = 15 * 60 * 1000


@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_outcome_is_read_and_written_again_byte_for_byte(name: str) -> None:
    value = golden.value(name)

    assert encode_outcome(decode_outcome(value)) == value


@pytest.mark.parametrize("name", GOLDEN)
def test_every_outcome_carries_its_schema_number(name: str) -> None:
    assert json.loads(golden.value(name))["v"] == 1


@pytest.mark.parametrize("name", GOLDEN)
def test_members_that_a_reader_does_not_know_are_ignored(name: str) -> None:
    value = json.loads(golden.value(name)) | {"addedLater": 1}

    assert decode_outcome(json.dumps(value).encode()) == decode_outcome(golden.value(name))


@pytest.mark.parametrize("change", [{"v": 2}, {"v": "1"}, {"verb": "rename"}, {"status": "201"}])
def test_an_outcome_from_the_future_or_from_elsewhere_is_refused(change: dict[str, object]) -> None:
    value = json.loads(golden.value(GOLDEN[0])) | change

    with pytest.raises(msgspec.ValidationError):
        decode_outcome(json.dumps(value).encode())


@pytest.mark.parametrize(("key", "life"), [(None, QUARTER), ("ab" * 16, DAY)])
def test_an_outcome_with_a_key_is_kept_for_a_day_and_any_other_for_a_quarter_of_an_hour(
    key: str | None, life: int
) -> None:
    outcome = Outcome(
        txn="t",
        status=200,
        resource_type="User",
        resource_id="1",
        verb="patch",
        fingerprint="f",
        key=key,
        gateway="g",
        decided_at=1_000,
    )

    assert expires_at(outcome) == 1_000 + life
