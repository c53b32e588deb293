"""Which resources a filter matches: the RFC's examples, types, values that are not there, and a naive reference."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import urns
from schemas.filters import parse_brackets, parse_filter
from schemas.matching import ElementMatcher, matches, matches_element, term_count
from schemas.paths import parse_path
from schemas.resource_types import USER
from schemas.rules import Rules
from schemas.validation import conform
from tests.rfc_examples import rfc_example
from tests.schemas.tables import BADGE_URN, GROUP, group_attribute

_E = urns.ENTERPRISE_USER
_FIGURE_2 = rfc_example("rfc7644-3.4.2.2-filters")


def _user(known: str | dict[str, Any]) -> dict[str, Any]:
    body = rfc_example(known) if isinstance(known, str) else known
    return {**conform(body, USER, Rules()), "id": body["id"], "meta": body["meta"]}


@pytest.mark.parametrize("example", _FIGURE_2["filters"], ids=lambda example: example["filter"])
def test_G1_every_example_of_the_RFC_matches_whom_it_should(example: dict[str, Any]) -> None:
    found = parse_filter(example["filter"], USER)
    users = {name: _user(known) for name, known in _FIGURE_2["users"].items()}
    assert [name for name, user in users.items() if matches(found, user)] == example["matches"]


_ANN = {
    "schemas": [urns.USER, _E],
    "id": "Ab1",
    "externalId": "X-7",
    "userName": "Straße",
    "title": "",
    "active": False,
    "emails": [
        {"value": "Ann@Work.example", "type": "work", "primary": True},
        {"value": "ann@home.example", "type": "home"},
        {"type": "other", "display": "gone"},
    ],
    "roles": [{"display": "no value"}],
    "x509Certificates": [{"value": "MIIb"}],
    "meta": {"resourceType": "User", "created": "2026-11-21T12:00:00Z", "lastModified": "2026-11-21T24:00:00+01:00"},
    _E: {"department": "Sales", "manager": {"value": "26"}},
    "urn:x:Y": {
        "Level": 5,
        "flag": True,
        "list": ["a", 2, None, {"In": "Side"}],
        "obj": {"Key": "v"},
        "nil": None,
        "no": [],
    },
}


@pytest.mark.parametrize(
    "text",
    [
        'userName eq "STRASSE"',
        'userName sw "stras"',
        'userName ew "SSE"',
        'userName co "ASS"',
        'userName gt "straa"',
        'userName ge "strasse"',
        'userName le "strasse"',
        'userName lt "strat"',
        'userName ne "ann"',
        'id eq "Ab1"',
        'externalId co "-"',
        "active eq false",
        "active ne true",
        "active pr",
        'schemas eq "URN:ietf:params:scim:schemas:core:2.0:user"',
        'emails eq "ANN@work.EXAMPLE"',
        'emails.value ne "ann@work.example"',
        'emails co "home"',
        'emails.type eq "OTHER"',
        "emails.primary eq true",
        "emails.primary eq false",
        "emails.primary ne true",
        "emails[primary eq true]",
        "emails[primary eq false]",
        'emails[primary eq false and type eq "home"]',
        'emails[primary ne true and type eq "other"]',
        "emails[not (primary pr)]",
        'emails[type eq "other" and value eq null]',
        'emails[type eq "other" and value ne "x"]',
        'emails[type eq "work"].value eq "ann@work.example"',
        "emails.value pr",
        "emails ne null",
        "roles pr",
        "roles.value eq null",
        "locale eq null",
        'locale ne "x"',
        "not (locale pr)",
        "x509Certificates pr",
        'x509Certificates.value sw "MII"',
        'meta.created eq "2026-11-21T13:00:00+01:00"',
        'meta.lastModified eq "2026-11-21T23:00:00Z"',
        'meta.lastModified gt "2026-11-21T22:59:59.999Z"',
        'meta.created sw "2026-11"',
        'meta.resourceType eq "User"',
        f'{_E}:department eq "sales"',
        f'{_E}:manager eq "26"',
        f'{_E}:manager.value eq "26"',
        f'{_E}:manager[value eq "26"]',
        f"{_E}:department pr",
        f"{_E}:undefined eq null",
        "urn:x:y:level eq 5",
        "URN:X:Y:LEVEL gt 4.5",
        "urn:x:y:level ge 5",
        "urn:x:y:level lt 6",
        "urn:x:y:level le 5",
        'urn:x:y:level ne "5"',
        "urn:x:y:level ne true",
        "urn:x:y:flag eq true",
        "urn:x:y:flag ne 1",
        'urn:x:y:list eq "A"',
        "urn:x:y:list eq 2",
        "urn:x:y:list ne 2",
        'urn:x:y:list[in eq "side"]',
        'urn:x:y:list[value eq "a"]',
        'urn:x:y:list.in sw "S"',
        'urn:x:y:obj.key eq "V"',
        'urn:x:y:obj[key eq "V"]',
        "urn:x:y:nil eq null",
        "urn:x:y:no eq null",
        "urn:x:y:list pr",
        "urn:x:z:any eq null",
        "undefined eq null",
        'undefined ne "x"',
        'emails[undefined ne "x"]',
        'schemas[value eq "urn:ietf:params:scim:schemas:core:2.0:user"]',
        'title eq ""',
        'title eq null',
        'emails[type eq "home"] and emails[primary eq true]',
    ],
)  # fmt: skip
def test_G3_a_filter_matches_what_it_says(text: str) -> None:
    assert matches(parse_filter(text, USER), _ANN)


@pytest.mark.parametrize(
    "text",
    [
        'userName eq "strase"',
        'userName gt "strasse"',
        'userName lt "strasse"',
        'userName ne "STRASSE"',
        'userName co "x"',
        'userName sw "rasse"',
        'userName ew "stra"',
        'id eq "ab1"',
        'externalId eq "x-7"',
        'externalId sw "x"',
        "active eq true",
        "active ne false",
        "title pr",
        'title ne ""',
        'emails eq "x"',
        'emails[type eq "work" and value sw "ann@home"]',
        'emails[primary eq true and type eq "home"]',
        'emails[primary pr and type eq "home"]',
        'emails[type eq "other"].value eq "ann@work.example"',
        "emails.primary eq null",
        'roles.value eq "x"',
        "roles.value pr",
        "roles eq null",
        "locale pr",
        'locale eq "x"',
        'locale co ""',
        'locale le "zzz"',
        "locale ne null",
        'x509Certificates.value eq "miib"',
        'meta.created lt "2026-11-21T12:00:00Z"',
        'meta.created gt "2026-11-21T12:00:00Z"',
        'meta.created ne "2026-11-21T12:00:00.000Z"',
        'meta.resourceType eq "user"',
        f'{_E}:manager.value eq "27"',
        f"{_E}:undefined pr",
        f'{_E}:undefined eq "x"',
        "urn:x:y:level gt 5",
        'urn:x:y:level eq "5"',
        "urn:x:y:level eq true",
        "urn:x:y:flag eq 1",
        "urn:x:y:flag eq false",
        "urn:x:y:list eq 1",
        "urn:x:y:nil pr",
        "urn:x:y:no pr",
        "urn:x:y:list pr and urn:x:y:list eq null",
        "urn:x:z:any pr",
        "undefined pr",
        'undefined eq "x"',
        'undefined co ""',
        'emails[undefined eq "x"]',
        'undefined[type eq "x"]',
        'urn:x:y:level[value eq "x"]',
        'schemas[display eq "x"]',
        "not (userName pr)",
    ],
)  # fmt: skip
def test_G4_a_filter_does_not_match_what_is_not_so(text: str) -> None:
    assert not matches(parse_filter(text, USER), _ANN)


def test_numbers_and_simple_values_of_a_group() -> None:
    group = {"level": 5, "ratio": 0.5, "tags": ["Red", "blue"], "codes": ["Ab"], BADGE_URN: {"marks": ["x"]}}
    for text in (
        "level eq 5.0",
        "level gt 4",
        "ratio lt 1",
        'tags eq "RED"',
        'tags[value sw "B"]',
        'codes[value eq "Ab"]',
        f'{BADGE_URN}:marks[value eq "X"]',
    ):
        assert matches(parse_filter(text, GROUP), group), text
    for text in ("level eq 4", 'codes eq "AB"', 'codes[value eq "AB"]', 'tags[value eq "x"]', "ratio ge 1"):
        assert not matches(parse_filter(text, GROUP), group), text


def test_a_stored_text_that_is_no_dateTime_equals_none() -> None:
    assert not matches(parse_filter('opened le "2026-11-21T12:00:00Z"', GROUP), {"opened": "soon"})
    assert not matches(parse_filter('opened le "2026-11-21T12:00:00Z"', GROUP), {"opened": 5})
    assert matches(parse_filter('opened ne "2026-11-21T12:00:00Z"', GROUP), {"opened": "soon"})


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("title pr", 1),
        ('title eq "x"', 1),
        ("not (title pr)", 1),
        ("title pr and (locale pr or nickName pr)", 3),
        ('emails[type eq "x" and value pr] or title pr', 3),
    ],
)
def test_the_terms_of_a_filter_are_counted(text: str, count: int) -> None:
    assert term_count(parse_filter(text, USER)) == count


# --- many values at once ---


def _brackets(text: str) -> Any:
    return parse_brackets(f"doors[{text}]", 5, GROUP, group_attribute("doors"))[0]


@pytest.mark.parametrize(
    ("text", "cost"),
    [
        ('name eq "a"', 1),
        ('name eq "a" or name eq "b" or name eq "c"', 1),
        ('name eq "a" and open eq true or name eq "b"', 2),
        ('open eq true and name eq "a" or floor gt 3', 3),
        ('name eq "a" or floor gt 3 and floor lt 5', 3),
        ('name eq "a" and (open eq true or floor eq 3)', 3),
        ('name eq "a" and open eq true or name eq "a" and floor eq 3', 4),
        ('not (name eq "a")', 1),
        ('name eq null or name ne "a"', 2),
        ('built eq "2026-11-21T12:00:00Z"', 1),
    ],
)
def test_equalities_joined_by_or_cost_a_value_no_more_than_those_that_are_the_same(text: str, cost: int) -> None:
    assert ElementMatcher(_brackets(text)).cost({}) == cost


def test_what_all_equalities_have_in_common_is_not_what_they_are_looked_up_under() -> None:
    several = " or ".join(f'type eq "work" and value eq "{n}"' for n in range(20))
    path = parse_path(f"emails[{several}]", USER)
    assert path.filter is not None
    matcher = ElementMatcher(path.filter)
    assert matcher.cost({}) == 2
    assert [matcher({"type": kind, "value": "7"}) for kind in ("work", "home")] == [True, False]


@pytest.mark.parametrize(
    ("value", "cost"),
    [
        ({"value": "ann@example.com", "type": "work", "primary": True}, 1),
        ({"value": "Jürgen"}, 1),
        ("x" * 4095, 16),
        ("é" * 64, 5),
        ("é" * 80, 21),
        ({f"a{n}": n for n in range(160)}, 11),
        ({"a": [1, 2, 3]}, 4),
        ({"a" * 2560: None}, 11),
        (True, 1),
    ],
)
def test_large_values_cost_more_to_look_at(value: object, cost: int) -> None:
    path = parse_path('urn:example:hr:a[x eq "1"]', USER)
    assert path.filter is not None
    assert ElementMatcher(path.filter).cost(value) == cost
    assert ElementMatcher(path.filter).cost(value, value) == 2 * cost


def test_what_a_filter_does_not_name_costs_nothing() -> None:
    path = parse_path('emails[type eq "work" and not (value pr)]', USER)
    assert path.filter is not None
    matcher = ElementMatcher(path.filter)
    assert matcher.cost({"value": "a", "display": "é" * 1000}) == 2
    assert matcher.cost({"value": "x" * 4096}) == 34
    assert matcher.cost("x" * 4096) == 34


def test_names_of_no_schema_are_looked_up_under_one_spelling() -> None:
    path = parse_path('urn:example:hr:a[v eq "1" or V eq "2" or v eq "3"]', USER)
    assert path.filter is not None
    matcher = ElementMatcher(path.filter)
    assert matcher.cost({}) == 1
    assert [matcher({name: value}) for name, value in (("v", "2"), ("V", "1"), ("v", "4"))] == [True, True, False]


_ELEMENTS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["a", "A", "b", "c"]),
        "open": st.booleans(),
        "floor": st.integers(1, 4),
        "primary": st.booleans(),
    },
)
_TERMS = st.sampled_from(
    ['name eq "a"', 'name eq "B"', 'name ne "a"', 'name co "c"', "name pr", "name eq null", "open eq true",
     "open ne true", "primary eq false", "primary ne false", "floor gt 2", "floor le 2", "floor eq 3", "floor ne 3"]
)  # fmt: skip


def _joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(" ".join, st.tuples(inner, st.sampled_from(["and", "or"]), inner)) | st.builds(
        "not ({})".format, inner
    )


_FILTERS = st.recursive(_TERMS, _joined, max_leaves=6).filter(lambda text: text.count("(") < 10)


def _naive(text: str, element: dict[str, Any]) -> bool:
    """Evaluate a filter as Python would, term by term."""
    python = {
        'name eq "a"': "n.lower() == 'a'",
        'name eq "B"': "n.lower() == 'b'",
        'name ne "a"': "n.lower() != 'a'",
        'name co "c"': "'c' in n.lower()",
        "name pr": "n != ''",
        "name eq null": "n == ''",
        "open eq true": "o is True",
        "open ne true": "o is not True",
        "primary eq false": "not p",
        "primary ne false": "p",
        "floor gt 2": "f > 2",
        "floor le 2": "0 < f <= 2",
        "floor eq 3": "f == 3",
        "floor ne 3": "f != 3",
    }
    for term, expression in python.items():
        text = text.replace(term, f"({expression})")
    names = {"n": element.get("name", ""), "o": element.get("open"), "p": element.get("primary", False)}
    return bool(eval(text, {}, {**names, "f": element.get("floor", 0)}))


@settings(deadline=None)
@given(_FILTERS, st.lists(_ELEMENTS, max_size=4))
def test_a_filter_says_the_same_as_a_naive_evaluation_one_at_a_time_and_many_at_once(
    text: str, elements: list[dict[str, Any]]
) -> None:
    found = _brackets(text)
    matcher = ElementMatcher(found)
    for element in elements:
        expected = _naive(text, element)
        assert matches_element(found, element) is expected
        assert matcher(element) is expected
    assert matches(parse_filter(f"doors[{text}]", GROUP), {"doors": elements}) is any(_naive(text, e) for e in elements)


def test_simple_values_are_found_at_once_too() -> None:
    found, _ = parse_brackets('tags[value eq "a" or value eq "B"]', 4, GROUP, group_attribute("tags"))
    assert [ElementMatcher(found)(tag) for tag in ("A", "b", "c")] == [True, True, False]
