"""Oracle CPQ over HTTP: a user put as CPQ's native user, every status, and what that user is elsewhere."""

from __future__ import annotations

import json as json_text
from collections.abc import Callable, Mapping
from typing import Any, Final

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers.errors import StoreUnavailable
from consumers.ports import Reply
from consumers.submission import Busy, Expired, Failed, OutcomeUnknown
from schemas import urns
from schemas.commands import ChangeCommand
from schemas.dialects.oracle_cpq_fields import URN
from schemas.errors import TooManyRequests
from tests.contract.http.dialect_caller import DialectCaller
from tests.dialects.bodies import JSON
from tests.gateway.fronts import Ports, calling, unused
from tests.schemas.dialects.oracle_cpq_samples import NATIVE, STORED
from tests.served import Scim, Service, op, refused, unique, user

USERS: Final = "/rest/v19/scim/Users"
BADGE: Final = "urn:example:badge:1.0:User"
HOME: Final = {"value": "h@example.com", "type": "home"}


def check(method: str, answer: httpx2.Response) -> None:
    """Check what every answer of this dialect has: ids of request and change, a user-response or Oracle's error."""
    status, headers = answer.status_code, answer.headers
    assert headers["X-Request-Id"], answer
    assert method in {"GET", "HEAD"} or headers["Scim-Txn"], answer
    if status == 304 or method == "HEAD":
        assert answer.content == b""
        return
    assert headers["Content-Type"] == "application/json", answer.text
    body = answer.json()
    if status >= 400:
        check_error(status, body)
        return
    assert "password" not in answer.text.lower()
    assert set(body) >= {"schemas", "id", "userName", "active", "meta"}
    assert headers["Location"] == body["meta"]["location"]
    assert headers["Location"].endswith(answer.request.url.raw_path.decode())
    if "Idempotency-Key" not in answer.request.headers:
        assert headers["ETag"] == body["meta"]["version"]


def check_error(status: int, body: Any) -> None:
    """Check the form of an error of Oracle's REST services."""
    assert set(body) == {"title", "status", "o:errorDetails"}
    assert body["status"] == status
    assert body["title"]
    assert body["o:errorDetails"]
    for detail in body["o:errorDetails"]:
        assert set(detail) == {"title", "detail", "o:errorCode"}
        assert all(isinstance(text, str) and text for text in detail.values())


def details_of(answer: httpx2.Response, status: int, *details: str) -> Any:
    """Check that the answer is this error, with these details where some are given, and return its body."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    told = [detail["detail"] for detail in body["o:errorDetails"]]
    assert not details or told == list(details)
    return body


class Cpq(DialectCaller):
    """A client of the dialect with one token."""

    def __init__(self, service: Service, token: str = "rfc") -> None:
        super().__init__(service, check, token)

    def put(self, user_id: str, json: Any, headers: Mapping[str, str] | None = None) -> httpx2.Response:
        """PUT a user."""
        return self.request("PUT", f"{USERS}/{user_id}", json, headers=headers)

    def get(self, user_id: str) -> httpx2.Response:
        """GET a user."""
        return self.request("GET", f"{USERS}/{user_id}")

    def read(self, user_id: str) -> Any:
        """Return a user that is there."""
        answer = self.get(user_id)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def cpq(service: Service) -> Cpq:
    """A client of tenant ``rfc``."""
    return Cpq(service)


@pytest.fixture
def made(rfc: Scim) -> Any:
    """A user written over ``/scim/v2``, with more than CPQ knows."""
    badge: dict[str, Any] = {BADGE: {"deep": [{"a": [None]}]}}
    return rfc.made(
        externalId=unique("e"),
        displayName="Ann Lee",
        title="Old",
        name={"givenName": "A", "familyName": "L", "middleName": "M"},
        active=False,
        emails=[{"value": "w@example.com", "type": "work", "display": "Work", "primary": True}, HOME],
        phoneNumbers=[{"value": "1", "type": "mobile"}],
        enterprise={"department": "d", "manager": {"value": "m"}},
        **badge,
    )


def without_meta(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != "meta"}


# --- success ---


def test_200_a_user_request_is_taken_field_by_field(cpq: Cpq, rfc: Scim) -> None:
    made, login = rfc.made(), unique("ann")
    answer = cpq.put(made["id"], {**NATIVE, "login": login})
    assert answer.status_code == 200
    told = answer.json()
    assert told["meta"]["version"] == 'W/"2"'
    fields = {name: told["extensionUser"][name] for name in STORED[URN]}
    assert fields == STORED[URN], "native fields are given back whole"
    assert told["extensionUser"]["addresses"][0]["locality"] == "Austin"
    assert told["extensionUser"]["billingFullName"] == {"firstName": "Bill", "lastName": "Payer"}
    assert told["schemas"] == [urns.USER, URN]
    assert cpq.read(made["id"]) == told
    assert without_meta(rfc.read(made["id"])) == {**STORED, "id": made["id"], "userName": login}
    assert rfc.find(f'userName eq "{login.upper()}"')["totalResults"] == 1


def test_200_the_read_beside_it_shows_the_user(cpq: Cpq, made: Any) -> None:
    told = cpq.read(made["id"])
    shared = {"id", "userName", "name", "emails", "phoneNumbers", "title", "active", "displayName", "externalId"}
    assert {name: told[name] for name in shared} == {name: made[name] for name in shared}
    assert told["enterpriseUser"] == made[urns.ENTERPRISE_USER]
    assert told["schemas"] == [urns.USER, urns.ENTERPRISE_USER]
    head = cpq.request("HEAD", f"{USERS}/{made['id']}")
    assert (head.status_code, head.headers["ETag"]) == (200, 'W/"1"')


def test_200_in_either_media_type(cpq: Cpq, made: Any) -> None:
    for media in ("application/json", "application/scim+json", "Application/JSON; charset=UTF-8"):
        assert cpq.put(made["id"], {}, {"Content-Type": media}).status_code == 200


def test_200_what_is_not_sent_goes_back_to_its_default(cpq: Cpq, rfc: Scim, made: Any) -> None:
    assert cpq.put(made["id"], {**NATIVE, "login": made["userName"]}).status_code == 200
    told = cpq.put(made["id"], {}).json()
    assert "extensionUser" not in told
    after = rfc.read(made["id"])
    assert without_meta(after) == {
        **{name: value for name, value in made.items() if name not in {"meta", "title"}},
        "name": {"middleName": "M"},
        "active": True,
        "emails": [HOME],
        "schemas": after["schemas"],
    }
    assert set(after["schemas"]) == set(made["schemas"])


def test_200_SCIM_attributes_that_CPQ_has_no_field_for_survive(cpq: Cpq, rfc: Scim, made: Any) -> None:
    assert cpq.put(made["id"], NATIVE | {"login": made["userName"]}).status_code == 200
    after = rfc.read(made["id"])
    for name in ("externalId", "displayName", BADGE, urns.ENTERPRISE_USER):
        assert after[name] == made[name]
    assert after["name"] == {"givenName": "Ann", "familyName": "Lee", "middleName": "M"}
    work = {"value": "ann@example.com", "type": "work", "display": "Work", "primary": True}
    assert after["emails"] == [work, HOME]
    assert {"value": "1", "type": "mobile"} in after["phoneNumbers"]
    assert set(after["schemas"]) == {*made["schemas"], URN}


def test_200_what_a_GET_returned_is_PUT_back_and_changes_nothing(
    cpq: Cpq, rfc: Scim, made: Any, service: Service
) -> None:
    cpq.put(made["id"], NATIVE | {"login": made["userName"]})
    before, told = rfc.read(made["id"]), cpq.read(made["id"])
    answer = cpq.put(made["id"], told, {"Content-Type": "application/scim+json"})
    assert answer.json() == told
    assert rfc.read(made["id"]) == before
    assert len(service.events_of("rfc", made["id"])) == 2
    told["title"], told["extensionUser"]["units"] = "CTO", {"value": "CM_KG"}
    cpq.put(made["id"], told)
    after = rfc.read(made["id"])
    assert after == before | {"title": "CTO", URN: before[URN] | {"units": {"value": "CM_KG"}}, "meta": after["meta"]}


def test_200_native_fields_are_read_and_written_over_SCIM_too(cpq: Cpq, rfc: Scim, made: Any) -> None:
    cpq.put(made["id"], {"groups": NATIVE["groups"], "language": {"value": "en", "displayValue": "English"}})
    assert rfc.read(made["id"])[URN]["groups"] == NATIVE["groups"]
    currency = {"value": "EUR", "more": [{"deep": None}]}
    rfc.patched(
        made["id"], op("replace", value={URN: {"currency": currency}}), op("add", "preferredLanguage", value="fr")
    )
    assert cpq.read(made["id"])["extensionUser"] == {"groups": NATIVE["groups"], "currency": currency}
    rfc.patched(made["id"], op("add", "preferredLanguage", value="en"))
    assert cpq.read(made["id"])["extensionUser"]["language"] == {"value": "en", "displayValue": "English"}


def test_200_the_managers_name_is_told_and_not_taken(cpq: Cpq, rfc: Scim) -> None:
    boss = rfc.made(displayName="Meg")
    report = rfc.made(enterprise={"manager": {"value": boss["id"]}})
    told = cpq.read(report["id"])
    assert told["enterpriseUser"] == {"manager": {"value": boss["id"], "displayName": "Meg"}}
    told["enterpriseUser"]["manager"]["displayName"] = "Nobody"
    assert cpq.put(report["id"], told).json()["enterpriseUser"]["manager"]["displayName"] == "Meg"


def test_200_a_password_is_taken_and_never_told(service: Service) -> None:
    for token in ("argon", "rfc"):
        caller, secret = Cpq(service, token), unique("Pw")
        made = service.caller(token).made(active=True)
        told = caller.put(made["id"], {"password": secret})
        assert secret not in told.text
        assert told.json()["meta"]["version"] == ('W/"2"' if token == "argon" else 'W/"1"')
        assert secret.encode() not in service.kept()


def test_200_what_the_tenant_preserves_stays(service: Service) -> None:
    made = service.caller("preserving").made(nickName="N", title="T", name={"middleName": "M", "givenName": "G"})
    after = Cpq(service, "preserving").put(made["id"], {}).json()
    assert (after["nickName"], after["name"]) == ("N", {"middleName": "M"})
    assert "title" not in after


def test_200_a_tenants_switches_for_SCIM_clients_are_not_for_this(service: Service) -> None:
    made = service.caller("strict").made()
    assert Cpq(service, "strict").put(made["id"], {"userName": made["userName"], "unknown": 1}).status_code == 200


def test_200_events_and_versions_are_those_of_a_write_over_SCIM(
    cpq: Cpq, rfc: Scim, made: Any, service: Service
) -> None:
    answer = cpq.put(made["id"], {"jobTitle": "Lead", "status": {"value": "Active"}})
    there = rfc.made(active=False)
    rfc.patched(there["id"], op("replace", "title", value="Lead"), op("replace", "active", value=True))
    _, changed = (event["value"] for event in service.events_of("rfc", made["id"]))
    _, plain = (event["value"] for event in service.events_of("rfc", there["id"]))
    assert set(changed["events"]) == {urns.PATCH_FULL, urns.ACTIVATE}
    assert changed["events"][urns.PATCH_FULL]["version"] == answer.headers["ETag"] == 'W/"2"'
    assert changed["txn"] == answer.headers["Scim-Txn"]
    assert changed["after"] == without_meta(rfc.read(made["id"]))
    assert set(changed) == set(plain)
    assert {urn: set(event) for urn, event in changed["events"].items()} == {
        urn: set(event) for urn, event in plain["events"].items()
    }


# --- errors ---


@pytest.mark.parametrize(
    ("sent", "details"),
    [
        ({"currency": "USD"}, ["currency must be an object."]),
        ({"login": " "}, ["login must not be blank."]),
        ({"phone": 1, "units": 2}, ["phone must be a string.", "units must be an object."]),
        ({"accessPermissions": {"items": [{"type": "x"}]}},
         ["accessPermissions.items[0].type must be one of productFamily, supportedProductFamily, dataTableFolder."]),
        ({"groups": {"items": [{"segments": {"items": [{"status": 3}]}}]}},
         ["groups.items[0].segments.items[0].status must be 0, 1 or 2."]),
        ({"status": {"value": "x"}}, ["status.value must be Active or Inactive, or 1 or 0."]),
        ({"userName": "a", "login": "b"}, ["login and userName say different things; send one, or both alike."]),
        ({"schemas": [], "emails": "x"}, ["emails must be an array."]),
    ],
)  # fmt: skip
def test_400_says_which_fields_are_wrong(cpq: Cpq, rfc: Scim, made: Any, sent: Any, details: list[str]) -> None:
    body = details_of(cpq.put(made["id"], sent), 400, *details)
    assert (body["title"], body["o:errorDetails"][0]["o:errorCode"]) == ("Bad Request", "invalidValue")
    assert rfc.read(made["id"]) == made


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"null", b'"x"', b'{"login":"\xff"}', b'{"login":"a"} x', b"[" * 100_000, b'{"groups":' * 2_000,
        b'{"x":' + b"[" * 200 + b"]" * 200 + b"}", b'{"x":1e999}', b'{"login":"a","LOGIN":"b"}', b'{"firstName":"\\u0000"}',
        b'{"groups":{"items":[' + b"1," * 100_000 + b"1]}}",
    ],
)  # fmt: skip
def test_400_malformed_and_hostile_bodies(cpq: Cpq, rfc: Scim, made: Any, content: bytes) -> None:
    details_of(cpq.request("PUT", f"{USERS}/{made['id']}", content=content), 400)
    assert rfc.read(made["id"]) == made


def test_400_never_repeats_what_was_sent(cpq: Cpq, made: Any) -> None:
    canary = unique("canary")
    for sent in (
        {"status": {"value": canary}}, {"accessPermissions": {"items": [{"type": canary}] * 30}}, [canary],
        {"login": canary * 100}, {"userName": canary, "login": "x"}, {"lastName": canary + "\x00"}, {"currency": canary},
        {"userName": canary, "emails": [{"type": canary * 100}]}, {"userName": "a", "extensionUser": canary},
    ):  # fmt: skip
        answer = cpq.put(made["id"], sent)
        details_of(answer, 400)
        assert canary not in answer.text
        assert len(answer.json()["o:errorDetails"]) <= 20


@pytest.mark.parametrize("token", ["", "stranger", "rfc-expired"])
def test_401_no_token_or_a_wrong_one(service: Service, token: str) -> None:
    for answer in (Cpq(service, token).put("x", {}), Cpq(service, token).get("x")):
        details_of(answer, 401)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_403_the_tenant_does_not_use_this_interface(service: Service) -> None:
    made = service.caller("scim2").made()
    for answer in (Cpq(service, "scim2").put(made["id"], {}), Cpq(service, "scim2").get(made["id"])):
        assert details_of(answer, 403)["title"] == "Forbidden"


def test_404_and_not_403_where_the_tenant_uses_nothing_else(service: Service) -> None:
    details_of(Cpq(service, "oracle").get(unique()), 404)
    refused(service.caller("oracle").get("/Users"), 403)


def test_404_no_user_has_this_id_and_none_is_created(cpq: Cpq, rfc: Scim, service: Service, made: Any) -> None:
    login = unique()
    for user_id in ("none", "%00", "%F0%9F%98%80", "a" * 300, made["id"] + "x"):
        details_of(cpq.put(user_id, {"login": login}), 404, "no User has this id")
        details_of(cpq.get(user_id), 404, "no User has this id")
    assert rfc.find(f'userName eq "{login}"')["totalResults"] == 0
    details_of(Cpq(service, "other").put(made["id"], {}), 404)
    rfc.delete(f"/Users/{made['id']}")
    details_of(cpq.put(made["id"], {"login": login}), 404)
    details_of(cpq.get(made["id"]), 404)


@pytest.mark.parametrize("path", ["", "/a/b", "/"])
def test_404_what_is_not_served(cpq: Cpq, path: str) -> None:
    details_of(cpq.request("GET", f"{USERS}{path}"), 404, "there is no such endpoint")


def test_405_other_methods(cpq: Cpq, made: Any) -> None:
    for method in ("POST", "PATCH", "DELETE"):
        answer = cpq.request(method, f"{USERS}/{made['id']}", None if method == "DELETE" else {})
        details_of(answer, 405)
        assert set(answer.headers["Allow"].replace(" ", "").split(",")) - {"HEAD"} == {"GET", "PUT"}


def test_409_the_login_is_in_use(cpq: Cpq, rfc: Scim, made: Any) -> None:
    taken = rfc.made()
    body = details_of(cpq.put(made["id"], {"login": taken["userName"].upper()}), 409)
    assert body["o:errorDetails"][0]["o:errorCode"] == "uniqueness"
    assert rfc.read(made["id"]) == made


def test_412_and_304_by_the_version(cpq: Cpq, made: Any) -> None:
    details_of(cpq.put(made["id"], {}, {"If-Match": 'W/"7"'}), 412)
    assert cpq.put(made["id"], {}, {"If-Match": 'W/"1"'}).json()["meta"]["version"] == 'W/"2"'
    answer = cpq.request("GET", f"{USERS}/{made['id']}", headers={"If-None-Match": 'W/"2"'})
    assert answer.status_code == 304


def test_413_the_body_is_too_large(cpq: Cpq, made: Any) -> None:
    details_of(cpq.request("PUT", f"{USERS}/{made['id']}", content=b" " * (1024 * 1024 + 1)), 413)


@pytest.mark.parametrize("media", ["text/plain", "application/xml", "application/problem+json"])
def test_415_another_media_type(cpq: Cpq, made: Any, media: str) -> None:
    details_of(cpq.put(made["id"], {}, {"Content-Type": media}), 415)


def test_422_and_the_same_answer_again_by_the_Idempotency_Key(cpq: Cpq, rfc: Scim, made: Any) -> None:
    headers = {"Idempotency-Key": unique("key")}
    first = cpq.put(made["id"], {"jobTitle": "a"}, headers)
    rfc.patched(made["id"], op("replace", "title", value="b"))
    again = cpq.put(made["id"], {"jobTitle": "a"}, headers)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.headers["ETag"] == again.headers["ETag"]
    assert rfc.read(made["id"])["title"] == "b"
    details_of(cpq.put(made["id"], {"jobTitle": "c"}, headers), 422)


def test_428_where_the_tenant_wants_If_Match(service: Service) -> None:
    made = service.caller("ifmatch").made()
    details_of(Cpq(service, "ifmatch").put(made["id"], {}), 428)


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
async def test_500_503_and_429_are_errors_of_Oracles_form(fault: str) -> None:
    failed, status = FAULTS[fault]

    async def submit(command: ChangeCommand) -> Reply:
        raise failed(command.txn)

    ports = Ports(submit)
    async with calling(ports) as session:
        answer = await session.put(f"{USERS}/u-1", json={"login": "canary"})
        body = await answer.json(content_type="application/json")
    assert answer.status == status
    check_error(status, body)
    assert "canary" not in json_text.dumps(body)
    assert answer.headers["Scim-Txn"] == ports.commands[0].txn
    assert ("Retry-After" in answer.headers) == (status in {429, 503})


async def test_503_where_a_user_cannot_be_read() -> None:
    def unreadable() -> None:
        raise StoreUnavailable("canary")

    async with calling(Ports(unused, reading=unreadable)) as session:
        answer = await session.get(f"{USERS}/u-1")
        body = await answer.json(content_type="application/json")
    assert answer.status == 503
    check_error(503, body)


# --- the other contracts ---


def test_a_user_of_another_dialect_is_put_here_and_read_there(cpq: Cpq, rfc: Scim, service: Service) -> None:
    def plain(_method: str, answer: httpx2.Response) -> None:
        assert answer.status_code in {200, 201, 204}, answer.text

    other = service.speaking(plain)
    matillion, json = f"{service.origin}/v1/directory-integration/scim/v2/Users", {"Content-Type": "application/json"}
    sent = {"meta": {}, "userName": unique(), "nickName": "N", "emails": [HOME], "title": "t", "active": False}
    made = other.request("POST", matillion, sent, headers=json).json()
    told = cpq.put(
        made["id"], {"email": "w@example.com", "currency": {"value": "USD"}, "status": {"value": "0"}}
    ).json()
    assert told["emails"] == [HOME, {"type": "work", "value": "w@example.com"}]
    there = other.request("GET", f"{matillion}/{made['id']}").json()
    assert (there["nickName"], there["active"], there["emails"]) == ("N", False, told["emails"])
    assert "title" not in there
    other.request("PUT", f"{matillion}/{made['id']}", {**there, "title": "u"}, headers=json)
    assert cpq.read(made["id"])["extensionUser"] == {"currency": {"value": "USD"}, "status": {"value": "0"}}
    workspace = f"{service.origin}/SAAS/jersey/manager/api/scim/Users/{made['id']}"
    partial = {"emails": [{"value": "h@example.com", "operation": "delete"}], "timeZone": "Europe/Berlin"}
    other.request("PATCH", workspace, partial, headers=json)
    told = cpq.read(made["id"])
    assert (told["emails"], told["timezone"], told["title"]) == (
        [{"type": "work", "value": "w@example.com"}], "Europe/Berlin", "u",
    )  # fmt: skip
    assert rfc.read(made["id"])[URN] == {"currency": {"value": "USD"}, "status": {"value": "0"}}


def test_what_became_of_a_change_is_told_to_a_tenant_that_may_use_this_alone(service: Service) -> None:
    lost = Cpq(service, "oracle").put("nobody", {})
    assert lost.status_code == 404
    told = service.caller("oracle").get(f"/Outcomes/{lost.headers['Scim-Txn']}").json()
    assert (told["state"], told["status"]) == ("refused", 404)


NAMES = st.sampled_from([*NATIVE, "userName", "schemas", "extensionUser", "enterpriseUser", "emails", "name", "x"])
VALUES = JSON | NAMES.map(lambda name: NATIVE.get(name, "x"))


@settings(max_examples=60, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(NAMES, VALUES, max_size=5) | JSON)
def test_whatever_is_sent_is_taken_or_refused_in_this_form(cpq: Cpq, rfc: Scim, sent: Any) -> None:
    if isinstance(sent, dict):
        sent |= {name: unique() for name in ("login", "userName") if isinstance(sent.get(name), str) and sent[name]}
        if {"login", "userName"} <= set(sent):
            del sent["login"]
    made = rfc.made()
    answer = cpq.request("PUT", f"{USERS}/{made['id']}", content=json_text.dumps(sent).encode())
    assert answer.status_code in {200, 400}, answer.text
    again = cpq.put(made["id"], cpq.read(made["id"]))
    assert again.status_code == 200, again.text


def test_the_user_that_was_put_is_a_user_like_any_other(cpq: Cpq, rfc: Scim, made: Any) -> None:
    cpq.put(made["id"], NATIVE | {"login": made["userName"]})
    replaced = rfc.put(f"/Users/{made['id']}", user(made["userName"]))
    assert set(without_meta(replaced.json())) == {"schemas", "id", "userName"}
    told = cpq.read(made["id"])
    assert "extensionUser" not in told
    assert told["active"] is True
