"""Every lookup of the embedded database goes by an index, so that none slows down as it fills."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from consumers.backends import sqlite_queries, sqlite_store
from consumers.backends.sqlite_database import open_writer

TABLES = ("resource", "name", "entry", "outcome", "event", "number", "r", "n", "e", "o", "s")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_writer(tmp_path / "scimgw.db")) as opened:
        yield opened


def plan(database: sqlite3.Connection, statement: str) -> list[str]:
    named = re.findall(r":([a-z_]+)", statement)
    parameters = dict.fromkeys(named, "[]") if named else ["[]"] * statement.count("?")
    return [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]


@pytest.mark.parametrize("module", [sqlite_queries, sqlite_store], ids=["reader", "store"])
def test_no_lookup_reads_a_whole_table_or_a_whole_tenant(database: sqlite3.Connection, module: object) -> None:
    statements = [
        text for text in vars(module).values() if isinstance(text, str) and "SELECT" in text and "FROM" in text
    ]
    assert len(statements) >= 3
    for statement in statements:
        for step in plan(database, statement):
            words = step.split()
            assert not (words[0] == "SCAN" and words[1] in TABLES), step
            assert not (step.endswith("(tenant=?)") and words[1] not in ("n", "number")), step


def test_a_key_is_looked_up_by_its_index(database: sqlite3.Connection) -> None:
    steps = plan(database, sqlite_store._VIEW)
    assert "SEARCH o USING INDEX outcome_by_key (tenant=? AND key=?)" in steps
