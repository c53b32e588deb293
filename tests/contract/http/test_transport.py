"""URLs, media types and notation (scim.md A): what holds for every endpoint."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas import urns
from tests.served import SCIM_JSON, Scim, Service, op, refused, unique, user

ENTERPRISE = urns.ENTERPRISE_USER


def test_A1_the_version_segment_may_be_missing(service: Service, rfc: Scim) -> None:
    made = rfc.made()
    plain = rfc.get(f"{service.origin}/scim/Users/{made['id']}")
    assert plain.status_code == 200
    assert plain.json() == made
    assert made["meta"]["location"] == f"{service.base_url}/Users/{made['id']}"
    assert rfc.get(f"{service.origin}/scim/ServiceProviderConfig").status_code == 200


@pytest.mark.parametrize("version", ["v1", "v3", "V1", "v2.1", "v20"])
def test_A1_another_version_is_refused(service: Service, rfc: Scim, version: str) -> None:
    refused(rfc.get(f"{service.origin}/scim/{version}/Users"), 400, "invalidVers")
    refused(rfc.post(f"{service.origin}/scim/{version}/Users", user()), 400, "invalidVers")


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        (None, SCIM_JSON),
        ("*/*", SCIM_JSON),
        ("application/*", SCIM_JSON),
        (SCIM_JSON, SCIM_JSON),
        ("Application/SCIM+JSON", SCIM_JSON),
        ("application/json", "application/json"),
        ("application/json; charset=utf-8", "application/json"),
        ("text/html, application/json;q=0.9", "application/json"),
        ("application/json, application/scim+json", SCIM_JSON),
    ],
)
def test_A2_answers_come_in_the_type_that_is_accepted(rfc: Scim, accept: str | None, answered: str) -> None:
    headers = {} if accept is None else {"Accept": accept}
    made = rfc.post("/Users", user(), headers=headers)
    assert made.status_code == 201
    path = f"/Users/{made.json()['id']}"
    answers = [made, rfc.get(path, headers=headers), rfc.get("/Users", headers=headers, count=1)]
    answers.append(rfc.get("/ServiceProviderConfig", headers=headers))
    assert {answer.headers["Content-Type"].partition(";")[0] for answer in answers} == {answered}


def test_A2_a_caller_who_accepts_no_json_is_refused_before_anything_is_changed(rfc: Scim) -> None:
    body = user()
    refused(rfc.post("/Users", body, headers={"Accept": "text/html"}), 406)
    assert rfc.find(f'userName eq "{body["userName"]}"')["totalResults"] == 0


@pytest.mark.parametrize(
    "content_type",
    [
        SCIM_JSON,
        "application/json",
        "application/scim+json; charset=utf-8",
        'application/json;charset="UTF-8"',
        "APPLICATION/JSON",
    ],
)
def test_A2_bodies_come_in_both_types_and_with_a_charset(rfc: Scim, content_type: str) -> None:
    sent = json.dumps(user(displayName="Zoë 雪"), ensure_ascii=False).encode()
    answer = rfc.request("POST", "/Users", content=sent, headers={"Content-Type": content_type})
    assert answer.status_code == 201
    assert answer.json()["displayName"] == "Zoë 雪"


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/xml", "multipart/form-data", "application/json; charset=latin-1", ""]
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_A2_other_types_are_refused(rfc: Scim, method: str, content_type: str) -> None:
    path = "/Users" if method == "POST" else f"/Users/{unique()}"
    sent = json.dumps(user()).encode()
    refused(rfc.request(method, path, content=sent, headers={"Content-Type": content_type}), 415)


def test_A3_unknown_query_parameters_are_ignored(rfc: Scim) -> None:
    made = rfc.post("/Users", user(), tracking="1", aadOptscim062020="")
    assert made.status_code == 201
    path = f"/Users/{made.json()['id']}"
    assert rfc.get(path, foo="bar").json() == made.json()
    assert rfc.put(path, user(), nothing="x").status_code == 200
    assert rfc.get("/Users", wanted="all").status_code == 200


def test_A4_names_of_attributes_are_the_same_in_any_case(rfc: Scim) -> None:
    name = unique("Case")
    body = {
        "SCHEMAS": [urns.USER.upper().replace("URN:IETF", "urn:ietf"), ENTERPRISE],
        "USERNAME": name,
        "Name": {"FAMILYNAME": "Lee"},
        "eMails": [{"VALUE": "a@example.com", "Type": "work", "PRIMARY": True}],
        ENTERPRISE.lower(): {"employeenumber": "7"},
    }
    answer = rfc.post("/Users", body)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert made["schemas"] == [urns.USER, ENTERPRISE]
    assert made["userName"] == name
    assert made["name"] == {"familyName": "Lee"}
    assert made["emails"] == [{"value": "a@example.com", "type": "work", "primary": True}]
    assert made[ENTERPRISE] == {"employeeNumber": "7"}


@pytest.mark.parametrize(
    "text", ['username EQ "{}"', 'USERNAME Eq "{}"', 'urn:ietf:params:scim:schemas:CORE:2.0:user:USERname eq "{}"']
)
def test_A4_filters_are_the_same_in_any_case(rfc: Scim, text: str) -> None:
    made = rfc.made()
    found = rfc.find(text.format(made["userName"]))
    assert [each["id"] for each in found["Resources"]] == [made["id"]]


def test_A4_PATCH_is_the_same_in_any_case(rfc: Scim) -> None:
    made = rfc.made(emails=[{"value": "a@example.com", "type": "work"}])
    sent = {
        "SCHEMAS": [urns.PATCH_OP.upper()],
        "operations": [
            {"OP": "Replace", "PATH": "DISPLAYNAME", "Value": "Ann"},
            {"op": "ADD", "path": "NAME.givenname", "value": "Ann"},
            {"op": "replace", "path": 'EMAILS[TYPE EQ "WORK"].VALUE', "value": "b@example.com"},
            {"op": "add", "path": f"{ENTERPRISE.upper()}:COSTCENTER", "value": "c"},
        ],
    }
    answer = rfc.request("PATCH", f"/Users/{made['id']}", sent)
    assert answer.status_code == 200, answer.text
    patched = answer.json()
    assert patched["displayName"] == "Ann"
    assert patched["name"] == {"givenName": "Ann"}
    assert patched["emails"] == [{"value": "b@example.com", "type": "work"}]
    assert patched[ENTERPRISE] == {"costCenter": "c"}


def test_A4_attributes_parameter_is_the_same_in_any_case(rfc: Scim) -> None:
    made = rfc.made(displayName="Ann", name={"familyName": "Lee", "givenName": "Ann"})
    shown = rfc.get(f"/Users/{made['id']}", attributes="DISPLAYNAME,Name.FAMILYname").json()
    assert shown["displayName"] == "Ann"
    assert shown["name"] == {"familyName": "Lee"}


def test_A5_paths_may_be_qualified_by_the_URN_of_their_schema(rfc: Scim) -> None:
    made = rfc.made(enterprise={"department": "d"})
    patched = rfc.patched(
        made["id"],
        op("replace", f"{urns.USER}:displayName", value="Ann"),
        op("add", f"{urns.USER}:name.familyName", value="Lee"),
        op("add", f"{ENTERPRISE}:manager.value", value="m-1"),
        op("remove", f"{ENTERPRISE}:department"),
    )
    assert patched["displayName"] == "Ann"
    assert patched["name"] == {"familyName": "Lee"}
    assert patched[ENTERPRISE] == {"manager": {"value": "m-1"}}
    shown = rfc.get(f"/Users/{made['id']}", attributes=f"{ENTERPRISE}:manager.value,{urns.USER}:displayName").json()
    assert shown[ENTERPRISE] == {"manager": {"value": "m-1"}}
    assert shown["displayName"] == "Ann"


@pytest.mark.parametrize(
    "schemas",
    [None, [], "x", [urns.USER, urns.USER], [urns.ENTERPRISE_USER], [urns.GROUP], [1], [urns.USER, urns.USER.upper()]],
)
def test_A6_schemas_must_list_the_types_own_URN_once(rfc: Scim, schemas: Any) -> None:
    body = user() | {"schemas": schemas}
    refused(rfc.post("/Users", body), 400, "invalidValue")
    made = rfc.made()
    refused(rfc.put(f"/Users/{made['id']}", body), 400, "invalidValue")


def test_A6_schemas_may_be_missing_nowhere(rfc: Scim) -> None:
    body = user()
    del body["schemas"]
    refused(rfc.post("/Users", body), 400, "invalidValue")


def test_A6_the_order_of_schemas_is_irrelevant_and_unknown_URNs_are_tolerated(rfc: Scim) -> None:
    unknown = "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/User"
    body = user(enterprise={"division": "d"}) | {"schemas": [ENTERPRISE, unknown, urns.USER]}
    answer = rfc.post("/Users", body)
    assert answer.status_code == 201, answer.text
    assert set(answer.json()["schemas"]) >= {urns.USER, ENTERPRISE}


def test_A7_null_empty_and_absent_are_one(rfc: Scim) -> None:
    unassigned: dict[str, Any] = {
        "displayName": None,
        "emails": [],
        "name": {},
        "addresses": None,
        "roles": [{}],
        "nickName": None,
        "active": None,
        ENTERPRISE: None,
    }
    made = rfc.made(**unassigned)
    assert set(made) == {"schemas", "id", "userName", "meta"}
    assert made["schemas"] == [urns.USER]
    same = rfc.put(f"/Users/{made['id']}", user(made["userName"]))
    assert same.json() == made, "what was unassigned in three ways is the same resource as one without"


def test_A7_the_order_of_attributes_is_irrelevant(rfc: Scim) -> None:
    body = user(displayName="Ann", name={"familyName": "Lee", "givenName": "Ann"}, active=True)
    made = rfc.post("/Users", body).json()
    backwards = dict(reversed(list(body.items()))) | {"name": {"givenName": "Ann", "familyName": "Lee"}}
    again = rfc.put(f"/Users/{made['id']}", backwards)
    assert again.json()["meta"] == made["meta"], "a PUT of the same attributes in another order is a no-op"


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("userName", 5),
        ("userName", ["a"]),
        ("displayName", True),
        ("displayName", {"value": "a"}),
        ("active", "true"),
        ("active", 1),
        ("name", "Lee"),
        ("name", ["Lee"]),
        ("name", {"familyName": 5}),
        ("emails", "a@example.com"),
        ("emails", {"value": "a@example.com"}),
        ("emails", ["a@example.com"]),
        ("emails", [{"value": 5}]),
        ("emails", [{"value": "a", "primary": "true"}]),
        ("emails", [{"value": {"value": "a"}}]),
        ("photos", [{"value": 5}]),
        ("x509Certificates", [{"value": 5}]),
        ("profileUrl", 5),
        ("externalId", 5),
        (ENTERPRISE, {"employeeNumber": 701984}),
        (ENTERPRISE, {"manager": "m-1"}),
        (ENTERPRISE, ["a"]),
    ],
)
def test_A8_values_of_another_type_are_refused(rfc: Scim, attribute: str, value: Any) -> None:
    body = user() | {attribute: value}
    detail = refused(rfc.post("/Users", body), 400, "invalidValue")["detail"]
    assert attribute.rpartition(":")[2] in detail or "employeeNumber" in detail or "manager" in detail


def test_A8_formats_are_checked_only_where_the_tenant_wants_it(rfc: Scim, strict: Scim) -> None:
    lax: list[dict[str, Any]] = [
        {"addresses": [{"country": "Norway"}]},
        {"x509Certificates": [{"value": "not base64!"}]},
        {"profileUrl": "not a URI"},
        {"photos": [{"value": "/relative"}]},
    ]
    for attributes in lax:
        assert rfc.made(**attributes)["userName"]
        refused(strict.post("/Users", user(**attributes)), 400, "invalidValue")
    good: dict[str, Any] = {
        "addresses": [{"country": "NO"}],
        "x509Certificates": [{"value": "MIIDQw"}],
        "profileUrl": "https://example.com/ann",
        "photos": [{"value": "https://example.com/p"}],
    }
    assert strict.made(**good)["profileUrl"] == "https://example.com/ann"


def test_A9_unknown_attributes_are_ignored(rfc: Scim) -> None:
    made = rfc.made(shoeSize="9", name={"familyName": "Lee", "nobility": "x"}, emails=[{"value": "a", "checked": True}])
    assert "shoeSize" not in made
    assert made["name"] == {"familyName": "Lee"}
    assert made["emails"] == [{"value": "a"}]
    assert "isAdmin" not in rfc.put(f"/Users/{made['id']}", user(isAdmin=True)).json()


def test_A9_a_strict_tenant_refuses_unknown_attributes(strict: Scim) -> None:
    refused(strict.post("/Users", user(shoeSize="9")), 400, "invalidValue")
    refused(strict.post("/Users", user(name={"nobility": "x"})), 400, "invalidValue")


@pytest.mark.parametrize(
    "text",
    [
        "  spaces around  ",
        "UPPER lower",
        "Zoë",
        "Zoe\u0308",
        "雪",
        "\U0001f600",
        "tab\there",
        "line\nbreak",
        "a\u200bb",
        'quote " \\ slash /',
        "½ﬁ",
    ],
)
def test_A10_values_are_stored_as_they_came(rfc: Scim, text: str) -> None:
    made = rfc.made(displayName=text, nickName=text, enterprise={"division": text})
    read = rfc.read(made["id"])
    assert read["displayName"] == text
    assert read[ENTERPRISE]["division"] == text
    assert rfc.patched(made["id"], op("replace", "title", value=text))["title"] == text


def test_A10_a_name_keeps_its_spelling_though_it_is_compared_folded(rfc: Scim) -> None:
    name = unique("MiXed Straße")
    made = rfc.made(name)
    assert made["userName"] == name
    assert rfc.find(f'userName eq "{name.upper()}"')["Resources"][0]["userName"] == name
