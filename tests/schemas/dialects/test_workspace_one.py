"""Workspace ONE Access: what its document sends, what becomes of each field, and what is answered."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from schemas import urns
from schemas.changes import Change, NoChange
from schemas.commands import Patch
from schemas.decide import decide
from schemas.dialects.dialect import Answer, Asked, Refused, Shown, Translated
from schemas.dialects.scim11 import CORE, ENTERPRISE
from schemas.dialects.workspace_one import WORKSPACE, WORKSPACE_ONE
from schemas.errors import InvalidSyntax, InvalidValue, ScimError
from schemas.memberships import Membership
from schemas.outcomes import Refusal
from schemas.projection import MAX_NAMES
from schemas.resources import MAX_DEPTH
from tests.dialects.contracts import document, example
from tests.schemas.samples import ANN, command, view

PATH = f"/SAAS/jersey/manager/api/scim/Users/{ANN}"
LOCATION = f"https://scim.example.com{PATH}"
PATCH = Asked("patch", PATH, {})
READ = Asked("read", PATH, {})
MADE = "2026-11-21T08:00:00.000Z"
URN = WORKSPACE.urn


def stored(**members: Any) -> dict[str, Any]:
    """Return a user as it is stored."""
    extensions = [name for name in members if ":" in name]
    return {"schemas": [urns.USER, *extensions], "id": ANN, "userName": "ann", **members}


def translated(body: object, asked: Asked = PATCH) -> Translated:
    return WORKSPACE_ONE.translate(asked, body if isinstance(body, bytes) else json.dumps(body).encode(), ("title",))


def decided(body: object, before: dict[str, Any] | None = None) -> Change | NoChange | Refusal:
    """Return what a request's command comes to."""
    wanted = translated(body)
    return decide(command(wanted.change, guard=wanted.guard), view(stored() if before is None else before))


def patched(body: object, before: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the user that a request leaves."""
    step = decided(body, before)
    assert isinstance(step, Change)
    assert step.doc is not None
    return step.doc


def shown(**fields: Any) -> Shown:
    told: dict[str, Any] = {"doc": stored(), "version": 3, "location": LOCATION, "created": MADE, "modified": MADE}
    return Shown(**{**told, **fields})


# --- the contract ---


def test_the_documented_operation_is_served_with_one_slash_and_with_two() -> None:
    assert "https://{api_host}//SAAS/jersey/manager/api/scim/Users/{id}" in document("workspace-one-patch-user")
    served = {(route.method, route.path, route.operation, route.override) for route in WORKSPACE_ONE.routes}
    assert served == {
        (method, f"{slashes}SAAS/jersey/manager/api/scim/Users/{{id}}", operation, override)
        for slashes in ("/", "//")
        for method, operation, override in (("PATCH", "patch", None), ("POST", "patch", "PATCH"), ("GET", "read", None))
    }
    assert WORKSPACE_ONE.prefixes == ("/SAAS/jersey/manager/api/scim", "//SAAS/jersey/manager/api/scim")


def test_what_is_asked_of_the_gateway() -> None:
    assert WORKSPACE_ONE.name == "workspace_one"
    assert WORKSPACE_ONE.schemes == {"hzn", "bearer"}
    assert WORKSPACE_ONE.media_types == {"application/json"}
    assert WORKSPACE_ONE.derives(Asked("read", "/x", {})) == {"groups", "manager"}
    assert WORKSPACE_ONE.derives(Asked("patch", "/x", {"attributes": ""})) == {"groups", "manager"}
    assert WORKSPACE_ONE.derives(Asked("patch", "/x", {})) == set(), "204 shows nothing"
    assert WORKSPACE_ONE.rules.patch_no_content is False, "the dialect itself says when there is no content"


def test_the_described_extension_is_the_one_of_the_example() -> None:
    sent = example("workspace_one", "patch-user-request")[URN]
    assert [attribute.name for attribute in WORKSPACE.attributes] == list(sent)
    assert {name for name, value in sent.items() if isinstance(value, bool)} == {
        attribute.name for attribute in WORKSPACE.attributes if attribute.type == "boolean"
    }


# --- what is sent ---


def test_every_field_of_the_documents_example_is_stored_or_ignored_as_decided() -> None:
    body = example("workspace_one", "patch-user-request")
    value = {"value": "string", "display": "string", "type": "string", "primary": False}
    address = body["addresses"][0]
    extension = {name: item for name, item in body[URN].items() if name not in {"internalUserType", "userStoreUuid"}}
    text = ("locale", "userType", "title", "preferredLanguage", "externalId", "nickName", "userName", "displayName")
    assert patched(body) == {
        "schemas": [urns.USER, URN, urns.ENTERPRISE_USER],
        "id": ANN,
        **dict.fromkeys((*text, "profileUrl", "timezone"), "string"),
        "active": False,
        "name": body["name"],
        **{name: [value] for name in ("phoneNumbers", "ims", "entitlements", "photos", "emails", "roles")},
        "addresses": [address],
        URN: extension,
        urns.ENTERPRISE_USER: {"employeeNumber": "100007", "manager": {"value": "string"}},
    }
    assert translated(body).password == "string"


def test_the_documents_example_twice_changes_nothing_the_second_time() -> None:
    body = example("workspace_one", "patch-user-request")
    assert isinstance(decided(body, patched(body)), NoChange)


def test_a_patch_says_no_password_unless_it_has_one() -> None:
    assert translated({}).password is msgspec.UNSET
    assert translated({"password": "x"}).password == "x"
    assert translated({"meta": {"attributes": ["password"]}}).password is None


def test_a_patch_that_asks_for_nothing_is_no_change() -> None:
    assert translated({}).change == Patch(operations=())
    assert isinstance(decided({"groups": [{"value": "g"}], "id": "other", "resourceDescriptor": {}}), NoChange)


def test_the_services_own_attributes_are_not_written() -> None:
    before = stored(**{URN: {"internalUserType": "LOCAL", "userStoreUuid": "u", "domain": "acme.com"}})
    own = {"internalUserType": "PROVISIONED", "USERSTOREUUID": "other"}
    assert isinstance(decided({URN: own}, before), NoChange)
    removed = {"meta": {"attributes": [f"{URN}:internalUserType", f"{URN}:userStoreUuid"]}}
    assert isinstance(decided(removed, before), NoChange)
    after = patched({"meta": {"attributes": [URN]}}, before)
    assert after[URN] == {"internalUserType": "LOCAL", "userStoreUuid": "u"}


@pytest.mark.parametrize("name", ["distinguishedName", "domain", "userPrincipalName", "userStatus", "firstLoginUrl"])
def test_the_extensions_attributes_have_the_types_of_the_example(name: str) -> None:
    with pytest.raises(InvalidValue):
        translated({URN: {name: 1}})
    assert patched({URN: {name: "1"}})[URN] == {name: "1"}
    with pytest.raises(InvalidValue):
        translated({URN: {"softDeleted": "false"}})


@pytest.mark.parametrize(
    "urn",
    ["urn:scim:schemas:extension:workspace:mfa:1.0", "urn:scim:schemas:extension:workspace:tenant:acme:1.0"],
)
def test_other_extensions_are_kept_under_their_own_URN(urn: str) -> None:
    after = patched({urn: {"a": {"b": [1]}}})
    assert after[urn] == {"a": {"b": [1]}}
    assert after["schemas"] == [urns.USER, urn]


@pytest.mark.parametrize(
    "kind", ["PROVISIONED", "provisioned", "LOCAL", None, 5, ["PROVISIONED"], {"value": "PROVISIONED"}]
)
def test_a_user_who_is_stored_as_provisioned_is_not_local(kind: object) -> None:
    before = stored(**{URN: {"internalUserType": kind}})
    step = decided({"title": "x"}, before)
    if kind in ("PROVISIONED", "provisioned", ["PROVISIONED"]):
        assert step == Refusal(status=403, detail="the user is not a local user and cannot be updated", scim_type=None)
    else:
        assert isinstance(step, Change)


def test_the_guard_reads_names_in_any_case() -> None:
    before = stored(**{URN: {"INTERNALUSERTYPE": "PROVISIONED"}})
    assert isinstance(decided({}, before), Refusal)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", InvalidSyntax),
        (b"{", InvalidSyntax),
        (b"\xff", InvalidSyntax),
        (b"[]", InvalidSyntax),
        (b"null", InvalidSyntax),
        (b'{"a":' * 100_000, InvalidSyntax),
        (b'{"resourceDescriptor":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}", InvalidSyntax),
        (b'{"title":"\\u0000"}', InvalidValue),
        (b'{"title":"\\ud800"}', ScimError),
        (b'{"active":"string"}', InvalidValue),
    ],
)
def test_json_that_is_incorrect_is_refused(body: bytes, error: type[ScimError]) -> None:
    with pytest.raises(error) as raised:
        translated(body)
    assert raised.value.status == 400


def test_too_many_names_in_attributes_are_refused_before_anything_is_done() -> None:
    names = ",".join(f"a{number}" for number in range(MAX_NAMES + 1))
    with pytest.raises(InvalidValue):
        translated({}, Asked("patch", PATH, {"attributes": names}))


# --- what is answered ---


def test_a_change_is_answered_204_with_its_place() -> None:
    assert WORKSPACE_ONE.answer(PATCH, 200, shown()) == Answer(204, {"Content-Location": LOCATION}, b"")


def test_a_change_that_asks_for_attributes_is_answered_with_them() -> None:
    answer = WORKSPACE_ONE.answer(Asked("patch", PATH, {"attributes": "userName"}), 200, shown())
    assert answer.status == 200
    assert answer.headers == {"Content-Type": "application/json", "Content-Location": LOCATION}
    assert json.loads(answer.body) == {"schemas": [CORE], "id": ANN, "userName": "ann"}


@pytest.mark.parametrize("asked", [READ, Asked("patch", PATH, {"attributes": ""})])
def test_without_names_the_whole_user_is_answered(asked: Asked) -> None:
    doc = stored(**{urns.ENTERPRISE_USER: {"manager": {"value": "m"}}, URN: {"domain": "acme.com"}})
    told = shown(doc=doc, groups=(Membership("g", "G", direct=True),), manager="Bob")
    answer = WORKSPACE_ONE.answer(asked, 200, told)
    assert json.loads(answer.body) == {
        "schemas": [CORE, ENTERPRISE, URN],
        "id": ANN,
        "userName": "ann",
        ENTERPRISE: {"manager": {"managerId": "m", "displayName": "Bob"}},
        URN: {"domain": "acme.com"},
        "groups": [{"value": "g", "display": "G", "type": "direct"}],
        "meta": {"created": MADE, "lastModified": MADE, "location": LOCATION, "version": 'W/"3"'},
    }


def test_a_read_tells_its_place_and_shows_the_attributes_that_are_asked_for() -> None:
    answer = WORKSPACE_ONE.answer(Asked("read", PATH, {"attributes": "meta.version"}), 200, shown())
    assert answer.headers == {"Content-Type": "application/json", "Location": LOCATION}
    assert json.loads(answer.body) == {"schemas": [CORE], "id": ANN, "meta": {"version": 'W/"3"'}}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 412, 413, 415, 422, 428, 429, 500, 503])
def test_an_error_has_no_body(status: int) -> None:
    refused = Refused(status, "detail", PATH, "invalidValue", ("violation",))
    assert WORKSPACE_ONE.refuse(refused) == Answer(status, {}, b"")
