"""Processes that can be killed and paused, and the network between them and the servers."""

from __future__ import annotations

import asyncio
import contextvars
from collections import Counter
from collections.abc import Callable, Coroutine
from random import Random
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tests.simulation.loop import HOME, VirtualLoop

if TYPE_CHECKING:
    from tests.simulation.redis_server import RedisServer

EPOCH_S: Final = 1_795_257_600.0
"""When a run begins, in seconds since 1970."""

ROUNDING_S: Final = 1e-5

T = TypeVar("T")


class Process:
    """One process of the system: its tasks, its clock, and whether it runs at all."""

    def __init__(self, name: str, loop: VirtualLoop, skew_s: float = 0.0, *, redis: RedisServer | None = None) -> None:
        """``redis``: the one that its clients connect to."""
        self.name = name
        self.skew_s = skew_s
        self.redis = redis
        self.dead = False
        self._loop = loop
        self.tasks: list[asyncio.Task[Any]] = []
        self.paused_at = -1.0
        """Until when it last stood still."""
        self._paused_until = 0.0
        self._missed: list[tuple[asyncio.Future[Any], Any]] = []
        self._context = contextvars.copy_context()
        self._context.run(HOME.set, self)

    @property
    def paused(self) -> bool:
        """Whether it stands still."""
        return self._loop.time() < self._paused_until - ROUNDING_S

    def clock(self) -> float:
        """Return the time as this process believes, in seconds since 1970."""
        return EPOCH_S + self._loop.time() + self.skew_s

    def start(self, coroutine: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run a task in this process; it and all that it starts die with the process."""
        return self._context.run(self._loop.create_task, coroutine, name=f"{self.name}:{name}")

    def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function in this process: what it starts is this one's."""
        return self._context.copy().run(function, *arguments)

    def kill(self) -> None:
        """End at once: nothing that its tasks still do reaches anybody."""
        self.dead = True
        for task in self.tasks:
            task.cancel()

    def pause(self, seconds: float) -> None:
        """Stand still: calls wait to be sent, answers wait to be read."""
        self.paused_at = self._loop.time() + seconds
        self._paused_until = max(self._paused_until, self._loop.time() + seconds)
        self._loop.call_later(seconds, self._wake)

    def _wake(self) -> None:
        if self.paused:
            return
        missed, self._missed = self._missed, []
        for reply, result in missed:
            settle(reply, result)

    async def gate(self) -> None:
        """Wait until this process runs; a dead one never does anything again."""
        while self.paused and not self.dead:
            await asyncio.sleep(self._paused_until - self._loop.time())
        if self.dead:
            raise asyncio.CancelledError

    def receive(self, reply: asyncio.Future[Any], result: Any) -> None:
        """Take the answer of a call, now or on waking up."""
        if self.dead:
            return
        if self.paused:
            self._missed.append((reply, result))
        else:
            settle(reply, result)

    async def end(self) -> None:
        """Let the cancelled tasks of a dead process run out."""
        pending = [task for task in self.tasks if not task.done()]
        if pending:
            await asyncio.wait(pending, timeout=60)
        stubborn = [task.get_name() for task in pending if not task.done()]
        assert not stubborn, f"tasks that do not end when they are cancelled: {stubborn}"
        for task in self.tasks:
            if task.done() and not task.cancelled():
                task.exception()  # looked at here: a dead process tells nobody


def settle(reply: asyncio.Future[Any], result: Any) -> None:
    """Give a caller its answer, unless it has gone away."""
    if reply.done():
        return
    if isinstance(result, BaseException):
        reply.set_exception(result)
    else:
        reply.set_result(result)


class Server:
    """Something that answers calls, unless it is down or its answers get lost."""

    def __init__(self, name: str, unavailable: Callable[[str], Exception]) -> None:
        self.name = name
        self.unavailable = unavailable
        self.up = True
        self.hangs = False
        """While it is down: whether calls wait for their time limit instead of being refused."""
        self.loss = 0.0
        """How often an answer is lost although the call was carried out."""
        self.carries_out_late = False
        """Whether that may be after its sender gave up, and behind what it sent since over another connection."""


class Network:
    """Carries calls to servers with random delays; a call that was sent arrives whatever becomes of its sender."""

    def __init__(self, loop: VirtualLoop, random: Random, counts: Counter[str]) -> None:
        self._loop = loop
        self._random = random
        self._counts = counts
        self._lanes: dict[tuple[str, str], float] = {}
        self.slow = 0.02
        """How often a leg of a call takes some hundred milliseconds."""

    def delay(self) -> float:
        """Return how long one leg of a call takes, in seconds."""
        chance = self._random.random()
        if chance < self.slow:
            return self._random.uniform(0.02, 0.6)
        return 0.0002 + chance * 0.002

    async def call(
        self,
        process: Process,
        server: Server,
        execute: Callable[[], T],
        *,
        limit_s: float = 1.0,
        lane: str | None = None,
    ) -> T:
        """Have the server carry out ``execute``; calls of one process on one lane arrive in their order."""
        await process.gate()
        return await self.post(process, server, execute, limit_s=limit_s, lane=lane)

    def post(
        self,
        process: Process,
        server: Server,
        execute: Callable[[], T],
        *,
        limit_s: float = 1.0,
        lane: str | None = None,
    ) -> asyncio.Future[T]:
        """Send a call off now; return the future of its answer."""
        at = self._loop.time() + self.delay()
        if lane is not None:
            at = self._lanes[process.name, lane] = max(at, self._lanes.get((process.name, lane), 0.0) + 1e-6)
        reply: asyncio.Future[T] = self._loop.create_future()
        self._loop.call_at(at, self._arrive, process, server, execute, reply, limit_s)
        return reply

    def _arrive(
        self,
        process: Process,
        server: Server,
        execute: Callable[[], Any],
        reply: asyncio.Future[Any],
        limit_s: float,
    ) -> None:
        if process.dead and self._random.random() < 0.5:
            return  # it had not left the machine yet
        if not server.up:
            after = limit_s if server.hangs else 0.001
            self._loop.call_later(after, process.receive, reply, server.unavailable(f"{server.name} is away"))
            return
        if server.loss and self._random.random() < server.loss:
            self._counts[f"{server.name} replies lost"] += 1
            late = 0.0
            if server.carries_out_late and self._random.random() < 0.5:
                self._counts[f"{server.name} scripts late"] += 1
                late = limit_s + self.delay()
            self._loop.call_later(late, _result_of, execute)
            error = server.unavailable(f"no answer from {server.name}")
            self._loop.call_later(limit_s, process.receive, reply, error)
            return
        result = _result_of(execute)
        if isinstance(result, asyncio.Future):
            result.add_done_callback(lambda done: self._return(process, reply, done.exception() or done.result()))
        else:
            self._return(process, reply, result)

    def _return(self, process: Process, reply: asyncio.Future[Any], result: Any) -> None:
        self._loop.call_later(self.delay(), process.receive, reply, result)


def _result_of(execute: Callable[[], Any]) -> Any:
    try:
        return execute()
    except Exception as error:  # noqa: BLE001 - whatever the server says goes back to the caller
        return error
