"""One user in four contracts: written through each, read through each other."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import httpx2
import pytest

from schemas import urns
from schemas.dialects.oracle_cpq_fields import URN as CPQ
from schemas.dialects.registry import DIALECTS
from tests.served import Scim, Service, op, unique

MATILLION: Final = "/dpc/v1/directory-integration/scim/v2/Users"
MAIA: Final = "/v1/directory-integration/scim/v2/Users"
WORKSPACE_ONE: Final = "/SAAS/jersey/manager/api/scim/Users"
ORACLE: Final = "/rest/v19/scim/Users"
WORKSPACE: Final = "urn:scim:schemas:extension:workspace:1.0"
BADGE: Final = "urn:example:badge:1.0:User"

COMMON: Final[dict[str, Any]] = {
    "title": "Engineer",
    "givenName": "Ann",
    "familyName": "Lee",
    "email": "ann@example.com",
    "phone": "+1 555 0100",
    "preferredLanguage": "de",
    "timezone": "Europe/Berlin",
    "active": False,
}
"""What all four can say of a user."""
OTHERS: Final[dict[str, Any]] = {
    urns.ENTERPRISE_USER: {"department": "IT"},
    WORKSPACE: {"domain": "acme.com", "unknown": {"deep": [1]}},
    BADGE: {"doors": [{"front": True}]},
}
"""What not all of them can say."""


def accepted(method: str, answer: httpx2.Response) -> None:
    """Check that the answer is none of an error, whatever its form."""
    assert answer.status_code in {200, 201, 204}, (method, answer.text)


class Clients:
    """The same token in every contract."""

    def __init__(self, service: Service) -> None:
        self.origin = service.origin
        self.scim = service.caller("rfc")
        self._any = service.speaking(accepted, "rfc")

    def send(self, method: str, path: str, body: Any = None) -> httpx2.Response:
        """Send JSON to a path behind the origin."""
        content = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        return self._any.request(method, self.origin + path, content=content, headers=headers)

    def got(self, path: str) -> Any:
        """Return the user at a path behind the origin."""
        return self.send("GET", path).json()


@pytest.fixture
def clients(service: Service) -> Clients:
    return Clients(service)


def attributes(said: dict[str, Any]) -> dict[str, Any]:
    """Return what is said in SCIM's attributes."""
    return {
        "title": said["title"],
        "name": {"givenName": said["givenName"], "familyName": said["familyName"]},
        "emails": [{"type": "work", "value": said["email"]}],
        "phoneNumbers": [{"type": "work", "value": said["phone"]}],
        "preferredLanguage": said["preferredLanguage"],
        "timezone": said["timezone"],
        "active": said["active"],
    }


def by_scim(clients: Clients, user: Any, said: dict[str, Any]) -> None:
    clients.scim.patched(user["id"], op("replace", value=attributes(said)))


def by_matillion(clients: Clients, user: Any, said: dict[str, Any]) -> None:
    body = {"meta": {"resourceType": "User"}, "userName": user["userName"], **attributes(said)}
    clients.send("PUT", f"{MATILLION}/{user['id']}", body)


def by_workspace_one(clients: Clients, user: Any, said: dict[str, Any]) -> None:
    # Its values merge: those that were there before go by name.
    body = attributes(said) | {"meta": {"attributes": ["emails", "phoneNumbers"]}}
    body["timeZone"] = body.pop("timezone")
    clients.send("PATCH", f"{WORKSPACE_ONE}/{user['id']}", body)


def by_oracle(clients: Clients, user: Any, said: dict[str, Any]) -> None:
    body = {
        "firstName": said["givenName"],
        "lastName": said["familyName"],
        "email": said["email"],
        "phone": said["phone"],
        "jobTitle": said["title"],
        "language": {"value": said["preferredLanguage"]},
        "timeZone": {"value": said["timezone"]},
        "status": {"value": "Active" if said["active"] else "Inactive"},
        "currency": {"value": "EUR"},
    }
    clients.send("PUT", f"{ORACLE}/{user['id']}", body)


WRITERS: Final[dict[str, Callable[[Clients, Any, dict[str, Any]], None]]] = {
    "scim2": by_scim,
    "matillion": by_matillion,
    "workspace_one": by_workspace_one,
    "oracle_cpq": by_oracle,
}
READERS: Final = {
    "scim2": "/scim/v2/Users",
    "matillion": MATILLION,
    "maia": MAIA,
    "workspace_one": WORKSPACE_ONE,
    "oracle_cpq": ORACLE,
}


def common(user: Any) -> dict[str, Any]:
    """Return what an answer of any of them says of what all can say."""
    (email,), (phone,) = user["emails"], user["phoneNumbers"]
    assert email["type"] == phone["type"] == "work"
    return {
        "title": user["title"],
        **{name: user["name"][name] for name in ("givenName", "familyName")},
        "email": email["value"],
        "phone": phone["value"],
        "preferredLanguage": user["preferredLanguage"],
        "timezone": user.get("timezone", user.get("timeZone")),
        "active": user["active"],
    }


def test_every_dialect_is_here() -> None:
    assert {"scim2", *(dialect.name for dialect in DIALECTS)} == set(WRITERS)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("writer", WRITERS)
def test_a_user_written_through_one_is_read_through_all(clients: Clients, writer: str, reader: str) -> None:
    user = clients.scim.made(
        externalId=unique("e"), **attributes(COMMON | {"title": "before", "active": True}), **OTHERS
    )
    WRITERS[writer](clients, user, COMMON)
    told = clients.got(f"{READERS[reader]}/{user['id']}")
    assert common(told) == COMMON
    assert (told["id"], told["userName"]) == (user["id"], user["userName"])
    assert told["meta"]["version"] == 'W/"2"'
    stored = clients.scim.read(user["id"])
    assert {urn: stored[urn] for urn in OTHERS} == OTHERS, "what a dialect cannot say survives it"
    if writer != "matillion":  # its PUT can say externalId, and did not
        assert stored["externalId"] == user["externalId"]


@pytest.mark.parametrize("writer", WRITERS)
def test_the_same_again_changes_nothing(clients: Clients, service: Service, writer: str) -> None:
    user = clients.scim.made(**OTHERS)
    for _ in range(2):
        WRITERS[writer](clients, user, COMMON)
    stored = clients.scim.read(user["id"])
    assert stored["meta"]["version"] == 'W/"2"'
    assert len(service.events_of("rfc", user["id"])) == 2


def test_one_user_through_all_of_them_has_one_history(clients: Clients, service: Service) -> None:
    name = unique()
    user = clients.send("POST", MATILLION, {"meta": {}, "userName": name, **attributes(COMMON)}).json()
    for number, writer in enumerate(("workspace_one", "oracle_cpq", "matillion", "scim2", "oracle_cpq"), 2):
        said = COMMON | {"title": f"title {number}", "active": number % 2 == 0}
        WRITERS[writer](clients, user, said)
        for path in READERS.values():
            told = clients.got(f"{path}/{user['id']}")
            assert common(told) == said, (writer, path)
            assert told["meta"]["version"] == f'W/"{number}"'
    stored = clients.scim.read(user["id"])
    assert stored[CPQ] == {"currency": {"value": "EUR"}}
    assert stored["schemas"] == [urns.USER, CPQ]
    events = service.events_of("rfc", user["id"])
    kinds = [next(iter(event["value"]["events"])).removeprefix("urn:ietf:params:scim:event:") for event in events]
    assert kinds == [f"prov:{kind}:full" for kind in ("create", "patch", "patch", "put", "patch", "patch")]
    versions = [next(iter(event["value"]["events"].values()))["version"] for event in events]
    assert versions == [f'W/"{number}"' for number in range(1, 7)]
    assert clients.scim.delete(f"/Users/{user['id']}").status_code == 204


def test_a_name_is_one_users_whichever_contract_asks(clients: Clients, service: Service) -> None:
    taken, other = unique("Taken"), clients.scim.made()
    clients.send("POST", MATILLION, {"meta": {}, "userName": taken})

    def conflict(method: str, answer: httpx2.Response) -> None:
        assert answer.status_code == 409, (method, answer.text)

    refused: Scim = service.speaking(conflict, "rfc")
    for method, path, body in (
        ("POST", "/scim/v2/Users", {"schemas": [urns.USER], "userName": taken.upper()}),
        ("POST", MAIA, {"meta": {}, "userName": taken.lower()}),
        ("PUT", f"{MAIA}/{other['id']}", {"meta": {}, "userName": taken}),
        ("PATCH", f"{WORKSPACE_ONE}/{other['id']}", {"userName": taken}),
        ("PUT", f"{ORACLE}/{other['id']}", {"login": taken}),
    ):
        headers = {"Content-Type": "application/json"}
        refused.request(method, service.origin + path, content=json.dumps(body).encode(), headers=headers)
    assert clients.scim.read(other["id"]) == other
