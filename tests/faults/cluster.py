"""The distributed service under test: two gateways, two workers, a broker and a Redis, all of them processes of ours."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec
import redis as redis_client
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from consumers.backends.redis_client import RedisClient
from consumers.backends.redis_compare import compare
from consumers.settings import RedisSettings
from schemas.dead_letters import envelope_of
from schemas.partitions import partition_of
from tests.distributed import PARTITIONS, Distributed, Program
from tests.faults import bodies
from tests.faults.caller import Caller
from tests.faults.history import Intent, Operation
from tests.faults.logs import Commanded, Logs, Parked, Stated
from tests.faults.violations import Violation
from tests.services.kafka import Broker
from tests.services.redis import RedisServer

PUBLIC_URL: Final = "https://scim.example.com"
"""One name for all gateways: the Location of a resource does not tell through which it was written."""
GATEWAYS: Final = 2
WORKERS: Final = 2
SESSION_S: Final = 3.0
"""After so long without a sign of life a worker's partitions go to the other one."""
WHOLE_LIMIT_S: Final = 90.0
QUIET_LIMIT_S: Final = 120.0
PATIENCE_S: Final = 25.0
COUNTERS: Final = {
    "take-overs": "scimgw_take_over_seconds_count",
    "lost": "scimgw_ownership_lost_total",
    "memberships": "scimgw_memberships_lost_total",
    "replayed": "scimgw_state_records_replayed_total",
    "repeats": 'scimgw_commands_total{result="replayed"',
    "late replies": "scimgw_replies_late_total",
    "unknown": "scimgw_commands_unknown_total",
    "parked": "scimgw_commands_parked_total",
}
"""What a run is to have seen → the metric that tells; labels are looked for anywhere in the braces."""


class Cluster:
    """A ``campaign.Site``; a strike may do to ``broker``, ``redis`` and the service's programs what it likes."""

    tenant = "rfc"
    polled = True
    swallows = False
    settings: Mapping[str, str] = {}
    """Further settings of gateways and workers."""

    def __init__(self, directory: Path, environment: Mapping[str, str] | None = None) -> None:
        """``environment``: more of the programs'."""
        self.directory = directory
        self.broker = self._new_broker()
        self.redis = self._new_redis()
        self.second = RedisServer(directory / "rebuilt")
        """Empty, for a comparison at the end."""
        self.service = Distributed(
            directory / "service",
            self.broker.bootstrap,
            self.redis.url,
            "faults",
            gateways=GATEWAYS,
            workers=WORKERS,
            environment={
                "SCIMGW_KAFKA__SESSION_TIMEOUT_S": str(SESSION_S),
                "SCIMGW_HTTP__PUBLIC_URL": PUBLIC_URL,
                **self.settings,
                **(environment or {}),
            },
            environment_of=self._environment_of,
        )
        self.round = 0
        """For strikes that take turns."""
        self.guests: list[Program] = []
        """Workers that come and go."""
        self.noted: Counter[str] = Counter()
        """What strikes have seen, beside the metrics."""
        self.excused: list[tuple[str, int, int]] = []
        """Gateways whose reads are outside the promise, from when and until when: they serve an old primary."""
        self.broken: list[Violation] = []
        """What strikes have found that the history does not show."""
        self._scraped: dict[tuple[str, int], Counter[str]] = {}

    def _new_broker(self) -> Broker:
        return Broker(self.directory / "kafka")

    def _new_redis(self) -> RedisServer:
        return RedisServer(self.directory / "redis")

    def _environment_of(self, name: str) -> Mapping[str, str]:
        """Return what is special in a program's environment."""
        return {}

    @property
    def urls(self) -> Sequence[str]:
        """See ``campaign.Site``."""
        return self.service.origins

    @property
    def token(self) -> str:
        """See ``campaign.Site``."""
        return self.service.tokens[self.tenant]

    def topic(self, name: str) -> str:
        """Return the whole name of a topic."""
        return f"{self.service.topic_prefix}.{name}"

    async def start(self) -> None:
        """Start everything and wait until it is ready."""
        await asyncio.to_thread(self.redis.start)
        await asyncio.to_thread(self.broker.start)
        await asyncio.to_thread(self.service.start)
        await self.whole()

    async def whole(self) -> None:
        """Wait until all processes are ready. Raises RuntimeError when one has ended, or does not get ready."""
        try:
            async with asyncio.TaskGroup() as group:
                for program in self.service.programs:
                    group.create_task(asyncio.to_thread(program.ready, WHOLE_LIMIT_S))
        except* AssertionError as errors:
            raise RuntimeError(str(errors.exceptions[0])[-4000:]) from None

    async def restarted(self, program: Program, **environment: str) -> None:
        """Start a program that has ended, and wait until it is ready."""
        program.start(**environment)
        try:
            await asyncio.to_thread(program.ready, WHOLE_LIMIT_S)
        except AssertionError as error:
            raise RuntimeError(str(error)[-4000:]) from None

    async def published(self) -> list[dict[str, Any]]:
        """Return the tenant's events as a plain client reads them that wants what is committed."""
        records = await committed(self.broker.bootstrap, self.topic("events.v1"))
        return [_plain(record) for record in records if record.key.startswith(f"{self.tenant}/".encode())]

    async def logs(self) -> Logs:
        """See ``campaign.Site.logs``."""
        bootstrap = self.broker.bootstrap
        state, dead = [await committed(bootstrap, self.topic(name)) for name in ("state.v1", "commands.dead.v1")]
        commands = await committed(bootstrap, self.topic("commands.v1"))
        return Logs(
            state=tuple(
                Stated(
                    partition=one.partition,
                    offset=one.offset,
                    key=one.key.decode(),
                    value=None if one.value is None else msgspec.json.decode(one.value),
                )
                for one in state
            ),
            commands=tuple(
                Commanded(partition=one.partition, offset=one.offset, at=one.timestamp, txn=envelope_of(one.value).txn)
                for one in commands
            ),
            dead=tuple(msgspec.json.decode(one.value, type=Parked) for one in dead),
        )

    async def rebuilt(self) -> list[Violation]:
        """Stop the workers, have another fill an empty Redis from the log, and compare it with the live one (INV-9)."""
        for worker in self.service.workers:
            await asyncio.to_thread(worker.stop)
        environment = self.service.environment | {"SCIMGW_REDIS__URL": self.second.url}
        filling = Program("filling", ["worker"], environment, self.service.directory)
        await asyncio.to_thread(self.second.start)
        filling.start()
        try:
            until = time.monotonic() + QUIET_LIMIT_S
            with redis_client.Redis.from_url(self.second.url) as client:
                while client.hlen("{s0}:recovered") != PARTITIONS + 1:
                    if time.monotonic() > until:
                        raise RuntimeError(
                            f"an empty Redis is not filled after {QUIET_LIMIT_S:.0f} s:\n{filling.log()[-2000:]}"
                        )
                    await asyncio.sleep(0.05)
            await asyncio.to_thread(filling.stop)
        finally:
            if filling.running:
                filling.kill()
        async with contextlib.AsyncExitStack() as stack:
            clients = [RedisClient(RedisSettings(url=server.url), timeout_s=60) for server in (self.redis, self.second)]
            for client in clients:
                stack.push_async_callback(client.close)
            found = await compare(*clients, shards=1)
        return [Violation("INV-9", "content", f"live Redis and the log differ: {one.key}: {one.what}") for one in found]

    async def quiet(self, caller: Caller, random: Random) -> None:
        """Write through each gateway until each partition has answered: what stood before it has been decided.

        Raises RuntimeError when that takes too long: the service has not come back.
        """
        until = time.monotonic() + QUIET_LIMIT_S
        for url in self.urls:
            waiting = set(range(PARTITIONS))
            while waiting:
                intent = Intent("create", body=bodies.user(random, bodies.own_name(random)))
                created = await caller.call(url, intent, PATIENCE_S)
                if created.succeeded and created.resource:
                    waiting.discard(partition_of(self.tenant, created.resource, shards=1, partitions=PARTITIONS))
                elif time.monotonic() > until:
                    raise RuntimeError(f"partitions {sorted(waiting)} do not answer after {QUIET_LIMIT_S:.0f} s")
                else:
                    await asyncio.sleep(0.2)

    @property
    def seen(self) -> Counter[str]:
        """What the metrics have told since the start, of all processes that ever ran, by the names of ``COUNTERS``."""
        total: Counter[str] = Counter()
        for told in self._scraped.values():
            total += told
        return total

    def excuses(self, operation: Operation) -> bool:
        """See ``campaign.Site.excuses``."""
        return not operation.is_write and any(
            operation.gateway == url and operation.returned_at > begin and operation.invoked_at < end
            for url, begin, end in self.excused
        )

    async def scrape(self) -> None:
        """Look at the metrics of all processes that answer; the last that one told counts for good."""
        for program in (*self.service.programs, *self.guests):
            if program.running:
                pid = program.pid
                status, text = await asyncio.to_thread(program.probe, "metrics")
                if status == 200:
                    self._scraped[program.name, pid] = _counted(text)

    async def watch(self) -> None:
        """Scrape for ever."""
        while True:
            await self.scrape()
            await asyncio.sleep(1)

    def close(self) -> None:
        """Leave no process behind."""
        self.service.hang_up()
        for program in self.service.programs:
            if program.running:
                program.kill()
        self.broker.kill()
        self.redis.kill()
        self.second.kill()


@asynccontextmanager
async def clustered(cluster: Cluster) -> AsyncIterator[Cluster]:
    """Have the cluster running until the end of the block; unless that fails, it is stopped in good order."""
    try:
        await cluster.start()
        watching = asyncio.create_task(cluster.watch(), name="metrics")
        try:
            yield cluster
            await cluster.scrape()
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
        await asyncio.to_thread(cluster.service.stop)
    finally:
        cluster.close()


async def committed(bootstrap: str, topic: str) -> list[ConsumerRecord]:
    """Return the committed records of a topic, partition by partition."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
    )
    await consumer.start()
    try:
        found: list[ConsumerRecord] = []
        places = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
        ends = await consumer.end_offsets(places)
        for place in places:
            consumer.assign([place])
            await consumer.seek_to_beginning(place)
            while await consumer.position(place) < ends[place]:
                found += (await consumer.getmany(place, timeout_ms=1000)).get(place, [])
        return found
    finally:
        await consumer.stop()


def _plain(record: ConsumerRecord) -> dict[str, Any]:
    return {
        "partition": record.partition,
        "offset": record.offset,
        "key": record.key.decode(),
        "headers": [[name, value.decode()] for name, value in record.headers],
        "value": msgspec.json.decode(record.value),
    }


def _counted(text: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for line in text.splitlines():
        for name, metric in COUNTERS.items():
            base, _, label = metric.partition("{")
            if line.startswith((f"{base} ", f"{base}{{")) and label in line:
                found[name] += int(float(line.rpartition(" ")[2]))
    return found
