"""What every request handler shares, and who is calling."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from consumers.metrics import Metrics
from consumers.ports import Reader, Submitter
from gateway.passwords import PasswordHasher
from gateway.readiness import Readiness
from gateway.tenants import Grant, Tenants
from gateway.unread import UnreadAnswers
from schemas import ids
from schemas.errors import ScimError

SCIM_BASE: Final = "/scim/v2"
_HOST = re.compile(r"(?:[A-Za-z0-9._~%!$&'()*+,;=-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?", re.ASCII)


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
    readiness: Readiness = field(default_factory=Readiness)
    arriving_bytes: int = 0
    """What has come of the bodies that are still arriving, in bytes."""
    unread: UnreadAnswers = field(default_factory=UnreadAnswers)
    answered: int = 0
    """Requests answered so far; every so manieth is logged."""

    def base_url(self, request: web.Request) -> str:
        """Return the URL under which SCIM is served to this caller, without a slash at its end (A1)."""
        return self.origin(request) + SCIM_BASE

    def origin(self, request: web.Request) -> str:
        """Return the URL of the server as this caller sees it, without a slash at its end."""
        return self.public_url or f"{request.scheme}://{request.host}"


def check_host(request: web.Request) -> None:
    """Raise ScimError for a Host that is no host and port (RFC 9112 section 3.2): answers are made of it.

    None at all is HTTP/1.0's way; the socket's address stands for it.
    """
    host = request.headers.get("Host")
    if host is not None and _HOST.fullmatch(host) is None:
        raise ScimError("the Host header must be a host, with or without a port")


FRONT: Final = web.AppKey("front", Front)
CLIENT: Final = web.RequestKey("client", Grant)
TXN: Final = web.RequestKey("txn", str)


def now_ms() -> int:
    """Return the time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class _Randomness:
    """Random bytes, fetched from the operating system by the thousand.

    Each fetch is a system call that gives the interpreter's lock away, and on a busy process waits to get it back.
    """

    def __init__(self) -> None:
        self._bytes = b""
        self._used = 0

    def take(self, count: int) -> bytes:
        """Return ``count`` bytes that nobody got before."""
        if self._used + count > len(self._bytes):
            self._bytes, self._used = os.urandom(4096), 0
        self._used += count
        return self._bytes[self._used - count : self._used]


_randomness: Final = _Randomness()


def new_id() -> str:
    """Return a new time-ordered id, for resources and commands."""
    return ids.time_ordered(now_ms(), _randomness.take(ids.RANDOM_BYTES))
