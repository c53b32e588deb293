"""``/ServiceProviderConfig``, ``/ResourceTypes`` and ``/Schemas`` (RFC 7644 section 4; B1 to B8)."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from gateway import rendering
from gateway.auth import authenticate, has_token
from gateway.bodies import answer_type
from gateway.front import FRONT
from gateway.listing import DEFAULT_COUNT, MAX_COUNT
from schemas import discovery, urns
from schemas.errors import Forbidden, NotFound, NotImplementedHere


async def service_provider_config(request: web.Request) -> web.StreamResponse:
    """``GET /ServiceProviderConfig``: what works here, and no more."""
    keeps_passwords = _admitted(request)
    document = discovery.service_provider_config(
        base_url=request.app[FRONT].base_url(request),
        change_password=keeps_passwords,
        max_results=MAX_COUNT,
        default_page_size=DEFAULT_COUNT,
    )
    return rendering.document_answer(document, answer_type(request))


async def resource_types(request: web.Request) -> web.StreamResponse:
    """``GET /ResourceTypes``."""
    _admitted(request)
    return _list(request, discovery.resource_type_documents(request.app[FRONT].base_url(request)))


async def resource_type(request: web.Request) -> web.StreamResponse:
    """``GET /ResourceTypes/{name}``."""
    _admitted(request)
    documents = discovery.resource_type_documents(request.app[FRONT].base_url(request))
    return _one(request, documents, "there is no ResourceType of this name")


async def schemas(request: web.Request) -> web.StreamResponse:
    """``GET /Schemas``."""
    _admitted(request)
    return _list(request, discovery.schema_documents(request.app[FRONT].base_url(request)))


async def schema(request: web.Request) -> web.StreamResponse:
    """``GET /Schemas/{urn}``; URNs are the same in any case (A4)."""
    _admitted(request)
    return _one(
        request, discovery.schema_documents(request.app[FRONT].base_url(request)), "there is no Schema of this URN"
    )


async def not_offered(request: web.Request) -> web.StreamResponse:
    """``/Me`` and ``/Bulk``: parts of the protocol that this server says it does not support (Q)."""
    authenticate(request)
    raise NotImplementedHere("this server does not offer this endpoint; see /ServiceProviderConfig")


def _admitted(request: web.Request) -> bool:
    """Let the caller in, and tell whether its tenant keeps passwords.

    Discovery should be readable without a token (B2); it is, unless some tenant forbids it. A token that is sent must
    be a valid one.
    """
    front = request.app[FRONT]
    if has_token(request) or not all(tenant.discovery_without_token for tenant in front.tenants.tenants.values()):
        return authenticate(request).tenant.keeps_passwords
    return False


def _list(request: web.Request, documents: list[dict[str, Any]]) -> web.Response:
    if "filter" in request.query:
        raise Forbidden("this endpoint cannot be filtered (RFC 7644 section 4)")
    body = {
        "schemas": [urns.LIST_RESPONSE],
        "totalResults": len(documents),
        "startIndex": 1,
        "itemsPerPage": len(documents),
        "Resources": documents,
    }
    return rendering.document_answer(body, answer_type(request))


def _one(request: web.Request, documents: list[dict[str, Any]], missing: str) -> web.Response:
    wanted = request.match_info["id"].lower()
    for document in documents:
        if document["id"].lower() == wanted:
            return rendering.document_answer(document, answer_type(request))
    raise NotFound(missing)
