"""Redis as far as the protocol leans on it: a data set that can lose its last writes, and a boot that tells."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, TypeVar

from consumers.errors import StoreUnavailable
from tests.simulation.loop import VirtualLoop
from tests.simulation.network import EPOCH_S, Server

Key = tuple[Any, ...]
T = TypeVar("T")
_NOTHING: Final = object()


class RedisServer(Server):
    """One primary, with a journal of its writes so that any prefix of them can be restored.

    ``boot`` is ``run_id`` and ``master_replid``: a new one of either is another history (CP-4).
    """

    def __init__(self, loop: VirtualLoop, counts: Counter[str]) -> None:
        super().__init__("redis", StoreUnavailable)
        self._loop = loop
        self._counts = counts
        self._ids = itertools.count(1)
        self.run_id = f"run-{next(self._ids)}"
        self.replid = f"repl-{next(self._ids)}"
        self._values: dict[Key, Any] = {}
        self._journal: list[tuple[Key, Any]] = []
        self._scripts: list[int] = []
        """Length of the journal before each script that wrote."""

    @property
    def boot(self) -> str:
        """Which history this is."""
        return f"{self.run_id} {self.replid}"

    def now(self) -> int:
        """Return the server's time in milliseconds since 1970."""
        return int((EPOCH_S + self._loop.time()) * 1000)

    @property
    def writes(self) -> int:
        """How many scripts have written."""
        return len(self._scripts)

    def script(self, execute: Callable[[], T]) -> T:
        """Run a script: all of its writes are kept or lost together. Redis does not roll back what fails midway."""
        before = len(self._journal)
        try:
            return execute()
        finally:
            if len(self._journal) > before:
                self._scripts.append(before)

    def get(self, key: Key, otherwise: Any = None) -> Any:
        """Return a value."""
        return self._values.get(key, otherwise)

    def put(self, key: Key, value: Any) -> None:
        """Set a value."""
        self._journal.append((key, self._values.get(key, _NOTHING)))
        self._values[key] = value

    def drop(self, key: Key) -> None:
        """Delete a key."""
        if key in self._values:
            self._journal.append((key, self._values.pop(key)))

    def items(self, kind: str) -> list[tuple[Key, Any]]:
        """Return the keys of a kind with their values, in the order of their making."""
        return [(key, value) for key, value in self._values.items() if key[0] == kind]

    def clear(self) -> None:
        """Forget everything, as one write."""
        for key in list(self._values):
            self.drop(key)

    def restart(self, lost: int, *, empty: bool = False) -> None:
        """Come back as another process with all but the last ``lost`` scripts, or with nothing."""
        self.run_id = f"run-{next(self._ids)}"
        self.replid = f"repl-{next(self._ids)}"
        self._counts["redis restarts"] += 1
        self._lose(lost, empty=empty)

    def fail_over_and_back(self, lost: int) -> None:
        """Serve as the same process again what the other side had: its last writes are lost, ``run_id`` is the same."""
        self.replid = f"repl-{next(self._ids)}"
        self._counts["redis failovers"] += 1
        self._lose(lost)

    def _lose(self, lost: int, *, empty: bool = False) -> None:
        self._counts["redis scripts lost"] += min(lost, self.writes)
        if empty:
            self._counts["redis emptied"] += 1
            self._values, self._journal, self._scripts = {}, [], []
        elif lost:
            keep = max(0, self.writes - lost)
            length = self._scripts[keep] if keep < self.writes else len(self._journal)
            while len(self._journal) > length:
                key, old = self._journal.pop()
                if old is _NOTHING:
                    self._values.pop(key, None)
                else:
                    self._values[key] = old
            del self._scripts[keep:]

    def fall(self, seconds: float, *, hangs: bool) -> None:
        """Be away for a while."""
        self.up, self.hangs = False, hangs
        self._counts["redis away"] += 1
        self._loop.call_later(seconds, self._rise)

    def _rise(self) -> None:
        self.up = True
