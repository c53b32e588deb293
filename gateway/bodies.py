"""Request bodies: their media type, their size and the time they may take."""

from __future__ import annotations

import asyncio
import zlib
from typing import Final

from aiohttp import HttpVersion11, web

from gateway.front import FRONT, Front
from schemas.errors import InvalidSyntax, NotAcceptable, RequestTimeout, TooLarge, Unavailable, UnsupportedMediaType

SCIM_JSON: Final = "application/scim+json"
JSON: Final = "application/json"
MOST_ARRIVING_BYTES: Final = 64 * 1024 * 1024
"""How much all bodies that are still arriving may come to (INV-19)."""
SMALL_BODY: Final = 16 * 1024
"""Bodies up to this size are always taken: as many as there are connections come to no more than the large ones."""
_JSON_TYPES: Final = frozenset({SCIM_JSON, JSON})
_PLAIN: Final = frozenset({SCIM_JSON, JSON, f"{SCIM_JSON}; charset=utf-8", f"{JSON}; charset=utf-8"})
"""What almost every client sends, so that almost no header has to be parsed."""
_WINDOWS: Final = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""Content codings that are understood (RFC 9110 section 8.4.1), with zlib's name of their format."""


async def read_body(request: web.Request, media_types: frozenset[str] = _JSON_TYPES) -> bytes:
    """Return the request's body, decompressed.

    Raises UnsupportedMediaType unless it is declared to be one of these types of JSON in UTF-8 (A2) in a content coding
    that is understood, TooLarge above the limit, counted before and after decompression, InvalidSyntax when it breaks
    off, and RequestTimeout when it does not arrive in time: aiohttp itself waits for ever.
    """
    front = request.app[FRONT]
    _check_media_type(request, media_types)
    coding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if coding != "identity" and coding not in _WINDOWS:
        raise UnsupportedMediaType("the Content-Encoding is not understood; send the body as it is, or as gzip")
    if request.content_length is not None and request.content_length > front.max_body:
        raise TooLarge(f"the body exceeds {front.max_body} bytes")
    body = await _received(request, front)
    return body if coding == "identity" else _decompressed(body, _WINDOWS[coding], front.max_body)


async def expect(request: web.Request) -> None:
    """Send ``100 Continue`` to who waits for it; other expectations are ignored, as RFC 9110 section 10.1.1 allows.

    In aiohttp's place, whose 417 is plain text.
    """
    if request.version == HttpVersion11 and request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # The answer itself has not begun.


async def _received(request: web.Request, front: Front) -> bytes:
    try:
        if request.content.is_eof():
            return _arrived(request, front)
        async with asyncio.timeout(front.body_timeout_s):
            return await _arriving(request, front)
    except web.HTTPRequestEntityTooLarge:
        raise TooLarge(f"the body exceeds {front.max_body} bytes") from None
    except TimeoutError:
        raise RequestTimeout(f"the body did not arrive within {front.body_timeout_s:g} seconds") from None
    except (ConnectionError, web.RequestPayloadError):
        # The client went away or broke its own framing; a defect of this server would be another exception.
        raise InvalidSyntax("the body breaks off before its end") from None


def _arrived(request: web.Request, front: Front) -> bytes:
    """Return a body that is all here, in one call: ``request.read()`` goes the long way, piece by piece."""
    body = request.content.read_nowait()
    if len(body) > front.max_body:
        raise TooLarge(f"the body exceeds {front.max_body} bytes")
    return body


async def _arriving(request: web.Request, front: Front) -> bytes:
    """Return a body that is still to come; raises Unavailable when all of these together have become too much.

    What has arrived counts, not what is promised: a few callers who promise and send nothing would keep all others out.
    """
    body = bytearray()
    try:
        async for piece in request.content.iter_any():
            body += piece
            front.arriving_bytes += len(piece)
            if len(body) > front.max_body:
                raise TooLarge(f"the body exceeds {front.max_body} bytes")
            if len(body) > SMALL_BODY and front.arriving_bytes > MOST_ARRIVING_BYTES:
                raise Unavailable("too many large bodies are arriving at once; nothing was accepted, send it again")
        return bytes(body)
    finally:
        front.arriving_bytes -= len(body)


def _decompressed(body: bytes, window: int, limit: int) -> bytes:
    """Return what the body holds, at most ``limit`` bytes of it.

    Not left to aiohttp: it goes on decompressing a body after its request was refused, token or no token, and so 200 kB
    of a gzip bomb cost the event loop more than a second.
    """
    decompressor = zlib.decompressobj(window)
    try:
        content = decompressor.decompress(body, limit + 1)
    except zlib.error:
        raise InvalidSyntax("the body is not what its Content-Encoding says") from None
    if len(content) > limit:
        raise TooLarge(f"the body exceeds {limit} bytes once it is decompressed")
    if body and (not decompressor.eof or decompressor.unused_data):
        raise InvalidSyntax("the body is not what its Content-Encoding says")
    return content


def _check_media_type(request: web.Request, media_types: frozenset[str]) -> None:
    if request.headers.get("Content-Type") in _PLAIN and media_types is _JSON_TYPES:
        return
    if request.content_type not in media_types or "Content-Type" not in request.headers:
        raise UnsupportedMediaType(f"send the body with Content-Type: {' or '.join(sorted(media_types, reverse=True))}")
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
