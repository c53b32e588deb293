"""Kafka and Redis in containers, by testcontainers; ``tests/containers/build.sh`` makes the images."""

from __future__ import annotations

import gc
import os
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

import docker
from docker.errors import DockerException, ImageNotFound
from testcontainers.core.config import ConnectionMode, testcontainers_config
from testcontainers.core.container import DockerContainer

from tests.services.kafka import PROPERTIES
from tests.services.processes import START_LIMIT_S, Missing, server_port

OWNER: Final = "scimgw.tests.pid"
"""The label of everything we create: the process that will remove it."""
KAFKA_IMAGE: Final = ("SCIMGW_TEST_KAFKA_IMAGE", "local/kafka:4.1.1")
REDIS_IMAGE: Final = ("SCIMGW_TEST_REDIS_IMAGE", "local/redis:7")
STOP_LIMIT_S: Final = 10

# Unset, it takes the bridge's gateway for the host when pytest itself is in a container: nothing listens there.
testcontainers_config.connection_mode_override = ConnectionMode.docker_host
testcontainers_config.tc_host_override = "127.0.0.1"
testcontainers_config.ryuk_disabled = True  # its image is not to be had without a registry: ``sweep`` instead


class ContainerServer:
    """A server in a container with one port of 127.0.0.1, which stays the same: Docker would draw another at each start."""

    def __init__(self, name: str, image: str, inner_port: int, memory: str, ready: str) -> None:
        self.name = name
        self.port = server_port()
        self._ready = ready
        self._created = False
        self._container = DockerContainer(image)
        cast("dict[str, Any]", self._container.ports)[str(inner_port)] = ("127.0.0.1", self.port)
        self._container.with_kwargs(labels={OWNER: str(os.getpid())}, mem_limit=memory)

    def start(self) -> None:
        before = self.log().count(self._ready) if self._created else 0
        if self._created:
            self._container.get_wrapped_container().start()
        else:
            self._container.start()
            self._created = True
        deadline = time.monotonic() + START_LIMIT_S
        while self.log().count(self._ready) <= before:
            if time.monotonic() > deadline or self.state() != "running":
                raise AssertionError(f"{self.name} is {self.state()} and did not get ready:\n{self.log()[-4000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        if self.state() == "paused":
            self.resume()
        self._container.get_wrapped_container().stop(timeout=STOP_LIMIT_S)

    def kill(self) -> None:
        container = self._container.get_wrapped_container()
        container.kill("SIGKILL")
        container.wait()

    def pause(self) -> None:
        self._container.get_wrapped_container().pause()

    def resume(self) -> None:
        self._container.get_wrapped_container().unpause()

    def revive(self) -> None:
        match self.state():
            case "paused":
                self.resume()
            case "running":
                pass
            case _:
                self.start()

    def close(self) -> None:
        self._container.stop()

    def state(self) -> str:
        """Return Docker's word for what the container does: running, paused, exited …."""
        container = self._container.get_wrapped_container()
        container.reload()
        return str(container.status)

    def log(self) -> str:
        """Return what it has logged, of all its starts."""
        return b"".join(self._container.get_logs()).decode(errors="replace")


class KafkaContainer(ContainerServer):
    """A broker of its own cluster, configured as the process is."""

    def __init__(self) -> None:
        super().__init__("Kafka", image_of(KAFKA_IMAGE), 9092, "1g", "Kafka Server started")
        self._container.with_envs(CLUSTER_ID=uuid.uuid4().hex[:22], **environment_of(self._properties()))

    @property
    def bootstrap(self) -> str:
        """``host:port``, as clients' ``bootstrap_servers``."""
        return f"127.0.0.1:{self.port}"

    def _properties(self) -> dict[str, str]:
        return {
            **PROPERTIES,
            "controller.quorum.voters": "1@localhost:9093",
            # A broker sends the markers of transactions by the inner listener, to itself too, and cannot reach the
            # host's port: with that one alone all works but transactions, which hang.
            "listeners": "PLAINTEXT://:9092,INNER://:9094,CONTROLLER://:9093",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap},INNER://localhost:9094",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,INNER:PLAINTEXT",
            "inter.broker.listener.name": "INNER",
        }


class RedisContainer(ContainerServer):
    """A Redis, configured as the process is."""

    def __init__(self) -> None:
        super().__init__("Redis", image_of(REDIS_IMAGE), 6379, "256m", "Ready to accept connections")
        self._container.with_command(
            "redis-server --protected-mode no --appendonly yes --appendfsync always --save '' "
            "--maxmemory-policy noeviction --shutdown-timeout 0"
        )

    @property
    def url(self) -> str:
        """``redis://127.0.0.1:port/0``."""
        return f"redis://127.0.0.1:{self.port}/0"


def environment_of(properties: Mapping[str, str]) -> dict[str, str]:
    """Return properties as the ``apache/kafka`` image takes them: ``node.id`` is ``KAFKA_NODE_ID``."""
    return {f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in properties.items()}


def image_of(setting: tuple[str, str]) -> str:
    """Return the image that a variable of the environment names, or its default; raise ``Missing`` when it is not here."""
    variable, default = setting
    image = os.environ.get(variable) or default
    with engine() as client:
        try:
            client.images.get(image)
        except ImageNotFound:
            raise Missing(
                f"no image {image}; build it by tests/containers/build.sh, or name another in {variable}"
            ) from None
    return image


def sweep() -> None:
    """Remove the containers of test runs that were killed."""
    with engine() as client:
        for container in client.containers.list(all=True, filters={"label": OWNER}):
            if not Path("/proc", container.labels[OWNER]).exists():
                container.remove(force=True, v=True)


@contextmanager
def engine() -> Iterator[docker.DockerClient]:
    """Give a client of the engine, or raise ``Missing``."""
    refused = ""
    with warnings.catch_warnings():
        # A client that finds no engine leaves its socket to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            client = docker.from_env()
        except DockerException as why:
            refused = type(why).__name__
        gc.collect()
    if refused:
        raise Missing(f"no container engine answers ({refused}); start Docker")
    try:
        yield client
    finally:
        client.close()
