"""Opens the embedded database: pragmas, format version, and SQLite's errors in the words of ``consumers.errors``."""

from __future__ import annotations

import sqlite3
from importlib import resources
from pathlib import Path
from typing import Final

from consumers.errors import DatabaseDamaged, DatabaseTooNew, OperatorError, StoreUnavailable

FORMAT: Final = 1
"""The ``user_version`` this code writes, and the latest one it reads."""

_LEAST_SQLITE: Final = (3, 38, 0)
"""JSON built in, and its operator ``->>``."""
_BUSY_TIMEOUT_S: Final = 5.0
_CACHED_STATEMENTS: Final = 256
_WRITER_CACHE_KIB: Final = 32 * 1024
"""Names and entries of 200,000 users fill 36 MB; each page that is not at hand costs a read of some microseconds."""
_READER_CACHE_KIB: Final = 16 * 1024
_WAL_KEPT_BYTES: Final = 64 * 1024 * 1024

_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def open_writer(path: Path) -> sqlite3.Connection:
    """Open the database for the one thread that writes, and make its tables where it has none.

    Raises DatabaseTooNew, DatabaseDamaged, StoreUnavailable.
    """
    try:
        database = _connect(path, "rwc", _WRITER_CACHE_KIB)
        try:
            found = _format(database, path)
            # The answer to a write may rest on a commit only once the log is synced: FULL, not WAL's usual NORMAL.
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=FULL")
            database.execute("PRAGMA wal_autocheckpoint=0")
            database.execute(f"PRAGMA journal_size_limit={_WAL_KEPT_BYTES}")
            database.execute("PRAGMA secure_delete=FAST")
            if found == 0:
                _create(database)
        except BaseException:
            database.close()
            raise
    except sqlite3.Error as error:
        raise translated(path, error) from error
    return database


def open_reader(path: Path) -> sqlite3.Connection:
    """Open the database for reading only; also while another process serves from it.

    Raises DatabaseTooNew, DatabaseDamaged, and StoreUnavailable where there is no database.
    """
    if not path.exists():
        raise StoreUnavailable(f"{path}: no database here; start `scimgw serve` on this directory first")
    try:
        database = _connect(path, "rw", _READER_CACHE_KIB)
        try:
            # Not mode=ro: reading a database in WAL mode may take making the files beside it.
            database.execute("PRAGMA query_only=ON")
            if _format(database, path) == 0:
                raise StoreUnavailable(f"{path}: the database is empty; start `scimgw serve` on this directory first")
        except BaseException:
            database.close()
            raise
    except sqlite3.Error as error:
        raise translated(path, error) from error
    return database


def translated(path: Path, error: sqlite3.Error) -> OperatorError:
    """Return SQLite's error as one of ours; only its own words go into the line, which hold no value of a row."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & 0xFF in _DAMAGE:
        return DatabaseDamaged(f"{path}: {error}; stop the server and restore a backup")
    if code is not None and code & 0xFF == sqlite3.SQLITE_FULL:
        return StoreUnavailable(f"{path}: {error}; free some space, the server then goes on by itself")
    return StoreUnavailable(f"{path}: {error}")


def _connect(path: Path, mode: str, cache_kib: int) -> sqlite3.Connection:
    if sqlite3.sqlite_version_info < _LEAST_SQLITE:
        raise StoreUnavailable(f"this Python has SQLite {sqlite3.sqlite_version}, 3.38 is needed; use a newer Python")
    database = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=_BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,  # each connection belongs to one thread, but closing may be another's
        cached_statements=_CACHED_STATEMENTS,
    )
    try:
        database.execute(f"PRAGMA cache_size=-{cache_kib}")
    except sqlite3.Error:
        database.close()
        raise
    return database


def _format(database: sqlite3.Connection, path: Path) -> int:
    found: int = database.execute("PRAGMA user_version").fetchone()[0]
    if found > FORMAT:
        raise DatabaseTooNew(
            f"{path}: written by a later version of this program (format {found}, this one reads up to {FORMAT}); "
            "use that version"
        )
    return found


def _create(database: sqlite3.Connection) -> None:
    schema = resources.files(__package__).joinpath("sqlite_schema.sql").read_text(encoding="utf-8")
    # One transaction: a death between two tables must not leave a database that looks complete.
    try:
        database.executescript(f"BEGIN IMMEDIATE;\n{schema}\nCOMMIT;")
    except sqlite3.Error:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
