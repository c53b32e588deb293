"""Dead letters from end to end: parked, told to their callers, listed, shown and sent again (CP-26, INV-18)."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Final

import httpx2
import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas.commands import ChangeCommand, Create, decode_command, encode_command
from schemas.partitions import partition_of
from tests.contract import commands
from tests.distributed import PARTITIONS, SCIMGW, Distributed, Program, distributed, frozen
from tests.gateway.test_serve_gateway import ended, eventually
from tests.gateway.test_serve_worker import take_overs, value
from tests.served import SCIM_JSON, Scim, free_port, op, refused, user
from tests.services.redis import RedisServer

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]

DEEP: Final = b"[" * 5000
LATER_GATEWAY: Final = """
import sys
import consumers.remote
from gateway import cli
written = consumers.remote.encode_command
consumers.remote.encode_command = lambda command: written(command).replace(b'"v":1', b'"v":9', 1)
sys.exit(cli.main())
"""
"""A gateway of a version to come, which writes commands with a schema number that the workers do not know."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, kafka_bootstrap: str) -> Iterator[Distributed]:
    """A gateway and an unnamed worker, whose session is so short that a killed one is soon replaced."""
    directory = tmp_path_factory.mktemp("dead-letters")
    server = RedisServer(directory / "redis")
    server.start()
    service = Distributed(
        directory / "service", kafka_bootstrap, server.url, f"dead-{uuid.uuid4().hex[:10]}", workers=0,
        environment={"SCIMGW_KAFKA__SESSION_TIMEOUT_S": "2", "SCIMGW_HTTP__BUDGET_S": "100"},
    )  # fmt: skip
    service.workers = [Program("worker", ["worker"], service.environment, service.directory)]
    try:
        with distributed(service):
            yield service
    finally:
        server.close()


@pytest.fixture
def caller(running: Distributed) -> Scim:
    """A caller of tenant ``rfc``."""
    return running.caller()


def letters(service: Distributed) -> list[dict[str, Any]]:
    """Return the dead letters as ``list --json`` prints them."""
    return [json.loads(line) for line in service.command("dead-letters", "list", "--json").splitlines()]


def letter_of(service: Distributed, txn: str) -> dict[str, Any]:
    """Return the one letter about a command, once it is there."""
    found = eventually(lambda: [letter for letter in letters(service) if letter["txn"] == txn])
    assert len(found) == 1
    return found[0]  # type: ignore[no-any-return]  # eventually is Any


def outcome(service: Distributed, txn: str) -> dict[str, Any]:
    """Return what ``scimgw outcome`` prints of a command that was decided."""
    printed: dict[str, Any] = json.loads(service.command("outcome", txn, "--tenant", "rfc", "--json"))
    return printed


def redriven(service: Distributed, place: str) -> str:
    """Redrive a letter; return the new command's txn, as printed."""
    printed = service.command("dead-letters", "redrive", place)
    assert printed.startswith(f"{place}: redriven as ")
    return printed.split()[3].rstrip(";")


def appended(service: Distributed, partition: int, values: Sequence[bytes]) -> None:
    """Append to the command topic what no gateway of this version would."""
    asyncio.run(_appended(service.bootstrap, f"{service.topic_prefix}.commands.v1", partition, values))


async def _appended(bootstrap: str, topic: str, partition: int, values: Sequence[bytes]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", max_request_size=4 * 1024 * 1024)
    await producer.start()
    try:
        for one in values:
            await producer.send_and_wait(topic, one, key=_key(one), partition=partition)
    finally:
        await producer.stop()


def _key(value: bytes) -> bytes:
    """Return the key under which a gateway would append this; some key for what is no command."""
    try:
        command = decode_command(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return b"rfc/somebody"
    return f"{command.tenant}/{command.resource_id}".encode()


async def _logged(bootstrap: str, topic: str) -> list[ChangeCommand]:
    """Return all commands of the topic that can be read."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    await consumer.start()
    try:
        found = []
        places = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
        ends = await consumer.end_offsets(places)
        for place in places:
            consumer.assign([place])
            await consumer.seek_to_beginning(place)
            while await consumer.position(place) < ends[place]:
                for record in (await consumer.getmany(place, timeout_ms=1000)).get(place, []):
                    try:
                        found.append(decode_command(record.value))
                    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                        continue
        return found
    finally:
        await consumer.stop()


def logged(service: Distributed, txn: str) -> ChangeCommand:
    """Return the command with this id as it stands in the log."""
    found = asyncio.run(_logged(service.bootstrap, f"{service.topic_prefix}.commands.v1"))
    (command,) = [command for command in found if command.txn == txn]
    return command


def of_partition(partition: int, count: int) -> list[ChangeCommand]:
    """Return creates in tenant ``rfc`` that belong to one partition and for which nobody waits."""
    found: list[ChangeCommand] = []
    while len(found) < count:
        command = commands.create(tenant="rfc", gateway="")
        if partition_of("rfc", command.resource_id, shards=1, partitions=PARTITIONS) == partition:
            found.append(msgspec.structs.replace(command, budget=0))
    return found


def crashing(command: ChangeCommand) -> ChangeCommand:
    """Return the create without a userName: a gateway writes none, and to decide it raises."""
    assert isinstance(command.change, Create)
    body = {name: value for name, value in command.change.body.items() if name != "userName"}
    return msgspec.structs.replace(command, change=Create(body=body))


def _there(caller: Scim, resource_id: str) -> bool:
    return caller.get(f"/Users/{resource_id}").status_code == 200


# --- what cannot be decided ---


def test_INV18_what_cannot_be_decoded_or_decided_is_parked_and_its_neighbours_are_applied(
    running: Distributed, caller: Scim
) -> None:
    partition, worker = 2, running.workers[0]
    good, (bad, future) = of_partition(partition, 5), of_partition(partition, 2)
    from_the_future = encode_command(future).replace(b'"v":1', b'"v":9', 1)
    batches = value(worker, "scimgw_batch_commands_count")
    parked = value(worker, "scimgw_commands_parked_total")
    before = {letter["place"] for letter in letters(running)}
    poison = [b"\x00\xff junk", DEEP, from_the_future, encode_command(crashing(bad))]
    mixed = [encode_command(good[0])]
    for harmless, harmful in zip(good[1:], poison, strict=True):
        mixed += [harmful, encode_command(harmless)]
    with frozen([worker]):
        appended(running, partition, mixed)
    for command in good:
        eventually(partial(_there, caller, command.resource_id))
        assert caller.read(command.resource_id)["userName"] == commands.name_of(command)
        assert caller.get(f"/Outcomes/{command.txn}").json()["state"] == "applied"
    refused(caller.get(f"/Users/{bad.resource_id}"), 404)
    refused(caller.get(f"/Users/{future.resource_id}"), 404)
    new = [letter for letter in letters(running) if letter["place"] not in before]
    assert [letter["txn"] for letter in new] == [None, None, future.txn, bad.txn]
    assert [letter["why"] for letter in new] == [*["it cannot be decoded"] * 3, "KeyError while it was decided"]
    assert {letter["command_place"].partition(":")[0] for letter in new} == {str(partition)}
    assert value(worker, "scimgw_commands_parked_total") == parked + 4
    assert value(worker, "scimgw_batch_commands_count") > batches
    for command in (bad, future):
        told = caller.get(f"/Outcomes/{command.txn}").json()
        assert (told["state"], told["status"]) == ("refused", 500)
    assert worker.running
    assert commands.name_of(future) not in worker.log(), "logs hold no values"
    assert caller.made()["id"], "the partitions go on"


def test_INV18_a_schema_number_from_the_future_answers_500_to_the_caller_that_waits(
    running: Distributed, caller: Scim
) -> None:
    port, body = free_port(), user()
    arguments = ["gateway", "--port", str(port), "--tenants", str(running.tenants_file)]
    later = Program("later", arguments, running.environment, running.directory)
    later._arguments[:3] = [sys.executable, "-c", LATER_GATEWAY]
    headers = {"Authorization": f"Bearer {running.tokens['rfc']}", "Content-Type": SCIM_JSON}
    with ended(later):
        later.start()
        later.ready()
        answer = httpx2.post(
            f"http://127.0.0.1:{port}/scim/v2/Users", content=json.dumps(body), headers=headers, timeout=60
        )
        assert answer.status_code == 500, answer.text
        error, txn = answer.json(), answer.headers["Scim-Txn"]
        assert error["status"] == "500"
        assert error["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
        assert body["userName"] not in answer.text
        for told in (caller.get(f"/Outcomes/{txn}").json(), outcome(running, txn)):
            assert (told["state"], told["status"]) == ("refused", 500)
            assert told["error"]["status"] == "500"
        assert letter_of(running, txn)["why"] == "it cannot be decoded"
        assert later.stop() == 0
    assert caller.find(f'userName eq "{body["userName"]}"')["totalResults"] == 0
    assert caller.post("/Users", body).status_code == 201


# --- list, show, redrive ---


def test_show_prints_a_letter_whole_and_list_prints_no_values(running: Distributed) -> None:
    (bad,) = of_partition(0, 1)
    appended(running, 0, [encode_command(crashing(bad)), b"\xff\x00 no command"])
    letter = letter_of(running, bad.txn)
    table = running.command("dead-letters", "list")
    (line,) = [line for line in table.splitlines() if bad.txn in line]
    assert line.split()[0] == letter["place"]
    assert line.endswith(letter["why"])
    shown = json.loads(running.command("dead-letters", "show", letter["place"]))
    assert shown["command"]["txn"] == bad.txn
    assert shown["command"]["change"]["body"]["title"] == "Engineer"
    assert not shown["cut"]
    assert "Engineer" not in table
    partition, _, offset = letter["place"].partition(":")
    garbage = f"{partition}:{int(offset) + 2}"  # the marker of the first one's transaction is between them
    assert json.loads(running.command("dead-letters", "show", garbage))["command"] == "/wAgbm8gY29tbWFuZA=="
    failed = _run(running, "dead-letters", "redrive", garbage)
    assert failed[0] == 1
    assert failed[1] == f"{garbage}: not redriven: the command cannot be decoded\n"
    unknown = _run(running, "dead-letters", "show", "3:99999")
    assert unknown[0] == 2
    assert "none at 3:99999" in unknown[1]


def _run(service: Distributed, *arguments: str) -> tuple[int, str]:
    """Run ``scimgw``; return exit code and standard error."""
    done = subprocess.run([*SCIMGW, *arguments], env=service.environment, capture_output=True, timeout=60, check=False)
    return done.returncode, done.stderr.decode()


def test_a_redrive_that_fails_again_is_parked_again_under_its_own_txn(running: Distributed) -> None:
    (bad,) = of_partition(1, 1)
    appended(running, 1, [encode_command(crashing(bad))])
    txn = redriven(running, letter_of(running, bad.txn)["place"])
    assert txn != bad.txn
    again = letter_of(running, txn)
    assert again["why"] == "KeyError while it was decided"
    assert logged(running, txn).redrives == bad.txn


# --- commands that kill their worker ---


def killed_until_parked(service: Distributed, point: str, waiting: Future[httpx2.Response]) -> int:
    """Start the worker again, armed, each time it dies; return how often it died."""
    (worker,) = service.workers
    deaths, deadline = 0, time.monotonic() + 90
    while not waiting.done():
        assert time.monotonic() < deadline, "the command was neither parked nor answered"
        if not worker.running:
            deaths += 1
            worker.start(SCIMGW_TEST_FAILPOINT=point)
        time.sleep(0.05)
    return deaths


def rearmed(service: Distributed, point: str | None) -> None:
    """Start the worker anew, armed or not, and wait until it owns everything."""
    (worker,) = service.workers
    if worker.running:
        assert worker.stop() == 0
    worker.start(**({} if point is None else {"SCIMGW_TEST_FAILPOINT": point}))
    eventually(lambda: take_overs(worker) == PARTITIONS if worker.probe("readyz")[0] == 200 else False)


@pytest.mark.slow
def test_CP26_a_command_that_kills_its_worker_is_parked_the_third_time_and_can_be_redriven(
    running: Distributed, caller: Scim
) -> None:
    body = user(displayName="Ann")
    headers = {"Authorization": f"Bearer {running.tokens['rfc']}", "Content-Type": SCIM_JSON}
    with ThreadPoolExecutor(1) as background:
        rearmed(running, "worker.reserved")
        url = f"{running.origin}/scim/v2/Users"
        waiting = background.submit(httpx2.post, url, content=json.dumps(body), headers=headers, timeout=120)
        deaths = killed_until_parked(running, "worker.reserved", waiting)
    answer = waiting.result()
    assert answer.status_code == 500, answer.text
    assert deaths == 3
    txn = answer.headers["Scim-Txn"]
    letter = letter_of(running, txn)
    assert "worker died" in letter["why"]
    assert letter["version"] == 0
    assert caller.find(f'userName eq "{body["userName"]}"')["totalResults"] == 0
    rearmed(running, None)
    assert caller.get(f"/Outcomes/{txn}").json()["status"] == 500

    new = redriven(running, letter["place"])
    (found,) = eventually(lambda: caller.find(f'userName eq "{body["userName"]}"').get("Resources"))
    assert found["id"] == logged(running, txn).resource_id
    assert found["displayName"] == "Ann"
    again = logged(running, new)
    assert (again.redrives, again.budget, again.gateway) == (txn, 0, "")
    assert again.if_match is msgspec.UNSET
    assert again.key is msgspec.UNSET
    (event,) = running.events_of("rfc", found["id"])
    assert event["value"]["txn"] == new
    assert outcome(running, new)["state"] == "applied"
    assert outcome(running, txn)["status"] == 500, "the parked command's own caller got 500, the only one there is"

    # Once more: the id has existed by now.
    third = redriven(running, letter["place"])
    eventually(lambda: caller.get(f"/Outcomes/{third}").json()["state"] == "refused")
    assert len(running.events_of("rfc", found["id"])) == 1
    caller.delete(f"/Users/{found['id']}")
    fourth = redriven(running, letter["place"])
    eventually(lambda: caller.get(f"/Outcomes/{fourth}").json()["state"] == "refused")
    refused(caller.get(f"/Users/{found['id']}"), 404)


@pytest.mark.slow
@pytest.mark.parametrize("changed", [False, True])
def test_CP26_a_redriven_patch_is_refused_where_the_resource_has_changed_since(
    running: Distributed, caller: Scim, changed: bool
) -> None:
    rearmed(running, None)
    made = caller.made()
    body = {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [op("replace", "title", value="p")],
    }
    headers = {"Authorization": f"Bearer {running.tokens['rfc']}", "Content-Type": SCIM_JSON}
    url = f"{running.origin}/scim/v2/Users/{made['id']}"
    rearmed(running, "worker.reserved")
    with ThreadPoolExecutor(1) as background:
        waiting = background.submit(httpx2.patch, url, content=json.dumps(body), headers=headers, timeout=120)
        deaths = killed_until_parked(running, "worker.reserved", waiting)
    assert waiting.result().status_code == 500
    assert deaths == 3
    txn = waiting.result().headers["Scim-Txn"]
    rearmed(running, None)
    letter = letter_of(running, txn)
    assert letter["version"] == 1
    version = 1
    if changed:
        version = 2
        caller.patched(made["id"], op("replace", "nickName", value="n"))
    new = redriven(running, letter["place"])
    told = eventually(lambda: (o := caller.get(f"/Outcomes/{new}").json())["state"] not in {"unknown", "pending"} and o)
    assert logged(running, new).if_match == ("1",)
    user_now = caller.read(made["id"])
    if changed:
        assert (told["state"], told["status"]) == ("refused", 412)
        assert user_now["meta"]["version"] == f'W/"{version}"'
        assert "title" not in user_now
    else:
        assert told["state"] == "applied"
        assert user_now["meta"]["version"] == 'W/"2"'
        assert user_now["title"] == "p"
        assert [event["value"]["txn"] for event in running.events_of("rfc", made["id"])][1:] == [new]
    assert len(running.events_of("rfc", made["id"])) == 2
