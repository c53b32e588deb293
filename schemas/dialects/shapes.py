"""Shapes of JSON, written down as tables, and what is wrong with a value that should have one.

The part of JSON Schema that services' documents use: types, required and unknown properties, enumerations, lengths,
unique items. As there, names are case-sensitive, null is a value of its own, and formats are not checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final, assert_never

import msgspec

from schemas.dialects.dialect import Violations
from schemas.json_values import shown
from schemas.resources import MAX_VALUES

MOST: Final = 20
"""How many violations are told at once; the search ends there."""


class Text(msgspec.Struct, frozen=True):
    """A string of at least ``shortest`` characters; where there are ``choices``, one of them."""

    shortest: int = 0
    choices: tuple[str, ...] = ()


class Flag(msgspec.Struct, frozen=True):
    """``true`` or ``false``."""


class Number(msgspec.Struct, frozen=True):
    """A number; a ``whole`` one has no fraction; where there are ``choices``, one of them."""

    whole: bool = False
    choices: tuple[int, ...] = ()


class Anything(msgspec.Struct, frozen=True):
    """Any JSON."""


class Maybe(msgspec.Struct, frozen=True):
    """Null, or a value of the shape."""

    shape: Shape


class Either(msgspec.Struct, frozen=True):
    """A value of one of the shapes; ``words`` say in a violation what that is: "a string or an object"."""

    shapes: tuple[Shape, ...]
    words: str


class Items(msgspec.Struct, frozen=True):
    """An array of at least ``fewest`` values of the shape; of no two equal strings where it is ``unique``.

    Never of more than MAX_VALUES: no resource has more, and what is looked at one by one is not to cost seconds.
    """

    shape: Shape
    fewest: int = 0
    unique: bool = False


class Members(msgspec.Struct, frozen=True):
    """An object: what its properties are, which must be there, whether others are refused."""

    shapes: Mapping[str, Shape]
    required: tuple[str, ...] = ()
    closed: bool = False


Shape = Text | Flag | Number | Anything | Maybe | Either | Items | Members


def check(value: object, shape: Shape) -> None:
    """Raise Violations where the value has not the shape."""
    found = violations(value, shape)
    if found:
        raise Violations(found)


def violations(value: object, shape: Shape) -> tuple[str, ...]:
    """Return the first MOST things that are wrong, each a sentence with the place: ``emails[0].value must be …``.

    The value itself is called the body. What stands in it is never repeated.
    """
    return tuple(islice(_wrong(value, shape, ""), MOST))


def known(value: Any, shape: Shape) -> Any:
    """Return the value without the properties that its shape does not name; the value must have the shape."""
    match shape:
        case Members():
            return {name: known(item, shape.shapes[name]) for name, item in value.items() if name in shape.shapes}
        case Items():
            return [known(item, shape.shape) for item in value]
        case Maybe():
            return None if value is None else known(value, shape.shape)
        case Either():
            return known(value, next(choice for choice in shape.shapes if not violations(value, choice)))
        case _:
            return value


def _wrong(value: object, shape: Shape, path: str) -> Iterator[str]:
    match shape:
        case Text():
            yield from _wrong_text(value, shape, path)
        case Flag():
            if not isinstance(value, bool):
                yield f"{_at(path)} must be true or false."
        case Number():
            yield from _wrong_number(value, shape, path)
        case Anything():
            pass
        case Maybe():
            if value is not None:
                yield from _wrong(value, shape.shape, path)
        case Either():
            if all(violations(value, choice) for choice in shape.shapes):
                yield f"{_at(path)} must be {shape.words}."
        case Items():
            yield from _wrong_items(value, shape, path)
        case Members():
            yield from _wrong_members(value, shape, path)
        case _:
            assert_never(shape)


def _wrong_text(value: object, text: Text, path: str) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{_at(path)} must be a string."
    elif len(value) < text.shortest:
        yield f"{_at(path)} must have at least {_counted(text.shortest, 'character')}."
    elif text.choices and value not in text.choices:
        yield f"{_at(path)} must be one of {', '.join(text.choices)}."


def _wrong_items(value: object, items: Items, path: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{_at(path)} must be an array."
        return
    if len(value) > MAX_VALUES:
        yield f"{_at(path)} must have at most {MAX_VALUES} values."
        return
    if len(value) < items.fewest:
        yield f"{_at(path)} must have at least {_counted(items.fewest, 'value')}."
    if items.unique:
        strings = [item for item in value if isinstance(item, str)]
        if len(set(strings)) < len(strings):
            yield f"{_at(path)} must not have a value twice."
    for index, item in enumerate(value):
        yield from _wrong(item, items.shape, f"{path}[{index}]")


def _wrong_members(value: object, members: Members, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{_at(path)} must be an object."
        return
    for name in members.required:
        if name not in value:
            yield f"{_below(path, name)} is required."
    for name, item in value.items():
        if name in members.shapes:
            yield from _wrong(item, members.shapes[name], _below(path, name))
        elif members.closed:
            yield f"{_below(path, shown(name))} is not known here."


def _wrong_number(value: object, number: Number, path: str) -> Iterator[str]:
    # 1.0 is an integer, as in JSON Schema: JSON has one kind of number.
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or (number.whole and isinstance(value, float) and not value.is_integer()):
        yield f"{_at(path)} must be {'an integer' if number.whole else 'a number'}."
    elif number.choices and value not in number.choices:
        yield f"{_at(path)} must be one of {', '.join(map(str, number.choices))}."


def _at(path: str) -> str:
    return path or "The body"


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
