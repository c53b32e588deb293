"""``/Users`` and ``/Users/{id}``: create, read, replace, patch and delete users (RFC 7644 sections 3.3 to 3.6)."""

from __future__ import annotations

import msgspec
from aiohttp import web

from gateway import rendering, writes
from gateway.auth import authenticate
from gateway.bodies import answer_type, read_body
from gateway.clear_passwords import fingerprinted, hashed
from gateway.front import FRONT
from schemas.codec import decode_json, decode_user
from schemas.commands import Create, Delete, Patch, Replace
from schemas.errors import NotFound
from schemas.patch_requests import normalise
from schemas.projection import Projection, parse_projection
from schemas.resource_types import USER
from schemas.versions import etag, matches, parse_tags


async def create(request: web.Request) -> web.StreamResponse:
    """``POST /Users``: 201 with the user, its Location and ETag (E1 to E7)."""
    grant = authenticate(request)
    projection = requested_projection(request)
    answer_type(request)
    user = decode_user(await read_body(request), grant.tenant.rules)
    password = user.pop("password", msgspec.UNSET)
    change = Create(body=user, password=await hashed(request, grant, password) or msgspec.UNSET)
    command, reply = await writes.submit(
        request, change, resource_id=None, body=user, password=fingerprinted(grant, password)
    )
    return await writes.answer(request, command, reply, projection)


async def read(request: web.Request) -> web.StreamResponse:
    """``GET /Users/{id}``: the user, or 304 when If-None-Match has its version (F1 to F5, O2)."""
    grant = authenticate(request)
    projection = requested_projection(request)
    media_type = answer_type(request)
    front = request.app[FRONT]
    resource_id = writes.resource_id(request)
    image = await front.reader.get(grant.tenant.name, USER.name, resource_id)
    if image is None:
        raise NotFound("no User has this id")
    if "If-None-Match" in request.headers and matches(parse_tags(request.headers["If-None-Match"]), image.version):
        return web.Response(status=304, headers={"ETag": etag(image.version)})
    where = rendering.location(front.base_url(request), resource_id)
    return rendering.resource_answer(image, where, projection, media_type)


async def replace(request: web.Request) -> web.StreamResponse:
    """``PUT /Users/{id}``: 200 with the user; never creates (K1 to K7)."""
    grant = authenticate(request)
    projection = requested_projection(request)
    answer_type(request)
    user = decode_user(await read_body(request), grant.tenant.rules)
    password = user.pop("password", msgspec.UNSET)
    change = Replace(
        body=user,
        password=await hashed(request, grant, password) or msgspec.UNSET,
        keeps=grant.tenant.rules.put_preserves or msgspec.UNSET,
    )
    command, reply = await writes.submit(
        request,
        change,
        resource_id=writes.resource_id(request),
        body=user,
        password=fingerprinted(grant, password),
    )
    return await writes.answer(request, command, reply, projection)


async def patch(request: web.Request) -> web.StreamResponse:
    """``PATCH /Users/{id}``: 200 with the user, or 204 by the tenant's rule (L1 to L14)."""
    grant = authenticate(request)
    projection = requested_projection(request)
    answer_type(request)
    wanted = normalise(decode_json(await read_body(request)), USER, grant.tenant.rules)
    change = Patch(operations=wanted.operations, password=await hashed(request, grant, wanted.password))
    command, reply = await writes.submit(
        request,
        change,
        resource_id=writes.resource_id(request),
        body=wanted.operations,
        password=fingerprinted(grant, wanted.password),
    )
    return await writes.answer(request, command, reply, projection)


async def delete(request: web.Request) -> web.StreamResponse:
    """``DELETE /Users/{id}``: 204 (M1, M2)."""
    authenticate(request)
    command, reply = await writes.submit(request, Delete(), resource_id=writes.resource_id(request), body=None)
    return await writes.answer(request, command, reply, None)


def requested_projection(request: web.Request) -> Projection | None:
    """Return what ``attributes`` or ``excludedAttributes`` ask for (RFC 7644 section 3.9)."""
    query = request.rel_url.raw_query_string
    if "ttributes" not in query:
        return None
    values = request.query
    return parse_projection(values.get("attributes"), values.get("excludedAttributes"), USER)
