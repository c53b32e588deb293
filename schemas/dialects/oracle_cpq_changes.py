"""From what the body of Oracle CPQ's PUT says to the PATCH operations that make it so and leave everything else alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from schemas import urns
from schemas.dialects.dialect import Violations
from schemas.dialects.oracle_cpq_bodies import Expressed
from schemas.dialects.oracle_cpq_fields import HOMES, PLURAL_HOMES, URN, WORK, Home, home_value
from schemas.folding import fold
from schemas.patch_requests import Operation
from schemas.paths import parse_path
from schemas.resource_types import USER

_LONGEST_TYPE: Final = 500
_MOST_TYPES: Final = 100
"""Both bound what the paths cost that name the types of a body's values."""


def operations(said: Expressed, preserves: tuple[str, ...]) -> tuple[Operation, ...]:
    """Return the operations; ``preserves`` are paths that stay as they are where the body has nothing for them.

    Raises Violations for types of values that are too many or too long to be named by paths.
    """
    preserved = frozenset(parse_path(path, USER).name.lower() for path in preserves)
    return (
        *_attributes(said),
        *(operation for name, home in HOMES.items() for operation in _home(said, preserved, name, home)),
        *(operation for urn, members in said.extensions.items() for operation in _extension(urn, members)),
        *_fields(said, preserved),
    )


def _attributes(said: Expressed) -> Iterator[Operation]:
    """Yield what sets SCIM's own attributes: of a complex one the sub-attributes that are there, the others stay."""
    for name, value in said.attributes.items():
        if isinstance(value, list):
            types = {fold(element.get("type", "")) for element in value}
            beside = _beside(said, name)
            if beside is not None and WORK not in types:
                yield beside  # before the others: a repeat would find it before them
            elif beside is None and name in PLURAL_HOMES:
                types.add(WORK)
            yield from _removals(name, types)
            yield Operation("add", name, value)
        elif isinstance(value, dict):
            yield from (Operation("replace", f"{name}.{sub}", item) for sub, item in value.items())
        else:
            yield Operation("replace", name, value)


def _beside(said: Expressed, attribute: str) -> Operation | None:
    """Return what sets the native field whose home is in this attribute, None where the body has no value for it."""
    fields = (field for field, value in said.homed.items() if value is not None)
    home = next((field for field in fields if HOMES[field].attribute == attribute), None)
    return None if home is None else Operation("add", HOMES[home].path, said.homed[home])


def _removals(name: str, types: set[str]) -> Iterator[Operation]:
    """Yield what removes the values of these types: those of the body take their place, so that values can be changed.

    Values of other types stay: CPQ's users have no field for them, and a body that is made without a look at the user
    does not know them.
    """
    if len(types - {WORK}) > _MOST_TYPES:
        raise Violations((f"{name} has values of more than {_MOST_TYPES} types.",))
    if any(len(each) > _LONGEST_TYPE for each in types):
        raise Violations((f"{name} has a type of more than {_LONGEST_TYPE} characters.",))
    for each in sorted(types):
        found = f"type eq {msgspec.json.encode(each).decode()}" if each else "not (type pr)"
        yield Operation("remove", f"{name}[{found}]")


def _home(said: Expressed, preserved: frozenset[str], name: str, home: Home) -> Iterator[Operation]:
    """Yield what gives the home of a field its value, or takes it back to its default where the body has none."""
    if home_value(home, said.attributes) is not None:
        return
    value = said.homed.get(name)
    if value is not None:
        yield Operation("add", home.path, value)
    elif home.cleared is None or (name not in said.homed and _is_preserved(home, preserved)):
        return
    elif home.default is not None:
        yield Operation("replace", home.path, home.default)
    elif home.attribute not in PLURAL_HOMES or home.attribute not in said.attributes:
        yield Operation("remove", home.cleared)


def _is_preserved(home: Home, preserved: frozenset[str]) -> bool:
    return not preserved.isdisjoint({home.attribute.lower(), home.path.lower()})


def _extension(urn: str, members: dict[str, Any]) -> Iterator[Operation]:
    """Yield what sets an extension of SCIM's: each attribute of the enterprise user that is there, another as a whole."""
    if urn != urns.ENTERPRISE_USER:
        yield Operation("replace", None, {urn: None})
        yield Operation("add", None, {urn: members})
        return
    for name, value in members.items():
        path = f"{urn}:{name}"
        if isinstance(value, dict):
            yield Operation("remove", path)  # or the $ref of another manager would stay beside the new value
        yield Operation("add", path, value)


def _fields(said: Expressed, preserved: frozenset[str]) -> Iterator[Operation]:
    """Yield what leaves CPQ's extension with the fields of the body alone, or with those and what the tenant preserves.

    A path cannot say "all but this", so to preserve one field is to preserve every one.
    """
    if any(f"{path}:".startswith(f"{URN.lower()}:") for path in preserved):
        cleared: dict[str, None] | None = dict.fromkeys(said.kept)
    else:
        cleared = None
    if cleared != {}:
        yield Operation("replace", None, {URN: cleared})
    if said.kept:
        yield Operation("add", None, {URN: said.kept})
