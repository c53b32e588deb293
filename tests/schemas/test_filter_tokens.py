"""Filters cut into tokens, in one pass."""

from __future__ import annotations

import pytest

from schemas.errors import InvalidFilter
from schemas.filter_tokens import Token, tokens


def _cut(text: str, start: int = 0) -> list[tuple[str, str]]:
    return [(token.kind, token.text) for token in tokens(text, start)]


def test_words_strings_and_punctuation_are_tokens_with_their_places() -> None:
    assert tokens('a[b eq "c d"]', 0) == [
        Token("word", "a", 0),
        Token("[", "[", 1),
        Token("word", "b", 2),
        Token("word", "eq", 4),
        Token("string", '"c d"', 7),
        Token("]", "]", 12),
        Token("end", "", 13),
    ]


def test_white_space_only_separates() -> None:
    assert _cut(" a\tb\r\n(c )") == [
        ("word", "a"),
        ("word", "b"),
        ("(", "("),
        ("word", "c"),
        (")", ")"),
        ("end", ""),
    ]


@pytest.mark.parametrize("end", [" ", "\t", "\r", "\n", "(", ")", "[", "]", '""'])
def test_a_word_ends_at_space_punctuation_and_quotes(end: str) -> None:
    assert _cut(f"ab{end}")[0] == ("word", "ab")


def test_a_string_ends_at_the_first_quote_that_is_not_escaped() -> None:
    assert _cut(r'"a\"b" c') == [("string", r'"a\"b"'), ("word", "c"), ("end", "")]
    assert _cut(r'"a\\" c') == [("string", r'"a\\"'), ("word", "c"), ("end", "")]
    assert _cut(r'"\\\"" c') == [("string", r'"\\\""'), ("word", "c"), ("end", "")]
    assert _cut('""') == [("string", '""'), ("end", "")]


def test_what_stands_before_the_start_is_not_looked_at() -> None:
    assert tokens('"a(b', 3) == [Token("word", "b", 3), Token("end", "", 4)]


@pytest.mark.parametrize("text", ['a "', 'a "b', r'a "b\"', 'a "\\'])
def test_a_string_without_end_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(InvalidFilter) as caught:
        tokens(text, 0)
    assert caught.value.detail == "The string at position 3 of the filter has no end."


def test_G10_4096_bytes_are_the_limit() -> None:
    assert len(tokens("é" * 2048, 0)) == 2
    with pytest.raises(InvalidFilter) as caught:
        tokens("é" * 2048 + "a", 0)
    assert caught.value.detail == "The filter is longer than 4096 bytes."


def test_half_a_character_is_refused() -> None:
    with pytest.raises(InvalidFilter) as caught:
        tokens("a \ud800", 0)
    assert caught.value.detail == "The filter holds half a character."
