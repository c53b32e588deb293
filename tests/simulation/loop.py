"""An event loop whose time is virtual: it jumps to the next timer when nothing is ready, so a run never waits."""

from __future__ import annotations

import asyncio
import itertools
import selectors
from collections.abc import Coroutine
from contextvars import ContextVar
from typing import Any, Final, Protocol

LEAST_JUMP_S: Final = 1e-6
"""Every turn of the loop takes so long: who waits for a moment that lies in the rounding of floats gets there."""
MOST_JUMPS: Final = 400_000
"""A run that needs more never ends."""


class Home(Protocol):
    """Where a task belongs."""

    tasks: list[asyncio.Task[Any]]


HOME: ContextVar[Home | None] = ContextVar("HOME", default=None)
"""The process that is running: what it starts dies with it."""


class StuckError(Exception):
    """Nothing is ready and no timer is set, or the run goes on for ever."""


class NumberedTask(asyncio.Task[Any]):
    """A task with a hash of its own: sets of tasks have the same order in every run, wherever they lie in memory."""

    _numbers = itertools.count()

    def __init__(self, coroutine: Coroutine[Any, Any, Any], **options: Any) -> None:
        self._number = next(self._numbers)
        super().__init__(coroutine, **options)

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


class _Jump(selectors.SelectSelector):
    """Waits by moving the clock."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise StuckError("every task waits for another")
        self.loop.jump(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time begins at 0 and moves only by jumps; the same calls give the same run."""

    def __init__(self) -> None:
        self._virtual = 0.0
        self._jumps = 0
        NumberedTask._numbers = itertools.count()
        selector = _Jump()
        selector.loop = self
        super().__init__(selector)
        self.set_task_factory(_new_task)

    def time(self) -> float:
        """Return the virtual seconds since the loop was made."""
        return self._virtual

    def jump(self, seconds: float) -> None:
        """Let time pass: called once a turn."""
        self._jumps += 1
        if self._jumps > MOST_JUMPS:
            raise StuckError(f"the run goes on for ever, at {self._virtual:.0f} s")
        self._virtual += max(seconds, LEAST_JUMP_S)

    def leap(self, seconds: float) -> None:
        """Let time pass at once for everybody, as if all machines were suspended; timers due meanwhile ring once."""
        self._virtual += seconds


def _new_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
    task = NumberedTask(coroutine, loop=loop, **options)
    home = HOME.get()
    if home is not None:
        home.tasks.append(task)
    return task
