"""What the body of Oracle CPQ's PUT says: a native ``user-request``, or a user in the shape that answers have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from schemas import urns
from schemas.codec import decode_json
from schemas.commands import DEFAULT_RULES
from schemas.dialects.dialect import Violations
from schemas.dialects.oracle_cpq_fields import HOMES, SHAPES, URN, Home, coded_value, home_value, says_more
from schemas.dialects.oracle_cpq_views import without_views
from schemas.dialects.shapes import MOST, Members, check
from schemas.errors import InvalidSyntax
from schemas.json_values import check_json, shown
from schemas.resource_types import USER
from schemas.validation import conform_attribute, conform_extension, is_extension_name

_TELLS_THE_SHAPE: Final = frozenset({"schemas", "username"})
_EXTENSION_USER: Final = frozenset({"extensionuser", URN.lower()})
_ENTERPRISE_USER: Final = frozenset({"enterpriseuser", urns.ENTERPRISE_USER.lower()})


class Expressed(msgspec.Struct, frozen=True):
    """What a body says, its names resolved and its values checked; null says nothing."""

    attributes: dict[str, Any]
    """SCIM's own attributes, by their names in the table, in canonical form."""
    extensions: dict[str, dict[str, Any]]
    """SCIM's extensions by their URN, CPQ's excepted."""
    homed: dict[str, Any]
    """Native fields of ``HOMES`` that were sent, by their names there: what they mean for their attribute, None for empty."""
    kept: dict[str, Any]
    """The native fields for CPQ's extension, by their names as they were sent."""
    password: str | msgspec.UnsetType


def read(body: bytes) -> Expressed:
    """Return what the body says.

    Raises InvalidSyntax for what is no JSON object, Violations for what is not of its documented shape or says two
    things at once, InvalidValue for an attribute's value that is not of its type.
    """
    sent = decode_json(body)
    if not isinstance(sent, dict):
        raise InvalidSyntax("The body must be a JSON object.")
    check_json(sent, "The body")
    is_native = _TELLS_THE_SHAPE.isdisjoint(name.lower() for name in sent)
    attributes: dict[str, Any] = {}
    extensions: dict[str, dict[str, Any]] = {}
    native: dict[str, Any] = {}
    inside: list[dict[str, Any]] = []
    for name, value in _without_nulls(sent).items():
        folded = name.lower()
        if folded in _EXTENSION_USER:  # in a native body too, or a password in it would be kept in clear
            inside.append(_object(name, value))
        elif is_native:
            native[name] = value
        elif folded in _ENTERPRISE_USER:
            _add_extension(extensions, urns.ENTERPRISE_USER, value)
        elif is_extension_name(name, USER):
            _add_extension(extensions, name, value)
        elif _is_native(folded, value):
            native[name] = value
        else:
            _add_attribute(attributes, folded, value)
    for fields in inside:
        _add_fields(native, fields)
    return _expressed(attributes, extensions, native, is_native=is_native)


def _is_native(folded: str, value: object) -> bool:
    """Tell whether a member of the answer's shape is a native field: what SCIM has no attribute for.

    ``groups`` and ``timeZone`` are names of both: an object is CPQ's, for SCIM has an array and a string.
    """
    return USER.attribute(folded) is None or (folded in SHAPES and isinstance(value, dict))


def _add_attribute(attributes: dict[str, Any], folded: str, value: object) -> None:
    attribute = USER.attribute(folded)
    if attribute is not None and attribute.mutability != "readOnly":
        canonical = _conformed(folded, value, attribute.name)
        # What is listed is this server's to say: the extensions that the user then has.
        if canonical is not None and attribute.name != "schemas":
            attributes[attribute.name] = canonical


def _add_extension(extensions: dict[str, dict[str, Any]], urn: str, value: object) -> None:
    urn, canonical = conform_extension(urn, value, USER, DEFAULT_RULES)
    if urn in extensions:
        raise Violations((f"{shown(urn)} is there twice, under two names; send one.",))
    if canonical is not None:
        extensions[urn] = canonical


def _add_fields(native: dict[str, Any], fields: dict[str, Any]) -> None:
    taken = {name.lower() for name in native}
    twice = [name for name in fields if name.lower() in taken]
    if twice:
        raise Violations(
            tuple(f"{shown(name)} is there twice, in extensionUser and beside it; send one." for name in twice[:MOST])
        )
    native |= fields


def _object(name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Violations((f"{shown(name)} must be an object.",))
    return _without_nulls(value)


def _without_nulls(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _expressed(
    attributes: dict[str, Any], extensions: dict[str, dict[str, Any]], native: dict[str, Any], *, is_native: bool
) -> Expressed:
    check(native, Members({name: SHAPES[name.lower()] for name in native if name.lower() in SHAPES}))
    spelled = {name.lower(): name for name in native}
    password = attributes.pop("password", msgspec.UNSET)
    if "password" in spelled:
        password = _conformed("password", native.pop(spelled["password"]), "password")
    # An empty one comes of a form that nobody filled in; it must not become the user's password.
    password = password or msgspec.UNSET
    homed: dict[str, Any] = {}
    for name, home in HOMES.items():
        sent = spelled.get(name.lower())
        instead = None if home.fallback is None else spelled.get(home.fallback.lower())
        if sent is not None:
            homed[name] = _meaning(name, home, native[sent])
            if not home.coded or not says_more(name, native[sent], homed[name]):
                del native[sent]
        elif is_native and instead is not None:
            homed[name] = native[instead] or None
    _check_agreement(attributes, homed)
    return Expressed(attributes, extensions, homed, without_views(native), password)


def _meaning(name: str, home: Home, field: Any) -> Any | None:
    """Return what a field of the right shape means for its home, None where it is empty."""
    if home.coded:
        value = coded_value(name, field)
        return home.default if value is None else value
    # What cannot be cleared may not be empty either.
    return _conformed(home.path, field, name) if home.cleared is None else field or None


def _conformed(path: str, value: object, where: str) -> Any | None:
    attribute = USER.attribute(path)
    return None if attribute is None else conform_attribute(attribute, value, DEFAULT_RULES, where)


def _check_agreement(attributes: dict[str, Any], homed: dict[str, Any]) -> None:
    """Raise Violations where a native field and the attribute that is its home are both there and differ."""
    differing = []
    for name, value in homed.items():
        there = home_value(HOMES[name], attributes)
        if there is not None and there != value:
            differing.append(f"{name} and {HOMES[name].path} say different things; send one, or both alike.")
    if differing:
        raise Violations(tuple(differing))
