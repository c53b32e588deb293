"""Paths of PATCH operations: what they name, what is malformed, what may not be changed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import urns
from schemas.attributes import ResourceType
from schemas.errors import InvalidFilter, InvalidPath, Mutability
from schemas.filters import Compare
from schemas.paths import Path, check_writable, is_required, parse_path
from schemas.resource_types import USER
from tests.schemas.tables import BADGE_URN, GROUP, MEMBERS

_E = urns.ENTERPRISE_USER
_MALFORMED = "The path is malformed; it is an attribute, attribute.sub-attribute or attribute[filter]."
_UNDEFINED = "No schema of this resource type defines the attribute that the path names."
_NO_BRACKETS = "Brackets follow a multi-valued attribute; the path has another before them."


@pytest.mark.parametrize(
    ("text", "canonical", "name"),
    [
        ("userName", "userName", "userName"),
        ("NAME.familyname", "name.familyName", "name.familyName"),
        ("members", "members", "members"),
        (f"{urns.USER}:Active", "active", "active"),
        (f"{_E}:MANAGER.value", f"{_E}:manager.value", f"{_E}:manager.value"),
        (_E.lower(), _E, _E),
        ("emails.type", "emails.type", "emails.type"),
        ('EMAILS[Type EQ "work"]', 'emails[type eq "work"]', "emails"),
        ('emails[type eq "work"].VALUE', 'emails[type eq "work"].value', "emails.value"),
        ('emails[ type eq "]" ].value', 'emails[type eq "]"].value', "emails.value"),
        ('schemas[value eq "urn:x"]', 'schemas[value eq "urn:x"]', "schemas"),
        ("urn:x:y:Attr", "urn:x:y:Attr", "urn:x:y:Attr"),
        ("urn:x:y:Attr.Sub", "urn:x:y:Attr.Sub", "urn:x:y:Attr.Sub"),
        ('urn:x:y:Attr[Key eq "v"].Sub', 'urn:x:y:Attr[Key eq "v"].Sub', "urn:x:y:Attr.Sub"),
    ],
)
def test_L2_a_path_is_kept_in_the_spelling_of_the_table(text: str, canonical: str, name: str) -> None:
    resource_type = GROUP if text == "members" else USER
    path = parse_path(text, resource_type)
    assert path.text == canonical
    assert path.name == name
    assert parse_path(path.text, resource_type).text == canonical


def test_L2_a_path_carries_the_characteristics() -> None:
    path = parse_path('members[value eq "1"].type', GROUP)
    assert path.urn is None
    assert path.attribute is MEMBERS
    assert isinstance(path.filter, Compare)
    assert path.filter.target.name == "value"
    assert path.sub is MEMBERS.sub("type")
    assert parse_path("members", GROUP) == Path(None, MEMBERS)
    assert parse_path(BADGE_URN, GROUP) == Path(BADGE_URN, None)


def test_A5_an_attribute_of_an_unknown_extension_is_of_any_type_and_may_have_brackets() -> None:
    path = parse_path('urn:x:Y:attr[key eq "v"].sub', USER)
    assert path.urn == "urn:x:Y"
    assert path.attribute is not None
    assert (path.attribute.name, path.attribute.type) == ("attr", "any")
    assert path.filter is not None
    assert path.sub is not None
    assert (path.sub.name, path.sub.type) == ("sub", "any")


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("", _MALFORMED),
        (" ", _MALFORMED),
        ("user name", _MALFORMED),
        ("a.b.c", _MALFORMED),
        ("/userName", _MALFORMED),
        ("emails/0/value", _MALFORMED),
        ("emails.0.value", _MALFORMED),
        ("emails.", _MALFORMED),
        ('[type eq "work"]', _MALFORMED),
        ("__proto__.x", _MALFORMED),
        (urns.USER, _MALFORMED),
        (f"{_E}.manager", _MALFORMED),
        ("\ud800", _MALFORMED),
        ("undefined", _UNDEFINED),
        ("constructor", _UNDEFINED),
        ("name.undefined", _UNDEFINED),
        ("userName.value", _UNDEFINED),
        (f"{_E}:undefined", _UNDEFINED),
        (f"{_E}:manager.undefined", _UNDEFINED),
        ("undefined[type pr]", _UNDEFINED),
        ("userName[value pr]", _NO_BRACKETS),
        ("name[familyName pr]", _NO_BRACKETS),
        ("emails.type[value pr]", _NO_BRACKETS),
        (f"{_E}:manager[value pr]", _NO_BRACKETS),
        (f"{_E}[value pr]", "Brackets follow an attribute; the path has an extension before them."),
        ("emails[type pr]value", "The path goes on behind its brackets with something else than a sub-attribute."),
        ("emails[type pr] ", "The path goes on behind its brackets with something else than a sub-attribute."),
        ("emails[type pr].", "The path goes on behind its brackets with something else than a sub-attribute."),
        ("emails[type pr].a.b", "The path goes on behind its brackets with something else than a sub-attribute."),
        ("emails[type pr][type pr]", "The path goes on behind its brackets with something else than a sub-attribute."),
        ("emails[type pr].x", "No schema of this resource type defines the sub-attribute that the path names."),
        ("schemas[value pr].value", "No schema of this resource type defines the sub-attribute that the path names."),
        ("a" * 4097, "The path is longer than 4096 bytes."),
    ],
)
def test_L2_what_is_malformed_or_undefined_is_an_invalid_path(text: str, detail: str) -> None:
    with pytest.raises(InvalidPath) as caught:
        parse_path(text, USER)
    assert caught.value.detail == detail


def test_a_path_of_4096_bytes_is_read() -> None:
    assert parse_path(f"urn:x:{'a' * 4090}", USER).urn == "urn:x"


@pytest.mark.parametrize(
    "text",
    [
        "emails[]",
        "emails[",
        "emails[type]",
        "emails[type eq work]",
        "emails[0]",
        "emails[undefined pr]",
        'emails[type eq "work"',
        'emails[type eq "work].value',
        "emails[type[x pr]]",
    ],
)
def test_L14_a_bad_filter_in_brackets_or_an_index_is_an_invalid_filter(text: str) -> None:
    with pytest.raises(InvalidFilter):
        parse_path(text, USER)


def test_G8_strings_in_brackets_may_lack_their_quotes_where_the_tenant_allows_it() -> None:
    assert parse_path("emails[type eq work].value", USER, bare_words=True).text == 'emails[type eq "work"].value'


@pytest.mark.parametrize(
    ("text", "op", "detail"),
    [
        ("id", "replace", "id is readOnly."),
        ("meta.created", "add", "meta.created is readOnly."),
        ("groups", "remove", "groups is readOnly."),
        ('groups[value eq "1"]', "remove", "groups is readOnly."),
        (f"{_E}:manager.displayName", "replace", f"{_E}:manager.displayName is readOnly."),
        ("userName", "remove", "userName is required and cannot be removed."),
        ("schemas", "remove", "schemas is required and cannot be removed."),
    ],
)
def test_L9_no_state_allows_a_change_of_what_is_readOnly_or_a_removal_of_what_is_required(
    text: str, op: str, detail: str
) -> None:
    with pytest.raises(Mutability) as caught:
        check_writable(parse_path(text, USER), op)
    assert caught.value.detail == detail


@pytest.mark.parametrize(
    ("text", "op"),
    [
        ("userName", "replace"),
        ("userName", "add"),
        ('schemas[value eq "urn:x"]', "remove"),
        ("emails", "remove"),
        (_E, "remove"),
        (f"{_E}:manager", "remove"),
        ("name.givenName", "remove"),
    ],
)
def test_L9_other_operations_may_go_on(text: str, op: str) -> None:
    check_writable(parse_path(text, USER), op)


@pytest.mark.parametrize(
    ("text", "resource_type", "required"),
    [
        ("userName", USER, True),
        ("title", USER, False),
        (_E, USER, False),
        ("owner", GROUP, False),
        ("owner.value", GROUP, True),
        ("owner.since", GROUP, False),
        ('doors[floor eq 1].name', GROUP, True),
        ('doors[floor eq 1]', GROUP, False),
        ('schemas[value eq "x"]', USER, False),
    ],
)  # fmt: skip
def test_a_path_to_all_of_a_required_attribute_is_required(
    text: str, resource_type: ResourceType, required: bool
) -> None:
    assert is_required(parse_path(text, resource_type)) is required


def test_a_path_that_was_parsed_is_not_parsed_again() -> None:
    assert parse_path("name.givenName", USER) is parse_path("name.givenName", USER)


_PIECES = st.sampled_from(
    ["emails", "name", ".", "[", "]", '"', "type", " eq ", '"work"', _E, ":", "value", "é", "urn:x"]
)


@settings(deadline=None)
@given(st.lists(_PIECES, max_size=12).map("".join) | st.text())
def test_garbage_is_a_path_or_an_invalid_path_or_filter(text: str) -> None:
    try:
        path = parse_path(text, USER)
    except (InvalidPath, InvalidFilter):
        return
    assert parse_path(path.text, USER).text == path.text
