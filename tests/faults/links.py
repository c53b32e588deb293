"""The cluster with a proxy on every connection between two of its processes, and on every client's (F11)."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

from tests.faults.cluster import Cluster
from tests.faults.proxy import Kind, Order
from tests.services.kafka import Broker
from tests.services.processes import server_port

Pair = Literal["gateway-kafka", "gateway-redis", "worker-kafka", "worker-redis", "client-gateway"]
LISTENERS: Final = {"gateway-kafka": "GATEWAYS", "worker-kafka": "WORKERS"}


class Links:
    """The proxy's process, and the ports that it listens on."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._turn = asyncio.Lock()
        self._told: dict[str, dict[str, int]] = {}

    def start(self) -> None:
        """Start the process; it ends with the one that started it, whose end of its input is then closed."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.proxy"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    async def order(self, *orders: Order) -> None:
        """Have orders carried out. Raises RuntimeError when the proxy has ended."""
        async with self._turn:
            line = await asyncio.to_thread(self._asked, msgspec.json.encode(orders) + b"\n")
        if not line:
            raise RuntimeError("the proxy has ended")
        self._told = msgspec.json.decode(line)

    def _asked(self, line: bytes) -> bytes:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()
        return self._process.stdout.readline()

    async def seen(self, ports: Sequence[int]) -> Counter[str]:
        """Return what was done to the connections of these ports since the start."""
        await self.order()
        total: Counter[str] = Counter()
        for port in ports:
            total.update(self._told.get(str(port), {}))
        return total

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()


class LinkedBroker(Broker):
    """A broker that gateways and workers find behind ports of a proxy, each kind behind its own."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.ports = {pair: server_port() for pair in LISTENERS}
        self.advertised = {pair: server_port() for pair in LISTENERS}

    @property
    def properties(self) -> dict[str, str]:
        """See ``Broker.properties``."""
        known = super().properties
        own = f"PLAINTEXT://{self.bootstrap}"
        more = [f"{name}://127.0.0.1:{self.ports[pair]}" for pair, name in LISTENERS.items()]
        told = [f"{name}://127.0.0.1:{self.advertised[pair]}" for pair, name in LISTENERS.items()]
        names = ("CONTROLLER", "PLAINTEXT", *LISTENERS.values())
        return {
            **known,
            "listeners": ",".join([known["listeners"], *more]),
            "advertised.listeners": ",".join([own, *told]),
            "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in names),
        }


class LinkedCluster(Cluster):
    """A ``Cluster`` whose processes see each other through the proxy alone; the run itself looks past it."""

    broker: LinkedBroker

    def __init__(self, directory: Path, environment: Mapping[str, str] | None = None) -> None:
        self.links = Links()
        self.redis_links: dict[str, int] = {}
        """Program → port of its connections to Redis."""
        super().__init__(directory, environment)
        self.front = {gateway.name: server_port() for gateway in self.service.gateways}
        """Gateway → port of its clients' connections."""

    def _new_broker(self) -> Broker:
        return LinkedBroker(self.directory / "kafka")

    def _environment_of(self, name: str) -> Mapping[str, str]:
        kind: Pair = "gateway-kafka" if name.startswith("gateway") else "worker-kafka"
        port = self.redis_links[name] = server_port()
        return {
            "SCIMGW_KAFKA__BOOTSTRAP": f"127.0.0.1:{self.broker.advertised[kind]}",
            "SCIMGW_REDIS__URL": f"redis://127.0.0.1:{port}/0",
        }

    @property
    def urls(self) -> Sequence[str]:
        """See ``campaign.Site``."""
        return [f"http://127.0.0.1:{port}" for port in self.front.values()]

    def ports(self, pair: Pair) -> list[int]:
        """Return the ports between two kinds of process."""
        if pair == "client-gateway":
            return list(self.front.values())
        if pair in LISTENERS:
            return [self.broker.advertised[pair]]
        kind = pair.partition("-")[0]
        return [port for name, port in self.redis_links.items() if name.startswith(kind)]

    async def fault(self, pair: Pair, kind: Kind, seconds: float = 0.0) -> None:
        """Disturb all connections between two kinds of process until the next order."""
        await self.links.order(*(Order(port=port, fault=kind, seconds=seconds) for port in self.ports(pair)))

    async def cut(self, pair: Pair) -> None:
        """Reset all connections between two kinds of process, once."""
        await self.links.order(*(Order(port=port, cut=True) for port in self.ports(pair)))

    async def start(self) -> None:
        """See ``Cluster.start``."""
        self.links.start()
        brokers = [
            Order(port=port, target=f"127.0.0.1:{self.broker.ports[pair]}")
            for pair, port in self.broker.advertised.items()
        ]
        stores = [Order(port=port, target=f"127.0.0.1:{self.redis.port}") for port in self.redis_links.values()]
        fronts = [
            Order(port=self.front[gateway.name], target=origin.removeprefix("http://"))
            for gateway, origin in zip(self.service.gateways, self.service.origins, strict=True)
        ]
        await self.links.order(*brokers, *stores, *fronts)
        await super().start()

    def close(self) -> None:
        """See ``Cluster.close``."""
        super().close()
        self.links.close()
