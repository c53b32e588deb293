"""The filter of names: it never calls a name free that was added, and seldom one taken that was not."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from consumers.backends.name_filter import NameFilter

names = st.tuples(st.text(max_size=8), st.tuples(st.sampled_from(["userName", "displayName"]), st.text(max_size=12)))


@given(st.lists(names, max_size=30))
def test_a_name_that_was_added_is_never_new(added: list[tuple[str, tuple[str, str]]]) -> None:
    known = NameFilter()
    for name in added:
        known.add(*name)
    assert not any(known.is_new(*name) for name in added)


def test_in_an_empty_filter_every_name_is_new() -> None:
    assert NameFilter().is_new("acme", ("userName", "ann"))


def test_tenants_and_attributes_have_names_of_their_own() -> None:
    known = NameFilter()
    known.add("acme", ("userName", "ann"))
    assert known.is_new("globex", ("userName", "ann"))
    assert known.is_new("acme", ("displayName", "ann"))


def test_of_fifty_thousand_names_hardly_any_other_is_taken_for_one_of_them() -> None:
    known, salt = NameFilter(), os.urandom(4).hex()
    for number in range(50_000):
        known.add("acme", ("userName", f"user-{salt}-{number}"))
    mistaken = sum(not known.is_new("acme", ("userName", f"other-{salt}-{number}")) for number in range(20_000))
    assert mistaken <= 20  # 2 are expected
