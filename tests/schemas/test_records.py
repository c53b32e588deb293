"""State records: read for ever, refused when they come from the future."""

from __future__ import annotations

import json

import msgspec
import pytest

from schemas.records import (
    Address,
    EdgeRecord,
    GoneRecord,
    GroupRecord,
    PositionRecord,
    Record,
    SeqRecord,
    UserRecord,
    address_of,
    decode_image,
    decode_record,
    decode_resource,
    encode_record,
    number_key,
    position_key,
    resource_key,
)
from tests.schemas import golden

GOLDEN = golden.names("record")
STRUCTS: dict[str, type[Record]] = {
    "user": UserRecord,
    "group": GroupRecord,
    "edge": EdgeRecord,
    "gone": GoneRecord,
    "position": PositionRecord,
    "seq": SeqRecord,
}


@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_record_is_read_and_written_again_byte_for_byte(name: str) -> None:
    value = golden.value(name)
    record = decode_record(value)

    assert type(record) is STRUCTS[name.split("-")[1]]
    assert encode_record(record) == value


def test_every_kind_of_record_has_a_golden_file() -> None:
    assert {name.split("-")[1] for name in GOLDEN} == STRUCTS.keys()


@pytest.mark.parametrize("name", GOLDEN)
def test_every_record_carries_its_kind_and_its_schema_number(name: str) -> None:
    value = json.loads(golden.value(name))

    assert value["kind"] == name.split("-")[1]
    assert value["v"] == 1


@pytest.mark.parametrize("name", GOLDEN)
def test_members_that_a_reader_does_not_know_are_ignored(name: str) -> None:
    value = json.loads(golden.value(name)) | {"addedLater": {"x": [1]}}

    assert decode_record(json.dumps(value).encode()) == decode_record(golden.value(name))


@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("change", [{"v": 2}, {"v": "1"}, {"kind": "vault"}, {"kind": None}])
def test_a_kind_or_number_that_a_reader_does_not_know_stops_it(name: str, change: dict[str, object]) -> None:
    value = json.loads(golden.value(name)) | change

    with pytest.raises(msgspec.ValidationError):
        decode_record(json.dumps(value).encode())


def test_a_record_without_a_kind_stops_the_reader() -> None:
    with pytest.raises(msgspec.ValidationError):
        decode_record(b'{"v":1,"seq":1}')


def test_what_a_delete_leaves_holds_no_personal_data() -> None:
    members = {field.name for field in msgspec.structs.fields(GoneRecord)}
    of_the_request = {"verb", "at", "gateway", "principal", "idempotency"}

    assert members == {"v", "version", "seq", "txn", "fp", "status", "modified", "derived"} | of_the_request


@pytest.mark.parametrize("name", [name for name in GOLDEN if "-user-" in name or "-group-" in name])
def test_an_image_shows_the_resource_of_a_record_without_decoding_it(name: str) -> None:
    value = golden.value(name)
    image, record = decode_image(value), decode_record(value)

    assert isinstance(record, UserRecord | GroupRecord)
    assert image.kind == name.split("-")[1]
    assert (image.version, image.created, image.modified) == (record.version, record.created, record.modified)
    assert bytes(image.doc) in value
    assert msgspec.json.decode(image.doc) == record.doc


@pytest.mark.parametrize("name", [name for name in GOLDEN if "-user-" not in name and "-group-" not in name])
def test_a_record_that_is_no_resource_has_no_image(name: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode_image(golden.value(name))


def test_an_image_of_a_later_schema_number_is_refused() -> None:
    value = golden.value("record-user-v1.json").replace(b'"v":1', b'"v":2')

    with pytest.raises(msgspec.ValidationError):
        decode_image(value)


def test_the_key_of_a_record_names_tenant_type_and_id() -> None:
    assert resource_key("default", "User", "0199c1") == "default/User/0199c1"
    assert address_of("default/User/0199c1") == Address("default", "User", "0199c1")


@pytest.mark.parametrize("key", [position_key(3), number_key("default"), "default/Group/0199c1/m/0199c2", ""])
def test_the_key_of_no_resource_has_no_address(key: str) -> None:
    assert address_of(key) is None


def test_the_keys_of_positions_and_numbers_are_known_for_ever() -> None:
    assert (position_key(3), number_key("default")) == ("position/3", "seq/default")


@pytest.mark.parametrize("name", [name for name in GOLDEN if "-user-" in name or "-gone-" in name])
def test_a_users_record_live_or_gone_is_read_as_one(name: str) -> None:
    assert decode_resource(golden.value(name)) == decode_record(golden.value(name))


@pytest.mark.parametrize("name", [name for name in GOLDEN if "-user-" not in name and "-gone-" not in name])
def test_what_is_no_users_record_is_not_read_as_one(name: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode_resource(golden.value(name))


@pytest.mark.parametrize("name", ["record-user-traced-v1.json", "record-gone-traced-v1.json"])
def test_what_a_record_tells_of_its_request_may_be_absent(name: str) -> None:
    members = json.loads(golden.value(name))
    for member in ("verb", "at", "gateway", "principal", "idempotency"):
        del members[member]
    record = decode_resource(json.dumps(members).encode())

    assert (record.verb, record.at, record.gateway) == (msgspec.UNSET,) * 3
    assert (record.principal, record.idempotency) == (msgspec.UNSET,) * 2


def test_CP_6_a_position_holds_whole_outcomes_with_their_tenants() -> None:
    record = decode_record(golden.value("record-position-outcomes-v1.json"))

    assert isinstance(record, PositionRecord)
    (answered,) = record.answered
    assert (record.offset, answered.tenant) == (4711, "default")
    assert (answered.outcome.status, answered.outcome.verb, answered.outcome.version) == (409, "replace", 0)
    assert answered.outcome.error is not None
    assert answered.outcome.error.scim_type == "uniqueness"
