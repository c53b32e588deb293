"""Events: what subscribers see, held against the schema they are given and against the CloudEvents library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import msgspec
import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from hypothesis import given

from schemas import timestamps, urns
from schemas.changes import Change, View
from schemas.commands import ChangeCommand, Create, Delete, Replace, Verb
from schemas.decide import decide
from schemas.events import EventRecord, event_record
from schemas.numbering import number
from tests.schemas import golden
from tests.schemas.samples import ANN, HASH, NOON, body, command, patch, stored, user, view
from tests.schemas.strategies import COMMANDS, VIEWS

DEPLOYED: Final = Path(__file__).parent.parent.parent / "deploy" / "events"
ISSUER: Final = "https://scim.example.com"
TRACEPARENT: Final = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
VALUE = jsonschema_rs.Draft202012Validator(json.loads((DEPLOYED / "event.schema.json").read_text()))
HEADERS = jsonschema_rs.Draft202012Validator(json.loads((DEPLOYED / "headers.schema.json").read_text()))


def emitted(asked: ChangeCommand, seen: View, seq: int = 41) -> EventRecord:
    decision = decide(asked, seen)
    assert isinstance(decision, Change)
    return event_record(decision, partition=2, number=seq, issuer=ISSUER)


def value(asked: ChangeCommand, seen: View) -> dict[str, Any]:
    record = emitted(asked, seen)
    found: dict[str, Any] = msgspec.json.decode(record.value)
    VALUE.validate(found)
    HEADERS.validate(dict(record.headers))
    return found


# --- the claims -------------------------------------------------------------------------------------------------------


def test_a_create_is_told_with_the_whole_resource() -> None:
    sent = body("Ann", externalId="e-7", active=True)

    assert value(command(Create(sent, password=HASH)), View()) == {
        "iss": ISSUER,
        "iat": NOON // 1000,
        "jti": f"{ANN}:1",
        "txn": command(Delete()).txn,
        "seq": "2:41",
        "sub_id": {"format": "scim", "uri": f"/Users/{ANN}", "externalId": "e-7", "id": ANN},
        "events": {
            "urn:ietf:params:scim:event:prov:create:full": {
                "version": 'W/"1"',
                "data": user("Ann", externalId="e-7", active=True),
            }
        },
    }


def test_V4_a_put_is_told_as_its_body_and_with_the_resource_after_it() -> None:
    asked = command(Replace(body("bob", active=True), keeps=("title",)))
    told = value(asked, view(user("ann", title="CTO", active=True), version=3))

    assert told["events"] == {
        "urn:ietf:params:scim:event:prov:put:full": {"version": 'W/"4"', "data": body("bob", active=True)}
    }
    assert told["after"] == user("bob", active=True, title="CTO")
    assert told["jti"] == f"{ANN}:4"


def test_V4_a_patch_is_told_as_a_patch_op_and_with_the_resource_after_it() -> None:
    operations = ({"op": "replace", "path": "title", "value": "CEO"}, {"op": "remove", "path": "active"})
    told = value(command(patch(*operations)), view(user(title="CTO", active=True), version=3))

    assert told["events"] == {
        "urn:ietf:params:scim:event:prov:patch:full": {
            "version": 'W/"4"',
            "data": {"schemas": [urns.PATCH_OP], "Operations": list(operations)},
        }
    }
    assert told["after"] == user(title="CEO")


def test_a_delete_is_told_without_personal_attributes() -> None:
    told = value(command(Delete()), view(user("Ann", externalId="e-7", title="CTO"), version=3))

    assert told["events"] == {"urn:ietf:params:scim:event:prov:delete": {}}
    assert "after" not in told
    assert told["jti"] == f"{ANN}:4"
    # "externalId, if known" (RFC 9967 section 2.1): a receiver may know the resource by no other name.
    assert told["sub_id"] == {"format": "scim", "uri": f"/Users/{ANN}", "externalId": "e-7", "id": ANN}


def test_an_external_id_that_is_not_known_is_not_told() -> None:
    for told in (value(command(Create(body())), View()), value(command(Delete()), view(user()))):
        assert told["sub_id"] == {"format": "scim", "uri": f"/Users/{ANN}", "id": ANN}


def test_the_external_id_that_is_told_is_the_new_one() -> None:
    put = value(command(Replace(body(externalId="e-8"))), view(user(externalId="e-7")))
    removed = value(command(patch({"op": "remove", "path": "externalId"})), view(user(externalId="e-7")))

    assert put["sub_id"]["externalId"] == "e-8"
    assert "externalId" not in removed["sub_id"]


@pytest.mark.parametrize(("active", "urn"), [(True, "prov:activate"), (False, "prov:deactivate")])
def test_V5_a_flip_of_active_is_told_beside_the_change_that_made_it(active: bool, urn: str) -> None:
    seen = view(user(active=not active))
    put = value(command(Replace(body(active=active))), seen)
    patched = value(command(patch({"op": "replace", "path": "active", "value": active})), seen)

    assert list(put["events"]) == ["urn:ietf:params:scim:event:prov:put:full", f"urn:ietf:params:scim:event:{urn}"]
    assert list(patched["events"]) == [
        "urn:ietf:params:scim:event:prov:patch:full",
        f"urn:ietf:params:scim:event:{urn}",
    ]
    assert put["events"][f"urn:ietf:params:scim:event:{urn}"] == {}


def test_V5_a_user_created_active_or_deleted_is_no_flip() -> None:
    assert len(value(command(Create(body(active=True))), View())["events"]) == 1
    assert len(value(command(Delete()), view(user(active=True)))["events"]) == 1


def test_a_change_of_the_password_alone_is_told_without_it() -> None:
    told = value(command(patch(password=HASH)), View(resource=stored(user())))

    assert told["events"]["urn:ietf:params:scim:event:prov:patch:full"]["data"]["Operations"] == []
    assert told["after"] == user()


def test_a_time_between_two_seconds_counts_for_the_one_that_is_over() -> None:
    for accepted_at, iat in ((NOON - 7, NOON // 1000), (NOON + 992, NOON // 1000), (NOON + 993, NOON // 1000 + 1)):
        assert value(command(Create(body()), accepted_at=accepted_at), View())["iat"] == iat


def test_iat_follows_last_modified_where_a_clock_goes_back() -> None:
    seen = view(user())
    assert seen.resource is not None

    told = value(command(Delete(), accepted_at=5), seen)
    assert told["iat"] == timestamps.milliseconds(seen.resource.modified) // 1000


# --- key and headers --------------------------------------------------------------------------------------------------


def test_headers_are_those_of_a_cloud_event_in_binary_mode() -> None:
    record = emitted(command(Create(body()), traceparent=TRACEPARENT), View())

    assert (record.tenant, record.key) == ("default", f"default/{ANN}")
    assert record.headers == (
        ("content-type", "application/json"),
        ("ce_specversion", "1.0"),
        ("ce_id", f"{ANN}:1"),
        ("ce_source", f"{ISSUER}/default"),
        ("ce_type", "urn:ietf:params:scim:event:prov:create:full"),
        ("ce_time", "2026-11-21T12:00:00.007Z"),
        ("ce_subject", f"/Users/{ANN}"),
        ("ce_sequence", "41"),
        ("ce_resourceversion", "1"),
        ("ce_tenant", "default"),
        ("traceparent", TRACEPARENT),
    )


def test_traceparent_stands_in_the_headers_only_where_the_request_brought_one() -> None:
    assert "traceparent" not in dict(emitted(command(Create(body())), View()).headers)


def test_the_issuer_where_none_is_set_is_a_urn() -> None:
    assert urns.DEFAULT_ISSUER == "urn:scimgw"


@given(COMMANDS, VIEWS)
def test_whatever_is_emitted_is_what_the_schema_promises(asked: ChangeCommand, seen: View) -> None:
    decision = decide(asked, seen)
    if not isinstance(decision, Change):
        return
    record = number(decision, partition=0, number=7, issuer=urns.DEFAULT_ISSUER).event
    told, headers = msgspec.json.decode(record.value), dict(record.headers)

    VALUE.validate(told)
    HEADERS.validate(headers)
    assert len(headers) == len(record.headers)
    assert told["jti"] == headers["ce_id"] == f"{asked.resource_id}:{decision.version}"
    assert told["seq"] == f"0:{headers['ce_sequence']}" == "0:7"
    assert headers["ce_resourceversion"] == str(decision.version)
    assert headers["ce_type"] == next(iter(told["events"]))
    assert headers["ce_source"] == f"{told['iss']}/{asked.tenant}"
    assert headers["ce_subject"] == told["sub_id"]["uri"]
    assert record.key == f"{asked.tenant}/{asked.resource_id}"
    if "after" in told:
        assert told["after"] == decision.doc
    # INV-22: the hashes stand in the command and in the record, never here.
    assert HASH.encode() not in record.value


@given(COMMANDS, VIEWS)
def test_the_cloud_events_library_reads_every_event(asked: ChangeCommand, seen: View) -> None:
    decision = decide(asked, seen)
    if not isinstance(decision, Change):
        return
    record = event_record(decision, partition=0, number=7, issuer=ISSUER)
    message = KafkaMessage(
        headers={name: text.encode() for name, text in record.headers}, key=record.key.encode(), value=record.value
    )
    event = from_binary(message, JSONFormat())
    told, time = msgspec.json.decode(record.value), event.get_time()

    assert event.get_data() == told
    assert time is not None
    assert (event.get_id(), event.get_source()) == (told["jti"], f"{ISSUER}/{asked.tenant}")
    assert (event.get_subject(), event.get_type()) == (told["sub_id"]["uri"], next(iter(told["events"])))
    assert int(time.timestamp()) == told["iat"]
    assert (event.get_extension("sequence"), event.get_extension("tenant")) == ("7", asked.tenant)


# --- the schema -------------------------------------------------------------------------------------------------------


def _without(event: dict[str, Any], claim: str) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name != claim}


PUT: Final = value(command(Replace(body(active=False))), view(user(active=True, externalId="e-7")))
PUT_URN: Final = "urn:ietf:params:scim:event:prov:put:full"


@pytest.mark.parametrize("claim", ["iss", "iat", "jti", "txn", "seq", "sub_id", "events", "after"])
def test_the_schema_misses_every_claim_that_is_promised(claim: str) -> None:
    assert VALUE.is_valid(PUT)
    assert not VALUE.is_valid(_without(PUT, claim))


@pytest.mark.parametrize(
    "change",
    [
        {"iat": "1795262400"},
        {"jti": ANN},
        {"jti": f"{ANN}:0"},
        {"seq": "0:0"},
        {"seq": 41},
        {"sub": ANN},
        {"password": "x"},
        {"sub_id": {"format": "scim", "uri": f"/Users/{ANN}"}},
        {"sub_id": {"format": "opaque", "uri": f"/Users/{ANN}", "id": ANN}},
        {"events": {}},
        {"events": {PUT_URN: PUT["events"][PUT_URN], "urn:ietf:params:scim:event:prov:delete": {}}},
        {"events": {PUT_URN: _without(PUT["events"][PUT_URN], "version")}},
        {"events": {PUT_URN: {"version": 'W/"2"', "data": {**body(), "password": "x"}}}},
        {"events": {PUT_URN: {"version": 'W/"2"', "data": {**body(), "meta": {}}}}},
        {"events": {PUT_URN: {"version": "2", "data": body()}}},
        {"events": {**PUT["events"], "urn:ietf:params:scim:event:prov:activate": {}}},
        {"events": {**PUT["events"], "urn:ietf:params:scim:event:prov:deactivate": {"data": {}}}},
        {"after": {**user(), "password": "x"}},
        {"after": {**user(), "meta": {}}},
        {"after": body()},
    ],
    ids=str,
)
def test_the_schema_refuses_what_is_not_promised(change: dict[str, Any]) -> None:
    assert not VALUE.is_valid({**PUT, **change})


def test_a_delete_or_create_with_after_is_refused() -> None:
    for told in (value(command(Delete()), view(user())), value(command(Create(body())), View())):
        assert not VALUE.is_valid({**told, "after": user()})


def test_the_schema_lets_members_be_added_everywhere() -> None:
    described = {PUT_URN: {**PUT["events"][PUT_URN], "addedLater": 1}, "urn:example:event": {"x": 1}}
    more = {**PUT, "events": described, "addedLater": {}, "sub_id": {**PUT["sub_id"], "addedLater": 1}}

    VALUE.validate(more)
    HEADERS.validate({**dict(emitted(command(Delete()), view(user())).headers), "ce_addedlater": "1"})


# --- golden files and samples -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", golden.names("event"))
def test_a_golden_event_is_still_what_the_schema_promises(name: str) -> None:
    told = json.loads(golden.value(name))

    VALUE.validate(told)
    assert next(iter(told["events"])).split(":")[5:] == ["prov", *name.removesuffix("-v1.json").split("-")[1:2]] + (
        [] if "delete" in name else ["full"]
    )


@pytest.mark.parametrize("name", [name for name in golden.names("event") if "group" not in name])
def test_a_golden_event_is_emitted_byte_for_byte(name: str) -> None:
    assert STORY[name.removeprefix("event-").removesuffix("-v1.json")].value == golden.value(name)


def _told() -> dict[str, EventRecord]:
    """Return the life of a user as events, by the names of the samples."""
    created = body(
        "ann@example.com",
        externalId="e-7",
        name={"familyName": "Müller", "givenName": "Ann"},
        active=True,
        emails=[{"value": "ann@example.com", "type": "work", "primary": True}],
    )
    married = {**created, "name": {"familyName": "Lee", "givenName": "Ann"}}
    story: dict[str, Verb] = {
        "create": Create(created),
        "patch": patch(
            {"op": "replace", "path": "name.familyName", "value": "Lee"},
            {"op": "replace", "path": 'emails[type eq "work"].value', "value": "ann.lee@example.com"},
        ),
        "patch-deactivate": patch({"op": "replace", "path": "active", "value": False}),
        "put-activate": Replace(married),
        "delete": Delete(),
    }
    told: dict[str, EventRecord] = {}
    seen = View()
    for place, (name, change) in enumerate(story.items()):
        txn = f"0199c1a2-b3c6-7102-8304-0506070809{place:02x}"
        asked = command(change, txn=txn, accepted_at=NOON + place * 60_000, traceparent=TRACEPARENT)
        decision = decide(asked, seen)
        assert isinstance(decision, Change)
        told[name] = event_record(decision, partition=0, number=41 + place, issuer=ISSUER)
        seen = View(resource=decision.resource())
    return told


STORY: Final = _told()


@pytest.mark.parametrize("name", STORY)
def test_a_sample_is_what_is_really_emitted(name: str) -> None:
    sample = json.loads((DEPLOYED / "samples" / f"{name}.json").read_text())

    assert sample == {
        "key": STORY[name].key,
        "headers": dict(STORY[name].headers),
        "value": json.loads(STORY[name].value),
    }
    assert list(sample["value"]["events"]) == list(json.loads(STORY[name].value)["events"])


def test_every_sample_is_what_the_schemas_promise() -> None:
    samples = {path.stem: json.loads(path.read_text()) for path in (DEPLOYED / "samples").glob("*.json")}

    assert samples.keys() == STORY.keys() | {"group-patch.coming"}
    for sample in samples.values():
        VALUE.validate(sample["value"])
        HEADERS.validate(sample["headers"])


def test_CP_10_the_sample_of_a_group_carries_deltas_and_no_members() -> None:
    sample = json.loads((DEPLOYED / "samples" / "group-patch.coming.json").read_text())["value"]

    assert "after" not in sample
    operations = sample["events"]["urn:ietf:params:scim:event:prov:patch:full"]["data"]["Operations"]
    assert {operation["op"] for operation in operations} == {"add", "remove", "replace"}
