"""A Redis that is full, or slow, under a running gateway and worker: 503 at the most, nothing half done, no restart."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import httpx2
import pytest
import redis

from tests.distributed import Distributed, distributed
from tests.served import Scim, op, unique, user
from tests.services.redis import RedisServer

pytestmark = [pytest.mark.services, pytest.mark.timeout(180)]

BUDGET_S: Final = 10.0
LIMIT_S: Final = 60.0
PAUSE_S: Final = 3.0

Ask = Callable[[], httpx2.Response]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, kafka_bootstrap: str) -> Iterator[Distributed]:
    """A gateway and a worker, on a Redis of their own."""
    directory = tmp_path_factory.mktemp("pressure")
    server = RedisServer(directory / "redis")
    server.start()
    prefix = f"pressure-{uuid.uuid4().hex[:10]}"
    environment = {"SCIMGW_HTTP__BUDGET_S": str(BUDGET_S)}
    try:
        with distributed(
            Distributed(directory / "service", kafka_bootstrap, server.url, prefix, environment=environment)
        ) as service:
            yield service
    finally:
        server.stop()


@contextmanager
def full(url: str) -> Iterator[None]:
    """Have Redis out of memory for the length of a block, without eviction."""
    with redis.Redis.from_url(url) as client:
        client.config_set("maxmemory", "1")
        try:
            with pytest.raises(redis.exceptions.OutOfMemoryError):
                client.set("{none}:probe", "1")
            yield
        finally:
            client.config_set("maxmemory", "0")


def at_once(asked: list[Ask]) -> list[httpx2.Response]:
    """Ask all of this at the same time and return the answers, in order."""
    with ThreadPoolExecutor(len(asked)) as threads:
        return [waiting.result() for waiting in [threads.submit(one) for one in asked]]


def is_to_be_tried_again(answer: httpx2.Response) -> bool:
    return answer.status_code == 503 and int(answer.headers["Retry-After"]) > 0


def until_written(caller: Scim, body: Any, headers: dict[str, str]) -> Any:
    """Send the create until it is answered with 201; nothing but 503 may come before."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        answer = caller.post("/Users", body, headers)
        if answer.status_code == 201:
            return answer.json()
        assert is_to_be_tried_again(answer), answer.text
        assert time.monotonic() < deadline, "writes did not come back"
        time.sleep(0.5)


def settled(caller: Scim, resource_id: str) -> bool:
    """Change the user once more, behind all that its partition still has to write; return whether it is there."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        answer = caller.patch(f"/Users/{resource_id}", op("replace", "nickName", value=unique()))
        if answer.status_code in {200, 404}:
            return answer.status_code == 200
        assert is_to_be_tried_again(answer), answer.text
        assert time.monotonic() < deadline, "writes did not come back"
        time.sleep(0.5)


def found(caller: Scim, name: str) -> list[str]:
    """Return the ids of the users with this userName, by the index."""
    return [each["id"] for each in caller.find(f'userName eq "{name}"')["Resources"]]


def is_whole(service: Distributed, caller: Scim, resource_id: str) -> None:
    """Check that user, index, order and events tell the same: as many events as versions, and the name held once."""
    answer = caller.get(f"/Users/{resource_id}")
    assert answer.status_code == 200, answer.text
    version = int(answer.headers["ETag"].removeprefix('W/"').removesuffix('"'))
    events = service.events_of("lists", resource_id)
    assert len({event["value"]["txn"] for event in events}) == len(events) == version, (version, events)
    name = answer.json()["userName"]
    assert found(caller, name) == [resource_id]
    again = caller.post("/Users", user(name))
    assert again.status_code == 409, again.text
    listed = [each["id"] for each in caller.get("/Users", count=1000).json()["Resources"]]
    assert listed.count(resource_id) == 1


def test_a_full_redis_refuses_writes_with_503_goes_on_reading_and_leaves_nothing_half_done(
    running: Distributed,
) -> None:
    caller = running.caller("lists")
    patched, renamed, deleted = caller.made(), caller.made(), caller.made()
    pids = [program.pid for program in running.programs]
    bodies = [user(externalId=unique("e")) for _ in range(3)]
    keys = [{"Idempotency-Key": unique("key")} for _ in bodies]
    new_name = unique()
    with full(running.redis_url):
        asked: list[Ask] = [
            *(partial(caller.post, "/Users", body, key) for body, key in zip(bodies, keys, strict=True)),
            lambda: caller.patch(f"/Users/{patched['id']}", op("replace", "displayName", value="Ann")),
            lambda: caller.patch(f"/Users/{renamed['id']}", op("replace", "userName", value=new_name)),
        ]
        # A delete frees memory: Redis may do it all the same.
        *answers, of_delete = at_once([*asked, lambda: caller.delete(f"/Users/{deleted['id']}")])
        assert of_delete.status_code == 204 or is_to_be_tried_again(of_delete), of_delete.text
        assert [is_to_be_tried_again(answer) for answer in answers] == [True] * len(asked), answers
        assert caller.read(patched["id"])["meta"]["version"] == 'W/"1"'
        assert found(caller, renamed["userName"]) == [renamed["id"]]
        assert [found(caller, body["userName"]) for body in bodies] == [[], [], []]
        assert caller.get("/Users/none").status_code == 404
        assert [program.probe("livez")[0] for program in running.programs] == [200, 200]
    until_written(caller, user(), {})
    assert [program.pid for program in running.programs] == pids
    assert all(program.running for program in running.programs)
    for body, key in zip(bodies, keys, strict=True):
        before = found(caller, body["userName"])
        assert len(before) <= 1
        made = until_written(caller, body, key)
        assert before in ([], [made["id"]])
        assert caller.post("/Users", body, key).json()["id"] == made["id"]
        is_whole(running, caller, made["id"])
    for known in (patched, renamed):
        assert settled(caller, known["id"])
        is_whole(running, caller, known["id"])
    held = [name for name in (renamed["userName"], new_name) if found(caller, name)]
    assert len(held) == 1, "the old name or the new one"
    assert caller.read(renamed["id"])["userName"] == held[0]
    if settled(caller, deleted["id"]):
        assert of_delete.status_code == 503
        is_whole(running, caller, deleted["id"])
    else:
        assert len(running.events_of("lists", deleted["id"])) == 2
        assert found(caller, deleted["userName"]) == []
        caller.made(deleted["userName"])


def test_a_slow_redis_makes_no_refusal_that_is_not_one(running: Distributed) -> None:
    caller = running.caller("lists")
    known = caller.made()
    bodies = [user() for _ in range(4)]
    keys = [{"Idempotency-Key": unique("key")} for _ in bodies]
    with redis.Redis.from_url(running.redis_url) as client:
        client.client_pause(int(PAUSE_S * 1000), all=True)
    began = time.monotonic()
    writes: list[Ask] = [
        *(partial(caller.post, "/Users", body, key) for body, key in zip(bodies, keys, strict=True)),
        lambda: caller.patch(f"/Users/{known['id']}", op("replace", "displayName", value="Ann")),
    ]
    reads: list[Ask] = [
        lambda: caller.get(f"/Users/{known['id']}"),
        lambda: caller.get("/Users", filter=f'userName eq "{known["userName"]}"'),
        lambda: caller.get("/Users", count=5),
    ]
    answers = at_once([*writes, *reads])
    assert time.monotonic() - began > PAUSE_S / 2, "Redis was not slow"
    for answer, usual in zip(answers, [201] * 4 + [200] * 4, strict=True):
        assert answer.status_code == usual or is_to_be_tried_again(answer), answer.text
    for body, key in zip(bodies, keys, strict=True):
        is_whole(running, caller, until_written(caller, body, key)["id"])
    assert settled(caller, known["id"])
    is_whole(running, caller, known["id"])
