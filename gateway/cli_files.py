"""The commands that write files: ``tenants init``, ``backup`` and ``restore``."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path
from time import monotonic
from typing import Final

from consumers.backends.sqlite_backup import check_database, copy_database
from consumers.errors import OperatorError
from gateway.cli_config import settings_of
from gateway.files import sync_directory, write_whole
from gateway.first_start import (
    DATABASE,
    LOCK_FILE,
    RESTORING,
    TENANTS_FILE,
    TOKEN_FILE,
    FirstStart,
    locked_directory,
)
from gateway.tenants import first_tenants_file, load_tenants

_STAGED: Final = ".restored"


def tenants_init(parsed: argparse.Namespace) -> int:
    """Write a first tenants file and print its token."""
    file = Path(parsed.file)
    text, token = first_tenants_file()
    try:
        write_whole(file, text, replace=False)
    except FileExistsError:
        raise OperatorError(f"{file} exists and is left alone; name another file, or remove it") from None
    print(token)
    print(f"wrote {file}; this token is shown once, only its hash is kept", file=sys.stderr)
    return 0


def backup(parsed: argparse.Namespace) -> int:
    """Copy the state into a new directory, which gets its name when all is in it and synced."""
    loaded = settings_of(parsed)
    directory, to = Path(loaded.settings.data), Path(parsed.to)
    if to.exists():
        raise OperatorError(f"{to} exists and is left alone; name a directory that does not exist")
    for needed in (DATABASE, TENANTS_FILE):
        if not (directory / needed).is_file():
            raise OperatorError(f"{directory / needed}: no such file; give the directory that is served by --data")
    os.umask(0o077)
    part = to.with_name(f".{to.name}.{os.getpid()}.part")
    part.mkdir(parents=True)
    try:
        copy_database(directory / DATABASE, part / DATABASE, _Progress("copied"))
        check_database(part / DATABASE, directory / DATABASE)
        # After the database: every tenant that wrote into it is in the tenants file by then.
        write_whole(part / TENANTS_FILE, (directory / TENANTS_FILE).read_text(encoding="utf-8"), replace=False)
        sync_directory(part)
        part.rename(to)
        sync_directory(to.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    if loaded.settings.secret:
        print(f"the server key is a setting ({loaded.origins['secret']}): keep a copy of it, too", file=sys.stderr)
    print(f"backed up {directory} to {to}", file=sys.stderr)
    return 0


def restore(parsed: argparse.Namespace) -> int:
    """Check a backup, stage it beside what it replaces, then put it in place."""
    settings = settings_of(parsed).settings
    directory, source = Path(settings.data), Path(parsed.source)
    for needed in (DATABASE, TENANTS_FILE):
        if not (source / needed).is_file():
            raise OperatorError(f"{source / needed}: no such file; name a directory that 'scimgw backup' made")
    os.umask(0o077)
    lock = locked_directory(directory)
    staged = directory / f"{DATABASE}{_STAGED}"
    try:
        others = sorted(entry.name for entry in directory.iterdir() if entry.name != LOCK_FILE)
        if others and not parsed.force:
            raise OperatorError(f"{directory} is not empty ({others[0]}); --force replaces what is there")
        tenants = load_tenants(source / TENANTS_FILE, settings.secret)
        staged.unlink(missing_ok=True)
        copy_database(source / DATABASE, staged, _Progress("copied"))
        check_database(staged, source / DATABASE)
        _replace(directory, staged, (source / TENANTS_FILE).read_text(encoding="utf-8"))
        token = FirstStart(directory, lock, created=False).working_token_file(tenants)
        if token is None:
            (directory / TOKEN_FILE).unlink(missing_ok=True)  # of the state that was replaced
    finally:
        staged.unlink(missing_ok=True)
        lock.release()
    print(f"restored {source} to {directory}", file=sys.stderr)
    return 0


def _replace(directory: Path, staged: Path, tenants: str) -> None:
    """Put the staged database and the tenants file in place of what is there.

    The marker keeps a server from starting on a mixture, should this be killed midway: an old write-ahead log beside
    a new database would damage it.
    """
    write_whole(directory / RESTORING, "", replace=True)
    for suffix in ("", "-wal", "-shm", "-journal"):
        (directory / f"{DATABASE}{suffix}").unlink(missing_ok=True)
    sync_directory(directory)
    staged.rename(directory / DATABASE)
    write_whole(directory / TENANTS_FILE, tenants, replace=True)
    sync_directory(directory)
    (directory / RESTORING).unlink()
    sync_directory(directory)


class _Progress:
    """Says on standard error how far a copy is, every two seconds at most."""

    def __init__(self, verb: str) -> None:
        self._verb = verb
        self._last = monotonic()

    def __call__(self, done: int, total: int) -> None:
        if total and monotonic() - self._last >= 2:
            self._last = monotonic()
            print(f"{self._verb} {100 * done // total} %", file=sys.stderr)
