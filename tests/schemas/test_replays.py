"""Replays: any stretch of the state log, in any pieces, comes to what the changes themselves had come to."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import batches
from schemas.changes import Change, View
from schemas.commands import ChangeCommand, Create, Delete, Replace, Verb
from schemas.decide import decide
from schemas.fingerprints import unseen_key
from schemas.numbering import NumberedChange, number
from schemas.outcomes import Outcome
from schemas.records import (
    Address,
    Answered,
    GoneRecord,
    PositionRecord,
    SeqRecord,
    UserRecord,
    decode_resource,
    encode_record,
    number_key,
    position_key,
    resource_key,
)
from schemas.replays import UnknownRecord, changes_of, fold, outcome_of_record
from schemas.transactions import StateRecord, transaction_of
from tests.schemas import golden
from tests.schemas.decided import Held, Owner, view_of, with_txns
from tests.schemas.samples import ANN, BOB, DERIVED, FINGERPRINT, HASH, NOON, TXN, body, command, outcome, patch

CEO = {"op": "replace", "path": "title", "value": "CEO"}
KEY = resource_key("default", "User", ANN)
AT_ANN = Address("default", "User", ANN)


def changed(asked: ChangeCommand, stored: bytes | None = None) -> NumberedChange:
    """Return the change of a command, given the stored record."""
    decision = decide(asked, View() if stored is None else view_of(stored))
    assert isinstance(decision, Change)
    return number(decision, partition=3, number=7, issuer="urn:scimgw")


def chain(*changes: Verb) -> list[NumberedChange]:
    """Return the changes of one resource, each on top of the one before."""
    made: list[NumberedChange] = []
    for place, change in enumerate(changes):
        asked = command(change, txn=f"txn-{place}", accepted_at=NOON + 1000 * place)
        made.append(changed(asked, made[-1].record if made else None))
    return made


def logged(*changes: NumberedChange) -> list[StateRecord]:
    """Return the state records of changes."""
    return [StateRecord(change.key, change.record) for change in changes]


ALIVE, RENAMED, GONE = chain(Create(body("ann", externalId="e-7")), Replace(body("bob", externalId="e-8")), Delete())
TOMBSTONE = StateRecord(KEY, None)


# --- fold -------------------------------------------------------------------------------------------------------------


def test_an_empty_stretch_comes_to_nothing() -> None:
    chunk = fold([])

    assert (chunk.resources, chunk.tombstones, chunk.outcomes, chunk.numbers) == ({}, (), (), {})
    assert chunk.position is None


def test_CP_14_the_last_record_of_a_resource_counts() -> None:
    chunk = fold(logged(ALIVE, RENAMED))

    assert chunk.resources.keys() == {KEY}
    latest = chunk.resources[KEY]
    assert (latest.address, latest.value) == (AT_ANN, RENAMED.record)
    assert latest.record == decode_resource(RENAMED.record)
    assert fold(logged(ALIVE, RENAMED, GONE)).resources[KEY].record == decode_resource(GONE.record)


def test_CP_8_behind_a_tombstone_nothing_is_left_of_a_resource_but_its_outcomes() -> None:
    chunk = fold([*logged(ALIVE, GONE), TOMBSTONE])

    assert (chunk.tombstones, chunk.resources) == ((AT_ANN,), {})
    assert [made.status for _, made in chunk.outcomes] == [201, 204]


def test_a_tombstone_alone_forgets_the_place() -> None:
    chunk = fold([TOMBSTONE, TOMBSTONE])

    assert (chunk.tombstones, chunk.resources) == ((AT_ANN,), {})


def test_a_record_after_a_tombstone_counts_again() -> None:
    chunk = fold([*logged(GONE), TOMBSTONE, *logged(ALIVE)])

    assert chunk.tombstones == ()
    assert chunk.resources[KEY].value == ALIVE.record


@pytest.mark.parametrize("key", [position_key(3), number_key("default"), "default/Group/g/m/u"])
def test_a_tombstone_of_what_is_no_resource_forgets_no_place(key: str) -> None:
    assert fold([StateRecord(key, None)]) == fold([])


def test_CP_6_outcomes_come_in_the_order_of_the_log() -> None:
    refused = outcome(txn="refused", status=409, version=0)
    same = outcome(txn="same", status=200, verb="patch")
    place = PositionRecord(offset=9, answered=(Answered("default", refused), Answered("other-1", same)))
    chunk = fold([*logged(ALIVE), StateRecord(position_key(3), encode_record(place)), *logged(RENAMED)])

    assert [(tenant, made.txn) for tenant, made in chunk.outcomes] == [
        ("default", "txn-0"),
        ("default", "refused"),
        ("other-1", "same"),
        ("default", "txn-1"),
    ]
    assert chunk.outcomes[1:3] == (("default", refused), ("other-1", same))


def test_CP_7_the_last_number_and_the_last_position_count() -> None:
    records = [
        *(
            StateRecord(number_key(tenant), encode_record(SeqRecord(seq=n)))
            for tenant, n in (("a", 3), ("b", 1), ("a", 4))
        ),
        *(StateRecord(position_key(3), encode_record(PositionRecord(offset=n))) for n in (7, 9)),
    ]
    chunk = fold(records)

    assert (chunk.numbers, chunk.position) == ({"a": 4, "b": 1}, 9)
    assert fold(reversed(records)).position == 7


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("default/Group/g/m/u", golden.value("record-edge-v1.json")),
        ("default/Group/g", golden.value("record-group-v1.json")),
        (KEY, golden.value("record-user-v1.json").replace(b'"v":1', b'"v":2')),
        (KEY, b'{"kind":"vault","v":1}'),
        (KEY, b"garbage"),
        (KEY, b"\xff"),
        (KEY, b""),
        (KEY, b'{"kind":"user","v":1,"doc":{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}}"),
        (KEY, b'{"kind":"seq","v":1,"\xff":1}'),
        ("seq/default", golden.value("record-user-v1.json")),
        ("position/3", golden.value("record-gone-v1.json")),
        (KEY, golden.value("record-position-v1.json")),
        (KEY, golden.value("record-seq-v1.json")),
    ],
    ids=range(13),
)
def test_a_record_that_is_not_known_stops_the_replay(key: str, value: bytes) -> None:
    with pytest.raises(UnknownRecord, match="state record") as caught:
        fold([*logged(ALIVE), StateRecord(key, value)])
    assert ANN not in str(caught.value)


# --- outcomes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "verb", "status"), [(Create(body("ann")), "create", 201), (Delete(), "delete", 204)]
)
def test_a_record_tells_the_outcome_of_its_command(change: Verb, verb: Any, status: int) -> None:
    asked = command(change, key="ab" * 16)
    made = changed(asked, None if isinstance(change, Create) else ALIVE.record)

    assert outcome_of_record(AT_ANN, decode_resource(made.record)) == Outcome(
        txn=TXN,
        status=status,
        resource_type="User",
        resource_id=ANN,
        version=made.version,
        verb=verb,
        fingerprint=FINGERPRINT,
        key="ab" * 16,
        unseen=unseen_key("okta", FINGERPRINT) if verb == "create" else None,
        gateway="gw-1",
        decided_at=NOON,
    )


@pytest.mark.parametrize("missing", ["verb", "at", "gateway"])
def test_a_record_of_an_earlier_version_tells_no_outcome(missing: str) -> None:
    record = msgspec.structs.replace(decode_resource(ALIVE.record), **{missing: msgspec.UNSET})

    assert outcome_of_record(AT_ANN, record) is None
    assert fold([StateRecord(KEY, encode_record(record))]).outcomes == ()


def test_a_create_of_nobody_known_has_an_outcome_that_nobody_asks_for_unseen() -> None:
    record = msgspec.structs.replace(decode_resource(ALIVE.record), principal=msgspec.UNSET)
    made = outcome_of_record(AT_ANN, record)

    assert made is not None
    assert made.unseen is None


# --- changes ----------------------------------------------------------------------------------------------------------


def test_a_resource_that_is_not_stored_is_put_in_whole() -> None:
    (change,) = changes_of(fold(logged(ALIVE, RENAMED)), {})

    assert (change.key, change.record, change.deleted) == (KEY, RENAMED.record, False)
    assert (change.tenant, change.resource_type, change.resource_id) == ("default", "User", ANN)
    assert (change.expected, change.version) == (0, 2)
    assert (change.created, change.modified) == (ALIVE.created, RENAMED.modified)
    assert (change.acquires, change.releases) == ((("userName", "bob"),), ())
    assert (change.adds, change.drops) == ((("externalId", "e-8"),), ())


def test_on_an_older_version_only_the_difference_of_names_and_entries_is_made() -> None:
    (change,) = changes_of(fold(logged(RENAMED)), {KEY: ALIVE.record})

    assert (change.expected, change.version) == (1, 2)
    assert (change.acquires, change.releases) == ((("userName", "bob"),), (("userName", "ann"),))
    assert (change.adds, change.drops) == ((("externalId", "e-8"),), (("externalId", "e-7"),))


def test_a_name_that_stays_is_neither_acquired_nor_released() -> None:
    titled = changed(command(patch(CEO)), ALIVE.record)
    (change,) = changes_of(fold(logged(titled)), {KEY: ALIVE.record})

    assert (change.acquires, change.releases, change.adds, change.drops) == ((), (), (), ())


def test_versions_may_be_skipped() -> None:
    (change,) = changes_of(fold(logged(GONE)), {KEY: ALIVE.record})

    assert (change.expected, change.version, change.deleted) == (1, 3, True)
    assert (change.releases, change.drops) == ((("userName", "ann"),), (("externalId", "e-7"),))
    assert (change.created, change.modified) == (GONE.modified, GONE.modified)


@pytest.mark.parametrize("stored", [RENAMED, GONE])
@pytest.mark.parametrize("record", [ALIVE, RENAMED])
def test_CP_14_what_is_stored_at_that_version_or_a_later_one_is_left_alone(
    stored: NumberedChange, record: NumberedChange
) -> None:
    assert changes_of(fold(logged(record)), {KEY: stored.record}) == ()
    assert changes_of(fold(logged(stored)), {KEY: stored.record}) == ()


def test_a_gone_resource_that_is_not_stored_keeps_its_place() -> None:
    (change,) = changes_of(fold(logged(GONE)), {})

    assert (change.deleted, change.expected, change.version) == (True, 0, 3)
    assert (change.acquires, change.releases, change.adds, change.drops) == ((), (), (), ())


def test_resources_of_several_tenants_are_told_apart() -> None:
    other = changed(command(Create(body("ann")), tenant="other-1"))
    changes = changes_of(fold(logged(ALIVE, other)), {KEY: ALIVE.record})

    assert [(change.tenant, change.key) for change in changes] == [("other-1", f"other-1/User/{ANN}")]


def test_what_a_store_is_to_hold_of_a_record_is_what_the_change_said() -> None:
    asked = command(Create(body("Ann", externalId="e-7"), password=HASH))
    made = changed(asked)
    (change,) = changes_of(fold(logged(made)), {})

    for field in ("key", "record", "deleted", "expected", "version", "created", "modified", "acquires", "adds"):
        assert getattr(change, field) == getattr(made, field)
    assert change.forget_at == made.forget_at


# --- all of it --------------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["ann", "Ann", "bob", "eve", "straße"])
BODIES = st.builds(
    lambda name, external, title: body(name, **{k: v for k, v in (("externalId", external), ("title", title)) if v}),
    NAMES,
    st.sampled_from([None, "e-7", "e-8"]),
    st.sampled_from([None, "CEO"]),
)
ASKED = st.builds(
    lambda change, uid, tenant, key: command(change, uid=uid, tenant=tenant, key=key),
    st.one_of(
        st.builds(Create, BODIES, st.sampled_from([msgspec.UNSET, HASH])),
        st.builds(Replace, BODIES),
        NAMES.map(lambda name: patch({"op": "replace", "path": "userName", "value": name})),
        st.sampled_from([patch(CEO), patch({"op": "remove", "path": "externalId"}), Delete(), Delete()]),
    ),
    st.sampled_from([ANN, BOB, DERIVED]),
    st.sampled_from(["default", "default", "other-1"]),
    st.sampled_from([msgspec.UNSET, "ab" * 16]),
)


class Written:
    """The state log of an owner that decided some commands, and what it holds then."""

    def __init__(self, commands: list[ChangeCommand], forgets: set[int]) -> None:
        self.log: list[StateRecord] = []
        self.outcomes: dict[tuple[str, str], Outcome] = {}
        self.owner = Owner()
        self.decided = 0
        self._spent: set[Address] = set()
        left = with_txns(commands)
        while left:
            batch, count = self.owner.decide(left)
            self.decided += count
            forgotten = self._forgotten() if len(left) in forgets else ()
            for address in forgotten:
                self.owner.held.forget(address)
            self._spent |= set(forgotten)
            batch = msgspec.structs.replace(batch, forgotten=forgotten)
            self.log += transaction_of(batch, partition=3, position=self.decided - 1).state
            self.outcomes |= {(tenant, made.txn): made for tenant, made in batch.outcomes}
            # An id that was forgotten never comes back: dead letters, which might, live for less than thirty days.
            left = [asked for asked in left[count:] if Address(*asked.address) not in self._spent]

    def _forgotten(self) -> tuple[Address, ...]:
        """Return the first of the deleted resources whose place may go some day."""
        gone = [key for key, record in self.owner.held.records.items() if b'"kind":"gone"' in record]
        return tuple(Address(*key.split("/")) for key in gone if DERIVED not in key)[:1]


COMMANDS = st.lists(ASKED, max_size=14)
CUTS = st.lists(st.integers(0, 60), max_size=6)
WRITTEN = st.builds(Written, COMMANDS, st.sets(st.integers(1, 14), max_size=3))


def stretches(log: list[StateRecord], cuts: list[int]) -> list[list[StateRecord]]:
    """Return the log in pieces."""
    edges = [0, *sorted(cut for cut in cuts if cut < len(log)), len(log)]
    return [log[begin:end] for begin, end in pairwise(edges)]


@given(WRITTEN, CUTS)
def test_INV_9_a_replay_in_any_pieces_comes_to_what_the_changes_came_to(written: Written, cuts: list[int]) -> None:
    rebuilt = Held()
    outcomes: dict[tuple[str, str], Outcome] = {}
    numbers: dict[str, int] = {}
    for stretch in stretches(written.log, cuts):
        chunk = rebuilt.replay(stretch)
        outcomes |= {(tenant, made.txn): made for tenant, made in chunk.outcomes}
        numbers |= chunk.numbers

    assert rebuilt.image() == written.owner.held.image()
    assert outcomes == written.outcomes
    assert numbers == written.owner.numbers


@given(WRITTEN, CUTS, CUTS)
def test_CP_14_what_was_taken_in_already_may_be_replayed_again(
    written: Written, cuts: list[int], again: list[int]
) -> None:
    rebuilt = Held()
    for stretch in stretches(written.log, cuts):
        rebuilt.replay(stretch)
    tombstoned = {record.key for record in written.log if record.value is None}
    for stretch in stretches([record for record in written.log if record.key not in tombstoned], again):
        rebuilt.replay(stretch)

    assert rebuilt.image() == written.owner.held.image()


@given(WRITTEN, st.integers(0, 60), CUTS)
def test_INV_9_a_compacted_log_comes_to_the_same(written: Written, clean: int, cuts: list[int]) -> None:
    cleaned = written.log[:clean]
    last = {record.key: place for place, record in enumerate(cleaned)}
    compacted = [record for place, record in enumerate(cleaned) if last[record.key] == place] + written.log[clean:]
    rebuilt = Held()
    for stretch in stretches(compacted, cuts):
        rebuilt.replay(stretch)

    assert rebuilt.image() == written.owner.held.image()


@given(WRITTEN)
def test_the_last_position_is_the_last_command(written: Written) -> None:
    assert fold(written.log).position == (written.decided - 1 if written.decided else None)
    assert len(written.outcomes) == written.decided


@given(ASKED, st.sampled_from([None, ALIVE, GONE]))
def test_INV_17_an_outcome_restored_from_a_record_is_the_one_that_was_given(
    asked: ChangeCommand, before: NumberedChange | None
) -> None:
    decision = decide(asked, View() if before is None else view_of(before.record))
    if isinstance(decision, Change):
        unseen = unseen_key(asked.principal, asked.fingerprint) if isinstance(asked.change, Create) else None
        record = decode_resource(number(decision, partition=3, number=1, issuer="urn:scimgw").record)

        assert isinstance(record, UserRecord | GoneRecord)
        assert outcome_of_record(Address(*asked.address), record) == batches.outcome_of(asked, decision, unseen)
