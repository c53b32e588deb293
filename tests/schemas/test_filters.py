"""Filters: the tree that a text becomes, what is refused and where, limits, and garbage."""

from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import urns
from schemas.attributes import ResourceType
from schemas.errors import InvalidFilter
from schemas.filters import (
    And,
    Compare,
    Filter,
    Not,
    Or,
    Present,
    Target,
    ValuePath,
    filter_text,
    indexed_equality,
    parse_brackets,
    parse_filter,
)
from schemas.resource_types import USER
from tests.schemas.tables import BADGE_URN, GROUP, MEMBERS

_E = urns.ENTERPRISE_USER


def _shape(found: Filter) -> Any:
    """Return the tree as nested tuples, without characteristics."""
    match found:
        case Compare():
            return (found.target.text, found.op, found.value)
        case Present():
            return (found.target.text, "pr")
        case And():
            return ("and", *map(_shape, found.terms))
        case Or():
            return ("or", *map(_shape, found.terms))
        case Not():
            return ("not", _shape(found.term))
        case ValuePath():
            return (found.target.text, [_shape(found.filter)])


def _parsed(text: str, resource_type: ResourceType = USER, *, bare_words: bool = False) -> Any:
    return _shape(parse_filter(text, resource_type, bare_words=bare_words))


def _refusal(text: str, resource_type: ResourceType = USER, *, bare_words: bool = False) -> str:
    with pytest.raises(InvalidFilter) as caught:
        parse_filter(text, resource_type, bare_words=bare_words)
    return caught.value.detail


_A, _B, _C, _D = (("title", "pr"), ("userType", "pr"), ("locale", "pr"), ("nickName", "pr"))


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("title pr", _A),
        ("title pr and userType pr", ("and", _A, _B)),
        ("title pr or userType pr", ("or", _A, _B)),
        ("title pr and userType pr and locale pr", ("and", _A, _B, _C)),
        ("title pr or userType pr or locale pr", ("or", _A, _B, _C)),
        ("title pr or userType pr and locale pr", ("or", _A, ("and", _B, _C))),
        ("title pr and userType pr or locale pr", ("or", ("and", _A, _B), _C)),
        ("title pr and userType pr or locale pr and nickName pr", ("or", ("and", _A, _B), ("and", _C, _D))),
        ("title pr or userType pr and locale pr or nickName pr", ("or", _A, ("and", _B, _C), _D)),
        ("(title pr or userType pr) and locale pr", ("and", ("or", _A, _B), _C)),
        ("title pr and (userType pr or locale pr)", ("and", _A, ("or", _B, _C))),
        ("(title pr and userType pr) and (locale pr and nickName pr)", ("and", _A, _B, _C, _D)),
        ("((title pr))", _A),
        ("not (title pr)", ("not", _A)),
        ("not (title pr) and userType pr", ("and", ("not", _A), _B)),
        ("title pr and not (userType pr or locale pr)", ("and", _A, ("not", ("or", _B, _C)))),
        ("not (not (title pr))", ("not", ("not", _A))),
    ],
)
def test_G1_not_binds_tighter_than_and_and_tighter_than_or(text: str, tree: Any) -> None:
    assert _parsed(text) == tree


@pytest.mark.parametrize("text", ["not(title pr)", "not (title pr)", "NOT  ( title pr )", "Not\t(title PR)"])
def test_G11_not_needs_no_space_before_its_parenthesis(text: str) -> None:
    assert _parsed(text) == ("not", ("title", "pr"))


@pytest.mark.parametrize("op", ["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"])
def test_G1_every_operator_in_any_case(op: str) -> None:
    assert _parsed(f'title {op.upper()} "x"') == ("title", op, "x")
    assert _parsed(f'TITLE {op} "x" AND Title Pr') == ("and", ("title", op, "x"), ("title", "pr"))
    assert _parsed(f'TITLE {op} "x" Or Title pR') == ("or", ("title", op, "x"), ("title", "pr"))


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        (r'title eq "a \"b\" \\ c é"', ("title", "eq", 'a "b" \\ c é')),
        ('title eq "and (or] not"', ("title", "eq", "and (or] not")),
        ('title eq ""', ("title", "eq", "")),
        ("active eq true", ("active", "eq", True)),
        ("active ne false", ("active", "ne", False)),
        ("title eq null", ("title", "eq", None)),
        ("emails ne null", ("emails", "ne", None)),
        ("name eq null", ("name", "eq", None)),
        ('undefined gt "x"', ("undefined", "gt", "x")),
        ("undefined eq 5", ("undefined", "eq", 5)),
        ("undefined.sub lt -1.5e1", ("undefined.sub", "lt", -15.0)),
        ("urn:x:y:level ge 5", ("urn:x:y:level", "ge", 5)),
        ('emails[type eq "work"]', ("emails", [("type", "eq", "work")])),
        ('Emails [ TYPE eq "work" ]', ("emails", [("type", "eq", "work")])),
        ("undefined[sub pr]", ("undefined", [("sub", "pr")])),
        ("urn:x:y:level[sub pr]", ("urn:x:y:level", [("sub", "pr")])),
        ('name[familyName eq "x"]', ("name", [("familyName", "eq", "x")])),
        ('schemas[value eq "urn:x"]', ("schemas", [("value", "eq", "urn:x")])),
        ('schemas[Value eq "urn:x"]', ("schemas", [("value", "eq", "urn:x")])),
    ],
)
def test_G1_values_are_json_and_brackets_hold_a_filter(text: str, tree: Any) -> None:
    assert _parsed(text) == tree


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("emails", "emails.value"),
        ("groups", "groups.value"),
        (f"{_E}:manager", f"{_E}:manager.value"),
        ("emails.type", "emails.type"),
        ("schemas", "schemas"),
    ],
)
def test_G3_a_complex_attribute_without_sub_attribute_means_its_value(text: str, name: str) -> None:
    found = parse_filter(f'{text} eq "x"', USER)
    assert isinstance(found, Compare)
    assert found.target.text == name
    assert found.target.attribute is not None
    assert found.target.attribute.type != "complex"


def test_G3_presence_and_null_are_about_the_complex_attribute_itself() -> None:
    assert _parsed("emails pr") == ("emails", "pr")
    assert _parsed("emails eq null") == ("emails", "eq", None)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("undefined pr", Present(Target(None, "undefined", None, None))),
        ("undefined.sub pr", Present(Target(None, "undefined", "sub", None))),
        (f"{_E}:undefined pr", Present(Target(_E, "undefined", None, None))),
        ("userName.sub pr", Present(Target(None, "userName", "sub", None))),
        ("emails[undefined pr]", ValuePath(Target(None, "emails", None, USER.attribute("emails")),
                                           Present(Target(None, "undefined", None, None)))),
    ],
)  # fmt: skip
def test_G4_an_attribute_that_no_schema_defines_stays_an_unresolved_target(text: str, tree: Filter) -> None:
    assert parse_filter(text, USER) == tree


def test_G4_schemas_and_resourceType_and_urn_prefixed_paths_are_targets() -> None:
    assert _parsed(f'schemas eq "{_E}"') == ("schemas", "eq", _E)
    assert _parsed('meta.resourceType eq "User"') == ("meta.resourceType", "eq", "User")
    assert _parsed(f'{urns.USER}:userName sw "J"') == ("userName", "sw", "J")
    assert _parsed(f'{_E.upper()}:manager.VALUE eq "26"') == (f"{_E}:manager.value", "eq", "26")


def test_a_value_path_may_go_on_with_a_sub_attribute_of_the_same_value() -> None:
    """Entra ID matches users by this form, which RFC 7644 has only for PATCH."""
    same = 'emails[type eq "work" and value eq "a@b"]'
    assert parse_filter('emails[type eq "work"].value eq "a@b"', USER) == parse_filter(same, USER)
    assert _parsed('emails[type eq "work" or primary eq true].value eq "a" and title pr') == (
        "and",
        ("emails", [("and", ("or", ("type", "eq", "work"), ("primary", "eq", True)), ("value", "eq", "a"))]),
        ("title", "pr"),
    )
    assert _refusal('emails[type eq "work"] .value eq "a"') == (
        "The filter is wrong at position 24: and, or, or the end is due."
    )
    assert _refusal('emails[type eq "work"]value eq "a"') == (
        "The filter is wrong at position 23: and, or, or the end is due."
    )
    assert _refusal('emails[type eq "work"]."value" eq "a"') == (
        "The filter is wrong at position 23: a sub-attribute is due."
    )


@pytest.mark.parametrize(
    ("text", "operand"),
    [
        ('userName eq "ANN"', "ann"),
        ('userName eq "STRASSE"', "strasse"),
        ('externalId eq "ANN"', "ANN"),
        ('undefined eq "ANN"', "ann"),
        ('urn:x:y:attr eq "ANN"', "ann"),
        ('meta.created gt "2011-05-13T06:42:34+02:00"', datetime(2011, 5, 13, 4, 42, 34, tzinfo=UTC)),
        ('meta.created eq "2011-05-13T06:42:34+02:00"', datetime(2011, 5, 13, 4, 42, 34, tzinfo=UTC)),
        ('meta.created sw "2011-05-13T"', "2011-05-13t"),
        ("active eq true", True),
        ("undefined eq 5", 5),
        ("title eq null", None),
    ],
)
def test_G2_the_operand_is_what_is_compared_folded_or_an_instant(text: str, operand: object) -> None:
    found = parse_filter(text, USER)
    assert isinstance(found, Compare)
    assert found.operand == operand
    assert type(found.operand) is type(operand)


def test_the_operand_of_a_number_is_the_number() -> None:
    assert parse_filter("level gt 5", GROUP) == Compare(
        Target(None, "level", None, GROUP.attribute("level")), "gt", 5, 5
    )
    assert _parsed("ratio le 5.5", GROUP) == ("ratio", "le", 5.5)


_DUE_VALUE = "a value is due: a string in quotes, a number, true, false or null"
_DUE_OP = "an operator (eq, ne, co, sw, ew, gt, ge, lt, le, pr) is due"
_DUE_END = "and, or, or the end is due"


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("", 0, "an attribute is due"),
        ("   ", 0, "an attribute is due"),
        ("()", 2, "an attribute is due"),
        (")", 1, "an attribute is due"),
        ("]", 1, "an attribute is due"),
        ("[title pr]", 1, "an attribute is due"),
        ('"title" eq "x"', 1, "an attribute is due"),
        ("a.b.c pr", 1, "an attribute is due"),
        ("foo:bar pr", 1, "an attribute is due"),
        (f"{_E} pr", 1, "an attribute is due"),
        ("1 eq 1", 1, "an attribute is due"),
        ("title", 0, _DUE_OP),
        ("title eqq", 7, _DUE_OP),
        ('title = "x"', 7, _DUE_OP),
        ('title "x"', 7, _DUE_OP),
        ("title (", 7, _DUE_OP),
        ('not title eq "x"', 5, _DUE_OP),
        ("title eq", 0, "a value is due"),
        ("title eq (", 10, "a value is due"),
        ("title eq )", 10, "a value is due"),
        ("title eq [", 10, "a value is due"),
        ("title eq ann", 10, _DUE_VALUE),
        ("title eq True", 10, _DUE_VALUE),
        ("title eq NULL", 10, _DUE_VALUE),
        ("level eq 01", 10, _DUE_VALUE),
        ("level eq 1e999", 10, _DUE_VALUE),
        ("level eq {}", 10, _DUE_VALUE),
        ("title eq 'x'", 10, _DUE_VALUE),
        ('title eq "\t"', 10, _DUE_VALUE),
        (r'title eq "\x"', 10, _DUE_VALUE),
        (r'title eq "\ud800"', 10, _DUE_VALUE),
        ("title pr title pr", 10, _DUE_END),
        ("title pr )", 10, _DUE_END),
        ('title pr "and" title pr', 10, _DUE_END),
        ("title pr, title pr", 7, _DUE_OP),
        ("title pr and", 0, "an attribute is due"),
        ("title pr or )", 13, "an attribute is due"),
        ("and title pr", 5, _DUE_OP),
        ("(title pr", 0, "a closing parenthesis is due"),
        ("(title pr]", 10, "a closing parenthesis is due"),
        ("emails[type pr", 0, "a closing bracket is due"),
        ("emails[type pr)", 15, "a closing bracket is due"),
        ("emails[]", 8, "an attribute is due"),
        ("emails[0]", 8, "a sub-attribute is due"),
        ("emails[emails.type pr]", 8, "a sub-attribute is due"),
        ("emails[type[x pr]]", 12, "brackets are inside brackets"),
        ("undefined[type[x pr]]", 15, "brackets are inside brackets"),
        ("emails.value[type pr]", 13, "brackets follow what is neither complex nor multi-valued"),
        ("userName[value pr]", 9, "brackets follow what is neither complex nor multi-valued"),
        ('name eq "x"', 9, "name is complex: compare one of its sub-attributes"),
        ('addresses co "x"', 14, "addresses is complex: compare one of its sub-attributes"),
        ('addresses[type eq "x"] eq "x"', 24, _DUE_END),
        ("title gt null", 7, "gt does not compare values of this type"),
        ("title co null", 7, "co does not compare values of this type"),
        ("active gt true", 8, "gt does not compare values of this type"),
        ("active co false", 8, "co does not compare values of this type"),
        ("undefined le true", 11, "le does not compare values of this type"),
        ("undefined co 5", 11, "co does not compare values of this type"),
        ("undefined sw 5", 11, "sw does not compare values of this type"),
        ('x509Certificates gt "x"', 18, "gt does not compare values of this type"),
        ('x509Certificates.value le "x"', 24, "le does not compare values of this type"),
        ('active eq "true"', 11, "active compares with true or false"),
        ("active eq 1", 11, "active compares with true or false"),
        ("userName eq true", 13, "userName compares with a string in quotes"),
        ("userName eq 5", 13, "userName compares with a string in quotes"),
        ('meta.created gt "2011"', 17, "created compares with a dateTime such as 2008-01-23T04:56:22Z"),
        ('meta.created eq "x"', 17, "created compares with a dateTime such as 2008-01-23T04:56:22Z"),
        ("meta.created gt 5", 17, "created compares with a string in quotes"),
    ],
)
def test_G2_what_is_wrong_is_told_with_its_place(text: str, place: int, reason: str) -> None:
    where = f"at position {place}" if place else "at its end"
    assert _refusal(text) == f"The filter is wrong {where}: {reason}."


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('level eq "5"', "level compares with a number"),
        ("level eq true", "level compares with a number"),
        ('ratio gt "5"', "ratio compares with a number"),
        ("tags eq 5", "tags compares with a string in quotes"),
    ],
)
def test_G2_numbers_compare_with_numbers(text: str, reason: str) -> None:
    place = len(text.split(maxsplit=1)[0]) + 5
    assert _refusal(text, GROUP) == f"The filter is wrong at position {place}: {reason}."


@pytest.mark.parametrize("op", ["eq", "ne", "co", "sw", "ew"])
def test_G2_binary_compares_as_text_without_order(op: str) -> None:
    assert _parsed(f'x509Certificates.value {op} "MII"') == ("x509Certificates.value", op, "MII")


def test_G2_the_values_of_a_simple_attribute_are_called_value_and_keep_its_type() -> None:
    assert _refusal("tags[value eq 5]", GROUP) == (
        "The filter is wrong at position 15: value compares with a string in quotes."
    )


def test_no_refusal_repeats_what_was_compared() -> None:
    for text in (
        'userName eq "secret',
        "userName eq secret",
        "secret eq secret",
        'active eq "secret"',
        "secret secret",
    ):
        assert "secret" not in _refusal(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('password eq "x"', "password"),
        ("Password pr", "password"),
        (f'title pr and {urns.USER}:password sw "x"', "password"),
    ],
)
def test_G12_a_password_cannot_be_asked_for(text: str, name: str) -> None:
    assert _refusal(text) == f"{name} is never returned and cannot be filtered by."


def test_G12_neither_can_a_sub_attribute_that_is_never_returned() -> None:
    assert _refusal('doors.secret eq "x"', GROUP) == "doors.secret is never returned and cannot be filtered by."
    assert _refusal('doors[secret eq "x"]', GROUP) == "secret is never returned and cannot be filtered by."


def test_G10_fifty_comparisons_and_ten_levels_are_the_limit() -> None:
    assert len(_parsed(" or ".join(["title pr"] * 50))) == 51
    assert _refusal(" or ".join(["title pr"] * 51)) == "The filter has more than 50 comparisons."
    assert _refusal("emails[" + " and ".join(["type pr"] * 51) + "]") == "The filter has more than 50 comparisons."
    assert _parsed("(" * 10 + "title pr" + ")" * 10) == ("title", "pr")
    assert _refusal("(" * 11 + "title pr" + ")" * 11) == "The filter is nested more than 10 levels deep."
    deep = "(" * 10 + "title pr" + ")" * 10
    assert _parsed(f"(title pr) and ((title pr)) and {deep}") == ("and", *[("title", "pr")] * 3)
    assert _refusal(f"(title pr) and ((title pr)) and ({deep})") == "The filter is nested more than 10 levels deep."
    assert _parsed("(" * 9 + "emails[type pr]" + ")" * 9) == ("emails", [("type", "pr")])
    assert _refusal("(" * 10 + "emails[type pr]" + ")" * 10) == "The filter is nested more than 10 levels deep."
    assert _parsed(" or ".join(["(title pr)"] * 20)) == ("or", *[("title", "pr")] * 20)
    assert _parsed(" or ".join(["emails[(type pr)]"] * 20)) == ("or", *[("emails", [("type", "pr")])] * 20)


def test_G10_4096_bytes_are_the_limit() -> None:
    text = 'title eq "%s"'
    assert _parsed(text % ("x" * 4085)) == ("title", "eq", "x" * 4085)
    assert _refusal(text % ("x" * 4086)) == "The filter is longer than 4096 bytes."


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("userName sw O", ("userName", "sw", "O")),
        ("externalId eq jyoung", ("externalId", "eq", "jyoung")),
        ("userName eq ann@example.com and title pr", ("and", ("userName", "eq", "ann@example.com"), ("title", "pr"))),
        ("meta.resourceType eq User", ("meta.resourceType", "eq", "User")),
        ('userName eq "ann"', ("userName", "eq", "ann")),
        ("userName eq 5", ("userName", "eq", "5")),
        ("userName eq true", ("userName", "eq", "true")),
        ("userName eq null", ("userName", "eq", None)),
        ("meta.created gt 2011-05-13T04:42:34Z", ("meta.created", "gt", "2011-05-13T04:42:34Z")),
        ("profileUrl eq 5", ("profileUrl", "eq", "5")),
        ("emails eq a@b", ("emails.value", "eq", "a@b")),
        ("emails[type eq work].value eq a@b", ("emails", [("and", ("type", "eq", "work"), ("value", "eq", "a@b"))])),
        ("active eq true", ("active", "eq", True)),
        ("active eq True", ("active", "eq", True)),
        ("active eq FALSE", ("active", "eq", False)),
        ('active eq "True"', ("active", "eq", True)),
        ('active eq "false"', ("active", "eq", False)),
        ("undefined eq 5", ("undefined", "eq", 5)),
        ("undefined eq true", ("undefined", "eq", True)),
        ("undefined eq True", ("undefined", "eq", "True")),
        ('undefined eq "true"', ("undefined", "eq", "true")),
        ("urn:x:y:attr eq ann", ("urn:x:y:attr", "eq", "ann")),
        ("urn:x:y:attr eq 5", ("urn:x:y:attr", "eq", 5)),
    ],
)
def test_G8_strings_may_lack_their_quotes_where_the_tenant_allows_it(text: str, tree: Any) -> None:
    assert _parsed(text, bare_words=True) == tree


def test_G8_without_quotes_types_still_count() -> None:
    end = "The filter is wrong at position 11: active compares with true or false."
    assert _refusal("active eq yes", bare_words=True) == end
    assert _refusal('active eq "yes"', bare_words=True) == end
    assert _refusal("active eq 1", bare_words=True) == end
    assert _refusal("level eq five", GROUP, bare_words=True) == (
        "The filter is wrong at position 10: level compares with a number."
    )
    assert _parsed("level eq 5", GROUP, bare_words=True) == ("level", "eq", 5)
    assert _refusal("userName eq (", bare_words=True) == "The filter is wrong at position 13: a value is due."
    assert _refusal(r'userName eq "\x"', bare_words=True) == f"The filter is wrong at position 13: {_DUE_VALUE}."
    assert _refusal(r'undefined eq "\x"', bare_words=True) == f"The filter is wrong at position 14: {_DUE_VALUE}."


def test_brackets_of_a_path_are_read_where_they_open_and_say_where_they_end() -> None:
    text = 'members[value eq "1" and (type pr)].display'
    found, end = parse_brackets(text, 7, GROUP, MEMBERS)
    assert _shape(found) == ("and", ("value", "eq", "1"), ("type", "pr"))
    assert text[end:] == ".display"
    found, end = parse_brackets("members[value eq 1]", 7, GROUP, MEMBERS, bare_words=True)
    assert _shape(found) == ("value", "eq", "1")
    assert end == 19


def test_brackets_of_a_path_name_only_what_is_defined() -> None:
    with pytest.raises(InvalidFilter) as caught:
        parse_brackets("members[val pr]", 7, GROUP, MEMBERS)
    assert caught.value.detail == "The filter is wrong at position 9: no such sub-attribute is defined."
    with pytest.raises(InvalidFilter):
        parse_brackets("members[value eq bare]", 7, GROUP, MEMBERS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('userName eq "Ann"', ("userName", "Ann")),
        ('USERNAME EQ "Ann"', ("userName", "Ann")),
        (f'({urns.USER}:userName eq "Ann")', ("userName", "Ann")),
        ('externalId eq ""', ("externalId", "")),
        ('id eq "1"', ("id", "1")),
        ('emails eq "a@b"', ("emails.value", "a@b")),
        (f'{_E}:employeeNumber eq "7"', (f"{_E}:employeeNumber", "7")),
        ('userName ne "Ann"', None),
        ('userName sw "Ann"', None),
        ("userName pr", None),
        ("userName eq null", None),
        ("active eq true", None),
        ('undefined eq "x"', None),
        ('not (userName eq "Ann")', None),
        ('userName eq "Ann" or userName eq "Bob"', None),
        ('userName eq "Ann" and active eq true', None),
        ('emails[value eq "a@b"]', None),
    ],
)
def test_exactly_one_equality_with_a_string_can_be_answered_by_an_index(
    text: str, expected: tuple[str, str] | None
) -> None:
    assert indexed_equality(parse_filter(text, USER)) == expected


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ('USERNAME EQ "a\\"b"', 'userName eq "a\\"b"'),
        ("active eq true", "active eq true"),
        ("title eq null", "title eq null"),
        ("undefined gt 1e1", "undefined gt 10.0"),
        ("NOT(title PR)", "not (title pr)"),
        ("(title pr and (locale pr))", "title pr and locale pr"),
        ("title pr and (locale pr or nickName pr)", "title pr and (locale pr or nickName pr)"),
        ("title pr or locale pr and nickName pr", "title pr or locale pr and nickName pr"),
        ('emails[type eq "work"].value eq "a"', 'emails[type eq "work" and value eq "a"]'),
        (f'{_E.upper()}:manager eq "1"', f'{_E}:manager.value eq "1"'),
    ],
)
def test_a_filter_is_written_in_the_spelling_of_the_table(text: str, written: str) -> None:
    assert filter_text(parse_filter(text, USER)) == written


# --- random filters ---

_NAMES = ["userName", "title", "name.familyName", "emails.type", "undefined", f"{_E}:department", "urn:x:y:attr"]
_STRINGS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=5)
_TERMS = st.one_of(
    st.builds("{} pr".format, st.sampled_from([*_NAMES, "emails", "active"])),
    st.builds("{} {} null".format, st.sampled_from(_NAMES), st.sampled_from(["eq", "ne"])),
    st.builds(
        lambda name, op, value: f"{name} {op} {_quoted(value)}",
        st.sampled_from(_NAMES),
        st.sampled_from(["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"]),
        _STRINGS,
    ),
    st.builds("active {} {}".format, st.sampled_from(["eq", "ne"]), st.sampled_from(["true", "false"])),
)


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _combined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("{} and {}".format, inner, inner),
        st.builds("{} or {}".format, inner, inner),
        st.builds("({})".format, inner),
        st.builds("not ({})".format, inner),
    )


_FILTERS = st.recursive(_TERMS | st.just('emails[type eq "work" or primary eq true]'), _combined, max_leaves=8).filter(
    lambda text: text.count("(") + text.count("[") <= 10
)


@settings(deadline=None)
@given(_FILTERS)
def test_every_filter_of_the_grammar_is_read_and_written_back_to_the_same_tree(text: str) -> None:
    found = parse_filter(text, USER)
    assert _shape(parse_filter(filter_text(found), USER)) == _shape(found)


_PIECES = st.sampled_from(
    ["(", ")", "[", "]", '"', "\\", " ", "and", "or", "not", "pr", "eq", "gt", "null", "true", "5", ".", ":", "emails",
     "type", "userName", "title", '"x"', "urn:x:y:z", _E, "\x00", "é", "\ud800"]
)  # fmt: skip


@settings(deadline=None)
@given(
    st.lists(_PIECES, max_size=25).map(" ".join) | st.lists(_PIECES, max_size=25).map("".join) | st.text(),
    st.booleans(),
)
def test_garbage_is_a_filter_or_invalid(text: str, bare_words: bool) -> None:
    try:
        found = parse_filter(text, USER, bare_words=bare_words)
    except InvalidFilter:
        return
    assert _shape(parse_filter(filter_text(found), USER)) == _shape(found)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 4096,
        "title pr and " * 315,
        "not(" * 1024,
        '"' * 4096,
        'title eq "' + "\\" * 4085 + '"',
        'title eq "' + 'a"' * 2040,
        "a" * 4096,
        "a." * 2048,
        "a:" * 2048,
        "urn:" + "a:" * 2046,
        " " * 4096,
        "emails[" * 585,
        "emails[type pr]" * 273,
        'title eq "' + "a" * 4085 + '"',
        "title pr or (" * 315,
        "title eq 1" + "0" * 4080,
    ],
)
def test_text_made_to_be_slow_takes_no_longer_than_its_length_allows(text: str) -> None:
    spent = []
    for _ in range(5):
        started = time.process_time()
        with contextlib.suppress(InvalidFilter):
            parse_filter.__wrapped__(text, USER, bare_words=False)
        spent.append(time.process_time() - started)
    assert min(spent) < 0.02


def test_a_filter_that_was_parsed_is_not_parsed_again() -> None:
    assert parse_filter('title eq "cached"', USER) is parse_filter('title eq "cached"', USER)
    assert parse_filter('members[value eq "1"]', GROUP) != parse_filter('members[value eq "1"]', USER)
    assert _parsed(f'{BADGE_URN}:marks eq "x"', GROUP) == (f"{BADGE_URN}:marks", "eq", "x")
