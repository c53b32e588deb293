"""Simple types and formats of RFC 7643 section 2.3."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.attributes import Attribute, Type
from schemas.errors import InvalidValue
from schemas.formats import conform_simple, has_limits, is_date_time
from schemas.resource_types import USER
from schemas.rules import Rules

_STRICT = Rules(strict_formats=True)


def _conform(kind: Type, value: object, rules: Rules | None = None, **characteristics: Any) -> object:
    characteristics = {"name": "it"} | characteristics
    return conform_simple(Attribute(type=kind, **characteristics), value, rules or Rules(), "it")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("string", "a"),
        ("string", ""),
        ("boolean", True),
        ("boolean", False),
        ("integer", 0),
        ("integer", -(10**20)),
        ("decimal", 1),
        ("decimal", 1.5),
        ("dateTime", "2008-01-23T04:56:22Z"),
        ("binary", "not base64 unless a tenant is strict"),
        ("reference", "not a URI unless a tenant is strict"),
        ("any", [1]),
    ],
)
def test_A8_a_value_of_the_right_type_stays_as_it_is(kind: Type, value: object) -> None:
    assert _conform(kind, value) is value


@pytest.mark.parametrize(
    ("kind", "value", "wanted"),
    [
        ("string", 1, "a string"),
        ("string", True, "a string"),
        ("string", ["a"], "a string"),
        ("boolean", "true", "true or false"),
        ("boolean", 1, "true or false"),
        ("integer", True, "an integer"),
        ("integer", 1.0, "an integer"),
        ("integer", "1", "an integer"),
        ("decimal", False, "a number"),
        ("decimal", "1.5", "a number"),
        ("dateTime", 1201064182, "a dateTime"),
        ("dateTime", "2008-01-23", "a dateTime"),
        ("binary", 1, "a string"),
        ("reference", {"a": 1}, "a string"),
    ],
)
def test_A8_a_value_of_the_wrong_type_is_refused_by_name(kind: Type, value: object, wanted: str) -> None:
    with pytest.raises(InvalidValue, match=f"^it must be {wanted}"):
        _conform(kind, value)


@pytest.mark.parametrize(
    ("text", "truth"), [("True", True), ("False", False), ("true", True), ("FALSE", False), ("yes", None), ("", None)]
)
def test_string_booleans_where_a_tenant_tolerates_them(text: str, truth: bool | None) -> None:
    rules = Rules(string_booleans=True)
    if truth is None:
        with pytest.raises(InvalidValue):
            _conform("boolean", text, rules)
    else:
        assert _conform("boolean", text, rules) is truth
    with pytest.raises(InvalidValue):
        _conform("boolean", text)


@pytest.mark.parametrize(
    "text",
    [
        "2008-01-23T04:56:22Z",
        "2011-05-13T04:42:34.123456789Z",
        "2024-02-29T23:59:59+14:00",
        "2024-02-29T00:00:00-05:30",
        "2024-02-29T24:00:00",
        "0001-01-01T00:00:00",
    ],
)
def test_an_xsd_date_time_is_one(text: str) -> None:
    assert is_date_time(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2008-01-23",
        "2008-01-23 04:56:22Z",
        "2008-01-23t04:56:22Z",
        "2008-01-23T04:56Z",
        "2008-01-23T25:00:00Z",
        "2008-01-23T24:00:01Z",
        "2008-01-23T04:60:00Z",
        "2008-01-23T04:56:60Z",
        "2023-02-29T00:00:00Z",
        "2008-13-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2008-01-23T04:56:22+14:01",
        "2008-01-23T04:56:22.Z",
        "2008-01-23T04:56:22Z\n",
        "２008-01-23T04:56:22Z",
    ],
)
def test_anything_else_is_no_xsd_date_time(text: str) -> None:
    assert not is_date_time(text)


@pytest.mark.parametrize(
    ("kind", "characteristics", "right", "wrong"),
    [
        ("binary", {}, ["", "QQ==", "QQ", "QUI", "QUJD", "+/+/"], ["Q", "QQ=Q", "QQ===", "Q Q=", "QUJDR", "-_"]),
        ("reference", {"reference_types": ("external",)}, ["https://a/b?c#d", "urn:x:y"], ["a/b", "https://a b", ""]),
        ("reference", {"reference_types": ("uri",)}, ["urn:x:y"], ["../x"]),
        ("reference", {"reference_types": ("User",)}, ["../Users/1", "https://a/Users/1"], ["a b", "<a>", ""]),
        ("string", {"name": "country"}, ["DE", "us"], ["USA", "Germany", "", "D1"]),
        ("string", {}, ["anything at all"], []),
    ],
)
def test_D3_formats_are_checked_for_strict_tenants_alone(
    kind: Type, characteristics: dict[str, Any], right: list[str], wrong: list[str]
) -> None:
    for text in right:
        assert _conform(kind, text, _STRICT, **characteristics) == text
    for text in wrong:
        assert _conform(kind, text, **characteristics) == text
        with pytest.raises(InvalidValue, match=r"^it must be "):
            _conform(kind, text, _STRICT, **characteristics)


@pytest.mark.parametrize("text", ["", " ", "\t\n", "\u00a0"])
def test_a_required_string_must_not_be_blank(text: str) -> None:
    assert _conform("string", text) == text
    with pytest.raises(InvalidValue, match="must not be blank"):
        _conform("string", text, required=True)


@pytest.mark.parametrize("name", ["userName", "externalId"])
def test_keys_of_an_index_hold_at_most_1024_bytes(name: str) -> None:
    for longest in ("x" * 1024, "ü" * 512):
        assert _conform("string", longest, name=name) == longest
        with pytest.raises(InvalidValue, match="longer than 1024 bytes"):
            _conform("string", f"{longest}x", name=name)
    assert _conform("string", "x" * 1025, name="title") == "x" * 1025


def test_only_user_name_and_external_id_have_limits() -> None:
    attributes = (*USER.common, *USER.schema.attributes)
    assert [attribute.name for attribute in attributes if has_limits(attribute)] == ["externalId", "userName"]
    assert has_limits(Attribute(name="displayName", required=True))
    assert not has_limits(Attribute(name="active", type="boolean", required=True))
