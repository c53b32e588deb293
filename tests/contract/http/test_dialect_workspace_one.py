"""Workspace ONE Access over HTTP: the documented request and statuses, and users shared with SCIM 2.0."""

from __future__ import annotations

import json as json_text
import uuid
from collections.abc import Mapping
from typing import Any, Final

import httpx2
import pytest

from consumers.ports import Reply
from consumers.submission import Busy, Expired, Failed, OutcomeUnknown, SubmissionError
from schemas import urns
from schemas.commands import ChangeCommand
from schemas.dialects.scim11 import CORE, ENTERPRISE
from schemas.dialects.workspace_one import WORKSPACE
from schemas.errors import TooManyRequests
from tests.contract.http.groups import put_group
from tests.dialects.contracts import FOLDER, example
from tests.gateway.fronts import Ports, calling
from tests.served import SCIM_JSON, Scim, Service, op, unique

BASES: Final = ("/SAAS/jersey/manager/api/scim", "//SAAS/jersey/manager/api/scim")
BASE: Final = BASES[0]
DOCUMENTED_ID: Final = (FOLDER / "workspace_one" / "patch-user-id.txt").read_text().strip()
URN: Final = WORKSPACE.urn
OWN: Final = ("internalUserType", "userStoreUuid")
E: Final = urns.ENTERPRISE_USER


def check(method: str, answer: httpx2.Response) -> None:
    """Check what every answer of this dialect has: ids of request and change, JSON or nothing, no body in an error."""
    status, headers = answer.status_code, answer.headers
    assert headers["X-Request-Id"], answer
    if method in {"POST", "PUT", "PATCH", "DELETE"}:
        assert headers["Scim-Txn"], answer
    if status >= 400 or status in {204, 304} or method == "HEAD":
        assert answer.content == b"", answer.text
    else:
        assert headers["Content-Type"].partition(";")[0] == "application/json", answer
        body = answer.json()
        assert "password" not in body
        if "meta" in body and "Idempotency-Key" not in answer.request.headers:
            assert body["meta"]["version"] == headers["ETag"]
    if status in {200, 204}:
        assert headers["ETag"], answer
    if status == 401:
        assert headers["WWW-Authenticate"], answer
    if status in {429, 503}:
        assert int(headers["Retry-After"]) >= 1, answer


class Workspace:
    """A client of the dialect with one token."""

    def __init__(self, service: Service, token: str = "rfc") -> None:
        self.service = service
        self.scim = service.speaking(check, token)

    def send(
        self,
        method: str,
        path: str,
        json: Any = None,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str | bytes] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        """Send one request; ``path`` is behind the origin, a body goes as ``application/json``."""
        if json is not None:
            content = json_text.dumps(json).encode()
        sent: dict[str, str | bytes] = {} if content is None else {"Content-Type": "application/json"}
        return self.scim.request(
            method, self.service.origin + path, content=content, headers=sent | dict(headers or {}), params=params
        )

    def patch(self, user_id: str, json: Any, headers: Mapping[str, str | bytes] | None = None) -> httpx2.Response:
        """PATCH a user on the first of the paths."""
        return self.send("PATCH", f"{BASE}/Users/{user_id}", json, headers=headers)

    def patched(self, user_id: str, **members: Any) -> str:
        """PATCH a user, who is local, and return the ETag."""
        answer = self.patch(user_id, members)
        assert answer.status_code == 204, answer
        return str(answer.headers["ETag"])

    def read(self, user_id: str) -> Any:
        """Return the user as the read beside the PATCH shows it."""
        answer = self.send("GET", f"{BASE}/Users/{user_id}")
        assert answer.status_code == 200, answer
        return answer.json()


@pytest.fixture
def workspace(service: Service) -> Workspace:
    """A client of tenant ``rfc``."""
    return Workspace(service)


def unknown_id() -> str:
    return str(uuid.uuid4())


# --- the documented request, and success ---


def test_the_documents_example_is_taken_field_by_field(workspace: Workspace, rfc: Scim) -> None:
    made = rfc.made()
    # The example's userName is "string": one user of a tenant can have it, and this file runs more than once.
    body = example("workspace_one", "patch-user-request") | {"userName": unique()}
    path = f"//SAAS/jersey/manager/api/scim/Users/{made['id']}"
    answer = workspace.send("PATCH", path, body)
    assert answer.status_code == 204
    assert answer.headers["ETag"] == 'W/"2"'
    assert answer.headers["Content-Location"] == f"{workspace.service.origin}{path}"
    value = {"value": "string", "display": "string", "type": "string", "primary": False}
    extension = {name: item for name, item in body[URN].items() if name not in OWN}
    expected = {
        **{name: item for name, item in body.items() if isinstance(item, str) and name not in {"password", "id"}},
        **{name: [value] for name in ("phoneNumbers", "ims", "photos", "entitlements", "emails", "roles")},
        **{name: body[name] for name in ("addresses", "name", "active")},
        URN: extension,
        "id": made["id"],
    }
    told = workspace.read(made["id"])
    assert told.pop("schemas") == [CORE, URN, ENTERPRISE]
    assert told.pop("meta").keys() == {"created", "lastModified", "location", "version"}
    assert told == {**expected, ENTERPRISE: {"manager": {"managerId": "string"}, "employeeNumber": "100007"}}
    stored = rfc.read(made["id"])
    assert {name: stored[name] for name in expected if name != "timeZone"} == {
        name: item for name, item in expected.items() if name != "timeZone"
    }
    assert stored["timezone"] == "string"
    assert stored[E] == {"employeeNumber": "100007", "manager": {"value": "string"}}
    assert workspace.patched(made["id"], **body) == 'W/"2"', "the same again changes nothing"


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("scheme", ["HZN", "Bearer", "hzn"])
@pytest.mark.parametrize(("method", "override"), [("PATCH", {}), ("POST", {"X-HTTP-Method-Override": "PATCH"})])
def test_204_on_every_route_and_with_both_schemes(
    service: Service, workspace: Workspace, rfc: Scim, base: str, scheme: str, method: str, override: dict[str, str]
) -> None:
    made = rfc.made()
    path = f"{base}/Users/{made['id']}"
    headers = {"Authorization": f"{scheme} {service.tokens['rfc']}", **override}
    answer = workspace.send(method, path, {"title": "Chief"}, headers=headers)
    assert answer.status_code == 204
    assert answer.headers["ETag"] == 'W/"2"'
    assert answer.headers["Content-Location"] == f"{service.origin}{path}"
    read = workspace.send("GET", path, headers={"Authorization": f"{scheme} {service.tokens['rfc']}"})
    assert (read.status_code, read.json()["title"]) == (200, "Chief")
    assert read.json()["meta"]["location"] == f"{service.origin}{path}"
    head = workspace.send("HEAD", path, headers={"Authorization": f"{scheme} {service.tokens['rfc']}"})
    assert (head.status_code, head.headers["ETag"]) == (200, 'W/"2"')


def test_200_with_the_attributes_that_are_asked_for(workspace: Workspace, rfc: Scim) -> None:
    made = rfc.made(title="t", emails=[{"value": "a@example.com"}])
    path = f"{BASE}/Users/{made['id']}"
    for attributes, names in (("userName", {"userName"}), (f"{CORE}:Title,emails.VALUE", {"title", "emails"})):
        answer = workspace.send("PATCH", path, {"title": "u"}, params={"attributes": attributes})
        assert answer.status_code == 200
        assert answer.headers["Content-Location"].endswith(path)
        assert answer.json().keys() == {"schemas", "id"} | names
        assert workspace.send("GET", path, params={"attributes": attributes}).json() == answer.json()
    whole = workspace.send("PATCH", path, {}, params={"attributes": ""})
    assert whole.json() == workspace.read(made["id"])
    many = ",".join(f"a{number}" for number in range(300))
    for method, body in (("PATCH", {"title": "not done"}), ("GET", None)):
        assert workspace.send(method, path, body, params={"attributes": many}).status_code == 400
    assert workspace.read(made["id"])["title"] == "u"


def test_a_patch_that_asks_for_nothing_is_204_and_no_version(workspace: Workspace, rfc: Scim, service: Service) -> None:
    made = rfc.made()
    for body in ({}, {"schemas": [CORE], "meta": {"version": "x"}, "id": "x", "groups": [{"value": "g"}]}):
        assert workspace.patched(made["id"], **body) == 'W/"1"'
    assert len(service.events_of("rfc", made["id"])) == 1


def test_values_are_merged_deleted_and_removed(workspace: Workspace, rfc: Scim) -> None:
    made = rfc.made(
        title="t",
        name={"givenName": "Ann", "familyName": "Lee"},
        emails=[{"value": "a@example.com", "type": "work"}, {"value": "b@example.com", "type": "home"}],
        addresses=[{"type": "work", "locality": "Bern"}],
    )
    workspace.patched(
        made["id"],
        meta={"attributes": ["TITLE", "name.givenName", "nickName"]},
        name={"middleName": "B"},
        emails=[
            {"value": "B@example.com", "operation": "delete"},
            {"value": "none@example.com", "operation": "delete"},
            {"value": "a@example.com", "primary": True, "operation": "string"},
            {"value": "c@example.com"},
        ],
        addresses=[{"type": "work", "locality": "Bern", "operation": "delete"}, {"type": "home", "locality": "Thun"}],
    )
    after = rfc.read(made["id"])
    assert "title" not in after
    assert after["name"] == {"familyName": "Lee", "middleName": "B"}
    assert after["emails"] == [
        {"value": "a@example.com", "type": "work", "primary": True},
        {"value": "c@example.com"},
    ]
    assert after["addresses"] == [{"type": "home", "locality": "Thun"}]
    workspace.patched(made["id"], meta={"attributes": ["emails", "addresses"]}, emails=[{"value": "d@example.com"}])
    after = rfc.read(made["id"])
    assert after["emails"] == [{"value": "d@example.com"}]
    assert "addresses" not in after


def test_a_password_is_set_and_told_to_nobody(service: Service) -> None:
    scim, workspace = service.caller("argon"), Workspace(service, "argon")
    secret = f"Pw-{uuid.uuid4().hex}!"
    made = scim.made()
    assert workspace.patched(made["id"], password=secret) == 'W/"2"'
    answer = workspace.send("PATCH", f"{BASE}/Users/{made['id']}", {"password": secret}, params={"attributes": ""})
    assert "argon2" not in answer.text
    workspace.patched(made["id"], meta={"attributes": ["password"]})
    kept = service.kept()
    assert b"argon2id" in kept
    assert secret.encode() not in kept


# --- what is documented, and what else can go wrong ---


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'"x"',
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        b'{"title":"\\u0000"}',
        b'{"title":"\\ud800"}',
        b'{"title":1e999}',
        b'{"title":5}',
        b'{"title":"a","TITLE":"b"}',
        b'{"active":"true"}',
        b'{"emails":{"value":"x"}}',
        b'{"emails":["x"]}',
        b'{"emails":[{"operation":"delete"}]}',
        b'{"emails":[' + b",".join(b'{"value":"%d"}' % number for number in range(501)) + b"]}",
        b'{"name":"x"}',
        b'{"meta":{"attributes":"title"}}',
        b'{"meta":{"attributes":["userName"]}}',
        b'{"meta":{"attributes":["a b"]}}',
        b'{"schemas":"x"}',
        b'{"userName":""}',
        b'{"urn:scim:schemas:extension:workspace:1.0":{"softDeleted":"no"}}',
        b'{"urn:scim:schemas:extension:enterprise:1.0":[1]}',
    ],
    ids=lambda content: repr(content[:40]),
)
def test_400_the_supplied_JSON_is_incorrect(workspace: Workspace, rfc: Scim, content: bytes) -> None:
    made = rfc.made()
    answer = workspace.send("PATCH", f"{BASE}/Users/{made['id']}", content=content)
    assert answer.status_code == 400
    assert rfc.read(made["id"]) == made


def test_403_the_user_is_not_a_local_user(workspace: Workspace, rfc: Scim) -> None:
    made = rfc.made(None, **{URN: {"internalUserType": "PROVISIONED", "domain": "acme.com"}})
    for body in ({"title": "x"}, {}, {URN: {"internalUserType": "LOCAL"}}):
        assert workspace.patch(made["id"], body).status_code == 403
    assert rfc.read(made["id"]) == made
    assert workspace.read(made["id"])[URN] == made[URN]
    rfc.patched(made["id"], op("replace", f"{URN}:internalUserType", value="LOCAL"))
    body = {URN: {"internalUserType": "PROVISIONED", "domain": "example.com"}}
    assert workspace.patch(made["id"], body).status_code == 204
    assert rfc.read(made["id"])[URN] == {"internalUserType": "LOCAL", "domain": "example.com"}


def test_403_the_tenant_does_not_use_this_interface(service: Service) -> None:
    workspace = Workspace(service, "oracle")
    assert workspace.patch(unknown_id(), {}).status_code == 403
    assert workspace.send("GET", f"{BASE}/Users/{unknown_id()}").status_code == 403


def test_404_the_specified_user_does_not_exist(service: Service, workspace: Workspace) -> None:
    other = service.caller("other").made()
    for user_id in (DOCUMENTED_ID, unknown_id(), "x" * 500, "%C3%A9", other["id"]):
        for base in BASES:
            assert workspace.send("PATCH", f"{base}/Users/{user_id}", {"title": "x"}).status_code == 404
            assert workspace.send("GET", f"{base}/Users/{user_id}").status_code == 404


@pytest.mark.parametrize(
    ("failure", "status"),
    [(Failed, 500), (ValueError, 500), (Busy, 503), (Expired, 503), (OutcomeUnknown, 503), (TooManyRequests, 429)],
)
@pytest.mark.parametrize("base", BASES)
async def test_500_an_unexpected_error_occurred(base: str, failure: type[Exception], status: int) -> None:
    async def submit(command: ChangeCommand) -> Reply:
        raise failure(command.txn) if issubclass(failure, SubmissionError) else failure("a defect")

    ports = Ports(submit)
    async with calling(ports) as session:
        answer = await session.patch(f"{session._base_url}{base}/Users/u-1", json={"title": "x"})
        body = await answer.read()
    assert (answer.status, body) == (status, b"")
    assert answer.headers["Scim-Txn"] == ports.commands[0].txn
    assert ("Retry-After" in answer.headers) == (status != 500)


@pytest.mark.parametrize(
    "authorization", [None, "", "HZN", "HZN wrong", "Bearer wrong", "Basic {}", "{}", "Token {}", "HZN \xe9"]
)
@pytest.mark.parametrize("base", BASES)
def test_401_no_token_or_a_wrong_one(service: Service, base: str, authorization: str | None) -> None:
    stranger = Workspace(service, "")
    headers: dict[str, bytes] = {}
    if authorization is not None:
        headers["Authorization"] = authorization.format(service.tokens["rfc"]).encode("latin-1")
    assert stranger.send("PATCH", f"{base}/Users/{unknown_id()}", {}, headers=headers).status_code == 401
    assert stranger.send("GET", f"{base}/Users/{unknown_id()}", headers=headers).status_code == 401


def test_401_HZN_is_no_scheme_of_SCIM_2(service: Service) -> None:
    headers = {"Authorization": f"HZN {service.tokens['rfc']}"}
    assert service.stranger().get("/Users", headers=headers).status_code == 401


@pytest.mark.parametrize("base", BASES)
def test_404_and_405_in_the_form_of_this_service(workspace: Workspace, rfc: Scim, base: str) -> None:
    made = rfc.made()
    for method, path in (("GET", "/Users"), ("POST", "/Users"), ("GET", "/Groups/x"), ("PATCH", "/Users/a/b")):
        sent = None if method == "GET" else b"{}"
        assert workspace.send(method, base + path, content=sent).status_code == 404
    path = f"{base}/Users/{made['id']}"
    for method, override in (("PUT", {}), ("DELETE", {}), ("POST", {}), ("POST", {"X-HTTP-Method-Override": "DELETE"})):
        answer = workspace.send(method, path, {} if method != "DELETE" else None, headers=override)
        assert answer.status_code == 405
        assert {"GET", "PATCH"} <= set(answer.headers["Allow"].replace(" ", "").split(","))
    assert rfc.read(made["id"]) == made


def test_409_the_userName_is_in_use(workspace: Workspace, rfc: Scim) -> None:
    made, other = rfc.made(), rfc.made()
    assert workspace.patch(made["id"], {"userName": other["userName"].upper()}).status_code == 409
    assert rfc.read(made["id"]) == made


def test_412_428_and_304_the_version_is_another(service: Service, workspace: Workspace, rfc: Scim) -> None:
    made = rfc.made()
    path = f"{BASE}/Users/{made['id']}"
    assert workspace.patch(made["id"], {"title": "x"}, {"If-Match": 'W/"7"'}).status_code == 412
    assert workspace.patch(made["id"], {"title": "x"}, {"If-Match": 'W/"1"'}).status_code == 204
    unchanged = workspace.send("GET", path, headers={"If-None-Match": 'W/"2"'})
    assert (unchanged.status_code, unchanged.headers["ETag"]) == (304, 'W/"2"')
    strict = Workspace(service, "ifmatch")
    theirs = service.caller("ifmatch").made()
    assert strict.patch(theirs["id"], {"title": "x"}).status_code == 428
    assert strict.patch(theirs["id"], {"title": "x"}, {"If-Match": "*"}).status_code == 204


def test_413_the_body_is_too_large(workspace: Workspace) -> None:
    answer = workspace.send("PATCH", f"{BASE}/Users/{unknown_id()}", content=b" " * (1024 * 1024 + 1))
    assert answer.status_code == 413


@pytest.mark.parametrize("media_type", [SCIM_JSON, "text/json", "application/xml", "application/json; charset=latin-1"])
def test_415_the_body_is_something_else(workspace: Workspace, rfc: Scim, media_type: str) -> None:
    made = rfc.made()
    answer = workspace.patch(made["id"], {"title": "x"}, {"Content-Type": media_type})
    assert answer.status_code == 415


def test_422_and_the_same_answer_again_by_the_Idempotency_Key(workspace: Workspace, rfc: Scim) -> None:
    made = rfc.made()
    key = {"Idempotency-Key": unique("key")}
    first = workspace.patch(made["id"], {"title": "x"}, key)
    rfc.patched(made["id"], op("replace", "title", value="later"))
    again = workspace.patch(made["id"], {"title": "x"}, key)
    assert (first.status_code, first.headers["ETag"]) == (204, 'W/"2"')
    for header in ("ETag", "Content-Location", "Scim-Txn"):
        assert again.headers[header] == first.headers[header]
    assert rfc.read(made["id"])["title"] == "later"
    assert workspace.patch(made["id"], {"title": "y"}, key).status_code == 422


# --- one user, many contracts ---


def test_what_SCIM_2_wrote_is_read_in_1_1(workspace: Workspace, rfc: Scim, service: Service) -> None:
    manager = rfc.made(displayName="Bob the Boss")
    badge = {"a": {"b": [1, None]}}
    made = rfc.made(
        None,
        timezone="Europe/Zurich",
        photos=[{"value": "https://example.com/a.png", "type": "photo"}],
        enterprise={"department": "Tin", "manager": {"value": manager["id"], "$ref": f"../Users/{manager['id']}"}},
        **{"urn:example:badge:1.0": badge},
    )
    put_group(service, "rfc", group := unique("g"), "Tinkers", [made["id"]])
    put_group(service, "rfc", outer := unique("o"), "Everybody", [group])
    assert workspace.read(made["id"]) == {
        "schemas": [CORE, ENTERPRISE, "urn:example:badge:1.0"],
        "id": made["id"],
        "userName": made["userName"],
        "timeZone": "Europe/Zurich",
        "photos": made["photos"],
        ENTERPRISE: {
            "department": "Tin",
            "manager": {"managerId": manager["id"], "displayName": "Bob the Boss"},
        },
        "urn:example:badge:1.0": badge,
        "groups": [
            {"value": group, "display": "Tinkers", "type": "direct"},
            {"value": outer, "display": "Everybody", "type": "indirect"},
        ],
        "meta": {
            "created": made["meta"]["created"],
            "lastModified": made["meta"]["lastModified"],
            "location": f"{service.origin}{BASE}/Users/{made['id']}",
            "version": 'W/"1"',
        },
    }


def test_what_1_1_wrote_is_read_in_SCIM_2(workspace: Workspace, rfc: Scim) -> None:
    made = rfc.made(enterprise={"costCenter": "C", "manager": {"value": "m-1", "$ref": "../Users/m-1"}})
    other = "urn:scim:schemas:extension:workspace:mfa:1.0"
    workspace.patched(
        made["id"],
        TimeZone="UTC",
        **{ENTERPRISE: {"manager": {"managerId": "m-2", "displayName": "x"}, "organization": "O"}},
        **{other: {"devices": [{"id": 1}]}, URN: {"domain": "acme.com"}},
    )
    after = rfc.read(made["id"])
    assert after["timezone"] == "UTC"
    assert after[E] == {"costCenter": "C", "organization": "O", "manager": {"value": "m-2"}}
    assert after[other] == {"devices": [{"id": 1}]}
    assert after[URN] == {"domain": "acme.com"}
    assert set(after["schemas"]) == {urns.USER, E, other, URN}


def test_its_events_and_versions_are_those_of_a_PatchOp(workspace: Workspace, rfc: Scim, service: Service) -> None:
    one, two = rfc.made(), rfc.made()
    workspace.patched(one["id"], meta={"attributes": ["nickName"]}, title="x", emails=[{"value": "a@example.com"}])
    rfc.patched(
        two["id"],
        op("remove", "nickName"),
        op("replace", "title", value="x"),
        op("add", 'emails[value eq "a@example.com"]', value={"value": "a@example.com"}),
    )
    (_, first), (_, second) = (service.events_of("rfc", made["id"]) for made in (one, two))
    assert first["value"]["events"] == second["value"]["events"]
    assert first["value"].keys() == second["value"].keys()
    assert rfc.read(one["id"])["meta"]["version"] == rfc.read(two["id"])["meta"]["version"]
