"""The applications: every route of the main port and of the operators' port."""

from __future__ import annotations

from aiohttp import web

from consumers.metrics import Metrics
from gateway import discovery, health, listing, outcomes, users
from gateway.auth import authenticate
from gateway.bodies import expect
from gateway.dialects import add_dialects
from gateway.front import FRONT, SCIM_BASE, Front
from gateway.middleware import front_door
from gateway.readiness import Readiness
from schemas.dialects.registry import DIALECTS
from schemas.errors import InvalidVersion


def main_app(front: Front) -> web.Application:
    """Return the application of the main port."""
    app = web.Application(middlewares=[front_door], client_max_size=front.max_body)
    app[FRONT] = front
    health.add_probes(app, front.readiness)
    # With and without the version segment, which stands directly before the endpoint (A1, RFC 7644 section 3.13).
    for base in (SCIM_BASE, SCIM_BASE.removesuffix("/v2")):
        _add_scim(app.router, base)
    add_dialects(app, DIALECTS)
    # Any version but v2, whose unknown endpoints are 404 and whose unknown methods are 405.
    versions = r"/{version:(?:v(?!2/)|V)\d[^/]*}/{endpoint:.*}"
    app.router.add_route("*", SCIM_BASE.removesuffix("/v2") + versions, other_version)
    return app


def admin_app(front: Front) -> web.Application:
    """Return the application of the operators' port of a process that has a main port."""
    app = web.Application(middlewares=[front_door])
    app[FRONT] = front
    health.add_probes(app, front.readiness)
    health.add_metrics(app, front.metrics)
    return app


def worker_app(readiness: Readiness, metrics: Metrics) -> web.Application:
    """Return the application of the operators' port of a process that has no other."""
    app = web.Application()
    health.add_probes(app, readiness)
    health.add_metrics(app, metrics)
    return app


def _add_scim(router: web.UrlDispatcher, base: str) -> None:
    router.add_post(f"{base}/Users", users.create, expect_handler=expect)
    router.add_get(f"{base}/Users", listing.list_users, expect_handler=expect)
    router.add_get(f"{base}/Users/{{id}}", users.read, expect_handler=expect)
    router.add_put(f"{base}/Users/{{id}}", users.replace, expect_handler=expect)
    router.add_patch(f"{base}/Users/{{id}}", users.patch, expect_handler=expect)
    router.add_delete(f"{base}/Users/{{id}}", users.delete, expect_handler=expect)
    router.add_get(f"{base}/ServiceProviderConfig", discovery.service_provider_config, expect_handler=expect)
    router.add_get(f"{base}/ResourceTypes", discovery.resource_types, expect_handler=expect)
    router.add_get(f"{base}/ResourceTypes/{{id}}", discovery.resource_type, expect_handler=expect)
    router.add_get(f"{base}/Schemas", discovery.schemas, expect_handler=expect)
    router.add_get(f"{base}/Schemas/{{id}}", discovery.schema, expect_handler=expect)
    router.add_get(f"{base}/Outcomes/{{txn}}", outcomes.read, expect_handler=expect)
    router.add_route("*", f"{base}/Me", discovery.not_offered, expect_handler=expect)
    router.add_route("*", f"{base}/Bulk", discovery.not_offered, expect_handler=expect)


async def other_version(request: web.Request) -> web.StreamResponse:
    """Refuse any version of the protocol but 2 (RFC 7644 section 3.13)."""
    authenticate(request)
    raise InvalidVersion("this server speaks SCIM 2.0: use v2, or no version, in the path")
