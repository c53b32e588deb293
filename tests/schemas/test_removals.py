"""Removals that name the elements to remove by value, as value paths."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from schemas import urns
from schemas.attributes import ResourceType
from schemas.errors import InvalidValue
from schemas.patch_requests import normalise
from schemas.resource_types import USER
from schemas.rules import Rules
from tests.schemas.tables import BADGE_URN, GROUP

_BY_VALUE = Rules(remove_by_value=True)


def _body(operation: dict[str, Any]) -> dict[str, Any]:
    return {"schemas": [urns.PATCH_OP], "Operations": [operation]}


def _removed(
    value: Any, path: str = "members", rules: Rules = _BY_VALUE, resource_type: ResourceType = GROUP
) -> list[str]:
    """Return the paths of the removals that come of one with a value."""
    body = _body({"op": "remove", "path": path, "value": value})
    operations = normalise(body, resource_type, rules).operations
    assert all(each.op == "remove" and each.value is msgspec.UNSET for each in operations)
    return [each.path or "" for each in operations]


def _refused(operation: dict[str, Any], resource_type: ResourceType = GROUP) -> str:
    with pytest.raises(InvalidValue) as caught:
        normalise(_body(operation), resource_type, _BY_VALUE)
    return caught.value.detail


def test_L8_a_removal_with_values_names_the_elements_where_the_tenant_says_so() -> None:
    assert _removed([{"value": "1"}, {"value": "2"}]) == ['members[value eq "1" or value eq "2"]']
    assert _removed([{"$ref": None, "value": "1", "display": "x", "type": "User"}]) == ['members[value eq "1"]']
    assert _removed({"value": "1"}) == ['members[value eq "1"]']
    assert _removed(["1", "1", "2"]) == ['members[value eq "1" or value eq "2"]']
    assert _removed("1") == ['members[value eq "1"]']
    assert _removed([{"$ref": "../Users/1"}]) == ['members[$ref eq "../Users/1"]']


def test_L8_an_element_of_another_attribute_is_named_by_value_and_type_or_else_by_all_that_is_given() -> None:
    value: list[Any] = [{"value": "a", "type": "work", "primary": True, "display": "A"}, {"value": "b"}]
    assert _removed(value, "Emails", resource_type=USER) == ['emails[value eq "a" and type eq "work" or value eq "b"]']
    value = [{"type": "work", "locality": "X"}]
    assert _removed(value, "addresses", resource_type=USER) == ['addresses[type eq "work" and locality eq "X"]']
    assert _removed([{"floor": 3, "open": True}], "doors") == ["doors[floor eq 3 and open eq true]"]
    assert _removed(["a", 'b"'], "tags") == [r'tags[value eq "a" or value eq "b\""]']
    assert _removed(["x"], f"{BADGE_URN}:marks") == [f'{BADGE_URN}:marks[value eq "x"]']
    assert _removed([{"value": "x", "t": 1}, "s", {"k": None}], "urn:x:list") == [
        'urn:x:list[value eq "x" or value eq "s" or k eq null]'
    ]


@pytest.mark.parametrize("value", [[], {}, [None], [{}], [{"value": None}], [{"undefined": 1}], ""])
def test_L8_a_removal_that_names_nothing_removes_nothing(value: Any) -> None:
    assert _removed(value, rules=Rules(remove_by_value=True, bare_members=True)) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("members", None),
        ("members", 5),
        ("level", [5]),
        ("owner", {"value": "1"}),
        ("tags", None),
        ("urn:x:attr", "x"),
        ("urn:x:attr", {"value": "x"}),
        (BADGE_URN, ["x"]),
        ('members[value eq "1"]', [{"value": "2"}]),
        ("members.note", ["x"]),
    ],
)
def test_L8_a_value_that_cannot_name_elements_is_ignored(path: str, value: Any) -> None:
    assert _removed(value, path) == [path]


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        ([5], "members must be an object in an array."),
        ([{"value": 5}], "members.value must be a string."),
        ([{"value": "x" * 4100}], "A value to remove from members is too long to select by."),
        ([{"value": "x" * 4071}], None),
        ([{"value": "x" * 4072}], None),
        (["x"] * 10_001, "members has more than 10000 values."),
    ],
)
def test_L8_what_is_no_element_or_too_long_is_refused(value: Any, detail: str | None) -> None:
    operation = {"op": "remove", "path": "members", "value": value}
    if detail is not None:
        assert _refused(operation) == detail
    else:
        assert len(_removed(value)) == 1


def test_L8_an_opaque_element_is_named_by_simple_values() -> None:
    detail = "A value to remove from urn:x:list must be named by simple sub-attributes."
    values: list[Any] = [[{"a": [1]}], [{"value": {}}], [{"a b": 1}], [["x"]]]
    for value in values:
        operation = {"op": "remove", "path": "urn:x:list", "value": value}
        assert _refused(operation, USER) == detail
    many = {"op": "remove", "path": "urn:x:list", "value": [{f"k{n}": n for n in range(51)}]}
    assert _refused(many, USER) == ("A value to remove from urn:x:list is too long to select by.")


def test_L8_many_elements_are_named_in_as_few_paths_as_filters_can_hold() -> None:
    paths = _removed([{"value": str(n)} for n in range(10_000)])
    assert len(paths) == 200
    assert {path.count(" eq ") for path in paths} == {50}
    paths = _removed([{"value": f"{n:01000}"} for n in range(9)])
    assert [path.count(" eq ") for path in paths] == [4, 4, 1]
    paths = _removed([{"value": f"{n:02000}"} for n in range(4)])
    assert [path.count(" eq ") for path in paths] == [2, 2]
    paths = _removed([{"floor": n, "open": True} for n in range(26)], "doors")
    assert [path.count(" eq ") for path in paths] == [50, 2]


def test_L8_paths_fill_the_limit_to_the_last_byte() -> None:
    size = 4096 - len('members[value eq "" or value eq ""]')
    first, second = "a" * (size // 2), "b" * (size - size // 2)
    paths = _removed([{"value": first}, {"value": second}])
    assert [len(path) for path in paths] == [4096]
    assert len(_removed([{"value": first}, {"value": second + "b"}])) == 2
    single = 4096 - len('members[value eq ""]')
    assert [len(path) for path in _removed([{"value": "a" * single}])] == [4096]
    too_long = {"op": "remove", "path": "members", "value": [{"value": "a" * (single + 1)}]}
    _refused(too_long)
