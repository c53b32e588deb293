"""Bodies that are no JSON, no user, or a user of unreasonable shape."""

from __future__ import annotations

from typing import Any

import pytest

from schemas import urns
from tests.contract.hostile.wire import USERS, Caller, compact, refused, user, user_with
from tests.served import unique

FOREIGN = b'"urn:example:x"'

MALFORMED = {
    "blank": b"  \r\n",
    "cut-off": b'{"schemas":["x"],"userName":"a',
    "cut-off-behind-a-value": b'{"userName":"a"',
    "two-values": b'{"userName":"a"}{"userName":"b"}',
    "comma-at-the-end": b'{"userName":"a",}',
    "comma-in-an-array": b'{"emails":[,]}',
    "single-quotes": b"{'userName':'a'}",
    "unquoted-name": b'{userName:"a"}',
    "comment": b'{/* */"userName":"a"}',
    "NaN": b'{"x":NaN}',
    "Infinity": b'{"x":-Infinity}',
    "leading-zero": b'{"x":01}',
    "plus": b'{"x":+1}',
    "hexadecimal": b'{"x":0x10}',
    "no-fraction": b'{"x":1.}',
    "too-large-a-number": b'{"x":1e400}',
    "a-million-digits": b'{"x":' + b"9" * 1_000_000 + b"}",
    "true-in-capitals": b'{"x":True}',
    "unknown-escape": b'{"x":"\\x41"}',
    "half-an-escape": b'{"x":"\\u12"}',
    "raw-control-character": b'{"x":"\x01"}',
    "raw-line-end": b'{"x":"a\nb"}',
    "NUL-at-the-end": b'{"userName":"a"}\x00',
    "NUL-only": b"\x00" * 100,
    "byte-order-mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"userName":"a"}'.encode("utf-16"),
    "UTF-32": '{"userName":"a"}'.encode("utf-32"),
    "form": b"userName=a&active=true",
    "XML": b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY y SYSTEM "file:///etc/passwd">]><x>&y;</x>',
    "YAML": b"userName: a\n",
    "open-arrays": b"[" * 500_000,
    "open-objects": b'{"a":' * 200_000,
}

NO_TEXT = {
    "lone-byte": b"\xff",
    "lone-continuation": b"\x80",
    "overlong-slash": b"\xc0\xaf",
    "overlong-NUL": b"\xe0\x80\x80",
    "surrogate": b"\xed\xa0\x80",
    "surrogate-pair": b"\xed\xa0\xbd\xed\xb8\x80",
    "beyond-Unicode": b"\xf4\x90\x80\x80",
    "five-bytes": b"\xf8\x88\x80\x80\x80",
    "cut-off": b"\xe9\x9b",
}

FORBIDDEN_CHARACTERS = {
    "NUL": "\x00",
    "backspace": "\x08",
    "vertical-tab": "\x0b",
    "escape": "\x1b",
    "delete": "\x7f",
    "next-line": "\x85",
    "C1": "\x9f",
}

NO_STRING: list[Any] = [1, 1.5, True, ["a"], [[]], {"value": "a"}, -(2**70)]
NO_BOOLEAN: list[Any] = [0, 1, 1.0, "true", "yes", [True], {"value": True}]
NO_OBJECT: list[Any] = [0, "a", True, ["a"], [{"value": "a"}]]
NO_ARRAY: list[Any] = ["a", 1, True, {"value": "a"}]
NO_OBJECTS: list[Any] = [*NO_ARRAY, ["a"], [1], [[{"value": "a"}]], [{"value": "a"}, 1]]
WRONG_TYPES: list[tuple[str, Any]] = [
    *((name, value) for name in ("userName", "displayName", "externalId", "profileUrl") for value in NO_STRING),
    *(("password", value) for value in NO_STRING),
    *(("active", value) for value in NO_BOOLEAN),
    *(("name", value) for value in NO_OBJECT),
    *(("name", {"familyName": value}) for value in NO_STRING),
    *(("emails", value) for value in NO_OBJECTS),
    *((name, [{"value": value}]) for name in ("emails", "photos", "x509Certificates") for value in NO_STRING),
    *(("emails", [{"primary": value}]) for value in NO_BOOLEAN),
    *((name, value) for name in (urns.ENTERPRISE_USER, "urn:example:x") for value in NO_OBJECT),
    *((urns.ENTERPRISE_USER, {"department": value}) for value in NO_STRING),
    *((urns.ENTERPRISE_USER, {"manager": value}) for value in NO_OBJECT),
    *((urns.ENTERPRISE_USER, {"manager": {"value": value}}) for value in NO_STRING),
    *(("schemas", value) for value in [*NO_ARRAY, [1], [None], [[urns.USER]], [{"a": 1}], [""], ["urn:a"]]),
]

CASE_VARIANTS = {
    "top": b'"displayName":"a","DISPLAYNAME":"b"',
    "userName": b'"USERNAME":"b"',
    "schemas": b'"Schemas":["x"]',
    "password": b'"password":"a","PassWord":"b"',
    "id": b'"id":"a","ID":"b"',
    "meta": b'"meta":{"version":"1","Version":"2"}',
    "complex": b'"name":{"familyName":"a","familyname":"b"}',
    "element": b'"emails":[{"value":"a"},{"value":"a","Value":"b"}]',
    "read-only-element": b'"groups":[{"value":"a","VALUE":"b"}]',
    "extension": b'"%b":{"department":"a","Department":"b"}' % urns.ENTERPRISE_USER.encode(),
    "extension-complex": b'"%b":{"manager":{"value":"a","VALUE":"b"}}' % urns.ENTERPRISE_USER.encode(),
    "extension-URN": b'"%b":{},"%b":{}' % (urns.ENTERPRISE_USER.encode(), urns.ENTERPRISE_USER.lower().encode()),
    "unknown-URN": b'"urn:example:x":{"a":1},"URN:EXAMPLE:X":{"a":1}',
    "unknown-extension": b'"urn:example:x":{"a":1,"A":2}',
    "deep-in-an-unknown-extension": b'"urn:example:x":{"a":[{"b":{"c":1,"C":2}}]}',
    "unknown-attribute": b'"shoeSize":1,"ShoeSize":2',
    "in-an-unknown-attribute": b'"shoe":{"size":1,"SIZE":2}',
    "with-another-spelling-of-userName": b'"username":"b"',
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_malformed_JSON_is_invalidSyntax(hostile: Caller, body: bytes) -> None:
    refused(hostile.post(body), 400, "invalidSyntax")
    refused(hostile.request("PUT", f"{USERS}/x", body), 400, "invalidSyntax")
    refused(hostile.request("PATCH", f"{USERS}/x", body), 400, "invalidSyntax")


def test_an_empty_body_is_invalidSyntax(hostile: Caller) -> None:
    refused(hostile.post(b""), 400, "invalidSyntax")
    refused(hostile.request("PATCH", f"{USERS}/x", b""), 400, "invalidSyntax")


@pytest.mark.parametrize("body", [b"null", b"1", b"true", b'"a"', b"[]", b"[{}]", b'[["a"]]'])
def test_JSON_that_is_no_object_is_invalidSyntax(hostile: Caller, body: bytes) -> None:
    refused(hostile.post(body), 400, "invalidSyntax")
    refused(hostile.request("PATCH", f"{USERS}/x", body), 400, "invalidSyntax")


@pytest.mark.parametrize("text", NO_TEXT.values(), ids=NO_TEXT)
@pytest.mark.parametrize("place", [b'"displayName":"%b"', b'"%b":1', FOREIGN + b':{"a":"%b"}', b'"unknown":["%b"]'])
def test_what_is_not_UTF_8_is_invalidSyntax(hostile: Caller, place: bytes, text: bytes) -> None:
    refused(hostile.post(user_with(unique(), place % (b"x" + text))), 400, "invalidSyntax")


@pytest.mark.parametrize("character", FORBIDDEN_CHARACTERS.values(), ids=FORBIDDEN_CHARACTERS)
def test_control_characters_are_invalidValue_in_values_and_names(hostile: Caller, character: str) -> None:
    text = f"a{character}b"
    for attributes in (
        {"displayName": text},
        {"name": {"familyName": text}},
        {"emails": [{"value": text}]},
        {"password": text},
        {"externalId": text},
        {"urn:example:x": {"a": [{"b": text}]}},
        {text: 1},
        {"emails": [{text: 1}]},
        {"urn:example:x": {text: 1}},
        {"unknown": {text: 1}},
        {"groups": [{"display": text}]},
        {"meta": {"location": text}},
        {"schemas": [urns.USER, text]},
    ):
        refused(hostile.post(user(unique(), **attributes)), 400, "invalidValue")
    refused(hostile.post(user(text)), 400, "invalidValue")


@pytest.mark.parametrize("units", [[0xD800], [0xDFFF], [0xDC00, 0xD800]])
def test_half_characters_are_refused_in_values_and_names(hostile: Caller, units: list[int]) -> None:
    """Escaped they are ASCII, so no decoder of UTF-8 notices them."""
    half = "".join(map(chr, units))
    for attributes in ({"displayName": half}, {half: 1}, {"urn:example:x": {"a": half}}, {"emails": [{half: half}]}):
        refused(hostile.post(user(unique(), **attributes)), 400, "invalidSyntax")


@pytest.mark.parametrize(("attribute", "value"), WRONG_TYPES, ids=lambda part: repr(part)[:40])
def test_a_value_of_the_wrong_type_is_invalidValue(hostile: Caller, attribute: str, value: Any) -> None:
    body = compact({"schemas": [urns.USER], "userName": unique(), attribute: value})
    before = hostile.count()
    refused(hostile.post(body), 400, "invalidValue")
    assert hostile.count() == before


@pytest.mark.parametrize("members", CASE_VARIANTS.values(), ids=CASE_VARIANTS)
def test_names_that_differ_only_in_case_are_refused_at_every_level(hostile: Caller, members: bytes) -> None:
    refused(hostile.post(user_with(unique(), members)), 400, "invalidSyntax")
    refused(hostile.request("PUT", f"{USERS}/x", user_with(unique(), members)), 400, "invalidSyntax")


def test_names_that_differ_only_in_case_are_refused_in_a_PATCH(hostile: Caller) -> None:
    operation = b'{"op":"add","path":"title","value":"a"}'
    for body in (
        b'{"schemas":["%b"],"Operations":[%b],"operations":[%b]}',
        b'{"schemas":["%b"],"Operations":[{"op":"remove","OP":"add","path":"title","value":"a"}],"x":[%b,%b]}',
        b'{"schemas":["%b"],"Operations":[{"op":"add","value":{"title":"a","TITLE":"b"}}],"x":[%b,%b]}',
        b'{"schemas":["%b"],"Operations":[{"op":"add","path":"emails","value":[{"type":"a","TYPE":"b"}]}],"x":[%b,%b]}',
    ):
        filled = body % (urns.PATCH_OP.encode(), operation, operation)
        refused(hostile.request("PATCH", f"{USERS}/x", filled), 400, "invalidSyntax")


@pytest.mark.parametrize("depth", [33, 500, 1_000, 10_000, 150_000])
@pytest.mark.parametrize("place", [FOREIGN + b':{"a":%b}', b'"unknown":%b', b'"emails":%b', b'"name":{"x":%b}'])
def test_deep_nesting_is_invalidSyntax(hostile: Caller, place: bytes, depth: int) -> None:
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        nested = opening * depth + b"1" + closing * depth
        refused(hostile.post(user_with(unique(), place % nested)), 400, "invalidSyntax")


LARGE_ARRAYS = {
    "emails-of-nothing": (b'"emails":[%b]', b"{}", 400, "invalidValue"),
    "emails-of-null": (b'"emails":[%b]', b"null", 400, "invalidValue"),
    "emails-of-wrong-things": (b'"emails":[%b]', b'{"a":1}', 400, "invalidValue"),
    "roles-of-strings": (b'"roles":[%b]', b'""', 400, "invalidValue"),
    "schemas-alike": (b'"schemas":[%b]', b'"urn:a"', 400, "invalidValue"),
    "read-only": (b'"groups":[%b]', b"{}", 201, None),
    "unknown": (b'"unknown":[%b]', b"{}", 201, None),
    "unknown-extension": (FOREIGN + b':{"a":[%b]}', b"1", 201, None),
    "in-meta": (b'"meta":{"x":[%b]}', b"[]", 201, None),
}


@pytest.mark.parametrize(("place", "element", "status", "scim_type"), LARGE_ARRAYS.values(), ids=LARGE_ARRAYS)
def test_an_array_of_100_000_elements_is_refused_or_ignored(
    hostile: Caller, place: bytes, element: bytes, status: int, scim_type: str | None
) -> None:
    many = b",".join([element] * 100_000)
    members = place % many
    body = user_with(unique(), members)
    if place.startswith(b'"schemas"'):
        body = b'{"userName":"%b",%b}' % (unique().encode(), members)
    answer = hostile.post(body)
    if status == 201:
        assert answer.status == 201, answer.body[:300]
    else:
        refused(answer, status, scim_type)


def test_100_000_different_schemas_are_refused(hostile: Caller) -> None:
    listed = [urns.USER, *(f"u:{number}" for number in range(80_000))]
    refused(hostile.post(compact({"schemas": listed, "userName": unique()})), 400, "invalidValue")


def test_50_000_extensions_are_refused(hostile: Caller) -> None:
    members = b",".join(b'"urn:%d":{"a":1}' % number for number in range(50_000))
    refused(hostile.post(user_with(unique(), members)), 400, "invalidValue")


def test_names_without_number_are_ignored_or_kept_in_time(hostile: Caller) -> None:
    unknown = b",".join(b'"a%d":1' % number for number in range(80_000))
    assert hostile.post(user_with(unique(), unknown)).status == 201
    assert hostile.post(user_with(unique(), FOREIGN + b":{%b}" % unknown)).status == 201


@pytest.mark.parametrize("length", [1025, 4096, 100_000])
@pytest.mark.parametrize("character", ["a", "雪"])
def test_names_and_external_ids_longer_than_a_kibibyte_are_invalidValue(
    hostile: Caller, character: str, length: int
) -> None:
    text = character * (length // len(character.encode()) + 1)
    refused(hostile.post(user(text)), 400, "invalidValue")
    refused(hostile.post(user(unique(), externalId=text)), 400, "invalidValue")


def test_other_strings_may_be_as_long_as_a_body(hostile: Caller) -> None:
    resource_id = hostile.made(unique(), displayName="x" * 900_000)
    assert hostile.request("DELETE", f"{USERS}/{resource_id}").status == 204
