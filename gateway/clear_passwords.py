"""Passwords of requests, in clear until here: a hash goes further, or nothing does (R5)."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
from aiohttp import web

from gateway.front import FRONT
from gateway.tenants import Grant
from schemas.errors import Unavailable

_HASHING_SHARE: Final = 0.25
"""Of the time budget, which only begins when the command is made: a password may wait so long on top of it."""


async def hashed(
    request: web.Request, grant: Grant, password: str | msgspec.UnsetType | None
) -> str | msgspec.UnsetType | None:
    """Return the hash to store, None to remove the stored one, or UNSET where the tenant keeps no passwords.

    An empty password is none: nobody should be able to log in with it, and to refuse it would cost the whole change.
    Raises Unavailable when too many wait before this one: the queue is bounded by the time that its last may take.
    """
    if not grant.tenant.keeps_passwords or password == "":
        return msgspec.UNSET
    if password is None or password is msgspec.UNSET:
        return password
    front = request.app[FRONT]
    try:
        async with asyncio.timeout(front.budget_ms / 1000 * _HASHING_SHARE):
            return await front.passwords.hash(password)
    except TimeoutError:
        raise Unavailable("too many passwords wait to be hashed; nothing was accepted, send it again") from None


def fingerprinted(grant: Grant, password: str | msgspec.UnsetType | None) -> str | None:
    """Return the password for the request's fingerprint: a dropped one makes no difference between two requests."""
    return password if isinstance(password, str) and grant.tenant.keeps_passwords else None
