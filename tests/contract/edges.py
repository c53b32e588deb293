"""Groups put straight into a back end, as edges: no command makes any yet, but a user's answers already tell them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from consumers.backends.redis_keys import ShardKeys
from consumers.backends.redis_records import stored_value
from schemas.records import EdgeRecord, GroupRecord, encode_record

_TXN: Final = "0199c1a2-b3c6-7102-8304-05060708090c"
_MADE: Final = "2026-11-21T12:00:00.007Z"
_MADE_MS: Final = 1_795_262_400_007


def put_group_in_sqlite(database: Path, tenant: str, group_id: str, display: str, members: Sequence[str]) -> None:
    """Put a group with its edges into the file of an embedded database."""
    with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        connection.execute(
            "INSERT INTO resource (tenant, type, id, version, live, record) VALUES (?, 'Group', ?, 1, 1, ?)",
            (tenant, group_id, _head(group_id, display)),
        )
        edge = encode_record(EdgeRecord(version=1, txn=_TXN))
        rows = [(tenant, group_id, member, edge) for member in members]
        connection.executemany("INSERT INTO edge (tenant, group_id, member_id, record) VALUES (?, ?, ?, ?)", rows)


def redis_group_commands(
    tenant: str, group_id: str, display: str, members: Sequence[str], *, shard: int = 0
) -> list[tuple[str | bytes, ...]]:
    """Return the commands that put a group with its edges into a Redis."""
    keys = ShardKeys(shard)
    value = stored_value(version=1, created=_MADE_MS, resource_type="Group", live=True, record=_head(group_id, display))
    return [
        ("SET", keys.record(tenant, group_id), value),
        *(("SADD", keys.groups(tenant, member), group_id) for member in members),
    ]


def _head(group_id: str, display: str) -> bytes:
    doc = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "id": group_id, "displayName": display}
    return encode_record(
        GroupRecord(version=1, seq=1, txn=_TXN, fp="", status=201, created=_MADE, modified=_MADE, names={}, doc=doc)
    )
