"""PATCH requests that are small to send and long to apply, or whose paths name what no schema has."""

from __future__ import annotations

from typing import Any

import pytest

from schemas import urns
from tests.contract.hostile.wire import USERS, Caller, compact, refused
from tests.served import unique

SLOWEST_S = 3.0
"""What a request at all limits at once may take; alone on a core none takes a third of it."""

PATHS: dict[str, tuple[str, str]] = {
    "long-name": ("a" * 50_000, "invalidPath"),
    "many-dots": ("a." * 25_000, "invalidPath"),
    "many-brackets": ("emails" + "[" * 50_000, "invalidPath"),
    "4000-brackets": ("emails" + "[" * 4_000, "invalidFilter"),
    "parentheses": ("emails[" + "(" * 4_000, "invalidFilter"),
    "balanced-parentheses": ("emails[" + "(" * 1_900 + "type pr" + ")" * 1_900 + "]", "invalidFilter"),
    "not": ("emails[" + "not(" * 1_000, "invalidFilter"),
    "not-not": ("emails[" + "not " * 1_000 + "type pr]", "invalidFilter"),
    "ands": ("emails[type pr" + " and type pr" * 300 + "]", "invalidFilter"),
    "ors": ("emails[type pr" + " or type pr" * 300 + "]", "invalidFilter"),
    "quotes": ('emails[type eq "' + '"' * 4_000, "invalidFilter"),
    "backslashes": ('emails[type eq "' + "\\" * 4_001 + '"]', "invalidFilter"),
    "spaces": ("emails[" + " " * 4_000 + "]", "invalidFilter"),
    "repeated-groups": ("emails[" + "(type pr)" * 400 + "]", "invalidFilter"),
    "colons": (":" * 4_000, "invalidPath"),
    "dots-only": ("." * 4_000, "invalidPath"),
    "sub-attributes": ("emails." + "value." * 600, "invalidPath"),
    "value-path-in-a-value-path": ('emails[type[x eq "1"] eq "a"]', "invalidFilter"),
    "brackets-twice": ('emails[type eq "a"][type eq "b"]', "invalidPath"),
    "brackets-on-a-single-value": ('name[familyName eq "a"]', "invalidPath"),
    "index": ("emails[0]", "invalidFilter"),
    "pointer": ("/emails/0/value", "invalidPath"),
    "nothing-in-brackets": ("emails[]", "invalidFilter"),
    "huge-number": ("emails[type eq " + "9" * 4_000 + "]", "invalidFilter"),
    "infinite-number": ("emails[primary eq 1e999]", "invalidFilter"),
    "class": ("__class__", "invalidPath"),
    "init": ("emails.__init__", "invalidPath"),
    "proto": ("__proto__.polluted", "invalidPath"),
    "constructor": ("constructor.prototype", "invalidPath"),
    "traversal": ("../../etc/passwd", "invalidPath"),
    "blank": (" ", "invalidPath"),
    "unknown": ("nosuch", "invalidPath"),
    "unknown-in-extension": (f"{urns.ENTERPRISE_USER}:nosuch", "invalidPath"),
    "URN-only-prefix": ("urn:", "invalidPath"),
    "Cyrillic": ("usеrName", "invalidPath"),
    "full-width": ("ｕｓｅｒＮａｍｅ", "invalidPath"),
    "zero-width": ("user\u200bName", "invalidPath"),
    "Kelvin-sign": ("nic\u212aName", "invalidPath"),
}


def replace(path: str, value: Any = "x") -> dict[str, Any]:
    return {"op": "replace", "path": path, "value": value}


def add(path: str, value: Any = "x") -> dict[str, Any]:
    return {"op": "add", "path": path, "value": value}


def remove(path: str, value: Any = None) -> dict[str, Any]:
    return {"op": "remove", "path": path} if value is None else {"op": "remove", "path": path, "value": value}


def emails(count: int) -> list[dict[str, str]]:
    return [{"value": f"{number}", "type": f"{number % 10}"} for number in range(count)]


@pytest.fixture(scope="module")
def crowded(hostile: Caller) -> str:
    """A user with as many e-mail addresses as one may have."""
    return hostile.made(unique(), emails=emails(10_000))


@pytest.fixture(scope="module")
def wide(hostile: Caller) -> str:
    """A user whose unknown extension has 80,000 members."""
    return hostile.made(unique(), **{"urn:x": {f"a{number}": 1 for number in range(80_000)}})


@pytest.mark.parametrize(("path", "scim_type"), PATHS.values(), ids=PATHS)
def test_a_path_that_is_wrong_or_too_much_is_refused_at_once(hostile: Caller, path: str, scim_type: str) -> None:
    for operation in (add(path), replace(path), remove(path)):
        answer = hostile.patch("x", [operation])
        refused(answer, 400, scim_type)
        assert answer.seconds < 1.0


@pytest.mark.parametrize("path", ["a\x00b", "title\x07", 'emails[type eq "\x1b"]'])
def test_control_characters_in_a_path_are_refused(hostile: Caller, path: str) -> None:
    refused(hostile.patch("x", [replace(path)]), 400, "invalidValue")


@pytest.mark.parametrize("path", [5, True, ["title"], {"a": 1}])
def test_a_path_that_is_no_string_is_invalidPath(hostile: Caller, path: Any) -> None:
    refused(hostile.patch("x", [{"op": "add", "path": path, "value": "x"}]), 400, "invalidPath")


@pytest.mark.parametrize(
    "verb", ["move", "copy", "test", "", " add", "__class__", None, 1, ["add"], {"add": 1}, "a" * 100_000]
)
def test_an_op_that_is_none_is_invalidSyntax(hostile: Caller, verb: Any) -> None:
    refused(hostile.patch("x", [{"op": verb, "path": "title", "value": "x"}]), 400, "invalidSyntax")


@pytest.mark.parametrize("operations", [None, 1, "add", {}, [], [1], ["add"], [[]], [None], [{}], [{"op": "add"}]])
def test_operations_that_are_none_are_invalidSyntax(hostile: Caller, operations: Any) -> None:
    refused(hostile.patch("x", operations), 400, "invalidSyntax")


@pytest.mark.parametrize("count", [501, 40_000, 100_000])
def test_more_than_500_operations_are_refused_whatever_they_are(hostile: Caller, count: int) -> None:
    for operation in (remove("x"), 1) if count < 100_000 else (1, {}):
        answer = hostile.patch("x", [operation] * min(count, 30_000 if operation == remove("x") else count))
        refused(answer, 400, "invalidValue")
        assert answer.seconds < 1.0


ARRAYS: list[Any] = [
    ["a"] * 100_000,
    [{}] * 100_000,
    [None] * 100_000,
    [[]] * 100_000,
    [{"x": 1}] * 100_000,
    [1] * 100_000,
]


@pytest.mark.parametrize("value", ARRAYS, ids=lambda value: str(value[0]))
def test_a_value_of_100_000_elements_is_refused(hostile: Caller, tolerant: Caller, value: Any) -> None:
    for caller in (hostile, tolerant):
        for operation in (add("emails", value), replace("emails", value), {"op": "add", "value": {"emails": value}}):
            answer = caller.patch("x", [operation])
            refused(answer, 400, "invalidValue")
            assert answer.seconds < SLOWEST_S
    refused(tolerant.patch("x", [remove("emails", value)]), 400, "invalidValue")


def any_of(comparison: str, value: int, closing: str = "") -> str:
    """Return a value path with as many comparisons as one may have."""
    terms = (f'{comparison} "{value}{term}"{closing}' for term in range(50))
    return f"emails[{' or '.join(terms)}]"


EACH = range(500)
COSTLY: dict[str, list[dict[str, Any]]] = {
    "replace-one-of-10000": [replace(f'emails[value eq "{n}"].type') for n in EACH],
    "replace-one-of-10000-by-co": [replace(f'emails[value co "{n}"].type') for n in EACH],
    "replace-all": [replace("emails.type", f"{n}") for n in EACH],
    "add-primary": [add("emails", [{"value": f"new-{n}", "primary": True}]) for n in EACH],
    "set-primary": [replace(f'emails[value eq "{n}"].primary', True) for n in EACH],
    "add-and-replace-in-turn": [
        replace(f'emails[value eq "{n}"].type') if n % 2 else add("emails", [{"value": f"new-{n}"}]) for n in EACH
    ],
    "fifty-substrings": [replace(any_of("value co", n) + ".type") for n in range(300)],
    "fifty-negations": [remove(any_of("not (value co", n, ")")) for n in range(300)],
    "near-matches": [remove('emails[value co "%sb"]' % ("a" * 2000)) for _ in range(400)],
    "long-paths": [remove(any_of("value eq", n * 10**60)) for n in range(1, 240)],
    "whole-values": [replace("emails", [{"value": f"{n}-{each}"} for each in range(60)]) for n in EACH],
    "members-one-by-one": [{"op": "add", "value": {"urn:x": {f"b{n}": 1}}} for n in EACH],
    "members-one-by-one-by-path": [add(f"urn:x:b{n}", 1) for n in EACH],
    "members-of-members": [
        add("urn:x:big", {f"k{n}": 1 for n in range(40_000)}),
        *(add("urn:x:big", {f"z{n}": 1}) for n in range(499)),
    ],
    "elements-one-by-one": [add("urn:x:list", list(range(100_000))), *(add("urn:x:list", n) for n in range(499))],
    "extensions-one-by-one": [add(f"urn:y{n}:a", 1) for n in EACH],
    "many-extensions": [{"op": "add", "value": {f"urn:y{n}": {"a": 1} for n in range(9_000)}}],
    "too-many-extensions": [{"op": "add", "value": {f"urn:y{n}": {"a": 1} for n in range(40_000)}}],
    "dotted-names": [{"op": "add", "value": {f"name.x{n}": "a" for n in range(50_000)}}],
    "value-paths-as-names": [{"op": "add", "value": {f'emails[type eq "a{n}"].value': "a" for n in range(25_000)}}],
    "schemas-in-schemas": [{"op": "add", "value": {urns.USER: {urns.USER: {urns.USER: {"title": "x"}}}}}],
}


@pytest.mark.parametrize("operations", COSTLY.values(), ids=COSTLY)
def test_the_costliest_requests_are_answered_in_time(
    hostile: Caller, crowded: str, wide: str, operations: list[dict[str, Any]]
) -> None:
    """Refused or applied, as the limits have it; ``unharmed`` sees that a bystander does not wait for them."""
    for resource_id in (crowded, wide):
        answer = hostile.patch(resource_id, operations)
        assert answer.seconds < SLOWEST_S
        if answer.status != 200:
            assert answer.status in {400, 413}, answer.body[:300]
            refused(answer, answer.status, answer.json().get("scimType"))


@pytest.mark.parametrize("operations", COSTLY.values(), ids=COSTLY)
def test_the_costliest_requests_are_answered_in_time_where_more_is_tolerated(
    tolerant: Caller, operations: list[dict[str, Any]]
) -> None:
    answer = tolerant.patch("nobody", operations)
    assert answer.seconds < SLOWEST_S
    assert answer.status in {400, 404}
    refused(answer, answer.status, answer.json().get("scimType"))


def test_a_removal_of_10_000_values_by_value_is_answered_in_time(tolerant: Caller) -> None:
    resource_id = tolerant.made(unique(), emails=emails(10_000))
    answer = tolerant.patch(resource_id, [remove("emails", [{"value": each["value"]} for each in emails(10_000)])])
    assert answer.seconds < SLOWEST_S
    assert answer.status in {200, 400}, answer.body[:300]
    answer = tolerant.patch(resource_id, [remove("emails", [{"value": f"{n}"} for n in range(60)])] * 500)
    assert answer.seconds < SLOWEST_S
    assert answer.status in {200, 400}, answer.body[:300]


def test_a_resource_does_not_grow_beyond_a_mebibyte_by_patches(hostile: Caller) -> None:
    resource_id = hostile.made(unique(), displayName="x" * 700_000)
    version = hostile.request("GET", f"{USERS}/{resource_id}").headers["etag"]
    refused(hostile.patch(resource_id, [replace("title", "y" * 700_000)]), 413)
    assert hostile.request("GET", f"{USERS}/{resource_id}").headers["etag"] == version


def test_a_refused_PATCH_leaves_nothing(hostile: Caller) -> None:
    resource_id = hostile.made(unique(), title="before")
    before = hostile.request("GET", f"{USERS}/{resource_id}").body
    refused(hostile.patch(resource_id, [replace("title", "after"), replace("nosuch")]), 400, "invalidPath")
    refused(hostile.patch(resource_id, [replace("title", "after"), replace("active", "maybe")]), 400, "invalidValue")
    broken = compact({"schemas": [urns.PATCH_OP], "Operations": [replace("title", "after")]})[:-2]
    refused(hostile.request("PATCH", f"{USERS}/{resource_id}", broken), 400, "invalidSyntax")
    assert hostile.request("GET", f"{USERS}/{resource_id}").body == before
