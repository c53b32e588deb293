"""Transactions: what one of them writes, and in which order."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.commands import ChangeCommand, Create, Delete, Replace
from schemas.dead_letters import decode_dead_letter, parked
from schemas.numbering import Batch
from schemas.records import Address, PositionRecord, SeqRecord, decode_record, position_key
from schemas.transactions import StateRecord, Transaction, transaction_of
from tests.schemas.decided import Owner, with_txns
from tests.schemas.samples import ANN, BOB, DERIVED, body, command, outcome, patch

CEO = {"op": "replace", "path": "title", "value": "CEO"}
NOTHING = Batch(changes=(), outcomes=(), numbers={})


def decided(commands: Sequence[ChangeCommand], owner: Owner | None = None) -> Batch:
    """Return the batch that commands come to; all must fit into it."""
    batch, count = (owner or Owner()).decide(commands)
    assert count == len(commands)
    return batch


def owner_of_ann() -> Owner:
    """Return an owner that holds Ann."""
    owner = Owner()
    owner.decide([command(Create(body("ann", externalId="e-7")), txn="first")])
    return owner


def place_of(transaction: Transaction) -> PositionRecord:
    """Return the position record, which must come last."""
    last = transaction.state[-1]
    assert last.value is not None
    record = decode_record(last.value)
    assert isinstance(record, PositionRecord)
    assert last.key == position_key(3)
    return record


def test_CP_6_CP_7_changes_come_first_then_numbers_and_the_position_last() -> None:
    owner = owner_of_ann()
    commands = with_txns(
        [
            command(patch(CEO)),
            command(Create(body("bob")), uid=BOB, tenant="other-1"),
            command(Create(body("eve")), uid=BOB),
        ]
    )
    batch = decided(commands, owner)
    made = transaction_of(batch, partition=3, position=4711)

    assert [record.key for record in made.state] == [
        f"default/User/{ANN}",
        f"other-1/User/{BOB}",
        f"default/User/{BOB}",
        "seq/default",
        "seq/other-1",
        "position/3",
    ]
    assert [record.value for record in made.state[:3]] == [change.record for change in batch.changes]
    numbers = [decode_record(record.value) for record in made.state[3:5] if record.value is not None]
    assert numbers == [SeqRecord(seq=3), SeqRecord(seq=1)]
    assert place_of(made) == PositionRecord(offset=4711, answered=())
    assert made.events == tuple(change.event for change in batch.changes)
    assert made.dead == ()


def test_CP_6_the_position_tells_the_outcomes_of_commands_that_left_no_record() -> None:
    commands = with_txns(
        [
            command(patch(CEO)),
            command(patch(CEO)),
            command(Delete(), uid=BOB),
            command(Replace(body("ann", externalId="e-7", title="CEO"))),
            command(Create(body("ann")), uid=DERIVED),
        ]
    )
    batch = decided(commands, owner_of_ann())
    place = place_of(transaction_of(batch, partition=3, position=9))

    assert [(answered.tenant, answered.outcome) for answered in place.answered] == list(batch.outcomes[1:])
    assert [answered.outcome.txn for answered in place.answered] == ["txn-1", "txn-2", "txn-3", "txn-4"]
    # The no-ops have changed nothing, although the change before them is of the same resource.
    assert [answered.outcome.status for answered in place.answered] == [200, 404, 200, 409]
    assert [answered.outcome.version for answered in place.answered] == [2, 0, 2, 0]


def test_a_change_of_one_tenant_does_not_hide_a_refusal_of_another_under_the_same_txn() -> None:
    batch = decided([command(Create(body())), command(Delete(), tenant="other-1")])
    place = place_of(transaction_of(batch, partition=3, position=9))

    assert [(answered.tenant, answered.outcome.status) for answered in place.answered] == [("other-1", 404)]


def test_a_deleted_resource_leaves_its_small_record_and_its_event() -> None:
    made = transaction_of(decided([command(Delete())], owner_of_ann()), partition=3, position=9)

    assert made.state[0].value is not None
    assert b'"kind":"gone"' in made.state[0].value
    assert len(made.events) == 1


def test_CP_8_a_forgotten_place_leaves_a_tombstone() -> None:
    gone = Batch(changes=(), outcomes=(), numbers={}, forgotten=(Address("default", "User", ANN),))
    made = transaction_of(gone, partition=3, position=9)

    assert made.state[0] == StateRecord(f"default/User/{ANN}", None)
    assert place_of(made).offset == 9
    assert (len(made.state), made.events) == (2, ())


def test_nothing_decided_writes_the_position_alone() -> None:
    made = transaction_of(NOTHING, partition=3, position=-1)

    assert place_of(made) == PositionRecord(offset=-1)
    assert (len(made.state), made.events, made.dead) == (1, (), ())


def test_CP_26_a_dead_letter_goes_out_with_position_and_outcome() -> None:
    letter = parked(key="default/x", value=b"garbage", why="it cannot be decoded", partition=3, offset=9, parked_at=5)
    failed = ("default", outcome(status=500, version=0))
    made = transaction_of(Batch(changes=(), outcomes=(failed,), numbers={}), partition=3, position=9, dead=(letter,))

    ((key, value),) = made.dead
    assert (key, decode_dead_letter(value)) == ("default/x", letter)
    assert [(answered.tenant, answered.outcome) for answered in place_of(made).answered] == [failed]


def test_the_batch_of_a_chain_keeps_every_version() -> None:
    asked = with_txns([command(patch(CEO)), command(patch({"op": "remove", "path": "title"})), command(Delete())])
    batch = decided(asked, owner_of_ann())

    assert [change.version for change in batch.changes] == [2, 3, 4]
    assert len(transaction_of(batch, partition=3, position=9).state) == 5
