"""Replies: every answer arrives as it was sent."""

from __future__ import annotations

import json

import msgspec
import pytest

from consumers.ports import Reply
from consumers.replies import SentReply, decode_replies, encode_replies, received, sent
from consumers.submission import Busy, Expired, Failed, OutcomeUnknown, SubmissionError
from schemas.outcomes import Outcome, Refusal
from schemas.records import ResourceImage

OUTCOME = Outcome(
    txn="t-1",
    status=200,
    resource_type="User",
    resource_id="u-1",
    version=3,
    verb="patch",
    fingerprint="f",
    gateway="gw-1",
    decided_at=5,
)
REFUSED = msgspec.structs.replace(
    OUTCOME, status=409, version=0, error=Refusal(409, "userName is in use", "uniqueness"), key="k"
)
DOC = b'{"userName":"Zo\xc3\xab","x":[null,1.50]}'
IMAGE = ResourceImage(kind="user", v=1, version=3, created="c", modified="m", doc=msgspec.Raw(DOC))
REPLIES = [Reply(OUTCOME, IMAGE), Reply(OUTCOME), Reply(OUTCOME, replayed=True), Reply(REFUSED)]
TROUBLES = [Busy, Expired, Failed, OutcomeUnknown]


def travelled(answer: Reply | SubmissionError) -> Reply | SubmissionError:
    """Return the answer as it arrives."""
    (reply,) = decode_replies(encode_replies([sent("t-1", answer)]))
    assert reply.txn == "t-1"
    return received(reply)


@pytest.mark.parametrize("reply", REPLIES, ids=["image", "no image", "replayed", "refused"])
def test_a_reply_arrives_as_it_was_sent(reply: Reply) -> None:
    assert travelled(reply) == reply


def test_a_resource_arrives_byte_for_byte() -> None:
    arrived = travelled(Reply(OUTCOME, IMAGE))

    assert isinstance(arrived, Reply)
    assert arrived.image is not None
    assert bytes(arrived.image.doc) == DOC


@pytest.mark.parametrize("kind", TROUBLES)
def test_every_trouble_arrives_as_itself(kind: type[SubmissionError]) -> None:
    arrived = travelled(kind("t-1"))

    assert isinstance(arrived, SubmissionError)
    assert type(arrived) is kind
    assert arrived.txn == "t-1"


def test_a_trouble_that_is_none_of_these_arrives_as_an_unknown_outcome() -> None:
    assert type(travelled(SubmissionError("t-1"))) is OutcomeUnknown
    assert type(received(SentReply("t-1"))) is OutcomeUnknown


def test_an_answer_carries_its_own_txn_also_when_the_outcome_is_of_an_earlier_command() -> None:
    reply = sent("t-2", Reply(OUTCOME, replayed=True))

    assert reply.txn == "t-2"
    assert received(reply) == Reply(OUTCOME, replayed=True)


def test_several_answers_go_together_and_stay_in_order() -> None:
    replies = [sent("t-1", REPLIES[0]), sent("t-2", Busy("t-2")), sent("t-3", REPLIES[3])]

    assert decode_replies(encode_replies(replies)) == tuple(replies)
    assert decode_replies(encode_replies([])) == ()


def test_what_is_absent_takes_no_room() -> None:
    assert json.loads(encode_replies([sent("t-1", Expired("t-1"))])) == [{"txn": "t-1", "trouble": "expired"}]


@pytest.mark.parametrize("value", [b"", b"{}", b'[{"txn":1}]', b'[{"txn":"t","trouble":"bored"}]'])
def test_what_is_no_entry_is_refused(value: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_replies(value)
