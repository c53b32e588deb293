"""Health and metrics: ``/livez``, ``/readyz``, ``/startupz`` on both ports, ``/metrics`` on the operators'."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from consumers.metrics import Metrics
from gateway import rendering
from gateway.bodies import JSON
from gateway.readiness import Readiness

READINESS: Final = web.AppKey("readiness", Readiness)
METRICS: Final = web.AppKey("metrics", Metrics)


async def live(_request: web.Request) -> web.StreamResponse:
    """``GET /livez``: 200 while the event loop turns."""
    return rendering.document_answer({"status": "ok"}, JSON)


async def ready(request: web.Request) -> web.StreamResponse:
    """``GET /readyz``: 200 when the process is to be sent work; 503, naming what is missing, before, and while draining."""
    if missing := request.app[READINESS].missing:
        return rendering.document_answer({"status": "not ready", "missing": missing}, JSON, status=503)
    return rendering.document_answer({"status": "ok"}, JSON)


async def started(request: web.Request) -> web.StreamResponse:
    """``GET /startupz``: 200 once the process was ready for the first time."""
    if missing := request.app[READINESS].starting:
        return rendering.document_answer({"status": "starting", "missing": missing}, JSON, status=503)
    return rendering.document_answer({"status": "ok"}, JSON)


async def metrics(request: web.Request) -> web.StreamResponse:
    """``GET /metrics``: Prometheus' text format."""
    body = generate_latest(request.app[METRICS].registry)
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


def add_probes(app: web.Application, readiness: Readiness) -> None:
    """Add the three health endpoints."""
    app[READINESS] = readiness
    app.router.add_get("/livez", live)
    app.router.add_get("/readyz", ready)
    app.router.add_get("/startupz", started)


def add_metrics(app: web.Application, of_process: Metrics) -> None:
    """Add ``/metrics``."""
    app[METRICS] = of_process
    app.router.add_get("/metrics", metrics)
