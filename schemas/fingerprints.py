"""Fingerprints of requests: equal for a repeat, useless to whoever wants to guess a password from a stolen log."""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache
from typing import Any

import msgspec

_canonical = msgspec.json.Encoder(order="sorted")


def fingerprint(secret: bytes, verb: str, target: str, body: Any, password: str | None) -> str:
    """Return 32 hexadecimal digits that tell this request from any other of the tenant.

    ``target`` is the resource type of a create and type and id of everything else, ``body`` the normalised body
    without ``password``. The password enters as an HMAC under the server's own key (``design.md`` section 8).
    """
    digest = hashlib.sha256(f"{verb}\0{target}\0".encode())
    digest.update(_canonical.encode(body))
    if password is not None:
        digest.update(hmac.digest(secret, b"password\0" + password.encode(), "sha256"))
    return digest.hexdigest()[:32]


@lru_cache(maxsize=4096)  # asked for at reserve and again when the outcome is made
def unseen_key(principal: str, request: str) -> str:
    """Return the name under which an answer that never reached its caller is looked up: bound to the principal (CP-30)."""
    return hashlib.sha256(f"{principal}\0{request}".encode()).hexdigest()[:32]
