"""What only a Redis can do to the store of a partition: be another one, be full, be frozen (CP-4, CP-24, CP-28)."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from consumers.backends.redis_client import RedisClient
from consumers.backends.redis_compare import compare
from consumers.backends.redis_reader import RedisReader
from consumers.backends.redis_store import RedisPartitionStore
from consumers.errors import NotRecovered, StoreConflict, StoreUnavailable
from consumers.partition_ports import OwnershipLost
from consumers.ports import Contended, Granted
from consumers.settings import RedisSettings
from schemas.outcomes import KEYED_LIFE_MS
from schemas.partitions import partition_of
from tests.consumers.backends.proxied import through_proxy
from tests.contract.commands import create, delete, in_order, name_of, new_name, now, replace
from tests.contract.owner import claim
from tests.contract.partition_log import Partition
from tests.faults.proxy import Order
from tests.services.redis import RedisServer

pytestmark = pytest.mark.services


class One:
    """A shard of one partition on a server, its log, and a reader."""

    def __init__(self, url: str, *, timeout_s: float = 5.0) -> None:
        self.client = RedisClient(RedisSettings(url=url), timeout_s=timeout_s)
        self.store = RedisPartitionStore(self.client, partition=0, shards=1, partitions=1)
        self.reader = RedisReader(self.client, shards=1, partitions=1)
        self.log = Partition(0)

    async def take(self) -> None:
        """Take the partition over."""
        await self.log.take(self.store)

    async def lives(self, resource_id: str) -> bool:
        """Tell whether the user is there."""
        return await self.reader.get("acme", "User", resource_id) is not None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """Give a Redis of the test's own."""
    server = RedisServer(tmp_path / "redis")
    server.start()
    yield server
    server.close()


@pytest.fixture
async def one(server: RedisServer) -> AsyncIterator[One]:
    """Give a shard on it, taken over."""
    one = One(server.url, timeout_s=1.0)
    await one.take()
    yield one
    await one.client.close()


class TestKeys:
    async def test_CP30_a_reserved_key_goes_with_the_commit_and_after_a_day_at_the_latest(
        self, server: RedisServer, one: One
    ) -> None:
        """What a dead owner reserved and nobody asked for again must not be left for good."""
        command = create(key="k-1")
        with redis.Redis.from_url(server.url) as operator:
            await one.store.reserve([claim(command)])
            (reserved,) = operator.keys("*:rk:*")
            assert 0 < operator.pttl(reserved) <= KEYED_LIFE_MS
            await one.log.apply(one.store, command)
            assert operator.keys("*:rk:*") == []
            await one.store.reserve([claim(create(key="k-2"))])
            await one.store.check(now())
            assert operator.keys("*:rk:*") == []


class TestBoot:
    async def test_CP4_after_a_restart_nothing_goes_on_until_the_partition_is_taken_over(
        self, server: RedisServer, one: One
    ) -> None:
        command = create()
        await one.log.apply(one.store, command)
        server.kill()
        server.start()
        with pytest.raises((OwnershipLost, StoreUnavailable)):
            await one.store.check(now())
        with pytest.raises(OwnershipLost):
            await one.store.view([command])
        with pytest.raises(NotRecovered):
            await one.lives(command.resource_id)
        assert not one.reader.recovered
        await one.take()
        await asyncio.sleep(0.1)
        assert await one.lives(command.resource_id)
        assert one.reader.recovered

    async def test_CP4_scripts_that_were_flushed_are_not_loaded_in_silence(self, one: One) -> None:
        await one.client.call("SCRIPT", "FLUSH")
        with pytest.raises(OwnershipLost):
            await one.store.view([create()])
        await one.take()
        await one.store.view([create()])

    async def test_CP4_a_failover_there_and_back_is_another_boot(
        self, server: RedisServer, one: One, tmp_path: Path
    ) -> None:
        """The same ``run_id`` serves data that lost an acknowledged write, with our fence and our scripts."""
        kept, lost = create(), create()
        await one.log.apply(one.store, kept)
        other = RedisServer(tmp_path / "other")
        other.start()
        there = RedisClient(RedisSettings(url=other.url))
        try:
            await there.call("REPLICAOF", "127.0.0.1", server.port)
            await _until_linked(there)
            await one.take()  # a first replica makes it another boot, too
            boot = await one.client.boot()
            await _until_alike(one.client, there)
            await there.call("REPLICAOF", "NO", "ONE")
            await one.log.apply(one.store, lost)
            assert await one.lives(lost.resource_id)
            await one.client.call("REPLICAOF", "127.0.0.1", other.port)
            await _until_linked(one.client)
            with pytest.raises((StoreUnavailable, OwnershipLost)):
                await one.log.apply(one.store, create())
            await one.client.call("REPLICAOF", "NO", "ONE")
            assert (await one.client.boot()).split()[0] == boot.split()[0], "this test is about the same run_id"
            assert await one.client.call("GET", "{s0}:fence:0") is not None
            with pytest.raises(OwnershipLost):
                await one.store.reserve([claim(create())])
            with pytest.raises(OwnershipLost):
                await one.store.check(now())
            await one.reader.check()
            assert one.reader.missing() == "partitions not recovered: 0"
            with pytest.raises(NotRecovered):
                await one.lives(kept.resource_id)
            await one.take()
            await asyncio.sleep(0.1)
            assert await one.lives(kept.resource_id)
            assert await one.lives(lost.resource_id)
        finally:
            await there.close()
            other.close()


async def _until_linked(client: RedisClient) -> None:
    async with asyncio.timeout(30):
        while b"master_link_status:up" not in await client.call("INFO", "replication"):
            await asyncio.sleep(0.05)


async def _until_alike(one: RedisClient, other: RedisClient) -> None:
    async with asyncio.timeout(30):
        while await one.call("GET", "{s0}:fence:0") != await other.call("GET", "{s0}:fence:0"):
            await asyncio.sleep(0.05)


class TestCommit:
    async def test_CP24_a_watermark_that_another_wrote_stops_the_batch(self, one: One) -> None:
        command = create()
        batch, _ = await one.log.logged(one.store, command)
        before = await one.client.call("GET", "{s0}:wm:0")
        await one.client.call("SET", "{s0}:wm:0", "77 5 1795275109637")
        with pytest.raises(OwnershipLost):
            await one.store.commit(batch)
        assert not await one.lives(command.resource_id)
        await one.client.call("SET", "{s0}:wm:0", before)
        await one.store.commit(batch)
        assert await one.lives(command.resource_id)

    async def test_CP24_a_name_that_is_reserved_for_another_is_not_committed(self, one: One) -> None:
        command = create()
        batch, _ = await one.log.logged(one.store, command)
        await one.client.call("HSET", "{s0}:acme:rs:userName", name_of(command), "another\x000\0token")
        with pytest.raises(StoreConflict):
            await one.store.commit(batch)
        assert not await one.lives(command.resource_id)

    async def test_CP11_a_caller_that_goes_away_leaves_no_batch_half_done(self, one: One) -> None:
        commands = [create() for _ in range(300)]
        batch, _ = await one.log.logged(one.store, *commands)
        committing = asyncio.create_task(one.store.commit(batch))
        await asyncio.sleep(0.005)
        committing.cancel()
        await asyncio.gather(committing, return_exceptions=True)
        async with asyncio.timeout(60):
            while (await one.reader.page("acme", "User", 0, 0)).total < 300:
                await asyncio.sleep(0.01)
        await one.log.apply(one.store, create())

    async def test_CP21_reservations_do_not_outlive_the_commit(self, one: One) -> None:
        command = create()
        await one.log.apply(one.store, command)
        assert await one.client.call("EXISTS", "{s0}:acme:rs:userName") == 0


class TestTrouble:
    async def test_a_full_redis_refuses_a_batch_as_a_whole(self, one: One) -> None:
        command = create()
        batch, _ = await one.log.logged(one.store, command)
        await one.client.call("CONFIG", "SET", "maxmemory", 1)
        with pytest.raises(StoreUnavailable, match="OutOfMemory"):
            await one.store.commit(batch)
        await one.client.call("CONFIG", "SET", "maxmemory", 0)
        assert not await one.lives(command.resource_id)
        await one.store.commit(batch)
        assert await one.lives(command.resource_id)

    async def test_a_server_that_is_gone_is_found_again(self, server: RedisServer, one: One) -> None:
        server.kill()
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                await one.store.view([create()])
        with pytest.raises(StoreUnavailable):
            await one.lives("x")
        await one.store.reply([])
        server.start()
        await one.take()
        await one.log.apply(one.store, create())

    async def test_a_frozen_server_costs_a_time_limit_and_no_answer_is_given_to_another(
        self, server: RedisServer, one: One
    ) -> None:
        await one.client.call("SET", "k", "late")
        server.pause()
        with pytest.raises(StoreUnavailable):
            await one.client.call("GET", "k")
        server.resume()
        for n in range(3):
            await one.client.call("SET", f"k{n}", str(n))
        assert [await one.client.call("GET", f"k{n}") for n in range(3)] == [b"0", b"1", b"2"]

    async def test_a_connection_that_was_reset_while_idle_is_replaced_before_it_is_used(
        self, server: RedisServer
    ) -> None:
        async with through_proxy(server) as (link, url):
            client = RedisClient(RedisSettings(url=url))
            await client.call("SET", "k", "v")
            for broken in range(1, 4):
                link.take(Order(port=0, cut=True))
                await asyncio.sleep(0.05)
                assert await client.call("GET", "k") == b"v"
                assert client.connections == 1 + broken
            await client.close()

    async def test_a_time_limit_of_the_socket_is_no_answer(self, server: RedisServer) -> None:
        """ETIMEDOUT is a TimeoutError, and None is what redis-py makes of one where it was given a time limit."""
        async with through_proxy(server) as (link, url):
            client = RedisClient(RedisSettings(url=url))
            await client.call("SET", "k", "v")
            link.take(Order(port=0, fault="black hole"))
            asking = asyncio.create_task(client.call("GET", "k"))
            await asyncio.sleep(0.05)
            connection = client._connection
            assert connection is not None
            reader: Any = connection._reader
            reader.set_exception(TimeoutError(errno.ETIMEDOUT, "Connection timed out"))
            with pytest.raises(StoreUnavailable):
                await asking
            link.take(Order(port=0, fault="none"))
            assert await client.call("GET", "k") == b"v"
            await client.close()

    async def test_a_busy_server_is_unavailable(self, server: RedisServer, one: One) -> None:
        await one.client.call("CONFIG", "SET", "busy-reply-threshold", 50)
        hog = RedisClient(RedisSettings(url=server.url))
        hogging = asyncio.create_task(hog.call("EVAL", "while true do end", 0, timeout_s=30))
        await asyncio.sleep(0.3)
        with pytest.raises(StoreUnavailable, match="BUSY"):
            await one.store.view([create()])
        await one.client.call("SCRIPT", "KILL")
        await asyncio.gather(hogging, return_exceptions=True)
        await hog.close()
        await one.store.view([create()])

    async def test_a_replica_is_unavailable(self, one: One) -> None:
        await one.client.call("CONFIG", "SET", "replica-serve-stale-data", "yes")
        batch, _ = await one.log.logged(one.store, create())
        await one.client.call("REPLICAOF", "127.0.0.1", 1)
        with pytest.raises((StoreUnavailable, OwnershipLost)):
            await one.store.commit(batch)
        with pytest.raises(StoreUnavailable, match="ReadOnly"):
            await one.store.take()
        await one.client.call("REPLICAOF", "NO", "ONE")

    async def test_each_of_many_callers_gets_its_own_answer_though_others_go_away(self, redis_url: str) -> None:
        """CVE-2023-28858: a cancelled command left its answer to the next one."""
        client = RedisClient(RedisSettings(url=redis_url))
        await asyncio.gather(*(client.call("SET", f"k{n}", str(n)) for n in range(200)))
        for turn in range(20):
            calls = [asyncio.create_task(client.call("GET", f"k{n}")) for n in range(200)]
            for _ in range(turn % 5):
                await asyncio.sleep(0)
            for call in calls[turn % 3 :: 3]:
                call.cancel()
            answers = await asyncio.gather(*calls, return_exceptions=True)
            for n, answer in enumerate(answers):
                assert isinstance(answer, asyncio.CancelledError) or answer == str(n).encode()
        await client.close()
        with pytest.raises(StoreUnavailable):
            await client.call("GET", "k1")


class TestReader:
    async def test_CP28_a_gateway_sees_within_a_second_that_the_shard_is_recovered(self, redis_url: str) -> None:
        one = One(redis_url)
        monitoring = asyncio.create_task(one.reader.monitor())
        try:
            await asyncio.sleep(0.1)
            assert one.reader.missing() == "partitions not recovered: 0"
            await one.take()
            async with asyncio.timeout(60):
                while one.reader.missing() is not None:
                    await asyncio.sleep(0.02)
            assert one.reader.recovered
        finally:
            monitoring.cancel()
            await asyncio.gather(monitoring, return_exceptions=True)
            await one.client.close()

    async def test_CP28_a_gateway_asks_anew_at_each_reconnect(self, server: RedisServer, one: One) -> None:
        assert not await one.lives("x")
        server.kill()
        server.start()
        with pytest.raises(StoreUnavailable):
            await one.lives("x")
        with pytest.raises(NotRecovered):
            await one.lives("x")

    async def test_CP28_the_read_that_finds_its_connection_broken_is_not_answered_by_another_history(
        self, server: RedisServer, one: One
    ) -> None:
        """A failover there and back keeps the scripts, so that nothing but the look at the boot tells."""
        assert not await one.lives("x")
        with redis.Redis.from_url(server.url) as operator:
            operator.replicaof("127.0.0.1", "1")
            operator.replicaof("NO", "ONE")
            operator.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await asyncio.sleep(0.1)
        with pytest.raises(StoreUnavailable):
            await one.lives("x")
        with pytest.raises(NotRecovered):
            await one.lives("x")

    async def test_readers_are_refused_together_while_redis_is_frozen(self, server: RedisServer, one: One) -> None:
        """One time limit for all of them, not one after the other."""
        assert not await one.lives("x")
        server.pause()
        began = asyncio.get_running_loop().time()
        answers = await asyncio.gather(*(one.lives("x") for _ in range(5)), return_exceptions=True)
        for _ in range(20):
            answers += await asyncio.gather(one.lives("x"), one.lives("y"), return_exceptions=True)
            await asyncio.sleep(0.001)
        assert {isinstance(answer, StoreUnavailable) for answer in answers} == {True}
        assert asyncio.get_running_loop().time() - began < 10
        server.resume()
        async with asyncio.timeout(60):
            while one.reader.missing() is not None:
                await asyncio.gather(one.lives("x"), return_exceptions=True)
                await asyncio.sleep(0.02)


class TestShards:
    async def test_CP1_shards_are_apart(self, redis_url: str) -> None:
        """Each has its own recovery, and one is emptied without the other."""
        client = RedisClient(RedisSettings(url=redis_url))
        reader = RedisReader(client, shards=2, partitions=2)
        stores = [RedisPartitionStore(client, partition=p, shards=2, partitions=2) for p in (0, 1)]
        logs = [Partition(0), Partition(1)]
        tenants: dict[int, str] = {}
        for n in range(50):
            tenants.setdefault(partition_of(f"t{n}", "x", shards=2, partitions=2), f"t{n}")
        for store, log in zip(stores, logs, strict=True):
            await log.take(store)
        commands = [create(tenant=tenants[p]) for p in (0, 1)]
        for p in (0, 1):
            await logs[p].apply(stores[p], commands[p])
        for p in (0, 1):
            assert await reader.get(tenants[p], "User", commands[p].resource_id) is not None
        assert not [key for key in await client.call("KEYS", "*") if not key.startswith((b"{s0}:", b"{s1}:"))]
        await stores[0].take()
        await stores[0].empty()
        assert await client.call("KEYS", "{s0}:*") == [b"{s0}:fence:0"]
        await stores[1].view([commands[1]])
        await client.close()

    async def test_CP13_emptying_leaves_what_gateways_wrote(self, one: One) -> None:
        await one.log.apply(one.store, create(key="k-1"))
        kept = {b"{s0}:rep:g-1", b"{s0}:gw:g-1", b"{s0}:acme:unseen:u-1"}
        await one.client.call("XADD", "{s0}:rep:g-1", "*", "r", "[]")
        await one.client.call("SET", "{s0}:gw:g-1", "1")
        await one.client.call("SET", "{s0}:acme:unseen:u-1", "1")
        await one.store.take()
        await one.store.empty()
        assert set(await one.client.call("KEYS", "*")) == kept | {b"{s0}:fence:0"}


class TestSecurity:
    async def test_tls_and_an_acl_user_without_dangerous_commands_will_do(self, secure_redis: object) -> None:
        url, ca_file = getattr(secure_redis, "url", ""), getattr(secure_redis, "ca_file", "")
        one = One(url if "ssl_ca_certs" in url else f"{url}?ssl_ca_certs={ca_file}")
        await one.take()
        command = create()
        await one.log.apply(one.store, command)
        assert await one.lives(command.resource_id)
        await one.store.take()
        await one.store.empty()
        await one.client.close()


class TestCompare:
    """INV-9."""

    @pytest.fixture
    async def pair(self, redis_url: str) -> AsyncIterator[tuple[One, One]]:
        """Give a live shard and the same rebuilt from its log, in another database of the server."""
        live, rebuilt = One(redis_url), One(redis_url.removesuffix("/0") + "/9")
        await rebuilt.client.call("FLUSHDB")
        await live.take()
        commands = in_order([create(external_id=f"e-{n % 3}", key=f"k-{n}" if n % 2 else None) for n in range(20)])
        await live.log.apply(live.store, *commands)
        await live.log.apply(live.store, *(replace(c, new_name(), external_id="e-9") for c in commands[:5]))
        await live.log.apply(live.store, *(delete(command) for command in commands[5:8]), delete(create()))
        rebuilt.log.records, rebuilt.log.decided = live.log.records, live.log.decided
        await rebuilt.take()
        yield live, rebuilt
        await rebuilt.client.call("FLUSHDB")
        for one in (live, rebuilt):
            await one.client.close()

    async def test_a_rebuilt_store_equals_the_live_one(self, pair: tuple[One, One]) -> None:
        live, rebuilt = pair
        assert await compare(live.client, rebuilt.client, shards=1) == []
        assert await compare(rebuilt.client, live.client, shards=1) == []

    @pytest.mark.parametrize("swapped", [False, True])
    async def test_a_planted_difference_of_each_kind_is_found(self, pair: tuple[One, One], swapped: bool) -> None:
        live, rebuilt = pair
        keys = sorted(await rebuilt.client.call("KEYS", "*"))

        def first(part: bytes) -> bytes:
            return next(bytes(key) for key in keys if part in key)

        record, outcome, number = first(b":r:"), first(b":out:"), first(b":seq:")
        names, entries, order, gone = first(b":uq:"), first(b":ix:"), first(b":ord:"), first(b"}:gone:")
        some_name = (await rebuilt.client.call("HKEYS", names))[0]
        some_entry = (await rebuilt.client.call("ZRANGE", entries, 0, 0))[0]
        planted: list[tuple[bytes, tuple[bytes | str, ...]]] = [
            (record, ("APPEND", record, "x")),
            (record, ("DEL", record)),
            (record, ("HSET", b"swap", "a", "b")),
            (outcome, ("APPEND", outcome, "x")),
            (outcome, ("DEL", outcome)),
            (number, ("INCR", number)),
            (names, ("HSET", names, some_name, "another")),
            (names, ("HSET", names, "more", "another")),
            (names, ("HDEL", names, some_name)),
            (names, ("DEL", names)),
            (entries, ("ZADD", entries, "1", some_entry)),
            (entries, ("ZREM", entries, some_entry)),
            (order, ("ZADD", order, "1", "another")),
            (gone, ("DEL", gone)),
            (b"{s0}:wm:0", ("SET", b"{s0}:wm:0", "1 2 3")),
            (b"{s0}:acme:r:new", ("SET", b"{s0}:acme:r:new", "x")),
            (b"{s0}:acme:key:new", ("SET", b"{s0}:acme:key:new", "x")),
        ]
        for key, command in planted:
            kept = await rebuilt.client.call("DUMP", key)
            if command[1] == b"swap":
                await rebuilt.client.call("DEL", key)
                await rebuilt.client.call("HSET", key, "a", "b")
            else:
                await rebuilt.client.call(*command)
            sides = (rebuilt.client, live.client) if swapped else (live.client, rebuilt.client)
            found = await compare(*sides, shards=1)
            assert [difference.key for difference in found] == [key.decode()], command
            await rebuilt.client.call("DEL", key)
            if kept is not None:
                await rebuilt.client.call("RESTORE", key, 0, kept)

    async def test_what_is_no_part_of_the_log_is_apart(self, pair: tuple[One, One]) -> None:
        live, rebuilt = pair
        offset, position, _ = (await rebuilt.client.call("GET", "{s0}:wm:0")).split()
        await rebuilt.client.call("SET", "{s0}:wm:0", b"%b %b 1" % (offset, position))
        await rebuilt.client.call("SET", "{s0}:fence:0", "taking:x")
        await rebuilt.client.call("SET", "{s0}:gw:g", "1")
        await rebuilt.client.call("SET", "{s0}:acme:unseen:u", "1")
        await rebuilt.client.call("XADD", "{s0}:rep:g", "*", "r", "[]")
        await rebuilt.client.call("SET", "{s0}:acme:out:t", "{}", "PX", 5000)
        assert await compare(live.client, rebuilt.client, shards=1) == []

    async def test_it_stops_at_the_most(self, pair: tuple[One, One]) -> None:
        live, rebuilt = pair
        await rebuilt.client.call("FLUSHDB")
        assert len(await compare(live.client, rebuilt.client, shards=1, most=3)) == 3


class TestSizes:
    async def test_two_thousand_names_in_one_call(self, one: One) -> None:
        commands = [create() for _ in range(2100)]
        assert await one.store.reserve([claim(command) for command in commands]) == [Granted()] * 2100
        rivals = [create(name_of(command)) for command in commands]
        assert await one.store.reserve([claim(command) for command in rivals]) == [Contended()] * 2100
        await one.store.view([create()])
        assert await one.client.call("EXISTS", "{s0}:acme:rs:userName") == 0

    async def test_values_with_nul_are_found_by_themselves_only(self, one: One) -> None:
        command = create(external_id="a")
        await one.log.apply(
            one.store, command, create(external_id="a\x00" + "1" * 13 + "\x00b"), create(external_id="a\0")
        )
        found = await one.reader.find("acme", "User", ("externalId", "a"))
        assert [msgspec.json.decode(image.doc)["id"] for image in found] == [command.resource_id]
        assert len(await one.reader.find("acme", "User", ("externalId", "a\0"))) == 1


class TestLostAnswers:
    """What is sent and not answered may be done yet, behind what is sent later."""

    async def test_CP20_a_reservation_that_comes_late_is_nobodys(self, server: RedisServer, one: One) -> None:
        command = create()
        server.pause()
        with pytest.raises(OwnershipLost, match="may yet be made"):
            await one.store.reserve([claim(command)])
        server.resume()
        await one.take()
        assert await one.store.reserve([claim(create(name_of(command)))]) == [Granted()]

    async def test_CP20_a_name_let_go_late_is_not_taken_from_who_has_it_since(
        self, server: RedisServer, one: One
    ) -> None:
        cut = create()
        assert await one.store.reserve([claim(cut)]) == [Granted()]
        server.pause()
        with pytest.raises(OwnershipLost):
            await one.store.view([create()])
        server.resume()
        await one.take()
        await one.log.apply(one.store, create(name_of(cut)))

    async def test_what_only_looks_is_asked_again(self, server: RedisServer, one: One) -> None:
        server.pause()
        with pytest.raises(StoreUnavailable):
            await one.store.view([create()])
        server.resume()
        await one.store.view([create()])

    async def test_what_was_not_sent_ends_nothing(self, server: RedisServer, one: One) -> None:
        server.kill()
        await asyncio.sleep(0.1)  # so that it is seen
        with pytest.raises(StoreUnavailable):
            await one.store.reserve([claim(create())])

    async def test_what_was_reserved_under_an_earlier_token_is_taken_out(self, server: RedisServer, one: One) -> None:
        with redis.Redis.from_url(server.url) as operator:
            await one.store.reserve([claim(create()), claim(create(key="k"))])
            assert len(operator.keys("*:rs:*")) == 1
            await one.take()
            await one.store.check(now())
            assert not operator.keys("*:rs:*")
            assert not operator.keys("*:rk:*")
