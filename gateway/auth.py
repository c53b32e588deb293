"""Who is calling: the bearer token decides tenant and principal, nothing else does (INV-21)."""

from __future__ import annotations

import hmac
import time
from hashlib import sha256
from typing import Final

from aiohttp import web

from gateway.front import CLIENT, FRONT
from gateway.tenants import Grant
from schemas.errors import Forbidden, Unauthorized

_NOBODY: Final = bytes(32)
_BEARER: Final = frozenset({"bearer"})


def authenticate(request: web.Request, dialect: str | None = "scim2", schemes: frozenset[str] = _BEARER) -> Grant:
    """Return what the request's token grants; the same for every endpoint and for every kind of wrong token.

    ``dialect`` is None for what every tenant may ask, whatever it speaks; ``schemes`` is what may stand before the token
    (RFC 9110 section 11.6.2), in lower case.
    Raises Unauthorized for a missing, unknown or expired token, Forbidden when the tenant does not speak this dialect.
    """
    front = request.app[FRONT]
    sent = request.headers.getall("Authorization", [])
    # Of two, a proxy in front may have looked at the other one.
    scheme, _, token = sent[0].partition(" ") if len(sent) == 1 else ("", "", "")
    digest = sha256(token.strip().encode("utf-8", "surrogateescape")).digest()
    grant = front.tenants.by_token_hash.get(digest)
    # The look-up is by hash, so its time tells nothing of a token; the comparison is made for unknown ones as well.
    equal = hmac.compare_digest(digest, grant.digest if grant is not None else _NOBODY)
    expired = grant is not None and grant.expires is not None and grant.expires <= time.time()
    if grant is None or not equal or expired or scheme.lower() not in schemes:
        front.metrics.refused_tokens.inc()
        raise Unauthorized("this needs a valid bearer token in the Authorization header")
    if dialect is not None and grant.tenant.dialects is not None and dialect not in grant.tenant.dialects:
        raise Forbidden("this token's tenant does not use this interface")
    request[CLIENT] = grant
    return grant


def has_token(request: web.Request) -> bool:
    """Tell whether the request brings any credential at all."""
    return "Authorization" in request.headers
