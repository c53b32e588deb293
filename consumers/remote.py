"""The distributed way of a command: appended to the command topic, answered by a reply or by its stored outcome."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import msgspec

from consumers.errors import LogUnavailable, OperatorError
from consumers.failpoints import hit
from consumers.metrics import Metrics
from consumers.partition_ports import Appended, CommandLog
from consumers.ports import Reader, Reply
from consumers.submission import Busy, OutcomeUnknown, SubmissionError
from schemas.commands import ChangeCommand, encode_command
from schemas.errors import TooLarge
from schemas.partitions import partition_of

logger = logging.getLogger("scimgw.remote")

MOST_PENDING: Final = 4096
MOST_PENDING_BYTES: Final = 64 * 1024 * 1024
"""How many commands may wait, and how much they may come to; more are refused as busy (INV-19)."""
MOST_COMMAND_BYTES: Final = 4 * 1024 * 1024 - 64 * 1024
"""The topic takes 4 MiB a batch; key, headers and framing have the rest. A larger one would break the producer (CP-10)."""
SWEEP_S: Final = 0.05
POLLS_S: Final = (0.25, 1.0)
LAST_POLL_S: Final = 0.3
"""The stored outcome is looked for so long after the submission, and so long before the end of the budget (CP-27)."""
AGAIN: Final = 1.5
"""In between it is looked for whenever it is so many times as old as at the last look. Who takes a partition over makes
what was logged before visible, and replies to none of it: its callers wait half as long again, not their whole budget."""
POLLED_AT_ONCE: Final = 256
STUCK_S: Final = 3.0
"""While an append to a partition hangs for longer, others to it are refused as busy: a broker that is away would have
each caller wait for its whole budget. The one that hangs tells when it is back. For the store the same."""
OVERDUE_S: Final = 60.0
"""For how long a command whose caller was told "unknown" counts as pending, if no answer comes."""


class _Waiting(msgspec.Struct, kw_only=True):
    """A command that was submitted here and that its caller has no answer to."""

    txn: str
    tenant: str
    partition: int
    future: asyncio.Future[Reply]
    append: asyncio.Future[Appended]
    size: int
    submitted: float
    """Seconds since 1970, like all that follow."""
    deadline: float
    polls: list[float]
    """When its outcome is to be looked for, the last first."""
    appended: float | None = None
    answered: bool = False


class RemoteCommands:
    """``consumers.ports.Submitter`` over the command topic: one table of who waits, one task that sweeps it.

    The append of a command runs apart from its caller, who may go away or be answered while it hangs. An answer comes
    as a reply; where that was lost, the outcome in the store is it, and comes without the resource.
    """

    def __init__(
        self,
        log: CommandLog,
        reader: Reader,
        metrics: Metrics,
        mark_unseen: Callable[[str, str], None],
        *,
        shards: int,
        partitions: int,
        most_pending: int = MOST_PENDING,
        most_bytes: int = MOST_PENDING_BYTES,
        store_away_s: Callable[[], float] = lambda: 0.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``store_away_s``: for how many seconds the store has not been there, or not recovered; 0 while it is."""
        self._log = log
        self._reader = reader
        self._metrics = metrics
        self._mark_unseen = mark_unseen
        self._shards = shards
        self._partitions = partitions
        self._most_pending = most_pending
        self._most_bytes = most_bytes
        self._store_away_s = store_away_s
        self._clock = clock
        self._waiting: dict[str, _Waiting] = {}
        self._overdue: dict[str, tuple[str, float]] = {}
        """Tenant, and when to forget it, of commands whose callers were told "unknown"; in the order of forgetting."""
        self._held = 0
        self._bytes = 0
        """What is not answered, or still being appended: both cost memory."""
        self._hanging: list[dict[asyncio.Future[Appended], _Waiting]] = [{} for _ in range(partitions)]
        """The appends that run, by partition, the oldest first."""
        self._first_deadline = self._first_poll = math.inf
        """Nobody who waits is due before: what is due is looked for among all of them only then."""
        self._polling: asyncio.Task[None] | None = None
        metrics.in_flight.set_function(self._waiting.__len__)

    async def submit(self, command: ChangeCommand) -> Reply:
        """See ``consumers.ports.Submitter.submit``; raises TooLarge for a command that the topic would not take."""
        value = encode_command(command)
        if len(value) > MOST_COMMAND_BYTES:
            raise TooLarge(f"the change exceeds {MOST_COMMAND_BYTES} bytes; send it in smaller parts")
        if self._held >= self._most_pending or self._bytes + len(value) > self._most_bytes:
            self._metrics.shed.inc()
            raise Busy(command.txn)
        tenant, resource_id = command.tenant, command.resource_id
        partition = partition_of(tenant, resource_id, shards=self._shards, partitions=self._partitions)
        # Nobody should wait for a whole budget to hear what is known already.
        if self._is_stuck(partition) or self._store_away_s() > STUCK_S:
            self._metrics.shed.inc()
            raise Busy(command.txn)
        deadline = (command.accepted_at + command.budget) / 1000
        hit("gateway.accepted")
        append = asyncio.ensure_future(self._log.append(partition, f"{tenant}/{resource_id}", value))
        now = self._clock()
        waiting = self._waiting[command.txn] = _Waiting(
            txn=command.txn,
            tenant=tenant,
            partition=partition,
            future=asyncio.get_running_loop().create_future(),
            append=append,
            size=len(value),
            submitted=now,
            deadline=deadline,
            polls=_polls(now, deadline),
        )
        self._held += 1
        self._bytes += waiting.size
        self._hanging[partition][append] = waiting
        self._note_due(waiting)
        append.add_done_callback(partial(self._append_ended, waiting))
        # A caller that goes away cancels the future, not the command, which is on its way.
        return await waiting.future

    def __len__(self) -> int:
        """Return how many commands are not answered, or not yet with the broker."""
        return self._held

    def is_pending(self, tenant: str, txn: str) -> bool:
        """See ``consumers.ports.Submitter.is_pending``; also true for a while after the caller was told "unknown"."""
        if waiting := self._waiting.get(txn):
            return waiting.tenant == tenant
        return txn in self._overdue and self._overdue[txn][0] == tenant

    def mark_unseen(self, tenant: str, unseen: str) -> None:
        """See ``consumers.ports.Submitter.mark_unseen``."""
        self._mark_unseen(tenant, unseen)

    def deliver(self, txn: str, answer: Reply | SubmissionError) -> None:
        """Take an answer (``consumers.partition_ports.Deliver``).

        One that nobody waits for, any more or ever, is dropped and counted; so is one that speaks of another command.
        """
        if not _is_answer_to(txn, answer):
            self._metrics.replies_unknown.inc()
            logger.error("a reply names another command", extra={"action": "reply", "txn": txn})
            return
        if txn not in self._waiting:
            self._overdue.pop(txn, None)
            self._metrics.replies_unknown.inc()
            return
        hit("gateway.answered")
        if isinstance(answer, OutcomeUnknown):
            self._give_up(txn)  # the owner does not know either: it may yet appear
            return
        waiting = self._waiting[txn]
        if waiting.appended is not None:
            self._metrics.reply_seconds.observe(max(0.0, self._clock() - waiting.appended))
        self._answer(txn, answer)

    async def sweep(self) -> None:
        """Look after those who wait, until cancelled; one task, not a timer each (CP-27)."""
        try:
            while True:
                await asyncio.sleep(SWEEP_S)
                self.expire(self._clock())
                self._look_for_outcomes(self._clock())
        finally:
            if self._polling is not None:
                self._polling.cancel()

    def expire(self, now: float) -> None:
        """Answer every caller whose budget ended before ``now`` (seconds since 1970): the outcome is unknown.

        What of it is still queued for a broker that is away need not be sent any more: nobody would decide it (CP-18).
        """
        if self._first_deadline <= now:
            self._stop_waiting([txn for txn, waiting in self._waiting.items() if waiting.deadline <= now])
            self._first_deadline = min((waiting.deadline for waiting in self._waiting.values()), default=math.inf)
        for txn in [txn for txn, (_, until) in itertools.islice(self._overdue.items(), 256) if until <= now]:
            del self._overdue[txn]

    def abandon(self) -> None:
        """Answer every caller that still waits: the process stops, its outcome will be told by the ``txn``."""
        self._stop_waiting(list(self._waiting))

    async def close(self) -> None:
        """Abandon, and end the appends that still run; what they had in hand may yet appear."""
        self.abandon()
        appends = [append for hanging in self._hanging for append in hanging]
        for append in appends:
            append.cancel()
        await asyncio.gather(*appends, return_exceptions=True)

    async def poll(self, txns: Sequence[str]) -> None:
        """Look for the stored outcomes of these commands, and answer with what is found: their replies were lost."""
        wanted = [(txn, waiting) for txn in txns if (waiting := self._waiting.get(txn)) is not None]
        looks = (self._reader.outcome(waiting.tenant, txn) for txn, waiting in wanted)
        for (txn, _), found in zip(wanted, await asyncio.gather(*looks, return_exceptions=True), strict=True):
            if found is None or isinstance(found, OperatorError):
                continue
            if isinstance(found, BaseException):
                # One that a later version wrote, say: its caller is told "unknown", nobody else is disturbed.
                logger.error("an outcome cannot be read", exc_info=found, extra={"action": "poll", "txn": txn})
                continue
            if txn in self._waiting:
                self._metrics.replies_late.inc()
                self._answer(txn, Reply(found))

    def _is_stuck(self, partition: int) -> bool:
        """Tell whether what was submitted to the partition before does not get to the broker."""
        oldest = next(iter(self._hanging[partition].values()), None)
        return oldest is not None and self._clock() - oldest.submitted > STUCK_S

    def _append_ended(self, waiting: _Waiting, append: asyncio.Future[Appended]) -> None:
        del self._hanging[waiting.partition][append]
        if waiting.answered:
            self._let_go(waiting)
        if not append.cancelled():
            error = append.exception()
            if error is None:
                hit("gateway.appended")
                self._metrics.appended.add()
                waiting.appended = self._clock()
            else:
                # At once: it may be durable or never become so, waiting does not tell (G3).
                self._give_up(waiting.txn)
                fields = {"action": "append", "txn": waiting.txn, "error": str(error)}
                if isinstance(error, LogUnavailable):
                    logger.warning("an append failed", extra=fields)
                else:
                    logger.error("an append failed", exc_info=error, extra=fields)

    def _stop_waiting(self, txns: Sequence[str]) -> None:
        for txn in txns:
            self._waiting[txn].append.cancel()
            self._give_up(txn)

    def _give_up(self, txn: str) -> None:
        """Tell the caller that the outcome is unknown."""
        if txn not in self._waiting:
            return
        self._metrics.unknown.inc()
        self._overdue[txn] = self._waiting[txn].tenant, self._clock() + OVERDUE_S
        if len(self._overdue) > self._most_pending:
            del self._overdue[next(iter(self._overdue))]
        self._answer(txn, OutcomeUnknown(txn))

    def _answer(self, txn: str, answer: Reply | SubmissionError) -> None:
        waiting = self._waiting.pop(txn)
        waiting.answered = True
        if waiting.append not in self._hanging[waiting.partition]:
            self._let_go(waiting)
        if waiting.future.done():
            return
        if isinstance(answer, Reply):
            waiting.future.set_result(answer)
        else:
            waiting.future.set_exception(answer)

    def _let_go(self, waiting: _Waiting) -> None:
        self._held -= 1
        self._bytes -= waiting.size

    def _look_for_outcomes(self, now: float) -> None:
        """Begin to poll for those who are due, unless the last poll still runs."""
        if self._polling is not None:
            if not self._polling.done():
                return
            self._polling.result()  # raises what would be a defect
            self._polling = None
        if self._first_poll > now:
            return
        due = [txn for txn, waiting in self._waiting.items() if waiting.polls and waiting.polls[-1] <= now]
        due = due[:POLLED_AT_ONCE]
        for txn in due:
            waiting = self._waiting[txn]
            while waiting.polls and waiting.polls[-1] <= now:
                waiting.polls.pop()
            again = waiting.submitted + AGAIN * (now - waiting.submitted)
            if len(waiting.polls) == 1 and again < waiting.polls[0]:
                waiting.polls.append(again)
        self._first_poll = min((each.polls[-1] for each in self._waiting.values() if each.polls), default=math.inf)
        if due:
            self._polling = asyncio.create_task(self.poll(due), name="poll-outcomes")

    def _note_due(self, waiting: _Waiting) -> None:
        self._first_deadline = min(self._first_deadline, waiting.deadline)
        if waiting.polls:
            self._first_poll = min(self._first_poll, waiting.polls[-1])


def _polls(now: float, deadline: float) -> list[float]:
    """Return when to look for an outcome, the last first: none where the budget is over before."""
    times = {now + after for after in POLLS_S} | {deadline - LAST_POLL_S}
    return sorted((time for time in times if now < time < deadline), reverse=True)


def _is_answer_to(txn: str, answer: Reply | SubmissionError) -> bool:
    """Tell whether an answer is about this command; a replayed one has the txn of the command that was first."""
    if isinstance(answer, Reply):
        return answer.replayed or answer.outcome.txn == txn
    return answer.txn == txn
