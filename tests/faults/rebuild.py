"""``scimgw rebuild`` while writes go on, and live Redis against one filled from the log (INV-9); see ``main``.

Users are loaded as commands with a budget, appended by the gateways' own command log without a gateway that waits; all
writes during the rebuild go through the gateways, and every one that was acknowledged is checked afterwards.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
import redis

from consumers.backends.kafka_commands import KafkaCommandLog
from consumers.backends.redis_client import RedisClient
from consumers.backends.redis_compare import Difference, compare
from consumers.settings import KafkaSettings, RedisSettings
from schemas import ids
from schemas.commands import ChangeCommand, Create, encode_command
from schemas.partitions import partition_of
from schemas.urns import PATCH_OP, USER
from tests.distributed import PARTITIONS, SCIMGW, Distributed, Program
from tests.services.kafka import Broker
from tests.services.redis import RedisServer

LOADED_TENANTS: Final = ("rfc", "other")
"""Two, so that there are two of each kind of key that a tenant has once."""
WRITERS: Final = 6
READERS: Final = 3
IN_FLIGHT: Final = 4000
LIMIT_S: Final = 900.0
REPLAYED: Final = re.compile(r"^scimgw_state_records_replayed_total (\S+)$", re.MULTILINE)
TOOK: Final = re.compile(r"recovered in ([0-9.]+) s")

Say = Callable[[str], None]


class Seen:
    """What callers saw: which users must be there at which version, and what contradicts a promise."""

    def __init__(self) -> None:
        self.versions: dict[str, int] = {}
        """Acknowledged: id → version."""
        self.deleted: set[str] = set()
        self.unknown: set[str] = set()
        """Users with a write of unknown outcome: nothing is said about their version, or whether they are there."""
        self.unknown_creates = 0
        self.loaded: list[str] = []
        """Users of tenant ``rfc`` that no writer touches."""
        self.reads: Counter[int] = Counter()
        self.writes: Counter[int] = Counter()
        self.violations: list[str] = []
        self.first_503 = self.last_503 = 0.0

    def read(self, status: int, resource_id: str) -> None:
        """Note a read of a user that is there."""
        self.reads[status] += 1
        if status == 503:
            self.first_503 = self.first_503 or time.monotonic()
            self.last_503 = time.monotonic()
        elif status != 200:
            self.violations.append(f"GET of {resource_id}, which was acknowledged: {status}")


class Report(msgspec.Struct, frozen=True):
    """What a run has shown."""

    users: int
    load_s: float
    replayed: int
    rebuild_s: float
    cpu_s: dict[str, float]
    """What the workers and Redis took of the processors meanwhile, the writes included."""
    reads: dict[int, int]
    writes: dict[int, int]
    reads_out_s: float
    checked: int
    violations: list[str]
    live_differences: list[Difference]
    """Live Redis that was never rebuilt, against one filled from the log."""
    rebuilt_differences: list[Difference]
    """Redis that was rebuilt while writes went on, against one filled from the log."""
    keys: int
    planted: set[str]
    found: set[str]

    @property
    def rate(self) -> float:
        """State records replayed in a second."""
        return self.replayed / self.rebuild_s

    def lines(self) -> Iterator[str]:
        """Yield what a person reads."""
        yield f"loaded {self.users} users in {self.load_s:.1f} s"
        yield f"rebuild: {self.replayed} state records in {self.rebuild_s:.1f} s, {self.rate:.0f}/s; CPU seconds {self.cpu_s}"
        yield f"reads {self.reads}, unavailable for {self.reads_out_s:.1f} s; writes {self.writes}; checked {self.checked}"
        yield f"live against the log: {len(self.live_differences)} differences in {self.keys} keys"
        yield f"rebuilt under writes against the log: {len(self.rebuilt_differences)} differences"
        yield f"planted {len(self.planted)} differences, found {len(self.planted & self.found)}"
        yield from self.violations[:20]


class Site:
    """Two gateways and two workers on servers of their own, and a second Redis for comparison."""

    def __init__(self, directory: Path) -> None:
        self.broker = Broker(directory / "kafka")
        self.live = RedisServer(directory / "live")
        self.other = RedisServer(directory / "other")
        self.service = Distributed(
            directory / "service", self.broker.bootstrap, self.live.url, "rebuild", gateways=2, workers=0,
            environment={"SCIMGW_KAFKA__SESSION_TIMEOUT_S": "6"},
        )  # fmt: skip
        self.service.workers = [self._worker(f"worker-{number}", self.live) for number in (1, 2)]
        self.filling = self._worker("worker-filling", self.other)

    def _worker(self, name: str, server: RedisServer) -> Program:
        # Without a name: the other Redis' worker gets all partitions as soon as these have left.
        environment = self.service.environment | {"SCIMGW_REDIS__URL": server.url}
        return Program(name, ["worker"], environment, self.service.directory)

    @property
    def replayed(self) -> int:
        """State records that the workers have replayed since they were started."""
        found = [REPLAYED.search(worker.metrics()) for worker in self.service.workers]
        return sum(int(float(match[1])) for match in found if match)

    @property
    def cpu_s(self) -> dict[str, float]:
        """Processor seconds of the workers and of live Redis since their start."""
        pids = {"workers": [worker.pid for worker in self.service.workers], "redis": [self.live.pid]}
        return {name: sum(map(_cpu_s, found)) for name, found in pids.items()}

    def stop_workers(self) -> None:
        """Stop the workers in good order."""
        assert {worker.stop() for worker in self.service.workers} == {0}

    def start_workers(self) -> None:
        """Start the workers and wait until they own all partitions."""
        for worker in self.service.workers:
            worker.start()
        for worker in self.service.workers:
            worker.ready()

    def close(self) -> None:
        """Leave no process behind."""
        for program in (*self.service.programs, self.filling):
            if program.running:
                program.kill()
        for server in (self.broker, self.live, self.other):
            server.kill()


async def run(directory: Path, users: int, say: Say) -> Report:
    """Load, compare, rebuild under writes, compare again, plant differences; the site is gone afterwards."""
    site = Site(directory)
    try:
        for server in (site.broker, site.live, site.other):
            await asyncio.to_thread(server.start)
        await asyncio.to_thread(site.service.start)
        return await _run(site, users, say)
    finally:
        site.close()


async def _run(site: Site, users: int, say: Say) -> Report:
    seen = Seen()
    began = time.monotonic()
    await _load(site, users, seen, say)
    load_s = time.monotonic() - began
    say(f"{users} users in {load_s:.1f} s")
    async with _traffic(site, seen):
        await asyncio.sleep(3)
    live_differences = await _compared(site, say)
    site.start_workers()
    await _until_served(site)
    before, cpu_before = site.replayed, site.cpu_s
    async with _traffic(site, seen):
        await asyncio.sleep(1)
        rebuild_s = await _rebuilt(site, say)
        await asyncio.sleep(2)
    replayed = site.replayed - before
    cpu_s = {name: round(after - cpu_before[name], 1) for name, after in site.cpu_s.items()}
    say(f"{replayed} records replayed in {rebuild_s:.1f} s; reads {dict(seen.reads)}; writes {dict(seen.writes)}")
    checked = await _check(site, users, seen)
    rebuilt_differences = await _compared(site, say)
    with redis.Redis.from_url(site.other.url) as client:
        keys = int(client.dbsize())
        planted = _plant(client)
    found = {difference.key for difference in await _differences(site)}
    return Report(
        users=users,
        load_s=load_s,
        replayed=replayed,
        rebuild_s=rebuild_s,
        cpu_s=cpu_s,
        reads=dict(seen.reads),
        writes=dict(seen.writes),
        reads_out_s=seen.last_503 - seen.first_503,
        checked=checked,
        violations=seen.violations,
        live_differences=live_differences,
        rebuilt_differences=rebuilt_differences,
        keys=keys,
        planted=planted,
        found=found,
    )


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# --- loading ---


async def _load(site: Site, users: int, seen: Seen, say: Say) -> None:
    kafka = KafkaSettings(bootstrap=site.broker.bootstrap, topic_prefix=site.service.topic_prefix)
    log = KafkaCommandLog(kafka, lambda _skew: None)
    await log.start()
    slots = asyncio.Semaphore(IN_FLIGHT)

    async def append(number: int) -> None:
        async with slots:
            tenant = LOADED_TENANTS[number % len(LOADED_TENANTS)]
            command = _create(tenant, number)
            if tenant == "rfc":
                seen.loaded.append(command.resource_id)
            partition = partition_of(tenant, command.resource_id, shards=1, partitions=PARTITIONS)
            await log.append(partition, f"{tenant}/{command.resource_id}", encode_command(command))

    try:
        async with asyncio.TaskGroup() as group:
            for number in range(users):
                group.create_task(append(number))
                if number % IN_FLIGHT == 0:
                    await asyncio.sleep(0)
    finally:
        await log.close()
    say(f"{users} commands appended")
    await _until(site, lambda total: total >= len(seen.loaded), say)


def _create(tenant: str, number: int) -> ChangeCommand:
    now = time.time_ns() // 1_000_000
    name = f"{tenant}-{number}@example.com"
    return ChangeCommand(
        txn=ids.time_ordered(now, os.urandom(ids.RANDOM_BYTES)),
        tenant=tenant,
        resource_type="User",
        resource_id=ids.time_ordered(now, os.urandom(ids.RANDOM_BYTES)),
        change=Create(
            body={
                "schemas": [USER],
                "userName": name,
                "externalId": f"e-{number}",
                "name": {"givenName": "Ann", "familyName": f"Number {number}"},
                "emails": [{"value": name, "type": "work", "primary": True}],
                "active": True,
            }
        ),
        accepted_at=now,
        budget=int(LIMIT_S * 1000),
        principal="loader",
        fingerprint=os.urandom(16).hex(),
        gateway="",
    )


async def _until(site: Site, enough: Callable[[int], bool], say: Say) -> None:
    deadline = said = time.monotonic() + LIMIT_S
    async with _session(site) as session:
        while time.monotonic() < deadline:
            async with session.get(f"{site.service.origins[0]}/scim/v2/Users?count=0") as answer:
                total = (await answer.json(content_type=None)).get("totalResults", 0) if answer.status == 200 else 0
            if enough(total):
                return
            if abs(time.monotonic() - said) > 5:
                said = time.monotonic()
                say(f"{total} users of tenant rfc so far")
            await asyncio.sleep(0.1)
    raise AssertionError("the load was not applied in time")


async def _until_served(site: Site) -> None:
    await _until(site, lambda total: total > 0, lambda _line: None)


# --- writes and reads ---


def _session(site: Site) -> aiohttp.ClientSession:
    headers = {"Authorization": f"Bearer {site.service.tokens['rfc']}"}
    session = aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=60))
    session._retry_connection = False
    return session


@asynccontextmanager
async def _traffic(site: Site, seen: Seen) -> AsyncIterator[None]:
    """Write and read through both gateways for the length of a block; what is in flight at its end is finished."""
    ending = asyncio.Event()
    async with _session(site) as session, asyncio.TaskGroup() as group:
        for number in range(WRITERS):
            group.create_task(_write(site, session, seen, ending, number))
        for number in range(READERS):
            group.create_task(_read(site, session, seen, ending, number))
        try:
            yield
        finally:
            ending.set()


async def _write(site: Site, session: aiohttp.ClientSession, seen: Seen, ending: asyncio.Event, number: int) -> None:
    """Create, change and delete users of one's own, each gateway in turn."""
    origins = itertools.cycle(f"{origin}/scim/v2/Users" for origin in site.service.origins)
    mine: list[str] = []
    for turn in itertools.count():
        if ending.is_set():
            return
        verb = ("POST", "PATCH", "POST", "PUT", "POST", "DELETE")[turn % 6]
        if verb == "POST":
            new = {"schemas": [USER], "userName": f"writer-{number}-{os.urandom(8).hex()}", "externalId": f"w-{turn}"}
            status, answer = await _sent(session, "POST", next(origins), new, seen)
            if status == 201:
                mine.append(answer["id"])
                seen.versions[answer["id"]] = 1
            else:
                seen.unknown_creates += 1
                await asyncio.sleep(0.05)
            continue
        known = [resource_id for resource_id in mine[-20:] if resource_id not in seen.unknown]
        if not known:
            continue
        resource_id = known[turn % len(known)]
        body: dict[str, Any] | None = None
        if verb == "PATCH":
            change = {"op": "replace", "path": "title", "value": f"title {turn}"}
            body = {"schemas": [PATCH_OP], "Operations": [change]}
        elif verb == "PUT":
            body = {"schemas": [USER], "userName": f"writer-{number}-{os.urandom(8).hex()}", "title": f"put {turn}"}
        seen.unknown.add(resource_id)
        status, answer = await _sent(session, verb, f"{next(origins)}/{resource_id}", body, seen)
        if status == 200:
            seen.versions[resource_id] = int(answer["meta"]["version"][3:-1])
            seen.unknown.discard(resource_id)
        elif status == 204:
            mine.remove(resource_id)
            del seen.versions[resource_id]
            seen.deleted.add(resource_id)
            seen.unknown.discard(resource_id)
        else:
            await asyncio.sleep(0.05)


async def _sent(session: aiohttp.ClientSession, verb: str, url: str, body: Any, seen: Seen) -> tuple[int, Any]:
    content = None if body is None else msgspec.json.encode(body)
    headers = {} if body is None else {"Content-Type": "application/scim+json"}
    try:
        async with session.request(verb, url, data=content, headers=headers) as answer:
            status, text = answer.status, await answer.read()
    except aiohttp.ClientError:
        status, text = 0, b""
    seen.writes[status] += 1
    if status not in {0, 200, 201, 204, 503}:
        seen.violations.append(f"{verb} answered {status}: {text.decode()[:300]}")
    return status, msgspec.json.decode(text) if text else None


async def _read(site: Site, session: aiohttp.ClientSession, seen: Seen, ending: asyncio.Event, number: int) -> None:
    """Read users that are there, by id and by a filter."""
    origins = itertools.cycle(f"{origin}/scim/v2/Users" for origin in site.service.origins)
    for turn in itertools.count(number * 7919):
        if ending.is_set():
            return
        place = turn * 104_729 % len(seen.loaded)
        resource_id = seen.loaded[place]
        async with session.get(f"{next(origins)}/{resource_id}") as answer:
            seen.read(answer.status, resource_id)
        filtered = {"filter": f'externalId eq "e-{place * len(LOADED_TENANTS)}"', "attributes": "id"}
        async with session.get(next(origins), params=filtered) as answer:
            seen.reads[answer.status] += 1
            if answer.status == 200 and (await answer.json(content_type=None))["totalResults"] != 1:
                seen.violations.append("a filter did not find a user that is there")
            elif answer.status not in {200, 503}:
                seen.violations.append(f"GET with a filter: {answer.status}")
        await asyncio.sleep(0.01)


async def _rebuilt(site: Site, say: Say) -> float:
    """Run ``scimgw rebuild``; return how many seconds it says."""
    process = await asyncio.create_subprocess_exec(
        *SCIMGW, "rebuild", env=site.service.environment, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    lines = []
    async for line in process.stderr:
        lines.append(line.decode().rstrip())
        say(f"rebuild: {lines[-1]}")
    assert await process.wait() == 0, lines
    match = TOOK.search(lines[-1])
    assert match, lines
    return float(match[1])


async def _check(site: Site, users: int, seen: Seen) -> int:
    """Read every user that a writer touched, and some others, through a gateway; return how many."""
    origin = f"{site.service.origins[1]}/scim/v2/Users"
    step = max(1, len(seen.loaded) // 1000)
    expected: dict[str, int] = {**dict.fromkeys(seen.loaded[::step], 1), **dict.fromkeys(seen.deleted, 0)}
    expected |= seen.versions
    async with _session(site) as session:
        for resource_id, version in expected.items():
            async with session.get(f"{origin}/{resource_id}") as answer:
                found = 0
                if answer.status == 200:
                    found = int((await answer.json(content_type=None))["meta"]["version"][3:-1])
                right = found == version or (resource_id in seen.unknown and answer.status in {200, 404})
                if answer.status not in {200, 404} or not right:
                    seen.violations.append(f"{resource_id}: {answer.status}, version {found} instead of {version}")
        async with session.get(f"{origin}?count=0") as answer:
            total = (await answer.json(content_type=None))["totalResults"]
    least = len(seen.loaded) + len(seen.versions.keys() - seen.unknown)
    most = len(seen.loaded) + len(seen.versions) + seen.unknown_creates
    if not least <= total <= most:
        seen.violations.append(f"{total} users, not {least} to {most}")
    return len(expected)


# --- comparing ---


async def _compared(site: Site, say: Say) -> list[Difference]:
    """Stop the workers, have another fill the second Redis from the log, and compare; the workers stay stopped."""
    site.stop_workers()
    with redis.Redis.from_url(site.other.url) as client:
        client.flushall()
        began = time.monotonic()
        site.filling.start()
        site.filling.ready()
        while client.hlen("{s0}:recovered") != PARTITIONS + 1:
            assert time.monotonic() - began < LIMIT_S, "the second Redis was not filled in time"
            await asyncio.sleep(0.1)
    say(f"the second Redis is filled, {time.monotonic() - began:.1f} s after its worker was started")
    assert site.filling.stop() == 0
    differences = await _differences(site)
    say(f"{len(differences)} differences")
    return differences


async def _differences(site: Site) -> list[Difference]:
    async with contextlib.AsyncExitStack() as stack:
        clients = [RedisClient(RedisSettings(url=server.url), timeout_s=60) for server in (site.live, site.other)]
        for client in clients:
            stack.push_async_callback(client.close)
        return await compare(*clients, shards=1)


def _plant(client: Any) -> set[str]:
    """Change one thing of each kind; return the keys whose difference must be found."""

    def some(pattern: str, count: int) -> list[bytes]:
        return list(itertools.islice(client.scan_iter(match=f"{{s0}}:{pattern}", count=1000), count))

    planted: set[bytes] = set()
    changed, missing, retyped = some("rfc:r:*", 3)
    client.append(changed, "x")
    client.delete(missing)
    client.delete(retyped)
    client.hset(retyped, "a", "b")
    planted |= {changed, missing, retyped}
    for tenant, another in (("rfc", True), ("other", False)):
        (names,), (order,), (index,) = (
            some(f"{tenant}:{kind}", 1) for kind in ("uq:userName", "ord:User", "ix:User:externalId")
        )
        name, holder = client.hscan(names, count=1)[1].popitem()
        first, last = client.zrange(order, 0, 0)[0], client.zrange(index, -1, -1)[0]
        client.hset(names, name, holder + b"x") if another else client.hdel(names, name)
        client.zincrby(order, 1, first) if another else client.zrem(order, first)
        client.zrem(index, last)
        if another:
            client.zadd(index, {last + b"x": 0})
        planted |= {names, order, index}
    (outcome,), (gone,) = some("rfc:out:*", 1), some("gone:*", 1)
    client.set(outcome, b"another", keepttl=True)
    client.zincrby(gone, 1, client.zrange(gone, 0, 0)[0])
    client.incr("{s0}:rfc:seq:0")
    offset, position, when = client.get("{s0}:wm:1").split()
    client.set("{s0}:wm:1", b" ".join([offset, position + b"0", when]))
    client.set("{s0}:rfc:r:nobody", b"more than there should be")
    planted |= {outcome, gone, b"{s0}:rfc:seq:0", b"{s0}:wm:1", b"{s0}:rfc:r:nobody"}
    return {key.decode() for key in planted}


def main() -> int:
    """``python -m tests.faults.rebuild --users 100000``: exit 1 where anything is not as promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--directory", type=Path, help="keeps all logs; default: a temporary one, removed afterwards")
    parsed = parser.parse_args()

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    with contextlib.ExitStack() as stack:
        directory = parsed.directory or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        report = asyncio.run(run(directory, parsed.users, say))
    for line in report.lines():
        print(line)
    wrong = report.violations or report.live_differences or report.rebuilt_differences or report.planted != report.found
    for difference in (*report.live_differences[:20], *report.rebuilt_differences[:20]):
        print(f"{difference.key}: {difference.what}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
