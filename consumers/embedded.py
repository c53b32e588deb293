"""The embedded command log: a bounded queue in this process, between the gateway's submit and the apply loop."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Final

from consumers.apply import Answer
from consumers.metrics import Metrics
from consumers.ports import Reply
from consumers.submission import Busy, OutcomeUnknown
from schemas.commands import ChangeCommand, decode_command, encode_command

MOST_PENDING: Final = 4096
MOST_PENDING_BYTES: Final = 64 * 1024 * 1024
"""How many commands may wait, and how much they may come to; more are refused as busy (INV-19)."""
SWEEP_S: Final = 0.05


class LocalCommands:
    """Both ends of the queue: ``consumers.ports.Submitter`` for the gateway, ``CommandSource`` for the apply loop.

    Nothing here is durable: a command that was not answered when the process dies never happened, and its caller
    never got an answer. Commands pass through the codec as they would through Kafka, so that what is decided is what
    a log could hold.
    """

    def __init__(
        self,
        metrics: Metrics,
        mark_unseen: Callable[[str, str], None],
        *,
        most_pending: int = MOST_PENDING,
        most_bytes: int = MOST_PENDING_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._metrics = metrics
        self._mark_unseen = mark_unseen
        self._most_pending = most_pending
        self._most_bytes = most_bytes
        self._clock = clock
        self._queue: deque[ChangeCommand] = deque()
        self._queued: dict[str, tuple[str, int]] = {}
        """Tenant and size of each queued command, by txn."""
        self._bytes = 0
        self._callers: dict[str, tuple[asyncio.Future[Reply], float]] = {}
        """Who waits for each txn, and until when, in seconds since 1970."""
        self._arrived = asyncio.Event()
        metrics.in_flight.set_function(self.__len__)

    async def submit(self, command: ChangeCommand) -> Reply:
        """See ``consumers.ports.Submitter.submit``."""
        value = encode_command(command)
        if len(self._queue) >= self._most_pending or self._bytes + len(value) > self._most_bytes:
            self._metrics.shed.inc()
            raise Busy(command.txn)
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._queue.append(decode_command(value))
        self._queued[command.txn] = command.tenant, len(value)
        self._bytes += len(value)
        self._callers[command.txn] = future, (command.accepted_at + command.budget) / 1000
        self._arrived.set()
        # A caller that goes away cancels the future, not the command, which is on its way.
        return await future

    def __len__(self) -> int:
        """Return how many commands are not answered yet."""
        return len(self._queue)

    def is_pending(self, tenant: str, txn: str) -> bool:
        """See ``consumers.ports.Submitter.is_pending``."""
        return txn in self._queued and self._queued[txn][0] == tenant

    def mark_unseen(self, tenant: str, unseen: str) -> None:
        """See ``consumers.ports.Submitter.mark_unseen``."""
        self._mark_unseen(tenant, unseen)

    async def take(self, most: int) -> list[ChangeCommand]:
        """See ``consumers.apply.CommandSource.take``."""
        while not self._queue:
            self._arrived.clear()
            await self._arrived.wait()
        return list(islice(self._queue, most))

    def answer(self, command: ChangeCommand, answer: Answer) -> None:
        """See ``consumers.apply.CommandSource.answer``."""
        self._queue.popleft()
        _, size = self._queued.pop(command.txn)
        self._bytes -= size
        future, _ = self._callers.pop(command.txn, (None, 0.0))
        if future is None or future.done():
            return
        if isinstance(answer, Reply):
            future.set_result(answer)
        else:
            future.set_exception(answer)

    async def sweep(self) -> None:
        """Tell callers whose budget is over that the outcome is unknown; one task, not a timer each (CP-27)."""
        while True:
            await asyncio.sleep(SWEEP_S)
            self.expire(self._clock())

    def expire(self, now: float) -> None:
        """Answer every caller whose budget ended before ``now`` (seconds since 1970)."""
        for txn in [txn for txn, (_, deadline) in self._callers.items() if deadline <= now]:
            future, _ = self._callers.pop(txn)
            self._metrics.unknown.inc()
            if not future.done():
                future.set_exception(OutcomeUnknown(txn))

    def abandon(self) -> None:
        """Answer every caller that still waits: the process stops, its outcome will be told by the ``txn``."""
        self.expire(float("inf"))
