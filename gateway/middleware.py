"""What happens to every request: ids, the translation of errors into answers, the count; one pass, one module."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from consumers.errors import OperatorError
from consumers.submission import Busy, Expired, Failed, OutcomeUnknown
from gateway.dialects import error_answer
from gateway.front import CLIENT, FRONT, TXN, check_host, new_id
from gateway.unread import LARGE_BYTES, MOST_UNREAD_BYTES, TOO_MUCH_UNREAD
from schemas.dialects.dialect import Violations
from schemas.errors import MethodNotAllowed, NotFound, ScimError, TooLarge, TooManyRequests

logger = logging.getLogger("scimgw.http")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_PROBES: Final = frozenset({"/livez", "/readyz", "/startupz"})
_LOG_ONE_IN: Final = 1000
_LONGEST_REQUEST_ID: Final = 128


@web.middleware
async def front_door(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every request in SCIM's form, with ``X-Request-Id``, and ``Scim-Txn`` where it could change something."""
    front = request.app[FRONT]
    started = time.perf_counter()
    writes = request.method not in _READS
    if writes:
        request[TXN] = new_id()
    response = _with_room(request, await _answer(request, handler))
    resource = request.match_info.route.resource
    # The pattern, not the path: paths hold ids, and there is no end to them.
    route = resource.canonical if resource is not None else "none"
    method = request.method if request.method in _METHODS else "other"
    headers = response.headers
    headers["X-Request-Id"] = _request_id(request)
    headers["Server"] = "scimgw"  # aiohttp would tell its version and Python's
    if writes and "Scim-Txn" not in headers:
        headers["Scim-Txn"] = request[TXN]
    if front.readiness.draining:
        response.force_close()  # and says so: the caller's next request goes elsewhere
    seconds = time.perf_counter() - started
    front.metrics.request(route, method, response.status, seconds)
    front.answered += 1
    # A probe that is told "not ready" is not news each time.
    failed = response.status >= 500 and route not in _PROBES
    if failed or front.answered % _LOG_ONE_IN == 0:
        fields = {"action": "request", "route": route, "method": method, "status": response.status}
        logger.info("request", extra=fields | {"seconds": round(seconds, 4), "txn": headers.get("Scim-Txn")})
    return response


def _with_room(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """Return the answer, or 429 for a large one of a read when the tenant's callers leave too many unread."""
    length = response.content_length or 0
    if length < LARGE_BYTES or CLIENT not in request or request.transport is None:
        return response
    front, tenant = request.app[FRONT], request[CLIENT].tenant.name
    if request.method in _READS and front.unread.bytes_of(tenant) + length > MOST_UNREAD_BYTES:
        return _refused(request, TooManyRequests(TOO_MUCH_UNREAD))
    front.unread.watch(tenant, request.transport)
    return response


_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        check_host(request)
        return await handler(request)
    except ScimError as error:
        return _refused(request, error)
    except Busy:
        return error_answer(request, 503, "too many changes are waiting; nothing was accepted, send it again")
    except Expired:
        return error_answer(request, 503, "the change could not be decided in time and was not applied; send it again")
    except OutcomeUnknown as unknown:
        return _unknown(request, unknown.txn)
    except Failed as failed:
        return error_answer(request, 500, "a defect of this server kept the change from being applied", txn=failed.txn)
    except OperatorError as error:
        logger.error("the store failed", extra={"action": "read", "error": str(error)})  # noqa: TRY400 - one line says it
        return error_answer(request, 503, "the store cannot answer now; send the request again")
    except web.HTTPException as error:
        return _http_error(request, error)
    except Exception:
        logger.exception("a request failed", extra={"action": "request", "method": request.method})
        return error_answer(request, 500, "a defect of this server; its log has the details under this X-Request-Id")


def _refused(request: web.Request, error: ScimError) -> web.Response:
    violations = error.violations if isinstance(error, Violations) else ()
    return error_answer(request, error.status, error.detail, error.scim_type, violations=violations)


def _unknown(request: web.Request, txn: str) -> web.Response:
    where = f"{request.app[FRONT].base_url(request)}/Outcomes/{txn}"
    detail = (
        f"the outcome of this change is not known yet: it is told at {where}; an identical request may be sent again"
    )
    return error_answer(request, 503, detail, txn=txn)


def _http_error(request: web.Request, error: web.HTTPException) -> web.StreamResponse:
    """Return aiohttp's own refusals in SCIM's form."""
    match error:
        case web.HTTPNotFound():
            return _refused(request, NotFound("there is no such endpoint"))
        case web.HTTPMethodNotAllowed():
            methods = ", ".join(sorted(error.allowed_methods))
            response = _refused(request, MethodNotAllowed(f"this endpoint takes {methods}"))
            response.headers["Allow"] = methods
            return response
        case web.HTTPRequestEntityTooLarge():
            return _refused(request, TooLarge(f"the body exceeds {request.app[FRONT].max_body} bytes"))
        case _ if error.status >= 400:
            return error_answer(request, error.status, error.reason)
        case _:
            return error


def _request_id(request: web.Request) -> str:
    """Return the caller's X-Request-Id where it is fit to be repeated, else a new one."""
    given = request.headers.get("X-Request-Id")
    if given and len(given) <= _LONGEST_REQUEST_ID and given.isascii() and given.isprintable():
        return given
    return request[TXN] if TXN in request else new_id()
