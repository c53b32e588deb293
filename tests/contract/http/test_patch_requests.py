"""What a PATCH request may look like, and what it is answered (scim.md L1, L2, L9, L12 to L14)."""

from __future__ import annotations

from typing import Any

import pytest

from schemas import urns
from tests.contract.http.samples import HOME, WORK, unchanged
from tests.served import Scim, Service, op, patch_op, refused

ENTERPRISE = urns.ENTERPRISE_USER


# --- L1: the body ---


@pytest.mark.parametrize(
    "body",
    [
        {"Operations": [op("replace", "title", value="t")]},
        {"schemas": [urns.USER], "Operations": [op("replace", "title", value="t")]},
        {"schemas": [], "Operations": [op("replace", "title", value="t")]},
        {"schemas": [urns.PATCH_OP]},
        {"schemas": [urns.PATCH_OP], "Operations": []},
        {"schemas": [urns.PATCH_OP], "Operations": {"op": "replace", "path": "title", "value": "t"}},
        {"schemas": [urns.PATCH_OP], "Operations": ["replace"]},
        patch_op({"path": "title", "value": "t"}),
        patch_op(op("move", "title", value="t")),
        patch_op(op("", "title", value="t")),
        patch_op({"op": 1, "path": "title", "value": "t"}),
        patch_op(op("add", "title")),
        patch_op(op("replace", "title")),
        patch_op(op("add")),
        [op("replace", "title", value="t")],
    ],
)
def test_L1_a_body_of_another_shape_is_invalidSyntax(rfc: Scim, ann: Any, body: Any) -> None:
    refused(rfc.request("PATCH", f"/Users/{ann['id']}", body), 400, "invalidSyntax")
    unchanged(rfc, ann)


def test_L1_a_profile_may_tolerate_a_body_without_the_schema(service: Service) -> None:
    for profile in ("entra", "okta", "onelogin"):
        caller = service.caller(profile)
        made = caller.made()
        answer = caller.request("PATCH", f"/Users/{made['id']}", {"Operations": [op("replace", "title", value="t")]})
        assert answer.status_code == 200
        assert answer.json()["title"] == "t"


@pytest.mark.parametrize("verb", ["Replace", "REPLACE", "Add", "aDD"])
def test_L1_op_is_matched_in_any_case(rfc: Scim, ann: Any, verb: str) -> None:
    assert rfc.patched(ann["id"], op(verb, "title", value="t"))["title"] == "t"
    assert "title" not in rfc.patched(ann["id"], op("Remove", "title"))


# --- L2: paths ---


@pytest.mark.parametrize(
    "path",
    [
        "nosuch",
        "name.nosuch",
        "emails.nosuch",
        "name.familyName.deeper",
        "9lives",
        "emails[",
        "emails]",
        "a b",
        ".name",
        "name.",
        'title[value eq "t"]',
        'emails[type eq "work"]value',
        'emails[type eq "work"].nosuch',
        'emails[type eq "work"].value.x',
        f"{ENTERPRISE}:nosuch",
        f"{urns.USER}:nosuch",
        "emails[0]",
        "/emails/0",
        "__class__",
        "name.__proto__",
    ],
)
def test_L2_a_path_that_names_nothing_is_invalidPath(rfc: Scim, ann: Any, path: str) -> None:
    wanted = {"invalidPath", "invalidFilter"} if "[" in path else {"invalidPath"}
    answer = rfc.patch(f"/Users/{ann['id']}", op("replace", path, value="x"))
    assert answer.status_code == 400
    assert answer.json()["scimType"] in wanted, answer.text
    unchanged(rfc, ann)


@pytest.mark.parametrize(
    "path",
    [
        "emails[type]",
        "emails[type eq]",
        'emails[type xx "work"]',
        'emails[type eq "work]',
        'emails[type eq "work"',
        "emails[type eq work]",
        "emails[]",
        'emails[(type eq "work"]',
        "emails[primary gt true]",
        'emails[nosuch eq "x"]',
        'emails[emails[type eq "work"]]',
    ],
)
def test_L2_a_wrong_filter_in_a_path_is_invalidFilter(rfc: Scim, ann: Any, path: str) -> None:
    refused(rfc.patch(f"/Users/{ann['id']}", op("replace", path, value={"value": "x"})), 400, "invalidFilter")
    unchanged(rfc, ann)


def test_L2_paths_may_select_by_a_whole_filter(rfc: Scim, ann: Any) -> None:
    path = '(type eq "work" or type eq "nosuch") and not (value co "h@") and primary eq true and value pr'
    patched = rfc.patched(ann["id"], op("replace", f"emails[{path}].display", value="d"))
    assert patched["emails"] == [WORK | {"display": "d"}, HOME]


# --- L9: mutability ---


@pytest.mark.parametrize("verb", ["add", "replace"])
@pytest.mark.parametrize(
    "path",
    ["id", "meta", "meta.created", "groups", 'groups[value eq "g"].display', f"{ENTERPRISE}:manager.displayName"],
)
def test_L9_what_is_readOnly_cannot_be_changed_by_path(rfc: Scim, ann: Any, verb: str, path: str) -> None:
    value: Any = [{"value": "g"}] if path == "groups" else {"version": "x"} if path == "meta" else "x"
    refused(rfc.patch(f"/Users/{ann['id']}", op(verb, path, value=value)), 400, "mutability")
    unchanged(rfc, ann)


@pytest.mark.parametrize("verb", ["add", "replace"])
def test_L9_readOnly_members_of_a_value_without_path_are_ignored(rfc: Scim, ann: Any, verb: str) -> None:
    value = {"id": "x", "meta": {"version": "x"}, "schemas": ["urn:x"], "groups": [{"value": "g"}], "title": "t"}
    patched = rfc.patched(ann["id"], op(verb, value=value))
    assert patched["title"] == "t"
    assert (patched["id"], patched["schemas"]) == (ann["id"], ann["schemas"])
    assert "groups" not in patched


@pytest.mark.parametrize("value", [None, "", "  "])
def test_L9_userName_cannot_be_emptied(rfc: Scim, ann: Any, value: Any) -> None:
    for operation in (op("replace", "userName", value=value), op("replace", value={"userName": value})):
        answer = rfc.patch(f"/Users/{ann['id']}", operation)
        assert answer.status_code == 400
        assert answer.json()["scimType"] in {"invalidValue", "mutability"}
    unchanged(rfc, ann)


# --- L12: the answer ---


def test_L12_success_is_200_with_the_user(rfc: Scim, ann: Any) -> None:
    answer = rfc.patch(f"/Users/{ann['id']}", op("replace", "title", value="t"))
    assert answer.status_code == 200
    assert answer.json() == ann | {"title": "t", "meta": answer.json()["meta"]}
    assert answer.headers["ETag"] == 'W/"2"'
    assert answer.headers["Location"] == ann["meta"]["location"]


def test_L12_a_tenant_may_want_204_but_attributes_are_always_answered(service: Service) -> None:
    caller = service.caller("nocontent")
    made = caller.made()
    path = f"/Users/{made['id']}"
    answer = caller.patch(path, op("replace", "title", value="t"))
    assert answer.status_code == 204
    assert answer.headers["ETag"] == 'W/"2"'
    assert caller.read(made["id"])["title"] == "t"
    shown = caller.patch(path, op("replace", "title", value="u"), attributes="title")
    assert shown.status_code == 200
    assert shown.json()["title"] == "u"
    refused(caller.patch(path, op("remove", "userName")), 400, "mutability")


# --- L13: the keys of a value without path ---


def test_L13_URN_keys_are_expanded(rfc: Scim, ann: Any) -> None:
    value = {
        ENTERPRISE: {"division": "v"},
        f"{ENTERPRISE}:costCenter": "c",
        f"{urns.USER}:nickName": "n",
    }
    patched = rfc.patched(ann["id"], op("replace", value=value))
    assert patched[ENTERPRISE] == {"department": "d", "manager": {"value": "m-1"}, "division": "v", "costCenter": "c"}
    assert patched["nickName"] == "n"


def test_L13_dotted_keys_are_expanded_where_the_profile_says_so(rfc: Scim, entra: Scim, ann: Any) -> None:
    value = {
        "name.familyName": "Li",
        'emails[type eq "work"].value': "w2@example.com",
        f"{ENTERPRISE}:employeeNumber": "7",
        f"{ENTERPRISE}:manager": "m-2",
        "active": "False",
    }
    made = entra.made(emails=[WORK])
    patched = entra.patched(made["id"], op("Replace", value=value))
    assert patched["name"] == {"familyName": "Li"}
    assert patched["emails"] == [WORK | {"value": "w2@example.com"}]
    assert patched[ENTERPRISE] == {"employeeNumber": "7", "manager": {"value": "m-2"}}
    assert patched["active"] is False
    plain = rfc.patched(ann["id"], op("replace", value={"name.familyName": "Li", "title": "t"}))
    assert plain["name"]["familyName"] == "Lee", "in profile rfc a dotted key is an unknown attribute"
    assert plain["title"] == "t"


def test_L13_entra_writes_booleans_and_managers_as_strings(rfc: Scim, entra: Scim, ann: Any) -> None:
    made = entra.made()
    manager = f"{ENTERPRISE}:manager"
    patched = entra.patched(made["id"], op("Replace", "active", value="True"), op("Add", manager, value="271"))
    assert patched["active"] is True
    assert patched[ENTERPRISE] == {"manager": {"value": "271"}}
    assert ENTERPRISE not in entra.patched(made["id"], op("Replace", manager, value=""))
    refused(rfc.patch(f"/Users/{ann['id']}", op("replace", "active", value="True")), 400, "invalidValue")
    refused(rfc.patch(f"/Users/{ann['id']}", op("add", manager, value="271")), 400, "invalidValue")


# --- L14: what is not there ---


@pytest.mark.parametrize(
    "operation",
    [
        op("replace", "emails[0].value", value="x"),
        op("replace", "emails.0.value", value="x"),
        op("replace", "/title", value="x"),
    ],
)
def test_L14_there_is_no_array_index(rfc: Scim, ann: Any, operation: dict[str, Any]) -> None:
    answer = rfc.patch(f"/Users/{ann['id']}", operation)
    assert answer.status_code == 400
    assert answer.json()["scimType"] in {"invalidPath", "invalidFilter"}
    unchanged(rfc, ann)


@pytest.mark.parametrize("verb", ["move", "copy", "test"])
def test_L14_there_is_no_move_copy_or_test(rfc: Scim, ann: Any, verb: str) -> None:
    operation = op(verb, "title", value="x") | {"from": "/displayName"}
    refused(rfc.patch(f"/Users/{ann['id']}", operation), 400, "invalidSyntax")
    unchanged(rfc, ann)
