"""Errors that belong to whoever runs the server: one line with the remedy, and an exit code for the command line."""

from __future__ import annotations

from typing import ClassVar


class OperatorError(Exception):
    """Something an operator must mend; ``str()`` of it is one line that names the thing, its place and the remedy.

    The line goes to a terminal or a log, so it never holds a secret, a token or an attribute value.
    """

    exit_code: ClassVar[int] = 1


class SettingsError(OperatorError):
    """A setting, a settings file or a tenants file is wrong: said before anything is started."""

    exit_code = 2


class DataLocked(OperatorError):
    """Another process serves from this data directory."""


class StoreUnavailable(OperatorError):
    """The store cannot do it now (disk full, read-only, not reachable); nothing was half done, later it may work."""


class NotRecovered(StoreUnavailable):
    """The store has not taken in the whole state log since its last start: nothing is read or written until then (INV-11)."""


class LogUnavailable(OperatorError):
    """The log cannot do it now (broker away, slow, not ours to write); what was asked for may yet happen."""


class RecordTooLarge(ValueError):
    """A record is larger than its topic takes (CP-10): nothing was sent, and the log is as it was."""


class PartitionHalted(OperatorError):
    """A partition cannot be taken over without losing something: it stands until an operator has looked."""


class WrongSettings(SettingsError):
    """A server's setting would break the promise: its name, its value and the remedy."""


class StoreConflict(OperatorError):
    """A batch rests on a view that is no longer true: a version or a name changed since; nothing was done."""


class DatabaseTooNew(OperatorError):
    """The database was written by a later version than this one."""


class DatabaseDamaged(OperatorError):
    """A stored record cannot be decoded, or the database fails its integrity check; nothing is skipped or guessed."""
