"""Health and metrics: ``/livez``, ``/readyz``, ``/startupz`` on both ports, ``/metrics`` on the operators'."""

from __future__ import annotations

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from gateway import rendering
from gateway.bodies import JSON
from gateway.front import FRONT


async def live(_request: web.Request) -> web.StreamResponse:
    """``GET /livez``: 200 while the event loop turns."""
    return rendering.document_answer({"status": "ok"}, JSON)


async def ready(request: web.Request) -> web.StreamResponse:
    """``GET /readyz``: 200 when a write would succeed; 503, naming what is missing, before that and while draining."""
    front = request.app[FRONT]
    missing = dict(front.problems)
    if front.draining:
        missing["draining"] = "the process is stopping"
    if missing:
        return rendering.document_answer({"status": "not ready", "missing": missing}, JSON, status=503)
    return rendering.document_answer({"status": "ok"}, JSON)


async def started(request: web.Request) -> web.StreamResponse:
    """``GET /startupz``: 200 once the process was ready for the first time."""
    missing = request.app[FRONT].problems
    if missing:
        return rendering.document_answer({"status": "starting", "missing": missing}, JSON, status=503)
    return rendering.document_answer({"status": "ok"}, JSON)


async def metrics(request: web.Request) -> web.StreamResponse:
    """``GET /metrics``: Prometheus' text format."""
    body = generate_latest(request.app[FRONT].metrics.registry)
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


def add_probes(app: web.Application) -> None:
    """Add the three health endpoints."""
    app.router.add_get("/livez", live)
    app.router.add_get("/readyz", ready)
    app.router.add_get("/startupz", started)
