"""What every JSON value of a client must satisfy before anybody asks what it means."""

from __future__ import annotations

import math
import re

from schemas.errors import InvalidSyntax, InvalidValue
from schemas.resources import MAX_DEPTH

_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
# RFC 7643 section 2.1 (ATTRNAME): what looks like a name may be repeated to the client, the rest may be anything.
_NAME = re.compile(r"[A-Za-z$][A-Za-z0-9_$-]{0,63}|(?:urn|https?):[A-Za-z0-9:._/-]{1,190}", re.ASCII)


def shown(name: str) -> str:
    """Return a name out of a request for an error's detail, or ``an attribute`` when it does not look like a name."""
    return name if _NAME.fullmatch(name) else "an attribute"


def check_text(text: str, where: str) -> None:
    """Raise InvalidValue for control characters other than tab and line ends, and for lone surrogates."""
    if not text.isprintable() and _FORBIDDEN.search(text):
        raise InvalidValue(f"{where} holds a control character or half a character; only tab and line ends may stay.")


def check_json(value: object, where: str, depth: int = 1, *, cased: bool = False) -> None:
    """Check decoded JSON at every level: nesting, names, characters, numbers.

    ``where`` names the attribute for the detail; ``depth`` is the level of ``value`` in the body, itself level 1. Names
    that differ only in case are two names where ``cased``, as in JSON itself.
    Raises InvalidSyntax for more than MAX_DEPTH levels and for names that differ only in case (RFC 7643 section 2.1
    makes them one name), InvalidValue for characters and numbers that JSON cannot carry on.
    """
    if isinstance(value, str):
        check_text(value, where)
    elif isinstance(value, dict):
        _check_depth(where, depth)
        if not cased and len({name.lower() for name in value}) != len(value):
            raise InvalidSyntax(f"{where} has two names that differ only in case; send one.")
        for name, item in value.items():
            if not name.isprintable():
                check_text(name, f"A name in {where}")
            # Most values are clean strings and all bodies pass here: nothing is called, nothing is named for those.
            if not isinstance(item, str) or not item.isprintable():
                check_json(item, shown(name) if depth == 1 else where, depth + 1, cased=cased)
    elif isinstance(value, list):
        _check_depth(where, depth)
        for item in value:
            check_json(item, where, depth + 1, cased=cased)
    elif isinstance(value, float) and not math.isfinite(value):
        raise InvalidValue(f"{where} holds a number that JSON cannot write.")


def _check_depth(where: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise InvalidSyntax(f"{where} is nested too deeply; {MAX_DEPTH} levels are the limit.")
