"""Numbering: what a change is to a store and a log, once it has its number."""

from __future__ import annotations

import msgspec
import pytest

from schemas import timestamps, urns
from schemas.changes import Change, View
from schemas.commands import ChangeCommand, Create, Delete, Replace, Verb
from schemas.decide import decide
from schemas.events import event_record
from schemas.numbering import NumberedChange, number
from schemas.records import GoneRecord, UserRecord, decode_image, decode_record
from tests.schemas.samples import (
    ANN,
    DERIVED,
    FINGERPRINT,
    HASH,
    MORNING,
    NOON,
    TXN,
    body,
    command,
    patch,
    stored,
    user,
    user_record,
)

AT_NOON = timestamps.text(NOON)
CREATED = timestamps.text(MORNING - 1)


def changed(asked: ChangeCommand, seen: View) -> Change:
    decision = decide(asked, seen)
    assert isinstance(decision, Change)
    return decision


def numbered(asked: ChangeCommand, seen: View) -> NumberedChange:
    return number(changed(asked, seen), partition=2, number=41, issuer="urn:scimgw")


def test_a_numbered_create_is_what_a_store_needs_to_execute_it() -> None:
    asked, seen = command(Create(body("Ann", externalId="e-7"), password=HASH), key="ab" * 16), View()
    made = numbered(asked, seen)
    record = UserRecord(
        version=1,
        seq=41,
        txn=TXN,
        fp=FINGERPRINT,
        status=201,
        created=AT_NOON,
        modified=AT_NOON,
        names={"userName": "ann"},
        doc=user("Ann", externalId="e-7"),
        password=HASH,
        verb="create",
        at=NOON,
        gateway="gw-1",
        principal="okta",
        idempotency="ab" * 16,
    )

    assert decode_record(made.record) == record
    assert made == NumberedChange(
        tenant="default",
        resource_type="User",
        resource_id=ANN,
        key=f"default/User/{ANN}",
        record=msgspec.json.encode(record),
        image=decode_image(made.record),
        deleted=False,
        expected=0,
        version=1,
        txn=TXN,
        number=41,
        created=AT_NOON,
        modified=AT_NOON,
        acquires=(("userName", "ann"),),
        releases=(),
        adds=(("externalId", "e-7"),),
        drops=(),
        event=event_record(changed(asked, seen), partition=2, number=41, issuer="urn:scimgw"),
    )


def test_a_numbered_replace_carries_names_and_index_entries_both_ways() -> None:
    before = stored(user("ann", externalId="e-7"), version=3, password=HASH)
    made = numbered(command(Replace(body("bob", externalId="e-8"))), View(resource=before))
    record = user_record(made.record)

    assert (made.expected, made.version, made.deleted) == (3, 4, False)
    assert (made.created, made.modified, made.txn) == (CREATED, AT_NOON, TXN)
    assert (made.acquires, made.releases) == ((("userName", "bob"),), (("userName", "ann"),))
    assert (made.adds, made.drops) == ((("externalId", "e-8"),), (("externalId", "e-7"),))
    assert (record.status, record.created, record.modified, record.password) == (200, CREATED, AT_NOON, HASH)


def test_R5_a_record_holds_a_password_beside_the_resource_or_none_at_all() -> None:
    assert "password" not in user_record(numbered(command(Create(body(), password=HASH)), View()).record).doc
    assert b"password" not in numbered(command(Create(body())), View()).record


@pytest.mark.parametrize(
    ("uid", "derived"), [(ANN, msgspec.UNSET), (DERIVED, True), ("8", msgspec.UNSET), ("8" * 14, msgspec.UNSET)]
)
def test_CP_8_a_delete_leaves_a_small_record_that_tells_whether_the_id_came_from_a_key(
    uid: str, derived: bool | msgspec.UnsetType
) -> None:
    before = stored(user("Ann", uid, externalId="e-7", title="secret"), version=3, password=HASH)
    made = numbered(command(Delete(), uid=uid), View(resource=before))

    assert decode_record(made.record) == GoneRecord(
        version=4,
        seq=41,
        txn=TXN,
        fp=FINGERPRINT,
        status=204,
        modified=AT_NOON,
        derived=derived,
        verb="delete",
        at=NOON,
        gateway="gw-1",
        principal="okta",
    )
    assert (made.deleted, made.expected, made.version, made.number) == (True, 3, 4, 41)
    assert (made.releases, made.drops) == ((("userName", "ann"),), (("externalId", "e-7"),))
    for personal in (b"Ann", b"ann", b"e-7", b"secret", HASH.encode()):
        assert personal not in made.record


@pytest.mark.parametrize(
    ("change", "verb"), [(Replace(body("bob")), "replace"), (patch({"op": "remove", "path": "title"}), "patch")]
)
def test_a_record_tells_of_the_request_that_made_it(change: Verb, verb: str) -> None:
    asked = command(change, accepted_at=NOON + 1, gateway="", principal="entra", key="cd" * 16)
    record = user_record(numbered(asked, View(resource=stored(user(title="x"), version=3))).record)

    assert (record.verb, record.at, record.gateway) == (verb, NOON + 1, "")
    assert (record.principal, record.idempotency) == ("entra", "cd" * 16)


def test_a_record_without_an_idempotency_key_names_none() -> None:
    for made in (
        numbered(command(Create(body())), View()),
        numbered(command(Delete()), View(resource=stored(user()))),
    ):
        assert b"idempotency" not in made.record


def test_CP_8_the_place_of_a_deleted_resource_is_kept_for_thirty_days_that_of_a_derived_id_for_good() -> None:
    gone = numbered(command(Delete()), View(resource=stored(user())))
    spent = numbered(command(Delete(), uid=DERIVED), View(resource=stored(user("ann", DERIVED))))

    assert gone.forget_at == NOON + 30 * 24 * 3600 * 1000
    assert spent.forget_at is None


def test_a_record_without_a_known_schema_keeps_what_was_sent() -> None:
    urn = "urn:example:badge:1.0:User"
    badge: dict[str, object] = {"number": 7, "colour": None, "doors": []}
    sent = {**body(), "schemas": [urns.USER, urn], urn: badge}

    assert user_record(numbered(command(Create(sent)), View()).record).doc[urn] == badge
