"""The reads of the embedded database as SQL, alike ones together."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from consumers.backends.sqlite_rows import RECORD_SEPARATOR, asked, lines
from consumers.ports import MOST_BYTES, MOST_GROUPS, MOST_NESTED

MOST_FOUND: Final = 1000


class GetQuery(NamedTuple):
    """The live resource of an id: its record, or None."""

    tenant: str
    resource_type: str
    resource_id: str


class FindQuery(NamedTuple):
    """The live resources with a value or name: a list of records."""

    tenant: str
    resource_type: str
    attribute: str
    value: str


class PageQuery(NamedTuple):
    """A page in the order of creation: the total and a list of records."""

    tenant: str
    resource_type: str
    offset: int
    limit: int


class OutcomeQuery(NamedTuple):
    """The outcome of a command, unless it expired by ``now`` (milliseconds since 1970): as stored, or None."""

    tenant: str
    txn: str
    now: int


class GroupsQuery(NamedTuple):
    """The live groups of a resource: a list of (id, levels between them, record)."""

    tenant: str
    member_id: str


Query = GetQuery | FindQuery | PageQuery | OutcomeQuery | GroupsQuery

_GET: Final = """
SELECT CAST(group_concat(q.key || char(31) || r.record, char(30)) AS BLOB)
     FROM json_each(:asked) q CROSS JOIN resource r
  ON r.tenant = q.value ->> 0 AND r.type = q.value ->> 1 AND r.id = q.value ->> 2 AND r.live
"""
# A name has one holder, an index entry any number; no attribute is both.
_FIND: Final = """
SELECT
  (SELECT CAST(group_concat(q.key || char(31) || r.record, char(30)) AS BLOB) FROM json_each(:asked) q
     CROSS JOIN name n ON n.tenant = q.value ->> 0 AND n.attribute = q.value ->> 2 AND n.value = q.value ->> 3
     CROSS JOIN resource r ON r.ordinal = n.ordinal AND r.type = q.value ->> 1),
  (SELECT CAST(group_concat(q.key || char(31) || r.record, char(30)) AS BLOB)
     FROM json_each(:asked) q CROSS JOIN resource r ON r.ordinal IN (
     SELECT ordinal FROM (
       SELECT ordinal, sum(size) OVER (ORDER BY ordinal) - size AS before FROM (
         SELECT e.ordinal, length(s.record) AS size FROM entry e CROSS JOIN resource s ON s.ordinal = e.ordinal
           WHERE e.tenant = q.value ->> 0 AND e.type = q.value ->> 1
             AND e.attribute = q.value ->> 2 AND e.value = q.value ->> 3 ORDER BY e.ordinal LIMIT :most)
     ) WHERE before < :most_bytes))
"""
# The block in which the page begins is found over the populations of the blocks, so at most 4,095 index entries
# are skipped however far down the list the page is. It ends early where its records grow too large: their lengths
# are summed up without reading them.
_PAGE: Final = """
WITH start AS (
  SELECT block << 12 AS ordinal, :offset - before AS skip FROM (
    SELECT block, live, sum(live) OVER (ORDER BY block) - live AS before FROM population
      WHERE tenant = :tenant AND type = :type AND block >= 0
  ) WHERE before + live > :offset ORDER BY block LIMIT 1
)
SELECT
  (SELECT live FROM population WHERE tenant = :tenant AND type = :type AND block = -1),
  (SELECT CAST(group_concat(record, char(30)) AS BLOB) FROM (
    SELECT r.record FROM (
      SELECT ordinal, sum(size) OVER (ORDER BY ordinal) - size AS before FROM (
        SELECT ordinal, length(record) AS size FROM resource INDEXED BY resource_in_order
          WHERE tenant = :tenant AND type = :type AND live AND ordinal >= (SELECT ordinal FROM start)
          ORDER BY ordinal LIMIT :limit OFFSET (SELECT coalesce(max(skip), 0) FROM start)
      )
    ) p CROSS JOIN resource r ON r.ordinal = p.ordinal
      WHERE p.before < :most_bytes ORDER BY p.ordinal
  ))
"""
_OUTCOME: Final = "SELECT outcome FROM outcome WHERE tenant = ? AND txn = ? AND expires_at > ?"

# UNION: a group that is reached twice at a level goes on once; the level ends cycles.
_GROUPS: Final = """
WITH RECURSIVE up(id, level, record) AS (
  SELECT r.id, 1, r.record FROM edge e
    CROSS JOIN resource r ON r.tenant = e.tenant AND r.type = 'Group' AND r.id = e.group_id AND r.live
    WHERE e.tenant = :tenant AND e.member_id = :member
  UNION
  SELECT r.id, up.level + 1, r.record FROM up
    CROSS JOIN edge e ON e.tenant = :tenant AND e.member_id = up.id
    CROSS JOIN resource r ON r.tenant = e.tenant AND r.type = 'Group' AND r.id = e.group_id AND r.live
    WHERE up.level < :nested
)
SELECT id, min(level), record FROM up GROUP BY id ORDER BY id LIMIT :most
"""


def answer_all(database: sqlite3.Connection, queries: Sequence[Query]) -> list[Any]:
    """Return the answer to each query, in their order; gets and finds are asked for together."""
    answers: list[Any] = [None] * len(queries)
    gets = [i for i, query in enumerate(queries) if isinstance(query, GetQuery)]
    finds = [i for i, query in enumerate(queries) if isinstance(query, FindQuery)]
    if gets:
        row = database.execute(_GET, {"asked": asked([queries[i] for i in gets])}).fetchone()
        for position, record in lines(row[0]):
            answers[gets[int(position)]] = record
    if finds:
        for i in finds:
            answers[i] = []
        row = database.execute(
            _FIND, {"asked": asked([queries[i] for i in finds]), "most": MOST_FOUND, "most_bytes": MOST_BYTES}
        ).fetchone()
        for found in row:
            for position, record in lines(found):
                answers[finds[int(position)]].append(record)
    if len(gets) + len(finds) < len(queries):
        for i, query in enumerate(queries):
            if isinstance(query, PageQuery):
                answers[i] = _page(database, query)
            elif isinstance(query, OutcomeQuery):
                row = database.execute(_OUTCOME, query).fetchone()
                answers[i] = None if row is None else row[0]
            elif isinstance(query, GroupsQuery):
                question = {
                    "tenant": query.tenant,
                    "member": query.member_id,
                    "nested": MOST_NESTED,
                    "most": MOST_GROUPS,
                }
                answers[i] = database.execute(_GROUPS, question).fetchall()
    return answers


def _page(database: sqlite3.Connection, query: PageQuery) -> tuple[int, list[bytes]]:
    question = {
        "tenant": query.tenant,
        "type": query.resource_type,
        "offset": query.offset,
        "limit": query.limit,
        "most_bytes": MOST_BYTES,
    }
    total, records = database.execute(_PAGE, question).fetchone()
    return total or 0, [] if records is None else records.split(RECORD_SEPARATOR)
