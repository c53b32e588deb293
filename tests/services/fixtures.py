"""Fixtures of real servers; ``tests/conftest.py`` makes them known to all tests.

A server is started when the first test asks for it, serves all tests of its pytest process, and is stopped at the end.
A test that kills or freezes one need not undo that: the next test finds it running.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import pytest
import redis

from tests.services import choice
from tests.services.choice import ABSENT, absent, choose, given
from tests.services.containers import ContainerServer, KafkaContainer, RedisContainer, sweep
from tests.services.kafka import Broker
from tests.services.processes import KafkaServer, Missing, RedisLike, Server
from tests.services.redis import Flavour, RedisServer
from tests.services.secure import SecureBroker, SecureRedis

C = TypeVar("C", bound=ContainerServer)
RUNNING: list[Server] = []
"""The servers of this pytest process."""


@dataclass
class Given:
    """A server that is not ours: a test that would start, kill or freeze it is skipped."""

    bootstrap: str = field(default="")
    url: str = field(default="")

    def start(self) -> None:
        self._not_ours()

    def stop(self) -> None:
        self._not_ours()

    def kill(self) -> None:
        self._not_ours()

    def pause(self) -> None:
        self._not_ours()

    def resume(self) -> None:
        self._not_ours()

    def revive(self) -> None:
        pass

    def close(self) -> None:
        pass

    def _not_ours(self) -> None:
        pytest.skip(f"{self.bootstrap or self.url.rpartition('@')[2]} was given to the tests, which do not kill it")


def pytest_runtest_setup() -> None:
    """Have every server running before each test, whatever the last one did."""
    for server in RUNNING:
        server.revive()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Give all tests that miss a service one place, so that the summary has one line a service, with their number."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple) and ABSENT in report.longrepr[2]:
        report.longrepr = (choice.__file__, 1, report.longrepr[2])
    return report


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup() -> Generator[None, object, object]:
    """Skip where a fixture has a server of its own that cannot be had here."""
    try:
        return (yield)
    except Missing as why:
        absent("server of its own", str(why))


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Generator[None, object, object]:
    """Skip where a test has a server of its own that cannot be had here."""
    try:
        return (yield)
    except Missing as why:
        absent("server of its own", str(why))


def serving(server: Server) -> Iterator[None]:
    """Have the server running until the generator is resumed."""
    RUNNING.append(server)
    try:
        yield
    finally:
        RUNNING.remove(server)
        server.close()


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """Give the broker that all tests share; see ``topic_prefix``."""

    def as_process() -> KafkaServer:
        broker = Broker(tmp_path_factory.mktemp("kafka"))
        broker.start()
        return broker

    broker: KafkaServer = choose(
        "kafka",
        {
            "given": lambda: Given(bootstrap=given("SCIMGW_TEST_KAFKA")),
            "processes": as_process,
            "containers": lambda: in_container(KafkaContainer),
        },
    )
    for _ in serving(broker):
        yield broker


@pytest.fixture(scope="session")
def kafka_bootstrap(kafka_broker: KafkaServer) -> str:
    """Give the broker's ``host:port``."""
    return kafka_broker.bootstrap


@pytest.fixture
def topic_prefix() -> str:
    """Give the beginning of names of topics, groups and transactional ids that no other test has."""
    return f"t{uuid.uuid4().hex[:10]}-"


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisLike]:
    """Give the Redis that all tests share; see ``redis_url``."""
    server: RedisLike = choose(
        "redis",
        {
            "given": lambda: Given(url=given("SCIMGW_TEST_REDIS")),
            "processes": lambda: redis_process(tmp_path_factory, "redis"),
            "containers": lambda: in_container(RedisContainer),
        },
    )
    for _ in serving(server):
        yield server


@pytest.fixture
def redis_url(redis_server: RedisLike) -> str:
    """Give the URL of an empty database of the Redis."""
    return emptied(redis_server)


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisLike]:
    """Give the Valkey that all tests share, always a process: it comes with the development dependencies."""
    try:
        server = redis_process(tmp_path_factory, "valkey")
    except Missing as why:
        absent("valkey", str(why))
    for _ in serving(server):
        yield server


@pytest.fixture
def valkey_url(valkey_server: RedisLike) -> str:
    """Give the URL of an empty database of the Valkey."""
    return emptied(valkey_server)


@pytest.fixture(scope="session")
def secure_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureBroker]:
    """Give a broker with SCRAM-SHA-512 over TLS, always a process: ``bootstrap``, ``ca_file``, ``username`` …"""
    try:
        broker = SecureBroker(tmp_path_factory.mktemp("secure-kafka"))
    except Missing as why:
        absent("kafka", str(why))
    broker.start()
    for _ in serving(broker):
        yield broker


@pytest.fixture(scope="session")
def secure_redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureRedis]:
    """Give the Redis of ``secure_redis``, always a process."""
    try:
        server = SecureRedis(tmp_path_factory.mktemp("secure-redis"))
    except Missing as why:
        absent("redis", str(why))
    server.start()
    for _ in serving(server):
        yield server


@pytest.fixture
def secure_redis(secure_redis_server: SecureRedis) -> SecureRedis:
    """Give a Redis with TLS and users, empty: ``url`` (with its user), ``ca_file``."""
    with redis.Redis.from_url(secure_redis_server.admin_url) as client:
        client.flushdb()
    return secure_redis_server


def redis_process(directories: pytest.TempPathFactory, flavour: Flavour) -> RedisLike:
    """Start a server in a directory of its own, or raise ``Missing``."""
    server = RedisServer(directories.mktemp(flavour), flavour)
    server.start()
    return server


def in_container(kind: Callable[[], C]) -> C:
    """Start a container, or raise ``Missing``."""
    sweep()
    server = kind()
    try:
        server.start()
    except BaseException:
        server.close()
        raise
    return server


def emptied(server: RedisLike) -> str:
    """Remove all keys of the server's database and return its URL."""
    with redis.Redis.from_url(server.url) as client:
        client.flushdb()
    return server.url
