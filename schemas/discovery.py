"""What this server says about itself: ServiceProviderConfig, ResourceTypes and Schemas (RFC 7644 section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from schemas import urns
from schemas.attributes import Attribute, ResourceType, Schema
from schemas.resource_types import RESOURCE_TYPES

EVENT_URIS: Final = (
    urns.CREATE_FULL,
    urns.PUT_FULL,
    urns.PATCH_FULL,
    urns.DELETE,
    urns.ACTIVATE,
    urns.DEACTIVATE,
)
"""The events that are emitted (RFC 9967 section 2.4); ServiceProviderConfig lists no other."""

_WITH_CASE: Final = frozenset({"string", "reference", "binary"})


def service_provider_config(
    base_url: str,
    *,
    max_results: int,
    default_page_size: int,
    change_password: bool,
    event_uris: Sequence[str] = EVENT_URIS,
    documentation_uri: str | None = None,
) -> dict[str, Any]:
    """Return the ServiceProviderConfig (RFC 7643 section 5, RFC 9865 section 4, RFC 9967 section 5).

    ``base_url`` is the SCIM base without a slash at its end. ``max_results`` is the largest page of a list and
    ``default_page_size`` the page when a request has no count, both resources and > 0.
    """
    documentation = {} if documentation_uri is None else {"documentationUri": documentation_uri}
    return {
        "schemas": [urns.SERVICE_PROVIDER_CONFIG],
        **documentation,
        "patch": {"supported": True},
        "bulk": {"supported": False, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": True, "maxResults": max_results},
        "changePassword": {"supported": change_password},
        "sort": {"supported": False},
        "etag": {"supported": True},
        "pagination": {
            "cursor": False,
            "index": True,
            "defaultPaginationMethod": "index",
            "defaultPageSize": default_page_size,
            "maxPageSize": max_results,
        },
        "securityEvents": {"asyncRequest": "none", "eventUris": list(event_uris)},
        "authenticationSchemes": [
            {
                "type": "oauthbearertoken",
                "name": "OAuth Bearer Token",
                "description": "A token in the Authorization header, as in RFC 6750.",
                "specUri": "https://www.rfc-editor.org/info/rfc6750",
                "primary": True,
            }
        ],
        "meta": _meta("ServiceProviderConfig", f"{base_url}/ServiceProviderConfig"),
    }


def resource_type_documents(base_url: str) -> list[dict[str, Any]]:
    """Return the ResourceType documents (RFC 7643 section 6), each with its name as ``id``."""
    return [_resource_type_document(resource_type, base_url) for resource_type in RESOURCE_TYPES.values()]


def schema_documents(base_url: str) -> list[dict[str, Any]]:
    """Return the Schema documents (RFC 7643 section 7) of every resource type and extension, each with its URN as ``id``.

    The common attributes ``id``, ``externalId``, ``meta`` and ``schemas`` belong to no schema (section 3.1); the schemas
    of messages are not listed (``scim.md`` B5).
    """
    schemas = {
        schema.urn: schema
        for resource_type in RESOURCE_TYPES.values()
        for schema in (resource_type.schema, *resource_type.extensions)
    }
    return [_schema_document(schema, base_url) for schema in schemas.values()]


def _meta(resource_type: str, location: str) -> dict[str, str]:
    return {"resourceType": resource_type, "location": location}


def _resource_type_document(resource_type: ResourceType, base_url: str) -> dict[str, Any]:
    return {
        "schemas": [urns.RESOURCE_TYPE],
        "id": resource_type.name,
        "name": resource_type.name,
        "description": resource_type.description,
        "endpoint": resource_type.endpoint,
        "schema": resource_type.schema.urn,
        "schemaExtensions": [{"schema": schema.urn, "required": False} for schema in resource_type.extensions],
        "meta": _meta("ResourceType", f"{base_url}/ResourceTypes/{resource_type.name}"),
    }


def _schema_document(schema: Schema, base_url: str) -> dict[str, Any]:
    return {
        "schemas": [urns.SCHEMA],
        "id": schema.urn,
        "name": schema.name,
        "description": schema.description,
        "attributes": [_attribute_document(attribute) for attribute in schema.attributes],
        "meta": _meta("Schema", f"{base_url}/Schemas/{schema.urn}"),
    }


def _attribute_document(attribute: Attribute) -> dict[str, Any]:
    """Return all characteristics that have a meaning for the attribute's type, defaults spelt out (scim.md B8)."""
    document: dict[str, Any] = {
        "name": attribute.name,
        "type": attribute.type,
        "multiValued": attribute.multi_valued,
        "description": attribute.description,
        "required": attribute.required,
    }
    if attribute.canonical_values:
        document["canonicalValues"] = list(attribute.canonical_values)
    if attribute.type in _WITH_CASE:
        document["caseExact"] = attribute.case_exact
    document |= {
        "mutability": attribute.mutability,
        "returned": attribute.returned,
        "uniqueness": attribute.uniqueness,
    }
    if attribute.reference_types:
        document["referenceTypes"] = list(attribute.reference_types)
    if attribute.sub_attributes:
        document["subAttributes"] = [_attribute_document(sub) for sub in attribute.sub_attributes]
    return document
