"""Entity tags and conditional requests (RFC 7644 section 3.14)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import InvalidValue
from schemas.versions import ANY, etag, matches, parse_tags

VERSIONS = st.integers(min_value=1, max_value=10**9)


def test_an_etag_is_weak_and_holds_the_version() -> None:
    assert etag(3) == 'W/"3"'


@given(VERSIONS, VERSIONS)
def test_O3_the_etag_of_a_version_matches_that_version_alone(version: int, other: int) -> None:
    tags = parse_tags(etag(version))

    assert matches(tags, version)
    assert matches(tags, other) == (other == version)


@pytest.mark.parametrize("header", ['W/"3"', 'w/"3"', '"3"', "3", "W/3", ' W/"3" ', '"1", W/"3"', '"1",,"3",'])
def test_O3_weakness_quotes_and_lists_are_understood(header: str) -> None:
    tags = parse_tags(header)

    assert matches(tags, 3)
    assert not matches(tags, 4)


@pytest.mark.parametrize("header", ["*", " * "])
def test_O3_a_star_matches_every_version(header: str) -> None:
    assert parse_tags(header) == ANY
    assert matches(ANY, 1)
    assert matches(ANY, 10**9)


@pytest.mark.parametrize("header", ['"*"', 'W/"*"', "W/*", "*,", '*, "4"'])
def test_only_a_bare_star_stands_for_every_version(header: str) -> None:
    assert not matches(parse_tags(header), 3)
    assert '"*"' in parse_tags(header)


@pytest.mark.parametrize("header", ["X3X", '"03"', '"3.0"', '"-3"', '"x"', 'W/W/"3"'])
def test_a_tag_that_this_server_never_gave_matches_nothing(header: str) -> None:
    assert not matches(parse_tags(header), 3)


@pytest.mark.parametrize("header", ["", "  ", ",", '""', 'W/""', ", ,"])
def test_a_list_without_a_tag_is_refused(header: str) -> None:
    with pytest.raises(InvalidValue, match="entity tags"):
        parse_tags(header)


@pytest.mark.parametrize("header", ['"\udcff"', '"1", "é"', 'W/"\u2028"'])
def test_a_list_with_bytes_that_are_no_text_is_refused(header: str) -> None:
    with pytest.raises(InvalidValue, match="entity tags"):
        parse_tags(header)


def test_fifty_tags_are_taken_and_one_more_is_refused() -> None:
    tags = [etag(version) for version in range(1, 52)]

    assert len(parse_tags(",".join(tags[:50]))) == 50
    with pytest.raises(InvalidValue, match="up to 50"):
        parse_tags(",".join(tags))


@given(st.text(max_size=40))
def test_any_header_is_read_or_refused(header: str) -> None:
    try:
        tags = parse_tags(header)
    except InvalidValue:
        return
    assert matches(tags, 7) == (header.strip() == "*" or "7" in tags)
