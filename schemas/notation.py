"""The attribute notation ``[urn:]attribute[.sub-attribute]`` of RFC 7644 section 3.10, resolved against a resource type."""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from schemas.attributes import Attribute, ResourceType

MAX_NOTATION: Final = 4096
"""Bytes of a path or filter."""

_FIRST: Final = frozenset(string.ascii_letters + "$")
# "$" is no nameChar in the ABNF of RFC 7643 section 2.1, but "$ref" is an attribute.
_REST: Final = frozenset(string.ascii_letters + string.digits + "-_$")
_URN_PREFIXES: Final = ("urn:", "http:", "https:")


class Reference(msgspec.Struct, frozen=True):
    """What a notation names: spelled as in the table where the table has it, else as it was written."""

    urn: str | None
    """The URN of an extension, None for the resource type's own schema."""
    name: str
    """The attribute; empty for an extension as a whole."""
    sub_name: str | None = None
    attribute: Attribute | None = None
    """None when no schema defines it; of type ``any`` under a URN that the resource type does not know."""
    sub: Attribute | None = None


def read_reference(text: str, resource_type: ResourceType) -> Reference | None:
    """Return what ``text`` names, or None when it is malformed.

    URNs contain dots and colons: a known one ends where it ends in the table, an unknown one at the last colon.
    """
    split = _split(text, resource_type)
    if split is None:
        return None
    urn, local = split
    extension = None if urn is None else resource_type.extension(urn)
    if extension is not None and not local:
        return Reference(extension.urn, "")
    name, dot, sub_name = local.partition(".")
    if not is_name(name) or (dot and not is_name(sub_name)):
        return None
    if urn is None:
        attribute = resource_type.attribute(name)
    elif extension is None:
        attribute = Attribute(name=name, type="any")
    else:
        attribute = extension.attribute(name)
    sub = sub_attribute(attribute, sub_name) if dot else None
    return Reference(
        urn=urn,
        name=name if attribute is None else attribute.name,
        sub_name=(sub_name if sub is None else sub.name) if dot else None,
        attribute=attribute,
        sub=sub,
    )


def sub_attribute(attribute: Attribute | None, name: str) -> Attribute | None:
    """Return the sub-attribute of that name in any case; every name is one where the type is ``any``."""
    if attribute is None:
        return None
    return Attribute(name=name, type="any") if attribute.type == "any" else attribute.sub(name)


def is_name(text: str) -> bool:
    """Tell whether the text is an ATTRNAME (RFC 7643 section 2.1)."""
    return bool(text) and text[0] in _FIRST and _REST.issuperset(text)


def find_key(members: Mapping[str, Any], name: str) -> str | None:
    """Return the key of ``members`` that equals ``name`` in any case: the way into objects that no schema describes."""
    if name in members:
        return name
    folded = name.lower()
    return next((key for key in members if key.lower() == folded), None)


def _split(text: str, resource_type: ResourceType) -> tuple[str | None, str] | None:
    """Return the extension's URN and what follows it; None when the text can be no notation."""
    if ":" not in text:
        return None, text
    if not text.isascii() or not text.isprintable() or " " in text:
        return None
    folded = f"{text.lower()}:"
    for schema in (resource_type.schema, *resource_type.extensions):
        urn = schema.urn.lower()
        if folded.startswith(f"{urn}:"):
            return None if schema is resource_type.schema else schema.urn, text[len(urn) + 1 :]
        if folded.startswith(f"{urn}."):
            return None
    urn, _, local = text.rpartition(":")
    return (urn, local) if folded.startswith(_URN_PREFIXES) else None
