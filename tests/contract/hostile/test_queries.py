"""Query strings, filters and ids in paths that mean nothing, or too much."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.contract.hostile.wire import USERS, Caller, compact, not_parsed, refused, user, user_with
from tests.served import unique

ODD_IDS = {
    "NUL": "%00",
    "dots": "%2e%2e",
    "bare-dots": "..",
    "dot": ".",
    "slash": "%2F",
    "traversal": "..%2f..%2f..%2fetc%2fpasswd",
    "double-encoded": "%252e%252e%252f",
    "backslash": "%5c..%5c",
    "no-UTF-8": "%ff",
    "overlong": "%c0%af",
    "surrogate": "%ed%a0%80",
    "half-an-escape": "%",
    "no-escape": "%zz",
    "long": "a" * 7000,
    "129": "a" * 129,
    "Unicode": "%F0%9F%98%80",
    "bare-at": "@",
    "space": "%20",
    "plus": "+",
    "tab": "%09",
    "line-ends": "a%0d%0aX-Injected:%20y",
    "semicolon": ";",
    "path-parameter": "x;jsessionid=1",
    "question-mark": "%3F",
    "number-sign": "%23",
    "quote": "%27%20OR%20%271%27=%271",
    "double-quote": "%22",
    "angle": "%3Cscript%3E",
    "template": "%7B%7B7*7%7D%7D",
    "glob": "*",
    "bracket": "%5B0%5D",
    "separators": "%1e%1f",
    "bulkId": "bulkId:1",
    "JSON": "%7B%22id%22%3A1%7D",
    "number": "1",
    "negative": "-1",
    "null": "null",
    "proto": "__proto__",
}


@pytest.mark.parametrize("resource_id", ODD_IDS.values(), ids=ODD_IDS)
def test_an_id_that_nobody_has_is_404_however_it_is_written(hostile: Caller, resource_id: str) -> None:
    target = f"{USERS}/{resource_id}"
    body = compact({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [
        {"op": "add", "path": "title", "value": "x"}]})  # fmt: skip
    refused(hostile.request("GET", target), 404)
    refused(hostile.request("DELETE", target), 404)
    refused(hostile.request("PUT", target, user(unique())), 404)
    refused(hostile.request("PATCH", target, body), 404)


@pytest.mark.parametrize("txn", ODD_IDS.values(), ids=ODD_IDS)
def test_an_outcome_that_nobody_knows_is_unknown_however_it_is_written(hostile: Caller, txn: str) -> None:
    if txn.startswith("%7B"):  # What is in braces matches no route.
        refused(hostile.request("GET", f"/scim/v2/Outcomes/{txn}"), 404)
        return
    answer = hostile.request("GET", f"/scim/v2/Outcomes/{txn}")
    assert answer.status == 200, answer.body
    assert answer.json()["state"] == "unknown"


@pytest.mark.parametrize("name", ODD_IDS.values(), ids=ODD_IDS)
def test_odd_names_of_schemas_and_resource_types_are_404(hostile: Caller, name: str) -> None:
    refused(hostile.request("GET", f"/scim/v2/Schemas/{name}"), 404)
    refused(hostile.request("GET", f"/scim/v2/ResourceTypes/{name}"), 404)


def test_bytes_in_a_target_that_are_not_ASCII_are_not_parsed(hostile: Caller) -> None:
    for byte in (b"\xff", b"\xc3\xa9", b"\x00", b"\x07", b" x"):
        text = b"GET /scim/v2/Users/%b HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n\r\n"
        not_parsed(hostile.raw(text % (byte, hostile.token.encode())))


NO_INTEGERS = [
    "abc",
    "1.5",
    "1e3",
    "0x10",
    "+5",
    "%2B5",
    " 5",
    "--5",
    "-",
    "%00",
    "%D9%A1",
    "1_000",
    str(2**70),
    "9" * 5000,
    "1%00",
]


@pytest.mark.parametrize("text", NO_INTEGERS, ids=lambda text: text[:12])
@pytest.mark.parametrize("name", ["startIndex", "count"])
def test_what_is_no_integer_is_invalidValue(hostile: Caller, name: str, text: str) -> None:
    if " " in text:
        text = quote(text)
    refused(hostile.find(f"{name}={text}"), 400, "invalidValue")


@pytest.mark.parametrize(
    ("query", "start_index"),
    [
        ("startIndex=1000000000&count=1", 1_000_000_000),
        ("startIndex=9007199254740993&count=1", 9_007_199_254_740_992),
        ("startIndex=-5&count=0", 1),
        ("startIndex=-9999999999999&count=0", 1),
        ("startIndex=0&count=-1", 1),
        ("count=-1000000", 1),
        ("startIndex=2&startIndex=abc&count=0", 2),
        ("startIndex=&count=0", 1),
    ],
)
def test_pages_beyond_the_list_are_empty(hostile: Caller, query: str, start_index: int) -> None:
    answer = hostile.find(query)
    assert answer.status == 200, answer.body
    page = answer.json()
    assert (page["startIndex"], page["itemsPerPage"], page["Resources"]) == (start_index, 0, [])


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?",
        "=",
        "&&&&",
        "%",
        "%zz=%zz",
        "a" * 7500,
        "&".join(f"a{number}={number}" for number in range(700)),
        "attributes=",
        "attributes=" + "," * 7000,
        "attributes=%ff,%00,%F0%9F%98%80",
        "attributes=" + "[" * 7000,
        "attributes=emails[type+eq+%22",
        "attributes=" + "urn:" * 1500,
        "attributes=" + "a." * 3000,
        "attributes=__class__,__proto__.x,constructor",
        "excludedAttributes=id,schemas,meta",
        "sortBy=%00&sortOrder=sideways&cursor=x",
    ],
    ids=lambda query: query[:24],
)
def test_odd_parameters_are_ignored(hostile: Caller, query: str) -> None:
    answer = hostile.find(f"{query}&count=1")
    assert answer.status == 200, answer.body
    assert len(answer.json()["Resources"]) <= 1


def test_too_many_attributes_are_invalidValue(hostile: Caller) -> None:
    for name in ("attributes", "excludedAttributes"):
        refused(hostile.find(f"{name}={','.join(f'a{number}' for number in range(1000))}"), 400, "invalidValue")
    refused(hostile.find("attributes=userName&excludedAttributes=emails"), 400, "invalidValue")


FILTERS = {
    "nothing": "",
    "blank": "%20%20",
    "NUL": "%00",
    "no-UTF-8": "%ff%fe",
    "five-kilobytes": "a" * 5000,
    "attribute-alone": "userName",
    "no-value": "userName+eq",
    "no-operator": "userName+%22a%22",
    "unknown-operator": "userName+matches+%22a%22",
    "regular-expression": "userName+re+%22(a%2B)%2B%24%22",
    "no-end-of-string": "userName+eq+%22a",
    "escape-at-the-end": "userName+eq+%22a%5C",
    "NUL-in-a-string": "userName+eq+%22%00%22",
    "half-a-character": "userName+eq+%22%5Cud800%22",
    "number": "userName+eq+1",
    "huge-number": "userName+eq+" + "9" * 4000,
    "object": "userName+eq+%7B%7D",
    "array": "userName+in+[%22a%22]",
    "single-quotes": "userName+eq+%27a%27",
    "SQL": "userName+eq+%22a%22;DROP+TABLE+resource",
    "SQL-in-the-place-of-a-name": "userName%22+OR+1=1--",
    "parentheses": "(" * 4000,
    "closed-parentheses": "(" * 2000 + "userName+pr" + ")" * 2000,
    "closing": ")" * 4000,
    "brackets": "emails[" * 500,
    "brackets-only": "[" * 4000,
    "not": "not(" * 900,
    "not-closed": "not+(" * 400 + "userName+pr" + ")" * 400,
    "not-not": "not+" * 900 + "userName+pr",
    "ands": "userName+pr+and+" * 240 + "userName+pr",
    "ors": "userName+pr+or+" * 240 + "userName+pr",
    "dots": "a." * 2000,
    "colons": "urn:" * 1000 + "a+pr",
    "quotes": "%22" * 2000,
    "backslashes": "userName+eq+%22" + "%5C" * 1999,
    "spaces": "+" * 4000 + "userName",
    "emoji": "%F0%9F%98%80" * 600,
    "password": "password+eq+%22a%22",
    "password-in-brackets": "emails[password+eq+%22a%22]+and+password+pr",
    "unindexed": "displayName+co+%22a%22",
    "proto": "__proto__.x+pr",
    "class": "__class__+pr",
    "twice": "userName&filter=userName+eq+%22a%22",
}


@pytest.mark.parametrize("text", FILTERS.values(), ids=FILTERS)
def test_a_filter_that_is_wrong_or_too_much_is_invalidFilter(hostile: Caller, tolerant: Caller, text: str) -> None:
    for caller in (hostile, tolerant):
        answer = caller.find(f"filter={text}")
        if caller is tolerant and answer.status == 200:
            # There bare words stand for strings.
            assert answer.json()["totalResults"] == 0
            continue
        refused(answer, 400, "invalidFilter")
        assert answer.seconds < 1.0


@pytest.mark.parametrize(
    "value", ["%5Cu0000", "a" * 3900, "%5Cu001e%5Cu001f", "%25", "_", "%F0%9F%98%80", "%27--", "*"]
)
@pytest.mark.parametrize("name", ["userName", "externalId", "id"])
def test_a_value_that_nobody_has_is_not_found(hostile: Caller, name: str, value: str) -> None:
    answer = hostile.find(f"filter={name}+eq+%22nobody-{value}%22")
    assert answer.status == 200, answer.body
    assert answer.json()["totalResults"] == 0


def test_many_names_of_a_page_of_many_extensions_are_looked_for_in_time(hostile: Caller) -> None:
    members = b",".join(b'"urn:%d":{"a":1}' % number for number in range(9_900))
    made = []
    for _ in range(12):
        answer = hostile.post(user_with(unique(), members))
        assert answer.status == 201, answer.body[:300]
        made.append(answer.json()["id"])
    for name in ("attributes", "excludedAttributes"):
        answer = hostile.find(f"startIndex={hostile.count() - 11}&{name}={','.join(f'urn:{n}:b' for n in range(200))}")
        assert answer.status == 200
        assert answer.seconds < 1.5
    for resource_id in made:
        assert hostile.request("DELETE", f"{USERS}/{resource_id}").status == 204


def test_a_shared_externalId_of_large_users_is_tooMany_and_a_page_of_them_is_short(hostile: Caller) -> None:
    shared = unique("shared")
    made = [hostile.made(unique(), externalId=shared, displayName="x" * 900_000) for _ in range(8)]
    refused(hostile.find(f"filter=externalId+eq+%22{shared}%22"), 400, "tooMany")
    answer = hostile.find("count=1000")
    page = answer.json()
    assert len(answer.body) < 7_000_000
    assert page["itemsPerPage"] == len(page["Resources"]) < page["totalResults"]
    rest = hostile.find(f"count=1000&startIndex={1 + page['itemsPerPage']}").json()
    assert not {each["id"] for each in rest["Resources"]} & {each["id"] for each in page["Resources"]}
    for resource_id in made:
        assert hostile.request("DELETE", f"{USERS}/{resource_id}").status == 204
