"""Applying PATCH operations to a resource: all of them in their order, or none (RFC 7644 section 3.5.2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from schemas.attributes import Attribute, ResourceType
from schemas.errors import InvalidValue, Mutability, NoTarget
from schemas.filters import And, Compare, Filter, Or
from schemas.matching import ElementMatcher, size_of
from schemas.notation import find_key
from schemas.patch_limits import PatchLimits
from schemas.patch_requests import Operation, Verb
from schemas.paths import Path, check_writable, parse_path
from schemas.resources import MAX_VALUES, Resource
from schemas.rules import Rules
from schemas.validation import check_complete, conform_element, distinct, identity

MEMBERS_AT_ONCE: Final = 8
"""Members of an object that take as long to look at and copy as one comparison."""
MEMBERS_ENCODED_AT_ONCE: Final = 4
"""The same where they are written down to tell one object from others."""


def apply_patch(
    operations: Sequence[Operation], resource: Resource, resource_type: ResourceType, rules: Rules
) -> Resource:
    """Return the resource as the operations leave it; it equals ``resource`` when they change nothing.

    ``operations`` come from ``schemas.patch_requests.normalise``. The resource is left as it is and shares with the
    result what stays the same. Raises Mutability, NoTarget, InvalidPath, InvalidFilter, and InvalidValue, which is also
    what more than MAX_TOUCHED values and MAX_EXAMINED comparisons get (``schemas.patch_limits``).
    """
    patch = _Patch(resource, resource_type, rules)
    place = 0
    while place < len(operations):
        place += patch.take(operations, place)
    return patch.result()


class _Patch:
    """A resource that changes; what it shares with the one before is copied before it is written to."""

    def __init__(self, resource: Resource, resource_type: ResourceType, rules: Rules) -> None:
        self._before = resource
        self._now = dict(resource)
        self._type = resource_type
        self._rules = rules
        self._written: dict[str, None] = {}
        """Keys of extensions that were written to, in the order of the operations: their objects are copies."""
        self._limits = PatchLimits()
        self._seen: dict[tuple[str, str], tuple[list[Any], set[object]]] = {}
        """Values of an attribute as an add left them, and their identities: good for as long as that very list stands."""

    def take(self, operations: Sequence[Operation], place: int) -> int:
        """Apply the operation at ``place``, with those behind it that do the same to other values; return how many."""
        operation = operations[place]
        op, value = operation.op, operation.value
        if operation.path is None:
            for urn, members in value.items():
                self._foreign(op, urn, members)
            return 1
        path = parse_path(operation.path, self._type)
        check_writable(path, op)
        attribute = path.attribute
        if attribute is None:
            self._extension(op, path.urn or "", value)
        elif op == "remove" and path.filter is not None and path.sub is None:
            path, count = self._run_of_removals(path, attribute, path.filter, operations, place)
            self._change(op, path, attribute, value)
            return count
        elif not self._is_foreign_object(op, operation.path, path, value):
            self._change(op, path, attribute, value)
        return 1

    def result(self) -> Resource:
        """Return the resource, once it is complete and its ``schemas`` name the extensions that it has (L11)."""
        if self._written:
            gone = {urn.lower() for urn in self._written if urn not in self._now and urn in self._before}
            left = [urn for urn in self._now["schemas"] if urn.lower() not in gone]
            listed = {urn.lower() for urn in left}
            new = [urn for urn in self._written if urn in self._now and urn.lower() not in listed]
            self._now["schemas"] = left + new
        check_complete(self._now, self._type)
        return self._now

    def _run_of_removals(
        self, path: Path, attribute: Attribute, found: Filter, operations: Sequence[Operation], place: int
    ) -> tuple[Path, int]:
        """Return one path for this and the following removals of values of one attribute, and how many they are.

        An element at a time is how Okta sends them: one pass for all, or a large attribute is searched for each.
        """
        terms: list[Filter] = [*found.terms] if isinstance(found, Or) else [found]
        count = 1
        while place + count < len(operations):
            operation = operations[place + count]
            if operation.op != "remove" or operation.path is None:
                break
            other = parse_path(operation.path, self._type)
            if other.filter is None or (other.urn, other.attribute, other.sub) != (path.urn, attribute, None):
                break
            terms.extend(other.filter.terms if isinstance(other.filter, Or) else [other.filter])
            count += 1
        return Path(path.urn, attribute, Or(tuple(terms))), count

    # --- where attributes stand ---

    def _change(self, op: Verb, path: Path, attribute: Attribute, value: Any) -> None:
        """Do the operation to the attribute, wherever it stands."""
        urn = path.urn
        if urn is not None and self._type.extension(urn) is None:
            urn = self._key(urn) or urn
        members = self._now if urn is None else self._members(urn)
        name = attribute.name
        if attribute.type == "any" and name not in members:
            self._limits.examine(len(members))
            name = find_key(members, name) or name
        old = members.get(name)
        new = self._next(op, path, attribute, old, value)
        if attribute.mutability == "immutable" and old is not None and new != old:
            raise Mutability(f"{path.name} is immutable and has a value.")
        if new is None or new in ([], {}):
            members.pop(name, None)
        else:
            members[name] = new
        if urn is not None:
            self._keep(urn, members)

    def _key(self, urn: str) -> str | None:
        """Return the key of an extension that no schema here describes, None where the resource has none of that name."""
        if urn not in self._now:
            self._limits.examine(len(self._now))
        return find_key(self._now, urn)

    def _members(self, urn: str) -> dict[str, Any]:
        """Return the object of the extension as one that may be written to."""
        members: dict[str, Any] = self._now.get(urn, {})
        return members if urn in self._written else dict(members)

    def _keep(self, urn: str, members: dict[str, Any]) -> None:
        self._written[urn] = None
        if members:
            self._now[urn] = members
        else:
            self._now.pop(urn, None)

    def _extension(self, op: Verb, urn: str, value: dict[str, Any]) -> None:
        """Change each attribute of a known extension: add and replace merge, as they do with a complex attribute."""
        extension = self._type.extension(urn)
        named = self._now.get(urn, {}) if op == "remove" else value
        for attribute in () if extension is None else extension.attributes:
            if attribute.name in named:
                self._change(op, Path(urn, attribute), attribute, named[attribute.name])

    def _is_foreign_object(self, op: Verb, text: str, path: Path, value: Any) -> bool:
        """Change an unknown extension as a whole if the path names one that the resource has; tell whether it did.

        Only the resource can tell such a URN from an attribute's name behind a shorter one.
        """
        if path.urn is None or self._type.extension(path.urn) is not None:
            return False
        key = self._key(text)
        if key is None or not (op == "remove" or isinstance(value, dict)):
            return False
        self._foreign(op, key, None if op == "remove" else value)
        return True

    def _foreign(self, op: Verb, urn: str, value: dict[str, Any] | None) -> None:
        """Merge into an unknown extension as into a complex attribute; null unassigns."""
        urn = self._key(urn) or urn
        if value is None:
            self._limits.touch(1)
            self._keep(urn, {})
            return
        members = self._members(urn)
        self._limits.examine(len(members))
        spelled = {name.lower(): name for name in members}
        for name, item in value.items():
            own = spelled.setdefault(name.lower(), name)
            if item is None:
                self._limits.touch(1)
                members.pop(own, None)
            else:
                attribute = Attribute(name=own, type="any")
                members[own] = self._opaque(op, Path(urn, attribute), attribute, members.get(own), item)
        self._keep(urn, members)

    # --- what becomes of a value ---

    def _next(self, op: Verb, path: Path, attribute: Attribute, old: Any, value: Any) -> Any:
        """Return the attribute's next value, None for none."""
        if path.filter is not None or (path.sub is not None and (attribute.multi_valued or isinstance(old, list))):
            return self._elements(op, path, attribute, old, value)
        if path.sub is not None:
            self._limits.touch(1)
            return self._changed(op, path, attribute, {} if old is None else old, value)
        if op == "remove":
            self._limits.touch(1)
            return None
        if attribute.type == "any":
            return self._opaque(op, path, attribute, old, value)
        if attribute.multi_valued:
            return self._appended(path, attribute, [] if op == "replace" else old or [], value)
        self._limits.touch(1)
        return value if old is None else self._changed("add", path, attribute, old, value)

    def _elements(self, op: Verb, path: Path, attribute: Attribute, old: Any, value: Any) -> Any:
        """Return the values of the attribute with those changed that the path selects (L6, L7, L8, L10)."""
        elements = old if isinstance(old, list) else []
        if path.filter is None:
            selected = [True] * len(elements)
        else:
            matcher = ElementMatcher(path.filter)
            self._limits.examine(matcher.cost(*elements))
            selected = [matcher(element) for element in elements]
        if not any(selected):
            return old if op == "remove" else self._created(op, path, attribute, old, value)
        self._limits.touch(sum(selected))
        self._limits.examine(2 * len(elements))  # All of them are looked at again below, and compared with one another.
        changed = [
            self._changed(op, path, attribute, element, value) if chosen else element
            for element, chosen in zip(elements, selected, strict=True)
        ]
        if attribute.type == "complex" and _promotes(path, value):
            changed = [each if chosen else _demoted(each) for each, chosen in zip(changed, selected, strict=True)]
        left = [element for element in changed if element is not None]
        if not left and attribute.required:
            raise Mutability(f"{path.name} is required and cannot be removed.")
        removed = op == "remove" and path.sub is None  # which makes no two the same
        return left if removed or attribute.type == "any" else distinct(left)

    def _changed(self, op: Verb, path: Path, attribute: Attribute, old: Any, value: Any) -> Any:
        """Return one value of the attribute, or its only one, as the operation leaves it; None when nothing is left."""
        if path.sub is not None:
            if not isinstance(old, dict):
                if op == "remove":
                    return old
                raise NoTarget(f"{path.name} is not there: the value before it has no sub-attributes.")
            name = path.sub.name
            if path.sub.type == "any":
                self._limits.examine(len(old) // MEMBERS_AT_ONCE)
                name = find_key(old, name) or name
            new = dict(old)
            if op == "remove":
                new.pop(name, None)
            else:
                new[name] = value
        elif op == "remove":
            return None
        elif isinstance(old, dict) and isinstance(value, dict):
            kept = old if op == "add" else {each: old[each] for each in _immutable(attribute) if each in old}
            new = self._merged(attribute, kept, value)
        else:
            return value
        for each in _immutable(attribute):
            if each in old and new.get(each) != old[each]:
                raise Mutability(f"{attribute.name}.{each} is immutable and has a value.")
        return new or None

    def _created(self, op: Verb, path: Path, attribute: Attribute, old: Any, value: Any) -> Any:
        """Return the values of the attribute and one more, of what the path and the value say of it (L6, L7)."""
        if op == "replace" and path.filter is not None and not self._rules.replace_as_add:
            raise NoTarget(f"No value of {path.name} matches the filter of the path; add one, or correct the filter.")
        described = {} if path.filter is None else dict(_equalities(path.filter))
        element = value
        if path.sub is not None:
            element = {**described, path.sub.name: value}
        elif isinstance(value, dict):
            element = self._merged(attribute, described, value)
        if attribute.type != "any":
            element = conform_element(attribute, element, self._rules, Path(path.urn, attribute).name)
        elif old is not None and not isinstance(old, list):
            raise NoTarget(f"{path.name} has one value and no others to choose from.")
        if path.filter is not None and not self._matches_any(path.filter, described, element):
            raise NoTarget(f"No value of {path.name} matches the filter of the path, nor would the one to add.")
        return self._appended(path, attribute, old or [], [element])

    def _matches_any(self, found: Filter, *elements: Any) -> bool:
        matcher = ElementMatcher(found)
        self._limits.examine(matcher.cost(*elements))
        return any(map(matcher, elements))

    def _appended(self, path: Path, attribute: Attribute, old: list[Any], new: list[Any]) -> list[Any]:
        """Return the old values and those of the new that are not among them; a new primary is the only one (L5, L10).

        What is added again as the primary becomes it.
        """
        self._limits.touch(len(new))
        seen = self._identities(path, attribute, old)
        fresh: list[Any] = []
        primary: object = None
        for element in new:
            which = _identity(attribute, element)
            if attribute.type == "complex" and element.get("primary") is True:
                primary = which
            if which not in seen:
                seen.add(which)
                fresh.append(element)
        if fresh and len(old) + len(fresh) > MAX_VALUES and _is_bounded(attribute):
            raise InvalidValue(f"{path.name} would have more than {MAX_VALUES} values.")
        left = [*old, *fresh]
        if primary is not None:
            self._limits.examine(2 * len(old))
            left = distinct(
                [
                    {**each, "primary": True} if _identity(attribute, each) == primary else _demoted(each)
                    for each in left
                ]
            )
        self._seen[_place(path, attribute)] = left, seen
        return left

    def _identities(self, path: Path, attribute: Attribute, values: list[Any]) -> set[object]:
        """Return the identities of the values: those that the last add has left here, where it was the last change."""
        known = self._seen.get(_place(path, attribute))
        if known is not None and known[0] is values:
            return known[1]
        self._limits.examine(len(values))
        if attribute.type == "any":
            self._limits.examine(sum(map(size_of, values)) // MEMBERS_ENCODED_AT_ONCE)
        return {_identity(attribute, element) for element in values}

    def _opaque(self, op: Verb, path: Path, attribute: Attribute, old: Any, value: Any) -> Any:
        """Return the next value where no schema tells whether there are many: the values themselves tell."""
        if op == "add" and isinstance(old, list):
            return self._appended(path, attribute, old, value if isinstance(value, list) else [value])
        self._limits.touch(1)
        return self._merged(attribute, old, value) if isinstance(old, dict) and isinstance(value, dict) else value

    def _merged(self, attribute: Attribute, old: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
        """Return the members of both, those of ``value`` where they have the same name, in any case (RFC 7643 section 2.1)."""
        if attribute.type != "any":
            return {**old, **value}  # spelled as in the table
        self._limits.examine(len(old) // MEMBERS_AT_ONCE)
        spelled = {name.lower(): name for name in old}
        return {**old, **{spelled.get(name.lower(), name): item for name, item in value.items()}}


@lru_cache(maxsize=256)
def _immutable(attribute: Attribute) -> tuple[str, ...]:
    """Return the names of the sub-attributes that keep the value they have."""
    return tuple(sub.name for sub in attribute.sub_attributes if sub.mutability == "immutable")


def _place(path: Path, attribute: Attribute) -> tuple[str, str]:
    """Return the same for all spellings of an attribute."""
    return (path.urn or "").lower(), attribute.name.lower()


def _identity(attribute: Attribute, element: Any) -> object:
    """Return what two values of an attribute share when the second is a repetition.

    An immutable ``value``, as a member's, says which one it is; else all of it counts but whether it is the primary.
    """
    if attribute.type == "any":
        return msgspec.json.encode(element, order="sorted")
    if isinstance(element, dict) and _is_membership(attribute) and "value" in element:
        return element["value"]
    return identity(element)


def _is_membership(attribute: Attribute) -> bool:
    return "value" in _immutable(attribute)


def _is_bounded(attribute: Attribute) -> bool:
    """Tell whether a body may hold no more than MAX_VALUES of it: a PATCH must not make what no PUT can send."""
    return attribute.type != "any" and not _is_membership(attribute)


def _equalities(found: Filter) -> Iterator[tuple[str, Any]]:
    """Yield the sub-attributes that a value must have to satisfy the filter, as far as ``eq`` joined by and says (L6)."""
    for term in found.terms if isinstance(found, And) else (found,):
        if isinstance(term, Compare) and term.op == "eq" and term.value is not None:
            yield term.target.name, term.value


def _promotes(path: Path, value: object) -> bool:
    """Tell whether the operation makes what it changes primary."""
    if path.sub is not None:
        return path.sub.name == "primary" and value is True
    return isinstance(value, dict) and value.get("primary") is True


def _demoted(element: Any) -> Any:
    """Return the element as it stands beside a new primary one (RFC 7644 section 3.5.2)."""
    return {**element, "primary": False} if isinstance(element, dict) and element.get("primary") is True else element
