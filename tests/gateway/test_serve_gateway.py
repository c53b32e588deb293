"""A gateway as a process: when it is ready, what it answers while servers are away, how it refuses and how it stops."""

from __future__ import annotations

import json
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import httpx2
import msgspec
import pytest

from consumers.backends import kafka_commands
from consumers.backends.kafka_commands import KafkaCommandLog
from consumers.clock_skew import ClockSkew
from consumers.metrics import Metrics
from consumers.settings import KafkaSettings
from schemas.commands import encode_command
from tests.contract import commands
from tests.distributed import Distributed, Program, distributed, frozen
from tests.served import Scim, free_port, op, refused, user
from tests.services.kafka import Broker
from tests.services.processes import KafkaServer
from tests.services.redis import RedisServer

pytestmark = pytest.mark.services

LIMIT_S: Final = 40.0


def eventually(condition: Callable[[], Any], limit_s: float = LIMIT_S) -> Any:
    """Return the first truth that ``condition`` comes to."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come to pass in time")


@pytest.fixture
def topic_prefix() -> str:
    return f"gw-{uuid.uuid4().hex[:10]}"


@contextmanager
def ended(*programs: Program) -> Iterator[None]:
    """Leave no process behind."""
    try:
        yield
    finally:
        for program in programs:
            if program.running:
                program.kill()


def missing(gateway: Program) -> dict[str, str]:
    """Return what ``/readyz`` says is missing; nothing once it is ready."""
    status, text = gateway.probe("readyz")
    assert status in {200, 503}, text
    found: dict[str, str] = json.loads(text).get("missing", {})
    assert (status == 503) == bool(found)
    return found


def is_503(answer: httpx2.Response) -> None:
    """Check that trouble of ours is told as what it is: never as the caller's fault."""
    refused(answer, 503)
    assert int(answer.headers["Retry-After"]) >= 1


# --- the first start ---


def test_without_servers_it_listens_is_not_ready_and_answers_503(tmp_path: Path, topic_prefix: str) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    service = Distributed(
        tmp_path, nowhere, f"redis://127.0.0.1:{free_port()}/0", topic_prefix,
        environment={"SCIMGW_HTTP__BUDGET_S": "5"},
    )  # fmt: skip
    (gateway,) = service.gateways
    with ended(gateway):
        gateway.start()
        eventually(lambda: gateway.probe("livez")[0] == 200)
        eventually(lambda: "reach" in missing(gateway).get("redis", ""))
        assert set(missing(gateway)) == {"kafka", "redis", "shards"}
        assert gateway.probe("startupz")[0] == 503
        caller = service.caller()
        for answer in (
            caller.get("/Users"),
            caller.get("/Users/nobody"),
            caller.get("/Outcomes/nothing"),
            caller.post("/Users", user()),
            caller.put("/Users/nobody", user(), headers={"If-Match": 'W/"1"'}),
            caller.patch("/Users/nobody", op("replace", "title", value="t")),
            caller.delete("/Users/nobody"),
        ):
            is_503(answer)
        refused(caller.post("/Users", {}), 400, "invalidValue")
        refused(service.stranger("wrong").get("/Users"), 401)
        service.hang_up()
        assert gateway.stop() == 0


def test_it_is_ready_once_the_shards_are_recovered_and_stays_ready_while_servers_are_away(
    tmp_path: Path, topic_prefix: str
) -> None:
    broker, server = Broker(tmp_path / "kafka"), RedisServer(tmp_path / "redis")
    broker.start()
    server.start()
    service = Distributed(
        tmp_path / "service", broker.bootstrap, server.url, topic_prefix,
        environment={"SCIMGW_HTTP__BUDGET_S": "6"},
    )  # fmt: skip
    (gateway,), (worker,) = service.gateways, service.workers
    try:
        with ended(gateway, worker):
            service.command("topics", "create")
            gateway.start()
            eventually(lambda: gateway.probe("livez")[0] == 200)
            eventually(lambda: set(missing(gateway)) == {"shards"})
            is_503(service.caller().get("/Users"))
            worker.start()
            gateway.ready()
            assert gateway.probe("startupz")[0] == 200
            made = service.caller().made()
            service.hang_up()
            _while_away(service, broker, made)
            _while_away(service, server, made)
            assert gateway.stop() == 0
            assert worker.stop() == 0
    finally:
        service.hang_up()
        broker.stop()
        server.stop()


def _while_away(service: Distributed, server: Broker | RedisServer, made: Any) -> None:
    """Kill a server, see that the gateway stays ready and truthful, and that all works again when it is back."""
    (gateway,) = service.gateways
    caller, path = service.caller(), f"/Users/{made['id']}"
    server.kill()
    body = user()
    with ThreadPoolExecutor(3) as background:
        answers = [
            background.submit(caller.post, "/Users", body),
            background.submit(caller.put, path, user(made["userName"], title="t"), headers={"If-Match": 'W/"77"'}),
            background.submit(caller.delete, "/Users/nobody"),
        ]
    for answer in answers:
        is_503(answer.result())
    read = caller.get(path)
    if isinstance(server, RedisServer):
        is_503(read)
    else:
        assert read.status_code == 200, "reads need no Kafka"
    assert gateway.probe("readyz")[0] == 200, "a load balancer without back ends could not say what is wrong"
    server.start()
    again = eventually(lambda: (a := caller.post("/Users", body)).status_code != 503 and a)
    assert again.status_code in {201, 409}, again.text
    assert eventually(lambda: (a := caller.get(path)).status_code == 200 and a).json()["id"] == made["id"]


# --- wrong settings ---


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["--maxmemory-policy", "allkeys-lru"], "maxmemory"),
        (["--appendonly", "no"], "append"),
    ],
)
def test_CP31_a_Redis_that_may_forget_is_refused(
    tmp_path: Path, kafka_bootstrap: str, topic_prefix: str, settings: list[str], says: str
) -> None:
    server = RedisServer(tmp_path / "redis", extra=settings)
    server.start()
    service = Distributed(tmp_path / "service", kafka_bootstrap, server.url, topic_prefix)
    (gateway,) = service.gateways
    try:
        with ended(gateway):
            service.command("topics", "create")
            gateway.start()
            assert gateway.ended(LIMIT_S) == 2
            line = gateway.log().splitlines()[-1]
            assert line.startswith("scimgw: ")
            assert says in line.lower()
    finally:
        server.stop()


def test_CP9_topics_of_another_shape_are_refused(
    tmp_path: Path, kafka_bootstrap: str, redis_url: str, topic_prefix: str
) -> None:
    service = Distributed(tmp_path, kafka_bootstrap, redis_url, topic_prefix)
    service.command("topics", "create")
    other = Distributed(
        tmp_path / "other", kafka_bootstrap, redis_url, topic_prefix, environment={"SCIMGW_KAFKA__PARTITIONS": "8"}
    )
    (gateway,) = other.gateways
    with ended(gateway):
        gateway.start()
        assert gateway.ended(LIMIT_S) == 2
        line = gateway.log().splitlines()[-1]
        assert line.startswith("scimgw: ")
        assert "partitions" in line


def test_no_tenants_file_is_no_start(tmp_path: Path, topic_prefix: str) -> None:
    service = Distributed(tmp_path, "127.0.0.1:1", "redis://127.0.0.1:1/0", topic_prefix)
    (gateway,) = service.gateways
    service.tenants_file.unlink()
    with ended(gateway):
        gateway.start()
        assert gateway.ended() == 2
    assert gateway.log().startswith("scimgw: tenants file")


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"SCIMGW_HTTP__BUDGET_S": "4.5"}, "http.budget_s"),
        ({"SCIMGW_KAFKA__BOOTSTRAP": ""}, "SCIMGW_KAFKA__BOOTSTRAP"),
    ],
)
def test_settings_that_cannot_work_are_no_start(
    tmp_path: Path, topic_prefix: str, environment: dict[str, str], says: str
) -> None:
    service = Distributed(tmp_path, "127.0.0.1:1", "redis://127.0.0.1:1/0", topic_prefix, environment=environment)
    (gateway,) = service.gateways
    with ended(gateway):
        gateway.start()
        assert gateway.ended() == 2
    (line,) = gateway.log().splitlines()
    assert says in line


# --- one gateway and one worker that all tests below share ---


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, kafka_broker: KafkaServer, kafka_bootstrap: str
) -> Iterator[Distributed]:
    """A service whose budget leaves a worker one second: four are the margin (CP-18)."""
    directory = tmp_path_factory.mktemp("running")
    server = RedisServer(directory / "redis")
    server.start()
    made = Distributed(
        directory / "service", kafka_bootstrap, server.url, f"gw-{uuid.uuid4().hex[:10]}", gateways=2,
        environment={"SCIMGW_HTTP__BUDGET_S": "5", "SCIMGW_KAFKA__SESSION_TIMEOUT_S": "20"},
    )  # fmt: skip
    with distributed(made) as service:
        yield service
    server.stop()


@pytest.fixture
def callers(running: Distributed) -> Iterator[tuple[Scim, Scim]]:
    """One caller of each of the two gateways."""
    one, two = running.caller_of(0), running.caller_of(1)
    yield one, two
    one.http.close()
    two.http.close()


def test_CP27_INV13_when_the_budget_ends_the_outcome_is_unknown_and_nothing_is_decided_after_it(
    running: Distributed, callers: tuple[Scim, Scim]
) -> None:
    (one, two), body = callers, user()
    with running.stalled():
        began = time.monotonic()
        answer = one.post("/Users", body)
        assert 4.5 <= time.monotonic() - began < 7.5
        txn = refused(answer, 503)["txn"]
        assert answer.headers["Scim-Txn"] == txn
        assert one.get(f"/Outcomes/{txn}").json()["state"] == "pending"
        assert two.get(f"/Outcomes/{txn}").json()["state"] == "unknown", "only the one that waits knows of it"
    eventually(lambda: one.get(f"/Outcomes/{txn}").json()["state"] == "unknown")
    assert two.find(f'userName eq "{body["userName"]}"')["totalResults"] == 0
    assert two.post("/Users", body).status_code == 201


def test_an_outcome_is_told_by_any_gateway_and_by_the_command(running: Distributed, callers: tuple[Scim, Scim]) -> None:
    one, two = callers
    body = user()
    created = one.post("/Users", body)
    duplicate = one.post("/Users", body)
    for answer, state in ((created, "applied"), (duplicate, "refused")):
        txn = answer.headers["Scim-Txn"]
        told = two.get(f"/Outcomes/{txn}").json()
        assert told["state"] == state
        printed = json.loads(running.command("outcome", txn, "--tenants", str(running.tenants_file), "--json"))
        assert {name: printed[name] for name in ("txn", "state", "status", "version")} == {
            name: told[name] for name in ("txn", "state", "status", "version")
        }


def test_a_write_through_one_gateway_is_seen_through_the_other_at_once(callers: tuple[Scim, Scim]) -> None:
    one, two = callers
    for _ in range(20):
        made = one.made()
        assert two.read(made["id"])["userName"] == made["userName"]
        stale = two.put(f"/Users/{made['id']}", user(made["userName"], title="t"), headers={"If-Match": 'W/"1"'})
        assert stale.status_code == 200
        assert one.read(made["id"])["title"] == "t"
        refused(one.put(f"/Users/{made['id']}", user(made["userName"]), headers={"If-Match": 'W/"1"'}), 412)


def test_metrics_tell_how_replies_come(running: Distributed, callers: tuple[Scim, Scim]) -> None:
    callers[0].made()
    text = running.gateways[0].metrics()
    for name in (
        "scimgw_commands_appended_total",
        "scimgw_reply_seconds_count",
        "scimgw_replies_late_total",
        "scimgw_replies_unknown_total",
        "scimgw_clock_skew_seconds",
        "scimgw_commands_in_flight",
    ):
        assert f"\n{name} " in text, name
    assert 'scimgw_server_reached{server="kafka"} 1.0' in text
    assert 'scimgw_server_reached{server="redis"} 1.0' in text


def test_two_gateways_share_a_port(running: Distributed) -> None:
    port = free_port()
    arguments = ["gateway", "--port", str(port), "--reuse-port", "--tenants", str(running.tenants_file)]
    sharing = [Program(f"sharing-{number}", arguments, running.environment, running.directory) for number in range(2)]
    with ended(*sharing):
        for gateway in sharing:
            gateway.start()
        for gateway in sharing:
            gateway.ready()
        for remaining in (sharing, sharing[1:]):
            caller = Scim(f"http://127.0.0.1:{port}/scim/v2", running.tokens["rfc"])
            assert caller.get("/Users", count=0).status_code == 200
            caller.http.close()
            assert remaining[0].stop() == 0


@pytest.mark.parametrize("apart", [5.0, -5.0])
async def test_CP18_a_gateway_compares_its_clock_with_the_append_times_of_its_own_records(
    running: Distributed, monkeypatch: pytest.MonkeyPatch, apart: float
) -> None:
    kafka = KafkaSettings(bootstrap=running.bootstrap, topic_prefix=running.topic_prefix)
    skew = ClockSkew(Metrics())
    log = KafkaCommandLog(kafka, skew.observed)
    await log.start()
    try:
        expired = msgspec.structs.replace(commands.create(), accepted_at=1, budget=1)
        await log.append(0, f"acme/{expired.resource_id}", encode_command(expired))
        assert not skew.problem
        monkeypatch.setattr(kafka_commands, "time", SimpleNamespace(time=lambda: time.time() + apart))
        await log.append(0, f"acme/{expired.resource_id}", encode_command(expired))
        assert ("ahead" if apart > 0 else "behind") in (skew.problem or "")
    finally:
        await log.close()


def test_SIGTERM_lets_requests_in_flight_finish(running: Distributed) -> None:
    port = free_port()
    arguments = ["gateway", "--port", str(port), "--tenants", str(running.tenants_file)]
    gateway = Program("draining", arguments, running.environment | {"SCIMGW_HTTP__BUDGET_S": "20"}, running.directory)
    with ended(gateway), ThreadPoolExecutor(1) as background:
        gateway.start()
        gateway.ready()
        caller = Scim(f"http://127.0.0.1:{port}/scim/v2", running.tokens["rfc"])
        with frozen(running.workers):
            waiting = background.submit(caller.post, "/Users", user())
            time.sleep(0.4)
            gateway.send(signal.SIGTERM)
            eventually(lambda: "draining" in missing(gateway))
        assert waiting.result(15).status_code == 201
        assert gateway.ended() == 0
        caller.http.close()


def test_SIGTERM_answers_what_is_left_after_ten_seconds(running: Distributed) -> None:
    port = free_port()
    arguments = ["gateway", "--port", str(port), "--tenants", str(running.tenants_file)]
    gateway = Program("left", arguments, running.environment | {"SCIMGW_HTTP__BUDGET_S": "60"}, running.directory)
    with ended(gateway), ThreadPoolExecutor(1) as background:
        gateway.start()
        gateway.ready()
        caller = Scim(f"http://127.0.0.1:{port}/scim/v2", running.tokens["rfc"])
        with frozen(running.workers):
            waiting = background.submit(caller.post, "/Users", user())
            time.sleep(0.4)
            began = time.monotonic()
            gateway.send(signal.SIGTERM)
            answer = waiting.result(20)
            assert 9 < time.monotonic() - began < 14
            assert refused(answer, 503)["txn"] == answer.headers["Scim-Txn"]
            assert gateway.ended() == 0
        caller.http.close()
