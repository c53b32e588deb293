"""Ids: time-ordered ones, and ones derived from an Idempotency-Key."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import ids

TIMES = st.integers(min_value=0, max_value=2**48 - 1)
RANDOM = st.binary(min_size=ids.RANDOM_BYTES, max_size=ids.RANDOM_BYTES)


@given(TIMES, RANDOM)
def test_a_time_ordered_id_is_a_uuid_of_version_7(milliseconds: int, random: bytes) -> None:
    made = uuid.UUID(ids.time_ordered(milliseconds, random))

    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == milliseconds


@given(TIMES, TIMES, RANDOM, RANDOM)
def test_time_ordered_ids_sort_as_their_times_do(one: int, other: int, random: bytes, more: bytes) -> None:
    if one != other:
        assert (ids.time_ordered(one, random) < ids.time_ordered(other, more)) == (one < other)


@given(RANDOM, RANDOM)
def test_ids_of_one_millisecond_differ_where_their_random_bits_do(random: bytes, more: bytes) -> None:
    kept = (1 << 80) - 1 & ~(0xF << 76) & ~(0x3 << 62)
    differs = (int.from_bytes(random, "big") ^ int.from_bytes(more, "big")) & kept != 0

    assert (ids.time_ordered(5, random) != ids.time_ordered(5, more)) == differs


def test_more_random_bytes_than_needed_are_ignored() -> None:
    assert ids.time_ordered(7, bytes(10) + b"x") == ids.time_ordered(7, bytes(10))


def test_a_time_ordered_id_is_known_for_ever() -> None:
    assert ids.time_ordered(0x0199_C1A2_B3C4, bytes(range(1, 11))) == "0199c1a2-b3c4-7102-8304-05060708090a"


def test_a_derived_id_is_a_uuid_of_version_8_and_the_same_for_ever() -> None:
    made = ids.derived("default", "okta", "User", "key-1")

    assert (uuid.UUID(made).version, uuid.UUID(made).variant) == (8, uuid.RFC_4122)
    # A change here would let every key that is in flight during an upgrade create a second resource (CP-8).
    assert made == "9cf5126b-b257-8e81-89b3-5dc61688b093"


def test_CP_8_a_derived_id_depends_on_tenant_principal_type_and_key() -> None:
    first = ("default", "okta", "User", "key-1")
    others = [("b", *first[1:]), (first[0], "b", *first[2:]), (*first[:2], "b", first[3]), (*first[:3], "b")]

    assert len({ids.derived(*names) for names in (first, *others)}) == 5
    assert ids.derived("ab", "c", "User", "k") != ids.derived("a", "bc", "User", "k")


@given(TIMES, RANDOM, st.text(max_size=5), st.text(max_size=5))
def test_CP_8_a_derived_id_is_told_from_a_time_ordered_one(time: int, random: bytes, tenant: str, key: str) -> None:
    assert ids.is_derived(ids.derived(tenant, "okta", "User", key))
    assert not ids.is_derived(ids.time_ordered(time, random))


@pytest.mark.parametrize("text", ["", "8", "8" * 14, "88888888-8888-1888-8888-888888888888"])
def test_what_has_no_version_digit_8_in_its_place_is_not_derived(text: str) -> None:
    assert not ids.is_derived(text)


def test_a_key_is_stored_as_a_hash_bound_to_tenant_and_principal() -> None:
    hashed = ids.key_hash("default", "okta", "key-1")

    assert hashed == "66f55035c5a83d5a2e2249725c327755"
    assert len({hashed, ids.key_hash("b", "okta", "key-1"), ids.key_hash("default", "b", "key-1")}) == 3
    assert ids.key_hash("default", "okta", "key-2") != hashed
    assert ids.key_hash("ab", "c", "k") != ids.key_hash("a", "bc", "k")
