"""The owner of one partition: takes it over, then applies its commands batch by batch, one transaction each."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from consumers.apply import Answer, ApplyLoop
from consumers.batch_limit import MOST, BatchLimit
from consumers.deliveries import decoded
from consumers.errors import NotRecovered, OperatorError, PartitionHalted, StoreConflict, StoreUnavailable
from consumers.failpoints import hit
from consumers.metrics import Metrics
from consumers.parking import Parking
from consumers.partition_ports import (
    Addressed,
    CommandFeed,
    Delivered,
    OwnershipLost,
    PartitionLog,
    PartitionStore,
    TransactionTooSlow,
)
from consumers.slots import TransactionSlots
from consumers.submission import Failed
from consumers.takeover import Belongs, Resumption, take_over
from schemas.commands import ChangeCommand
from schemas.dead_letters import DeadLetter
from schemas.numbering import Batch, Watermark
from schemas.transactions import Transaction, transaction_of

logger = logging.getLogger(__name__)

MOST_BYTES: Final = 8 * 1024 * 1024
"""How much the commands that are looked at together come to, not counting the last."""
CHECK_S: Final = 1.0
"""How often boot and fence are checked, idle or not (CP-16)."""
TOUCH_S: Final = 24 * 3600.0
"""How often both transactional ids are used at least: the broker forgets them after seven idle days (CP-16)."""
FORGET_S: Final = 60.0
MOST_FORGOTTEN: Final = 500
TRANSACTION_MARGIN_MS: Final = 4000
"""A command is decided only so long before its budget ends: a transaction's time limit and a second of skew (CP-18)."""
MOST_ATTEMPTS: Final = 3
"""The third attempt at a command whose first two ended with the worker's death is not made (CP-26)."""
RECOVERY_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 1.0
HALT_PAUSE_S: Final = 30.0
NOT_KNOWN: Final = -2


class CommitRefused(Exception):
    """The store refused a batch that its own view had allowed: a defect, in a command or in us."""


class PartitionOwner:
    """Owns a partition for as long as it is assigned: the only one that changes its resources."""

    def __init__(
        self,
        partition: int,
        feed: CommandFeed,
        log: PartitionLog,
        store: PartitionStore,
        *,
        metrics: Metrics,
        issuer: str,
        slots: TransactionSlots,
        belongs: Belongs = lambda _tenant, _resource_id: True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._partition = partition
        self._feed = feed
        self._log = log
        self._store = store
        self._metrics = metrics
        self._slots = slots
        self._belongs = belongs
        self._clock = clock
        self._applying = ApplyLoop(
            self,
            store,
            self._persist,
            metrics=metrics,
            issuer=issuer,
            partition=partition,
            most=MOST,
            margin_ms=TRANSACTION_MARGIN_MS,
            park=self._park_crashed,
            redelivers=True,
            clock=clock,
        )
        self._parking = Parking(partition, store, self._persist_up_to, metrics=metrics, clock=clock)
        self._stopping = False
        self._taken: Sequence[Delivered] = ()
        """What the running batch was delivered."""
        self._decided = NOT_KNOWN
        """Offset of the last command that was dealt with, whether or not a position says so yet."""
        self._measured = 0.0
        """When the lag was measured last, in seconds of the loop's clock."""
        self._answers: list[Addressed] = []
        self._replying: asyncio.Task[None] | None = None
        self._counted, self._miscounted = (-1, 0), False
        """Offset of the command whose attempts were counted last, and their number; whether a count's answer was lost."""
        self._limit = BatchLimit()
        self._careful_until = -1
        """Commands before this offset run one by one: one of them may have killed the last owner (CP-26)."""

    def stop(self) -> None:
        """Finish the running batch, then return from ``run``."""
        self._stopping = True

    async def run(self) -> None:
        """Own the partition until told to stop, or until it is no longer assigned; never raises but for cancellation."""
        failures = 0
        served = careful = False
        try:
            while not self._stopping and self._feed.assigned:
                try:
                    # What this owner tried and log or store then failed is forgiven; not what killed the owner before.
                    resumption = await self._take_over(forgive=served and not careful)
                    failures, served, careful = 0, True, careful or resumption.unclean
                    await self._serve(resumption.offset, careful=careful)
                except PartitionHalted as error:
                    self._halted(error)
                    await self._measure()
                    await self._pause(HALT_PAUSE_S)
                except (OwnershipLost, OperatorError) as error:
                    failures, careful = failures + 1, False
                    self._metrics.ownership_lost.inc()
                    logger.warning(
                        "partition lost", extra={"action": "own", "partition": self._partition, "error": str(error)}
                    )
                    if isinstance(error, StoreUnavailable):
                        # It may be away for this worker alone, which then keeps the partition from all others.
                        self._metrics.store_failures.inc()
                        await self._measure(CHECK_S)
                    await self._pause(_back_off(failures))
                except Exception:
                    # What we do not know may be a command's doing: whoever comes next tries them one by one (CP-26).
                    failures, careful = failures + 1, True
                    logger.exception("a batch failed", extra={"action": "own", "partition": self._partition})
                    await self._pause(_back_off(failures))
        finally:
            if self._replying is not None:
                self._replying.cancel()
            self._metrics.left(self._partition)
            await self._log.close()

    async def _take_over(self, *, forgive: bool) -> Resumption:
        resumption = await take_over(
            self._partition,
            self._log,
            self._store,
            self._feed,
            metrics=self._metrics,
            belongs=self._belongs,
            clock=self._clock,
        )
        self._metrics.halted(self._partition, 0)
        if not forgive:
            return resumption
        # It was the log or the store that failed, not the command: it is not held against it.
        await self._store.forgive()
        return Resumption(resumption.offset, unclean=False)

    async def _serve(self, offset: int, *, careful: bool) -> None:
        """Apply commands from ``offset`` on until told to stop; raises what took the partition away."""
        self._decided = offset - 1
        self._careful_until = offset + MOST if careful else -1
        self._counted, self._miscounted = (-1, 0), False
        self._answers.clear()
        await self._feed.seek(offset)
        loop = asyncio.get_running_loop()
        checked = forgotten = touched = loop.time()
        while not self._stopping and self._feed.assigned:
            now = loop.time()
            if now - checked >= CHECK_S:
                await self._check()
                checked = now
            if now - forgotten >= FORGET_S:
                await self._forget()
                forgotten = now
            if now - touched >= TOUCH_S:
                await self._touch()
                touched = now
            most = self._limit.at(now)
            delivered = await self._feed.take(most, MOST_BYTES, CHECK_S)
            if delivered:
                async with self._slots.one():
                    # More may have come while other partitions had the slot, or a rebalance have taken all.
                    delivered = await self._feed.take(most, MOST_BYTES, 0.0)
                    if delivered:
                        hit("worker.taken")
                        await self._step(delivered)
        await self._answered()
        await self._store.leave()

    async def _check(self) -> None:
        held = await self._store.check(self._now())
        self._metrics.outcomes_held(self._partition, held.unkeyed, held.keyed)
        await self._measure()

    async def _measure(self, apart_s: float = 0.0) -> None:
        """Tell how many commands wait: also while none can be decided, which is when somebody must know.

        Not before the first was dealt with, nor ``apart_s`` after the last time.
        """
        now = asyncio.get_running_loop().time()
        if self._decided == NOT_KNOWN or now - self._measured < apart_s:
            return
        self._measured = now
        with contextlib.suppress(OperatorError):
            _, end = await self._feed.bounds()
            waiting = end - self._decided - 1
            self._metrics.lag(self._partition, waiting)
            if waiting == 0:
                self._metrics.progress(self._partition, self._decided, 0.0)

    async def _step(self, delivered: Sequence[Delivered]) -> None:
        """Deal with the next commands, one at least; what the store cannot do now is tried again."""
        failures = 0
        while True:
            self._log.expect()
            try:
                count = await self._batch(delivered)
                break
            except NotRecovered:
                await asyncio.sleep(RECOVERY_PAUSE_S)
            except StoreUnavailable as error:
                # Nothing was decided. The fence tells whether we still own the partition when the store is back.
                failures += 1
                self._metrics.store_failures.inc()
                logger.warning("the store failed", extra={"action": "view", "error": str(error)})
                delivered = delivered[: -(-len(delivered) // 2)]  # it may have been too much to answer in time
                await asyncio.sleep(_back_off(failures))
            if self._stopping or not self._feed.assigned:
                return
            await self._measure(CHECK_S)
        last = delivered[count - 1]
        self._decided = last.offset
        self._feed.done(count)
        self._metrics.progress(self._partition, last.offset, self._clock() - last.appended_at / 1000)
        await self._reply()

    async def _batch(self, delivered: Sequence[Delivered]) -> int:
        """Decide a prefix of what was delivered and return its length (≥ 1)."""
        careful = delivered[0].offset < self._careful_until
        self._taken = delivered[:1] if careful else delivered
        commands = []
        for one in self._taken:
            command = decoded(one, self._belongs)
            if command is None:
                break
            commands.append(command)
        if not commands:
            told = await self._parking.park_undecodable(delivered[0])
            if told is not None:
                self._answers.append(told)
            return 1
        if careful and await self._attempts(delivered[0].offset) >= MOST_ATTEMPTS:
            why = "its worker died, or its transaction failed, each time it was tried"
            await self._parking.park(delivered[0], commands[0], why)
            self.answer(commands[0], Failed(commands[0].txn))
            return 1
        return await self._applying.apply(commands)

    async def _attempts(self, offset: int) -> int:
        """Return for the how manieth time the command is tried, counted once however often the store is asked again."""
        if self._counted[0] != offset:
            if self._miscounted:
                await self._store.forgive()
            self._miscounted = True  # until the count is known: a lost answer must not count twice
            try:
                self._counted = offset, await self._store.attempt(offset)
            except NotRecovered:
                self._miscounted = False
                raise
            self._miscounted = False
        return self._counted[1]

    def answer(self, command: ChangeCommand, answer: Answer) -> None:
        """See ``consumers.apply.AnswerSink.answer``; sent together once the batch is done."""
        if command.gateway:
            self._answers.append(Addressed(command.gateway, command.tenant, command.txn, answer))

    async def _reply(self) -> None:
        """Send the batch's answers while the next batch runs; one sending at a time."""
        await self._answered()
        if self._answers:
            answers, self._answers = self._answers, []
            self._replying = asyncio.create_task(self._store.reply(answers), name=f"reply-{self._partition}")

    async def _answered(self) -> None:
        if self._replying is not None:
            await self._replying
            self._replying = None
            hit("worker.replied")

    async def _persist(self, batch: Batch, count: int) -> None:
        """Make a batch durable in the log, then visible in the store (CP-22, CP-24)."""
        try:
            await self._persist_up_to(batch, self._taken[count - 1].offset)
        except TransactionTooSlow:
            self._limit.too_slow(count, asyncio.get_running_loop().time())
            self._metrics.slow_transactions.inc()
            logger.warning(
                "a transaction took too long; batches are smaller for a while",
                extra={"action": "restrain", "partition": self._partition, "commands": self._limit.most},
            )
            raise

    async def _persist_up_to(self, batch: Batch, position: int, dead: tuple[DeadLetter, ...] = ()) -> None:
        """Log, then store; raises OwnershipLost whenever it is not known that both have it: a take-over will tell."""
        transaction = transaction_of(batch, partition=self._partition, position=position, dead=dead)
        try:
            offset = await self._append(transaction)
            hit("worker.logged")
            mark = Watermark(offset=offset, position=position, time=self._now())
            await self._store.commit(msgspec.structs.replace(batch, mark=mark))
            hit("worker.committed")
        except StoreConflict as error:
            raise CommitRefused(str(error)) from error
        except OperatorError as error:
            raise OwnershipLost(str(error)) from error

    async def _append(self, transaction: Transaction) -> int:
        started = time.perf_counter()
        offset = await self._log.append(transaction)
        self._metrics.step("log", time.perf_counter() - started)
        self._metrics.transactions.inc()
        return offset

    async def _touch(self) -> None:
        """Use both transactional ids, and let the position catch up with commands that left nothing."""
        nothing = Batch(changes=(), outcomes=(), numbers={})
        for _ in range(2):
            await self._persist_up_to(nothing, self._decided)

    async def _forget(self) -> None:
        """Let the places of resources go that were deleted thirty days ago (CP-8)."""
        gone = await self._store.forgotten(self._now(), MOST_FORGOTTEN)
        if gone:
            batch = Batch(changes=(), outcomes=(), numbers={}, forgotten=tuple(gone))
            await self._persist_up_to(batch, self._decided)

    async def _park_crashed(self, command: ChangeCommand, error: Exception) -> None:
        await self._parking.park(self._taken[0], command, f"{type(error).__name__} while it was decided")

    def _halted(self, error: PartitionHalted) -> None:
        self._metrics.halted(self._partition, 1)
        logger.critical("partition halted", extra={"action": "halt", "partition": self._partition, "error": str(error)})

    async def _pause(self, seconds: float) -> None:
        """Sleep, but no longer than until the partition is somebody else's."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not self._stopping and self._feed.assigned and (left := end - loop.time()) > 0:  # noqa: ASYNC110 - no event
            await asyncio.sleep(min(left, 0.2))

    def _now(self) -> int:
        return int(self._clock() * 1000)


def _back_off(failures: int) -> float:
    """Return seconds to wait: twice as long each time, with jitter, so that two rivals do not stay in step (Z3)."""
    longest: float = min(LONGEST_PAUSE_S, 0.05 * 2.0 ** min(failures, 10))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
