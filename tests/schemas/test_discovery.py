"""Discovery documents: true, complete, and readable by a strict third party."""

from __future__ import annotations

import re
from typing import Any

import pytest
from scim2_models import ResourceType, Schema, ScimPolicy, ServiceProviderConfig

from schemas import urns
from schemas.discovery import resource_type_documents, schema_documents, service_provider_config
from schemas.resource_types import COMMON
from tests.rfc_examples import rfc_example

_BASE = "https://scim.example.com/scim/v2"
# securityEvents (RFC 9967) is younger than scim2-models, which refuses what it does not know unless told otherwise.
_TOLERANT = ScimPolicy(unknown=ScimPolicy.Unknown.ignore)


def _config(**changed: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"max_results": 200, "default_page_size": 100, "change_password": False}
    return service_provider_config(_BASE, **(given | changed))


def _names_and_values(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [pair for name, item in value.items() for pair in ((name, item), *_names_and_values(item))]
    if isinstance(value, list):
        return [pair for item in value for pair in _names_and_values(item)]
    return []


def test_B1_the_configuration_announces_what_works_and_no_more() -> None:
    config = _config(change_password=True)
    assert config["schemas"] == [urns.SERVICE_PROVIDER_CONFIG]
    assert config["patch"] == {"supported": True}
    assert config["bulk"] == {"supported": False, "maxOperations": 0, "maxPayloadSize": 0}
    assert config["filter"] == {"supported": True, "maxResults": 200}
    assert config["changePassword"] == {"supported": True}
    assert _config()["changePassword"] == {"supported": False}
    assert config["sort"] == {"supported": False}
    assert config["etag"] == {"supported": True}
    assert config["pagination"] == {
        "cursor": False,
        "index": True,
        "defaultPaginationMethod": "index",
        "defaultPageSize": 100,
        "maxPageSize": 200,
    }
    assert config["securityEvents"]["asyncRequest"] == "none"
    assert config["securityEvents"]["eventUris"] == [
        f"urn:ietf:params:scim:event:prov:{event}"
        for event in ("create:full", "put:full", "patch:full", "delete", "activate", "deactivate")
    ]
    assert [scheme["type"] for scheme in config["authenticationSchemes"]] == ["oauthbearertoken"]
    assert config["meta"] == {"resourceType": "ServiceProviderConfig", "location": f"{_BASE}/ServiceProviderConfig"}


def test_B1_a_place_for_documentation_is_named_when_there_is_one() -> None:
    assert "documentationUri" not in _config()
    assert _config(documentation_uri="https://example.com/help")["documentationUri"] == "https://example.com/help"


def test_B1_the_configuration_has_all_that_the_rfcs_example_has() -> None:
    example = rfc_example("rfc7643-8.5-service-provider-configuration")
    config = _config(documentation_uri="https://example.com/help")
    assert example.keys() <= config.keys()
    for name, value in example.items():
        if isinstance(value, dict) and name != "meta":
            assert value.keys() <= config[name].keys()


def test_B1_the_configuration_is_read_by_scim2_models() -> None:
    config = _config(documentation_uri="https://example.com/help")
    read = ServiceProviderConfig.model_validate(config, scim_policy=_TOLERANT)
    assert read.filter is not None
    assert read.filter.max_results == 200
    assert read.pagination is not None
    assert read.pagination.default_page_size == 100
    assert read.authentication_schemes
    # Nothing else is strange to it.
    del config["securityEvents"]
    ServiceProviderConfig.model_validate(config)


def test_B3_the_resource_type_is_that_of_rfc_7643_section_8_6() -> None:
    example = rfc_example("rfc7643-8.6-resource-type-user")
    (document,) = resource_type_documents(_BASE)
    assert document.keys() == example.keys()
    for name in ("schemas", "id", "name", "endpoint", "description", "schema"):
        assert document[name] == example[name], name
    assert document["schemaExtensions"] == [{"schema": urns.ENTERPRISE_USER, "required": False}]
    assert document["meta"] == {"resourceType": "ResourceType", "location": f"{_BASE}/ResourceTypes/User"}
    assert ResourceType.model_validate(document).endpoint is not None


def test_B3_every_schema_that_a_resource_type_names_is_listed() -> None:
    listed = {document["id"] for document in schema_documents(_BASE)}
    named = {document["schema"] for document in resource_type_documents(_BASE)}
    named |= {each["schema"] for document in resource_type_documents(_BASE) for each in document["schemaExtensions"]}
    assert listed == named


def test_B5_no_schema_of_a_message_is_listed() -> None:
    assert not [document for document in schema_documents(_BASE) if ":messages:" in document["id"]]


def test_B7_schemas_are_read_by_scim2_models() -> None:
    for document in schema_documents(_BASE):
        read = Schema.model_validate(document)
        assert [attribute.name for attribute in read.attributes or []] == [
            attribute["name"] for attribute in document["attributes"]
        ]


def _assert_described(document: dict[str, Any], attributes: list[dict[str, Any]]) -> None:
    """Check that every member has its attribute and every required attribute its member."""
    described = {attribute["name"]: attribute for attribute in attributes}
    assert document.keys() <= described.keys()
    assert {name for name, attribute in described.items() if attribute["required"]} <= document.keys()
    for name, value in document.items():
        assert isinstance(value, list) == described[name]["multiValued"], name
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict):
                _assert_described(item, described[name]["subAttributes"])


@pytest.mark.parametrize(
    ("example", "documents"),
    [
        ("rfc7643-8.7.2-schema-service-provider-configuration", [_config()]),
        ("rfc7643-8.7.2-schema-resource-type", resource_type_documents(_BASE)),
        ("rfc7643-8.7.2-schema-schema", schema_documents(_BASE)),
    ],
)
def test_B1_B3_documents_obey_the_schemas_of_rfc_7643_section_8_7_2(
    example: str, documents: list[dict[str, Any]]
) -> None:
    attributes = rfc_example(example)["attributes"]
    newer = {"pagination", "securityEvents"}  # RFC 9865 and RFC 9967
    common = {"schemas", "id", "meta"} - {attribute["name"] for attribute in attributes}
    for document in documents:
        own = {name: value for name, value in document.items() if name not in common | newer}
        _assert_described(own, attributes)


def test_B8_names_are_in_camel_case_and_nothing_is_null_or_empty() -> None:
    for document in (_config(), *resource_type_documents(_BASE), *schema_documents(_BASE)):
        for name, value in _names_and_values(document):
            assert re.fullmatch(r"[a-z][A-Za-z]*", name), name
            assert value is not None
            assert value not in ([], {}, "")


def test_common_attributes_belong_to_no_schema() -> None:
    common = {attribute.name for attribute in COMMON}
    for document in schema_documents(_BASE):
        assert common.isdisjoint(attribute["name"] for attribute in document["attributes"])


# Where the table follows the text of RFC 7643 and not its JSON (8.7.1 as scim2-models corrects it).
_TEXT_WINS = {
    "rfc7643-8.7.1-schema-user": {
        "x509Certificates.caseExact": "has no case, it is complex",
        "ims.type.canonicalValues": "other, as all attributes of its kind have (scim.md D3)",
        "profileUrl.caseExact": "references are caseExact, 2.3.7",
        "groups.value.caseExact": "an id is caseExact, 3.1",
        "groups.$ref.caseExact": "references are caseExact, 2.3.7",
        "groups.$ref.referenceTypes": "User and Group in the RFC itself",
    },
    "rfc7643-8.7.1-schema-enterprise-user": {
        "manager.$ref.caseExact": "references are caseExact, 2.3.7",
        "manager.$ref.required": "RECOMMENDED, 4.3",
        "manager.value.required": "RECOMMENDED, 4.3",
    },
}


def _characteristics(attributes: list[dict[str, Any]], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for attribute in attributes:
        path = prefix + attribute["name"]
        found |= {
            f"{path}.{name}": value for name, value in attribute.items() if name not in {"description", "subAttributes"}
        }
        found |= _characteristics(attribute.get("subAttributes", []), f"{path}.")
    return found


@pytest.mark.parametrize("example", _TEXT_WINS)
def test_D_the_characteristics_are_those_of_rfc_7643_section_8_7_1(example: str) -> None:
    theirs = rfc_example(example)
    (document,) = (document for document in schema_documents(_BASE) if document["id"] == theirs["id"])
    for name in ("schemas", "id", "name", "description"):
        assert document[name] == theirs[name], name
    ours, wanted = _characteristics(document["attributes"]), _characteristics(theirs["attributes"])
    assert {path for path in wanted if ours.get(path) != wanted[path]} == _TEXT_WINS[example].keys()
    # uniqueness none is the default, which the RFC leaves out for complex and boolean attributes.
    more = {path: value for path, value in ours.items() if path not in wanted and value != "none"}
    assert {path for path in more if not path.startswith(_MORE)} == set()
    assert any(path.startswith(_MORE) for path in more) == (document["name"] == "User")


_MORE = "addresses.display."
"""The one attribute beyond the RFC's: a default sub-attribute (section 2.4) that Matillion's contract has."""
