"""Which attributes of a resource an answer carries: ``attributes`` and ``excludedAttributes`` (RFC 7644 section 3.9)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from schemas.attributes import ResourceType, Schema
from schemas.errors import InvalidValue

MAX_NAMES: Final = 200

Tree = dict[str, dict[str, Any] | None]
"""Names in lower case, each with a Tree of what is meant below it, or with None for all of it."""


class Projection(msgspec.Struct, frozen=True):
    """What to keep of a resource, or what to leave out."""

    keeps: bool
    """True for ``attributes``: the tree names what stays; False for ``excludedAttributes``: what goes."""
    tree: Tree
    """Core attributes by name, extension attributes below their URN."""
    opaque: tuple[str, ...]
    """Names in lower case that begin with a URN without a schema: only a resource tells where such a URN ends. Sorted."""
    always: frozenset[str]
    """Attributes that every answer carries (returned ``always``, RFC 7643 section 2.2)."""

    def apply(self, resource: dict[str, Any]) -> dict[str, Any]:
        """Return a new dict of what the caller asked for, in the order it had; values may be shared with ``resource``.

        Takes a resource as it is rendered, with ``meta``. What is left empty goes too.
        """
        projected: dict[str, Any] = {}
        for name, value in resource.items():
            kept = value if name in self.always else self._project(name.lower(), value)
            if kept is not None:
                projected[name] = kept
        return projected

    def _project(self, name: str, value: Any) -> Any | None:
        if name in self.tree:
            below = self.tree[name]
        elif self.opaque and ":" in name and (named := self._named_below(name)):
            below = None if "" in named else named
        else:
            return None if self.keeps else value
        return _only(value, below) if self.keeps else _without(value, below)

    def _named_below(self, urn: str) -> Tree:
        """Return what the opaque names mean in an extension of that URN; the name ``""`` is the extension itself."""
        tree: Tree = {}
        place = bisect_left(self.opaque, urn)
        if self.opaque[place : place + 1] == (urn,):
            tree[""] = None
        # Not all names for every URN: a page may have 10,000 URNs a resource, and the query 200 names.
        prefix = f"{urn}:"
        for name in self.opaque[bisect_left(self.opaque, prefix) :]:
            if not name.startswith(prefix):
                break
            _add(tree, *_split(name[len(prefix) :]))
        return tree


def parse_projection(
    attributes: str | Sequence[str] | None, excluded: str | Sequence[str] | None, resource_type: ResourceType
) -> Projection | None:
    """Return the projection that a request asks for, or None when it asks for the default set.

    Both parameters are comma-separated names (a query) or lists of names (a SearchRequest), in any case, qualified by a
    URN or not; a bare URN means all of its schema. Names that nothing defines mean nothing; the filter in
    ``emails[type eq "work"].value`` is left out of account, for some clients send it though the RFC has no such form.
    Raises InvalidValue when both are given or one has more than MAX_NAMES names.
    """
    wanted, unwanted = _names(attributes, "attributes"), _names(excluded, "excludedAttributes")
    if wanted and unwanted:
        raise InvalidValue("attributes and excludedAttributes exclude each other; send one of them.")
    names = wanted or unwanted
    if not names:
        return None
    tree: Tree = {}
    unresolved = [name for name in names if not _resolve(name, resource_type, tree)]
    opaque = tuple(sorted({name for name in unresolved if ":" in name}))
    known = (*resource_type.common, *resource_type.schema.attributes)
    always = frozenset(attribute.name for attribute in known if attribute.returned == "always")
    return Projection(keeps=bool(wanted), tree=tree, opaque=opaque, always=always)


def _names(sent: str | Sequence[str] | None, parameter: str) -> list[str]:
    """Return the names in lower case, without blanks and filters."""
    texts = (sent,) if isinstance(sent, str) else sent or ()
    names = [name for text in texts for part in _without_filters(text).split(",") if (name := part.strip().lower())]
    if len(names) > MAX_NAMES:
        raise InvalidValue(f"{parameter} has more than {MAX_NAMES} names.")
    return names


def _without_filters(text: str) -> str:
    return "".join(_outside_brackets(text)) if "[" in text else text


def _outside_brackets(text: str) -> Iterator[str]:
    """Yield the characters outside ``[…]``; a bracket or comma inside a quoted string of a filter is none."""
    inside = quoted = escaped = False
    for character in text:
        if not inside:
            inside = character == "["
            if not inside:
                yield character
        elif quoted:
            quoted = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            quoted = True
        elif character == "]":
            inside = False


def _resolve(name: str, resource_type: ResourceType, tree: Tree) -> bool:
    """Add what the name means to the tree; return False when no schema of the type knows it."""
    if ":" not in name:
        return _add_known(tree, resource_type, name)
    core = resource_type.schema.urn.lower()
    if name == core:
        tree.update({attribute.name.lower(): None for attribute in resource_type.schema.attributes})
        return True
    if name.startswith(f"{core}:"):
        return _add_known(tree, resource_type, name[len(core) + 1 :])
    return any(_resolve_extension(name, schema, tree) for schema in resource_type.extensions)


def _resolve_extension(name: str, schema: Schema, tree: Tree) -> bool:
    urn = schema.urn.lower()
    if name == urn:
        tree[urn] = None
        return True
    if not name.startswith(f"{urn}:"):
        return False
    below = tree.get(urn, {})
    known = below is not None and _add_known(below, schema, name[len(urn) + 1 :])
    if known:
        tree[urn] = below
    return known


def _add_known(tree: Tree, owner: ResourceType | Schema, path: str) -> bool:
    name, sub = _split(path)
    attribute = owner.attribute(name)
    if attribute is None or (sub is not None and attribute.sub(sub) is None):
        return False
    _add(tree, name, sub)
    return True


def _split(path: str) -> tuple[str, str | None]:
    name, dot, sub = path.partition(".")
    return name, sub if dot else None


def _add(tree: Tree, name: str, sub: str | None) -> None:
    """Add a name or sub-attribute; the whole of an attribute outweighs parts of it, in either order."""
    if sub is None:
        tree[name] = None
    elif (below := tree.setdefault(name, {})) is not None:
        below[sub] = None


def _only(value: Any, below: Tree | None) -> Any | None:
    """Return what the tree names of the value, None when that is nothing."""
    if below is None:
        return value
    if isinstance(value, list):
        return [kept for item in value if (kept := _only(item, below)) is not None] or None
    if isinstance(value, dict):
        return {
            name: kept
            for name, item in value.items()
            if (folded := name.lower()) in below and (kept := _only(item, below[folded])) is not None
        } or None
    return None


def _without(value: Any, below: Tree | None) -> Any | None:
    """Return the value without what the tree names, None when nothing is left."""
    if below is None:
        return None
    if isinstance(value, list):
        return [kept for item in value if (kept := _without(item, below)) is not None] or None
    if not isinstance(value, dict):
        return value
    remaining: dict[str, Any] = {}
    for name, item in value.items():
        folded = name.lower()
        kept = _without(item, below[folded]) if folded in below else item
        if kept is not None:
            remaining[name] = kept
    return remaining or None
