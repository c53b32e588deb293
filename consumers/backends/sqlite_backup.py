"""Copies an SQLite database while another process writes it, and checks a copy before it is used."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from consumers.backends.sqlite_database import FORMAT, translated
from consumers.errors import DatabaseDamaged, DatabaseTooNew, OperatorError

_PAGES_A_STEP: Final = 8192


def copy_database(source: Path, target: Path, progress: Callable[[int, int], None]) -> None:
    """Copy one moment's state of ``source`` to ``target``, which must not exist, and sync it.

    ``progress`` gets pages copied and pages in all, after each step. Raises StoreUnavailable or DatabaseDamaged;
    what is then at ``target`` is worth nothing.
    """
    try:
        with closing(_open(source, "ro")) as read, closing(_open(target, "rwc")) as write:
            # A read transaction pins one moment: otherwise each write of the server starts the copy again.
            read.execute("BEGIN")
            read.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            write.execute("PRAGMA synchronous=FULL")
            read.backup(
                write,
                pages=_PAGES_A_STEP,
                sleep=0.001,
                progress=lambda _, remaining, total: progress(total - remaining, total),
            )
            read.execute("ROLLBACK")
            write.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
    except sqlite3.Error as error:
        raise _translated(source, error) from error


def check_database(path: Path, name: Path) -> None:
    """Refuse a file that is no sound database of a format that this program reads; the error calls it ``name``.

    Raises DatabaseDamaged, DatabaseTooNew, StoreUnavailable.
    """
    try:
        with closing(_open(path, "ro")) as database:
            version: int = database.execute("PRAGMA user_version").fetchone()[0]
            if version > FORMAT:
                raise DatabaseTooNew(
                    f"{name}: written by a later version of this program (format {version}, this one reads up to "
                    f"{FORMAT}); use that version"
                )
            finding: str = database.execute("PRAGMA integrity_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        raise _translated(name, error) from error
    if version < 1:
        raise DatabaseDamaged(f"{name}: not a database of this program; give another")
    if finding != "ok":
        raise DatabaseDamaged(f"{name}: fails its integrity check; use another backup")


def _open(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=10, isolation_level=None)


def _translated(path: Path, error: sqlite3.Error) -> OperatorError:
    ours = translated(path, error)
    return DatabaseDamaged(f"{path}: {error}; use another backup") if isinstance(ours, DatabaseDamaged) else ours
