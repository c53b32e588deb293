"""Request bodies: their media type, their size and the time they may take."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from gateway.front import FRONT
from schemas.errors import NotAcceptable, RequestTimeout, TooLarge, UnsupportedMediaType

SCIM_JSON: Final = "application/scim+json"
JSON: Final = "application/json"
_PLAIN: Final = frozenset({SCIM_JSON, JSON, f"{SCIM_JSON}; charset=utf-8", f"{JSON}; charset=utf-8"})
"""What almost every client sends, so that almost no header has to be parsed."""


async def read_body(request: web.Request) -> bytes:
    """Return the request's body, decompressed.

    Raises UnsupportedMediaType unless it is declared to be JSON in UTF-8 (A2), TooLarge above the limit, counted after
    decompression, and RequestTimeout when it does not arrive in time: aiohttp itself waits for ever.
    """
    front = request.app[FRONT]
    _check_media_type(request)
    try:
        if request.content.is_eof():
            return await request.read()
        async with asyncio.timeout(front.body_timeout_s):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise TooLarge(f"the body exceeds {front.max_body} bytes") from None
    except TimeoutError:
        raise RequestTimeout(f"the body did not arrive within {front.body_timeout_s:g} seconds") from None


def _check_media_type(request: web.Request) -> None:
    if request.headers.get("Content-Type") in _PLAIN:
        return
    if request.content_type not in {SCIM_JSON, JSON} or "Content-Type" not in request.headers:
        raise UnsupportedMediaType(f"send the body with Content-Type: {SCIM_JSON} (or {JSON})")
    if (request.charset or "utf-8").lower() not in {"utf-8", "utf8"}:
        raise UnsupportedMediaType("JSON is sent in UTF-8 (RFC 8259 section 8.1)")


def answer_type(request: web.Request) -> str:
    """Return the media type to answer in: SCIM's, or plain JSON for callers that accept only that (A2).

    Raises NotAcceptable when the caller accepts neither.
    """
    accept = request.headers.get("Accept")
    if accept is None or SCIM_JSON in accept or "*/*" in accept or "application/*" in accept:
        return SCIM_JSON
    accept = accept.lower()
    if SCIM_JSON in accept:
        return SCIM_JSON
    if JSON in accept:
        return JSON
    if not accept.strip():
        return SCIM_JSON
    raise NotAcceptable(f"this server answers in {SCIM_JSON} or {JSON}")
