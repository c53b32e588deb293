"""Answers that get lost between worker, gateway and caller, on real servers; what a repeat of the request gets."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import msgspec
import pytest

from consumers.backends.kafka_commands import KafkaCommandLog
from consumers.backends.redis_client import RedisClient
from consumers.backends.redis_reader import RedisReader
from consumers.backends.redis_replies import RedisReplies
from consumers.metrics import Metrics
from consumers.remote import RemoteCommands
from consumers.settings import KafkaSettings, RedisSettings
from tests.contract import commands
from tests.distributed import PARTITIONS, Distributed, Program, distributed
from tests.served import Scim, free_port, refused, unique, user
from tests.services.redis import RedisServer

pytestmark = pytest.mark.services

LIMIT_S: Final = 30.0


def eventually(condition: Callable[[], Any]) -> Any:
    """Return the first truth that ``condition`` comes to."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("it did not come to pass in time")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, kafka_bootstrap: str) -> Iterator[Distributed]:
    """A gateway and a worker."""
    directory = tmp_path_factory.mktemp("repeats")
    server = RedisServer(directory / "redis")
    server.start()
    prefix = f"repeats-{uuid.uuid4().hex[:10]}"
    with distributed(Distributed(directory / "service", kafka_bootstrap, server.url, prefix)) as service:
        yield service
    server.stop()


@asynccontextmanager
async def deaf(service: Distributed) -> AsyncIterator[tuple[RemoteCommands, Metrics]]:
    """A gateway's end of the way of commands that never gets a reply."""
    client, metrics = RedisClient(RedisSettings(url=service.redis_url)), Metrics()
    log = KafkaCommandLog(
        KafkaSettings(bootstrap=service.bootstrap, topic_prefix=service.topic_prefix), lambda _ahead_s: None
    )
    replies = RedisReplies(client, RedisSettings(url=service.redis_url), gateway=unique("gateway"))
    reader = RedisReader(client, shards=1, partitions=PARTITIONS)
    remote = RemoteCommands(log, reader, metrics, replies.mark_unseen, shards=1, partitions=PARTITIONS)
    await log.start()
    sweeper = asyncio.create_task(remote.sweep(), name="sweep")
    try:
        yield remote, metrics
    finally:
        sweeper.cancel()
        with suppress(asyncio.CancelledError):
            await sweeper
        await remote.close()
        await log.close()
        await reader.close()
        await client.close()


async def test_CP25_a_lost_reply_is_found_as_the_stored_outcome_within_a_second_or_so(running: Distributed) -> None:
    async with deaf(running) as (remote, metrics):
        create = commands.create(tenant="rfc")
        began = time.monotonic()
        made = await remote.submit(create)
        assert time.monotonic() - began < 10
        assert (made.outcome.status, made.outcome.version, made.image, made.replayed) == (201, 1, None, False)
        taken = await remote.submit(commands.create(commands.name_of(create), tenant="rfc"))
        assert (taken.outcome.status, taken.outcome.error is not None) == (409, True), "refusals are outcomes too"
        assert metrics.registry.get_sample_value("scimgw_replies_late_total") == 2
        assert len(remote) == 0


async def test_CP25_the_lost_reply_to_a_repeat_is_found_too(running: Distributed) -> None:
    async with deaf(running) as (remote, _):
        create = commands.create(tenant="rfc", key=uuid.uuid4().hex)
        await remote.submit(create)
        again = msgspec.structs.replace(create, txn=commands.new_id())
        began = time.monotonic()
        answer = await remote.submit(again)
        assert time.monotonic() - began < 10
        assert (answer.outcome.status, answer.outcome.version, answer.outcome.txn) == (201, 1, again.txn)


@pytest.fixture
def another(running: Distributed) -> Iterator[tuple[Program, Scim]]:
    """One more gateway, which a test may stop or kill, and a caller of it."""
    port = free_port()
    arguments = ["gateway", "--port", str(port), "--tenants", str(running.tenants_file)]
    gateway = Program(unique("another"), arguments, running.environment, running.directory)
    gateway.start()
    gateway.ready()
    caller = Scim(f"http://127.0.0.1:{port}/scim/v2", running.tokens["rfc"])
    try:
        yield gateway, caller
    finally:
        caller.http.close()
        if gateway.running:
            gateway.kill()


def is_the_first_answer(again: Any, made: Any) -> None:
    assert (again.status_code, again.headers["ETag"]) == (201, 'W/"1"')
    assert again.json()["id"] == made.json()["id"]


def test_CP30_after_a_gateways_death_an_identical_POST_gets_the_first_answer_through_another(
    running: Distributed, another: tuple[Program, Scim]
) -> None:
    (gateway, dying), staying, body = another, running.caller(), user()
    made = dying.post("/Users", body)
    assert made.status_code == 201
    refused(staying.post("/Users", body), 409, "uniqueness")
    gateway.kill()  # its sign of life would last for seconds, its presence ends with it
    is_the_first_answer(staying.post("/Users", body), made)
    refused(running.caller("rfc-second").post("/Users", body), 409, "uniqueness")
    assert len(running.events_of("rfc", made.json()["id"])) == 1


def test_CP30_after_a_gateways_orderly_end_that_is_so_at_once(
    running: Distributed, another: tuple[Program, Scim]
) -> None:
    (gateway, stopping), staying, body = another, running.caller(), user()
    made = stopping.post("/Users", body)
    assert gateway.stop() == 0
    is_the_first_answer(staying.post("/Users", body), made)


def test_INV7_a_key_finds_its_answer_through_any_gateway(running: Distributed, another: tuple[Program, Scim]) -> None:
    (_, other), first, body = another, running.caller(), user()
    headers = {"Idempotency-Key": unique("key")}
    made = first.post("/Users", body, headers=headers)
    again = other.post("/Users", body, headers=headers)
    is_the_first_answer(again, made)
    assert again.headers["Scim-Txn"] == made.headers["Scim-Txn"]
    refused(other.post("/Users", user(), headers=headers), 422)
    path = f"/Users/{made.json()['id']}"
    change, headers = user(body["userName"], title="t"), {"Idempotency-Key": unique("key")}
    put = other.put(path, change, headers=headers)
    assert first.put(path, change, headers=headers).headers["ETag"] == put.headers["ETag"] == 'W/"2"'


def test_CP25_an_expired_command_leaves_its_key_free(running: Distributed) -> None:
    """A key whose request was answered 503 must not answer 503 for a day."""
    hurried = Program(
        unique("hurried"),
        ["gateway", "--port", str(port := free_port()), "--tenants", str(running.tenants_file)],
        {**running.environment, "SCIMGW_HTTP__BUDGET_S": "5"},
        running.directory,
    )
    hurried.start()
    caller = Scim(f"http://127.0.0.1:{port}/scim/v2", running.tokens["rfc"])
    try:
        hurried.ready()
        body, headers = user(), {"Idempotency-Key": unique("key")}
        with running.stalled():
            refused(caller.post("/Users", body, headers=headers), 503)
        assert running.caller().post("/Users", body, headers=headers).status_code == 201
    finally:
        caller.http.close()
        hurried.kill()


def test_the_tenants_file_is_read_again_while_serving(running: Distributed) -> None:
    text = running.tenants_file.read_text()
    before = running.tokens["rfc-second"]
    assert running.caller("rfc-second").get("/Users", count=0).status_code == 200
    try:
        running.tenants_file.write_text(
            text.replace('name = "rfc-second"', 'name = "rfc-second"\nexpires = 2020-01-01T00:00:00Z')
        )
        eventually(lambda: running.stranger(before).get("/Users", count=0).status_code == 401)
    finally:
        running.tenants_file.write_text(text)
    eventually(lambda: running.stranger(before).get("/Users", count=0).status_code == 200)
