"""How many outcomes a store holds is bounded: the oldest without an Idempotency-Key go, a new key finds no room."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest

from consumers.backends.redis_client import RedisClient
from consumers.backends.redis_reader import RedisReader
from consumers.backends.redis_store import RedisPartitionStore
from consumers.backends.sqlite import open_embedded
from consumers.backends.sqlite_outcomes import OutcomeBound
from consumers.partition_ports import Held
from consumers.ports import Reader, Store
from consumers.settings import OutcomeSettings, RedisSettings
from schemas import batches
from schemas.batches import Full
from schemas.commands import ChangeCommand
from schemas.numbering import Watermark
from schemas.outcomes import KEYED_LIFE_MS, Outcome
from tests.contract.commands import create, name_of, new_id, now, replace
from tests.contract.owner import Owner, claim
from tests.contract.stands import GATEWAY

LIMITS = OutcomeSettings(most=5, most_keyed=3)


class Bounded:
    """A store that holds so few."""

    def __init__(self, store: Store, reader: Reader, tidied: Callable[[], Awaitable[Held]]) -> None:
        self.store = store
        self.owner = Owner(store)
        self.reader = reader
        self.tidied = tidied
        """Does what is done every few seconds; returns how many are held."""

    async def kept(self, *commands: ChangeCommand) -> list[bool]:
        """Tell which commands' outcomes are there."""
        return [await self.reader.outcome("acme", command.txn) is not None for command in commands]


async def on_redis(stack: AsyncExitStack, url: str) -> Bounded:
    client = RedisClient(RedisSettings(url=url))
    stack.push_async_callback(client.close)
    store = RedisPartitionStore(client, partition=0, shards=1, partitions=1, outcomes=LIMITS)
    await store.take()
    await store.activate(os.urandom(8).hex())
    return Bounded(store, RedisReader(client, shards=1, partitions=1), lambda: store.check(now()))


async def on_sqlite(stack: AsyncExitStack, path: Path) -> Bounded:
    counted: list[Held] = []
    bound = OutcomeBound(LIMITS, lambda unkeyed, keyed: counted.append(Held(unkeyed, keyed)))
    opening = open_embedded(path, gateway=GATEWAY, retention_days=7, bound=bound)
    embedded = await stack.enter_async_context(opening)

    async def tidied() -> Held:
        await embedded.upkeep.purge()  # the first finds those that are too many
        await embedded.upkeep.purge()
        return counted[-1]

    return Bounded(embedded.store, embedded.reader, tidied)


@pytest.fixture(
    params=["sqlite", *(pytest.param(name, marks=pytest.mark.services) for name in ("redis_url", "valkey_url"))]
)
async def bounded(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bounded]:
    """Give each back end, empty."""
    async with AsyncExitStack() as stack:
        if request.param == "sqlite":
            yield await on_sqlite(stack, tmp_path / "scimgw.db")
        else:
            yield await on_redis(stack, request.getfixturevalue(request.param))


async def test_of_outcomes_without_a_key_the_oldest_go(bounded: Bounded) -> None:
    at = now()
    commands = [create(accepted_at=at + n) for n in range(8)]  # of one millisecond any may be called the oldest
    await bounded.owner.apply_one_by_one(*commands)
    assert await bounded.tidied() == Held(5, 0)
    assert await bounded.kept(*commands) == [False] * 3 + [True] * 5


async def test_a_batch_of_more_than_may_be_kept_keeps_the_latest(bounded: Bounded) -> None:
    commands = [create(accepted_at=now() + n) for n in range(230)]
    await bounded.owner.apply(*commands)
    assert await bounded.tidied() == Held(5, 0)
    assert await bounded.kept(*commands) == [False] * 225 + [True] * 5
    resource = (await bounded.store.view(commands[:1])).views[0].resource
    assert resource is not None, "only the outcome is forgotten"


async def test_outcomes_with_a_key_stay_whatever_comes(bounded: Bounded) -> None:
    keyed = [create(key=f"k-{n}") for n in range(2)]
    await bounded.owner.apply_one_by_one(*keyed, *[create() for _ in range(20)])
    assert await bounded.tidied() == Held(5, 2)
    assert await bounded.kept(*keyed) == [True, True]
    assert not (await bounded.store.view([create(key="k-9")])).full


async def test_a_new_key_finds_no_room_and_a_known_one_its_answer(bounded: Bounded) -> None:
    keyed = [create(key=f"k-{n}") for n in range(3)]
    await bounded.owner.apply_one_by_one(*keyed)
    again = msgspec.structs.replace(keyed[0], txn=new_id())
    asked = [create(key="k-9"), again, create()]
    snapshot = await bounded.store.view(asked)
    assert snapshot.full
    refused, repeated, applied = batches.plan(asked, snapshot.views, now(), 0, full=snapshot.full)
    assert isinstance(refused, Full)
    assert isinstance(repeated, Outcome)
    assert not isinstance(applied, Full)
    assert await bounded.tidied() == Held(0, 3)


async def test_there_is_room_again_when_keys_have_expired(bounded: Bounded) -> None:
    soon = now() - KEYED_LIFE_MS + 3000
    expiring = [create(key=f"k-{n}", accepted_at=soon) for n in range(3)]
    batch, _ = await bounded.owner.decided(*expiring, at=soon)
    await bounded.store.reserve([claim(command) for command in expiring])
    await bounded.store.commit(batch)
    assert (await bounded.store.view([create(key="k-9")])).full
    async with asyncio.timeout(60):
        while (await bounded.store.view([create(key="k-9")])).full:
            await asyncio.sleep(0.1)
            await bounded.tidied()
    assert await bounded.tidied() == Held(0, 0)


async def test_an_unseen_answer_goes_with_its_outcome(bounded: Bounded) -> None:
    first = create(gateway="gone", accepted_at=now() - 10)
    await bounded.owner.apply(first)
    await bounded.owner.apply_one_by_one(*[replace(first, name_of(first), title=f"t{n}") for n in range(6)])
    await bounded.tidied()
    (answer,) = await bounded.owner.reserve(msgspec.structs.replace(first, txn=new_id(), resource_id=new_id()))
    assert getattr(answer, "unseen", "") is None


@pytest.mark.services
async def test_what_is_replayed_twice_counts_once(redis_url: str) -> None:
    async with AsyncExitStack() as stack:
        bounded = await on_redis(stack, redis_url)
        batch, _ = await bounded.owner.decided(create(key="k-1"), create(), create())
        client = RedisClient(RedisSettings(url=redis_url))
        stack.push_async_callback(client.close)
        store = RedisPartitionStore(client, partition=0, shards=1, partitions=1, outcomes=LIMITS)
        await store.take()
        mark = Watermark(offset=0, position=-1, time=now())
        for _ in range(2):
            await store.replay((), (), batch.outcomes, {}, mark)
        assert await store.check(now()) == Held(2, 1)
