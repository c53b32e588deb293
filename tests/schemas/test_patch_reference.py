"""Random resources and operations: the engine, from body to result, against a naive reference; and what holds for all."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas import urns
from schemas.errors import ScimError
from schemas.patch import apply_patch
from schemas.patch_requests import normalise, patch_document
from schemas.rules import Rules
from schemas.validation import check_complete
from tests.schemas.patch_reference import BADGE, FOREIGN, Refused, Step, Term, Where, patch
from tests.schemas.tables import GROUP

_LETTERS = st.sampled_from(["a", "A", "b", "c"])
_OPTIONAL_LETTERS = _LETTERS | st.none()
_DOOR = {"name": _LETTERS, "open": st.booleans(), "floor": st.integers(1, 2), "primary": st.booleans()}
_MEMBER = {"value": _LETTERS, "type": st.sampled_from(["User", "user", "Group"]), "note": _LETTERS}
_SUBS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "doors": _DOOR,
    "members": _MEMBER,
    "owner": {"value": _LETTERS, "since": _LETTERS},
    "maker": {"value": _LETTERS, "city": _LETTERS},
}


def _some(members: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=members).filter(bool)


def _one_primary(elements: list[dict[str, Any]]) -> list[dict[str, Any]]:
    primary = [each for each in elements if each.get("primary")]
    return [{**each, "primary": False} if any(each is other for other in primary[1:]) else each for each in elements]


def _distinct(elements: list[Any]) -> list[Any]:
    return [each for index, each in enumerate(elements) if each not in elements[:index]]


def _listed(members: dict[str, Any]) -> dict[str, Any]:
    return {"schemas": [urns.GROUP, *(name for name in members if ":" in name)], "id": "1", **members}


_TEXTS = st.lists(_LETTERS, max_size=3, unique=True)
_RESOURCES = st.fixed_dictionaries(
    {"displayName": _LETTERS},
    optional={
        "birth": _LETTERS,
        "owner": _some(_SUBS["owner"]),
        "doors": st.lists(_some(_DOOR), min_size=1, max_size=3).map(_one_primary).map(_distinct),
        "members": st.lists(_some(_MEMBER), min_size=1, max_size=3).map(_distinct),
        "tags": _TEXTS.filter(bool),
        BADGE: _some({"colour": _LETTERS, "marks": _TEXTS.filter(bool), "maker": _some(_SUBS["maker"])}),
        FOREIGN: st.fixed_dictionaries({"a": st.integers(1, 3)}),
    },
).map(_listed)

_VERBS = st.sampled_from(["add", "replace", "remove"])


def _wheres(subs: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Where]:
    term = st.sampled_from(sorted(subs)).flatmap(
        lambda sub: st.builds(Term, st.just(sub), st.sampled_from(["eq", "eq", "eq", "ne"]), subs[sub])
    )
    return st.builds(Where, st.sampled_from(["and", "or"]), st.lists(term, min_size=1, max_size=3).map(tuple))


def _steps_of(urn: str | None, attribute: str, kind: str) -> st.SearchStrategy[Step]:
    where: st.SearchStrategy[Where | None] = st.none()
    if kind == "simple":
        value: st.SearchStrategy[Any] = st.integers(1, 3) if attribute in {"a", "level"} else _OPTIONAL_LETTERS
        return st.builds(Step, _VERBS, st.just(urn), st.just(attribute), value=value)
    if kind == "texts":
        where = _wheres({"value": _LETTERS})
        whole = st.builds(Step, _VERBS, st.just(urn), st.just(attribute), value=_TEXTS)
        return whole | st.builds(Step, _VERBS, st.just(urn), st.just(attribute), where, value=_OPTIONAL_LETTERS)
    subs = _SUBS[attribute]
    loose = st.fixed_dictionaries({}, optional={name: value | st.none() for name, value in subs.items()})
    one = st.sampled_from(sorted(subs)).flatmap(lambda sub: st.tuples(st.just(sub), subs[sub] | st.none()))
    if kind == "many":
        where |= _wheres(subs)
        whole = st.builds(Step, _VERBS, st.just(urn), st.just(attribute), value=st.lists(_some(subs), max_size=3))
        whole |= st.builds(Step, _VERBS, st.just(urn), st.just(attribute), _wheres(subs), value=_some(subs) | st.none())
    else:
        whole = st.builds(Step, _VERBS, st.just(urn), st.just(attribute), value=loose)
    return whole | st.builds(
        lambda verb, where, pair: Step(verb, urn, attribute, where, pair[0], pair[1]), _VERBS, where, one
    )


_STEPS = st.one_of(
    _steps_of(None, "displayName", "simple"),
    _steps_of(None, "birth", "simple"),
    _steps_of(None, "level", "simple"),
    _steps_of(None, "owner", "complex"),
    _steps_of(None, "doors", "many"),
    _steps_of(None, "doors", "many"),
    _steps_of(None, "members", "many"),
    _steps_of(None, "tags", "texts"),
    _steps_of(BADGE, "colour", "simple"),
    _steps_of(BADGE, "marks", "texts"),
    _steps_of(BADGE, "maker", "complex"),
    _steps_of(FOREIGN, "a", "simple"),
)


def _operation(step: Step) -> dict[str, Any]:
    """Return the step as a client would send it."""
    path = step.attribute if step.urn is None else f"{step.urn}:{step.attribute}"
    if step.where is not None:
        terms = (f"{term.sub} {term.op} {json.dumps(term.value)}" for term in step.where.terms)
        path += f"[{f' {step.where.word} '.join(terms)}]"
    if step.sub is not None:
        path += f".{step.sub}"
    return (
        {"op": step.verb, "path": path}
        if step.verb == "remove"
        else {"op": step.verb, "path": path, "value": step.value}
    )


def _engine(resource: dict[str, Any], steps: list[Step], rules: Rules) -> dict[str, Any] | str | None:
    body = {"schemas": [urns.PATCH_OP], "Operations": [_operation(step) for step in steps]}
    try:
        return apply_patch(normalise(body, GROUP, rules).operations, resource, GROUP, rules)
    except ScimError as error:
        return error.scim_type


def _reference(resource: dict[str, Any], steps: list[Step], rules: Rules) -> dict[str, Any] | str | None:
    try:
        return patch(resource, steps, replace_as_add=rules.replace_as_add)
    except Refused as refused:
        return str(refused)


@settings(max_examples=500, deadline=None)
@given(_RESOURCES, st.lists(_STEPS, min_size=1, max_size=5), st.booleans())
@example(
    _listed({"displayName": "a", "doors": [{"name": "a", "primary": True}]}),
    [Step("add", None, "doors", None, None, [{"name": "b", "primary": True}, {"name": "a", "primary": True}])],
    False,
)
def test_L3_the_engine_does_what_the_naive_reference_does(
    resource: dict[str, Any], steps: list[Step], replace_as_add: bool
) -> None:
    rules = Rules(replace_as_add=replace_as_add)
    before = copy.deepcopy(resource)
    assert _engine(resource, steps, rules) == _reference(resource, steps, rules)
    assert resource == before


@settings(deadline=None)
@given(_RESOURCES, st.lists(_STEPS, min_size=1, max_size=3))
def test_L3_what_comes_out_is_complete_and_has_nothing_empty(resource: dict[str, Any], steps: list[Step]) -> None:
    result = _engine(resource, steps, Rules(replace_as_add=True))
    if isinstance(result, dict):
        check_complete(result, GROUP)
        assert not any(value in (None, [], {}) for value in result.values())
        assert {name for name in result if ":" in name} <= set(result["schemas"])


@settings(deadline=None)
@given(_RESOURCES, st.lists(_STEPS, min_size=1, max_size=3))
def test_the_operations_as_they_stand_in_the_event_do_the_same_under_the_strict_profile(
    resource: dict[str, Any], steps: list[Step]
) -> None:
    body = {"schemas": [urns.PATCH_OP], "Operations": [_operation(step) for step in steps]}
    try:
        operations = normalise(body, GROUP, Rules()).operations
        after = apply_patch(operations, resource, GROUP, Rules())
    except ScimError:
        return
    if operations:
        again = normalise(patch_document(operations), GROUP, Rules())
        assert again.operations == operations
        assert apply_patch(again.operations, resource, GROUP, Rules()) == after


@settings(deadline=None)
@given(_RESOURCES, _STEPS.filter(lambda step: step.verb != "add"))
def test_L4_a_replace_or_removal_done_twice_is_done_once(resource: dict[str, Any], step: Step) -> None:
    once = _engine(resource, [step], Rules(replace_as_add=True))
    if isinstance(once, dict) and (step.where is None or step.verb == "remove"):
        twice = _engine(once, [step], Rules(replace_as_add=True))
        assert twice == once
