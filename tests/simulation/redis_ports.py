"""The ports of the store on the fake Redis: an owner's, a reader's, and the way of replies."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, TypeVar

import msgspec

from consumers.errors import NotRecovered, OperatorError
from consumers.partition_ports import Addressed, Deliver, OwnershipLost
from consumers.ports import Claim, Page, Reservation, Snapshot, Taken
from consumers.replies import decode_replies, encode_replies, received, sent
from schemas.changes import Name
from schemas.commands import ChangeCommand
from schemas.memberships import Membership
from schemas.numbering import Batch, StoredChange, Watermark
from schemas.outcomes import UNSEEN_LIFE_MS, Outcome
from schemas.records import Address, ResourceImage, decode_image
from tests.simulation.network import Process
from tests.simulation.redis_scripts import GATEWAY_LIFE_MS, MARK_AGE_MS, Kept, Rest, Scripts

if TYPE_CHECKING:
    from tests.simulation.world import World

T = TypeVar("T")
MOST_COMMANDS = 3
"""Commands of one commit script: 100 in production, so few here that batches take several."""
MOST_FOUND = 1000
_uniques = count()


class FakePartitionStore:
    """``consumers.partition_ports.PartitionStore`` of one owner."""

    def __init__(self, world: World, process: Process, partition: int) -> None:
        self._world = world
        self._process = process
        self._partition = partition
        self._scripts = Scripts(world.redis, world.shard, world.partition_of)
        self._boot = ""
        self._fence = ""
        self._mark: Watermark | None = None
        self._granted: dict[tuple[str, str], tuple[Name, ...]] = {}
        """What was reserved for a resource and is not committed, by tenant and id: let go once its command is cut."""

    async def _script(self, execute: Callable[[], T]) -> T:
        """Run a script that carries the boot in its text (CP-4)."""
        boot, redis = self._boot, self._world.redis

        def script() -> T:
            try:
                self._scripts.same_boot(boot)
                return redis.script(execute)
            except OwnershipLost:
                self._world.counts["fenced by redis"] += 1
                raise

        return await self._world.network.call(self._process, redis, script)

    async def _owned(self, execute: Callable[[], T], *, recovered: bool = True) -> T:
        """Run a script under the fence."""
        fence = self._fence

        def fenced() -> T:
            self._scripts.fenced(self._partition, fence)
            if recovered:
                self._scripts.recovered()
            return execute()

        return await self._script(fenced)

    async def take(self) -> Watermark | None:
        """See ``PartitionStore.take``."""
        self._boot = await self._world.network.call(self._process, self._world.redis, lambda: self._world.redis.boot)
        self._fence = fence = f"taking:{next(_uniques)}"
        self._granted = {}
        self._mark = await self._script(lambda: self._scripts.take(self._partition, fence))
        return self._mark

    async def empty(self) -> None:
        """See ``PartitionStore.empty``."""
        fence = self._fence
        self._world.counts["shard emptied"] += 1
        await self._owned(lambda: self._scripts.empty(self._partition, fence), recovered=False)
        self._mark = None

    async def records(self, keys: Sequence[str]) -> dict[str, bytes]:
        """See ``PartitionStore.records``."""
        if not keys:
            return {}
        return await self._owned(lambda: self._scripts.records(keys), recovered=False)

    async def replay(
        self,
        changes: Sequence[StoredChange],
        tombstones: Sequence[Address],
        outcomes: Sequence[tuple[str, Outcome]],
        numbers: dict[str, int],
        mark: Watermark,
    ) -> None:
        """See ``PartitionStore.replay``."""
        self._world.counts["changes replayed"] += len(changes)
        self._world.counts["outcomes replayed"] += len(outcomes)
        before = self._mark

        def replay() -> None:
            self._unmoved(before)
            self._scripts.replay(self._partition, changes, tombstones, outcomes, numbers, mark)

        await self._owned(replay, recovered=False)
        self._mark = mark

    async def activate(self, token: str) -> None:
        """See ``PartitionStore.activate``."""
        fence = f"active:{token}"
        await self._owned(lambda: self._scripts.activate(self._partition, fence), recovered=False)
        self._fence = fence
        self._world.counts["take-overs"] += 1

    async def check(self, now: int) -> None:
        """See ``PartitionStore.check``."""
        fence, granted = self._fence, dict(self._granted)

        def refresh() -> None:
            mark: Watermark | None = self._world.redis.get(("wm", self._partition))
            if mark is not None and now - mark.time > MARK_AGE_MS:
                self._world.redis.put(("wm", self._partition), msgspec.structs.replace(mark, time=now))

        await self._owned(refresh, recovered=False)
        if self._granted:
            with contextlib.suppress(NotRecovered):
                await self._owned(lambda: self._scripts.release(fence, granted))
                self._granted = {}

    async def unclean(self) -> bool:
        """See ``PartitionStore.unclean``."""
        return await self._owned(
            lambda: bool(self._world.redis.get(("owned", self._partition), False)), recovered=False
        )

    async def attempt(self, offset: int) -> int:
        """See ``PartitionStore.attempt``."""

        def attempt() -> int:
            at, times = self._world.redis.get(("tried", self._partition), (-1, 0))
            times = times + 1 if at == offset else 1
            self._world.redis.put(("tried", self._partition), (offset, times))
            return times

        return await self._owned(attempt, recovered=False)

    async def forgive(self) -> None:
        """See ``PartitionStore.forgive``."""
        await self._owned(lambda: self._world.redis.drop(("tried", self._partition)), recovered=False)

    async def leave(self) -> None:
        """See ``PartitionStore.leave``."""
        await self._owned(lambda: self._world.redis.drop(("owned", self._partition)), recovered=False)

    async def forgotten(self, now: int, most: int) -> list[Address]:
        """See ``PartitionStore.forgotten``."""
        return await self._owned(lambda: self._scripts.forgotten(self._partition, now, most), recovered=False)

    async def view(self, commands: Sequence[ChangeCommand]) -> Snapshot:
        """See ``Store.view``."""

        places = {(command.tenant, command.resource_id) for command in commands}
        fence, cut = self._fence, {place: names for place, names in self._granted.items() if place not in places}

        def view() -> Snapshot:
            self._scripts.release(fence, cut)
            return Snapshot(self._scripts.view(commands), self._scripts.numbers(self._partition, commands))

        snapshot = await self._owned(view)
        self._granted = {place: names for place, names in self._granted.items() if place in places}
        self._world.witness.viewed(self._process, commands)
        return snapshot

    async def reserve(self, claims: Sequence[Claim]) -> list[Reservation]:
        """See ``Store.reserve``."""
        fence = self._fence
        for claim in claims:
            # Before the script is sent: it may run and its answer be lost.
            place = claim.tenant, claim.resource_id
            self._granted[place] = (*self._granted.get(place, ()), *claim.names)
        made = await self._owned(lambda: self._scripts.reserve(self._partition, fence, claims))
        taken = [claim for claim, one in zip(claims, made, strict=True) if isinstance(one, Taken)]
        self._world.witness.taken.update((claim.tenant, claim.resource_id) for claim in taken)
        return made

    async def commit(self, batch: Batch) -> None:
        """See ``Store.commit``: looked at as a whole, one script for a few commands, the watermark moves with the last."""
        count = Counter(change.tenant for change in batch.changes)
        before, changes = self._mark, {(change.tenant, change.txn): change for change in batch.changes}
        outcomes = list(batch.outcomes)
        rest = Rest(batch.numbers, count, batch.forgotten, batch.mark)
        last: Rest | None = None
        checked = False
        while last is None:
            part, outcomes = outcomes[:MOST_COMMANDS], outcomes[MOST_COMMANDS:]
            own = [changes[tenant, o.txn] for tenant, o in part if (tenant, o.txn) in changes]
            last = None if outcomes else rest
            await self._owned(partial(self._commit, before, None if checked else batch, rest, own, part, last))
            checked = True
        self._mark = batch.mark
        for change in batch.changes:
            self._granted.pop((change.tenant, change.resource_id), None)

    def _commit(
        self,
        before: Watermark | None,
        whole: Batch | None,
        rest: Rest,
        changes: Sequence[StoredChange],
        outcomes: Sequence[tuple[str, Outcome]],
        last: Rest | None,
    ) -> None:
        if rest.mark is not None:
            self._unmoved(before)
        if whole is not None:
            self._scripts.validate(self._partition, whole.changes, rest)
        self._scripts.commit(self._partition, changes, outcomes, last)

    def _unmoved(self, before: Watermark | None) -> None:
        """Refuse unless the watermark is what this owner wrote last (CP-24)."""
        mark: Watermark | None = self._world.redis.get(("wm", self._partition))
        if (None if mark is None else mark.offset) != (None if before is None else before.offset):
            raise OwnershipLost("the watermark is not what this owner wrote")

    async def reply(self, replies: Sequence[Addressed]) -> None:
        """See ``PartitionStore.reply``."""

        def send() -> None:
            for one in replies:
                self._world.streams.add(one.gateway, encode_replies([sent(one.txn, one.answer)]))

        try:
            await self._world.network.call(self._process, self._world.redis, send)
        except OperatorError:
            self._world.counts["replies not sent"] += len(replies)


class FakeReader:
    """``consumers.ports.Reader``: each read is made together with the look at boot and ``recovered`` (CP-28)."""

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._process = process
        self._scripts = Scripts(world.redis, world.shard, world.partition_of)

    async def _read(self, read: Callable[[], T]) -> T:
        def recovered() -> T:
            self._scripts.recovered()
            return read()

        return await self._world.network.call(self._process, self._world.redis, recovered)

    async def get(self, tenant: str, resource_type: str, resource_id: str) -> ResourceImage | None:
        """See ``Reader.get``."""
        return await self._read(lambda: self._image(("r", tenant, resource_type, resource_id)))

    def _image(self, key: tuple[str, ...]) -> ResourceImage | None:
        kept: Kept | None = self._world.redis.get(key)
        return decode_image(kept.record) if kept is not None and kept.live else None

    async def find(self, tenant: str, resource_type: str, name: Name) -> tuple[ResourceImage, ...]:
        """See ``Reader.find``."""

        def find() -> tuple[ResourceImage, ...]:
            holders = self._world.redis.get(("uq", tenant, *name), frozenset())
            holders |= self._world.redis.get(("ix", tenant, resource_type, *name), frozenset())
            images = (self._image(("r", tenant, resource_type, one)) for one in sorted(holders))
            found = sorted((image for image in images if image is not None), key=lambda image: image.created)
            return tuple(found[:MOST_FOUND])

        return await self._read(find)

    async def page(self, tenant: str, resource_type: str, offset: int, limit: int) -> Page:
        """See ``Reader.page``."""

        def page() -> Page:
            live = [
                decode_image(kept.record)
                for key, kept in self._world.redis.items("r")
                if kept.live and key[1:3] == (tenant, resource_type)
            ]
            live.sort(key=lambda image: (image.created, bytes(image.doc)))
            return Page(len(live), tuple(live[offset : offset + limit]))

        return await self._read(page)

    async def groups_of(self, tenant: str, member_id: str) -> tuple[Membership, ...]:
        """See ``Reader.groups_of``: nobody makes groups here."""
        return await self._read(lambda: ())

    async def outcome(self, tenant: str, txn: str) -> Outcome | None:
        """See ``Reader.outcome``."""
        return await self._read(lambda: self._scripts.outcome(tenant, txn))


class FakeReplies:
    """``consumers.partition_ports.ReplySource``, the sign of life of a gateway, and its marks of unseen answers."""

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._process = process

    async def run(self, deliver: Deliver) -> None:
        """See ``ReplySource.run``."""
        while True:
            for value in await self._world.streams.take(self._process.name):
                await self._process.gate()
                for reply in decode_replies(value):
                    deliver(reply.txn, received(reply))

    async def live(self) -> None:
        """Say that this gateway is alive, until it is not."""
        redis, name = self._world.redis, self._process.name
        while True:
            with contextlib.suppress(OperatorError):
                await self._world.network.call(
                    self._process, redis, lambda: redis.put(("alive", name), redis.now() + GATEWAY_LIFE_MS)
                )
            await asyncio.sleep(GATEWAY_LIFE_MS / 3000)

    def mark_unseen(self, tenant: str, unseen: str) -> None:
        """See ``Submitter.mark_unseen``."""
        redis = self._world.redis

        async def mark() -> None:
            try:
                await self._world.network.call(
                    self._process, redis, lambda: redis.put(("unseen", tenant, unseen), redis.now() + UNSEEN_LIFE_MS)
                )
            except OperatorError:
                self._world.counts["marks lost"] += 1

        self._process.start(mark(), "mark")


class Streams:
    """The reply streams: what a Redis that lost its data has lost, too, is an answer found as stored outcome."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._entries: dict[str, list[bytes]] = {}
        self._waiting: dict[str, asyncio.Future[None]] = {}

    def add(self, gateway: str, value: bytes) -> None:
        """Append an answer; some get lost."""
        if self._world.random.random() < self._world.reply_loss:
            self._world.counts["replies lost"] += 1
            return
        self._entries.setdefault(gateway, []).append(value)
        waiting = self._waiting.pop(gateway, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    async def take(self, gateway: str) -> list[bytes]:
        """Return new answers, at least one; waits for them."""
        if not self._entries.get(gateway):
            self._waiting[gateway] = asyncio.get_running_loop().create_future()
            await self._waiting[gateway]
            await asyncio.sleep(self._world.network.delay())
        return self._entries.pop(gateway, [])
