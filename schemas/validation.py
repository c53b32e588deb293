"""From the JSON that clients send to resources in canonical form, by the characteristics table (RFC 7643 section 2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from schemas.attributes import Attribute, ResourceType, Schema
from schemas.errors import InvalidSyntax, InvalidValue
from schemas.formats import conform_simple
from schemas.json_values import check_json, shown
from schemas.resources import MAX_VALUES, Resource
from schemas.rules import Rules

_PRIMARY: Final = frozenset({("primary", True), ("primary", False)})

_URN_PREFIXES = ("urn:", "http:", "https:")
_EVERY_URN_LISTED = Rules(strict_extensions=True)


def conform(body: object, resource_type: ResourceType, rules: Rules) -> Resource:
    """Return the body of a POST or PUT in canonical form, its order kept and ``schemas`` first.

    readOnly attributes are dropped, unassigned ones too (RFC 7643 section 2.5: null and ``[]``; ``{}`` likewise), and
    unknown ones unless the tenant refuses them. ``password`` stays: the caller takes it out.
    Raises InvalidSyntax for what is no object, nests too deeply or repeats a name in another case; InvalidValue, naming
    the attribute, for the rest.
    """
    if not isinstance(body, dict):
        raise InvalidSyntax("The body must be a JSON object.")
    check_json(body, "The body")
    resource: Resource = {"schemas": []}
    sent_schemas: object = None
    for name, value in body.items():
        attribute = resource_type.attribute(name)
        if attribute is None and is_extension_name(name, resource_type):
            urn, extension = _extension(name, value, resource_type, rules)
            if extension is not None:
                resource[urn] = extension
        elif attribute is not None and attribute.name == "schemas":
            sent_schemas = value
        else:
            _add_member(resource, attribute, value, rules, _path("", attribute, name))
    resource["schemas"] = conform_schemas(sent_schemas, resource, resource_type, rules)
    _check_members(resource, resource_type.checked, "")
    return resource


def conform_schemas(
    sent: object, resource: Mapping[str, object], resource_type: ResourceType, rules: Rules
) -> list[str]:
    """Return the ``schemas`` of a resource: known URNs in the table's spelling, unknown ones as sent, the order kept.

    The URN of an extension that ``resource`` has and ``sent`` lacks is added, or refused with ``strict_extensions``.
    Raises InvalidValue when ``sent`` is no array of strings, is empty, lacks the type's own URN, or repeats one in any
    case (RFC 7643 section 3: "Duplicate values MUST NOT be included").
    """
    known = resource_type.urns
    if sent == known and not [name for name in resource if ":" in name and name not in known]:
        return [*known]  # as almost every client sends it
    if sent is None or sent == []:
        raise InvalidValue(f"schemas is required; it lists at least {resource_type.schema.urn}.")
    if not isinstance(sent, list) or not all(isinstance(urn, str) and urn for urn in sent):
        raise InvalidValue("schemas must be an array of URNs.")
    listed = {urn.lower(): canonical_urn(urn, resource_type) for urn in sent}
    if len(listed) != len(sent):
        raise InvalidValue("schemas lists a URN twice.")
    if resource_type.schema.urn.lower() not in listed:
        raise InvalidValue(f"schemas must list {resource_type.schema.urn}.")
    for name in resource:
        if ":" in name and name.lower() not in listed:
            if rules.strict_extensions:
                raise InvalidValue(f"schemas must list {shown(name)}, whose attributes the resource has.")
            listed[name.lower()] = name
    if len(listed) > MAX_VALUES:
        raise InvalidValue(f"schemas has more than {MAX_VALUES} values.")
    return list(listed.values())


def canonical_urn(urn: str, resource_type: ResourceType) -> str:
    """Return the URN in the table's spelling if the type knows it in any case, else as it is."""
    if resource_type.is_core(urn):
        return resource_type.schema.urn
    extension = resource_type.extension(urn)
    return urn if extension is None else extension.urn


def is_extension_name(name: str, resource_type: ResourceType) -> bool:
    """Tell whether a name at the top of a resource is the URN of an extension, known or not.

    The type's own URN is none, nor is an attribute's name qualified by a known URN: in JSON, core attributes stand at
    the top and extension attributes inside their object (RFC 7643 section 3.3), so as names these are unknown.
    """
    folded = name.lower()
    if not folded.startswith(_URN_PREFIXES):
        return False
    if resource_type.extension(folded) is not None:
        return True
    known: tuple[Schema, ...] = (resource_type.schema, *resource_type.extensions)
    return not any(f"{folded}:".startswith(f"{schema.urn.lower()}:") for schema in known)


def conform_extension(
    urn: str, value: object, resource_type: ResourceType, rules: Rules
) -> tuple[str, dict[str, Any] | None]:
    """Return the canonical URN of an extension and its object, or None in its place when it is unassigned.

    A known extension is conformed by its schema; an unknown one is kept as it is once its nesting, names and characters
    are checked. Raises InvalidSyntax and InvalidValue as ``conform`` does.
    """
    check_json(value, shown(urn), depth=2)
    return _extension(urn, value, resource_type, rules)


def conform_attribute(attribute: Attribute, value: object, rules: Rules, where: str) -> Any | None:
    """Return the whole value of an attribute in canonical form, an array for a multi-valued one; None when unassigned.

    readOnly sub-attributes are dropped. ``where`` is the path that a refusal names. Raises as ``conform`` does.
    """
    check_json(value, where, depth=2)
    return _attribute(attribute, value, rules, where)


def conform_element(attribute: Attribute, value: object, rules: Rules, where: str) -> Any | None:
    """Return one element of a multi-valued attribute in canonical form, None when nothing is left of it."""
    check_json(value, where, depth=3)
    return _element(attribute, value, rules, where)


def check_complete(resource: Resource, resource_type: ResourceType) -> None:
    """Check what a PATCH can break: required attributes, at most one primary, and ``schemas`` that list what is there.

    Raises InvalidValue.
    """
    conform_schemas(resource.get("schemas"), resource, resource_type, _EVERY_URN_LISTED)
    _check_members(resource, resource_type.checked, "")
    for schema in resource_type.extensions:
        if schema.urn in resource:
            _check_members(resource[schema.urn], schema.checked, f"{schema.urn}:")


def check_primary(elements: Iterable[Mapping[str, object]], where: str) -> None:
    """Raise InvalidValue when more than one element is primary (RFC 7643 section 2.4)."""
    if sum(1 for element in elements if element.get("primary") is True) > 1:
        raise InvalidValue(f"{where} has more than one value with primary true.")


def distinct(elements: list[Any]) -> list[Any]:
    """Return the elements without repeats (RFC 7643 section 2.4), the first of each kept, in linear time.

    Two that differ in ``primary`` alone are one, which is the primary if either is.
    """
    if len(elements) < 2:
        return elements
    if isinstance(elements[0], dict) and len({element.get("value") for element in elements}) == len(elements):
        return elements  # as almost always, and found out in a tenth of the time
    kept: dict[object, Any] = {}
    for element in elements:
        same = identity(element)
        first = kept.setdefault(same, element)
        if first is not element and isinstance(element, dict) and element.get("primary") is True:
            kept[same] = {**first, "primary": True}
    return list(kept.values())


def identity(element: Any) -> object:
    """Return what two values of an attribute have in common when one repeats the other: all but ``primary``."""
    if not isinstance(element, dict):
        return element
    return frozenset(element.items()) - _PRIMARY if "primary" in element else frozenset(element.items())


def _extension(urn: str, value: object, resource_type: ResourceType, rules: Rules) -> tuple[str, dict[str, Any] | None]:
    schema = resource_type.extension(urn)
    canonical = urn if schema is None else schema.urn
    if _is_unassigned(value):
        return canonical, None
    if not isinstance(value, dict):
        raise InvalidValue(f"{shown(canonical)} must be an object.")
    if schema is None:
        return canonical, value
    members: dict[str, Any] = {}
    for name, item in value.items():
        attribute = schema.attribute(name)
        _add_member(members, attribute, item, rules, _path(f"{schema.urn}:", attribute, name))
    return canonical, members or None


def _attribute(attribute: Attribute, value: object, rules: Rules, where: str) -> Any | None:
    if _is_unassigned(value):
        return None
    if attribute.multi_valued:
        return _elements(attribute, value, rules, where)
    if attribute.type == "complex":
        if isinstance(value, str) and rules.complex_from_string and attribute.sub("value"):
            value = {"value": value}
        found = _complex(attribute, value, rules, where)
        if rules.complex_from_string and found is not None and found.get("value") == "":
            del found["value"]  # "" stands for none
        return found or None
    return conform_simple(attribute, value, rules, where)


def _elements(attribute: Attribute, value: object, rules: Rules, where: str) -> list[Any] | None:
    if rules.single_values and attribute.type == "complex" and isinstance(value, (dict, str)):
        value = [value]
    if not isinstance(value, list):
        raise InvalidValue(f"{where} must be an array.")
    if len(value) > MAX_VALUES:
        raise InvalidValue(f"{where} has more than {MAX_VALUES} values.")
    conformed = (_element(attribute, item, rules, where) for item in value)
    elements = [element for element in conformed if element is not None]
    if attribute.type != "any":
        elements = distinct(elements)
    if attribute.type == "complex":
        check_primary(elements, where)
    return elements or None


def _element(attribute: Attribute, value: object, rules: Rules, where: str) -> Any | None:
    if _is_unassigned(value):
        return None
    if attribute.type != "complex":
        return conform_simple(attribute, value, rules, where)
    if isinstance(value, str) and rules.bare_members and attribute.sub("value"):
        value = {"value": value or None}
    return _complex(attribute, value, rules, where)


def _complex(attribute: Attribute, value: object, rules: Rules, where: str) -> dict[str, Any] | None:
    if not isinstance(value, dict):
        raise InvalidValue(f"{where} must be an object{' in an array' if attribute.multi_valued else ''}.")
    members: dict[str, Any] = {}
    for name, item in value.items():
        sub = attribute.sub(name)
        _add_member(members, sub, item, rules, _path(f"{where}.", sub, name))
    return members or None


def _add_member(members: dict[str, Any], attribute: Attribute | None, value: object, rules: Rules, path: str) -> None:
    """Put the attribute's canonical value, if it has one and may be written, under its name in the table."""
    if attribute is None:
        if rules.strict_attributes:
            raise InvalidValue(f"No schema here defines {path}.")
    elif attribute.mutability != "readOnly":
        canonical = _attribute(attribute, value, rules, path)
        if canonical is not None:
            members[attribute.name] = canonical


def _path(prefix: str, attribute: Attribute | None, name: str) -> str:
    return f"{prefix}{shown(name) if attribute is None else attribute.name}"


def _is_unassigned(value: object) -> bool:
    return value is None or (not value and isinstance(value, (list, dict)))


def _check_members(members: Mapping[str, Any], checked: Iterable[Attribute], prefix: str) -> None:
    for attribute in checked:
        value = members.get(attribute.name)
        if value is None:
            if attribute.required:
                raise InvalidValue(f"{prefix}{attribute.name} is required.")
        elif attribute.type == "complex" and len(value) > 1:
            check_primary(value, prefix + attribute.name)
