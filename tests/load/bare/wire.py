"""What goes over the bare path's wires: the user as JSON, commands and answers as MessagePack, and the names of things."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal
from zlib import crc32

import msgspec

from consumers.backends.kafka_compression import compression

PARTITIONS: Final = 2
BATCH_BYTES: Final = 1024 * 1024
TOPICS: Final[Mapping[str, Mapping[str, str]]] = {
    "commands": {},
    "state": {"cleanup.policy": "compact"},
    "events": {},
}
"""With their settings."""
ENTERPRISE: Final = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


class Name(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True):
    """RFC 7643 §4.1.1 ``name``."""

    formatted: str = ""
    family_name: str = ""
    given_name: str = ""
    middle_name: str = ""
    honorific_prefix: str = ""
    honorific_suffix: str = ""


class Value(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """An e-mail address or a telephone number."""

    value: str
    type: str = ""
    primary: bool = False


class Address(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True):
    """RFC 7643 §4.1.2 ``addresses``."""

    type: str = ""
    street_address: str = ""
    locality: str = ""
    region: str = ""
    postal_code: str = ""
    country: str = ""
    primary: bool = False


class Enterprise(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True):
    """RFC 7643 §4.3."""

    employee_number: str = ""
    cost_center: str = ""
    organization: str = ""
    division: str = ""
    department: str = ""


class Meta(msgspec.Struct, frozen=True, rename="camel"):
    """RFC 7643 §3.1 ``meta``."""

    resource_type: str
    created: str
    last_modified: str
    location: str
    version: str


class User(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True):
    """The enterprise user of the bench."""

    schemas: tuple[str, ...]
    user_name: str
    id: str = ""
    external_id: str = ""
    name: Name | None = None
    display_name: str = ""
    title: str = ""
    user_type: str = ""
    preferred_language: str = ""
    timezone: str = ""
    active: bool = True
    emails: tuple[Value, ...] = ()
    phone_numbers: tuple[Value, ...] = ()
    addresses: tuple[Address, ...] = ()
    enterprise: Enterprise | None = msgspec.field(name=ENTERPRISE, default=None)
    meta: Meta | None = None


class Command(msgspec.Struct, frozen=True, array_like=True):
    """A change that is asked for; the body is the new user, or for a PATCH the display name."""

    txn: bytes
    gateway: str
    verb: Literal["create", "patch"]
    id: str
    user_name: str
    at: int
    """Milliseconds since the epoch."""
    body: bytes


class Reply(msgspec.Struct, frozen=True, array_like=True):
    """The answer to a command: an HTTP status, and for a PATCH the user."""

    txn: bytes
    status: int
    body: bytes


class Event(msgspec.Struct, frozen=True):
    """What is told about a change."""

    id: str
    type: str
    subject: str
    number: int
    data: msgspec.Raw


decode_user: Final = msgspec.json.Decoder(User).decode
encode_user: Final = msgspec.json.Encoder().encode
decode_command: Final = msgspec.msgpack.Decoder(Command).decode
decode_replies: Final = msgspec.msgpack.Decoder(list[Reply]).decode
pack: Final = msgspec.msgpack.Encoder().encode


def partition_of(identifier: str) -> int:
    """Return where the commands of a user go."""
    return crc32(identifier.encode()) % PARTITIONS


def fence_key(partition: int) -> str:
    """Return the key under which a partition's owner stands."""
    return f"fence:{partition}"


def user_key(identifier: str) -> str:
    """Return the key of a user's JSON."""
    return f"user:{identifier}"


def stream_key(gateway: str) -> str:
    """Return the stream of a gateway's answers."""
    return f"replies:{gateway}"


def producer_arguments(bootstrap: str) -> dict[str, Any]:
    """Return what all producers are made with; the same as the product's."""
    return {
        "bootstrap_servers": bootstrap,
        "enable_idempotence": True,
        "acks": "all",
        "compression_type": compression(),
        "max_batch_size": BATCH_BYTES,
        "max_request_size": 2 * BATCH_BYTES,
    }
