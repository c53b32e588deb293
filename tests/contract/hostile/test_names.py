"""Names that look alike, or alike to nobody but a computer: kept as they came, unique as they are compared (INV-4)."""

from __future__ import annotations

import unicodedata
from urllib.parse import quote

import pytest

from schemas.folding import fold
from tests.contract.hostile.wire import USERS, Caller, refused, user
from tests.served import unique

SAME = {
    "case": ("alice", "ALICE"),
    "full-width": ("alice", "ａｌｉｃｅ"),
    "mathematical": ("alice", "𝐚𝐥𝐢𝐜𝐞"),
    "circled": ("alice", "ⓐⓛⓘⓒⓔ"),
    "composed": ("Zoë", "Zoe\u0308"),
    "Kelvin": ("kelvin", "\u212aelvin"),
    "ligature": ("office", "oﬃce"),
    "sharp-s": ("strasse", "STRAẞE"),
    "sharp-s-small": ("strasse", "straße"),
    "superscript": ("x2", "x²"),
    "half-width-katakana": ("ガ", "ｶﾞ"),
    "Roman-numeral": ("henryviii", "henry\u2167"),
    "no-break-space": ("a b", "a\u00a0b"),
    "wide-space": ("a b", "a\u3000b"),
    "Angstrom": ("\u00e5", "\u212b"),
    "Greek-sigma": ("ΣΊΣΥΦΟΣ", "σίσυφος"),
    "iota-subscript": ("ᾳ", "αι"),
    "Cherokee": ("\uab70", "\u13a0"),
}
DIFFERENT = {
    "Cyrillic-a": ("alice", "аlice"),
    "Greek-omicron": ("bob", "bοb"),
    "digit-one": ("alice", "a1ice"),
    "zero-width-space": ("alice", "ali\u200bce"),
    "zero-width-joiner": ("alice", "ali\u200dce"),
    "right-to-left-override": ("alice", "\u202ealice"),
    "byte-order-mark": ("alice", "\ufeffalice"),
    "word-joiner": ("alice", "al\u2060ice"),
    "variation-selector": ("alice", "alice\ufe0f"),
    "tag-characters": ("alice", "alice\U000e0061"),
    "private-use": ("alice", "alice\ue000"),
    "noncharacter": ("alice", "alice\ufdd0"),
    "combining-grave": ("alice", "a\u0300lice"),
    "dotless-i": ("irmak", "\u0131rmak"),
    "space-at-the-end": ("alice", "alice "),
    "two-spaces": ("a b", "a  b"),
    "tab": ("a b", "a\tb"),
    "line-separator": ("a b", "a\u2028b"),
    "quote": ("alice", 'ali"ce'),
    "percent": ("alice", "ali%63e"),
    "wildcard": ("alice", "alic_"),
}


def prefixed(pair: tuple[str, str]) -> tuple[str, str]:
    """Return the two names with something before them that makes them nobody else's."""
    prefix = unique() + ":"
    return prefix + pair[0], prefix + pair[1]


def found(caller: Caller, name: str) -> list[str]:
    """Return the userNames that a look-up of the name finds."""
    text = '"' + name.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t") + '"'
    answer = caller.find(f"filter={quote('userName eq ' + text)}")
    assert answer.status == 200, answer.body
    return [each["userName"] for each in answer.json()["Resources"]]


@pytest.mark.parametrize("pair", SAME.values(), ids=SAME)
def test_names_that_are_compared_as_one_are_taken_once(hostile: Caller, pair: tuple[str, str]) -> None:
    first, second = prefixed(pair)
    assert fold(first) == fold(second)
    resource_id = hostile.made(first)
    refused(hostile.post(user(second)), 409, "uniqueness")
    other = hostile.made(unique())
    refused(hostile.request("PUT", f"{USERS}/{other}", user(second)), 409, "uniqueness")
    refused(hostile.patch(other, [{"op": "replace", "path": "userName", "value": second}]), 409, "uniqueness")
    assert found(hostile, second) == [first], "it is found by either and shown as it came"
    assert hostile.request("PUT", f"{USERS}/{resource_id}", user(second)).status == 200, "its own holder may respell it"
    assert found(hostile, first) == [second]


@pytest.mark.parametrize("pair", DIFFERENT.values(), ids=DIFFERENT)
def test_names_that_only_look_alike_are_two_and_stay_as_they_came(hostile: Caller, pair: tuple[str, str]) -> None:
    first, second = prefixed(pair)
    for name in (first, second):
        answer = hostile.request("GET", f"{USERS}/{hostile.made(name)}")
        assert answer.json()["userName"] == name
    assert found(hostile, first) == [first]
    assert found(hostile, second) == [second]


@pytest.mark.parametrize(
    "text",
    [
        "\u200b",
        "\u2028\u2029",
        "\ufeff",
        "\u202e\u202d",
        "\U0001f468\u200d\U0001f469",
        "e\u0301\u0300\u0302" * 100,
        "ﷺ" * 50,
        "\ufffd",
    ],
    ids=lambda text: unicodedata.name(text[0], "?"),
)
def test_invisible_and_stacked_characters_are_kept_in_values_and_names_of_unknown_extensions(
    hostile: Caller, text: str
) -> None:
    extension = {f"a{text}": [text, {text: text}]}
    resource_id = hostile.made(unique(), displayName=text, externalId=text, **{"urn:example:odd": extension})
    kept = hostile.request("GET", f"{USERS}/{resource_id}").json()
    assert (kept["displayName"], kept["externalId"], kept["urn:example:odd"]) == (text, text, extension)


@pytest.mark.parametrize("name", ["", " ", "\t\n", "\u3000", "\u00a0", "\u2003\u2002"])
def test_a_blank_name_is_invalidValue(hostile: Caller, name: str) -> None:
    refused(hostile.post(user(name)), 400, "invalidValue")


def test_a_name_that_grows_when_it_is_folded_is_kept_and_found(hostile: Caller) -> None:
    """NFKC makes eighteen characters of one: a name of a kibibyte is six when it is compared."""
    name = unique() + "ﷺ" * 330
    resource_id = hostile.made(name)
    assert len(fold(name).encode()) > 6 * 1024
    assert hostile.request("GET", f"{USERS}/{resource_id}").json()["userName"] == name
    refused(hostile.post(user(name)), 409, "uniqueness")


@pytest.mark.parametrize(
    "external_id", ["1", "0", "admin", "null", "true", "../1", "bulkId:1", "*", "' OR ''='", "1" * 1024]
)
def test_an_externalId_is_a_label_and_never_an_id(hostile: Caller, external_id: str) -> None:
    """CVE-2025-41115: a client's id must not reach into ours."""
    name = unique()
    answer = hostile.post(user(name, externalId=external_id, id=external_id))
    assert answer.status == 201, answer.body
    assert answer.json()["id"] != external_id
    refused(hostile.request("GET", f"{USERS}/{quote(external_id, safe='')}"), 404)
    refused(hostile.request("DELETE", f"{USERS}/{quote(external_id, safe='')}"), 404)


def test_what_is_not_the_callers_to_write_is_ignored(hostile: Caller) -> None:
    """API3: neither internal members nor read-only ones get in, under whatever name."""
    injected = {
        "id": "mine",
        "meta": {
            "version": 'W/"99"',
            "created": "2000-01-01T00:00:00Z",
            "resourceType": "Admin",
            "location": "http://evil",
        },
        "groups": [{"value": "admins", "$ref": "http://evil"}],
        "version": 99,
        "seq": 99,
        "tenant": "other",
        "names": {"userName": "x"},
        "doc": {},
        "kind": "group",
        "fp": "x",
        "isAdmin": True,
        "__proto__": {"admin": True},
        "constructor": {"prototype": {}},
        "__class__": "x",
        "$ref": "http://evil",
    }
    answer = hostile.post(user(unique(), **injected))
    assert answer.status == 201, answer.body
    shown = answer.json()
    assert set(shown) == {"schemas", "id", "userName", "meta"}
    assert (shown["meta"]["resourceType"], shown["meta"]["version"]) == ("User", 'W/"1"')
    assert shown["meta"]["location"].startswith("http://gateway/")
    answer = hostile.patch(shown["id"], [{"op": "add", "value": injected}])
    assert answer.json() == shown
