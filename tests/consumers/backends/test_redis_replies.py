"""Answers over Redis' streams, signs of life and marks, when Redis comes and goes (CP-25, CP-30)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis

from consumers.backends import redis_replies
from consumers.backends.redis_client import RedisClient
from consumers.backends.redis_presence import RedisPresence
from consumers.backends.redis_replies import RedisReplies
from consumers.backends.redis_store import RedisPartitionStore
from consumers.errors import StoreUnavailable
from consumers.partition_ports import Addressed
from consumers.ports import Reply
from consumers.settings import RedisSettings
from consumers.submission import Busy, SubmissionError
from schemas.outcomes import UNSEEN_LIFE_MS
from tests.consumers.backends.proxied import through_proxy
from tests.faults.proxy import Order
from tests.services.redis import RedisServer

pytestmark = pytest.mark.services


class Gateway:
    """A gateway and a worker on a Redis."""

    def __init__(self, url: str) -> None:
        settings = RedisSettings(url=url)
        self.client = RedisClient(settings, timeout_s=1.0)
        self.replies = RedisReplies(self.client, settings, gateway="g-1")
        self.store = RedisPartitionStore(self.client, partition=0, shards=1, partitions=1)
        self.got: list[str] = []
        self.tasks = [asyncio.create_task(self.replies.run(self.take)), asyncio.create_task(self.replies.alive())]

    def take(self, txn: str, _answer: Reply | SubmissionError) -> None:
        """Take an answer."""
        self.got.append(txn)

    async def answer(self, *txns: str) -> None:
        """Have answers sent, each in an entry of its own."""
        for txn in txns:
            await self.store.reply([Addressed("g-1", "acme", txn, Busy(txn))])

    async def until(self, txn: str) -> None:
        """Wait for an answer."""
        async with asyncio.timeout(20):
            while txn not in self.got:
                await asyncio.sleep(0.01)

    async def close(self) -> None:
        """End it."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.client.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """Give a Redis of the test's own."""
    server = RedisServer(tmp_path / "redis")
    server.start()
    yield server
    server.close()


@pytest.fixture
async def gateway(server: RedisServer) -> AsyncIterator[Gateway]:
    """Give a gateway on it."""
    gateway = Gateway(server.url)
    yield gateway
    await gateway.close()


async def test_CP25_answers_come_in_order_and_once(gateway: Gateway) -> None:
    txns = [f"t-{n}" for n in range(150)]
    await gateway.answer(*txns)
    await gateway.until("t-149")
    assert gateway.got == txns


async def test_CP25_reading_goes_on_after_redis_was_away(server: RedisServer, gateway: Gateway) -> None:
    await gateway.answer("t-1")
    await gateway.until("t-1")
    server.kill()
    await gateway.answer("lost")
    server.start()
    await gateway.answer("t-2", "t-3")
    await gateway.until("t-3")
    assert [txn for txn in gateway.got if txn != "lost"] == ["t-1", "t-2", "t-3"]


async def test_CP25_a_redis_that_lost_the_stream_is_read_from_its_beginning(
    server: RedisServer, gateway: Gateway
) -> None:
    await gateway.client.call("XADD", "{s0}:rep:g-1", "99999999999999-0", "r", "[]")
    await gateway.answer("ignored: the clock went back")
    await asyncio.sleep(0.1)
    await gateway.client.call("DEL", "{s0}:rep:g-1")
    server.stop()
    server.start()
    await gateway.answer("t-1")
    await gateway.answer("t-1")
    await gateway.until("t-1")


async def test_CP25_a_stream_that_began_anew_behind_a_clock_set_back_is_read(
    server: RedisServer, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_replies, "BLOCK_MS", 100)
    await gateway.answer("before")
    await gateway.until("before")
    with redis.Redis.from_url(server.url) as operator:
        (stream,) = gateway.replies._last
        ((_, fields),) = operator.xrange(stream)
        operator.delete(stream)  # as it ends by itself after a quiet minute
        operator.xadd(stream, {name: value.replace(b"before", b"behind") for name, value in fields.items()}, id="1-1")
    await gateway.until("behind")


async def test_CP25_an_entry_that_cannot_be_decoded_stops_nothing(gateway: Gateway) -> None:
    await gateway.client.call("XADD", "{s0}:rep:g-1", "*", "r", "{")
    await gateway.answer("t-1")
    await gateway.until("t-1")


async def test_CP25_what_was_read_is_taken_out_of_the_stream(gateway: Gateway) -> None:
    await gateway.answer(*(f"t-{n}" for n in range(50)))
    await gateway.until("t-49")
    await gateway.replies.beat()
    assert await gateway.client.call("XLEN", "{s0}:rep:g-1") == 1
    await gateway.answer("t-50", "t-51")
    await gateway.until("t-51")
    assert gateway.got == [f"t-{n}" for n in range(52)]


async def test_CP25_what_was_not_read_stays_in_the_stream(gateway: Gateway) -> None:
    await gateway.answer("t-0")
    await gateway.until("t-0")
    gateway.tasks[0].cancel()
    await asyncio.gather(gateway.tasks[0], return_exceptions=True)
    await gateway.answer("t-1", "t-2")
    await gateway.replies.beat()
    gateway.tasks[0] = asyncio.create_task(gateway.replies.run(gateway.take))
    await gateway.until("t-2")
    assert gateway.got[-2:] == ["t-1", "t-2"]


async def test_CP25_streams_do_not_stay_for_ever(gateway: Gateway) -> None:
    await gateway.answer("t-1")
    assert 0 < await gateway.client.call("PTTL", "{s0}:rep:g-1") <= 60_000


async def test_CP30_a_gateway_is_alive_while_it_says_so(gateway: Gateway) -> None:
    await gateway.replies.beat()
    assert 0 < await gateway.client.call("PTTL", "{s0}:gw:g-1") <= 10_000
    assert await gateway.client.call("PUBSUB", "NUMSUB", "{s0}:gw:g-1") == [b"{s0}:gw:g-1", 1]
    await gateway.replies.stop()
    assert await gateway.client.call("EXISTS", "{s0}:gw:g-1") == 0
    async with asyncio.timeout(60):
        while await gateway.client.call("PUBSUB", "NUMSUB", "{s0}:gw:g-1") != [b"{s0}:gw:g-1", 0]:
            await asyncio.sleep(0.01)


async def test_CP30_signs_of_life_come_back_with_redis(server: RedisServer, gateway: Gateway) -> None:
    server.kill()
    gateway.replies.mark_unseen("acme", "u-lost")
    await asyncio.sleep(0.1)
    server.start()
    await gateway.client.call("DEL", "{s0}:gw:g-1")
    async with asyncio.timeout(60):
        while not await gateway.client.call("EXISTS", "{s0}:gw:g-1"):
            await asyncio.sleep(0.05)


async def test_CP30_a_presence_whose_connection_was_reset_comes_back(server: RedisServer) -> None:
    """A reset closes nothing at this end that could be seen without using the connection."""
    async with through_proxy(server) as (link, url):
        presence, client = RedisPresence(RedisSettings(url=url), ["gw"]), RedisClient(RedisSettings(url=server.url))
        for _ in range(2):
            await presence.renew()
            await presence.renew()
            assert await client.call("PUBSUB", "NUMSUB", "gw") == [b"gw", 1]
            link.take(Order(port=0, cut=True))
            async with asyncio.timeout(60):
                while await client.call("PUBSUB", "NUMSUB", "gw") != [b"gw", 0]:
                    await asyncio.sleep(0.01)
        await presence.renew()
        assert await client.call("PUBSUB", "NUMSUB", "gw") == [b"gw", 1]
        server.kill()
        with pytest.raises(StoreUnavailable):
            await presence.renew()
        server.start()
        await presence.renew()
        assert await client.call("PUBSUB", "NUMSUB", "gw") == [b"gw", 1]
        await presence.close()
        await client.close()


async def test_CP30_a_mark_lives_ten_minutes(gateway: Gateway) -> None:
    gateway.replies.mark_unseen("acme", "u-1")
    assert UNSEEN_LIFE_MS - 5000 < await gateway.client.call("PTTL", "{s0}:acme:unseen:u-1") <= UNSEEN_LIFE_MS
