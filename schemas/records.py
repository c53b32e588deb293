"""State records: after-images by key, the truth from which every read model can be rebuilt (``interfaces.md``, Records).

Every value carries its schema number ``v``. A reader ignores members that it does not know; a kind or number that it
does not know stops it.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from schemas.outcomes import Outcome

Verb = Literal["create", "replace", "patch", "delete"]


class UserRecord(msgspec.Struct, frozen=True, kw_only=True, tag="user", tag_field="kind"):
    """The after-image of a user, key ``tenant/User/<id>``."""

    v: Literal[1] = 1
    version: int
    seq: int
    """The number of the change in its tenant and partition."""
    txn: str
    fp: str
    """The fingerprint of the request that made this version."""
    status: int
    created: str
    modified: str
    names: dict[str, str]
    """Unique names by attribute, folded."""
    doc: dict[str, Any]
    """The resource in canonical form: with ``id``, without ``meta`` and ``password``."""
    password: str | msgspec.UnsetType = msgspec.UNSET
    """An argon2id hash."""
    verb: Verb | msgspec.UnsetType = msgspec.UNSET
    """This and what follows: the request that made this version, for the audit trail and to restore its outcome."""
    at: int | msgspec.UnsetType = msgspec.UNSET
    """When the gateway accepted it, in milliseconds since 1970."""
    gateway: str | msgspec.UnsetType = msgspec.UNSET
    principal: str | msgspec.UnsetType = msgspec.UNSET
    idempotency: str | msgspec.UnsetType = msgspec.UNSET
    """The Idempotency-Key, hashed."""


class GroupRecord(msgspec.Struct, frozen=True, kw_only=True, tag="group", tag_field="kind"):
    """The head of a group, key ``tenant/Group/<id>``: all but its members."""

    v: Literal[1] = 1
    version: int
    seq: int
    txn: str
    fp: str
    status: int
    created: str
    modified: str
    names: dict[str, str]
    doc: dict[str, Any]


class EdgeRecord(msgspec.Struct, frozen=True, kw_only=True, tag="edge", tag_field="kind"):
    """One membership, key ``tenant/Group/<gid>/m/<uid>``."""

    v: Literal[1] = 1
    version: int
    """The version of the group that added it."""
    txn: str
    type: Literal["User", "Group"] = "User"


class GoneRecord(msgspec.Struct, frozen=True, kw_only=True, tag="gone", tag_field="kind"):
    """What a delete leaves under the key of the resource: no personal data (CP-8)."""

    v: Literal[1] = 1
    version: int
    """The version that the delete made."""
    seq: int
    txn: str
    fp: str
    status: int
    modified: str
    derived: bool | msgspec.UnsetType = msgspec.UNSET
    """Whether the id came from an Idempotency-Key: such an id is spent for good."""
    verb: Verb | msgspec.UnsetType = msgspec.UNSET
    """This and what follows: the request that made this version, for the audit trail and to restore its outcome."""
    at: int | msgspec.UnsetType = msgspec.UNSET
    """When the gateway accepted it, in milliseconds since 1970."""
    gateway: str | msgspec.UnsetType = msgspec.UNSET
    principal: str | msgspec.UnsetType = msgspec.UNSET
    idempotency: str | msgspec.UnsetType = msgspec.UNSET
    """The Idempotency-Key, hashed."""


class Answered(msgspec.Struct, frozen=True):
    """The outcome of a command that left no record of its own: refused, without effect, or parked (CP-6)."""

    tenant: str
    outcome: Outcome


class PositionRecord(msgspec.Struct, frozen=True, kw_only=True, tag="position", tag_field="kind"):
    """How far a partition's commands are decided, key ``position/<p>`` (CP-6)."""

    v: Literal[1] = 1
    offset: int
    """Of the last command decided."""
    answered: tuple[Answered, ...] = ()
    """The outcomes of its transaction's commands that left no record."""


class SeqRecord(msgspec.Struct, frozen=True, kw_only=True, tag="seq", tag_field="kind"):
    """The number of a tenant's last change in a partition, key ``seq/<tenant>`` (CP-7)."""

    v: Literal[1] = 1
    seq: int


Record = UserRecord | GroupRecord | EdgeRecord | GoneRecord | PositionRecord | SeqRecord


class ResourceImage(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader needs of a user's record; ``doc`` stays undecoded until somebody looks inside."""

    kind: Literal["user", "group"]
    v: Literal[1]
    version: int
    created: str
    modified: str
    doc: msgspec.Raw


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Record)
_resource_decoder = msgspec.json.Decoder(UserRecord | GoneRecord)
_image_decoder = msgspec.json.Decoder(ResourceImage)


def encode_record(record: Record) -> bytes:
    """Return a record's value as it stands in the state log."""
    return _encoder.encode(record)


def decode_record(value: bytes) -> Record:
    """Read a record; raises msgspec.ValidationError for a kind or schema number it does not know."""
    record: Record = _decoder.decode(value)
    return record


def decode_resource(value: bytes) -> UserRecord | GoneRecord:
    """Read a resource's record, live or gone."""
    record: UserRecord | GoneRecord = _resource_decoder.decode(value)
    return record


def decode_image(value: bytes) -> ResourceImage:
    """Read of a resource's record what an answer shows, without decoding the resource itself."""
    return _image_decoder.decode(value)


class Address(msgspec.Struct, frozen=True):
    """What a record's key says: whose resource it is."""

    tenant: str
    resource_type: str
    resource_id: str


_PARTS: Final = 3


def address_of(key: str) -> Address | None:
    """Return the resource that a record's key names; None for ``position/<p>`` and ``seq/<tenant>``."""
    parts = key.split("/")
    return Address(*parts) if len(parts) == _PARTS else None


def position_key(partition: int) -> str:
    """Return the key of a partition's position record."""
    return f"position/{partition}"


def number_key(tenant: str) -> str:
    """Return the key of the record of a tenant's last number in a partition."""
    return f"seq/{tenant}"


def resource_key(tenant: str, resource_type: str, resource_id: str) -> str:
    """Return the key of a resource's record."""
    return f"{tenant}/{resource_type}/{resource_id}"
