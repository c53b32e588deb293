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
"""How many commands may wait; more are refused as busy (INV-19)."""
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
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._metrics = metrics
        self._mark_unseen = mark_unseen
        self._most_pending = most_pending
        self._clock = clock
        self._queue: deque[ChangeCommand] = deque()
        self._pending: dict[str, tuple[asyncio.Future[Reply], float]] = {}
        self._arrived = asyncio.Event()

    async def submit(self, command: ChangeCommand) -> Reply:
        """See ``consumers.ports.Submitter.submit``."""
        if len(self._queue) >= self._most_pending or len(self._pending) >= self._most_pending:
            self._metrics.shed.inc()
            raise Busy(command.txn)
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._queue.append(decode_command(encode_command(command)))
        self._pending[command.txn] = future, (command.accepted_at + command.budget) / 1000
        self._metrics.in_flight.set(len(self._pending))
        self._arrived.set()
        # Not cancelled with the caller: the command is on its way, and the loop answers it whoever still listens.
        return await asyncio.shield(future)

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
        waiting = self._pending.pop(command.txn, None)
        self._metrics.in_flight.set(len(self._pending))
        if waiting is None or waiting[0].done():
            return
        if isinstance(answer, Reply):
            waiting[0].set_result(answer)
        else:
            waiting[0].set_exception(answer)

    async def sweep(self) -> None:
        """Tell callers whose budget is over that the outcome is unknown; one task instead of a timer a request (CP-27)."""
        while True:
            await asyncio.sleep(SWEEP_S)
            self.expire(self._clock())

    def expire(self, now: float) -> None:
        """Answer every pending command whose budget ended before ``now`` (seconds since 1970)."""
        for txn in [txn for txn, (_, deadline) in self._pending.items() if deadline <= now]:
            future, _ = self._pending.pop(txn)
            self._metrics.unknown.inc()
            if not future.done():
                future.set_exception(OutcomeUnknown(txn))

    def pending(self) -> frozenset[str]:
        """Return the txns that wait for an answer."""
        return frozenset(self._pending)

    def is_pending(self, txn: str) -> bool:
        """Tell whether a command is still waiting to be decided."""
        return any(command.txn == txn for command in self._queue)
