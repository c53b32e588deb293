"""Prepares a data directory for serving: one process at a time, and on the first start a tenant with a token."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final

from consumers.errors import DataLocked, OperatorError
from gateway.files import write_whole
from gateway.tenants import Tenants, first_tenants_file, token_digest

DATABASE: Final = "scimgw.db"
TENANTS_FILE: Final = "tenants.toml"
TOKEN_FILE: Final = "token"
LOCK_FILE: Final = "lock"
RESTORING: Final = "restoring"
"""Stands in the directory while ``scimgw restore`` replaces what is there; a kill in between leaves it."""


class DirectoryLock:
    """``DIR/lock``, held from construction to ``release()`` or the process's death; it holds the process's id.

    An flock, so that a kill frees it; the file stays. Raises DataLocked when another process has it.
    """

    def __init__(self, directory: Path) -> None:
        path = directory / LOCK_FILE
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(self._handle, 20, 0).decode("ascii", "replace").strip()
            os.close(self._handle)
            if not isinstance(error, BlockingIOError):
                raise
            by = f"process {owner}" if owner.isdigit() else "another process"
            raise DataLocked(f"{directory} is in use by {by}; stop it, or give another directory by --data") from None
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Free the directory; a second call does nothing."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


class FirstStart:
    """A data directory that is this process's until ``release()``; also a context manager."""

    def __init__(self, directory: Path, lock: DirectoryLock, *, created: bool) -> None:
        self.directory = directory
        self.database = directory / DATABASE
        self.tenants_file = directory / TENANTS_FILE
        self.token_file = directory / TOKEN_FILE
        self.created = created
        """This start wrote the tenants file and the token."""
        self._lock = lock

    def working_token_file(self, tenants: Tenants) -> Path | None:
        """Return the token file if its token is one of these tenants', for the curl line; None when it is not."""
        try:
            token = self.token_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            return None
        return self.token_file if token_digest(token) in tenants.by_token_hash else None

    def release(self) -> None:
        """Let another process have the directory."""
        self._lock.release()

    def __enter__(self) -> FirstStart:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def prepare(directory: str | Path) -> FirstStart:
    """Make the directory (mode 700), take its lock, and write a tenants file and a token if there is none.

    Safe to kill anywhere: the token is written first and the tenants file, which makes it valid, last; as long as
    there is no tenants file the next start begins again. Raises DataLocked, or OperatorError when the directory
    cannot be written.
    """
    path = Path(directory).absolute()  # the line that names the token's file must work in another shell
    with _in_operators_words(path):
        lock = locked_directory(path)
        try:
            if (path / RESTORING).exists():
                raise OperatorError(
                    f"{path}: a restore was interrupted; run 'scimgw restore FROM --data {path} --force'"
                )
            created = not (path / TENANTS_FILE).exists()
            if created:
                text, token = first_tenants_file()
                write_whole(path / TOKEN_FILE, token + "\n", replace=True)
                write_whole(path / TENANTS_FILE, text, replace=False)
        except BaseException:
            lock.release()
            raise
    return FirstStart(path, lock, created=created)


def locked_directory(directory: Path) -> DirectoryLock:
    """Make the directory if there is none, and lock it. Raises DataLocked, OperatorError."""
    with _in_operators_words(directory):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return DirectoryLock(directory)


@contextmanager
def _in_operators_words(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = "not a directory" if isinstance(error, FileExistsError | NotADirectoryError) else error.strerror
        raise OperatorError(f"{directory}: {reason}; give a directory that can be written by --data") from error
