"""``remove`` with the elements to remove as its value, as value paths: what Entra ID and authentik send, in RFC 7644's words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from schemas.attributes import Attribute
from schemas.errors import InvalidValue
from schemas.filters import MAX_TERMS
from schemas.notation import MAX_NOTATION, is_name
from schemas.resources import MAX_VALUES
from schemas.rules import Rules
from schemas.validation import conform_element

_OR: Final = " or "


def selecting_paths(name: str, attribute: Attribute, value: object, rules: Rules) -> Iterator[str]:
    """Return the paths, as few as the limits on filters allow, that select what ``value`` names in the attribute.

    ``name`` is the attribute's notation. An element is named by its ``value``, and by its ``type`` unless the value
    alone identifies it (it is immutable, as in members); without a ``value``, by all that is given. Raises InvalidValue
    for what is no element and for what a path cannot hold.
    """
    selectors = value if isinstance(value, list) else [value]
    if len(selectors) > MAX_VALUES:
        raise InvalidValue(f"{name} has more than {MAX_VALUES} values.")
    found: dict[str, int] = {}
    for selector in selectors:
        members = _members(name, attribute, selector, rules)
        if members:
            found[" and ".join(f"{key} eq {_json(item)}" for key, item in members.items())] = len(members)
    room = MAX_NOTATION - len(name.encode()) - len("[]")
    if any(terms > MAX_TERMS or len(text.encode()) > room for text, terms in found.items()):
        raise InvalidValue(f"A value to remove from {name} is too long to select by.")
    return (f"{name}[{_OR.join(texts)}]" for texts in _chunks(found, room))


def _members(name: str, attribute: Attribute, selector: object, rules: Rules) -> dict[str, Any]:
    """Return the sub-attributes by which the selector names an element, none when it names none."""
    if isinstance(selector, str) and attribute.sub("value") is not None:
        selector = {"value": selector or None}
    element = conform_element(attribute, selector, rules, name)
    if element is None:
        return {}
    if not isinstance(element, dict):
        element = {"value": element}
    if "value" in element:
        identity = attribute.sub("value")
        immutable = identity is not None and identity.mutability == "immutable"
        keys: Iterable[str] = ("value",) if immutable else ("value", "type")
        element = {key: element[key] for key in keys if key in element}
    if not all(is_name(key) and not isinstance(item, dict | list) for key, item in element.items()):
        raise InvalidValue(f"A value to remove from {name} must be named by simple sub-attributes.")
    return element


def _chunks(found: dict[str, int], room: int) -> Iterator[list[str]]:
    """Yield the texts in groups that one filter can hold: MAX_TERMS, and ``room`` bytes once joined."""
    chunk: list[str] = []
    terms = size = 0
    for text, count in found.items():
        length = len(text.encode()) + len(_OR)
        if chunk and (terms + count > MAX_TERMS or size + length - len(_OR) > room):
            yield chunk
            chunk, terms, size = [], 0, 0
        chunk.append(text)
        terms += count
        size += length
    if chunk:
        yield chunk


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
