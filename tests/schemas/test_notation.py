"""Attribute notation: URNs that hold dots and colons, names in any case, what is malformed."""

from __future__ import annotations

import pytest

from schemas import urns
from schemas.notation import Reference, find_key, is_name, read_reference, sub_attribute
from schemas.resource_types import ENTERPRISE_USER_SCHEMA, USER

_E = urns.ENTERPRISE_USER


def _read(text: str) -> tuple[str | None, str, str | None] | None:
    found = read_reference(text, USER)
    return None if found is None else (found.urn, found.name, found.sub_name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("userName", (None, "userName", None)),
        ("USERNAME", (None, "userName", None)),
        ("Name.FAMILYname", (None, "name", "familyName")),
        ("groups.$REF", (None, "groups", "$ref")),
        (f"{urns.USER}:userName", (None, "userName", None)),
        (f"{urns.USER.upper()}:name.givenname", (None, "name", "givenName")),
        (f"{_E}:employeenumber", (_E, "employeeNumber", None)),
        (f"{_E}:manager.value", (_E, "manager", "value")),
        (f"{_E.upper()}:MANAGER.VALUE", (_E, "manager", "value")),
        (_E, (_E, "", None)),
        (_E.upper(), (_E, "", None)),
        (f"{_E}:", (_E, "", None)),
        ("urn:x:y:2.0:User:attr", ("urn:x:y:2.0:User", "attr", None)),
        ("urn:x:y:2.0:User:Attr.Sub", ("urn:x:y:2.0:User", "Attr", "Sub")),
        ("URN:x:attr", ("URN:x", "attr", None)),
        ("http://example.com/scim/2.0/User:attr", ("http://example.com/scim/2.0/User", "attr", None)),
        ("https://example.com:attr", ("https://example.com", "attr", None)),
        (f"{_E}x:attr", (f"{_E}x", "attr", None)),
        ("unknown", (None, "unknown", None)),
        ("name.unknown", (None, "name", "unknown")),
        (f"{_E}:unknown", (_E, "unknown", None)),
    ],
)
def test_A5_a_known_urn_ends_where_the_table_says_and_an_unknown_one_at_the_last_colon(
    text: str, expected: tuple[str | None, str, str | None]
) -> None:
    assert _read(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a.",
        ".a",
        "a.b.c",
        "1a",
        "a b",
        "a,b",
        "é",
        "-a",
        "_a",
        ":",
        ":a",
        "x:a",
        "foo:bar",
        "urn:",
        "urn:x:",
        "urn:x:1",
        "urn:x y:a",
        "urn:é:a",
        "urn:x\n:a",
        "http://x/y",
        urns.USER,
        f"{urns.USER}:",
        f"{urns.USER}:{urns.USER}:userName",
        f"{_E}:a.b.c",
        f"{_E}:.value",
        f"{_E}.manager",
    ],
)
def test_A5_what_is_no_notation_names_nothing(text: str) -> None:
    assert _read(text) is None


def test_A5_a_reference_carries_the_characteristics() -> None:
    manager = ENTERPRISE_USER_SCHEMA.attribute("manager")
    assert manager is not None
    assert read_reference(f"{_E}:manager.value", USER) == Reference(
        urn=_E, name="manager", sub_name="value", attribute=manager, sub=manager.sub("value")
    )
    assert read_reference("unknown.sub", USER) == Reference(urn=None, name="unknown", sub_name="sub")


def test_A5_attributes_of_an_unknown_extension_are_of_any_type() -> None:
    found = read_reference("urn:x:Attr.Sub", USER)
    assert found is not None
    assert found.attribute is not None
    assert found.sub is not None
    assert (found.attribute.name, found.attribute.type) == ("Attr", "any")
    assert (found.sub.name, found.sub.type) == ("Sub", "any")


def test_a_sub_attribute_of_nothing_is_nothing() -> None:
    assert sub_attribute(None, "value") is None
    assert sub_attribute(USER.attribute("emails"), "none") is None


@pytest.mark.parametrize(("text", "named"), [("a", True), ("$ref", True), ("a-_$9", True), ("", False), ("9", False)])
def test_a_name_is_an_ATTRNAME_or_ref(text: str, named: bool) -> None:
    assert is_name(text) is named


def test_A4_a_key_is_found_in_any_case_the_exact_one_first() -> None:
    assert find_key({"AB": 1, "ab": 2}, "ab") == "ab"
    assert find_key({"AB": 1}, "aB") == "AB"
    assert find_key({"AB": 1}, "a") is None
