"""ServiceProviderConfig, ResourceTypes and Schemas (scim.md B; RFC 7644 section 4)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from schemas import urns
from tests.rfc_examples import rfc_example
from tests.served import Scim, Service, op, refused, user

ENDPOINTS = ("/ServiceProviderConfig", "/ResourceTypes", "/Schemas", "/ResourceTypes/User", f"/Schemas/{urns.USER}")


def attributes_of(schema: Any) -> Iterator[tuple[str, Any]]:
    """Yield each attribute and sub-attribute of a Schema document with its dotted name."""
    for attribute in schema["attributes"]:
        yield attribute["name"], attribute
        for sub in attribute.get("subAttributes", []):
            yield f"{attribute['name']}.{sub['name']}", sub


def test_B1_the_ServiceProviderConfig_has_all_that_is_required(rfc: Scim, service: Service) -> None:
    config = rfc.get("/ServiceProviderConfig").json()
    assert config["schemas"] == [urns.SERVICE_PROVIDER_CONFIG]
    assert config["meta"] == {
        "resourceType": "ServiceProviderConfig",
        "location": f"{service.base_url}/ServiceProviderConfig",
    }
    assert config["patch"] == {"supported": True}
    assert config["bulk"] == {"supported": False, "maxOperations": 0, "maxPayloadSize": 0}
    assert config["filter"] == {"supported": True, "maxResults": 1000}
    assert config["sort"] == {"supported": False}
    assert config["etag"] == {"supported": True}
    (scheme,) = config["authenticationSchemes"]
    assert scheme["type"] == "oauthbearertoken"
    assert scheme["name"]
    assert scheme["description"]
    assert config["pagination"] | {} == {
        "cursor": False,
        "index": True,
        "defaultPaginationMethod": "index",
        "defaultPageSize": 100,
        "maxPageSize": 1000,
    }
    assert config["securityEvents"]["asyncRequest"] == "none"


def test_B1_what_is_announced_works_and_what_is_not_is_refused(rfc: Scim, service: Service) -> None:
    config = rfc.get("/ServiceProviderConfig").json()
    made = rfc.made(active=True)
    path = f"/Users/{made['id']}"
    assert rfc.patch(path, op("replace", "active", value=False)).status_code == 200
    refused(rfc.put(path, user(), headers={"If-Match": 'W/"1"'}), 412)
    refused(rfc.post("/Bulk", {"schemas": [], "Operations": []}), 501)
    refused(rfc.get("/Me"), 501)
    rfc.put(path, user(active=True))
    rfc.delete(path)
    seen = {urn for event in service.events_of("rfc", made["id"]) for urn in event["value"]["events"]}
    assert seen == set(config["securityEvents"]["eventUris"])


def test_B1_changePassword_says_whether_the_tenant_keeps_passwords(rfc: Scim, service: Service) -> None:
    assert rfc.get("/ServiceProviderConfig").json()["changePassword"] == {"supported": False}
    assert service.caller("argon").get("/ServiceProviderConfig").json()["changePassword"] == {"supported": True}


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_B2_discovery_needs_no_token_but_refuses_a_wrong_one(service: Service, endpoint: str) -> None:
    assert service.stranger().get(endpoint).status_code == 200
    refused(service.stranger("wrong").get(endpoint), 401)


def test_B3_lists_are_ListResponses_and_their_members_stand_alone(rfc: Scim) -> None:
    for endpoint in ("/ResourceTypes", "/Schemas"):
        body = rfc.get(endpoint).json()
        assert body["schemas"] == [urns.LIST_RESPONSE]
        assert body["totalResults"] == body["itemsPerPage"] == len(body["Resources"])
        for each in body["Resources"]:
            assert rfc.get(f"{endpoint}/{each['id']}").json() == each
            assert rfc.get(each["meta"]["location"]).json() == each
        refused(rfc.get(f"{endpoint}/Unknown"), 404)


def test_B3_every_schema_that_a_resource_type_names_is_there(rfc: Scim) -> None:
    known = {each["id"] for each in rfc.get("/Schemas").json()["Resources"]}
    for each in rfc.get("/ResourceTypes").json()["Resources"]:
        assert each["schemas"] == [urns.RESOURCE_TYPE]
        assert {each["schema"], *(extension["schema"] for extension in each["schemaExtensions"])} <= known
    assert [each["name"] for each in rfc.get("/ResourceTypes").json()["Resources"]] == ["User"]


def test_B3_the_ids_of_schemas_are_the_same_in_any_case(rfc: Scim) -> None:
    assert rfc.get(f"/Schemas/{urns.USER.lower()}").json() == rfc.get(f"/Schemas/{urns.USER}").json()


def test_B4_paging_and_sorting_are_ignored_and_a_filter_is_403(rfc: Scim) -> None:
    for endpoint in ("/ResourceTypes", "/Schemas"):
        plain = rfc.get(endpoint).json()
        assert rfc.get(endpoint, startIndex=2, count=0, sortBy="id", attributes="id").json() == plain
        refused(rfc.get(endpoint, filter='id eq "User"'), 403)


def test_B5_message_schemas_are_not_listed(rfc: Scim) -> None:
    listed = [each["id"] for each in rfc.get("/Schemas").json()["Resources"]]
    assert listed == [urns.USER, urns.ENTERPRISE_USER]
    refused(rfc.get(f"/Schemas/{urns.ERROR}"), 404)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_B6_other_methods_are_405(rfc: Scim, endpoint: str, method: str) -> None:
    answer = rfc.request(method, endpoint, {} if method != "DELETE" else None)
    refused(answer, 405)
    assert "GET" in answer.headers["Allow"]


def test_B7_the_published_schemas_agree_with_the_RFC_where_it_agrees_with_itself(rfc: Scim) -> None:
    """RFC 7643 section 8.7.1; what differs is listed with its reason."""
    differing = set()
    for clause, urn in (("user", urns.USER), ("enterprise-user", urns.ENTERPRISE_USER)):
        ours = dict(attributes_of(rfc.get(f"/Schemas/{urn}").json()))
        theirs = dict(attributes_of(rfc_example(f"rfc7643-8.7.1-schema-{clause}")))
        assert set(theirs) - set(ours) == set()
        for name, published in theirs.items():
            for key in ("type", "multiValued", "required", "mutability", "returned", "uniqueness"):
                if key in published and ours[name].get(key) != published[key]:
                    differing.add((name, key))
    assert differing <= {
        # The RFC's JSON marks them so although its text (sections 4.1.2 and 4.3) says otherwise.
        ("x509Certificates.value", "type"),
        ("addresses.formatted", "type"),
        ("groups.$ref", "type"),
        ("groups", "mutability"),
        ("groups.value", "mutability"),
        ("profileUrl", "type"),
        ("photos.value", "type"),
        # Section 4.3 calls them RECOMMENDED and REQUIRED; without them a manager without id could not be kept.
        ("manager.value", "required"),
        ("manager.$ref", "required"),
    }, differing


def test_B8_schemas_are_spelled_out_without_nulls(rfc: Scim) -> None:
    text = rfc.get("/Schemas").text
    assert "null" not in text
    for schema in rfc.get("/Schemas").json()["Resources"]:
        assert schema["schemas"] == [urns.SCHEMA]
        for name, attribute in attributes_of(schema):
            assert {
                "name",
                "type",
                "multiValued",
                "description",
                "required",
                "mutability",
                "returned",
                "uniqueness",
            } <= set(attribute)
            assert attribute["type"] in {
                "string",
                "boolean",
                "decimal",
                "integer",
                "dateTime",
                "binary",
                "reference",
                "complex",
            }, name
            assert re.fullmatch(r"[a-z$][A-Za-z0-9$]*", attribute["name"]), name


def test_B8_what_SailPoint_asks_for_is_there(rfc: Scim) -> None:
    for endpoint in ENDPOINTS:
        assert rfc.get(endpoint, headers={"Accept": "application/scim+json"}).status_code == 200
