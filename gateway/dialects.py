"""The routes of other services' contracts: a dialect translates, the write goes the way of every write."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import partial
from typing import Any, Final

import msgspec
from aiohttp import web

from consumers.ports import Reply
from gateway import clear_passwords, rendering, writes
from gateway.auth import authenticate
from gateway.bodies import expect, read_body
from gateway.front import CLIENT, FRONT
from schemas import urns
from schemas.commands import ChangeCommand, Create, Patch
from schemas.dialects.dialect import Answer, Asked, Derived, Dialect, Refused, Route, Shown
from schemas.errors import NotFound
from schemas.memberships import Membership
from schemas.records import ResourceImage
from schemas.resource_types import USER
from schemas.versions import etag, matches, parse_tags

DIALECTS: Final = web.AppKey("dialects", dict[web.AbstractResource, Dialect])
"""Which routes are whose, so that errors are told in the form of the service that was asked."""
_NO_SUCH: Final = "no User has this id"


def add_dialects(app: web.Application, dialects: Iterable[Dialect]) -> None:
    """Serve the routes of each dialect; whatever else is asked below its prefixes is refused in its form."""
    spoken = app[DIALECTS] = {}
    for dialect in dialects:
        by_path: dict[str, list[Route]] = defaultdict(list)
        for route in dialect.routes:
            by_path[route.path].append(route)
        for path, routes in by_path.items():
            resource = app.router.add_resource(path)
            spoken[resource] = dialect
            for route in routes:
                handler = partial(_serve, dialect, route)
                resource.add_route(route.method, handler, expect_handler=expect)
                if route.method == "GET":
                    resource.add_route("HEAD", handler, expect_handler=expect)
            resource.add_route("*", partial(_not_allowed, _methods(routes)), expect_handler=expect)
        for path in (path for prefix in dialect.prefixes for path in (prefix, f"{prefix}/{{rest:.*}}")):
            resource = app.router.add_resource(path)
            spoken[resource] = dialect
            resource.add_route("*", _no_such_endpoint, expect_handler=expect)


def error_answer(
    request: web.Request,
    status: int,
    detail: str,
    scim_type: str | None = None,
    *,
    txn: str | None = None,
    violations: tuple[str, ...] = (),
) -> web.Response:
    """Return an error in the form of the contract that was asked: SCIM's own, or a dialect's."""
    spoken = request.app.get(DIALECTS, {})
    resource = request.match_info.route.resource
    dialect = None if resource is None else spoken.get(resource)
    if dialect is None:
        return rendering.error_answer(status, detail, scim_type, txn)
    refused = Refused(status, detail, request.rel_url.raw_path, scim_type, violations)
    response = _response(dialect.refuse(refused))
    response.headers.update(rendering.error_headers(status))
    if txn is not None:
        response.headers["Scim-Txn"] = txn
    return rendering.closed_where_unread(response)


async def _serve(dialect: Dialect, route: Route, request: web.Request) -> web.StreamResponse:
    """Answer one documented operation, or the read beside it."""
    grant = authenticate(request, dialect.name, dialect.schemes)
    if route.override is not None and request.headers.get("X-HTTP-Method-Override", "").upper() != route.override:
        raise web.HTTPMethodNotAllowed(
            request.method, _methods(each for each in dialect.routes if each.path == route.path)
        )
    asked = Asked(route.operation, request.rel_url.raw_path, request.query)
    if route.operation == "read":
        return await _read(dialect, route, asked, request)
    translated = dialect.translate(
        asked, await read_body(request, dialect.media_types), grant.tenant.rules.put_preserves
    )
    change, clear = translated.change, translated.password
    hashed = await clear_passwords.hashed(request, grant, clear)
    if hashed is not None or isinstance(change, Patch):
        change = msgspec.structs.replace(change, password=hashed)
    command, reply = await writes.submit(
        request,
        change,
        resource_id=None if isinstance(change, Create) else writes.resource_id(request),
        body=change.operations if isinstance(change, Patch) else change.body,
        password=clear_passwords.fingerprinted(grant, clear),
        rules=dialect.rules,
        guard=translated.guard,
    )
    return await _written(dialect, route, asked, request, command, reply)


async def _read(dialect: Dialect, route: Route, asked: Asked, request: web.Request) -> web.StreamResponse:
    front, tenant, resource_id = request.app[FRONT], request[CLIENT].tenant.name, writes.resource_id(request)
    image = await front.reader.get(tenant, USER.name, resource_id)
    if image is None:
        raise NotFound(_NO_SUCH)
    if "If-None-Match" in request.headers and matches(parse_tags(request.headers["If-None-Match"]), image.version):
        return web.Response(status=304, headers={"ETag": etag(image.version)})
    shown = await _shown(dialect, route, asked, request, resource_id, image.version, image)
    return _shown_answer(dialect.answer(asked, 200, shown), shown)


async def _written(
    dialect: Dialect, route: Route, asked: Asked, request: web.Request, command: ChangeCommand, reply: Reply
) -> web.StreamResponse:
    """Return the answer of a write: what the outcome says, told by the dialect."""
    outcome = reply.outcome
    if outcome.error is not None:
        error = outcome.error
        return error_answer(request, error.status, error.detail, error.scim_type, txn=outcome.txn)
    with writes.already_done(request.app[FRONT], command, outcome.txn):
        image = reply.image
        if image is None:  # an earlier answer again, or a reply that was lost and found as its stored outcome
            image = await request.app[FRONT].reader.get(command.tenant, USER.name, outcome.resource_id)
        shown = await _shown(dialect, route, asked, request, outcome.resource_id, outcome.version, image)
    response = _shown_answer(dialect.answer(asked, outcome.status, shown), shown)
    response.headers["Scim-Txn"] = outcome.txn
    return response


async def _shown(
    dialect: Dialect,
    route: Route,
    asked: Asked,
    request: web.Request,
    resource_id: str,
    version: int,
    image: ResourceImage | None,
) -> Shown:
    """Return what an answer may tell of the user; of one deleted meanwhile only its identity is left."""
    where = request.app[FRONT].origin(request) + _path_of(route, resource_id)
    if image is None:
        identity = {"schemas": [USER.schema.urn], "id": resource_id}
        return Shown(doc=identity, version=version, location=where, created=None, modified=None)
    doc: dict[str, Any] = msgspec.json.decode(image.doc)
    groups, manager = await _derived(dialect.derives(asked), request, resource_id, doc)
    return Shown(
        doc=doc,
        version=version,
        location=where,
        created=image.created,
        modified=image.modified,
        groups=groups,
        manager=manager,
    )


async def _derived(
    derives: frozenset[Derived], request: web.Request, resource_id: str, doc: dict[str, Any]
) -> tuple[tuple[Membership, ...], str | None]:
    """Return the user's groups, and its manager's name for display: ``displayName``, else ``name.formatted``."""
    reader, tenant = request.app[FRONT].reader, request[CLIENT].tenant.name
    groups = await reader.groups_of(tenant, resource_id) if "groups" in derives else ()
    manager_id = doc.get(urns.ENTERPRISE_USER, {}).get("manager", {}).get("value") if "manager" in derives else None
    manager = None if manager_id is None else await reader.get(tenant, USER.name, manager_id)
    if manager is None:
        return groups, None
    named: dict[str, Any] = msgspec.json.decode(manager.doc)
    return groups, named.get("displayName", named.get("name", {}).get("formatted"))


def _path_of(route: Route, resource_id: str) -> str:
    return f"{route.path}/{resource_id}" if route.operation == "create" else route.path.replace("{id}", resource_id)


def _shown_answer(answer: Answer, shown: Shown) -> web.Response:
    response = _response(answer)
    response.headers["ETag"] = etag(shown.version)
    return response


def _response(answer: Answer) -> web.Response:
    return web.Response(status=answer.status, headers=answer.headers, body=answer.body or None)


def _methods(routes: Iterable[Route]) -> frozenset[str]:
    return frozenset(route.method for route in routes if route.override is None)


async def _not_allowed(allowed: frozenset[str], request: web.Request) -> web.StreamResponse:
    raise web.HTTPMethodNotAllowed(request.method, allowed)


async def _no_such_endpoint(_request: web.Request) -> web.StreamResponse:
    raise NotFound("there is no such endpoint")
