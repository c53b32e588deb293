"""``/Users`` and ``/Users/{id}``: create, read, replace, patch and delete users (RFC 7644 sections 3.3 to 3.6)."""

from __future__ import annotations

import asyncio

import msgspec
from aiohttp import web

from gateway import rendering, writes
from gateway.auth import authenticate
from gateway.bodies import answer_type, read_body
from gateway.front import FRONT
from gateway.tenants import Grant
from schemas.codec import decode_json, decode_user
from schemas.commands import Create, Delete, Patch, Replace
from schemas.errors import NotFound, Unavailable
from schemas.patch_requests import normalise
from schemas.projection import Projection, parse_projection
from schemas.resource_types import USER
from schemas.versions import etag, matches, parse_tags

_LONGEST_ID = 128
_HASHING_SHARE = 0.25
"""Of the time budget, which only begins when the command is made: a password may wait so long on top of it."""


async def create(request: web.Request) -> web.StreamResponse:
    """``POST /Users``: 201 with the user, its Location and ETag (E1 to E7)."""
    grant = authenticate(request)
    projection = requested_projection(request)
    answer_type(request)
    user = decode_user(await read_body(request), grant.tenant.rules)
    password = user.pop("password", None)
    change = Create(body=user, password=await _hashed(request, grant, password))
    command, reply = await writes.submit(request, change, resource_id=None, body=user, password=_kept(grant, password))
    return await writes.answer(request, command, reply, projection)


async def read(request: web.Request) -> web.StreamResponse:
    """``GET /Users/{id}``: the user, or 304 when If-None-Match has its version (F1 to F5, O2)."""
    grant = authenticate(request)
    projection = requested_projection(request)
    media_type = answer_type(request)
    front = request.app[FRONT]
    resource_id = _id(request)
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
    password = user.pop("password", None)
    keeps = grant.tenant.rules.put_preserves
    change = Replace(
        body=user, password=await _hashed(request, grant, password), keeps=keeps if keeps else msgspec.UNSET
    )
    command, reply = await writes.submit(
        request, change, resource_id=_id(request), body=user, password=_kept(grant, password)
    )
    return await writes.answer(request, command, reply, projection)


async def patch(request: web.Request) -> web.StreamResponse:
    """``PATCH /Users/{id}``: 200 with the user, or 204 by the tenant's rule (L1 to L14)."""
    grant = authenticate(request)
    projection = requested_projection(request)
    answer_type(request)
    wanted = normalise(decode_json(await read_body(request)), USER, grant.tenant.rules)
    password = None if wanted.password is msgspec.UNSET else wanted.password
    hashed: str | msgspec.UnsetType | None = await _hashed(request, grant, password)
    if wanted.password is None and grant.tenant.keeps_passwords:
        hashed = None
    change = Patch(operations=wanted.operations, password=hashed)
    command, reply = await writes.submit(
        request, change, resource_id=_id(request), body=wanted.operations, password=_kept(grant, password)
    )
    return await writes.answer(request, command, reply, projection)


async def delete(request: web.Request) -> web.StreamResponse:
    """``DELETE /Users/{id}``: 204 (M1, M2)."""
    authenticate(request)
    command, reply = await writes.submit(request, Delete(), resource_id=_id(request), body=None)
    return await writes.answer(request, command, reply, None)


def requested_projection(request: web.Request) -> Projection | None:
    """Return what ``attributes`` or ``excludedAttributes`` ask for (RFC 7644 section 3.9)."""
    query = request.rel_url.raw_query_string
    if "ttributes" not in query:
        return None
    values = request.query
    return parse_projection(values.get("attributes"), values.get("excludedAttributes"), USER)


def _id(request: web.Request) -> str:
    """Return the id in the path; one that no server of ours could have made is like any unknown one."""
    resource_id = request.match_info["id"]
    if len(resource_id) > _LONGEST_ID or not resource_id.isascii():
        raise NotFound("no User has this id")
    return resource_id


async def _hashed(request: web.Request, grant: Grant, password: str | None) -> str | msgspec.UnsetType:
    """Return the hash to store where the tenant keeps passwords; the clear text ends here (R5).

    Raises Unavailable when too many wait before this one: the queue is bounded by the time that its last may take.
    """
    if password is None or not grant.tenant.keeps_passwords:
        return msgspec.UNSET
    front = request.app[FRONT]
    try:
        async with asyncio.timeout(front.budget_ms / 1000 * _HASHING_SHARE):
            return await front.passwords.hash(password)
    except TimeoutError:
        raise Unavailable("too many passwords wait to be hashed; nothing was accepted, send it again") from None


def _kept(grant: Grant, password: str | None) -> str | None:
    """Return the password for the request's fingerprint: a dropped one makes no difference between two requests."""
    return password if grant.tenant.keeps_passwords else None
