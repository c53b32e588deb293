"""The distributed service for tests over HTTP: gateways and workers as real processes on a real Kafka and Redis."""

from __future__ import annotations

import asyncio
import itertools
import json as json_text
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx2
import redis
from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.served import STOP_LIMIT_S, TOKENS, Scim, Service, clean_environment, free_port, tenants_file

SCIMGW: Final = (sys.executable, "-m", "gateway.cli")
READY_LIMIT_S: Final = 60.0
PARTITIONS: Final = 4
TOPICS: Final = ("commands.v1", "state.v1", "events.v1", "commands.dead.v1")


class Program:
    """One process of ours, with its log and its operators' port; started again it appends to the log."""

    def __init__(self, name: str, arguments: Sequence[str], environment: Mapping[str, str], directory: Path) -> None:
        self.name = name
        self.admin_port = free_port()
        self._arguments = [*SCIMGW, *arguments, "--admin", f"127.0.0.1:{self.admin_port}"]
        self._environment = dict(environment)
        self._log = directory / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def admin(self) -> str:
        """The operators' port."""
        return f"http://127.0.0.1:{self.admin_port}"

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self, **more: str) -> None:
        """Start the process, with ``more`` in its environment this time; see ``ready``."""
        environment = {**self._environment, **more}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._arguments, stdout=log, stderr=log, env=environment)

    def ready(self, limit_s: float = READY_LIMIT_S) -> None:
        """Wait until the process says that it is ready."""
        deadline = time.monotonic() + limit_s
        said = "nothing"
        while time.monotonic() < deadline:
            assert self.running, f"{self.name} ended:\n{self.log()}"
            status, said = self.probe("readyz")
            if status == 200:
                return
            time.sleep(0.05)
        raise AssertionError(f"{self.name} is not ready ({said}):\n{self.log()}")

    def probe(self, name: str) -> tuple[int, str]:
        """Return status and body of a health route; 0 and the reason where nobody answers."""
        try:
            with urllib.request.urlopen(f"{self.admin}/{name}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def metrics(self) -> str:
        """Return what Prometheus would scrape."""
        status, text = self.probe("metrics")
        assert status == 200, text
        return text

    def log(self) -> str:
        """Return what the process has printed and logged."""
        return self._log.read_text()

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def ended(self, limit_s: float = STOP_LIMIT_S) -> int:
        """Wait for the end and return the exit code."""
        assert self._process is not None
        return self._process.wait(limit_s)

    def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        self.send(signal.SIGTERM)
        return self.ended()

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send(signal.SIGKILL)
        self.ended()


class Alternating(Scim):
    """A caller behind a load balancer: each request goes to the next gateway, under the one name all of them have."""

    def __init__(self, bases: Sequence[str], token: str | None) -> None:
        super().__init__(bases[0], token)
        self._origins = [base.removesuffix("/scim/v2") for base in bases]
        self._turns = itertools.cycle(self._origins)

    def request(
        self,
        method: str,
        path: str,
        json: Any = None,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str | bytes] | None = None,
        params: Mapping[str, str | int] | None = None,
    ) -> httpx2.Response:
        """See ``Scim.request``."""
        known = self._origins[0]
        url = path if path.startswith("http") else f"{self.base_url}{path}"
        if url.startswith(known):
            url = next(self._turns) + url.removeprefix(known)
        sent = {"Host": known.removeprefix("http://"), **(headers or {})}
        return super().request(method, url, json, content=content, headers=sent, params=params)


class Distributed(Service):
    """So many ``scimgw gateway`` and ``scimgw worker`` on a Kafka and a Redis that nobody else uses by this prefix."""

    def __init__(
        self,
        directory: Path,
        bootstrap: str,
        redis_url: str,
        topic_prefix: str,
        *,
        gateways: int = 1,
        workers: int = 1,
        environment: Mapping[str, str] | None = None,
        environment_of: Callable[[str], Mapping[str, str]] = lambda _name: {},
    ) -> None:
        super().__init__()
        self._environment_of = environment_of
        self.directory = directory
        self.bootstrap = bootstrap
        self.redis_url = redis_url
        self.topic_prefix = topic_prefix
        self.environment = {
            **clean_environment(),
            "SCIMGW_KAFKA__BOOTSTRAP": bootstrap,
            "SCIMGW_KAFKA__TOPIC_PREFIX": topic_prefix,
            "SCIMGW_KAFKA__PARTITIONS": str(PARTITIONS),
            "SCIMGW_REDIS__URL": redis_url,
            **(environment or {}),
        }
        self.tokens = {name: f"scimgw_{secrets.token_urlsafe(32)}" for name in TOKENS}
        directory.mkdir(parents=True, exist_ok=True)
        self.tenants_file = directory / "tenants.toml"
        self.tenants_file.write_text(tenants_file(self.tokens))
        self.gateways = [self._gateway(f"gateway-{number}") for number in range(1, gateways + 1)]
        self.workers = [
            Program(name, ["worker", "--name", name], {**self.environment, **environment_of(name)}, directory)
            for name in (f"worker-{number}" for number in range(1, workers + 1))
        ]
        self.origin = self.origins[0]
        self.admin = self.gateways[0].admin

    def _gateway(self, name: str) -> Program:
        port = free_port()
        arguments = ["gateway", "--port", str(port), "--tenants", str(self.tenants_file)]
        program = Program(name, arguments, {**self.environment, **self._environment_of(name)}, self.directory)
        self._ports: dict[str, int] = {**getattr(self, "_ports", {}), name: port}
        return program

    @property
    def origins(self) -> list[str]:
        """``http://host:port`` of each gateway."""
        return [f"http://127.0.0.1:{self._ports[gateway.name]}" for gateway in self.gateways]

    @property
    def programs(self) -> list[Program]:
        """All processes."""
        return [*self.workers, *self.gateways]

    def start(self) -> None:
        """Make the topics, start everything and wait until all of it is ready."""
        self.command("topics", "create")
        for program in self.programs:
            program.start()
        for gateway in self.gateways:
            gateway.ready()

    def stop(self) -> None:
        """Hang up, stop everything that runs, and check that it ended in good order."""
        self.hang_up()
        codes = {gateway.name: gateway.stop() for gateway in self.gateways if gateway.running}
        codes |= {worker.name: worker.stop() for worker in self.workers if worker.running}
        assert set(codes.values()) <= {0}, (codes, [program.log()[-3000:] for program in self.programs])

    def _caller(self, kind: str, token: str) -> Scim:
        if (kind, token) not in self._callers:
            bases = [f"{origin}/scim/v2" for origin in self.origins]
            self._callers[kind, token] = Alternating(bases, token or None)
        return self._callers[kind, token]

    def caller_of(self, gateway: int, token: str = "rfc") -> Scim:
        """Return a caller of one gateway alone; the test closes it."""
        return Scim(f"{self.origins[gateway]}/scim/v2", self.tokens[token])

    def metrics(self) -> str:
        """Return what Prometheus would scrape, of all processes one after the other."""
        return "\n".join(program.metrics() for program in self.programs)

    def events(self, tenant: str) -> list[dict[str, Any]]:
        printed = self.command("events", "--meta", "--tenant", tenant)
        return [json_text.loads(line) for line in printed.split("\n")[:-1]]

    def command(self, *arguments: str) -> str:
        """Run ``scimgw`` with the same settings and return what it prints."""
        done = subprocess.run([*SCIMGW, *arguments], env=self.environment, capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def kept(self) -> bytes:
        logs = b"".join(program.log().encode() for program in self.programs)
        topics = asyncio.run(_records(self.bootstrap, [f"{self.topic_prefix}.{name}" for name in TOPICS]))
        with redis.Redis.from_url(self.redis_url) as client:
            return b"\n".join([logs, topics, *_values(client)])

    @contextmanager
    def stalled(self) -> Iterator[None]:
        with frozen(self.workers):
            yield


@contextmanager
def frozen(programs: Iterable[Program]) -> Iterator[None]:
    """Have processes stand still for the length of a block."""
    stopped = list(programs)
    for program in stopped:
        program.send(signal.SIGSTOP)
    try:
        yield
    finally:
        for program in stopped:
            program.send(signal.SIGCONT)


@contextmanager
def distributed(service: Distributed) -> Iterator[Distributed]:
    """Have the service running for the length of a block; whatever happens, no process of it is left."""
    try:
        service.start()
        yield service
        service.stop()
    finally:
        service.hang_up()
        for program in service.programs:
            if program.running:
                program.kill()


async def _records(bootstrap: str, topics: Sequence[str]) -> bytes:
    """Return keys, values and headers of all records, committed or not."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False, max_poll_records=10_000
    )
    await consumer.start()
    try:
        places = [TopicPartition(topic, partition) for topic in topics for partition in range(PARTITIONS)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        kept: list[bytes] = []
        for place in places:
            consumer.assign([place])
            await consumer.seek_to_beginning(place)
            while await consumer.position(place) < ends[place]:
                for record in (await consumer.getmany(place, timeout_ms=1000)).get(place, []):
                    kept += [record.key or b"", record.value or b"", *(value for _, value in record.headers)]
        return b"\n".join(kept)
    finally:
        await consumer.stop()


def _values(client: Any) -> Iterator[bytes]:
    """Yield every key of a Redis database with all that is under it."""
    read: dict[str, Callable[[bytes], Any]] = {
        "string": client.get,
        "hash": client.hgetall,
        "set": client.smembers,
        "zset": lambda key: client.zrange(key, 0, -1),
        "list": lambda key: client.lrange(key, 0, -1),
        "stream": client.xrange,
    }
    for key in client.scan_iter(count=1000):
        yield key + b" " + b"\n".join(_flat(read[client.type(key).decode()](key)))


def _flat(value: Any) -> Iterator[bytes]:
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(name)
            yield from _flat(inner)
    elif isinstance(value, Iterable):
        for inner in value:
            yield from _flat(inner)
