"""Creating users, their common attributes and their schemas (scim.md C, D, E)."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from schemas import urns
from tests.rfc_examples import rfc_example
from tests.served import Scim, Service, op, refused, unique, user

ENTERPRISE = urns.ENTERPRISE_USER


def test_C1_the_server_gives_the_id_and_keeps_it(rfc: Scim) -> None:
    made = rfc.made(id="mine")
    assert made["id"] != "mine"
    assert "bulkId" not in made["id"]
    path = f"/Users/{made['id']}"
    assert rfc.put(path, user(id="other")).json()["id"] == made["id"]
    assert rfc.patched(made["id"], op("replace", value={"id": "other", "title": "t"}))["id"] == made["id"]
    refused(rfc.patch(path, op("replace", "id", value="other")), 400, "mutability")
    assert rfc.get("/Users/mine").status_code == 404


def test_C1_the_id_is_case_exact(rfc: Scim) -> None:
    made = rfc.made()
    letters = [place for place, letter in enumerate(made["id"]) if letter.isalpha()]
    other = made["id"].upper() if letters else made["id"] + "A"
    refused(rfc.get(f"/Users/{other}"), 404)


def test_C1_the_id_is_always_returned(rfc: Scim) -> None:
    made = rfc.made()
    wanted: list[dict[str, Any]] = [*({"attributes": "userName"}, {"excludedAttributes": "id"})]
    for parameters in wanted:
        assert rfc.get(f"/Users/{made['id']}", **parameters).json()["id"] == made["id"]


def test_C2_externalId_is_the_clients_own(rfc: Scim, service: Service) -> None:
    shared = unique("E")
    first, second = rfc.made(externalId=shared), rfc.made(externalId=shared)
    foreign = service.caller("other").made(externalId=shared)
    found = rfc.find(f'externalId eq "{shared}"')
    assert [each["id"] for each in found["Resources"]] == [first["id"], second["id"]], "not unique, and in one tenant"
    assert foreign["externalId"] == shared
    assert rfc.find(f'externalId eq "{shared.upper()}x"')["totalResults"] == 0
    assert rfc.find(f'externalId eq "{shared.lower()}"')["totalResults"] == 0, "externalId is caseExact"


def test_C2_no_externalId_is_invented(rfc: Scim) -> None:
    assert "externalId" not in rfc.made()


def test_C2_externalId_can_be_changed_and_taken_away(rfc: Scim) -> None:
    before, after = unique("e"), unique("e")
    made = rfc.made(externalId=before)
    assert rfc.patched(made["id"], op("replace", "externalId", value=after))["externalId"] == after
    assert rfc.find(f'externalId eq "{before}"')["totalResults"] == 0
    assert rfc.find(f'externalId eq "{after}"')["totalResults"] == 1
    assert "externalId" not in rfc.put(f"/Users/{made['id']}", user(made["userName"])).json()
    assert rfc.find(f'externalId eq "{after}"')["totalResults"] == 0


def test_C3_meta_is_the_servers_alone(rfc: Scim, service: Service) -> None:
    sent = {"resourceType": "Group", "created": "2001-01-01T00:00:00Z", "version": 'W/"77"', "location": "x"}
    answer = rfc.post("/Users", user(meta=sent))
    assert answer.status_code == 201
    made = answer.json()
    meta = made["meta"]
    assert set(meta) == {"resourceType", "created", "lastModified", "location", "version"}
    assert meta["resourceType"] == "User"
    assert meta["created"] == meta["lastModified"]
    assert abs(datetime.now(UTC).timestamp() - datetime.fromisoformat(meta["created"]).timestamp()) < 60
    assert meta["location"] == answer.headers["Location"] == f"{service.base_url}/Users/{made['id']}"
    assert meta["version"] == answer.headers["ETag"] == 'W/"1"'
    replaced = rfc.put(f"/Users/{made['id']}", user(meta=sent)).json()["meta"]
    assert replaced["created"] == meta["created"]
    assert replaced["lastModified"] >= meta["lastModified"]
    assert replaced["version"] == 'W/"2"'


def test_D1_userName_is_required_and_unique_in_any_case(rfc: Scim) -> None:
    made = rfc.made(unique("Ann.Ö"))
    for twin in (made["userName"], made["userName"].upper(), made["userName"].lower()):
        refused(rfc.post("/Users", user(twin)), 409, "uniqueness")
    other = rfc.made()
    refused(rfc.put(f"/Users/{other['id']}", user(made["userName"].upper())), 409, "uniqueness")
    refused(rfc.patch(f"/Users/{other['id']}", op("replace", "userName", value=made["userName"])), 409, "uniqueness")
    assert rfc.read(other["id"]) == other, "a refusal changes nothing"


def test_D1_a_user_may_change_the_case_of_its_own_name(rfc: Scim) -> None:
    made = rfc.made(unique("ann"))
    changed = rfc.put(f"/Users/{made['id']}", user(made["userName"].upper())).json()
    assert changed["userName"] == made["userName"].upper()
    refused(rfc.post("/Users", user(made["userName"])), 409, "uniqueness")


def test_D1_a_renamed_user_frees_its_old_name(rfc: Scim) -> None:
    made = rfc.made()
    rfc.patched(made["id"], op("replace", "userName", value=unique()))
    assert rfc.made(made["userName"])["id"] != made["id"]


def test_D1_active_is_a_boolean_that_is_not_invented(rfc: Scim) -> None:
    assert "active" not in rfc.made()
    made = rfc.made(active=False)
    assert made["active"] is False
    assert rfc.patched(made["id"], op("replace", "active", value=True))["active"] is True


def test_D2_all_single_valued_attributes_are_kept(rfc: Scim) -> None:
    attributes: dict[str, Any] = {
        "name": {
            "formatted": "Ms. Barbara J Jensen, III",
            "familyName": "Jensen",
            "givenName": "Barbara",
            "middleName": "Jane",
            "honorificPrefix": "Ms.",
            "honorificSuffix": "III",
        },
        "displayName": "Babs Jensen",
        "nickName": "Babs",
        "profileUrl": "https://login.example.com/bjensen",
        "title": "Tour Guide",
        "userType": "Employee",
        "preferredLanguage": "en-US",
        "locale": "en-US",
        "timezone": "America/Los_Angeles",
        "active": True,
    }
    made = rfc.made(**attributes)
    assert {name: made[name] for name in attributes} == attributes
    assert rfc.made(timeZone="Europe/Oslo")["timezone"] == "Europe/Oslo", "names are compared in any case"


def test_D3_all_multi_valued_attributes_are_kept(rfc: Scim) -> None:
    plural = [{"value": "v", "display": "d", "type": "something of our own", "primary": True}]
    attributes: dict[str, Any] = dict.fromkeys(
        ("emails", "phoneNumbers", "ims", "photos", "entitlements", "roles"), plural
    )
    attributes["x509Certificates"] = [{"value": "MIIDQzCCAqygAwIBAgICEAAwDQYJKoZIhvcNAQEFBQAwTjELMAkGA1UEBhMCVVMx"}]
    attributes["addresses"] = [
        {
            "formatted": "100 Universal City Plaza\nHollywood, CA 91608 USA",
            "streetAddress": "100 Universal City Plaza",
            "locality": "Hollywood",
            "region": "CA",
            "postalCode": "91608",
            "country": "USA",
            "type": "work",
            "primary": True,
        },
        {"country": "Norway"},
    ]
    made = rfc.made(**attributes)
    assert {name: made[name] for name in attributes} == attributes


def test_D4_groups_sent_are_ignored(rfc: Scim) -> None:
    assert "groups" not in rfc.made(groups=[])
    made = rfc.made(groups=[{"value": "g-1", "display": "Admins", "type": "direct"}])
    assert "groups" not in made
    path = f"/Users/{made['id']}"
    assert "groups" not in rfc.put(path, user(groups=[{"value": "g-1"}])).json()
    assert "groups" not in rfc.patched(made["id"], op("add", value={"groups": [{"value": "g-1"}], "title": "t"}))
    refused(rfc.patch(path, op("add", "groups", value=[{"value": "g-1"}])), 400, "mutability")


def test_D5_the_enterprise_extension_is_kept(rfc: Scim) -> None:
    extension = {
        "employeeNumber": "701984",
        "costCenter": "4130",
        "organization": "Universal Studios",
        "division": "Theme Park",
        "department": "Tour Operations",
        "manager": {"value": "26118915", "$ref": "../Users/26118915", "displayName": "John Smith"},
    }
    made = rfc.made(enterprise=extension)
    expected = extension | {"manager": {"value": "26118915", "$ref": "../Users/26118915"}}
    assert made[ENTERPRISE] == expected, "manager.displayName is readOnly"
    assert made["schemas"] == [urns.USER, ENTERPRISE]


def test_D7_at_most_one_value_is_primary(rfc: Scim) -> None:
    two = [{"value": "a", "primary": True}, {"value": "b", "primary": True}]
    refused(rfc.post("/Users", user(emails=two)), 400, "invalidValue")
    made = rfc.made(emails=[{"value": "a", "primary": True}, {"value": "b", "primary": False}])
    refused(rfc.put(f"/Users/{made['id']}", user(emails=two)), 400, "invalidValue")


def test_D7_the_same_value_is_not_returned_twice(rfc: Scim) -> None:
    twice = [{"value": "a", "type": "work"}, {"value": "b"}, {"value": "a", "type": "work"}]
    assert rfc.made(emails=twice)["emails"] == [{"value": "a", "type": "work"}, {"value": "b"}]


def test_D8_canonical_values_are_compared_in_any_case(rfc: Scim) -> None:
    made = rfc.made(emails=[{"value": "a@example.com", "type": "WORK"}])
    patched = rfc.patched(made["id"], op("replace", 'emails[type eq "work"].value', value="b@example.com"))
    assert patched["emails"] == [{"value": "b@example.com", "type": "WORK"}]


def test_E1_what_is_readOnly_is_ignored(rfc: Scim) -> None:
    made = rfc.made(
        id="x", meta={"version": "x"}, groups=[{"value": "x"}], enterprise={"manager": {"displayName": "x"}}
    )
    assert made["id"] != "x"
    assert "groups" not in made
    assert ENTERPRISE not in made
    assert made["schemas"][0] == urns.USER


def test_E2_a_create_answers_201_with_Location_ETag_and_the_whole_user(rfc: Scim, service: Service) -> None:
    body = user(displayName="Ann", emails=[{"value": "a@example.com"}], enterprise={"division": "d"})
    answer = rfc.post("/Users", body)
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["Location"] == f"{service.base_url}/Users/{made['id']}"
    assert answer.headers["ETag"] == 'W/"1"'
    assert {name: value for name, value in made.items() if name not in {"id", "meta"}} == body
    assert rfc.read(made["id"]) == made, "what was acknowledged is read at once"


def test_E3_a_duplicate_is_409(rfc: Scim) -> None:
    body = user()
    assert rfc.post("/Users", body).status_code == 201
    answer = rfc.post("/Users", body | {"displayName": "Another"})
    refused(answer, 409, "uniqueness")
    refused(rfc.post("/Users", body), 409, "uniqueness")
    assert rfc.find(f'userName eq "{body["userName"]}"')["totalResults"] == 1


@pytest.mark.parametrize("name", [None, "", "   "])
def test_E4_a_missing_userName_is_invalidValue(rfc: Scim, name: str | None) -> None:
    refused(rfc.post("/Users", {"schemas": [urns.USER], "userName": name}), 400, "invalidValue")
    refused(rfc.post("/Users", {"schemas": [urns.USER]}), 400, "invalidValue")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'"x"', b"null", b"{'a':1}", b'{"a":1}x', b"\xff{}", b"\xef\xbb\xbf{}"]
)
def test_E4_what_is_no_JSON_object_is_invalidSyntax(rfc: Scim, content: bytes) -> None:
    refused(rfc.request("POST", "/Users", content=content), 400, "invalidSyntax")


def test_E5_the_URN_of_an_extension_is_added(rfc: Scim, strict: Scim) -> None:
    body = user() | {ENTERPRISE: {"division": "d"}}
    made = rfc.post("/Users", body).json()
    assert made["schemas"] == [urns.USER, ENTERPRISE]
    refused(strict.post("/Users", body), 400, "invalidValue")
    assert strict.made(enterprise={"division": "d"})["schemas"] == [urns.USER, ENTERPRISE]


def test_E5_unknown_extensions_are_kept_and_given_back(rfc: Scim) -> None:
    urn = "urn:example:params:scim:schemas:extension:acme:1.0:User"
    extension = {"badge": 7, "nested": {"deep": [{"a": 1.5}, True]}, "Case": "kept"}
    made = rfc.post("/Users", user() | {"schemas": [urns.USER, urn], urn: extension}).json()
    assert made[urn] == extension
    assert urn in made["schemas"]
    assert rfc.read(made["id"])[urn] == extension
    patched = rfc.patched(made["id"], op("replace", f"{urn}:badge", value=8))
    assert patched[urn] == extension | {"badge": 8}


def test_E6_a_password_is_never_given_back(rfc: Scim, service: Service) -> None:
    for caller in (rfc, service.caller("argon")):
        answer = caller.post("/Users", user(password="t1meMa$heen"))
        assert answer.status_code == 201
        assert "t1meMa" not in answer.text
        path = f"/Users/{answer.json()['id']}"
        for shown in (
            caller.get(path, attributes="password"),
            caller.put(path, user(password="t1meMa$heen")),
            caller.patch(path, op("replace", "password", value="t1meMa$heen2")),
            caller.get("/Users", attributes="password,userName", filter='userName eq "x"'),
        ):
            assert "t1meMa" not in shown.text
            assert "argon2id" not in shown.text


def test_E7_writes_honour_the_projection(rfc: Scim) -> None:
    body = user(displayName="Ann", title="t")
    answer = rfc.post("/Users", body, attributes="displayName")
    assert answer.status_code == 201
    assert set(answer.json()) == {"schemas", "id", "displayName"}
    path = f"/Users/{answer.json()['id']}"
    assert answer.headers["Location"].endswith(path)
    assert answer.headers["ETag"] == 'W/"1"'
    replaced = rfc.put(path, body | {"title": "u"}, excludedAttributes="displayName,meta").json()
    assert set(replaced) == {"schemas", "id", "userName", "title"}
    patched = rfc.patch(path, op("replace", "title", value="v"), attributes="title")
    assert patched.status_code == 200
    assert set(patched.json()) == {"schemas", "id", "title"}


@pytest.mark.parametrize("clause", ["8.1-user-minimal", "8.2-user-full", "8.3-enterprise-user"])
def test_RFC7643_the_examples_of_users_can_be_created(service: Service, clause: str) -> None:
    caller = service.caller("other")
    sent: dict[str, Any] = rfc_example(f"rfc7643-{clause}")
    sent["userName"] = unique("rfc")
    answer = caller.post("/Users", sent)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    for name, value in sent.items():
        if name in {"id", "meta", "groups", "password", ENTERPRISE}:
            continue
        assert made[name] == value, name


def test_names_that_differ_only_in_case_are_refused(rfc: Scim) -> None:
    refused(rfc.post("/Users", user() | {"USERNAME": "b"}), 400, "invalidSyntax")
    refused(rfc.post("/Users", user(name={"familyName": "a", "FamilyName": "b"})), 400, "invalidSyntax")


def test_of_exact_duplicates_the_last_wins(rfc: Scim) -> None:
    name = unique()
    content = b'{"schemas":%b,"userName":"first","userName":"%b"}' % (json.dumps([urns.USER]).encode(), name.encode())
    assert rfc.request("POST", "/Users", content=content).json()["userName"] == name


def test_the_request_id_is_echoed_or_made(rfc: Scim) -> None:
    echoed = rfc.get("/Users", headers={"X-Request-Id": "trace-7"}, count=0)
    assert echoed.headers["X-Request-Id"] == "trace-7"
    made = {rfc.get("/Users", count=0).headers["X-Request-Id"] for _ in range(3)}
    assert len(made) == 3
    assert all(re.fullmatch(r"[0-9a-f-]{36}", each) for each in made)
    long = rfc.get("/Users", headers={"X-Request-Id": "x" * 5000}, count=0)
    assert len(long.headers["X-Request-Id"]) < 200
