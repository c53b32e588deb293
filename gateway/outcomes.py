"""``GET /Outcomes/{txn}``: what became of a change whose answer was lost (``interfaces.md``)."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from gateway import rendering
from gateway.auth import authenticate
from gateway.bodies import JSON
from gateway.front import FRONT
from schemas.versions import etag


async def read(request: web.Request) -> web.StreamResponse:
    """Answer 200 always: ``pending``, ``applied``, ``refused`` (with the error), or ``unknown``, also for another tenant's."""
    grant = authenticate(request, dialect=None)  # the errors of every dialect send their callers here
    front = request.app[FRONT]
    txn, tenant = request.match_info["txn"], grant.tenant.name
    document: dict[str, Any] = {
        "txn": txn,
        "state": "unknown",
        "status": None,
        "version": None,
        "location": None,
        "error": None,
    }
    # Asked in this order, a command that is decided in between is found applied.
    pending = front.submitter.is_pending(tenant, txn)
    outcome = await front.reader.outcome(tenant, txn)
    if outcome is None:
        document["state"] = "pending" if pending else "unknown"
    elif outcome.error is not None:
        error = outcome.error
        document |= {"state": "refused", "status": outcome.status}
        document["error"] = rendering.error_document(error.status, error.detail, error.scim_type)
    else:
        document |= {"state": "applied", "status": outcome.status, "version": etag(outcome.version)}
        document["location"] = rendering.location(front.base_url(request), outcome.resource_id)
    return rendering.document_answer(document, JSON)
