"""Matillion and Maia over HTTP: the documents' requests, every status they know, and what a user is elsewhere.

Every answer of every test is held against the schema in Maia's document (``check``).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings

from consumers.errors import StoreUnavailable
from consumers.ports import Reply
from consumers.submission import Busy, Expired, Failed, OutcomeUnknown
from schemas import urns
from schemas.commands import ChangeCommand
from schemas.errors import TooManyRequests
from tests.contract.http.dialect_caller import DialectCaller
from tests.contract.http.groups import put_group
from tests.dialects.bodies import bodies
from tests.dialects.contracts import example, maia_schemas, validator
from tests.gateway.fronts import Ports, calling, unused
from tests.served import Scim, Service, refused, unique, user

MATILLION = "/dpc/v1/directory-integration/scim/v2"
MAIA = "/v1/directory-integration/scim/v2"
USERS = f"{MATILLION}/Users"
BADGE = "urn:example:badge:1.0:User"


def check(method: str, answer: httpx2.Response) -> None:
    """Check that the answer is of the document's form: a ScimUser, or a problem."""
    assert answer.headers["X-Request-Id"], answer
    assert method in {"GET", "HEAD"} or answer.headers["Scim-Txn"], answer
    if answer.status_code == 304 or method == "HEAD":
        assert answer.content == b""
        return
    if answer.status_code >= 400:
        assert answer.headers["Content-Type"] == "application/problem+json", answer.text
        problem = answer.json()
        assert validator("ProblemDetail", closed=True).is_valid(problem), problem
        assert set(problem) == {"type", "title", "status", "detail", "instance", "violations"}
        assert problem["status"] == answer.status_code
        assert problem["instance"] == answer.request.url.raw_path.decode().partition("?")[0]
        return
    assert answer.headers["Content-Type"] == "application/json"
    body = answer.json()
    assert validator("ScimUser", closed=True).is_valid(body), body
    assert "password" not in body
    assert answer.headers["Location"] == body["meta"]["location"]
    if "Idempotency-Key" not in answer.request.headers:
        assert answer.headers["ETag"] == body["meta"]["version"]


def problem_of(answer: httpx2.Response, status: int, *violations: str) -> Any:
    """Check that the answer is this problem and return it."""
    assert answer.status_code == status, answer.text
    problem = answer.json()
    assert problem["violations"] == list(violations)
    assert problem["detail"]
    return problem


def body(name: str | None = None, **members: Any) -> dict[str, Any]:
    """Return the least of a body, and these members."""
    return {"meta": {}, "userName": unique() if name is None else name, **members}


class Client(DialectCaller):
    """A client of the services with one token."""

    def __init__(self, service: Service, token: str = "rfc") -> None:
        super().__init__(service, check, token)


def to_json(body: Any) -> bytes:
    """Return the body as JSON."""
    return json.dumps(body).encode()


@pytest.fixture
def maia(service: Service) -> Client:
    """A client of tenant ``rfc``."""
    return Client(service)


@pytest.fixture
def made(maia: Client) -> Any:
    """A user made by the dialect."""
    return maia.request("POST", USERS, body(title="Engineer", nickName="Annie")).json()


def test_201_matillions_example_is_created(maia: Client, rfc: Scim) -> None:
    sent = example("matillion", "post-user-request") | {"userName": unique("<string>")}
    answer = maia.request("POST", USERS, sent)
    assert answer.status_code == 201
    told = answer.json()
    assert told["schemas"] == [urns.USER]
    assert told["meta"]["resourceType"] == "User"
    assert answer.headers["Location"] == f"{maia.origin}{USERS}/{told['id']}"
    ignored = {"id", "meta", "groups", "password", "schemas"}
    assert {name: told[name] for name in told.keys() - ignored} == {name: sent[name] for name in sent.keys() - ignored}
    assert set(told) == set(example("matillion", "post-user-response")) - {"password", "groups"}
    assert maia.request("GET", answer.headers["Location"]).json() == told
    scim = rfc.read(told["id"])
    assert {name: scim[name] for name in scim.keys() - {"meta"}} == {
        name: told[name] for name in told.keys() - {"meta"}
    }


@pytest.mark.parametrize("base", [MATILLION, MAIA])
def test_200_matillions_example_replaces_a_user(maia: Client, made: Any, base: str) -> None:
    sent = example("matillion", "put-user-request") | {"userName": unique("<string>")}
    answer = maia.request("PUT", f"{base}/Users/{made['id']}", sent)
    assert answer.status_code == 200
    told = answer.json()
    assert told["id"] == made["id"]
    assert told["meta"]["version"] == 'W/"2"'
    assert told["meta"]["location"] == f"{maia.origin}{base}/Users/{made['id']}"
    assert told["addresses"] == sent["addresses"]
    assert set(told) == set(example("matillion", "put-user-response")) - {"password", "groups"}


def test_200_the_read_beside_them_shows_the_user(maia: Client, made: Any) -> None:
    for base in (MATILLION, MAIA):
        answer = maia.request("GET", f"{base}/Users/{made['id']}")
        assert answer.status_code == 200
        assert answer.json()["title"] == "Engineer"
        head = maia.request("HEAD", f"{base}/Users/{made['id']}")
        assert (head.status_code, head.headers["ETag"]) == (200, 'W/"1"')


@pytest.mark.parametrize(
    ("sent", "violations"),
    [
        ({"userName": "x"}, ["meta is required."]),
        ({"meta": {}}, ["userName is required."]),
        ({"meta": {}, "userName": " "}, ["userName must not be blank."]),
        ({"meta": {}, "userName": None}, ["userName must be a string."]),
        ({"meta": {}, "userName": "x", "id": ""}, ["id must have at least 1 character."]),
        ({"meta": {}, "userName": "x", "schemas": ["a", "a"]}, ["schemas must not have a value twice."]),
        ({"meta": {}, "userName": "x", "groups": [{"type": "direct"}]},
         ["groups[0].type must be one of DIRECT, INDIRECT."]),
        ({"meta": {}, "userName": "x", "emails": [{"value": 1}], "active": "yes"},
         ["emails[0].value must be a string.", "active must be true or false."]),
    ],
)  # fmt: skip
def test_400_says_which_fields_are_wrong(maia: Client, made: Any, sent: Any, violations: list[str]) -> None:
    problem_of(maia.request("POST", USERS, sent), 400, *violations)
    problem_of(maia.request("PUT", f"{MAIA}/Users/{made['id']}", sent), 400, *violations)
    assert maia.request("GET", f"{USERS}/{made['id']}").json() == made


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"null", b'"x"', b'{"meta":{},"userName":"\xff"}', b'{"meta":{},"userName":"a"} x',
        b"[" * 100_000, b'{"meta":' * 2_000, b'{"meta":{},"userName":"a","x":' + b"[" * 200 + b"]" * 200 + b"}",
        b'{"meta":{},"userName":"a","x":1e999}',
    ],
)  # fmt: skip
def test_400_what_is_no_object_in_json(maia: Client, content: bytes) -> None:
    problem_of(maia.request("POST", USERS, content=content), 400)


@pytest.mark.parametrize("name", ["userName", "title", "unknown"])
def test_400_control_characters(maia: Client, name: str) -> None:
    answer = maia.request("POST", USERS, body() | {name: "a\x00canary"})
    (violation,) = answer.json()["violations"]
    assert answer.status_code == 400
    assert violation.startswith(name)


def test_400_never_repeats_what_was_sent(maia: Client, made: Any) -> None:
    canary = unique("canary")
    for sent in (
        body(active=canary), body(groups=[{"type": canary}]), {"userName": canary}, body(canary + "\x00"),
        body(emails=[{"primary": canary}] * 30), body(made["userName"]), [canary], body(canary * 200),
    ):  # fmt: skip
        answer = maia.request("POST", USERS, sent)
        assert answer.status_code in {400, 409}
        assert canary not in answer.text
        assert made["userName"] not in answer.text
        assert len(answer.json()["violations"]) <= 20


@pytest.mark.parametrize("token", ["", "stranger", "rfc-expired"])
def test_401_without_a_good_token(service: Service, token: str) -> None:
    for method, path, sent in (
        ("POST", USERS, body()),
        ("PUT", f"{MAIA}/Users/x", body()),
        ("GET", f"{USERS}/x", None),
    ):
        answer = Client(service, token).request(method, path, sent)
        problem_of(answer, 401)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_403_where_the_tenant_does_not_speak_it(service: Service, made: Any) -> None:
    oracle = Client(service, "oracle")
    problem_of(oracle.request("POST", USERS, body()), 403)
    problem_of(oracle.request("PUT", f"{MAIA}/Users/{made['id']}", body()), 403)
    problem_of(oracle.request("GET", f"{USERS}/{made['id']}"), 403)


def test_404_no_user_has_this_id(maia: Client, service: Service, made: Any) -> None:
    for resource_id in ("none", "%00", "%F0%9F%98%80", "a" * 300, made["id"] + "x"):
        problem_of(maia.request("PUT", f"{MAIA}/Users/{resource_id}", body()), 404)
        problem_of(maia.request("GET", f"{USERS}/{resource_id}"), 404)
    problem_of(Client(service, "other").request("PUT", f"{USERS}/{made['id']}", body()), 404)
    problem_of(Client(service, "other").request("GET", f"{USERS}/{made['id']}"), 404)


@pytest.mark.parametrize("path", [f"{MATILLION}/Groups", MAIA, f"{MAIA}/", f"{MAIA}/Users/a/b", f"{MATILLION}/users/x"])
def test_404_what_is_not_served(maia: Client, path: str) -> None:
    problem_of(maia.request("GET", path), 404)


def test_405_other_methods(maia: Client, made: Any) -> None:
    for method, path, allowed in (
        ("GET", USERS, {"POST"}),
        ("PUT", f"{MAIA}/Users", {"POST"}),
        ("POST", f"{USERS}/{made['id']}", {"GET", "PUT"}),
        ("PATCH", f"{USERS}/{made['id']}", {"GET", "PUT"}),
        ("DELETE", f"{MAIA}/Users/{made['id']}", {"GET", "PUT"}),
    ):
        answer = maia.request(method, path, body() if method in {"PUT", "POST", "PATCH"} else None)
        problem_of(answer, 405)
        assert set(answer.headers["Allow"].replace(" ", "").split(",")) - {"HEAD"} == allowed


def test_409_a_second_user_of_that_name(maia: Client, made: Any) -> None:
    problem_of(maia.request("POST", USERS, body(made["userName"].upper())), 409)
    second = maia.request("POST", USERS, body()).json()
    problem_of(maia.request("PUT", f"{MAIA}/Users/{second['id']}", body(made["userName"])), 409)


def test_412_and_If_Match_in_time(maia: Client, made: Any) -> None:
    path = f"{MAIA}/Users/{made['id']}"
    problem_of(maia.request("PUT", path, body(), headers={"If-Match": 'W/"7"'}), 412)
    answer = maia.request("PUT", path, body(made["userName"]), headers={"If-Match": 'W/"1"'})
    assert answer.json()["meta"]["version"] == 'W/"2"'
    assert maia.request("GET", path, headers={"If-None-Match": 'W/"2"'}).status_code == 304


def test_413_too_large_a_body(maia: Client) -> None:
    problem_of(maia.request("POST", USERS, content=b" " * (1024 * 1024 + 1)), 413)


@pytest.mark.parametrize("media", ["text/plain", "application/scim+json", "application/problem+json", "json"])
def test_415_another_media_type(maia: Client, media: str) -> None:
    problem_of(maia.request("POST", USERS, body(), headers={"Content-Type": media}), 415)


def test_415_is_for_other_types_alone(maia: Client) -> None:
    answer = maia.request("POST", USERS, body(), headers={"Content-Type": "Application/JSON; Charset=UTF-8"})
    assert answer.status_code == 201


def test_422_and_an_Idempotency_Key_used_again(maia: Client) -> None:
    headers, sent = {"Idempotency-Key": unique("key")}, body()
    first = maia.request("POST", USERS, sent, headers=headers)
    again = maia.request("POST", USERS, sent, headers=headers)
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    problem_of(maia.request("POST", USERS, body(), headers=headers), 422)


def test_428_where_the_tenant_wants_If_Match(service: Service) -> None:
    caller = Client(service, "ifmatch")
    user_of_it = caller.request("POST", USERS, body()).json()
    problem_of(caller.request("PUT", f"{USERS}/{user_of_it['id']}", body()), 428)


def test_a_user_written_by_SCIM_is_told_and_replaced_here(maia: Client, rfc: Scim) -> None:
    badge: dict[str, Any] = {BADGE: {"deep": [{"a": [1]}]}}
    scim = rfc.made(
        title="CTO",
        name={"familyName": "Lee"},
        emails=[{"value": "a@example.com", "type": "work", "primary": True}],
        enterprise={"department": "IT", "manager": {"value": "m-1"}},
        **badge,
    )
    path = f"{MAIA}/Users/{scim['id']}"
    told = maia.request("GET", path).json()
    assert {name: told[name] for name in told.keys() - {"meta", "schemas"}} == {
        name: scim[name] for name in scim.keys() - {"meta", "schemas", urns.ENTERPRISE_USER, BADGE}
    }
    assert told["meta"]["created"] == scim["meta"]["created"]
    assert maia.request("PUT", path, told).json() == told, "what was told, sent back, changes nothing"
    replaced = maia.request("PUT", path, {**told, "title": "CEO"})
    assert replaced.json()["title"] == "CEO"
    after = rfc.read(scim["id"])
    assert after == scim | {"title": "CEO", "meta": after["meta"]}, "what a PUT here cannot say survives it"
    assert after["meta"]["version"] == 'W/"2"'


def test_a_PUT_clears_what_it_omits(maia: Client, rfc: Scim, made: Any) -> None:
    maia.request("PUT", f"{MAIA}/Users/{made['id']}", body(made["userName"], title="Lead"))
    after = rfc.read(made["id"])
    assert {name: after[name] for name in after.keys() - {"meta"}} == {
        "schemas": [urns.USER], "id": made["id"], "userName": made["userName"], "title": "Lead",
    }  # fmt: skip


def test_a_PUT_of_what_was_told_changes_nothing(maia: Client, made: Any, service: Service) -> None:
    answer = maia.request("PUT", f"{USERS}/{made['id']}", made)
    assert answer.status_code == 200
    assert answer.json() == made
    assert len(service.events_of("rfc", made["id"])) == 1


def test_a_PUT_keeps_what_the_tenant_preserves(service: Service) -> None:
    caller = Client(service, "preserving")
    before = caller.request("POST", USERS, body(nickName="N", title="T")).json()
    after = caller.request("PUT", f"{USERS}/{before['id']}", body(before["userName"])).json()
    assert after["nickName"] == "N"
    assert "title" not in after


def test_events_and_versions_are_those_of_SCIM(maia: Client, rfc: Scim, service: Service) -> None:
    first, second = unique(), unique()
    here = maia.request("POST", USERS, body(first, title="a")).json()
    there = rfc.made(second, title="a")
    maia.request("PUT", f"{MAIA}/Users/{here['id']}", body(first, title="b", active=True))
    rfc.put(f"/Users/{there['id']}", user(second, title="b", active=True))
    for name in ("here", "there"):
        assert rfc.read({"here": here, "there": there}[name]["id"])["meta"]["version"] == 'W/"2"'
    shapes = []
    for made_id, name in ((here["id"], first), (there["id"], second)):
        text = json.dumps([event["value"]["events"] for event in service.events_of("rfc", made_id)])
        shapes.append(json.loads(text.replace(made_id, "ID").replace(name, "NAME")))
    assert [sorted(each) for each in shapes[0]] == [sorted(each) for each in shapes[1]]
    for one, other in zip(shapes[0], shapes[1], strict=True):
        for urn in one:
            assert _without_times(one[urn]) == _without_times(other[urn])


def _without_times(event: Any) -> Any:
    if isinstance(event, dict):
        return {name: _without_times(value) for name, value in event.items() if name not in {"created", "lastModified"}}
    return event


def test_a_second_primary_is_stored_as_false(maia: Client, rfc: Scim) -> None:
    emails = [{"value": "a@example.com", "primary": True}, {"value": "b@example.com", "primary": True}]
    told = maia.request("POST", USERS, body(emails=emails)).json()
    assert told["emails"] == [emails[0], {"value": "b@example.com", "primary": False}]
    assert rfc.read(told["id"])["emails"] == told["emails"]


def test_groups_are_ignored_in_and_told_out(maia: Client, service: Service) -> None:
    sent = body(groups=[{"value": "g", "ref": "x", "type": "DIRECT", "display": "Mine"}])
    told = maia.request("POST", USERS, sent).json()
    assert "groups" not in told
    inner, outer = unique("g-a"), unique("g-b")
    put_group(service, "rfc", inner, "Staff", [told["id"]])
    put_group(service, "rfc", outer, "Company", [inner])
    expected = [
        {"display": "Staff", "type": "DIRECT", "value": inner},
        {"display": "Company", "type": "INDIRECT", "value": outer},
    ]
    for base in (MATILLION, MAIA):
        collection = f"{service.origin}{base}/Groups/"
        whole = [group | {"ref": collection + group["value"]} for group in expected]
        assert maia.request("GET", f"{base}/Users/{told['id']}").json()["groups"] == whole
        assert maia.request("PUT", f"{base}/Users/{told['id']}", sent).json()["groups"] == whole


def test_a_password_is_taken_and_never_told(service: Service) -> None:
    for token in ("argon", "rfc"):
        caller, secret = Client(service, token), unique("Pw")
        told = caller.request("POST", USERS, body(password=secret))
        assert secret not in told.text
        path = f"{MAIA}/Users/{told.json()['id']}"
        again = caller.request("PUT", path, body(told.json()["userName"], password=secret + "2"))
        assert again.json()["meta"]["version"] == ('W/"2"' if token == "argon" else 'W/"1"')
        assert secret.encode() not in service.kept()


def test_a_tenants_switches_for_SCIM_clients_are_not_for_this(service: Service) -> None:
    answer = Client(service, "strict").request(
        "POST", USERS, body(unknown=1, photos=[{"value": "no URI"}], schemas=["x"])
    )
    assert answer.status_code == 201


def test_a_deleted_user_is_gone_here_too(maia: Client, rfc: Scim, made: Any) -> None:
    assert rfc.delete(f"/Users/{made['id']}").status_code == 204
    problem_of(maia.request("GET", f"{USERS}/{made['id']}"), 404)
    problem_of(maia.request("PUT", f"{MAIA}/Users/{made['id']}", body()), 404)
    refused(rfc.get(f"/Users/{made['id']}"), 404)


@settings(max_examples=40, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bodies("ScimUser", maia_schemas(), wrong=True))
def test_bodies_are_taken_exactly_where_the_schema_says_so(maia: Client, sent: Any) -> None:
    if isinstance(sent, dict) and isinstance(sent.get("userName"), str):
        sent["userName"] = unique(sent["userName"])
    elif isinstance(sent, dict):
        sent.setdefault("userName", unique())
    content = to_json(sent)
    answer = maia.request("POST", USERS, content=content)
    if validator("ScimUser").is_valid(sent):
        assert answer.status_code == 201, answer.text
        told = answer.json()
        assert maia.request("PUT", f"{MAIA}/Users/{told['id']}", content=content).status_code == 200
    else:
        assert answer.status_code == 400, answer.text


FAULTS: dict[str, tuple[Callable[[str], Exception], int]] = {
    "500-failed": (Failed, 500),
    "500-defect": (lambda _txn: ZeroDivisionError("canary"), 500),
    "503-busy": (Busy, 503),
    "503-expired": (Expired, 503),
    "503-outcome-unknown": (OutcomeUnknown, 503),
    "503-store": (lambda _txn: StoreUnavailable("canary"), 503),
    "429": (lambda _txn: TooManyRequests("too much is in flight; wait for some answers"), 429),
}


@pytest.mark.parametrize("fault", sorted(FAULTS))
@pytest.mark.parametrize(("method", "path"), [("POST", USERS), ("PUT", f"{MAIA}/Users/u-1")])
async def test_500_503_and_429_are_problems_and_nobody_is_told_a_value(fault: str, method: str, path: str) -> None:
    made, status = FAULTS[fault]

    async def submit(command: ChangeCommand) -> Reply:
        raise made(command.txn)

    ports = Ports(submit)
    async with calling(ports) as session:
        answer = await session.request(method, path, json=body("canary"))
        problem = await answer.json(content_type="application/problem+json")
    assert answer.status == problem["status"] == status
    assert validator("ProblemDetail", closed=True).is_valid(problem)
    assert problem["violations"] == []
    assert problem["instance"] == path
    assert "canary" not in json.dumps(problem)
    assert answer.headers["Scim-Txn"] == ports.commands[0].txn
    assert ("Retry-After" in answer.headers) == (status in {429, 503})


async def test_503_where_a_user_cannot_be_read() -> None:
    def unreadable() -> None:
        raise StoreUnavailable("canary")

    async with calling(Ports(unused, reading=unreadable)) as session:
        answer = await session.get(f"{MAIA}/Users/u-1")
        problem = await answer.json(content_type="application/problem+json")
    assert answer.status == problem["status"] == 503
    assert "canary" not in json.dumps(problem)
