"""The attribute characteristics of RFC 7643 section 2.2 as values, and case-insensitive look-up by name."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Type = Literal["string", "boolean", "decimal", "integer", "dateTime", "binary", "reference", "complex", "any"]
"""RFC 7643 section 2.3; ``any`` is ours: JSON kept as sent, in extensions this server has no schema for."""
Mutability = Literal["readOnly", "readWrite", "immutable", "writeOnly"]
Returned = Literal["always", "never", "default", "request"]
Uniqueness = Literal["none", "server", "global"]


@dataclass(frozen=True, kw_only=True, eq=False)  # by identity: a key of caches
class Attribute:
    """One attribute or sub-attribute and its characteristics (RFC 7643 section 7)."""

    name: str
    type: Type = "string"
    multi_valued: bool = False
    description: str = ""
    required: bool = False
    case_exact: bool = False
    mutability: Mutability = "readWrite"
    returned: Returned = "default"
    uniqueness: Uniqueness = "none"
    canonical_values: tuple[str, ...] = ()
    reference_types: tuple[str, ...] = ()
    sub_attributes: tuple[Attribute, ...] = ()

    @cached_property
    def _by_name(self) -> dict[str, Attribute]:
        return {sub.name.lower(): sub for sub in self.sub_attributes}

    def sub(self, name: str) -> Attribute | None:
        """Return the sub-attribute of that name in any case (RFC 7643 section 2.1), or None."""
        return self._by_name.get(name.lower())


@dataclass(frozen=True, kw_only=True, eq=False)  # by identity: a key of caches
class Schema:
    """A schema: its URN and the attributes it defines (RFC 7643 section 7)."""

    urn: str
    name: str
    description: str
    attributes: tuple[Attribute, ...]

    @cached_property
    def _by_name(self) -> dict[str, Attribute]:
        return {attribute.name.lower(): attribute for attribute in self.attributes}

    @cached_property
    def checked(self) -> tuple[Attribute, ...]:
        """The attributes that a whole resource is checked for: required ones, and those with a primary value."""
        return tuple(filter(_is_checked, self.attributes))

    def attribute(self, name: str) -> Attribute | None:
        """Return the attribute of that name in any case, or None."""
        return self._by_name.get(name.lower())


@dataclass(frozen=True, kw_only=True, eq=False)  # by identity: a key of caches
class ResourceType:
    """A resource type: its endpoint, its schema and the extensions it may carry (RFC 7643 section 6)."""

    name: str
    endpoint: str
    description: str
    schema: Schema
    extensions: tuple[Schema, ...] = ()
    common: tuple[Attribute, ...] = ()
    """``schemas``, ``id``, ``externalId`` and ``meta``, which every resource has and no schema lists (RFC 7643 section 3.1)."""

    @cached_property
    def checked(self) -> tuple[Attribute, ...]:
        """The same of the common attributes and the type's own schema (``Schema.checked``)."""
        return (*filter(_is_checked, self.common), *self.schema.checked)

    @cached_property
    def urns(self) -> list[str]:
        """The URNs of its schema and of all its extensions: what ``schemas`` lists of most resources."""
        return [schema.urn for schema in (self.schema, *self.extensions)]

    @cached_property
    def _core(self) -> dict[str, Attribute]:
        return {attribute.name.lower(): attribute for attribute in (*self.common, *self.schema.attributes)}

    @cached_property
    def _extensions(self) -> dict[str, Schema]:
        return {schema.urn.lower(): schema for schema in self.extensions}

    def attribute(self, name: str) -> Attribute | None:
        """Return the core or common attribute of that name in any case, or None."""
        return self._core.get(name.lower())

    def extension(self, urn: str) -> Schema | None:
        """Return the extension of that URN in any case, or None."""
        return self._extensions.get(urn.lower())

    def is_core(self, urn: str) -> bool:
        """Tell whether the URN, in any case, is that of this type's own schema."""
        return urn.lower() == self.schema.urn.lower()


def _is_checked(attribute: Attribute) -> bool:
    return attribute.required or (attribute.multi_valued and attribute.type == "complex")
