"""Dead letters: what is parked, what may still be read of it, and what a redrive does."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest

from schemas import dead_letters
from schemas.changes import Change, View
from schemas.commands import Create, Delete, Patch, Replace, Verb, decode_command, encode_command
from schemas.dead_letters import (
    MOST_KEY,
    MOST_NAME,
    DeadLetter,
    Envelope,
    decode_dead_letter,
    encode_dead_letter,
    envelope_of,
    parked,
    redriven,
)
from schemas.decide import decide
from schemas.outcomes import Refusal
from tests.schemas import golden
from tests.schemas.samples import ANN, FINGERPRINT, NOON, TXN, body, command, patch, user, view

NEW_TXN = "0199c1a2-b3c9-7102-8304-05060708090f"
CEO = {"op": "replace", "path": "title", "value": "CEO"}
VERBS: list[Verb] = [Create(body()), Replace(body()), patch(CEO), Delete()]
LATER = NOON + 3_600_000
DEEP = b"[" * 100_000 + b"]" * 100_000


def letter_of(value: bytes, *, version: int = 0) -> DeadLetter:
    """Return the letter about a value that stands at offset 7 of partition 3."""
    key = f"default/{ANN}"
    return parked(key=key, value=value, why="KeyError", partition=3, offset=7, parked_at=LATER, version=version)


def again(change: Verb, *, version: int = 0, **fields: Any) -> Any:
    """Return the redriven command of a change that was parked at a version."""
    return redriven(letter_of(encode_command(command(change, **fields)), version=version), txn=NEW_TXN, now=LATER)


def status_of(change: Verb, version: int, seen: View, **fields: Any) -> int:
    """Return how a redriven command is decided."""
    decision = decide(again(change, version=version, **fields), seen)
    assert isinstance(decision, Change | Refusal)
    return decision.status


# --- the letter -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", golden.names("dead"))
def test_a_golden_letter_is_read_and_written_again_byte_for_byte(name: str) -> None:
    value = golden.value(name)

    assert encode_dead_letter(decode_dead_letter(value)) == value


@pytest.mark.parametrize("name", golden.names("dead"))
def test_members_that_a_reader_does_not_know_are_ignored(name: str) -> None:
    value = json.loads(golden.value(name)) | {"addedLater": 1}

    assert decode_dead_letter(json.dumps(value).encode()) == decode_dead_letter(golden.value(name))


@pytest.mark.parametrize("change", [{"v": 2}, {"v": "1"}, {"why": None}])
def test_a_number_that_a_reader_does_not_know_stops_it(change: dict[str, object]) -> None:
    value = json.loads(golden.value("dead-letter-v1.json")) | change

    with pytest.raises(msgspec.ValidationError):
        decode_dead_letter(json.dumps(value).encode())


def test_the_golden_letter_can_be_redriven() -> None:
    letter = decode_dead_letter(golden.value("dead-letter-v1.json"))

    assert redriven(letter, txn=NEW_TXN, now=LATER).redrives == TXN


def test_a_letter_tells_where_the_command_stands_and_whose_it_is() -> None:
    value = encode_command(command(patch(CEO)))

    assert letter_of(value, version=5) == DeadLetter(
        why="KeyError",
        partition=3,
        offset=7,
        parked_at=LATER,
        key=f"default/{ANN}",
        value=base64.b64encode(value).decode(),
        cut=False,
        version=5,
        txn=TXN,
        tenant="default",
        gateway="gw-1",
    )


@pytest.mark.parametrize("value", [b"", b"\xff\x00garbage", b'"text"', DEEP])
def test_INV_18_whatever_stood_in_the_topic_is_kept_as_it_was(value: bytes) -> None:
    letter = decode_dead_letter(encode_dead_letter(letter_of(value)))

    assert base64.b64decode(letter.value) == value
    assert (letter.txn, letter.tenant, letter.gateway, letter.cut) == (None, None, None, False)


def test_CP_26_a_long_value_is_cut_to_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    value = encode_command(command(Delete()))
    monkeypatch.setattr(dead_letters, "MOST_VALUE", len(value))
    assert not letter_of(value).cut
    monkeypatch.setattr(dead_letters, "MOST_VALUE", len(value) - 1)
    letter = letter_of(value)

    assert letter.cut
    assert base64.b64decode(letter.value) == value[:-1]
    assert (letter.txn, letter.tenant, letter.gateway) == (TXN, "default", "gw-1"), "read before it was cut"


def test_the_longest_letter_fits_into_a_record_and_the_longest_command_into_a_letter() -> None:
    longest = encode_dead_letter(letter_of(b"x" * (dead_letters.MOST_VALUE + 1)))

    assert len(longest) < 3 * 1024 * 1024 < 4 * 1024 * 1024
    assert len(encode_command(command(Replace(body(title="x" * 1024 * 1024))))) < dead_letters.MOST_VALUE


# --- the envelope -----------------------------------------------------------------------------------------------------


def test_the_envelope_of_a_command_says_whom_to_answer() -> None:
    known = Envelope(TXN, "default", "gw-1", "User", ANN, FINGERPRINT, NOON)

    assert envelope_of(encode_command(command(Delete()))) == known
    assert envelope_of(encode_command(command(Delete())).replace(b'"v":1', b'"v":2')) == known
    assert envelope_of(encode_command(command(Delete())).replace(b'"delete"', b'"merge"')) == known


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"garbage",
        b"[]",
        b"null",
        b'{"txn":"a"',
        b'{"txn":"\\ud800"}',
        b'{"\xff":1}',
        b'{"txn":"\xff","tenant":null,"gateway":7}',
        DEEP,
        b'{"txn":"a","change":' + DEEP + b"}",
    ],
    ids=range(10),
)
def test_INV_18_the_envelope_of_garbage_is_empty(value: bytes) -> None:
    assert envelope_of(value) == Envelope()


def test_a_member_of_a_wrong_type_does_not_hide_the_others() -> None:
    value = b'{"txn":"t","tenant":"acme","gateway":"gw-1","accepted_at":"noon","resource_id":[],"fingerprint":"\xff"}'

    assert envelope_of(value) == Envelope("t", "acme", "gw-1")


# --- the redrive ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", VERBS)
def test_a_redrive_is_a_new_command_that_names_the_old_and_that_nobody_waits_for(change: Verb) -> None:
    asked = command(change, key="ab" * 16, traceparent="00-1")
    made = redriven(letter_of(encode_command(asked), version=5), txn=NEW_TXN, now=LATER)

    assert (made.txn, made.redrives, made.accepted_at) == (NEW_TXN, TXN, LATER)
    assert (made.budget, made.gateway, made.key) == (0, "", msgspec.UNSET)
    assert (made.address, made.change) == (asked.address, asked.change)
    assert (made.principal, made.fingerprint, made.traceparent) == (asked.principal, FINGERPRINT, "00-1")
    assert decode_command(encode_command(made)) == made


def test_a_redrive_of_a_redrive_names_the_last_one() -> None:
    assert again(Delete(), txn="second", redrives="first").redrives == "second"


@pytest.mark.parametrize("change", VERBS[1:])
def test_a_redrive_can_overtake_nothing(change: Verb) -> None:
    assert again(change, version=5).if_match == ("5",)
    assert status_of(change, 5, view(user(title="CFO"), version=5)) in {200, 204}
    assert status_of(change, 5, view(user(title="CFO"), version=6)) == 412
    assert status_of(change, 5, View(gone=True)) == 404


@pytest.mark.parametrize("change", VERBS[1:])
def test_a_redrive_of_what_was_parked_without_a_resource_changes_none(change: Verb) -> None:
    assert status_of(change, 0, View()) == 404
    assert status_of(change, 0, view(user(), version=1)) == 412


@pytest.mark.parametrize("named", [("*",), ("5",), ("4", "5")])
def test_a_redrive_is_bound_to_the_version_that_the_callers_if_match_named_too(named: tuple[str, ...]) -> None:
    assert again(patch(CEO), version=5, if_match=named).if_match == ("5",)


@pytest.mark.parametrize("named", [("4",), ("6",), ('"*"',)])
@pytest.mark.parametrize("version", [4, 5, 6])
def test_a_redrive_never_does_what_the_callers_if_match_forbade(named: tuple[str, ...], version: int) -> None:
    # At version 5, when it was parked, it would have been refused.
    assert status_of(patch(CEO), 5, view(user(), version=version), if_match=named) == 412


def test_CP_8_a_create_is_redriven_only_where_the_id_never_existed() -> None:
    assert again(Create(body())).if_match is msgspec.UNSET
    assert status_of(Create(body()), 0, View()) == 201
    assert status_of(Create(body()), 0, View(gone=True)) == 422
    assert status_of(Create(body()), 0, view(user(), version=1)) == 422


def test_a_letter_that_was_cut_is_not_redriven(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "MOST_VALUE", 10)

    with pytest.raises(ValueError, match="too large to be kept whole"):
        again(Delete())


@pytest.mark.parametrize(
    "value",
    [b"", b"garbage", b"\xff", b'{"txn":"\xff"}', b'{"v":2}', b'{"txn":"a","body":' + DEEP + b"}"],
    ids=range(6),
)
def test_what_cannot_be_decoded_is_not_redriven(value: bytes) -> None:
    with pytest.raises(ValueError, match="cannot be decoded"):
        redriven(letter_of(value), txn=NEW_TXN, now=LATER)


def test_a_redriven_patch_keeps_its_operations() -> None:
    made = again(patch(CEO, password=None), version=1)

    assert isinstance(made.change, Patch)
    assert made.change == patch(CEO, password=None)


def test_names_and_keys_that_no_gateway_makes_are_left_out_so_that_the_letter_fits() -> None:
    long = "x" * (MOST_NAME + 1)
    value = msgspec.json.encode({"txn": "t-1", "tenant": long, "gateway": "g" * MOST_NAME, "accepted_at": 5})

    assert envelope_of(value) == Envelope(txn="t-1", gateway="g" * MOST_NAME, accepted_at=5)
    letter = parked(key="k" * 5000, value=value, why="it is junk", partition=0, offset=1, parked_at=2)
    assert (letter.tenant, len(letter.key)) == (None, MOST_KEY)
