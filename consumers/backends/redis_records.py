"""Resources as they stand in Redis: one line of what scripts look at, then the record as it stands in the log.

The line is ``version created type live``: created in milliseconds since 1970, 0 where live is 0. One string a resource,
because a hash takes 300 bytes more and the documents of a batch then come by a single MGET.
"""

from __future__ import annotations

import msgspec

from consumers.errors import DatabaseDamaged
from schemas.changes import StoredResource
from schemas.records import ResourceImage, UserRecord, decode_image, decode_record

_REMEDY = "empty this Redis: the workers fill it again from the state topic"


def stored_value(*, version: int, created: int, resource_type: str, live: bool, record: bytes) -> bytes:
    """Return the value of a resource's key."""
    return b"%d %d %b %d\n%b" % (version, created if live else 0, resource_type.encode(), live, record)


def record_of(value: bytes) -> bytes:
    """Return the record that a value holds."""
    return value[value.index(b"\n") + 1 :]


def is_of_type(value: bytes, resource_type: str) -> bool:
    """Tell whether a value is of a resource of this type, live or gone."""
    return value[: value.index(b"\n")].split(b" ")[2] == resource_type.encode()


def is_live(value: bytes) -> bool:
    """Tell whether a value is of a live resource."""
    return value[value.index(b"\n") - 1] == 0x31


def resource_of(value: bytes) -> StoredResource:
    """Return the live resource that a value holds. Raises DatabaseDamaged where it cannot be read."""
    try:
        record = decode_record(record_of(value))
    except msgspec.DecodeError as error:
        raise DatabaseDamaged(f"a resource's record in Redis cannot be read ({error}); {_REMEDY}") from error
    if not isinstance(record, UserRecord):
        raise DatabaseDamaged(f"a record of another kind stands for a resource in Redis; {_REMEDY}")
    return StoredResource(
        version=record.version,
        created=record.created,
        modified=record.modified,
        names=record.names,
        doc=record.doc,
        password=record.password,
    )


def image_of(value: bytes) -> ResourceImage:
    """Return what a reader sees of a live resource. Raises DatabaseDamaged where it cannot be read."""
    try:
        return decode_image(record_of(value))
    except msgspec.DecodeError as error:
        raise DatabaseDamaged(f"a resource's record in Redis cannot be read ({error}); {_REMEDY}") from error
