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
from tests.load.servers import SharedBroker, redis_server
from tests.services.kafka import Broker
from tests.services.redis import RedisServer

TENANT: Final = "rfc"
PARTITIONS: Final = 2
"""One for each core: what ``kafka.partitions`` is documented to want."""


class RunningOnServers(Running, frozen=True, kw_only=True):
    """One that can be asked what it stores, and where."""

    redis_url: str
    logs: Path
    """The broker's log directory."""
    topic_prefix: str
    worker_ports: tuple[int, ...]
    """The operators' port of each worker."""


class OnServers:
    """``scimgw gateway`` and ``scimgw worker``; each run has topics and a Redis of its own, which begin empty."""

    name = "kafka"

    def __init__(self, directory: Path, broker: SharedBroker | None = None) -> None:
        self._directory = directory
        self._broker = broker or SharedBroker(directory / "kafka")
        self._runs = 0
        self._kept: dict[int, tuple[Distributed, RedisServer, Path]] = {}

    @contextmanager
    def running(
        self,
        count: int,
        *,
        password: str = "drop",
        keep: bool = False,
        workers: int = 1,
        partitions: int = PARTITIONS,
    ) -> Iterator[RunningOnServers]:
        """See ``Deployment.running``. What is kept are topics and Redis: gateway and worker stop, lest they idle."""
        broker = self._broker.started()
        with ExitStack() as stack:
            if keep and count in self._kept:
                service, redis, home = self._kept[count]
                stack.enter_context(distributed(service))
                yield _as_running(service, broker, redis, home, count)
                return
            service, redis, home = self._new(broker, workers, partitions)
            if keep:
                self._kept[count] = service, redis, home
            else:
                stack.callback(redis.stop)
            if password != "drop":
                set_password_rule(service.tenants_file, password)
            stack.enter_context(distributed(service))
            yield _running(service, broker, redis, home, count)

    def _new(self, broker: Broker, workers: int, partitions: int) -> tuple[Distributed, RedisServer, Path]:
        """Return a service that is not started on an empty Redis that is."""
        self._runs += 1
        home = self._directory / f"kafka-run-{self._runs}"
        redis = redis_server(home / "redis")
        redis.start()
        service = Distributed(
            home / "service",
            broker.bootstrap,
            redis.url,
            f"bench{self._runs}",
            workers=workers,
            environment={"SCIMGW_KAFKA__PARTITIONS": str(partitions)},
        )
        return service, redis, home

    def close(self) -> None:
        """Stop the broker, and what was kept."""
        for _, redis, _ in self._kept.values():
            redis.stop()
        self._kept.clear()
        self._broker.close()


def _running(service: Distributed, broker: Broker, redis: RedisServer, home: Path, count: int) -> RunningOnServers:
    """Make the population of a service that has none yet."""
    (home / "token").write_text(service.tokens[TENANT])
    running = _as_running(service, broker, redis, home, count)
    users = population.load(running.port, running.token, count, limit_s=60 + count / 100)
    population.write_file(running.population_file, users)
    return running


def _as_running(service: Distributed, broker: Broker, redis: RedisServer, home: Path, count: int) -> RunningOnServers:
    gateway, workers = service.gateways[0], service.workers
    return RunningOnServers(
        port=int(service.origin.rpartition(":")[2]),
        admin_port=gateway.admin_port,
        token_file=home / "token",
        population_file=home / "population.txt",
        population=count,
        watched=(
            Watched("gateway", gateway.pid),
            *(Watched(worker.name if len(workers) > 1 else "worker", worker.pid) for worker in workers),
            Watched("redis", redis.pid),
            Watched("broker", broker.pid),
        ),
        directory=home,
        redis_url=redis.url,
        logs=broker.directory / "logs",
        topic_prefix=service.topic_prefix,
        worker_ports=tuple(worker.admin_port for worker in workers),
    )
