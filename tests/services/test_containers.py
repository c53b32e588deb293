"""The servers in containers, whatever ``SCIMGW_TEST_SERVICES`` says: they are what the hand-started processes are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import docker
import pytest
import redis

from tests.services.choice import absent
from tests.services.containers import OWNER, REDIS_IMAGE, KafkaContainer, RedisContainer, engine, image_of, sweep
from tests.services.processes import Missing
from tests.services.test_services import committed, topic, transact

pytestmark = [pytest.mark.services, pytest.mark.slow]


@contextmanager
def container_engine() -> Iterator[docker.DockerClient]:
    """Give the engine, or skip."""
    try:
        with engine() as client:
            yield client
    except Missing as why:
        absent("containers", str(why))


async def test_a_broker_in_a_container_commits_transactions_and_survives_kill_and_pause(topic_prefix: str) -> None:
    with container_engine():
        broker = KafkaContainer()
        try:
            broker.start()
            async with topic(broker.bootstrap, f"{topic_prefix}a") as name:
                await transact(broker.bootstrap, name, b"1")
                await transact(broker.bootstrap, name, b"aborted", abort=True)
                broker.kill()
                broker.start()
                broker.pause()
                broker.revive()
                await transact(broker.bootstrap, name, b"2")
                assert await committed(broker.bootstrap, name, 2) == [b"1", b"2"]
        finally:
            broker.close()


def test_a_redis_in_a_container_keeps_what_it_acknowledged_through_a_kill() -> None:
    with container_engine():
        server = RedisContainer()
        try:
            server.start()
            with redis.Redis.from_url(server.url) as client:
                client.set("key", "value")
            server.kill()
            server.revive()
            with redis.Redis.from_url(server.url) as client:
                assert client.get("key") == b"value"
                assert client.config_get("append*")["appendfsync"] == "always"
        finally:
            server.close()


def test_what_a_killed_run_left_is_swept_away_and_what_is_in_use_is_not() -> None:
    with container_engine() as client:
        image = image_of(REDIS_IMAGE)
        gone = client.containers.create(image, labels={OWNER: "999999999"})
        used = RedisContainer()
        try:
            used.start()
            sweep()
            assert gone.id not in {container.id for container in client.containers.list(all=True)}
            with redis.Redis.from_url(used.url) as store:
                assert store.ping()
        finally:
            used.close()
