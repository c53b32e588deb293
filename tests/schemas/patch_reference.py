"""PATCH once more, as naively as it can be written, on operations as tuples instead of text: what the engine must agree with.

Knows ``tests.schemas.tables.GROUP`` by a table of its own. Slow, copies everything, and reads nothing of ``schemas``.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

BADGE = "urn:example:params:scim:schemas:extension:badge:1.0:Group"
FOREIGN = "urn:x:y"
KINDS = {
    (None, "displayName"): "simple",
    (None, "birth"): "simple",
    (None, "level"): "simple",
    (None, "owner"): "complex",
    (None, "doors"): "many",
    (None, "members"): "many",
    (None, "tags"): "texts",
    (BADGE, "colour"): "simple",
    (BADGE, "maker"): "complex",
    (BADGE, "marks"): "texts",
    (FOREIGN, "a"): "simple",
}
REQUIRED = {("displayName", None), ("owner", "value"), ("doors", "name")}
IMMUTABLE = {("birth", None), ("owner", "since"), ("members", "value"), ("members", "type"), ("members", "$ref")}
CASE_EXACT = {("members", "value"), ("members", "$ref")}


@dataclass(frozen=True)
class Term:
    """``sub op value`` with ``eq`` or ``ne``."""

    sub: str
    op: str
    value: Any


@dataclass(frozen=True)
class Where:
    """The terms in brackets, joined by ``and`` or ``or``."""

    word: str
    terms: tuple[Term, ...]


@dataclass(frozen=True)
class Step:
    """One operation; ``value`` is None for null and for removals."""

    verb: str
    urn: str | None
    attribute: str
    where: Where | None = None
    sub: str | None = None
    value: Any = None


class Refused(Exception):
    """The scimType of the refusal."""


def expand(step: Step) -> list[Step]:
    """Return the step without null: refuse or turn into removals what asks for nothing."""
    if step.verb == "remove":
        if (step.attribute, step.sub) in REQUIRED and (step.where is None or step.sub):
            raise Refused("mutability")
        return [step]
    if step.value in (None, [], {}):
        if step.verb == "add":
            return []
        if (step.attribute, step.sub) in REQUIRED and (step.where is None or step.sub):
            raise Refused("invalidValue")
        return [Step("remove", step.urn, step.attribute, step.where, step.sub)]
    if isinstance(step.value, list) and sum(map(_is_primary, _distinct(step.value))) > 1:
        raise Refused("invalidValue")
    steps = [step]
    if isinstance(step.value, dict):
        given = {name: value for name, value in step.value.items() if value is not None}
        steps = [Step(step.verb, step.urn, step.attribute, step.where, None, given)] if given else []
        if step.verb == "replace" and KINDS[step.urn, step.attribute] == "complex":
            for name, value in step.value.items():
                if value is None:
                    steps += expand(Step("replace", step.urn, step.attribute, None, name, None))
    return steps


def patch(resource: dict[str, Any], steps: list[Step], *, replace_as_add: bool) -> dict[str, Any]:
    """Return the resource after all steps; raises Refused."""
    plain = [each for step in steps for each in expand(step)]
    result = copy.deepcopy(resource)
    written: list[str] = []
    for step in copy.deepcopy(plain):
        holder = result if step.urn is None else result.setdefault(step.urn, {})
        _apply(holder, step, replace_as_add)
        if step.urn is not None:
            written.append(step.urn)
            if not holder:
                del result[step.urn]
    for urn in dict.fromkeys(written):
        if urn in result and urn not in result["schemas"]:
            result["schemas"].append(urn)
        if urn in resource and urn not in result:
            result["schemas"].remove(urn)
    if "displayName" not in result or sum(map(_is_primary, result.get("doors", []))) > 1:
        raise Refused("invalidValue")
    return result


def _apply(holder: dict[str, Any], step: Step, replace_as_add: bool) -> None:
    old = holder.get(step.attribute)
    kind = KINDS[step.urn, step.attribute]
    new: Any
    if kind in {"many", "texts"}:
        new = _values(old or [], step, replace_as_add)
    elif kind == "complex":
        new = _complex(old, step)
    else:
        new = None if step.verb == "remove" else step.value
    if (step.attribute, None) in IMMUTABLE and old is not None and new != old:
        raise Refused("mutability")
    holder[step.attribute] = new
    if new in (None, [], {}):
        del holder[step.attribute]


def _complex(old: dict[str, Any] | None, step: Step) -> dict[str, Any] | None:
    if step.verb == "remove" and step.sub is None:
        return None
    new = dict(old or {})
    if step.verb == "remove":
        new.pop(step.sub or "", None)
    else:
        new.update(step.value if step.sub is None else {step.sub: step.value})
    _check_immutable(step.attribute, old or {}, new)
    return new


def _values(old: list[Any], step: Step, replace_as_add: bool) -> list[Any]:
    if step.where is None and step.sub is None:
        if step.verb == "remove":
            return []
        return _append(step.attribute, old if step.verb == "add" else [], step.value)
    chosen = [index for index, element in enumerate(old) if step.where is None or _matches(step, element)]
    if not chosen:
        return old if step.verb == "remove" else _append(step.attribute, old, [_created(step, replace_as_add)])
    new = [_changed(step, element) if index in chosen else element for index, element in enumerate(old)]
    if step.verb != "remove" and (
        (step.sub == "primary" and step.value is True) or (step.sub is None and _is_primary(step.value))
    ):
        new = [element if index in chosen else _demoted(element) for index, element in enumerate(new)]
    return _distinct([element for element in new if element not in (None, {})])


def _changed(step: Step, element: Any) -> Any:
    if step.sub is None:
        if step.verb == "remove":
            return None
        if not isinstance(element, dict):
            return step.value
        if step.verb == "add":
            new = {**element, **step.value}
        else:
            kept = {name: value for name, value in element.items() if (step.attribute, name) in IMMUTABLE}
            new = {**kept, **step.value}
    else:
        new = {name: value for name, value in element.items() if name != step.sub or step.verb != "remove"}
        if step.verb != "remove":
            new[step.sub] = step.value
    _check_immutable(step.attribute, element, new)
    return new


def _created(step: Step, replace_as_add: bool) -> Any:
    if step.where is not None and step.verb == "replace" and not replace_as_add:
        raise Refused("noTarget")
    described: dict[str, Any] = {}
    if step.where is not None and (step.where.word == "and" or len(step.where.terms) == 1):
        described = {term.sub: term.value for term in step.where.terms if term.op == "eq"}
    element = step.value
    if step.sub is not None:
        element = {**described, step.sub: step.value}
    elif isinstance(step.value, dict):
        element = {**described, **step.value}
    if step.where is not None and not (_matches(step, described) or _matches(step, element)):
        raise Refused("noTarget")
    return element


def _append(attribute: str, old: list[Any], new: list[Any]) -> list[Any]:
    result = list(old)
    primary = None
    for element in new:
        if not any(_is_same(attribute, each, element) for each in result):
            result.append(element)
        if _is_primary(element):
            primary = element
    if primary is None:
        return result
    return _distinct(
        [{**each, "primary": True} if _is_same(attribute, each, primary) else _demoted(each) for each in result]
    )


def _is_same(attribute: str, one: Any, other: Any) -> bool:
    if not isinstance(one, dict) or not isinstance(other, dict):
        return bool(one == other)
    if attribute == "members" and ("value" in one or "value" in other):
        return one.get("value") == other.get("value")
    return {**one, "primary": 0} == {**other, "primary": 0}


def _matches(step: Step, element: Any) -> bool:
    assert step.where is not None
    if not isinstance(element, dict):
        element = {"value": element}
    verdicts = [_holds(step.attribute, term, element) for term in step.where.terms]
    return all(verdicts) if step.where.word == "and" else any(verdicts)


def _holds(attribute: str, term: Term, element: dict[str, Any]) -> bool:
    actual = element.get(term.sub, False if term.sub == "primary" else None)
    wanted = term.value
    if (attribute, term.sub) not in CASE_EXACT:
        actual = actual.lower() if isinstance(actual, str) else actual
        wanted = wanted.lower() if isinstance(wanted, str) else wanted
    return (actual == wanted) is (term.op == "eq")


def _check_immutable(attribute: str, old: dict[str, Any], new: dict[str, Any]) -> None:
    for name, value in old.items():
        if (attribute, name) in IMMUTABLE and new.get(name) != value:
            raise Refused("mutability")


def _is_primary(element: Any) -> bool:
    return isinstance(element, dict) and element.get("primary") is True


def _demoted(element: dict[str, Any]) -> dict[str, Any]:
    return {**element, "primary": False} if _is_primary(element) else element


def _distinct(elements: list[Any]) -> list[Any]:
    result: list[Any] = []
    for element in elements:
        there = [place for place, each in enumerate(result) if _is_same("", each, element)]
        if not there:
            result.append(element)
        elif _is_primary(element):
            result[there[0]] = {**result[there[0]], "primary": True}
    return result
