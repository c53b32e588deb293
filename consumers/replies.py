"""Answers as they travel from the owner of a partition to the gateway that waits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, assert_never

import msgspec

from consumers.partition_ports import Addressed
from consumers.ports import Reply
from consumers.submission import Busy, Expired, Failed, OutcomeUnknown, SubmissionError
from schemas.outcomes import Outcome
from schemas.records import ResourceImage

MOST_ENTRY_BYTES: Final = 128 * 1024
_LEAST_BYTES: Final = 512
"""What an answer comes to without its resource, roughly."""


class SentReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """One answer; exactly one of ``outcome`` and ``trouble`` is there."""

    txn: str
    outcome: Outcome | None = None
    image: ResourceImage | None = None
    replayed: bool = False
    trouble: Literal["busy", "expired", "failed", "unknown"] | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(tuple[SentReply, ...])


def sent(txn: str, answer: Reply | SubmissionError) -> SentReply:
    """Return an answer in the form in which it travels."""
    match answer:
        case Reply(outcome=outcome, image=image, replayed=replayed):
            return SentReply(txn, outcome, image, replayed)
        case Busy():
            return SentReply(txn, trouble="busy")
        case Expired():
            return SentReply(txn, trouble="expired")
        case Failed():
            return SentReply(txn, trouble="failed")
        case _:
            return SentReply(txn, trouble="unknown")


def received(reply: SentReply) -> Reply | SubmissionError:
    """Return the answer that travelled as this."""
    if reply.outcome is not None:
        return Reply(reply.outcome, reply.image, reply.replayed)
    match reply.trouble:
        case "busy":
            return Busy(reply.txn)
        case "expired":
            return Expired(reply.txn)
        case "failed":
            return Failed(reply.txn)
        case "unknown" | None:
            return OutcomeUnknown(reply.txn)
        case _:
            assert_never(reply.trouble)


def entries(replies: Sequence[Addressed]) -> list[tuple[str, bytes]]:
    """Return answers as entries of the gateways' streams, each with its gateway, in their order; none too large.

    Streams of large users would fill the store: of those a gateway gets the outcome, and reads them where they are.
    """
    gathered: list[tuple[str, list[SentReply]]] = []
    open_entries: dict[str, tuple[list[SentReply], int]] = {}
    for reply in replies:
        answer = sent(reply.txn, reply.answer)
        size = _LEAST_BYTES if answer.image is None else _LEAST_BYTES + len(memoryview(answer.image.doc))
        if size > MOST_ENTRY_BYTES:
            answer, size = msgspec.structs.replace(answer, image=None), _LEAST_BYTES
        entry, bytes_before = open_entries.get(reply.gateway, ([], MOST_ENTRY_BYTES))
        if bytes_before + size > MOST_ENTRY_BYTES:
            entry, bytes_before = [], 0
            gathered.append((reply.gateway, entry))
        entry.append(answer)
        open_entries[reply.gateway] = entry, bytes_before + size
    return [(gateway, encode_replies(entry)) for gateway, entry in gathered]


def encode_replies(replies: Sequence[SentReply]) -> bytes:
    """Return answers as one entry of a gateway's stream."""
    return _encoder.encode(replies)


def decode_replies(value: bytes) -> tuple[SentReply, ...]:
    """Read an entry; raises msgspec.DecodeError."""
    return _decoder.decode(value)
