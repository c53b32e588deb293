"""Bodies of POST and PUT made from the characteristics table, most of them right and some wrong in one of many ways."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from schemas import urns
from schemas.attributes import Attribute
from schemas.resource_types import ENTERPRISE_USER_SCHEMA, USER

_TEXT = st.one_of(
    st.sampled_from(["ann", "a@b.c", "work", "home", "", " ", "a\tb\nc", "Ünïcode", "\\b", '"', "a\\", "😀"]),
    st.text(max_size=6),
)
_ODD_TEXT = st.one_of(
    st.sampled_from(["\x00", "\b", "\f", "\x1f", "\x7f", "\x85", "\ud800", "a\udc00", "x" * 1025, "ü" * 600]),
    st.text(st.characters(min_codepoint=0, max_codepoint=0x9F), max_size=3),
)
_NESTED = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), _TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(_TEXT, inner, max_size=2)),
    max_leaves=4,
)
_WRONG = st.one_of(
    st.sampled_from([None, [], {}, True, "True", "false", 0, 1.5, [None], [{}], [[]], {"value": "a"}]),
    _ODD_TEXT,
    _NESTED,
)


def _usually(right: st.SearchStrategy[Any], otherwise: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 19).flatmap(lambda roll: otherwise if roll == 0 else right)


def _named(attribute: Attribute, values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[str, Any]]:
    name = attribute.name
    return st.tuples(_usually(st.just(name), st.sampled_from([name.upper(), name.lower(), f"{name}x"])), values)


def _object(attributes: tuple[Attribute, ...]) -> st.SearchStrategy[dict[str, Any]]:
    members = [_named(attribute, _value(attribute)) for attribute in attributes]
    return st.lists(st.one_of(members), max_size=4).map(dict)


def _one(attribute: Attribute) -> st.SearchStrategy[Any]:
    if attribute.type == "complex":
        return _usually(_object(attribute.sub_attributes), _WRONG)
    if attribute.type == "boolean":
        return _usually(st.booleans(), _WRONG)
    return _usually(_TEXT, _WRONG)


def _value(attribute: Attribute) -> st.SearchStrategy[Any]:
    if attribute.mutability == "readOnly":
        return _NESTED
    if attribute.multi_valued:
        return _usually(st.lists(_one(attribute), max_size=3), _WRONG)
    return _one(attribute)


_SCHEMAS = _usually(
    st.sampled_from(
        [[urns.USER], [urns.USER, urns.ENTERPRISE_USER], [urns.ENTERPRISE_USER.lower(), urns.USER.upper()]]
    ),
    st.one_of(
        _WRONG, st.sampled_from([[urns.USER, urns.USER.lower()], [urns.GROUP], [urns.USER, "urn:x:y"], urns.USER])
    ),
)
_EXTENSION = _usually(_object(ENTERPRISE_USER_SCHEMA.attributes), _WRONG)
_MEMBERS = st.one_of(
    [
        _named(attribute, _value(attribute))
        for attribute in (*USER.common, *USER.schema.attributes)
        if attribute.name != "schemas"
    ]
    + [
        st.tuples(st.sampled_from([urns.ENTERPRISE_USER, urns.ENTERPRISE_USER.lower()]), _EXTENSION),
        st.tuples(st.sampled_from(["urn:x:y", "URN:X:Y", "http://x/y"]), _WRONG),
    ]
)


def _to_json(members: list[tuple[str, Any]], ascii_only: bool) -> bytes:
    """Return the object as JSON that may name a member twice, which no dict can."""
    pairs = (f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=ascii_only)}" for name, value in members)
    return ("{" + ", ".join(pairs) + "}").encode("utf-8", "surrogatepass")


bodies: st.SearchStrategy[bytes] = st.builds(
    lambda schemas, name, others, order, ascii_only: _to_json(
        sorted([("schemas", schemas), ("userName", name), *others], key=lambda _: order.random()), ascii_only
    ),
    _SCHEMAS,
    _usually(_TEXT, _WRONG),
    st.lists(_MEMBERS, max_size=6),
    st.randoms(use_true_random=False),
    st.booleans(),
)
"""JSON bodies, about half of them acceptable."""
