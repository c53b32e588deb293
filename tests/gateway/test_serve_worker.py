"""A worker as a process: when it is ready, how it refuses and stops, and who has its partitions afterwards."""

from __future__ import annotations

import asyncio
import signal
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from prometheus_client.parser import text_string_to_metric_families

from consumers.topics import Topics, wanted
from schemas.partitions import partition_of
from tests.distributed import PARTITIONS, Distributed, Program
from tests.gateway.test_serve_gateway import ended, eventually, missing
from tests.served import Scim, op, refused, user
from tests.services.kafka import Broker
from tests.services.redis import RedisServer

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]

LONG_S: Final = 60.0
"""A session that does not end while a test waits."""


def value(program: Program, name: str, **labels: str) -> float:
    """Return the sum of a metric's samples that have these labels."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(program.metrics())
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def owned(worker: Program) -> int:
    """Return how many partitions the worker owns; 0 while it does not answer yet."""
    return int(value(worker, "scimgw_partitions")) if worker.probe("livez")[0] == 200 else 0


def take_overs(worker: Program) -> int:
    """Return how often the worker took a partition over; 0 while it does not answer yet."""
    return int(value(worker, "scimgw_take_over_seconds_count")) if worker.probe("livez")[0] == 200 else 0


def unnamed(service: Distributed, name: str) -> Program:
    """Return a worker without a name in the group."""
    return Program(name, ["worker"], service.environment, service.directory)


def one_each(caller: Scim) -> dict[int, str]:
    """Create users until each partition has one: partition → id."""
    found: dict[int, str] = {}
    while len(found) < PARTITIONS:
        resource_id = caller.made()["id"]
        found.setdefault(partition_of("rfc", resource_id, shards=1, partitions=PARTITIONS), resource_id)
    return found


def write_to(caller: Scim, users: dict[int, str]) -> None:
    """Change a user of each partition; each gets its answer within the budget."""
    for resource_id in users.values():
        caller.patched(resource_id, op("replace", "title", value=uuid.uuid4().hex))


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """Give a Redis that no other test knows."""
    server = RedisServer(tmp_path / "redis")
    server.start()
    yield server
    server.close()


@contextmanager
def site(
    directory: Path, bootstrap: str, redis_url: str, topic_prefix: str, *, session_s: float, workers: int = 0
) -> Iterator[Distributed]:
    """Have a gateway, and topics; workers are the test's. Afterwards no process is left."""
    service = Distributed(
        directory / "service", bootstrap, redis_url, topic_prefix, workers=workers,
        environment={"SCIMGW_KAFKA__SESSION_TIMEOUT_S": str(session_s)},
    )  # fmt: skip
    with ended(*service.programs):
        service.command("topics", "create")
        service.gateways[0].start()
        try:
            yield service
        finally:
            service.hang_up()


# --- the first start ---


def test_without_servers_it_says_which_is_missing_and_joins_by_itself_later(tmp_path: Path, topic_prefix: str) -> None:
    broker, server = Broker(tmp_path / "kafka"), RedisServer(tmp_path / "redis")
    service = Distributed(tmp_path / "service", broker.bootstrap, server.url, topic_prefix)
    (worker,) = service.workers
    try:
        with ended(worker):
            broker.start()
            service.command("topics", "create")
            broker.stop()
            worker.start()
            eventually(lambda: worker.probe("livez")[0] == 200)
            told = eventually(lambda: (m := missing(worker))["kafka"] != "not reached yet" and m)
            assert broker.bootstrap in told["kafka"]
            assert {"kafka", "redis", "group"} == set(told)
            assert worker.probe("startupz")[0] == 503
            broker.start()
            told = eventually(lambda: (m := missing(worker))["redis"] != "not reached yet" and m)
            assert {"redis", "group"} == set(told)
            server.start()
            worker.ready()
            assert worker.probe("startupz")[0] == 200
            eventually(lambda: take_overs(worker) == PARTITIONS)
            assert worker.stop() == 0
    finally:
        broker.close()
        server.close()


def test_told_to_stop_before_it_has_reached_anything_it_ends_at_once(tmp_path: Path, topic_prefix: str) -> None:
    service = Distributed(tmp_path, "127.0.0.1:1", "redis://127.0.0.1:1/0", topic_prefix)
    (worker,) = service.workers
    with ended(worker):
        worker.start()
        eventually(lambda: worker.probe("livez")[0] == 200)
        assert worker.stop() == 0


# --- wrong settings ---


def refusal(worker: Program) -> str:
    """Return the one line in which a worker that would break the promise says so; it has ended with 2."""
    with ended(worker):
        worker.start()
        assert worker.ended(40) == 2, worker.log()
    lines = [line for line in worker.log().splitlines() if line.startswith("scimgw: ")]
    assert len(lines) == 1, worker.log()
    assert worker.log().endswith(lines[0] + "\n")
    assert "Traceback" not in worker.log()
    return lines[0]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["--maxmemory-policy", "allkeys-lru"], ["maxmemory-policy is allkeys-lru", "set maxmemory-policy noeviction"]),
        (["--appendonly", "no"], ["appendonly is no", "set appendonly yes"]),
    ],
)
def test_CP31_a_Redis_that_may_forget_is_refused(
    tmp_path: Path, kafka_bootstrap: str, topic_prefix: str, settings: list[str], says: list[str]
) -> None:
    server = RedisServer(tmp_path / "redis", extra=settings)
    server.start()
    service = Distributed(tmp_path / "service", kafka_bootstrap, server.url, topic_prefix)
    try:
        service.command("topics", "create")
        line = refusal(service.workers[0])
        assert all(part in line for part in says), line
    finally:
        server.close()


def test_CP9_without_topics_it_names_the_command_that_makes_them(
    tmp_path: Path, kafka_bootstrap: str, redis_url: str, topic_prefix: str
) -> None:
    service = Distributed(tmp_path, kafka_bootstrap, redis_url, topic_prefix)
    line = refusal(service.workers[0])
    assert f"{topic_prefix}." in line
    assert "scimgw topics create" in line


def test_CP9_topics_with_another_number_of_partitions_are_refused(
    tmp_path: Path, kafka_bootstrap: str, redis_url: str, topic_prefix: str
) -> None:
    service = Distributed(tmp_path, kafka_bootstrap, redis_url, topic_prefix)
    service.command("topics", "create")
    other = Distributed(
        tmp_path / "other", kafka_bootstrap, redis_url, topic_prefix, environment={"SCIMGW_KAFKA__PARTITIONS": "8"}
    )
    line = refusal(other.workers[0])
    assert "partitions" in line
    assert "8" in line
    assert "kafka.partitions" in line


@pytest.mark.parametrize(
    ("topic", "setting", "wrong"),
    [
        ("state.v1", "cleanup.policy", "delete"),
        ("state.v1", "min.compaction.lag.ms", "0"),
        ("commands.v1", "message.timestamp.type", "CreateTime"),
    ],
)
def test_CP9_topics_with_other_settings_are_refused(
    tmp_path: Path, kafka_bootstrap: str, redis_url: str, topic_prefix: str, topic: str, setting: str, wrong: str
) -> None:
    service = Distributed(tmp_path, kafka_bootstrap, redis_url, topic_prefix)
    service.command("topics", "create")
    asyncio.run(_altered(kafka_bootstrap, topic_prefix, f"{topic_prefix}.{topic}", setting, wrong))
    line = refusal(service.workers[0])
    for part in (f"{topic_prefix}.{topic}", setting, wrong, "kafka-configs.sh --bootstrap-server"):
        assert part in line, line


async def _altered(bootstrap: str, prefix: str, topic: str, setting: str, value: str) -> None:
    """Give a topic that is as it should be another value of one setting."""
    right = wanted(Topics(prefix), partitions=PARTITIONS, replication=1, retention_days=14)[topic]
    values = {name: want.value for name, want in right.items() if "." in name} | {setting: value}
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, values)])
    finally:
        await admin.close()


def test_an_unknown_fail_point_is_refused(tmp_path: Path, topic_prefix: str) -> None:
    service = Distributed(
        tmp_path, "127.0.0.1:1", "redis://127.0.0.1:1/0", topic_prefix,
        environment={"SCIMGW_TEST_FAILPOINT": "worker.lunch"},
    )  # fmt: skip
    assert "SCIMGW_TEST_FAILPOINT=worker.lunch" in refusal(service.workers[0])


# --- stopping, and who comes next ---


def test_SIGTERM_finishes_the_batch_and_the_next_worker_finds_nothing_to_mend(
    tmp_path: Path, kafka_bootstrap: str, own_redis: RedisServer, topic_prefix: str
) -> None:
    with site(tmp_path, kafka_bootstrap, own_redis.url, topic_prefix, session_s=LONG_S) as service:
        first, second = unnamed(service, "first"), unnamed(service, "second")
        with ended(first, second), ThreadPoolExecutor(32) as background:
            first.start()
            service.gateways[0].ready()
            caller = service.caller()
            answers = [background.submit(caller.post, "/Users", user()) for _ in range(200)]
            eventually(lambda: any(answer.done() for answer in answers))
            assert first.stop() == 0
            assert not all(answer.done() for answer in answers), "it was not stopped under load"
            second.start()
            assert {answer.result(40).status_code for answer in answers} == {201}
            # Nothing stood in the log alone: what the first one had begun was in Redis too, and was answered.
            assert value(second, "scimgw_state_records_replayed_total") == 0
            assert '"action":"drain"' in first.log().replace(" ", "")
            assert second.stop() == 0


def test_an_unnamed_worker_leaves_the_group_at_once(
    tmp_path: Path, kafka_bootstrap: str, own_redis: RedisServer, topic_prefix: str
) -> None:
    with site(tmp_path, kafka_bootstrap, own_redis.url, topic_prefix, session_s=LONG_S) as service:
        leaving, staying = unnamed(service, "leaving"), unnamed(service, "staying")
        with ended(leaving, staying):
            leaving.start()
            staying.start()
            service.gateways[0].ready()
            eventually(lambda: owned(leaving) == owned(staying) == PARTITIONS // 2)
            users = one_each(service.caller())
            assert leaving.stop() == 0
            began = time.monotonic()
            eventually(lambda: owned(staying) == PARTITIONS, LONG_S / 2)
            print(f"the other has all partitions after {time.monotonic() - began:.2f} s")
            write_to(service.caller(), users)
            assert staying.stop() == 0


@pytest.mark.slow
def test_a_named_worker_keeps_its_partitions_until_it_is_back_or_its_session_ends(
    tmp_path: Path, kafka_bootstrap: str, own_redis: RedisServer, topic_prefix: str
) -> None:
    session_s = 12.0
    with site(tmp_path, kafka_bootstrap, own_redis.url, topic_prefix, session_s=session_s, workers=2) as service:
        away, staying = service.workers
        away.start()
        staying.start()
        service.gateways[0].ready()
        eventually(lambda: owned(away) == owned(staying) == PARTITIONS // 2)
        caller = service.caller()
        users = one_each(caller)
        before = take_overs(staying)
        assert away.stop() == 0
        time.sleep(1)
        assert owned(staying) == PARTITIONS // 2
        away.start()
        eventually(lambda: owned(away) == PARTITIONS // 2)
        write_to(caller, users)
        assert take_overs(staying) == before, "a rebalance took partitions away and gave them back"
        assert owned(staying) == PARTITIONS // 2
        assert away.stop() == 0
        eventually(lambda: owned(staying) == PARTITIONS, session_s + 30)
        write_to(caller, users)
        assert staying.stop() == 0


@pytest.mark.slow
@pytest.mark.parametrize("named", [True, False])
def test_INV1_a_killed_workers_partitions_are_taken_over_when_its_session_ends(
    tmp_path: Path, kafka_bootstrap: str, own_redis: RedisServer, topic_prefix: str, named: bool
) -> None:
    with site(tmp_path, kafka_bootstrap, own_redis.url, topic_prefix, session_s=2, workers=2) as service:
        killed, staying = service.workers if named else (unnamed(service, "killed"), unnamed(service, "staying"))
        with ended(killed, staying), ThreadPoolExecutor(16) as background:
            killed.start()
            staying.start()
            service.gateways[0].ready()
            eventually(lambda: owned(killed) == owned(staying) == PARTITIONS // 2)
            caller = service.caller()
            users = one_each(caller)
            answers = [background.submit(caller.post, "/Users", user()) for _ in range(100)]
            eventually(lambda: any(answer.done() for answer in answers))
            killed.kill()
            began = time.monotonic()
            eventually(lambda: owned(staying) == PARTITIONS)
            print(f"the other has all partitions after {time.monotonic() - began:.2f} s")
            made = [answer.result(40) for answer in answers]
            assert {answer.status_code for answer in made} == {201}, "the budget is longer than the session"
            for answer in made:
                assert caller.read(answer.json()["id"])["userName"] == answer.json()["userName"]
            write_to(caller, users)
            assert staying.stop() == 0


# --- metrics ---


def test_metrics_agree_with_what_was_written(
    tmp_path: Path, kafka_bootstrap: str, own_redis: RedisServer, topic_prefix: str
) -> None:
    with site(tmp_path, kafka_bootstrap, own_redis.url, topic_prefix, session_s=LONG_S) as service:
        worker = unnamed(service, "worker")
        with ended(worker):
            worker.start()
            service.gateways[0].ready()
            eventually(lambda: take_overs(worker) == PARTITIONS)
            caller = service.caller()
            made = [caller.made() for _ in range(12)]
            for one in made[:5]:
                caller.patched(one["id"], op("replace", "title", value="t"))
            caller.patched(made[0]["id"], op("replace", "title", value="t"))
            refused(caller.post("/Users", user(made[0]["userName"])), 409, "uniqueness")
            caller.put(f"/Users/{made[1]['id']}", user(made[1]["userName"], title="u"))
            for one in made[9:]:
                assert caller.delete(f"/Users/{one['id']}").status_code == 204
            decided = {
                ("create", "applied"): 12,
                ("create", "refused"): 1,
                ("patch", "applied"): 5,
                ("patch", "no_change"): 1,
                ("replace", "applied"): 1,
                ("delete", "applied"): 3,
            }
            for (verb, result), count in decided.items():
                found = value(worker, "scimgw_commands_total", tenant="rfc", verb=verb, result=result)
                assert found == count, (verb, result)
            total = sum(decided.values())
            assert value(worker, "scimgw_commands_total") == total
            assert value(worker, "scimgw_events_total", tenant="rfc") == 21 == len(service.events("rfc"))
            # One after the other: each is a batch and a transaction of its own.
            assert value(worker, "scimgw_batch_commands_sum") == total
            assert value(worker, "scimgw_batch_commands_count") == total
            assert value(worker, "scimgw_transactions_total") == total
            for step in ("view", "persist", "log"):
                assert value(worker, "scimgw_step_seconds_count", step=step) >= total, step
            assert take_overs(worker) == PARTITIONS
            assert value(worker, "scimgw_partition_halted") == 0
            assert value(worker, "scimgw_ownership_lost_total") == 0
            eventually(lambda: value(worker, "scimgw_outcomes_held") == total)
            eventually(lambda: value(worker, "scimgw_partition_lag_commands") == 0)
            positions = sum(value(worker, "scimgw_partition_offset", partition=str(n)) + 1 for n in range(PARTITIONS))
            assert positions == total, "offsets begin at 0: so many commands there are"
            worker.send(signal.SIGSTOP)
            with ThreadPoolExecutor(8) as background:
                waiting = [background.submit(caller.post, "/Users", user()) for _ in range(8)]
                eventually(lambda: value(service.gateways[0], "scimgw_commands_in_flight") == 8)
                worker.send(signal.SIGCONT)
                assert {answer.result(30).status_code for answer in waiting} == {201}
            assert value(service.gateways[0], "scimgw_commands_in_flight") == 0
            assert value(service.gateways[0], "scimgw_commands_appended_total") == total + 8
            eventually(lambda: value(worker, "scimgw_partition_lag_commands") == 0)
            assert value(worker, "scimgw_partition_lag_seconds") > 0
            assert worker.stop() == 0


# --- servers restarted under a worker that has nothing to do ---


@pytest.mark.slow
@pytest.mark.parametrize("how", ["stop", "kill"])
def test_servers_restarted_under_an_idle_worker_need_no_restart_of_ours(
    tmp_path: Path, topic_prefix: str, how: str
) -> None:
    broker, server = Broker(tmp_path / "kafka"), RedisServer(tmp_path / "redis")
    broker.start()
    server.start()
    try:
        with site(tmp_path, broker.bootstrap, server.url, topic_prefix, session_s=3, workers=1) as service:
            (worker,), (gateway,) = service.workers, service.gateways
            worker.start()
            gateway.ready()
            caller, pids = service.caller(), [worker.pid, gateway.pid]
            users = one_each(caller)
            for restarted in (server, broker, server):
                getattr(restarted, how)()
                restarted.start()
                eventually(lambda: caller.post("/Users", user()).status_code == 201, 60)
                for resource_id in users.values():
                    eventually(partial(_changed, caller, resource_id), 60)
                assert worker.probe("readyz")[0] == 200
                assert value(worker, "scimgw_partition_halted") == 0
            assert pids == [worker.pid, gateway.pid]
            assert worker.running
            assert worker.stop() == 0
            assert gateway.stop() == 0
    finally:
        broker.close()
        server.close()


def _changed(caller: Scim, resource_id: str) -> bool:
    answer = caller.patch(f"/Users/{resource_id}", op("replace", "title", value=uuid.uuid4().hex))
    assert answer.status_code in {200, 503}, answer.text
    return answer.status_code == 200
