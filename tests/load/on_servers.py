"""The distributed mode under load: one gateway and one worker on a real Kafka and a real Redis, all on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from tests.distributed import Distributed, distributed
from tests.load import population
from tests.load.deployments import Running, set_password_rule
from tests.load.processes import Watched
from tests.services.kafka import Broker
from tests.services.redis import RedisServer

TENANT: Final = "rfc"
PARTITIONS: Final = 2
"""One for each core: what ``kafka.partitions`` is documented to want."""


class OnServers:
    """``scimgw gateway`` and ``scimgw worker``; each run has topics and a Redis of its own, which begin empty.

    The broker is the same for all of them: a fresh one spends more of its first minute on compiling itself than on
    work.
    """

    name = "kafka"

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._broker: Broker | None = None
        self._runs = 0

    @contextmanager
    def running(self, count: int, *, password: str = "drop", keep: bool = False) -> Iterator[Running]:
        """See ``Deployment.running``; nothing is kept."""
        if keep:
            raise NotImplementedError("the distributed rows make their populations anew")
        if self._broker is None:
            self._broker = Broker(_made(self._directory / "kafka"))
            self._broker.start()
        broker = self._broker
        self._runs += 1
        home = self._directory / f"kafka-run-{self._runs}"
        with ExitStack() as stack:
            redis = RedisServer(_made(home / "redis"))
            redis.start()
            stack.callback(redis.stop)
            service = Distributed(
                home / "service",
                broker.bootstrap,
                redis.url,
                f"bench{self._runs}",
                environment={"SCIMGW_KAFKA__PARTITIONS": str(PARTITIONS)},
            )
            if password != "drop":
                set_password_rule(service.tenants_file, password)
            stack.enter_context(distributed(service))
            yield _running(service, broker, redis, home, count)

    def close(self) -> None:
        """Stop the broker."""
        if self._broker is not None:
            self._broker.stop()
            self._broker = None


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True)
    return directory


def _running(service: Distributed, broker: Broker, redis: RedisServer, home: Path, count: int) -> Running:
    gateway, worker = service.gateways[0], service.workers[0]
    token_file = home / "token"
    token_file.write_text(service.tokens[TENANT])
    running = Running(
        port=int(service.origin.rpartition(":")[2]),
        admin_port=gateway.admin_port,
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
