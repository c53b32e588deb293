"""What PATCH does to a user (scim.md L3 to L8, L10, L11; RFC 7644 section 3.5.2)."""

from __future__ import annotations

from typing import Any

import pytest

from schemas import urns
from tests.contract.http.samples import HOME, WORK, unchanged
from tests.served import Scim, Service, op, patch_op, refused, unique, user

ENTERPRISE = urns.ENTERPRISE_USER


# --- L3: in order, all or nothing ---


def test_L3_each_operation_sees_what_those_before_it_left(rfc: Scim, ann: Any) -> None:
    patched = rfc.patched(
        ann["id"],
        op("add", "emails", value=[{"value": "n@example.com", "type": "new"}]),
        op("replace", 'emails[type eq "new"].value', value="n2@example.com"),
        op("remove", 'emails[value eq "n2@example.com"].type'),
        op("replace", "title", value="a"),
        op("replace", "title", value="b"),
        op("remove", "name"),
        op("add", "name.familyName", value="Li"),
    )
    assert patched["emails"] == [WORK, HOME, {"value": "n2@example.com"}]
    assert patched["title"] == "b"
    assert patched["name"] == {"familyName": "Li"}
    assert patched["meta"]["version"] == 'W/"2"', "one request, one version"


@pytest.mark.parametrize(
    ("last", "scim_type"),
    [
        (op("remove", "userName"), "mutability"),
        (op("replace", 'emails[type eq "none"].value', value="x"), "noTarget"),
        (op("replace", "nosuch", value="x"), "invalidPath"),
        (op("replace", "active", value="maybe"), "invalidValue"),
        (op("add", "id", value="x"), "mutability"),
    ],
)
def test_L3_all_or_nothing(rfc: Scim, ann: Any, service: Service, last: dict[str, Any], scim_type: str) -> None:
    first = op("replace", "title", value="changed"), op("add", "nickName", value="n")
    refused(rfc.patch(f"/Users/{ann['id']}", *first, last), 400, scim_type)
    unchanged(rfc, ann)


# --- L4: nothing changed ---


@pytest.mark.parametrize(
    "operation",
    [
        op("replace", "displayName", value="Ann"),
        op("add", "displayName", value="Ann"),
        op("add", "emails", value=[WORK]),
        op("add", "emails", value=HOME),
        op("replace", "emails", value=[WORK, HOME]),
        op("replace", 'emails[type eq "home"].value', value="h@example.com"),
        op("remove", "nickName"),
        op("remove", 'emails[type eq "none"]'),
        op("replace", value={"displayName": "Ann", "name": {"givenName": "Ann"}}),
        op("add", value={}),
        op("add", "nickName", value=None),
        op("replace", "nickName", value=None),
        op("add", f"{ENTERPRISE}:department", value="d"),
        op("replace", value={"id": "x", "meta": {}, "schemas": [urns.USER]}),
    ],
)
def test_L4_a_no_op_changes_neither_version_nor_lastModified(rfc: Scim, ann: Any, operation: dict[str, Any]) -> None:
    answer = rfc.patch(f"/Users/{ann['id']}", operation)
    assert answer.status_code == 200, answer.text
    assert answer.json() == ann
    assert answer.headers["ETag"] == 'W/"1"'


# --- L5: add ---


def test_L5_add_without_a_path_merges_into_the_user(rfc: Scim, ann: Any) -> None:
    value = {"title": "t", "nickName": "n", "name": {"middleName": "J"}, "emails": [{"value": "x@example.com"}]}
    patched = rfc.patched(ann["id"], op("add", value=value | {ENTERPRISE: {"division": "v"}}))
    assert patched["title"] == "t"
    assert patched["nickName"] == "n"
    assert patched["name"] == {"familyName": "Lee", "givenName": "Ann", "middleName": "J"}
    assert patched["emails"] == [WORK, HOME, {"value": "x@example.com"}]
    assert patched[ENTERPRISE] == {"department": "d", "manager": {"value": "m-1"}, "division": "v"}


def test_L5_add_to_a_complex_attribute_merges_its_sub_attributes(rfc: Scim, ann: Any) -> None:
    patched = rfc.patched(ann["id"], op("add", "name", value={"givenName": "Anna", "middleName": "J"}))
    assert patched["name"] == {"familyName": "Lee", "givenName": "Anna", "middleName": "J"}


def test_L5_add_to_a_multi_valued_attribute_appends_what_is_new(rfc: Scim, ann: Any) -> None:
    new = {"value": "n@example.com", "type": "other"}
    assert rfc.patched(ann["id"], op("add", "emails", value=[HOME, new, new]))["emails"] == [WORK, HOME, new]


def test_L5_add_takes_one_object_for_an_array(rfc: Scim, ann: Any) -> None:
    new = {"value": "n@example.com"}
    assert rfc.patched(ann["id"], op("add", "emails", value=new))["emails"] == [WORK, HOME, new]


def test_L5_add_replaces_a_single_value_and_creates_an_absent_one(rfc: Scim, ann: Any) -> None:
    patched = rfc.patched(ann["id"], op("add", "title", value="t"), op("add", "roles", value=[{"value": "r"}]))
    assert patched["title"] == "t"
    assert patched["roles"] == [{"value": "r"}]


def test_L5_a_bare_string_is_a_value_where_the_profile_says_so(rfc: Scim, entra: Scim, ann: Any) -> None:
    refused(rfc.patch(f"/Users/{ann['id']}", op("add", "emails", value=["x@example.com"])), 400, "invalidValue")
    made = entra.made()
    assert entra.patched(made["id"], op("add", "emails", value=["x@example.com"]))["emails"] == [
        {"value": "x@example.com"}
    ]


# --- L6: add with a value path ---


def test_L6_add_with_a_value_path_that_matches_nothing_creates_the_element(rfc: Scim, ann: Any) -> None:
    patched = rfc.patched(ann["id"], op("add", 'emails[type eq "other"].value', value="o@example.com"))
    assert patched["emails"] == [WORK, HOME, {"type": "other", "value": "o@example.com"}]


def test_L6_the_element_is_built_from_all_eq_terms(rfc: Scim, ann: Any) -> None:
    path = 'addresses[type eq "work" and primary eq true].country'
    patched = rfc.patched(ann["id"], op("add", path, value="NO"))
    assert patched["addresses"] == [{"type": "work", "primary": True, "country": "NO"}]


def test_L6_add_with_a_value_path_that_matches_changes_what_it_matches(rfc: Scim, ann: Any) -> None:
    patched = rfc.patched(
        ann["id"],
        op("add", 'emails[type eq "home"].display', value="d"),
        op("add", 'emails[type eq "work"]', value={"display": "w"}),
    )
    assert patched["emails"] == [WORK | {"display": "w"}, HOME | {"display": "d"}]


def test_L6_an_element_that_would_not_match_is_not_created(rfc: Scim, ann: Any) -> None:
    refused(rfc.patch(f"/Users/{ann['id']}", op("add", 'emails[type sw "x"].value', value="x")), 400, "noTarget")
    unchanged(rfc, ann)


# --- L7: replace ---


def test_L7_replace_without_a_path_replaces_what_it_lists_and_nothing_else(rfc: Scim, ann: Any) -> None:
    new = [{"value": "only@example.com"}]
    patched = rfc.patched(ann["id"], op("replace", value={"emails": new, "title": "t", "nickName": None}))
    assert patched["emails"] == new
    assert patched["title"] == "t"
    assert patched["displayName"] == "Ann"
    assert patched["name"] == ann["name"]


def test_L7_okta_deactivates_without_a_path(rfc: Scim, ann: Any, service: Service) -> None:
    assert rfc.patched(ann["id"], op("replace", value={"active": False}))["active"] is False
    _, patched = service.events_of("rfc", ann["id"])
    assert set(patched["value"]["events"]) == {urns.PATCH_FULL, urns.DEACTIVATE}


def test_L7_replace_of_a_multi_valued_attribute_replaces_all_of_it(rfc: Scim, ann: Any) -> None:
    assert rfc.patched(ann["id"], op("replace", "emails", value=[HOME]))["emails"] == [HOME]
    assert "emails" not in rfc.patched(ann["id"], op("replace", "emails", value=[]))


def test_L7_replace_of_what_is_absent_adds(rfc: Scim, ann: Any) -> None:
    patched = rfc.patched(
        ann["id"],
        op("replace", "nickName", value="n"),
        op("replace", "roles", value=[{"value": "r"}]),
        op("replace", "name.middleName", value="J"),
        op("replace", f"{ENTERPRISE}:costCenter", value="c"),
    )
    assert patched["nickName"] == "n"
    assert patched["roles"] == [{"value": "r"}]
    assert patched["name"]["middleName"] == "J"
    assert patched[ENTERPRISE]["costCenter"] == "c"


def test_L7_replace_of_a_complex_attribute_leaves_what_it_does_not_name(rfc: Scim, ann: Any) -> None:
    patched = rfc.patched(ann["id"], op("replace", "name", value={"givenName": "Anna", "familyName": None}))
    assert patched["name"] == {"givenName": "Anna"}
    patched = rfc.patched(ann["id"], op("replace", "name", value={"middleName": "J"}))
    assert patched["name"] == {"givenName": "Anna", "middleName": "J"}


def test_L7_a_value_path_replaces_all_that_it_matches(rfc: Scim) -> None:
    made = rfc.made(emails=[{"value": "a", "type": "work"}, {"value": "b", "type": "work"}, HOME])
    patched = rfc.patched(made["id"], op("replace", 'emails[type eq "work"].display', value="d"))
    assert [each.get("display") for each in patched["emails"]] == ["d", "d", None]
    replaced = rfc.patched(made["id"], op("replace", 'emails[value eq "a"]', value={"value": "z", "type": "new"}))
    assert replaced["emails"][0] == {"value": "z", "type": "new"}
    assert len(replaced["emails"]) == 3


def test_L7_a_value_path_that_matches_nothing_is_noTarget(rfc: Scim, ann: Any, entra: Scim) -> None:
    operation = op("replace", 'emails[type eq "other"].value', value="o@example.com")
    refused(rfc.patch(f"/Users/{ann['id']}", operation), 400, "noTarget")
    unchanged(rfc, ann)
    made = entra.made()
    assert entra.patched(made["id"], operation)["emails"] == [{"type": "other", "value": "o@example.com"}]


# --- L8: remove ---


@pytest.mark.parametrize("operation", [op("remove"), op("remove", ""), op("remove", value={"title": "Engineer"})])
def test_L8_remove_without_a_path_is_noTarget(rfc: Scim, ann: Any, operation: dict[str, Any]) -> None:
    refused(rfc.patch(f"/Users/{ann['id']}", operation), 400, "noTarget")
    unchanged(rfc, ann)


def test_L8_remove_takes_away_attributes_values_and_sub_attributes(rfc: Scim, ann: Any) -> None:
    patched = rfc.patched(
        ann["id"],
        op("remove", "title"),
        op("remove", "name.givenName"),
        op("remove", 'emails[type eq "home"]'),
        op("remove", 'emails[type eq "work"].primary'),
        op("remove", f"{ENTERPRISE}:manager.value"),
    )
    assert "title" not in patched
    assert patched["name"] == {"familyName": "Lee"}
    assert patched["emails"] == [{"value": "w@example.com", "type": "work"}]
    assert patched[ENTERPRISE] == {"department": "d"}


def test_L8_removing_the_last_value_unassigns_the_attribute(rfc: Scim, ann: Any) -> None:
    patched = rfc.patched(
        ann["id"], op("remove", "emails[value pr]"), op("remove", "name.givenName"), op("remove", "name.familyName")
    )
    assert "emails" not in patched
    assert "name" not in patched
    assert "emails" not in rfc.patched(ann["id"], op("remove", "emails"))


def test_L8_a_filter_that_matches_nothing_is_no_error(rfc: Scim, ann: Any) -> None:
    assert rfc.patched(ann["id"], op("remove", 'emails[type eq "none"]')) == ann
    assert rfc.patched(ann["id"], op("remove", 'emails[type eq "none"].value')) == ann
    assert rfc.patched(ann["id"], op("remove", "phoneNumbers")) == ann


@pytest.mark.parametrize(
    "path", ["userName", "id", "meta", "meta.version", "groups", "schemas", f"{ENTERPRISE}:manager.displayName"]
)
def test_L8_what_is_required_or_readOnly_cannot_be_removed(rfc: Scim, ann: Any, path: str) -> None:
    refused(rfc.patch(f"/Users/{ann['id']}", op("remove", path)), 400, "mutability")
    unchanged(rfc, ann)


def test_L8_remove_with_values_selects_them_where_the_profile_says_so(rfc: Scim, entra: Scim, ann: Any) -> None:
    operation = op("remove", "emails", value=[{"value": "h@example.com"}])
    made = entra.made(emails=[WORK, HOME])
    assert entra.patched(made["id"], operation)["emails"] == [WORK]
    assert "emails" not in rfc.patched(ann["id"], operation), "the RFC has no such form: the path alone counts"


# --- L10: primary ---


def test_L10_a_new_primary_value_resets_the_others(rfc: Scim, ann: Any) -> None:
    patched = rfc.patched(ann["id"], op("add", "emails", value=[{"value": "n@example.com", "primary": True}]))
    assert [each.get("primary", False) for each in patched["emails"]] == [False, False, True]
    patched = rfc.patched(ann["id"], op("replace", 'emails[type eq "home"].primary', value=True))
    assert [each.get("primary", False) for each in patched["emails"]] == [False, True, False]
    patched = rfc.patched(ann["id"], op("add", 'emails[type eq "work"]', value={"primary": True}))
    assert [each.get("primary", False) for each in patched["emails"]] == [True, False, False]


def test_L10_two_primary_values_at_once_are_refused(rfc: Scim, ann: Any) -> None:
    two = [{"value": "a", "primary": True}, {"value": "b", "primary": True}]
    refused(rfc.patch(f"/Users/{ann['id']}", op("replace", "emails", value=two)), 400, "invalidValue")
    refused(
        rfc.patch(f"/Users/{ann['id']}", op("replace", "emails[value pr].primary", value=True)), 400, "invalidValue"
    )
    unchanged(rfc, ann)


# --- L11: extensions ---


def test_L11_an_extension_enters_schemas_with_its_first_attribute_and_leaves_with_its_last(rfc: Scim) -> None:
    made = rfc.made()
    patched = rfc.patched(made["id"], op("add", f"{ENTERPRISE}:division", value="v"))
    assert patched["schemas"] == [urns.USER, ENTERPRISE]
    assert patched[ENTERPRISE] == {"division": "v"}
    patched = rfc.patched(made["id"], op("remove", f"{ENTERPRISE}:division"))
    assert patched["schemas"] == [urns.USER]
    assert ENTERPRISE not in patched


def test_L11_a_whole_extension_may_be_added_and_removed(rfc: Scim) -> None:
    made = rfc.made()
    patched = rfc.patched(made["id"], op("add", ENTERPRISE, value={"division": "v", "manager": {"value": "m"}}))
    assert patched[ENTERPRISE] == {"division": "v", "manager": {"value": "m"}}
    assert ENTERPRISE not in rfc.patched(made["id"], op("remove", ENTERPRISE))


def test_L11_unknown_extensions_may_be_patched(rfc: Scim) -> None:
    urn = "urn:example:acme:2.0:User"
    made = rfc.made()
    patched = rfc.patched(made["id"], op("add", value={urn: {"badge": 1, "deep": {"a": [1]}}}))
    assert patched[urn] == {"badge": 1, "deep": {"a": [1]}}
    assert urn in patched["schemas"]
    patched = rfc.patched(made["id"], op("remove", f"{urn}:deep"), op("replace", f"{urn}:badge", value=2))
    assert patched[urn] == {"badge": 2}
    patched = rfc.patched(made["id"], op("remove", f"{urn}:badge"))
    assert urn not in patched
    assert patched["schemas"] == [urns.USER]


# --- beyond ---


def test_PATCH_of_an_unknown_user_is_404(rfc: Scim) -> None:
    refused(rfc.patch(f"/Users/{unique()}", op("replace", "title", value="t")), 404)


def test_a_value_of_another_type_is_invalidValue(rfc: Scim, ann: Any) -> None:
    for operation in (
        op("replace", "title", value=5),
        op("replace", "name", value="Lee"),
        op("add", "emails", value="w@example.com"),
        op("replace", 'emails[type eq "work"].primary', value="yes"),
        op("replace", 'emails[type eq "work"]', value="w@example.com"),
        op("replace", value="t"),
        op("replace", value=["t"]),
        op("add", f"{ENTERPRISE}:employeeNumber", value=7),
    ):
        refused(rfc.patch(f"/Users/{ann['id']}", operation), 400, "invalidValue")
    unchanged(rfc, ann)


def test_the_event_of_a_PATCH_is_the_PatchOp_and_what_came_of_it(rfc: Scim, service: Service) -> None:
    made = rfc.made()
    answer = rfc.patch(
        f"/Users/{made['id']}",
        op("Replace", "TITLE", value="t"),
        op("replace", "password", value="canary-9"),
        op("add", "nickName", value=None),
    )
    _, patched = service.events_of("rfc", made["id"])
    value = patched["value"]
    assert value["events"][urns.PATCH_FULL]["data"] == patch_op(op("replace", "title", value="t"))
    assert value["after"] == {name: item for name, item in answer.json().items() if name != "meta"}


def test_a_PATCH_may_rename_a_user_and_swap_names_in_two_steps(rfc: Scim) -> None:
    first, second, spare = rfc.made(), rfc.made(), unique()
    rfc.patched(first["id"], op("replace", "userName", value=spare))
    rfc.patched(second["id"], op("replace", "userName", value=first["userName"]))
    rfc.patched(first["id"], op("replace", "userName", value=second["userName"]))
    assert rfc.find(f'userName eq "{first["userName"]}"')["Resources"][0]["id"] == second["id"]
    refused(rfc.post("/Users", user(second["userName"])), 409, "uniqueness")
