"""Outcomes: what became of a command, kept for as long as a repeat of it must get the same answer."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

KEYED_LIFE_MS: Final = 24 * 3600 * 1000
"""How long the outcome of a request with an Idempotency-Key is kept."""
LIFE_MS: Final = 15 * 60 * 1000
"""How long any other outcome is kept."""
UNSEEN_LIFE_MS: Final = 10 * 60 * 1000
"""For how long an identical POST gets the answer that its caller never saw."""


class Refusal(msgspec.Struct, frozen=True):
    """A command that may not be applied, and why, in SCIM's terms (RFC 7644 section 3.12)."""

    status: int
    detail: str
    scim_type: str | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag=1, tag_field="v"):
    """The answer to one command: an effect, a no-op or a refusal; expired and busy commands have none (CP-25).

    Its schema number ``v`` is the struct's tag, so that it is written although defaults are left out.
    """

    txn: str
    status: int
    """The HTTP status of the answer."""
    resource_type: str
    resource_id: str
    version: int = 0
    """The resource's version after the command; 0 where there is none."""
    error: Refusal | None = None
    verb: Literal["create", "replace", "patch", "delete"]
    fingerprint: str
    key: str | None = None
    unseen: str | None = None
    """``schemas.fingerprints.unseen_key`` of a create that was applied: a repeat is recognised by it."""
    gateway: str
    decided_at: int
    """Milliseconds since 1970: the ``accepted_at`` of its command, so that a replay gives the same life."""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Outcome)


def encode_outcome(outcome: Outcome) -> bytes:
    """Return the outcome as it is stored."""
    return _encoder.encode(outcome)


def decode_outcome(value: bytes) -> Outcome:
    """Read a stored outcome; raises msgspec.ValidationError for a schema number it does not know."""
    return _decoder.decode(value)


def expires_at(outcome: Outcome) -> int:
    """Return the time, in milliseconds since 1970, at which the outcome may be forgotten."""
    return outcome.decided_at + (KEYED_LIFE_MS if outcome.key else LIFE_MS)
