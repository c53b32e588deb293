"""Three brokers, each record on all of them, acknowledged when two have it (F10)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, cast

from aiokafka.admin import AIOKafkaAdminClient

from tests.faults.cluster import Cluster
from tests.services.kafka import Broker

NUMBER: Final = 3
IN_SYNC_LIMIT_S: Final = 90.0


class Member(Broker):
    """One broker of several."""

    heap = ("-Xms64m", "-Xmx256m", "-XX:TieredStopAtLevel=1")

    def __init__(self, directory: Path, node: int) -> None:
        super().__init__(directory)
        self.node = node
        self.voters = ""

    @property
    def properties(self) -> dict[str, str]:
        """See ``Broker.properties``: with the settings that the runbook asks for."""
        return {
            **super().properties,
            "node.id": str(self.node),
            "controller.quorum.voters": self.voters,
            "controller.quorum.election.timeout.ms": "500",
            "controller.quorum.fetch.timeout.ms": "1000",
            "default.replication.factor": "3",
            "min.insync.replicas": "2",
            "offsets.topic.replication.factor": "3",
            "transaction.state.log.replication.factor": "3",
            "transaction.state.log.min.isr": "2",
            "unclean.leader.election.enable": "false",
        }


class Brokers:
    """A cluster of brokers, as far as a ``Cluster`` deals with its one broker."""

    def __init__(self, directory: Path) -> None:
        self.members = [Member(directory / str(node), node) for node in range(1, NUMBER + 1)]
        voters = ",".join(f"{one.node}@127.0.0.1:{one.controller_port}" for one in self.members)
        for member in self.members:
            member.voters = voters
            member.cluster = self.members[0].cluster

    @property
    def bootstrap(self) -> str:
        """All of them."""
        return ",".join(member.bootstrap for member in self.members)

    def start(self) -> None:
        """Start all at once: one alone has no quorum."""
        with ThreadPoolExecutor(NUMBER) as starting:
            list(starting.map(Member.start, self.members))

    def kill(self) -> None:
        """Kill all."""
        for member in self.members:
            member.kill()


class ReplicatedCluster(Cluster):
    """A ``Cluster`` on three brokers."""

    settings: Mapping[str, str] = {"SCIMGW_KAFKA__REPLICATION": "3"}

    def _new_broker(self) -> Broker:
        return cast("Broker", Brokers(self.directory / "kafka"))

    @property
    def members(self) -> Sequence[Member]:
        """The brokers."""
        return cast("Brokers", self.broker).members

    async def partitions(self, *topics: str) -> list[dict[str, Any]]:
        """Return what a broker tells of each partition: ``topic``, ``partition``, ``leader``, ``isr``."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.broker.bootstrap, request_timeout_ms=5000)
        await admin.start()
        try:
            described = await admin.describe_topics(list(topics))
        finally:
            await admin.close()
        return [{**one, "topic": topic["topic"]} for topic in described for one in topic["partitions"]]

    async def leader(self, topic: str, partition: int) -> Member:
        """Return the broker that leads a partition."""
        for one in await self.partitions(topic):
            if one["partition"] == partition:
                return next(member for member in self.members if member.node == one["leader"])
        raise RuntimeError(f"nobody tells of partition {partition} of {topic}")

    async def in_sync(self) -> None:
        """Wait until every broker has everything: only then may another be lost. Raises RuntimeError."""
        topics = [self.topic(name) for name in ("commands.v1", "state.v1", "events.v1")]
        until = time.monotonic() + IN_SYNC_LIMIT_S
        while True:
            found = await self.partitions(*topics, "__consumer_offsets", "__transaction_state")
            behind = [(one["topic"], one["partition"]) for one in found if len(one["isr"]) < NUMBER]
            if not behind:
                return
            if time.monotonic() > until:
                raise RuntimeError(f"a broker that came back has not caught up with {behind}")
            await asyncio.sleep(0.2)
