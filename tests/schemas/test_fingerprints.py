"""Fingerprints of requests, and the names of unseen answers."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from schemas.fingerprints import fingerprint, unseen_key

SECRET = b"s" * 32
BODY = {"userName": "ann", "emails": [{"value": "ann@example.com", "type": "work"}]}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def test_a_fingerprint_has_32_hexadecimal_digits() -> None:
    made = fingerprint(SECRET, "create", "User", BODY, None)

    assert len(made) == 32
    assert int(made, 16) >= 0


def test_INV_7_a_repeat_has_the_same_fingerprint_whatever_the_order_of_its_members() -> None:
    turned = {"emails": [{"type": "work", "value": "ann@example.com"}], "userName": "ann"}

    assert fingerprint(SECRET, "create", "User", turned, "p") == fingerprint(SECRET, "create", "User", BODY, "p")


def test_the_fingerprint_is_the_same_on_every_gateway_and_in_every_version() -> None:
    expected = hashlib.sha256(b'create\0User\0{"userName":"ann"}').hexdigest()[:32]

    assert fingerprint(SECRET, "create", "User", {"userName": "ann"}, None) == expected


def test_verb_target_body_and_password_each_make_another_request() -> None:
    made = {
        fingerprint(SECRET, "create", "User", BODY, None),
        fingerprint(SECRET, "replace", "User", BODY, None),
        fingerprint(SECRET, "create", "User/1", BODY, None),
        fingerprint(SECRET, "create", "User", BODY | {"active": True}, None),
        fingerprint(SECRET, "create", "User", BODY, ""),
        fingerprint(SECRET, "create", "User", BODY, "one"),
        fingerprint(SECRET, "create", "User", BODY, "two"),
    }

    assert len(made) == 7


def test_a_password_cannot_be_guessed_from_a_fingerprint_without_the_servers_key() -> None:
    assert fingerprint(SECRET, "create", "User", BODY, "p") != fingerprint(b"t" * 32, "create", "User", BODY, "p")
    assert fingerprint(SECRET, "create", "User", BODY, None) == fingerprint(b"t" * 32, "create", "User", BODY, None)


@given(JSON, JSON)
def test_values_that_differ_have_different_fingerprints(one: object, other: object) -> None:
    alike = repr(_sorted(one)) == repr(_sorted(other))

    assert (fingerprint(SECRET, "v", "t", one, None) == fingerprint(SECRET, "v", "t", other, None)) == alike


def _sorted(value: object) -> object:
    if isinstance(value, dict):
        return sorted((name, _sorted(item)) for name, item in value.items())
    if isinstance(value, list):
        return ("list", [_sorted(item) for item in value])
    return value


def test_CP_30_the_name_of_an_unseen_answer_is_bound_to_the_principal() -> None:
    assert len({unseen_key("okta", "f"), unseen_key("entra", "f"), unseen_key("okta", "g")}) == 3
    assert unseen_key("okta", "f") == hashlib.sha256(b"okta\0f").hexdigest()[:32]
