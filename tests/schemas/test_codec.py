"""The codec: what JSON it refuses, and that the short way and the long way to a user are one way."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings

from schemas import urns
from schemas.codec import decode_json, decode_user, encode
from schemas.errors import InvalidSyntax, InvalidValue, ScimError
from schemas.resource_types import USER
from schemas.resources import MAX_VALUES
from schemas.rules import PROFILES, Rules
from schemas.validation import conform
from tests.rfc_examples import rfc_example
from tests.schemas.user_bodies import bodies


def _body(**members: Any) -> bytes:
    return json.dumps({"schemas": [urns.USER], "userName": "ann", **members}).encode()


def _outcome(body: bytes, rules: Rules, *, long_way: bool) -> object:
    try:
        return conform(decode_json(body), USER, rules) if long_way else decode_user(body, rules)
    except ScimError as error:
        return type(error)


@pytest.mark.parametrize("profile", ["rfc", "entra", "lenient"])
@given(body=bodies)
@settings(max_examples=300, deadline=None)
def test_the_short_way_and_the_long_way_agree(profile: str, body: bytes) -> None:
    rules = PROFILES[profile]
    assert _outcome(body, rules, long_way=False) == _outcome(body, rules, long_way=True)


@given(body=bodies)
@settings(max_examples=200, deadline=None)
def test_the_two_ways_agree_where_a_tenant_is_strict(body: bytes) -> None:
    rules = Rules(strict_attributes=True, strict_extensions=True, strict_formats=True)
    assert _outcome(body, rules, long_way=False) == _outcome(body, rules, long_way=True)


@pytest.mark.parametrize(
    "example", ["rfc7643-8.1-user-minimal", "rfc7643-8.2-user-full", "rfc7643-8.3-enterprise-user"]
)
def test_the_users_of_rfc_7643_section_8_keep_all_but_what_is_read_only(example: str) -> None:
    sent = rfc_example(example)
    expected = {name: value for name, value in sent.items() if name not in {"id", "meta", "groups"}}
    if urns.ENTERPRISE_USER in expected:
        del expected[urns.ENTERPRISE_USER]["manager"]["displayName"]
    for rules in (Rules(), Rules(strict_attributes=True, strict_extensions=True)):
        resource = decode_user(json.dumps(sent).encode(), rules)
        assert resource == expected
        assert next(iter(resource)) == "schemas"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"{",
        b'{"a":1}x',
        b"\xef\xbb\xbf{}",
        b'{"a":NaN}',
        b'{"a":1e400}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"\\ud800"',
        b'"\x00"',
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    ],
)
def test_what_is_no_json_is_invalid_syntax(body: bytes) -> None:
    with pytest.raises(InvalidSyntax) as refusal:
        decode_json(body)
    assert "999" not in refusal.value.detail
    with pytest.raises(InvalidSyntax):
        decode_user(body, Rules())


@pytest.mark.parametrize("body", [b"[]", b'"ann"', b"null", b"1"])
def test_a_body_that_is_no_object_is_invalid_syntax(body: bytes) -> None:
    decode_json(body)
    with pytest.raises(InvalidSyntax):
        decode_user(body, Rules())


def test_of_an_exact_duplicate_of_a_name_the_last_wins_in_both_ways() -> None:
    body = (
        b'{"schemas":["%s"],"userName":5,"userName":"ann","name":{"givenName":"A","givenName":"B"}}'
        % urns.USER.encode()
    )
    assert decode_user(body, Rules()) == {"schemas": [urns.USER], "userName": "ann", "name": {"givenName": "B"}}
    body = body.replace(b"5", b'"eve"')
    assert decode_user(body, Rules())["userName"] == "ann"


@pytest.mark.parametrize("manager", [b'{"value":""}', b'{"value":"","displayName":"x"}', b'{"value":"271"}'])
def test_D5_no_string_for_a_manager_is_no_manager_in_both_ways(manager: bytes) -> None:
    """And in both ways of PATCH: ``complex_from_string`` is the rule of clients that send one."""
    rules = Rules(complex_from_string=True)
    body = b'{"schemas":["%s"],"userName":"ann","%s":{"manager":%s}}' % (
        urns.USER.encode(),
        urns.ENTERPRISE_USER.encode(),
        manager,
    )
    short, long = decode_user(body, rules), decode_user(body.replace(b'"userName"', b'"USERNAME"'), rules)
    assert short == long
    assert (urns.ENTERPRISE_USER in short) == (b"271" in manager)
    assert decode_user(body, Rules())[urns.ENTERPRISE_USER]["manager"]["value"] in {"", "271"}


def test_encode_writes_compact_json_in_utf_8() -> None:
    assert encode({"a": ["ü", True]}) == '{"a":["ü",true]}'.encode()


def test_A7_what_is_unassigned_is_dropped_on_the_short_way() -> None:
    body = _body(
        name={},
        roles=[],
        emails=[{}],
        ims=[{}, {"value": "x"}],
        **{urns.ENTERPRISE_USER: {"manager": {"displayName": "Boss"}}},
    )
    assert decode_user(body, Rules()) == {"schemas": [urns.USER], "userName": "ann", "ims": [{"value": "x"}]}
    body = _body(**{urns.ENTERPRISE_USER: {"manager": {"value": "1", "displayName": None}, "department": "d"}})
    assert decode_user(body, Rules())[urns.ENTERPRISE_USER] == {"manager": {"value": "1"}, "department": "d"}
    assert urns.ENTERPRISE_USER not in decode_user(_body(**{urns.ENTERPRISE_USER: {}}), Rules())


def test_D4_groups_and_C3_meta_are_ignored_on_the_short_way() -> None:
    body = _body(id="bulkId", meta={"version": 1}, groups=[])
    assert decode_user(body, Rules()) == {"schemas": [urns.USER], "userName": "ann"}


def test_what_is_ignored_is_still_looked_through() -> None:
    with pytest.raises(InvalidSyntax, match="meta has two names that differ only in case"):
        decode_user(_body(meta={"a": 1, "A": 2}), Rules())
    with pytest.raises(InvalidSyntax, match="nested too deeply"):
        decode_user(_body(groups=json.loads("[" * 40 + "]" * 40)), Rules())


def test_more_values_than_the_limit_are_refused() -> None:
    values = [{"value": str(number)} for number in range(MAX_VALUES + 1)]
    with pytest.raises(InvalidValue, match="emails has more than 10000 values"):
        decode_user(_body(emails=values), Rules())
    assert len(decode_user(_body(emails=values[1:]), Rules())["emails"]) == MAX_VALUES


def test_control_characters_are_found_however_they_are_written() -> None:
    for written in (b"\\u0000", b"\\b", b"\\f", b"\\u001F", b"\\u007f", b"\x7f", b"\\u0085", "\x85".encode()):
        body = _body(title="TITLE").replace(b"TITLE", b"a" + written)
        with pytest.raises(InvalidValue, match="title holds a control character"):
            decode_user(body, Rules())
    for written in (b"\\t", b"\\n", b"\\r", b"\\u0009", b"\\\\b", b"\\/", b"\\u00e9", "é\u00a0".encode()):
        body = _body(title="TITLE").replace(b"TITLE", written)
        assert decode_user(body, Rules())["title"] == json.loads(b'"' + written + b'"')
