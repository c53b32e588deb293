"""The data of a simulated Redis: keys that expire, and any prefix of the scripts that wrote them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from redis.exceptions import ResponseError

NOTHING: Final = object()
_WRONG_TYPE: Final = "WRONGTYPE Operation against a key holding the wrong kind of value"


class Zset(dict[bytes, float]):
    """Members with their scores."""

    def ordered(self) -> list[tuple[float, bytes]]:
        """Return score and member, in Redis' order."""
        return sorted((score, member) for member, score in self.items())


class Data:
    """Keys with values, of which any prefix of the writes can be restored.

    What one script wrote is kept or lost together; what plain commands wrote is kept or lost with the script before them.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        """``now``: milliseconds since 1970."""
        self._now = now
        self._values: dict[bytes, Any] = {}
        self._expires: dict[bytes, int] = {}
        self._journal: list[dict[bytes, tuple[Any, int | None]]] = []
        """Of each script that wrote: its keys with what was there before."""
        self._open: dict[bytes, tuple[Any, int | None]] = {}

    # -- Histories ---------------------------------------------------------------------------------------------------

    @property
    def writes(self) -> int:
        """How many scripts have written."""
        return len(self._journal)

    def begin(self, *, script: bool) -> None:
        """Begin a command."""
        self._open = self._journal[-1] if self._journal and not script else {}

    def end(self, *, script: bool) -> None:
        """End a command."""
        if script and self._open:
            self._journal.append(self._open)

    def undo(self, scripts: int) -> None:
        """Take back what the last so many scripts wrote."""
        for _ in range(min(scripts, len(self._journal))):
            for key, (value, expires) in self._journal.pop().items():
                self._values.pop(key, None)
                self._expires.pop(key, None)
                if value is not NOTHING:
                    self._values[key] = value
                    if expires is not None:
                        self._expires[key] = expires

    def there(self) -> list[bytes]:
        """Return all keys, in the order of their making."""
        return [key for key in list(self._values) if self._value(key) is not NOTHING]

    def look(self, key: bytes) -> Any:
        """Return a value as it is kept, None for none."""
        value = self._value(key)
        return None if value is NOTHING else value

    def _value(self, key: bytes) -> Any:
        value = self._values.get(key, NOTHING)
        if value is not NOTHING and self._expires:
            expires = self._expires.get(key)
            if expires is not None and expires <= self._now():
                return NOTHING
        return value

    def _read(self, key: bytes, kind: type[Any]) -> Any:
        value = self._value(key)
        if value is not NOTHING and type(value) is not kind:
            raise ResponseError(_WRONG_TYPE)
        return value

    def _note(self, key: bytes) -> bool:
        """Note what a key has before a script's first write to it; tell whether it was that."""
        if key in self._open:
            return False
        self._open[key] = self._values.get(key, NOTHING), self._expires.get(key)
        return True

    def _writable(self, key: bytes, kind: type[Any]) -> Any:
        """Return the collection of a key, its own for this script, made where there is none."""
        value = self._read(key, kind)
        if self._note(key) or value is NOTHING:
            if value is NOTHING:
                self._expires.pop(key, None)
            value = self._values[key] = kind() if value is NOTHING else kind(value)
        return value

    def _put(self, key: bytes, value: Any, expires: int | None = None) -> None:
        self._note(key)
        self._values[key] = value
        if expires is None:
            self._expires.pop(key, None)
        else:
            self._expires[key] = expires

    def _drop(self, key: bytes) -> bool:
        there = self._value(key) is not NOTHING
        if key in self._values:
            self._note(key)
            del self._values[key]
            self._expires.pop(key, None)
        return there

    def _drop_if_empty(self, key: bytes, collection: Any) -> None:
        if not collection:
            del self._values[key]
            self._expires.pop(key, None)
