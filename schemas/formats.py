"""The simple types of RFC 7643 section 2.3, and the formats that are checked only where a tenant wants it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Final

from schemas.attributes import Attribute, Type
from schemas.errors import InvalidValue
from schemas.resources import MAX_NAME_BYTES
from schemas.rules import Rules

_DATE_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)T(?:(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?|24:00:00(?:\.0+)?)"
    r"(?:Z|[+-](?:(?:0\d|1[0-3]):[0-5]\d|14:00))?",
    re.ASCII,
)
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}", re.ASCII)
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`]+", re.ASCII)
_RELATIVE = re.compile(r"[^\s<>\"{}|\\^`]+", re.ASCII)
_COUNTRY = re.compile(r"[A-Za-z]{2}", re.ASCII)
_KEYS: Final = frozenset({"userName", "externalId"})
_BOOLEANS: Final = {"true": True, "false": False}


def conform_simple(attribute: Attribute, value: object, rules: Rules, where: str) -> object:
    """Return one value of an attribute that is not complex, in canonical form.

    Raises InvalidValue, naming ``where``, when the value is not of the attribute's type (RFC 7643 section 2.3), when a
    required string is blank, when a key of an index is too long, or when a format is wrong and the tenant is strict.
    """
    value = _TYPES[attribute.type](value, rules, where)
    if isinstance(value, str):
        check_string(attribute, value, where)
        if rules.strict_formats:
            _check_format(attribute, value, where)
    return value


def check_string(attribute: Attribute, value: str, where: str) -> None:
    """Raise InvalidValue for a required string that is blank and for an index's key of more than MAX_NAME_BYTES."""
    if attribute.required and not value.strip():
        raise InvalidValue(f"{where} must not be blank.")
    if attribute.name in _KEYS and len(value.encode()) > MAX_NAME_BYTES:
        raise InvalidValue(f"{where} is longer than {MAX_NAME_BYTES} bytes.")


def has_limits(attribute: Attribute) -> bool:
    """Tell whether check_string could refuse a value of the attribute."""
    return attribute.name in _KEYS or (attribute.required and attribute.type == "string")


def is_date_time(text: str) -> bool:
    """Tell whether the text is an xsd:dateTime (RFC 7643 section 2.3.5) of the years 0001 to 9999."""
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        return False
    try:
        date.fromisoformat(match[1])
    except ValueError:
        return False
    return True


def _string(value: object, _rules: Rules, where: str) -> str:
    if not isinstance(value, str):
        raise InvalidValue(f"{where} must be a string.")
    return value


def _boolean(value: object, rules: Rules, where: str) -> bool:
    if rules.string_booleans and isinstance(value, str):
        value = _BOOLEANS.get(value.lower())
    if not isinstance(value, bool):
        raise InvalidValue(f"{where} must be true or false.")
    return value


def _integer(value: object, _rules: Rules, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidValue(f"{where} must be an integer, without fraction or exponent.")
    return value


def _decimal(value: object, _rules: Rules, where: str) -> int | float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise InvalidValue(f"{where} must be a number.")
    return value


def _date_time(value: object, _rules: Rules, where: str) -> str:
    if not isinstance(value, str) or not is_date_time(value):
        raise InvalidValue(f"{where} must be a dateTime, such as 2008-01-23T04:56:22Z.")
    return value


def _any(value: object, _rules: Rules, _where: str) -> object:
    return value


_TYPES: Final[dict[Type, Callable[[object, Rules, str], object]]] = {
    "string": _string,
    "boolean": _boolean,
    "decimal": _decimal,
    "integer": _integer,
    "dateTime": _date_time,
    "binary": _string,
    "reference": _string,
    "any": _any,
}


def _check_format(attribute: Attribute, value: str, where: str) -> None:
    if attribute.type == "binary":
        # Padding may be omitted (RFC 7643 section 2.3.6), but no count of six-bit groups ends in a single one.
        if _BASE64.fullmatch(value) is None or len(value.rstrip("=")) % 4 == 1:
            raise InvalidValue(f"{where} must be base64.")
    elif attribute.type == "reference":
        # A reference to a resource may be relative to the base URI, an external one may not (section 2.3.7).
        form = _ABSOLUTE if {"external", "uri"}.intersection(attribute.reference_types) else _RELATIVE
        if form.fullmatch(value) is None:
            raise InvalidValue(f"{where} must be a URI.")
    elif attribute.name == "country" and _COUNTRY.fullmatch(value) is None:
        raise InvalidValue(f"{where} must be a country code of two letters (ISO 3166-1 alpha-2).")
