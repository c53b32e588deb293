"""Shapes: they accept what the same JSON Schema accepts, and say where the rest is wrong."""

from __future__ import annotations

from typing import Any, assert_never

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.dialects.dialect import Violations
from schemas.dialects.shapes import (
    MOST,
    Anything,
    Either,
    Flag,
    Items,
    Maybe,
    Members,
    Number,
    Shape,
    Text,
    check,
    known,
    violations,
)
from schemas.resources import MAX_VALUES

EMAIL = Members({"value": Text(), "type": Text(choices=("work", "home")), "primary": Flag()})
USER = Members(
    {
        "id": Text(shortest=1),
        "code": Text(shortest=2),
        "emails": Items(EMAIL),
        "tags": Items(Text(), fewest=1, unique=True),
        "pair": Items(Flag(), fewest=2),
        "age": Number(whole=True),
        "share": Number(),
        "state": Number(choices=(0, 1, 2)),
        "note": Maybe(Text()),
        "boss": Either((Text(), Members({"id": Text()}, required=("id",))), "a string or an object"),
        "more": Anything(),
        "exact": Members({"a": Flag()}, closed=True),
    },
    required=("id",),
)


def as_json_schema(shape: Shape) -> dict[str, Any]:
    """Return the JSON Schema that a shape stands for."""
    match shape:
        case Text():
            return {"type": "string", "minLength": shape.shortest} | (
                {"enum": list(shape.choices)} if shape.choices else {}
            )
        case Flag():
            return {"type": "boolean"}
        case Number():
            return {"type": "integer" if shape.whole else "number"} | (
                {"enum": list(shape.choices)} if shape.choices else {}
            )
        case Anything():
            return {}
        case Maybe():
            return {"anyOf": [{"type": "null"}, as_json_schema(shape.shape)]}
        case Either():
            return {"anyOf": [as_json_schema(choice) for choice in shape.shapes]}
        case Items():
            return {
                "type": "array",
                "items": as_json_schema(shape.shape),
                "minItems": shape.fewest,
                "uniqueItems": shape.unique,
            }
        case Members():
            return {
                "type": "object",
                "properties": {name: as_json_schema(below) for name, below in shape.shapes.items()},
                "required": list(shape.required),
                "additionalProperties": not shape.closed,
            }
        case _:
            assert_never(shape)


WORDS = st.sampled_from(["", "a", "ab", "work", "home", "urn:x"])
LEAVES = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([1.0, 0.5]) | WORDS
NAMES = st.sampled_from(["id", "ID", "a", "value", "type", "primary", "unknown"])
JSON = st.recursive(
    LEAVES, lambda below: st.lists(below, max_size=3) | st.dictionaries(NAMES, below, max_size=3), max_leaves=8
)
SHAPES: st.SearchStrategy[Shape] = st.recursive(
    st.builds(Text, st.integers(0, 2), st.sampled_from([(), ("work", "home")]))
    | st.just(Flag())
    | st.builds(Number, st.booleans(), st.sampled_from([(), (0, 1)]))
    | st.just(Anything()),
    lambda below: (
        st.builds(Maybe, below)
        | st.builds(Either, st.lists(below, min_size=1, max_size=2).map(tuple), st.just("this or that"))
        # Unique strings only: that is what documents have, and all that ``unique`` promises.
        | st.builds(Items, st.just(Text()), st.integers(0, 2), st.booleans())
        | st.builds(Items, below, st.integers(0, 2))
        | st.builds(
            Members, st.dictionaries(NAMES, below, max_size=4), st.lists(NAMES, max_size=1).map(tuple), st.booleans()
        )
    ),
    max_leaves=8,
)


def shaped(shape: Shape) -> st.SearchStrategy[Any]:
    """Return values of the shape or nearly so: anywhere there may be another value than is due."""
    match shape:
        case Text():
            due: st.SearchStrategy[Any] = st.sampled_from(shape.choices) if shape.choices else WORDS
        case Flag():
            due = st.booleans()
        case Number():
            due = st.integers(0, 3)
        case Anything():
            return JSON
        case Maybe():
            due = st.none() | shaped(shape.shape)
        case Either():
            due = st.one_of([shaped(choice) for choice in shape.shapes])
        case Items():
            due = st.lists(shaped(shape.shape), max_size=3)
        case Members():
            due = st.fixed_dictionaries(
                {name: shaped(shape.shapes[name]) for name in shape.required if name in shape.shapes},
                optional={name: shaped(below) for name, below in shape.shapes.items() if name not in shape.required}
                | {"other": JSON},
            )
        case _:
            assert_never(shape)
    return st.integers(0, 9).flatmap(lambda roll: JSON if roll == 0 else due)


@given(st.data())
def test_a_shape_accepts_exactly_what_its_json_schema_accepts(data: st.DataObject) -> None:
    shape = data.draw(SHAPES)
    value = data.draw(shaped(shape))
    assert (violations(value, shape) == ()) == jsonschema_rs.is_valid(as_json_schema(shape), value)


@given(shaped(USER))
def test_a_known_shape_accepts_exactly_what_its_json_schema_accepts(value: object) -> None:
    assert (violations(value, USER) == ()) == jsonschema_rs.is_valid(as_json_schema(USER), value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([], ("The body must be an object.",)),
        ({}, ("id is required.",)),
        ({"id": None}, ("id must be a string.",)),
        ({"id": ""}, ("id must have at least 1 character.",)),
        ({"id": "1", "code": "x"}, ("code must have at least 2 characters.",)),
        ({"id": "1", "emails": {}}, ("emails must be an array.",)),
        ({"id": "1", "emails": [{}, 1]}, ("emails[1] must be an object.",)),
        ({"id": "1", "emails": [{"value": 1, "primary": "x"}]},
         ("emails[0].value must be a string.", "emails[0].primary must be true or false.")),
        ({"id": "1", "emails": [{"type": "Work"}]}, ("emails[0].type must be one of work, home.",)),
        ({"id": "1", "tags": []}, ("tags must have at least 1 value.",)),
        ({"id": "1", "tags": ["a", "b", "a"]}, ("tags must not have a value twice.",)),
        ({"id": "1", "pair": [True]}, ("pair must have at least 2 values.",)),
        ({"id": "1", "age": 1.5}, ("age must be an integer.",)),
        ({"id": "1", "age": True, "share": "1"}, ("age must be an integer.", "share must be a number.")),
        ({"id": "1", "state": 3}, ("state must be one of 0, 1, 2.",)),
        ({"id": "1", "state": True}, ("state must be a number.",)),
        ({"id": "1", "note": 1}, ("note must be a string.",)),
        ({"id": "1", "boss": {}}, ("boss must be a string or an object.",)),
        ({"id": "1", "exact": {"b": 1}}, ("exact.b is not known here.",)),
        ({"id": "1", "exact": {"my secret": 1}}, ("exact.an attribute is not known here.",)),
    ],
)  # fmt: skip
def test_a_violation_names_the_place_and_not_the_value(value: object, expected: tuple[str, ...]) -> None:
    assert violations(value, USER) == expected
    with pytest.raises(Violations) as raised:
        check(value, USER)
    assert raised.value.violations == expected


def test_no_more_violations_than_the_limit_are_told() -> None:
    value = {"id": "1", "emails": [{"value": 1}] * 1000}
    assert violations(value, USER) == tuple(f"emails[{index}].value must be a string." for index in range(MOST))


def test_more_values_than_a_resource_may_have_are_not_looked_at() -> None:
    check({"id": "1", "emails": [{}] * MAX_VALUES}, USER)
    value = {"id": "1", "emails": [1] * (MAX_VALUES + 1)}
    assert violations(value, USER) == (f"emails must have at most {MAX_VALUES} values.",)


@pytest.mark.parametrize(
    "value",
    [
        {"id": "1", "age": 1.0, "share": 0.5, "note": None, "boss": "x", "more": [None], "exact": {"a": True}},
        {"id": "1", "emails": [{"primary": True, "type": "work"}, {}], "tags": ["a", "A"], "note": "x"},
        {"id": "1", "boss": {"id": "2"}},
    ],
)
def test_what_is_of_the_shape_is_known_and_unchanged(value: dict[str, Any]) -> None:
    check(value, USER)
    assert known(value, USER) == value


def test_properties_that_the_shape_does_not_name_are_taken_out_at_every_depth() -> None:
    value = {
        "id": "1",
        "ID": "2",
        "emails": [{"value": "a", "x": 1}],
        "boss": {"id": "3", "x": 1},
        "note": None,
        "more": {"x": 1},
    }
    check(value, USER)
    assert known(value, USER) == {
        "id": "1",
        "emails": [{"value": "a"}],
        "boss": {"id": "3"},
        "note": None,
        "more": {"x": 1},
    }
