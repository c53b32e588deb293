"""A real Apache Kafka (KRaft, one node) as a process."""

from __future__ import annotations

import base64
import subprocess
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.services import kafka_jars
from tests.services.processes import ServerProcess, server_port

LOGGER: Final = "-Dorg.slf4j.simpleLogger"
VIRTUAL_MACHINE: Final = (
    # The archive is taken only by a machine with the collector that wrote it.
    *("java", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError"),
    *(f"{LOGGER}.logFile=System.out", f"{LOGGER}.showDateTime=true", f"{LOGGER}.dateTimeFormat=HH:mm:ss.SSS"),
    *(f"{LOGGER}.defaultLogLevel=warn", f"{LOGGER}.log.kafka.server.KafkaRaftServer=info"),
)
PROPERTIES: Final = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    # One broker: a copy of everything.
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # Tests wait for what production is patient about.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "500",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    "log.cleaner.backoff.ms": "500",
    # A killed broker may come back only when its former self's session has ended.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "300",
    "socket.connection.setup.timeout.ms": "1000",
    "socket.connection.setup.timeout.max.ms": "2000",
    "request.timeout.ms": "5000",
    # Small: several brokers share a small machine.
    "log.cleaner.dedupe.buffer.size": "4194304",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
}


class Broker(ServerProcess):
    """A broker of its own cluster. ``properties`` of ``server.properties`` win over ours."""

    name = "Kafka"
    heap: Sequence[str] = ("-Xms256m", "-Xmx512m")

    def __init__(self, directory: Path, properties: Mapping[str, str] | None = None) -> None:
        super().__init__(directory)
        self.port = server_port()
        self.controller_port = server_port()
        self.cluster = cluster_id()
        self._properties = dict(properties or {})
        self._class_path = class_path()

    @property
    def bootstrap(self) -> str:
        """``host:port``, as clients' ``bootstrap_servers``."""
        return f"127.0.0.1:{self.port}"

    @property
    def properties(self) -> dict[str, str]:
        """What its ``server.properties`` says."""
        controller = f"127.0.0.1:{self.controller_port}"
        return {
            **PROPERTIES,
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://{controller}",
            "log.dirs": str(self.directory / "logs"),
            **self._properties,
        }

    def _prepare(self) -> Sequence[str]:
        make_archive()
        text = "".join(f"{name}={value}\n" for name, value in self.properties.items())
        self._settings.write_text(text)
        if not (self.directory / "logs").exists():
            self._format()
        return [*self._java(*self.heap), "kafka.Kafka", str(self._settings)]

    @property
    def _settings(self) -> Path:
        return self.directory / "server.properties"

    def _format(self, *more: str) -> None:
        done = subprocess.run(
            [
                *self._java("-Xmx128m", "-XX:TieredStopAtLevel=1"),
                *("kafka.tools.StorageTool", "format", "-t", self.cluster, "-c", str(self._settings), *more),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout.decode(errors="replace")

    def _java(self, *options: str) -> list[str]:
        return [*VIRTUAL_MACHINE, f"-XX:SharedArchiveFile={kafka_jars.archive()}", *options, "-cp", self._class_path]

    def _ready(self, logged: str) -> bool:
        return "Kafka Server started" in logged


class _TrialBroker(Broker):
    """A broker that leaves the archive of the classes it has loaded when it ends."""

    stop_limit_s = 60.0

    def _prepare(self) -> Sequence[str]:
        self._settings.write_text("".join(f"{name}={value}\n" for name, value in self.properties.items()))
        self._format()
        written = f"-XX:ArchiveClassesAtExit={self.directory / 'trial.jsa'}"
        return [*self._java(*self.heap, written), "kafka.Kafka", str(self._settings)]

    def _java(self, *options: str) -> list[str]:
        return [*VIRTUAL_MACHINE, *options, "-cp", self._class_path]

    def stop(self) -> None:
        super().stop()
        written = self.directory / "trial.jsa"
        if written.exists():
            written.rename(kafka_jars.archive())


def cluster_id() -> str:
    """Return a new one."""
    # It begins with "A": one that begins with "-" would be taken for an option.
    return base64.urlsafe_b64encode(b"\0" + uuid.uuid4().bytes[1:]).decode().rstrip("=")


def class_path() -> str:
    """Return the jars' paths, always the same text: another class path would not take the archive."""
    return ":".join(str(jar) for jar in kafka_jars.jars())


def make_archive() -> None:
    """Write the class-data archive if there is none, by a trial run: 2 s instead of 5 to start, each time."""
    if kafka_jars.archive().exists():
        return
    class_path()
    with kafka_jars.exclusively(kafka_jars.cache()):
        if kafka_jars.archive().exists():
            return
        with tempfile.TemporaryDirectory(dir=kafka_jars.cache()) as directory:
            trial = _TrialBroker(Path(directory))
            trial.start()
            trial.stop()
