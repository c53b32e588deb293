"""Answers: resources, lists and errors as SCIM writes them (RFC 7644 sections 3.4 and 3.12)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from aiohttp import web

from consumers.ports import Reply
from gateway.bodies import SCIM_JSON
from schemas import urns
from schemas.codec import encode
from schemas.outcomes import Refusal
from schemas.projection import Projection
from schemas.records import ResourceImage
from schemas.resource_types import USER
from schemas.versions import etag

RETRY_AFTER_S: Final = 1
_RETRYABLE: Final = frozenset({429, 503})


def location(base_url: str, resource_id: str) -> str:
    """Return the URI of a user, rendered for the caller and never stored."""
    return f"{base_url}{USER.endpoint}/{resource_id}"


def resource_body(image: ResourceImage, resource_location: str, projection: Projection | None) -> bytes:
    """Return the JSON of a resource with its ``meta``; the stored text is passed on undecoded unless it is projected."""
    meta = {
        "resourceType": USER.name,
        "created": image.created,
        "lastModified": image.modified,
        "location": resource_location,
        "version": etag(image.version),
    }
    if projection is None:
        return b'%b,"meta":%b}' % (bytes(image.doc)[:-1], encode(meta))
    resource: dict[str, Any] = msgspec.json.decode(image.doc)
    resource["meta"] = meta
    return encode(projection.apply(resource))


def resource_answer(
    image: ResourceImage, where: str, projection: Projection | None, media_type: str, *, status: int = 200
) -> web.Response:
    """Return the resource at the URI ``where`` with its ETag and Location (RFC 7644 section 3.3; O1)."""
    headers = {"ETag": etag(image.version), "Location": where, "Content-Type": media_type}
    return web.Response(status=status, body=resource_body(image, where, projection), headers=headers)


def _id_of(image: ResourceImage) -> str:
    return _identity_decoder.decode(image.doc).id


class _Identity(msgspec.Struct):
    id: str


_identity_decoder = msgspec.json.Decoder(_Identity)


def list_answer(
    total: int,
    start_index: int,
    images: Sequence[ResourceImage],
    base_url: str,
    projection: Projection | None,
    media_type: str,
) -> web.Response:
    """Return a ListResponse (RFC 7644 section 3.4.2); numbers are integers, ``Resources`` is there when it is empty (I2)."""
    resources = b",".join(resource_body(image, location(base_url, _id_of(image)), projection) for image in images)
    body = b'{"schemas":["%b"],"totalResults":%d,"startIndex":%d,"itemsPerPage":%d,"Resources":[%b]}' % (
        urns.LIST_RESPONSE.encode(),
        total,
        start_index,
        len(images),
        resources,
    )
    return web.Response(body=body, headers={"Content-Type": media_type})


def document_answer(document: object, media_type: str, status: int = 200) -> web.Response:
    """Return any JSON document."""
    return web.Response(status=status, body=encode(document), headers={"Content-Type": media_type})


def error_document(status: int, detail: str, scim_type: str | None) -> dict[str, Any]:
    """Return SCIM's Error (RFC 7644 section 3.12); ``status`` is a string there."""
    document: dict[str, Any] = {"schemas": [urns.ERROR], "status": str(status)}
    if scim_type is not None:
        document["scimType"] = scim_type
    return document | {"detail": detail}


def error_answer(status: int, detail: str, scim_type: str | None = None, txn: str | None = None) -> web.Response:
    """Return an error as an answer; what may be tried again says when (Retry-After)."""
    document = error_document(status, detail, scim_type)
    if txn is not None:
        document["txn"] = txn
    headers = {"Content-Type": SCIM_JSON, **error_headers(status)}
    return closed_where_unread(web.Response(status=status, body=encode(document), headers=headers))


def error_headers(status: int) -> dict[str, str]:
    """Return what the headers of an error say besides its body: who may ask, when to ask again."""
    if status == 401:
        return {"WWW-Authenticate": 'Bearer realm="scim"'}
    return {"Retry-After": str(RETRY_AFTER_S)} if status in _RETRYABLE else {}


def closed_where_unread(response: web.Response) -> web.Response:
    """Return the error; where the rest of the request's body is not read, its connection is of no further use."""
    if response.status in {408, 413}:
        response.force_close()
    return response


def refusal_answer(refusal: Refusal) -> web.Response:
    """Return a stored refusal as an answer."""
    return error_answer(refusal.status, refusal.detail, refusal.scim_type)


def replayed_answer(
    reply: Reply, image: ResourceImage | None, base_url: str, projection: Projection | None, media_type: str
) -> web.Response:
    """Return an earlier answer again: its status, id, Location and ETag, with the resource as it is now for a body.

    Of a resource deleted meanwhile only its identity is left to be told.
    """
    outcome = reply.outcome
    where = location(base_url, outcome.resource_id)
    headers = {"ETag": etag(outcome.version), "Location": where, "Content-Type": media_type}
    if outcome.status == 204:
        return web.Response(status=204)
    if image is None:
        meta = {"resourceType": outcome.resource_type, "location": where, "version": etag(outcome.version)}
        body = encode({"schemas": [USER.schema.urn], "id": outcome.resource_id, "meta": meta})
    else:
        body = resource_body(image, where, projection)
    return web.Response(status=outcome.status, body=body, headers=headers)
