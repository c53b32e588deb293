"""Filters: trees that caches may share, quotes, and what parts words."""

from __future__ import annotations

import string

import pytest

from schemas.errors import InvalidFilter
from schemas.filter_tokens import Token, tokens
from schemas.filters import filter_text, parse_filter
from schemas.matching import matches
from schemas.resource_types import USER


def test_a_tree_is_a_value_that_many_callers_may_share() -> None:
    text = 'userName sw "a" and (title pr or not (emails[type eq "work" and primary eq true])) and active eq true'
    found = parse_filter(text, USER)
    again = parse_filter(filter_text(found).replace(" and ", "  and "), USER)
    assert found is not again
    assert hash(found) == hash(again)


@pytest.mark.parametrize(
    "text",
    [
        "title pr",
        'title eq "a"',
        "title pr and active eq true",
        "title pr or active pr",
        "not (title pr)",
        "emails[type pr]",
    ],
)
def test_no_part_of_a_tree_can_be_written_to(text: str) -> None:
    found = parse_filter(text, USER)
    for name in found.__struct_fields__:
        with pytest.raises(AttributeError):
            setattr(found, name, getattr(found, name))


def test_words_without_quotes_are_refused_unless_asked_for() -> None:
    with pytest.raises(InvalidFilter):
        parse_filter("userName eq ann", USER)
    assert filter_text(parse_filter("userName eq ann", USER, bare_words=True)) == 'userName eq "ann"'


@pytest.mark.parametrize("character", sorted(set(string.printable) - set(string.whitespace) - set('()[]"')))
def test_nothing_but_white_space_parts_words(character: str) -> None:
    word = f"{character}a{character}"
    assert tokens(f" \t{word}\r\n{word} ", 0) == [Token("word", word, 2), Token("word", word, 7), Token("end", "", 11)]


@pytest.mark.parametrize("text", ["emails.primary pr", "emails.unknown eq false"])
def test_D7_what_is_missing_is_false_only_where_a_primary_is_compared(text: str) -> None:
    user = {"userName": "ann", "emails": [{"value": "a"}]}
    assert not matches(parse_filter(text, USER), user)
    assert matches(parse_filter("emails.primary eq false", USER), user)
