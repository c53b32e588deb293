"""The apply loop: budget, view, decide, reserve, number, persist, reply; one for every back end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from consumers.errors import OperatorError
from consumers.failpoints import hit
from consumers.metrics import Metrics
from consumers.ports import Claim, Contended, Granted, KeyUsed, Reply, Reservation, Snapshot, Store, Taken
from consumers.submission import Busy, Expired, Failed, OutcomeUnknown, SubmissionError
from schemas import batches
from schemas.batches import Crashed, Step
from schemas.changes import Change, Decision, NoChange, image_of
from schemas.commands import ChangeCommand, Create, verb_of
from schemas.decide import answer_of_key, refusal
from schemas.errors import Uniqueness
from schemas.fingerprints import unseen_key
from schemas.numbering import Batch, number
from schemas.outcomes import Outcome, Refusal

logger = logging.getLogger(__name__)

Answer = Reply | SubmissionError
Persist = Callable[[Batch, int], Awaitable[None]]
"""Makes a batch durable and visible, all or nothing, and the first so many commands with it decided.

SQLite's one transaction; on Kafka the log's, then the store's.
"""
Park = Callable[[ChangeCommand, Exception], Awaitable[None]]
"""Puts a command that cannot be decided, and why, aside for good (INV-18)."""

LONGEST_PLAN_S = 0.1
"""For how long others wait while commands are decided, beyond the last: one takes up to a second where it is made to."""
CONTENTION_PAUSE_S = 0.02
CONTENTION_LIMIT_S = 1.0
"""How long a name that is only reserved is waited for before the command is answered as busy (CP-20)."""


def straight_to(store: Store) -> Persist:
    """Return how a batch is made durable where there is no log beside the store."""

    async def persist(batch: Batch, _count: int) -> None:
        await store.commit(batch)

    return persist


class AnswerSink(Protocol):
    """Where answers go."""

    def answer(self, command: ChangeCommand, answer: Answer) -> None:
        """Answer the first command not yet answered and take it off."""
        ...


class CommandSource(AnswerSink, Protocol):
    """Where commands come from, in order, and where their answers go."""

    async def take(self, most: int) -> list[ChangeCommand]:
        """Return the next commands, at least one, without taking them off; waits for them."""
        ...


class ApplyLoop:
    """Applies the commands of one partition, batch by batch; the only writer of the partition's resources."""

    def __init__(
        self,
        answers: AnswerSink,
        store: Store,
        persist: Persist,
        *,
        metrics: Metrics,
        issuer: str,
        partition: int = 0,
        most: int = 256,
        margin_ms: int = 0,
        park: Park | None = None,
        redelivers: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``redelivers``: whether a command comes again unless ``persist`` was told that it is decided.

        Then every answer waits for it, also one that leaves nothing: who was told that a command will never be applied,
        or got an earlier answer, must not see it applied by the next owner (INV-6).
        """
        self._answers = answers
        self._store = store
        self._persist = persist
        self._metrics = metrics
        self._issuer = issuer
        self._partition = partition
        self._most = most
        self._margin_ms = margin_ms
        self._park = park
        self._redelivers = redelivers
        self._clock = clock
        self._tally: Counter[tuple[str, str, str]] = Counter()

    async def run(self, source: CommandSource) -> None:
        """Apply commands until cancelled; what the store cannot do now is answered, and the next commands are tried."""
        while True:
            commands = await source.take(self._most)
            try:
                await self.apply(commands)
            except OperatorError as error:
                # Viewing or reserving failed: nothing was decided, so this is no 'unknown'.
                self._failed(error, "view")
                for command in commands:
                    self._answer(command, Expired(command.txn), "failed")
                self._count()

    async def apply(self, commands: Sequence[ChangeCommand]) -> int:
        """Apply the longest prefix of ``commands`` that makes one batch, answer it and return its length (≥ 1).

        Raises what the store raises on view and reserve; then nothing was decided and nothing answered.
        """
        started = time.perf_counter()
        snapshot = await self._store.view(commands)
        hit("worker.viewed")
        viewed = time.perf_counter()
        self._metrics.step("view", viewed - started)
        began = self._clock()
        now = int(began * 1000)
        steps = batches.plan(
            commands,
            snapshot.views,
            now,
            self._margin_ms,
            full=snapshot.full,
            enough=lambda: self._clock() - began > LONGEST_PLAN_S,
        )
        self._metrics.step("plan", time.perf_counter() - viewed)
        steps = await self._reserve(commands, steps, now)
        if self._is_late(commands, steps, now):
            # The store took its time, or a name was waited for: what has become late is planned anew, and expires.
            return await self.apply(commands)
        hit("worker.reserved")
        if self._park is not None:
            steps = await self._without_crashed(self._park, commands, steps)
        taken = commands[: len(steps)]
        batch = self._number(taken, steps, snapshot)
        self._metrics.batch_commands.observe(len(taken))
        final = bool(batch.outcomes) or self._redelivers
        kept = not final or await self._persisted(batch, len(taken))
        self._reply(taken, steps, batch, kept=kept)
        self._count()
        return len(taken)

    def _is_late(self, commands: Sequence[ChangeCommand], steps: Sequence[Step], planned: int) -> bool:
        """Tell whether the time to decide one of these is over by now, which it was not when they were planned."""
        now = int(self._clock() * 1000)
        margin = self._margin_ms
        return now > planned and any(
            isinstance(step, Decision)
            and batches.is_late(command, now, margin)
            and not batches.is_late(command, planned, margin)  # a key's other use is refused however late
            for command, step in zip(commands, steps, strict=False)
        )

    async def _without_crashed(self, park: Park, commands: Sequence[ChangeCommand], steps: list[Step]) -> list[Step]:
        """Cut the batch before the first command that cannot be decided; park it where it is the first of all."""
        crashed = next((i for i, step in enumerate(steps) if isinstance(step, Crashed)), len(steps))
        if crashed or not steps:
            return steps[:crashed]
        step = steps[0]
        if isinstance(step, Crashed):
            await park(commands[0], step.error)
        return steps[:1]

    async def _persisted(self, batch: Batch, count: int) -> bool:
        started = time.perf_counter()
        try:
            await self._persist(batch, count)
        except OperatorError as error:
            self._failed(error, "persist")
            return False
        self._metrics.step("persist", time.perf_counter() - started)
        return True

    def _failed(self, error: OperatorError, step: str) -> None:
        self._metrics.store_failures.inc()
        logger.error("the store failed", extra={"action": step, "error": str(error)})

    async def _reserve(self, commands: Sequence[ChangeCommand], steps: list[Step], now: int) -> list[Step]:
        """Reserve names and keys; return the steps with what else answers put in, cut before the first contended one."""
        wanting = [(i, claim) for i, step in enumerate(steps) if (claim := _claim(commands[i], step, now)) is not None]
        if not wanting:
            return steps
        reserving = time.perf_counter()
        claims = [claim for _, claim in wanting]
        reservations = await self._store.reserve(claims)
        if wanting[0][0] == 0 and isinstance(reservations[0], Contended):
            reservations = await self._wait_for_first(claims)
        self._metrics.step("reserve", time.perf_counter() - reserving)
        result = list(steps)
        for (i, _), reservation in zip(wanting, reservations, strict=True):
            match reservation:
                case Granted():
                    continue
                case Contended():
                    # Never a refusal: a 409 because of a mere reservation would be permanent for its caller (CP-20).
                    return result[:i] if i else [_given_up(commands[0])]
                case KeyUsed(outcome=outcome):
                    result[i] = answer_of_key(commands[i], outcome)
                case Taken(name=name, unseen=first):
                    if first is not None:
                        result[i] = first
                    else:
                        result[i] = refusal(Uniqueness(f"{name[0]} is in use by another {commands[i].resource_type}"))
        return result

    async def _wait_for_first(self, claims: list[Claim]) -> list[Reservation]:
        """Try again for up to a second while the first claim is contended (CP-20)."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CONTENTION_LIMIT_S
        while True:
            await asyncio.sleep(CONTENTION_PAUSE_S)
            reservations = await self._store.reserve(claims)
            if not isinstance(reservations[0], Contended) or loop.time() > deadline:
                return reservations

    def _number(self, commands: Sequence[ChangeCommand], steps: Sequence[Step], snapshot: Snapshot) -> Batch:
        """Give out numbers in order and encode records and events; refusals and no-ops take none."""
        numbers: dict[str, int] = {}
        changes = []
        outcomes = []
        for command, step in zip(commands, steps, strict=True):
            if isinstance(step, Outcome):
                if self._keeps_again(command, step):
                    outcomes.append((command.tenant, batches.repeated(command, step)))
                continue
            if not isinstance(step, Decision):
                continue
            unseen = None
            if isinstance(step, Change):
                following = numbers.get(command.tenant, snapshot.numbers[command.tenant]) + 1
                numbers[command.tenant] = following
                changes.append(number(step, partition=self._partition, number=following, issuer=self._issuer))
                unseen = _unseen(command)
            outcomes.append((command.tenant, batches.outcome_of(command, step, unseen)))
        return Batch(changes=tuple(changes), outcomes=tuple(outcomes), numbers=numbers)

    def _keeps_again(self, command: ChangeCommand, first: Outcome) -> bool:
        """Tell whether an earlier outcome is kept under this command's txn, too: its reply may be lost (CP-27)."""
        return self._redelivers and first.txn != command.txn

    def _reply(self, commands: Sequence[ChangeCommand], steps: Sequence[Step], batch: Batch, *, kept: bool) -> None:
        changes, outcomes = iter(batch.changes), iter(batch.outcomes)
        for command, step in zip(commands, steps, strict=True):
            match step:
                case Change() | NoChange() | Refusal() if not kept:
                    # A failed sync may or may not have reached the disk: the outcome will tell, who waits must ask.
                    self._answer(command, OutcomeUnknown(command.txn), "failed")
                case Change():
                    self._answer(command, Reply(next(outcomes)[1], next(changes).image), "applied")
                case NoChange(resource=resource):
                    self._answer(command, Reply(next(outcomes)[1], image_of(command, resource)), "no_change")
                case Refusal():
                    self._answer(command, Reply(next(outcomes)[1]), "refused")
                case Outcome():
                    if self._keeps_again(command, step):
                        next(outcomes)
                    self._answer(command, Reply(step, replayed=True), "replayed")
                case batches.Expired():
                    self._answer(command, Expired(command.txn), "expired")
                case batches.Full():
                    self._answer(command, Busy(command.txn), "full")
                case Crashed(error=error):
                    logger.error(
                        "a command could not be decided", exc_info=error, extra={"action": "decide", "txn": command.txn}
                    )
                    self._answer(command, Failed(command.txn), "failed")

    def _answer(self, command: ChangeCommand, answer: Answer, result: str) -> None:
        self._tally[command.tenant, verb_of(command), result] += 1
        self._answers.answer(command, answer)

    def _count(self) -> None:
        """Add what was answered to the metrics: once a batch, before any caller can look."""
        for (tenant, verb, result), count in self._tally.items():
            self._metrics.commands(tenant, verb, result, count)
        self._tally.clear()


def _given_up(command: ChangeCommand) -> Step:
    """Return what becomes of a command whose names stay reserved: its caller asks again; where nobody waits it is parked."""
    return batches.Expired() if command.budget else Crashed(TimeoutError("a name that it wants stays reserved"))


def _claim(command: ChangeCommand, step: Step, now: int) -> Claim | None:
    """Return what must be reserved before the step stands; None for nothing."""
    if not isinstance(step, Decision):
        return None
    names, key = step.acquires if isinstance(step, Change) else (), batches.key_of(command, step)
    if not names and key is None:
        return None
    return Claim(
        tenant=command.tenant,
        resource_id=command.resource_id,
        names=names,
        unseen=_unseen(command),
        now=now,
        key=key,
    )


def _unseen(command: ChangeCommand) -> str | None:
    """Return the name under which a repeat of this create finds its answer; only creates without a key need one (CP-30)."""
    if isinstance(command.change, Create):
        return unseen_key(command.principal, command.fingerprint)
    return None
