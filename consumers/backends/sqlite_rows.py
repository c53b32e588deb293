"""Rows of many lookups as one value: SQLite joins them, Python splits them.

Each row that a statement yields is a step, and each step gives the interpreter's lock away; on a busy event loop
getting it back takes longer than the step. So a lookup asks with one JSON array and is answered with one row, in
which fields are parted by US (0x1F) and lines by RS (0x1E): ``group_concat(field || char(31) || field, char(30))``.
JSON escapes both, and no other field holds them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

RECORD_SEPARATOR: Final = b"\x1e"
UNIT_SEPARATOR: Final = b"\x1f"

_encoder = msgspec.json.Encoder()


def lines(value: bytes | None) -> Iterator[list[bytes]]:
    """Yield the fields of each row."""
    if value is not None:
        for line in value.split(RECORD_SEPARATOR):
            yield line.split(UNIT_SEPARATOR)


def asked(rows: Sequence[object]) -> str:
    """Return the rows as the JSON array that a statement reads by ``json_each``."""
    return _encoder.encode(rows).decode()
