"""Answers as they travel from the owner of a partition to the gateway that waits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, assert_never

import msgspec

from consumers.ports import Reply
from consumers.submission import Busy, Expired, Failed, OutcomeUnknown, SubmissionError
from schemas.outcomes import Outcome
from schemas.records import ResourceImage


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


def encode_replies(replies: Sequence[SentReply]) -> bytes:
    """Return answers as one entry of a gateway's stream."""
    return _encoder.encode(replies)


def decode_replies(value: bytes) -> tuple[SentReply, ...]:
    """Read an entry; raises msgspec.DecodeError."""
    return _decoder.decode(value)
