"""What a replace leaves alone: attributes that its body could not or did not mean to express."""

from __future__ import annotations

from typing import Any

from schemas.attributes import ResourceType
from schemas.errors import InvalidPath
from schemas.paths import parse_path


def check_preserved(path: str, resource_type: ResourceType) -> None:
    """Raise InvalidPath or InvalidFilter for a path that ``keep`` cannot keep anything under."""
    found = parse_path(path, resource_type)
    of_many = found.sub is not None and found.attribute is not None and found.attribute.multi_valued
    if found.filter is not None or of_many:
        raise InvalidPath("A replace leaves whole attributes alone, or sub-attributes of those with a single value.")


def keep(
    paths: tuple[str, ...], stored: dict[str, Any], doc: dict[str, Any], resource_type: ResourceType
) -> dict[str, Any]:
    """Return ``doc`` with the values that ``stored`` has under ``paths`` wherever ``doc`` has none.

    A path is an attribute, ``attribute.sub`` of a single-valued complex attribute, either behind its extension's URN,
    or an extension's URN alone, as in a PATCH (RFC 7644 section 3.5.2) but without a filter. An extension that comes
    into use so is named in ``schemas``.
    """
    kept = dict(doc)
    for text in paths:
        path = parse_path(text, resource_type)
        attribute = None if path.attribute is None else path.attribute.name
        names = (path.urn, attribute, None if path.sub is None else path.sub.name)
        steps = tuple(name for name in names if name is not None)
        kept = _copy(steps, stored, kept)
        if path.urn is not None and path.urn in kept and path.urn not in kept["schemas"]:
            kept["schemas"] = [*kept["schemas"], path.urn]
    return kept


def keep_extensions(stored: dict[str, Any], doc: dict[str, Any]) -> dict[str, Any]:
    """Return ``doc`` with every extension that ``stored`` has and ``doc`` lacks, each named in ``schemas``.

    ``schemas`` begins as it is stored, also with what it lists in advance: who knows no extensions did not order them.
    """
    kept = {name: value for name, value in stored.items() if ":" in name and name not in doc}
    return {**doc, "schemas": list(dict.fromkeys([*stored["schemas"], *doc["schemas"], *kept])), **kept}


def _copy(steps: tuple[str, ...], source: dict[str, Any], target: dict[str, Any]) -> dict[str, Any]:
    """Return ``target`` with what ``source`` has at the end of ``steps``, where ``target`` has nothing there."""
    step, rest = steps[0], steps[1:]
    if step not in source:
        return target
    if step not in target:
        value = source[step]
        if not rest:
            return {**target, step: value}
        inner = _copy(rest, value, {}) if isinstance(value, dict) else {}
        return {**target, step: inner} if inner else target
    if rest and isinstance(source[step], dict) and isinstance(target[step], dict):
        return {**target, step: _copy(rest, source[step], target[step])}
    return target
