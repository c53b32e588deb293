"""Checks that hold for any JSON of a client, known attributes or not."""

from __future__ import annotations

import unicodedata
from time import perf_counter

import pytest

from schemas.errors import InvalidSyntax, InvalidValue
from schemas.json_values import check_json, check_text, shown
from schemas.resources import MAX_DEPTH


def _nested(levels: int, *, arrays: bool) -> object:
    value: object = "x"
    for _ in range(levels):
        value = [value] if arrays else {"a": value}
    return value


@pytest.mark.parametrize("arrays", [True, False])
def test_nesting_ends_at_the_limit(arrays: bool) -> None:
    check_json(_nested(MAX_DEPTH, arrays=arrays), "x")
    with pytest.raises(InvalidSyntax, match="32 levels"):
        check_json(_nested(MAX_DEPTH + 1, arrays=arrays), "x")
    with pytest.raises(InvalidSyntax):
        check_json(_nested(MAX_DEPTH, arrays=arrays), "x", depth=2)


def test_exactly_the_control_characters_and_surrogates_are_refused() -> None:
    for code in (*range(0x300), *range(0x2000, 0x2100), *range(0xD7F0, 0xE010), 0x1F600, 0x10FFFF):
        character = chr(code)
        forbidden = unicodedata.category(character) in {"Cc", "Cs"} and character not in "\t\n\r"
        try:
            check_text(f"a{character}b", "x")
        except InvalidValue:
            assert forbidden, hex(code)
        else:
            assert not forbidden, hex(code)


@pytest.mark.parametrize("value", [{"a\x00": 1}, {"a": {"b": "\x00"}}, ["\x00"], {"a": ["\ud800"]}, "\x7f"])
def test_characters_are_checked_at_every_level_in_names_too(value: object) -> None:
    with pytest.raises(InvalidValue, match="control character"):
        check_json(value, "x")


@pytest.mark.parametrize("value", [{"a": 1, "A": 1}, [{"x": {"éa": 1, "Éa": 1}}], {"urn:x": {"k": 1, "K": 2}}])
def test_names_that_differ_only_in_case_are_refused_at_every_level(value: object) -> None:
    with pytest.raises(InvalidSyntax, match="differ only in case"):
        check_json(value, "x")


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_a_number_without_json_is_refused(value: float) -> None:
    with pytest.raises(InvalidValue, match="number"):
        check_json([value], "x")


def test_a_refusal_names_the_attribute_at_the_top_of_the_body() -> None:
    with pytest.raises(InvalidValue, match=r"^name holds"):
        check_json({"name": {"givenName": "\x00"}}, "The body")


def test_plain_json_passes() -> None:
    check_json({"a": [1, 1.5, True, None, "text\r\n\t", {"b": {}}], "b": []}, "x")


def test_a_long_array_is_checked_in_linear_time() -> None:
    start = perf_counter()
    check_json([{"value": "x"}] * 100_000, "x")
    assert perf_counter() - start < 5


@pytest.mark.parametrize(
    "name", ["userName", "$ref", "x-1", "urn:ietf:params:scim:schemas:core:2.0:User", "https://a/b"]
)
def test_what_looks_like_a_name_is_shown(name: str) -> None:
    assert shown(name) == name


@pytest.mark.parametrize("name", ["", "ann@example.com", "a b", "x" * 65, "é", "a\n", "urn:a b"])
def test_what_does_not_look_like_a_name_is_not_repeated(name: str) -> None:
    assert shown(name) == "an attribute"


def test_names_that_differ_only_in_case_are_one_name_unless_case_tells_them_apart() -> None:
    for value in ({"a": 1, "A": 2}, {"x": [{"a": 1, "A": 2}]}):
        with pytest.raises(InvalidSyntax, match="only in case"):
            check_json(value, "x")
        check_json(value, "x", cased=True)
    with pytest.raises(InvalidValue):
        check_json({"x": [{"a": ["\x00"]}]}, "x", cased=True)
