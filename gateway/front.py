"""What every request handler shares, and who is calling."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from consumers.metrics import Metrics
from consumers.ports import Reader, Submitter
from gateway.passwords import PasswordHasher
from gateway.tenants import Grant, Tenants
from schemas import ids

SCIM_BASE: Final = "/scim/v2"


@dataclass(slots=True)
class Front:
    """The gateway's side of the ports, and the settings that requests read."""

    submitter: Submitter
    reader: Reader
    metrics: Metrics
    passwords: PasswordHasher
    tenants: Tenants
    """The current snapshot of the tenants file; replaced as a whole when the file changes."""
    gateway: str
    """This gateway's id, taken at its start: outcomes name it, so that answers it took to its grave count as unseen."""
    public_url: str = ""
    budget_ms: int = 20_000
    max_body: int = 1024 * 1024
    body_timeout_s: float = 30.0
    draining: bool = False
    answered: int = 0
    """Requests answered so far; every so manieth is logged."""
    problems: dict[str, str] = field(default_factory=dict)
    """What keeps the process from being ready, by name; told by ``/readyz``."""

    def base_url(self, request: web.Request) -> str:
        """Return the URL under which SCIM is served to this caller, without a slash at its end (A1)."""
        return (self.public_url or f"{request.scheme}://{request.host}") + SCIM_BASE


FRONT: Final = web.AppKey("front", Front)
CLIENT: Final = web.RequestKey("client", Grant)
TXN: Final = web.RequestKey("txn", str)


def now_ms() -> int:
    """Return the time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def new_id() -> str:
    """Return a new time-ordered id, for resources and commands."""
    return ids.time_ordered(now_ms(), os.urandom(ids.RANDOM_BYTES))
