"""Whether a resource, or one value of a multi-valued attribute, satisfies a filter (RFC 7644 section 3.4.2.2)."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, assert_never

from schemas.filters import And, Compare, Filter, Not, Or, Present, Target, ValuePath
from schemas.folding import LONGEST_STACK, fold
from schemas.moments import moment
from schemas.notation import find_key
from schemas.resources import Resource

SMALL: Final = 16
"""What has no more than this size is compared as fast as one comparison is."""


def matches(found: Filter, resource: Resource) -> bool:
    """Tell whether the resource, in canonical form and with ``meta`` if it is there, satisfies the filter.

    A multi-valued attribute satisfies a term when any of its values does; brackets bind one value. An attribute without
    value equals null and nothing else, so it also satisfies ``ne`` with a value; a missing ``primary`` is false.
    """
    match found:
        case Compare():
            return _compares(found, resource)
        case Present():
            return _is_present(found.target, resource)
        case And():
            return all(matches(term, resource) for term in found.terms)
        case Or():
            return any(matches(term, resource) for term in found.terms)
        case Not():
            return not matches(found.term, resource)
        case ValuePath():
            return any(matches_element(found.filter, element) for element in _values(found.target, resource))
        case _:
            assert_never(found)


def matches_element(found: Filter, element: object) -> bool:
    """Tell whether one value of an attribute satisfies a filter out of brackets; a simple value is its own ``value``."""
    return matches(found, element if isinstance(element, dict) else {"value": element})


class ElementMatcher:
    """Tells of many values whether each satisfies a filter out of brackets: one look-up for all its ``eq`` joined by or."""

    def __init__(self, found: Filter) -> None:
        self._indexes: dict[_Place, tuple[Target, dict[str, list[Filter]]]] = {}
        self._others: list[Filter] = []
        terms = found.terms if isinstance(found, Or) else (found,)
        used = Counter((_place(each.target), each.operand) for term in terms for each in _equalities(term))
        for term in terms:
            # Under what fewest others have in common: all of ``type eq "work" and value eq …`` have the type.
            under = min(_equalities(term), key=lambda each: used[_place(each.target), each.operand], default=None)
            if under is None:
                self._others.append(term)
            else:
                _, index = self._indexes.setdefault(_place(under.target), (under.target, {}))
                index.setdefault(str(under.operand), []).append(term)
        self._terms = sum(map(term_count, self._others)) + sum(
            max(sum(map(term_count, terms)) for terms in index.values()) for _, index in self._indexes.values()
        )
        targets = list(_targets(found))
        self._names = {target.name for target in targets}
        self._searches = any(target.attribute is None or target.attribute.type == "any" for target in targets)

    def __call__(self, element: object) -> bool:
        """Tell whether the value satisfies the filter."""
        members = element if isinstance(element, dict) else {"value": element}
        for target, index in self._indexes.values():
            # Each value of an array once, however often it stands there.
            for folded in {_folded(target, value) for value in _values(target, members)}:
                if folded is not None and any(matches(term, members) for term in index.get(folded, ())):
                    return True
        return any(matches(term, members) for term in self._others)

    def cost(self, *elements: object) -> int:
        """Return what it takes at the most to hold the filter against these values, in comparisons of small ones."""
        return sum(self._terms * (1 + self._looked_at(element) // SMALL) for element in elements)

    def _looked_at(self, element: object) -> int:
        """Return the size of what is looked at of a value: where no schema names the members, all of them."""
        if self._searches or not isinstance(element, dict):
            return size_of(element)
        return sum(size_of(element.get(name)) for name in self._names)


def size_of(value: object) -> int:
    """Return how large a JSON value is, in names of members: those of no schema are searched one by one.

    Text is as large as folding it takes long, and the values of an array are looked at each for itself.
    """
    if isinstance(value, str):
        if value.isascii():
            return len(value) // SMALL
        return len(value) if len(value) <= LONGEST_STACK else 4 * len(value)
    if isinstance(value, list):
        return sum(SMALL + size_of(each) for each in value)
    if isinstance(value, dict):
        return sum(1 + size_of(name) + size_of(each) for name, each in value.items())
    return 0


_Place = tuple[str | None, str, str | None]


def _place(target: Target) -> _Place:
    """Return what is the same of two targets that name the same, where no schema spells it, too."""
    return target.urn, target.name.lower(), None if target.sub is None else target.sub.lower()


def _targets(found: Filter) -> Iterator[Target]:
    match found:
        case Compare() | Present() | ValuePath():
            yield found.target
        case And() | Or():
            for term in found.terms:
                yield from _targets(term)
        case Not():
            yield from _targets(found.term)
        case _:
            assert_never(found)


def _equalities(found: Filter) -> list[Compare]:
    """Return those of the terms joined by and that can be looked up: ``eq`` with a string."""
    terms = found.terms if isinstance(found, And) else (found,)
    return [each for each in terms if isinstance(each, Compare) and each.op == "eq" and isinstance(each.operand, str)]


def term_count(found: Filter) -> int:
    """Return how many comparisons and presence tests the filter has: what it costs to evaluate."""
    match found:
        case Compare() | Present():
            return 1
        case And() | Or():
            return sum(map(term_count, found.terms))
        case Not():
            return term_count(found.term)
        case ValuePath():
            return term_count(found.filter)
        case _:
            assert_never(found)


_ORDERS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
_TEXTS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "co": operator.contains,
    "sw": str.startswith,
    "ew": str.endswith,
}


def _compares(term: Compare, resource: Mapping[str, Any]) -> bool:
    if term.operand is None:
        return _is_present(term.target, resource) == (term.op == "ne")
    values = _values(term.target, resource)
    if term.op == "ne":
        return not values or not all(_equals(term, value) for value in values)
    if term.op == "eq":
        return any(_equals(term, value) for value in values)
    order = _TEXTS.get(term.op) or _ORDERS[term.op]
    return any((actual := _comparable(term, value)) is not None and order(actual, term.operand) for value in values)


def _equals(term: Compare, value: object) -> bool:
    return _comparable(term, value) == term.operand


def _comparable(term: Compare, value: object) -> object:
    """Return the value in the form of the operand, None when it is of another type."""
    operand = term.operand
    if isinstance(operand, str):
        return _folded(term.target, value)
    if isinstance(operand, datetime):
        return moment(value) if isinstance(value, str) else None
    # bool is a subclass of int, but true is not 1.
    return value if isinstance(value, int | float) and isinstance(value, bool) == isinstance(operand, bool) else None


def _folded(target: Target, value: object) -> str | None:
    if not isinstance(value, str):
        return None
    return value if target.attribute is not None and target.attribute.case_exact else fold(value)


def _is_present(target: Target, resource: Mapping[str, Any]) -> bool:
    return any(value is not None and value not in ("", [], {}) for value in _values(target, resource, stored=True))


def _values(target: Target, members: Mapping[str, Any], *, stored: bool = False) -> list[Any]:
    """Return the values that the target has, none for an attribute that is not there.

    A missing ``primary`` counts as false (RFC 7643 section 2.4) unless only what is ``stored`` is asked for.
    """
    if target.urn is not None:
        members = _member(target, members, target.urn)
        if not isinstance(members, dict):
            return []
    value = _member(target, members, target.name)
    if target.sub is None:
        if value is None:
            return [] if stored or not _is_primary(target) else [False]
        return value if isinstance(value, list) else [value]
    absent = False if not stored and _is_primary(target) else None
    elements = value if isinstance(value, list) else [value]
    found = (_member(target, each, target.sub) for each in elements if isinstance(each, dict))
    return [absent if each is None else each for each in found if each is not None or absent is not None]


def _member(target: Target, members: Mapping[str, Any], name: str) -> Any:
    if target.attribute is None or target.attribute.type != "any":
        return members.get(name)
    key = find_key(members, name)
    return None if key is None else members[key]


def _is_primary(target: Target) -> bool:
    attribute = target.attribute
    return attribute is not None and attribute.name == "primary" and attribute.type == "boolean"
