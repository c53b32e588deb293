"""The ports of the log on the fake broker: one process's view of one partition."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from consumers.errors import LogUnavailable
from consumers.partition_ports import Appended, Delivered, Ends, OwnershipLost, TransactionTooSlow
from schemas.commands import decode_command
from schemas.transactions import StateRecord, Transaction
from tests.simulation.broker import Entry
from tests.simulation.network import Process

if TYPE_CHECKING:
    from tests.simulation.world import World

TRANSACTION_LIMIT_S: Final = 3.0
"""The time limit that a transaction keeps by itself (CP-23)."""
APPEND_LIMIT_S: Final = 5.0
FAR_S: Final = 60.0
"""A clock that is so far ahead is not believed."""


class FakePartitionLog:
    """``consumers.partition_ports.PartitionLog``: two transactional ids, used in turn (CP-2)."""

    def __init__(self, world: World, process: Process, partition: int) -> None:
        self._world = world
        self._process = process
        self._partition = partition
        self._ids = (f"state-{partition}-0", f"state-{partition}-1")
        self._epochs = [-1, -1]
        self._turn = 0
        self._lane = f"log-{partition}"

    async def open(self) -> str:
        """See ``PartitionLog.open``."""
        broker = self._world.broker
        token = ""
        for i, transactional_id in enumerate(self._ids):
            start = partial(broker.start_producer, transactional_id)
            producer, self._epochs[i] = await self._world.network.call(self._process, broker, start)
            token += f"{producer}:{self._epochs[i]};"
        return token

    async def ends(self) -> Ends:
        """See ``PartitionLog.ends``."""
        log = self._world.broker.state[self._partition]
        return await self._world.network.call(
            self._process, self._world.broker, lambda: Ends(log.start, log.stable, log.end)
        )

    async def read(self, offset: int, end: int) -> AsyncIterator[Sequence[StateRecord]]:
        """See ``PartitionLog.read``."""
        log = self._world.broker.state[self._partition]
        entries = await self._world.network.call(self._process, self._world.broker, lambda: log.committed(offset, end))
        self._world.counts["records replayed"] += len(entries)
        while entries:
            most = self._world.random.choice((1, 3, 50))
            stretch, entries = entries[:most], entries[most:]
            await self._process.gate()
            yield [StateRecord(entry.key, entry.value) for entry in stretch]

    def expect(self) -> None:
        """See ``PartitionLog.expect``: a transaction without a record shows nothing to anybody."""

    async def append(self, transaction: Transaction) -> int:
        """See ``PartitionLog.append``."""
        turn, self._turn = self._turn, 1 - self._turn
        try:
            async with asyncio.timeout(TRANSACTION_LIMIT_S):
                last = await self._send(transaction, self._ids[turn], self._epochs[turn])
                await self._call(lambda: self._world.broker.commit(self._ids[turn], self._epochs[turn]))
        except (TimeoutError, LogUnavailable) as error:
            self._world.counts["transactions in doubt"] += 1
            if isinstance(error, TimeoutError):
                raise TransactionTooSlow("the transaction is in doubt") from error
            raise OwnershipLost("the transaction is in doubt") from error
        return last + 1

    async def _send(self, transaction: Transaction, transactional_id: str, epoch: int) -> int:
        """Write the records, in two requests; return the offset of the last state record."""
        broker, partition = self._world.broker, self._partition
        self._world.witness.sending(self._process, transaction)

        def state() -> int:
            writing = broker.begin(transactional_id, epoch)
            log = broker.state[partition]
            return max(log.append(broker.now(), r.key, r.value, (), writing).offset for r in transaction.state)

        def events() -> None:
            writing = broker.writing(transactional_id, epoch)
            for event in transaction.events:
                broker.events[partition].append(broker.now(), event.key, event.value, event.headers, writing)
            broker.dead.extend(transaction.dead)
            self._world.counts["parked"] += len(transaction.dead)

        last = await self._call(state)
        if transaction.events or transaction.dead:
            await self._call(events)
        return last

    async def _call(self, execute: Callable[[], Entry | int | None]) -> int:
        answer = await self._world.network.call(
            self._process, self._world.broker, execute, limit_s=TRANSACTION_LIMIT_S, lane=self._lane
        )
        return answer if isinstance(answer, int) else 0

    async def close(self) -> None:
        """See ``PartitionLog.close``."""


class FakeCommandLog:
    """``consumers.partition_ports.CommandLog``: durable once it returns; after an error, who knows (G3)."""

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._process = process

    async def append(self, partition: int, key: str, value: bytes) -> Appended:
        """See ``CommandLog.append``."""
        world, broker = self._world, self._world.broker
        log = broker.commands[partition]

        def append() -> Appended:
            entry = log.append(broker.now(), key, value)
            self._appended(value)
            world.repeat(partition, key, value, lambda: self._appended(value))
            return Appended(entry.offset, entry.at)

        await self._process.gate()
        if not broker.up and world.random.random() < 0.5:
            # An idempotent batch never expires: it is sent when the broker is back, whatever its caller was told.
            broker.when_up(lambda: self._late(append))
        return await world.network.call(
            self._process, broker, append, limit_s=APPEND_LIMIT_S, lane=f"commands-{partition}"
        )

    def _appended(self, value: bytes) -> None:
        """Of a clock that is not believed only the time of the append counts, of a repeat as of the first."""
        if self._process.skew_s > FAR_S:
            command = decode_command(value)
            self._world.witness.accepted(command.txn, command.budget)

    def _late(self, append: Callable[[], Appended]) -> None:
        if not self._process.dead:
            self._world.counts["appended late"] += 1
            append()


class FakeFeed:
    """``consumers.partition_ports.CommandFeed``: a consumer of one partition, with what it has fetched."""

    def __init__(self, world: World, process: Process, partition: int, assigned: Callable[[], bool]) -> None:
        self._world = world
        self._process = process
        self._partition = partition
        self._log = world.broker.commands[partition]
        self._assigned = assigned
        self._position = 0
        self._fetched: list[Delivered] = []

    async def bounds(self) -> tuple[int, int]:
        """See ``CommandFeed.bounds``."""
        return await self._world.network.call(
            self._process, self._world.broker, lambda: (self._log.start, self._log.end)
        )

    async def seek(self, offset: int) -> None:
        """See ``CommandFeed.seek``."""
        self._position = self._world.dealt[self._partition][self] = offset
        self._fetched = []

    async def take(self, most: int, most_bytes: int, wait_s: float) -> Sequence[Delivered]:
        """See ``CommandFeed.take``."""
        await self._process.gate()
        if not self._fetched:
            await self._fetch(wait_s)
        taken: list[Delivered] = []
        for one in self._fetched[:most]:
            if taken and sum(len(other.value) for other in taken) > most_bytes:
                break
            taken.append(one)
        return taken

    async def _fetch(self, wait_s: float) -> None:
        self._fetched = await self._call()
        if self._fetched or not wait_s or self._log.end > self._position:
            return
        arrived: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._log.waiting.append(arrived)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await arrived
            self._fetched = await self._call()

    async def _call(self) -> list[Delivered]:
        most = self._world.random.choice((1, 4, 100))

        def fetch() -> list[Delivered]:
            if self._position < self._log.start:
                # Retention took what was never delivered, as after days without a worker: the consumer goes on behind it.
                self._position = self._world.dealt[self._partition][self] = self._log.start
            entries = [entry for entry in self._log.entries if entry.offset >= self._position][:most]
            return [Delivered(e.offset, e.at, e.key, e.value or b"") for e in entries]

        return await self._world.network.call(self._process, self._world.broker, fetch)

    def done(self, count: int) -> None:
        """See ``CommandFeed.done``."""
        self._position = self._world.dealt[self._partition][self] = self._fetched[count - 1].offset + 1
        del self._fetched[:count]

    @property
    def assigned(self) -> bool:
        """See ``CommandFeed.assigned``."""
        return self._assigned()


class FakeGroup:
    """``consumers.partition_ports.CommandGroup``: a member, which learns of rebalances at its next heartbeat."""

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._process = process
        self._held: frozenset[int] = frozenset()

    def feed(self, partition: int) -> FakeFeed:
        """See ``CommandGroup.feed``."""
        return FakeFeed(self._world, self._process, partition, lambda: partition in self._held)

    async def run(
        self,
        assigned: Callable[[frozenset[int]], Awaitable[None]],
        revoked: Callable[[frozenset[int]], Awaitable[None]],
    ) -> None:
        """See ``CommandGroup.run``."""
        group, name = self._world.group, self._process.name
        try:
            while True:
                beat = partial(group.heartbeat, name, self._held)
                wanted = await self._world.network.call(self._process, self._world.broker, beat)
                lost, won = self._held - wanted, wanted - self._held
                if lost:
                    self._held -= lost
                    await revoked(lost)
                elif won:
                    self._held |= won
                    await assigned(won)
                else:
                    await asyncio.sleep(group.HEARTBEAT_S)
        except LogUnavailable:
            self._held = frozenset()
            raise
        finally:
            self._held = frozenset()
            if not self._process.dead:
                group.leave(name)
