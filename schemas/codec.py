"""JSON in and out: bodies to values, users to canonical resources by the shortest safe way, values to bytes."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from schemas import urns
from schemas.errors import InvalidSyntax, InvalidValue
from schemas.formats import check_string, has_limits
from schemas.json_values import check_json
from schemas.resource_types import USER, USER_SCHEMA
from schemas.resources import MAX_VALUES, Resource
from schemas.rules import Rules
from schemas.users import User
from schemas.validation import check_primary, conform, conform_schemas, distinct

_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder()
_USER_DECODER: Final = msgspec.json.Decoder(User)

# How JSON can write the characters that check_text refuses: escaped, or raw (JSON itself refuses raw ones below space).
_ESCAPED_CONTROL: Final = re.compile(rb"\\(?:[bf]|u00(?:[0189]|7[fF]))")
_RAW_C1: Final = re.compile(rb"\xc2[\x80-\x9f]")

_ATTRIBUTES: Final = (*USER.common, *USER_SCHEMA.attributes)
_READ_ONLY: Final = tuple(attribute.name for attribute in _ATTRIBUTES if attribute.mutability == "readOnly")
_CHECKED: Final = tuple(attribute for attribute in _ATTRIBUTES if has_limits(attribute))
_MULTI_VALUED: Final = tuple(
    attribute.name
    for attribute in USER_SCHEMA.attributes
    if attribute.multi_valued and attribute.name not in _READ_ONLY
)


def decode_json(body: bytes) -> object:
    """Return the decoded JSON of a body; of an exact duplicate of a name the last wins.

    Raises InvalidSyntax for an empty body, malformed JSON, invalid UTF-8, and nesting or numbers beyond all measure.
    """
    if not body:
        raise InvalidSyntax("The body is empty; it must be a JSON object.")
    try:
        return _DECODER.decode(body)
    except UnicodeDecodeError:
        raise InvalidSyntax("The body is not UTF-8.") from None
    except RecursionError:
        raise InvalidSyntax("The body is nested too deeply.") from None
    except msgspec.DecodeError:
        # Without msgspec's own words: they may hold a piece of the body.
        raise InvalidSyntax("The body is not well-formed JSON.") from None


def encode(value: object) -> bytes:
    """Return the value, made of JSON's types or of structs, as compact JSON in UTF-8."""
    return _ENCODER.encode(value)


def decode_user(body: bytes, rules: Rules) -> Resource:
    """Return the canonical user of a POST or PUT body: what ``conform`` makes of it, at a fifth of the price.

    A body that has exactly the table's names and types is decoded strictly, and only what no type can say is checked
    afterwards; its order is the table's. Any other body takes the long way. Raises as ``decode_json`` and ``conform`` do.
    """
    if not rules.strict_formats and _has_plain_text(body):
        try:
            user = _USER_DECODER.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass  # The long way finds out whether a tenant tolerates it, and says what is wrong.
        else:
            return _settle(msgspec.to_builtins(user), rules)
    return conform(decode_json(body), USER, rules)


def _has_plain_text(body: bytes) -> bool:
    """Tell whether no string in the body can hold a control character; False may be a false alarm."""
    if b"\x7f" in body or (b"\\" in body and _ESCAPED_CONTROL.search(body)):
        return False
    return body.isascii() or _RAW_C1.search(body) is None


def _settle(resource: Resource, rules: Rules) -> Resource:
    """Do with a strictly decoded user what its types could not: the rest of ``conform``."""
    for name in _READ_ONLY:
        if name in resource:
            check_json(resource.pop(name), name, depth=2)
    for attribute in _CHECKED:
        if attribute.name in resource:
            check_string(attribute, resource[attribute.name], attribute.name)
    for name in _MULTI_VALUED:
        if name in resource:
            elements = _settle_elements(resource[name], name)
            if elements:
                resource[name] = elements
            else:
                del resource[name]
    if resource.get("name") == {}:
        del resource["name"]
    if urns.ENTERPRISE_USER in resource:
        _settle_enterprise_user(resource, rules)
    resource["schemas"] = conform_schemas(resource["schemas"], resource, USER, rules)
    return resource


def _settle_elements(elements: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    if len(elements) > MAX_VALUES:
        raise InvalidValue(f"{name} has more than {MAX_VALUES} values.")
    if not all(elements):
        elements = [element for element in elements if element]
    if len(elements) > 1:
        elements = distinct(elements)
        check_primary(elements, name)
    return elements


def _settle_enterprise_user(resource: Resource, rules: Rules) -> None:
    extension = resource[urns.ENTERPRISE_USER]
    manager = extension.get("manager")
    if manager is not None:
        check_json(manager.pop("displayName", None), f"{urns.ENTERPRISE_USER}:manager.displayName", depth=4)
        if rules.complex_from_string and manager.get("value") == "":
            del manager["value"]  # "" stands for none
        if not manager:
            del extension["manager"]
    if not extension:
        del resource[urns.ENTERPRISE_USER]
