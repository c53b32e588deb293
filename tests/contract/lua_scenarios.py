"""Scenarios that break where a Lua script lacks a rule of the commit protocol, beside those of the ports' suite."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
import redis

from consumers.backends.redis_client import RedisClient
from consumers.backends.redis_scripts import Scripts
from consumers.backends.redis_store import RedisPartitionStore
from consumers.errors import NotRecovered, StoreConflict
from consumers.partition_ports import OwnershipLost
from consumers.settings import RedisSettings
from schemas.commands import ChangeCommand
from schemas.numbering import Batch
from schemas.records import Address
from tests.contract import test_partition_store as suite
from tests.contract.commands import delete, name_of, new_name
from tests.contract.owner import claim, numbered
from tests.contract.partition_log import create_in
from tests.contract.partition_stands import PARTITIONS, RedisPartitionStand


class Shard(suite.Owned):
    """A shard on a Redis that the scenario may give another history."""

    def __init__(self, stand: RedisPartitionStand, url: str) -> None:
        super().__init__(stand)
        self.url = url

    def another_history(self) -> None:
        """Give Redis another ``master_replid``, with all that it holds: it becomes a replica of nobody, and primary again."""
        another_history(self.url)


def another_history(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.replicaof("127.0.0.1", "1")
        client.replicaof("NO", "ONE")


class Late(RedisClient):
    """A connection on which Redis becomes another one just after it was given the scripts."""

    def __init__(self, url: str) -> None:
        super().__init__(RedisSettings(url=url))
        self._url = url

    async def load(self) -> Scripts:
        """See ``RedisClient.load``."""
        scripts = await super().load()
        another_history(self._url)
        return scripts


@asynccontextmanager
async def recovered(url: str) -> AsyncIterator[Shard]:
    """Have a shard, empty and recovered, for the length of a block."""
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    stand = RedisPartitionStand(url)
    try:
        shard = Shard(stand, url)
        for partition in range(PARTITIONS):
            await shard.take(partition)
        yield shard
    finally:
        await stand.close()


async def another_history_ends_what_owners_do(shard: Shard) -> None:
    batch, _ = await shard.logs[0].logged(shard.stores[0], create_in(0))
    shard.another_history()
    with pytest.raises(OwnershipLost):
        await shard.stores[0].commit(batch)


async def another_history_ends_what_owners_see(shard: Shard) -> None:
    """What was viewed goes into the log without another look at Redis where no name is asked for."""
    shard.another_history()
    with pytest.raises(OwnershipLost):
        await shard.stores[0].view([create_in(0)])


async def another_history_ends_a_take_over_that_begins(shard: Shard) -> None:
    client = Late(shard.url)
    try:
        with pytest.raises(OwnershipLost):
            await RedisPartitionStore(client, partition=0, shards=1, partitions=PARTITIONS).take()
    finally:
        await client.close()


async def what_an_old_boot_recovered_does_not_count(shard: Shard) -> None:
    shard.another_history()
    store = shard.stand.owner(0)
    await store.take()
    with pytest.raises(NotRecovered):
        await store.view([create_in(0)])


async def what_is_emptied_is_not_read_by_a_gateway_that_has_read_it_just_now(shard: Shard) -> None:
    assert await shard.reader.get("acme", "User", "1") is None
    store = shard.stand.owner(0)
    await store.take()
    await store.empty()
    with pytest.raises(NotRecovered):
        await shard.reader.get("acme", "User", "1")


async def what_an_old_boot_recovered_does_not_count_at_activation(shard: Shard) -> None:
    shard.another_history()
    await shard.take(0)
    with pytest.raises(NotRecovered):
        await shard.stores[0].view([create_in(0)])


async def a_batch_without_changes_is_not_committed_twice(shard: Shard) -> None:
    """Neither versions nor numbers tell: nothing but the watermark does."""
    store = shard.stores[0]
    batch, _ = await shard.logs[0].logged(store, delete(create_in(0)))
    assert batch.changes == ()
    unaware = copy.copy(store)
    await store.commit(batch)
    with pytest.raises((OwnershipLost, StoreConflict)):
        await unaware.commit(batch)


async def committed_without_asking(shard: Shard, command: ChangeCommand) -> None:
    steps, numbers = await shard.logs[0].decided_steps(shard.stores[0], [command])
    await shard.stores[0].commit(numbered([command], steps, numbers))


async def a_held_name_cannot_be_committed(shard: Shard) -> None:
    holder = create_in(1)
    await shard.apply(1, holder)
    with pytest.raises(StoreConflict):
        await committed_without_asking(shard, create_in(0, name_of(holder)))


async def a_reserved_name_cannot_be_committed(shard: Shard) -> None:
    name = new_name()
    await shard.stores[1].reserve([claim(create_in(1, name))])
    with pytest.raises(StoreConflict):
        await committed_without_asking(shard, create_in(0, name))


async def a_delete_and_its_tombstone_at_once_leave_nothing(shard: Shard) -> None:
    command = create_in(0)
    await shard.apply(0, command)
    batch, _ = await shard.logs[0].logged(shard.stores[0], delete(command))
    address = Address("acme", "User", command.resource_id)
    await shard.stores[0].commit(msgspec.structs.replace(batch, forgotten=(address,)))
    view = (await shard.stores[0].view([command])).views[0]
    assert (view.resource, view.gone) == (None, False)


async def a_replay_does_not_take_numbers_back(shard: Shard) -> None:
    await shard.apply(0, create_in(0), create_in(0))
    store = shard.stand.owner(0)
    await store.take()
    await store.replay((), (), (), {"acme": 1}, shard.logs[0].mark)
    await store.activate("9:0")
    assert (await store.view([create_in(0)])).numbers == {"acme": 2}


async def only_the_fences_owner_empties(shard: Shard) -> None:
    await shard.stand.owner(0).take()
    with pytest.raises(OwnershipLost):
        await shard.stores[0].empty()


async def whoever_empties_keeps_the_fence(shard: Shard) -> None:
    store = shard.stand.owner(0)
    await store.take()
    await store.empty()
    try:
        await store.activate("9:0")
    except OwnershipLost:
        pytest.fail("the take-over lost its own fence")


async def nothing_is_committed_until_all_partitions_are_recovered(shard: Shard) -> None:
    """The commit alone: a view before it would say so first."""
    store = shard.stand.owner(0)
    await store.take()
    await store.empty()
    with pytest.raises(NotRecovered):
        await store.commit(Batch(changes=(), outcomes=(), numbers={}, mark=shard.logs[0].mark))
