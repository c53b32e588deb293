"""Dead letters: commands that could not be decided, why, and what a redrive makes of them (CP-26, INV-18)."""

from __future__ import annotations

import base64
import contextlib
from typing import Any, Final

import msgspec

from schemas.commands import ChangeCommand, Create, decode_command
from schemas.versions import matches

MOST_VALUE: Final = 2 * 1024 * 1024
"""Bytes of the command's value that are kept: in base64 they fit into a record of 4 MiB (CP-9).

A longer value is cut, and cannot be redriven; a gateway writes none, its bodies have a mebibyte at most.
"""


MOST_NAME: Final = 256
MOST_KEY: Final = 1024
"""Characters of a member and of the key; longer ones are no gateway's, and the letter must fit into its topic."""


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True, tag=1, tag_field="v"):
    """A parked command, as it stands in the dead-letter topic."""

    why: str
    """What went wrong, without attribute values."""
    partition: int
    offset: int
    """Where the command stands in the command topic."""
    parked_at: int
    """Milliseconds since 1970."""
    key: str
    """The command's key: tenant and resource id."""
    value: str
    """The command's value in base64, cut to ``MOST_VALUE`` bytes."""
    cut: bool = False
    version: int = 0
    """The version of the resource when the command was parked; 0 where there was none."""
    txn: str | None = None
    """The command's id, where it could be read; the same goes for the rest."""
    tenant: str | None = None
    gateway: str | None = None


class Envelope(msgspec.Struct, frozen=True):
    """What may still be read of a command that cannot be decoded: whom to answer."""

    txn: str | None = None
    tenant: str | None = None
    gateway: str | None = None
    resource_type: str = "User"
    resource_id: str = ""
    fingerprint: str = ""
    accepted_at: int = 0


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(DeadLetter)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What a decoder raises on a value that is none of ours: not JSON, not UTF-8, too deep."""


def encode_dead_letter(letter: DeadLetter) -> bytes:
    """Return the letter as it stands in the topic."""
    return _encoder.encode(letter)


def decode_dead_letter(value: bytes) -> DeadLetter:
    """Read a letter; raises msgspec.ValidationError for a schema number it does not know."""
    return _decoder.decode(value)


def envelope_of(value: bytes) -> Envelope:
    """Return as much of an undecodable command as says whom to answer; a member of a wrong type counts as absent."""
    try:
        members = _members.decode(value)
    except _UNREADABLE:
        return Envelope()
    read: dict[str, Any] = {}
    for field in msgspec.structs.fields(Envelope):
        if field.name in members:
            with contextlib.suppress(*_UNREADABLE):
                member: Any = msgspec.json.decode(members[field.name], type=field.type)
                if not isinstance(member, str) or len(member) <= MOST_NAME:
                    read[field.name] = member
    return Envelope(**read)


def parked(
    *, key: str, value: bytes, why: str, partition: int, offset: int, parked_at: int, version: int = 0
) -> DeadLetter:
    """Return the letter about a command whose value stands at this place of the command topic."""
    envelope = envelope_of(value)
    return DeadLetter(
        why=why,
        partition=partition,
        offset=offset,
        parked_at=parked_at,
        key=key[:MOST_KEY],
        value=base64.b64encode(value[:MOST_VALUE]).decode(),
        cut=len(value) > MOST_VALUE,
        version=version,
        txn=envelope.txn,
        tenant=envelope.tenant,
        gateway=envelope.gateway,
    )


def redriven(letter: DeadLetter, *, txn: str, now: int) -> ChangeCommand:
    """Return a new command that does what the parked one asked for, unless anything has overtaken it.

    It has no budget and nobody waits for it. If-Match is the version at parking, and none at all, so that it is
    refused, where the caller's own If-Match did not name that version; a create is only carried out where the id never
    existed. Raises ValueError where the command was cut or cannot be decoded.
    """
    if letter.cut:
        raise ValueError("the command was too large to be kept whole")
    try:
        command = decode_command(base64.b64decode(letter.value))
    except _UNREADABLE as error:
        raise ValueError("the command cannot be decoded") from error
    return msgspec.structs.replace(
        command,
        txn=txn,
        redrives=command.txn,
        accepted_at=now,
        budget=0,
        gateway="",
        key=msgspec.UNSET,
        if_match=msgspec.UNSET if isinstance(command.change, Create) else _if_match(command, letter.version),
    )


def _if_match(command: ChangeCommand, version: int) -> tuple[str, ...]:
    named = command.if_match is msgspec.UNSET or matches(command.if_match, version)
    return (str(version),) if named else ()
