"""Folding: when two spellings are one name (INV-4)."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.folding import fold


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ann", "aNN"),
        ("STRASSE", "straße"),
        ("é", "e\u0301"),
        ("ＡＮＮ", "ann"),
        ("\u212a", "k"),
        ("ﬁ", "FI"),
        ("Σ", "ς"),
        ("ǰ", "J\u030c"),
    ],
)
def test_INV_4_two_spellings_of_one_name_fold_to_one(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(("one", "other"), [("ann", "anne"), ("o", "ö"), ("a b", "ab"), ("l", "1"), ("а", "a")])
def test_different_names_stay_different(one: str, other: str) -> None:
    assert fold(one) != fold(other)


@given(st.text(max_size=20))
def test_a_folded_name_is_normalised_and_folding_it_in_another_case_changes_nothing(name: str) -> None:
    folded = fold(name)

    assert unicodedata.is_normalized("NFKC", folded)
    assert fold(unicodedata.normalize("NFC", name)) == fold(unicodedata.normalize("NFD", name)) == folded


@given(st.characters(exclude_categories=["Cs"]))
def test_folding_a_folded_character_changes_nothing(character: str) -> None:
    assert fold(fold(character)) == fold(character)


@given(st.text(st.characters(max_codepoint=127), max_size=20))
def test_ascii_takes_a_short_way_to_the_same_form(name: str) -> None:
    assert fold(name) == unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


STACKED = st.sampled_from("\u0300\u0316\u0301\u0f73\u0345\uff9e\u3099")
MARKS = st.sampled_from("e\u0300\u0316\u0301\u0f73\u0345\uff9e\u3099ﬁ\u1ec7")


@given(st.lists(st.text(MARKS, max_size=40) | st.builds("".join, st.lists(STACKED, min_size=65, max_size=90))))
def test_stacked_marks_are_folded_as_few_are(parts: list[str]) -> None:
    name = "".join(parts)
    assert fold(name) == unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


@pytest.mark.parametrize("marks", ["\u0300\u0316", "\u0f73", "\u0300\uff9e"])
def test_marks_stacked_a_hundred_thousand_high_are_folded_before_anybody_waits(marks: str) -> None:
    half = 100_000
    started = time.process_time()
    fold("".join(mark * half for mark in marks))
    fold(marks * half)
    assert time.process_time() - started < 2


def test_what_stands_behind_stacked_marks_stays_there() -> None:
    name = "A" + "\u0300\u0316" * 40 + "B" + "\u0301\u0316" * 40
    assert fold(name) == unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def test_a_long_text_without_stacks_is_folded_as_it_is() -> None:
    assert fold("Größe " * 50) == "grösse " * 50
    assert fold("E\u0301" * 200) == "é" * 200
