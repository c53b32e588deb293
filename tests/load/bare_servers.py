"""The bare write path under load (``tests/load/bare``), on the same broker as the product and on a Redis set like its own."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.load import population
from tests.load.bare.wire import PARTITIONS, TOPICS
from tests.load.deployments import ROOT, Running, environment, free_ports, stop, wait_ready
from tests.load.processes import Watched
from tests.load.servers import SharedBroker, made, redis_server
from tests.services.kafka import Broker
from tests.services.redis import RedisServer


class BareServers:
    """One bare gateway and one bare worker; each run has topics and a Redis of its own, which begin empty."""

    name = "bare"

    def __init__(self, directory: Path, broker: SharedBroker | None = None) -> None:
        self._directory = directory
        self._broker = broker or SharedBroker(directory / "kafka")
        self._runs = 0

    @contextmanager
    def running(self, count: int, *, password: str = "drop", keep: bool = False) -> Iterator[Running]:
        """See ``Deployment.running``; nothing is kept, and there are no passwords."""
        if keep or password != "drop":
            raise NotImplementedError("the bare path makes its populations anew and knows no passwords")
        self._runs += 1
        home = made(self._directory / f"bare-run-{self._runs}")
        broker = self._broker.started()
        prefix = f"bare{self._runs}"
        asyncio.run(_create_topics(broker.bootstrap, prefix))
        with ExitStack() as stack:
            redis = redis_server(home / "redis")
            redis.start()
            stack.callback(redis.stop)
            yield _started(stack, broker, redis, prefix, home, count)

    def close(self) -> None:
        """Stop the broker."""
        self._broker.close()


async def _create_topics(bootstrap: str, prefix: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics(
            [NewTopic(f"{prefix}.{topic}", PARTITIONS, 1, topic_configs=TOPICS[topic]) for topic in TOPICS]
        )
    finally:
        await admin.close()


def _started(stack: ExitStack, broker: Broker, redis: RedisServer, prefix: str, home: Path, count: int) -> Running:
    token_file = home / "token"
    token_file.write_text(secrets.token_urlsafe(32))
    (port,) = free_ports(1)
    servers = ("--bootstrap", broker.bootstrap, "--redis", redis.url, "--prefix", prefix)
    worker = _process(stack, "worker", home, servers)
    gateway = _process(stack, "gateway", home, (*servers, "--port", str(port), "--token-file", str(token_file)))
    wait_ready(gateway, port, home / "gateway.log")
    running = Running(
        port=port,
        admin_port=port,
        token_file=token_file,
        population_file=home / "population.txt",
        population=count,
        watched=(
            Watched("gateway", gateway.pid),
            Watched("worker", worker.pid),
            Watched("redis", redis.pid),
            Watched("broker", broker.pid),
        ),
        directory=home,
    )
    users = population.load(running.port, running.token, count, limit_s=60 + count / 100)
    population.write_file(running.population_file, users)
    return running


def _process(stack: ExitStack, module: str, home: Path, arguments: tuple[str, ...]) -> subprocess.Popen[bytes]:
    with (home / f"{module}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", f"tests.load.bare.{module}", *arguments],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    stack.callback(stop, process)
    return process
