"""Paths of PATCH operations (RFC 7644 section 3.5.2): ``attribute``, ``attribute[filter]``, either with a sub-attribute."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from schemas.attributes import Attribute, ResourceType
from schemas.errors import InvalidPath, Mutability
from schemas.filters import Filter, filter_text, parse_brackets
from schemas.notation import MAX_NOTATION, Reference, is_name, read_reference, sub_attribute


class Path(msgspec.Struct, frozen=True):
    """Where a PATCH operation applies."""

    urn: str | None
    """The URN of an extension in the table's spelling, or of an unknown one as written; None for core attributes."""
    attribute: Attribute | None
    """None when the path is a known extension as a whole; of type ``any`` under an unknown URN."""
    filter: Filter | None = None
    sub: Attribute | None = None

    @property
    def name(self) -> str:
        """The notation without the filter, for the details of errors."""
        if self.attribute is None:
            return self.urn or ""
        urn = "" if self.urn is None else f"{self.urn}:"
        return f"{urn}{self.attribute.name}" if self.sub is None else f"{urn}{self.attribute.name}.{self.sub.name}"

    @property
    def text(self) -> str:
        """The path in the table's spelling, which ``parse_path`` reads back."""
        if self.attribute is None or self.filter is None:
            return self.name
        urn = "" if self.urn is None else f"{self.urn}:"
        sub = "" if self.sub is None else f".{self.sub.name}"
        return f"{urn}{self.attribute.name}[{filter_text(self.filter)}]{sub}"


@lru_cache(maxsize=1024)
def parse_path(text: str, resource_type: ResourceType, *, bare_words: bool = False) -> Path:
    """Return the path that ``text`` states about resources of the type.

    ``bare_words``: strings in the filter may lack their quotes. Raises InvalidPath for what is malformed, too long or
    defined by no schema, InvalidFilter for what is wrong inside brackets (RFC 7644 section 3.12).
    """
    if len(text) > MAX_NOTATION:
        raise InvalidPath(f"The path is longer than {MAX_NOTATION} bytes.")
    notation, bracket, _ = text.partition("[")
    reference = read_reference(notation, resource_type)
    if reference is None:
        raise InvalidPath("The path is malformed; it is an attribute, attribute.sub-attribute or attribute[filter].")
    if not reference.name:
        if bracket:
            raise InvalidPath("Brackets follow an attribute; the path has an extension before them.")
        return Path(reference.urn, None)
    attribute = _defined(reference)
    if not bracket:
        return Path(reference.urn, attribute, None, reference.sub)
    if reference.sub is not None or not (attribute.multi_valued or attribute.type == "any"):
        raise InvalidPath("Brackets follow a multi-valued attribute; the path has another before them.")
    found, end = parse_brackets(text, len(notation), resource_type, attribute, bare_words=bare_words)
    return Path(reference.urn, attribute, found, _after_brackets(attribute, text[end:]))


def check_writable(path: Path, op: str) -> None:
    """Raise Mutability where no state of the resource could allow the operation (L8, L9).

    That is every operation on what is readOnly, and the removal of what is required.
    """
    for attribute in (path.attribute, path.sub):
        if attribute is not None and attribute.mutability == "readOnly":
            raise Mutability(f"{path.name} is readOnly.")
    if op == "remove" and is_required(path):
        raise Mutability(f"{path.name} is required and cannot be removed.")


def is_required(path: Path) -> bool:
    """Tell whether the path names all of a required attribute, or a required sub-attribute."""
    if path.sub is not None:
        return path.sub.required
    return path.attribute is not None and path.attribute.required and path.filter is None


def _defined(reference: Reference) -> Attribute:
    if reference.attribute is None or (reference.sub_name is not None and reference.sub is None):
        raise InvalidPath("No schema of this resource type defines the attribute that the path names.")
    return reference.attribute


def _after_brackets(attribute: Attribute, rest: str) -> Attribute | None:
    if not rest:
        return None
    if rest[0] != "." or not is_name(rest[1:]):
        raise InvalidPath("The path goes on behind its brackets with something else than a sub-attribute.")
    sub = sub_attribute(attribute, rest[1:])
    if sub is None:
        raise InvalidPath("No schema of this resource type defines the sub-attribute that the path names.")
    return sub
