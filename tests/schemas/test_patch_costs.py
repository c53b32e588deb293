"""PATCH requests that are small to send and would be long to apply: each is refused before it costs a second."""

from __future__ import annotations

from typing import Any

import pytest

from schemas import urns
from schemas.errors import InvalidValue
from schemas.patch import apply_patch
from schemas.patch_requests import normalise
from schemas.resource_types import USER
from schemas.rules import Rules

RULES = Rules()
FOREIGN = "urn:example:hr"


def patched(resource: dict[str, Any], *operations: dict[str, Any]) -> dict[str, Any]:
    body = {"schemas": [urns.PATCH_OP], "Operations": list(operations)}
    return apply_patch(normalise(body, USER, RULES).operations, resource, USER, RULES)


def user(**attributes: Any) -> dict[str, Any]:
    schemas = [urns.USER, *(name for name in attributes if ":" in name)]
    return {"schemas": schemas, "id": "1", "userName": "ann", **attributes}


def test_members_of_a_large_unknown_extension_are_not_searched_for_each_of_many_operations() -> None:
    large = user(**{FOREIGN: {f"a{number}": number for number in range(80_000)}})
    operations = [{"op": "add", "value": {FOREIGN: {f"b{number}": 1}}} for number in range(500)]
    with pytest.raises(InvalidValue, match="search more than"):
        patched(large, *operations)
    assert len(patched(large, *operations[:3])[FOREIGN]) == 80_003


def test_the_extensions_of_a_resource_are_not_searched_for_each_of_many_new_ones() -> None:
    large = user(**{f"urn:a:{number}": {"x": 1} for number in range(5_000)})
    value = {f"urn:b:{number}": {"x": 1} for number in range(4_000)}
    with pytest.raises(InvalidValue, match="search more than"):
        patched(large, {"op": "add", "value": value})
    few = patched(user(), {"op": "add", "value": dict(list(value.items())[:500])})
    assert few["schemas"] == [urns.USER, *(f"urn:b:{number}" for number in range(500))]


def test_values_are_not_compared_with_one_another_for_each_of_many_value_paths() -> None:
    large = user(emails=[{"value": str(number)} for number in range(10_000)])
    operations = [
        {"op": "replace", "path": f'emails[value eq "{number}"].type', "value": "work"} for number in range(500)
    ]
    with pytest.raises(InvalidValue, match="search more than"):
        patched(large, *operations[:20])
    assert patched(large, *operations[:10])["emails"][9] == {"value": "9", "type": "work"}


def test_values_are_not_compared_with_one_another_for_each_of_many_new_primaries() -> None:
    large = user(emails=[{"value": str(number)} for number in range(9_000)])
    operations = [
        {"op": "add", "path": "emails", "value": [{"value": f"new-{number}", "primary": True}]} for number in range(500)
    ]
    with pytest.raises(InvalidValue, match="search more than"):
        patched(large, *operations[:30])
    primaries = [each for each in patched(large, *operations[:5])["emails"] if each.get("primary")]
    assert primaries == [{"value": "new-4", "primary": True}]


def test_L11_schemas_follow_extensions_that_go_and_come_under_another_spelling() -> None:
    resource = user(**{"urn:A:x": {"a": 1}, "urn:B:x": {"b": 1}})
    result = patched(
        resource,
        {"op": "remove", "path": "urn:A:x:a"},
        {"op": "add", "value": {"urn:a:X": {"c": 1}}},
        {"op": "add", "value": {"urn:C:x": {"c": 1}}},
    )
    assert result["schemas"] == [urns.USER, "urn:B:x", "urn:a:X", "urn:C:x"]
    assert "urn:A:x" not in result


def test_what_many_removals_have_in_common_is_not_compared_for_each_of_them() -> None:
    large = user(emails=[{"value": str(number), "type": "w"} for number in range(10_000)])
    alike = " or ".join(f'type eq "w" and not (value eq "{number}")' for number in range(25))
    with pytest.raises(InvalidValue, match="search more than"):
        patched(large, *[{"op": "remove", "path": f"emails[{alike}]"}] * 2)
    removals = [{"op": "remove", "path": f'emails[type eq "w" and value eq "{number}"]'} for number in range(500)]
    assert len(patched(large, *removals)["emails"]) == 9_500


@pytest.mark.parametrize(
    "element",
    [{f"k{number}": number for number in range(50_000)}, {"z": [0] * 50_000}, {"z": "x" * 900_000}],
    ids=["members", "items", "characters"],
)
def test_a_value_is_as_dear_to_search_as_it_is_large(element: dict[str, Any]) -> None:
    large = user(**{FOREIGN: {"a": [element]}})
    several = " or ".join(f'z co "y{number}"' for number in range(50))
    removals = [{"op": "remove", "path": f"{FOREIGN}:a[{several}].q"}] * 500
    with pytest.raises(InvalidValue, match="search more than"):
        patched(large, *removals)
    assert patched(large, {"op": "remove", "path": f'{FOREIGN}:a[z co "y"].q'}) == large


def test_a_filter_is_not_held_against_a_large_new_value_for_each_of_its_terms() -> None:
    several = " or ".join(f'z co "y{number}"' for number in range(50))
    operations = [{"op": "add", "path": f"{FOREIGN}:a[{several}]", "value": {"z": "é" * 400_000}}]
    with pytest.raises(InvalidValue, match="search more than"):
        patched(user(), *operations)


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "add", "path": f"{FOREIGN}:a.new", "value": 1},
        {"op": "add", "path": f"{FOREIGN}:a", "value": {"new": 1}},
        {"op": "add", "path": f"{FOREIGN}:many[new eq 1]", "value": {"NEW": 1}},
    ],
    ids=["sub-attribute", "merge", "value path"],
)
def test_a_large_object_is_not_searched_copied_or_compared_for_each_of_many_operations(
    operation: dict[str, Any],
) -> None:
    members = {f"k{number}": number for number in range(100_000)}
    large = user(**{FOREIGN: {"a": members, "many": [members]}})
    with pytest.raises(InvalidValue, match="search more than"):
        patched(large, *[operation] * 500)
    assert patched(large, operation) != large


def test_a_value_that_stands_often_in_an_array_is_compared_once() -> None:
    large = user(**{FOREIGN: {"a": [{"v": ["x"] * 200_000}]}})
    assert patched(large, {"op": "remove", "path": f'{FOREIGN}:a[v eq "x" and v eq "y"]'}) == large


def test_five_hundred_objects_join_some_hundred_others() -> None:
    there = [{"value": str(number), "display": "Abteilung für Größen und Maße"} for number in range(300)]
    operations = [
        {"op": "add", "path": f"{FOREIGN}:a", "value": [{"value": f"new-{number}", "display": "Größe"}]}
        for number in range(500)
    ]
    assert len(patched(user(**{FOREIGN: {"a": there}}), *operations)[FOREIGN]["a"]) == 800


@pytest.mark.parametrize(
    "between",
    [
        {"op": "remove", "path": f"{FOREIGN}:A"},
        {"op": "replace", "path": f"{FOREIGN.upper()}:a", "value": ["y"]},
        {"op": "replace", "value": {FOREIGN: {"A": None}}},
        {"op": "replace", "value": {FOREIGN: None}},
        {"op": "remove", "path": f'{FOREIGN}:a[value eq "x"]'},
    ],
)
def test_L5_what_went_in_between_can_be_added_again(between: dict[str, Any]) -> None:
    add = {"op": "add", "path": f"{FOREIGN}:a", "value": ["x"]}
    result = patched(user(**{FOREIGN: {"a": ["x", "z"]}}), add, between, add)
    assert "x" in next(members["a"] for name, members in result.items() if name.lower() == FOREIGN)


def test_the_displays_of_a_thousand_values_are_not_what_their_values_cost() -> None:
    large = user(
        emails=[
            {"value": str(number), "display": "東京本社総務部人事課採用担当者連絡先一覧表示名"}
            for number in range(1000)
        ]
    )
    operations = [
        {"op": "replace", "path": f'emails[value eq "{number}"].display', "value": "x"} for number in range(160)
    ]
    assert patched(large, *operations)["emails"][159]["display"] == "x"
