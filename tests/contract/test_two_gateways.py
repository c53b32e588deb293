"""Two gateways are one service: whatever a caller does through one holds through the other, at the same moment."""

from __future__ import annotations

import json
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx2
import pytest

from schemas import urns
from tests.distributed import Distributed, distributed
from tests.gateway.test_serve_gateway import eventually
from tests.served import Scim, op, refused, unique, user
from tests.services.redis import RedisServer

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]

Pair = tuple[Scim, Scim]
Call = Callable[[], httpx2.Response]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, kafka_bootstrap: str) -> Iterator[Distributed]:
    """Two gateways and two workers."""
    directory = tmp_path_factory.mktemp("two-gateways")
    server = RedisServer(directory / "redis")
    server.start()
    prefix = f"two-{uuid.uuid4().hex[:10]}"
    made = Distributed(
        directory / "service", kafka_bootstrap, server.url, prefix, gateways=2, workers=2,
        environment={"SCIMGW_HTTP__PUBLIC_URL": "https://scim.example.com"},
    )  # fmt: skip
    try:
        with distributed(made) as running:
            yield running
    finally:
        server.close()


@pytest.fixture(params=["one-first", "other-first"])
def pair(request: pytest.FixtureRequest, service: Distributed) -> Iterator[Pair]:
    """One caller of each gateway, in either order."""
    first = ["one-first", "other-first"].index(request.param)
    callers = service.caller_of(first), service.caller_of(1 - first)
    yield callers
    for caller in callers:
        caller.http.close()


def together(calls: list[Call]) -> list[httpx2.Response]:
    """Make all calls at the same moment, each from a thread of its own."""
    gate = threading.Barrier(len(calls))

    def make(call: Call) -> httpx2.Response:
        gate.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(make, calls))


def versions(service: Distributed, resource_id: str) -> list[int]:
    """Return the versions that the events tell of a user of tenant ``rfc``."""
    return [int(event["value"]["jti"].rpartition(":")[2]) for event in service.events_of("rfc", resource_id)]


# --- reading what was written ---


def test_INV2_what_one_gateway_acknowledged_the_other_shows_at_once(service: Distributed, pair: Pair) -> None:
    one, other = pair
    for _ in range(25):
        external_id = unique("ext")
        made = one.post("/Users", user(externalId=external_id)).json()
        assert other.read(made["id"]) == one.read(made["id"])
        found = other.find(f'externalId eq "{external_id}"')["Resources"]
        assert [entry["id"] for entry in found] == [made["id"]]
        other.patched(made["id"], op("replace", "title", value="t"))
        answer = one.get(f"/Users/{made['id']}", headers={"If-None-Match": 'W/"1"'})
        assert answer.status_code == 200
        assert answer.json()["title"] == "t"
        replaced = one.put(f"/Users/{made['id']}", user(unique("renamed")), headers={"If-Match": 'W/"2"'}).json()
        assert other.find(f'userName eq "{made["userName"]}"')["totalResults"] == 0
        assert other.find(f'userName eq "{replaced["userName"]}"')["totalResults"] == 1
        assert other.delete(f"/Users/{made['id']}").status_code == 204
        refused(one.get(f"/Users/{made['id']}"), 404)
        assert one.find(f'userName eq "{replaced["userName"]}"')["totalResults"] == 0
        assert other.post("/Users", user(replaced["userName"])).status_code == 201, "its name is free at once"
    assert versions(service, made["id"]) == [1, 2, 3, 4]


def test_a_listing_begun_at_one_gateway_goes_on_at_the_other(service: Distributed) -> None:
    callers = [service.caller_of(number, "lists") for number in range(2)]
    made = {callers[0].made()["id"] for _ in range(5)}
    found: list[str] = []
    total = callers[1].get("/Users", count=0).json()["totalResults"]
    while len(found) < total:
        caller = callers[len(found) // 2 % 2]
        page = caller.get("/Users", startIndex=len(found) + 1, count=2).json()
        assert page["totalResults"] == total
        assert page["itemsPerPage"] == len(page["Resources"]) > 0
        found += [entry["id"] for entry in page["Resources"]]
    assert len(set(found)) == total
    assert made <= set(found)
    for caller in callers:
        caller.http.close()


# --- races ---


def test_INV4_of_writes_with_the_same_If_Match_through_both_exactly_one_wins(service: Distributed, pair: Pair) -> None:
    made = pair[0].made()
    version = 1
    for turn in range(8):
        headers = {"If-Match": f'W/"{version}"'}
        path = f"/Users/{made['id']}"
        calls: list[Call] = []
        for number in range(6):
            caller, title = pair[number % 2], f"turn {turn} call {number}"
            if number < 3:
                calls.append(partial(caller.put, path, user(made["userName"], title=title), headers=headers))
            else:
                calls.append(partial(caller.patch, path, op("replace", "title", value=title), headers=headers))
        answers = together(calls)
        assert Counter(answer.status_code for answer in answers) == {200: 1, 412: 5}
        (winner,) = [answer for answer in answers if answer.status_code == 200]
        version += 1
        assert winner.headers["ETag"] == f'W/"{version}"'
        for caller in pair:
            assert caller.read(made["id"])["title"] == winner.json()["title"]
    assert versions(service, made["id"]) == list(range(1, version + 1))


def test_INV5_of_fifty_creates_of_one_userName_through_both_exactly_one_wins(service: Distributed, pair: Pair) -> None:
    name = unique("wanted")
    spellings = [name, name.upper(), name.title(), name.swapcase()]
    answers = together([partial(pair[n % 2].post, "/Users", user(spellings[n % 4], title=f"{n}")) for n in range(50)])
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 49}
    for answer in answers:
        if answer.status_code == 409:
            refused(answer, 409, "uniqueness")
    (winner,) = [answer.json() for answer in answers if answer.status_code == 201]
    for caller in pair:
        assert [found["id"] for found in caller.find(f'userName eq "{name}"')["Resources"]] == [winner["id"]]
    named = [
        event
        for event in service.events("rfc")
        for content in event["value"]["events"].values()
        if str(content.get("data", {}).get("userName", "")).casefold() == name.casefold()
    ]
    assert len(named) == 1


def test_INV5_renames_onto_one_free_name_have_one_winner_and_the_old_names_stay_with_the_losers(pair: Pair) -> None:
    name = unique("wanted")
    users = [pair[0].made() for _ in range(8)]

    def rename(caller: Scim, one: Any) -> httpx2.Response:
        return caller.patch(f"/Users/{one['id']}", op("replace", "userName", value=name))

    answers = together([partial(rename, pair[n % 2], one) for n, one in enumerate(users)])
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 7}
    for one, answer in zip(users, answers, strict=True):
        assert pair[1].read(one["id"])["userName"] == (name if answer.status_code == 200 else one["userName"])
        again = pair[1].post("/Users", user(one["userName"])).status_code
        assert again == (201 if answer.status_code == 200 else 409)


# --- repeats ---


def test_INV7_the_same_key_through_both_creates_one_user(service: Distributed, pair: Pair) -> None:
    headers, body = {"Idempotency-Key": unique("key")}, user(title="t")
    answers = together([partial(pair[n % 2].post, "/Users", body, headers=headers) for n in range(12)])
    assert {answer.status_code for answer in answers} == {201}
    (resource_id,) = {answer.json()["id"] for answer in answers}
    # Each request has a txn of its own until it is known to be a repeat: then it tells the first one's.
    assert len({answer.headers["Scim-Txn"] for answer in answers}) == 1
    assert versions(service, resource_id) == [1]
    assert pair[1].find(f'userName eq "{body["userName"]}"')["totalResults"] == 1
    pair[0].patched(resource_id, op("replace", "title", value="later"))
    again = pair[1].post("/Users", body, headers=headers)
    assert (again.status_code, again.json()["title"], again.headers["ETag"]) == (201, "later", 'W/"1"')
    refused(pair[1].post("/Users", user(), headers=headers), 422)


def test_CP30_INV7_a_key_used_at_one_moment_on_two_users_is_carried_out_once(service: Distributed, pair: Pair) -> None:
    """PUT, PATCH and DELETE of users of whatever partitions, and a POST, through both gateways."""
    for turn in range(6):
        users = [pair[0].made() for _ in range(4)]
        headers = {"Idempotency-Key": unique("key")}
        body = user(title="by post")
        paths = [f"/Users/{one['id']}" for one in users]
        calls: list[Call] = [
            partial(pair[0].put, paths[0], user(users[0]["userName"], title="t"), headers=headers),
            partial(pair[1].patch, paths[1], op("replace", "title", value="t"), headers=headers),
            partial(pair[0].delete, paths[2], headers=headers),
            partial(pair[1].put, paths[3], user(unique("renamed"), title="t"), headers=headers),
            partial(pair[turn % 2].post, "/Users", body, headers=headers),
        ]
        answers = together(calls)
        statuses = [answer.status_code for answer in answers]
        (winner,) = [n for n, status in enumerate(statuses) if status < 300]
        # 503 where the key stayed reserved for longer than a command waits: nothing was decided.
        assert all(status in {422, 503} for n, status in enumerate(statuses) if n != winner), statuses
        # In calm, everybody is told, and the winner again what it was told first.
        again = [call() for call in calls]
        assert [answer.status_code for answer in again] == [
            statuses[winner] if n == winner else 422 for n in range(len(calls))
        ]
        assert again[winner].headers["Scim-Txn"] == answers[winner].headers["Scim-Txn"]
        expected = [[1], [1], [1], [1]]
        if winner < 4:
            expected[winner] = [1, 2]
        assert [versions(service, one["id"]) for one in users] == expected
        assert pair[0].find(f'userName eq "{body["userName"]}"')["totalResults"] == (winner == 4)


def test_INV7_a_delete_with_a_key_is_answered_again_by_the_other_gateway(pair: Pair) -> None:
    one, other = pair
    made, headers = one.made(), {"Idempotency-Key": unique("key")}
    first = one.delete(f"/Users/{made['id']}", headers=headers)
    again = other.delete(f"/Users/{made['id']}", headers=headers)
    assert (first.status_code, again.status_code) == (204, 204)
    assert again.headers["Scim-Txn"] == first.headers["Scim-Txn"]
    refused(other.delete(f"/Users/{made['id']}"), 404)


def test_the_outcome_of_a_write_through_one_is_told_by_the_other(pair: Pair) -> None:
    one, other = pair
    body = user()
    created, duplicate = one.post("/Users", body), one.post("/Users", body)
    stale = one.put(f"/Users/{created.json()['id']}", body, headers={"If-Match": 'W/"9"'})
    for answer, state, status in ((created, "applied", 201), (duplicate, "refused", 409), (stale, "refused", 412)):
        told = other.get(f"/Outcomes/{answer.headers['Scim-Txn']}").json()
        assert (told["txn"], told["state"], told["status"]) == (answer.headers["Scim-Txn"], state, status)
        if state == "refused":
            assert told["error"]["detail"] == answer.json()["detail"]
        else:
            assert told["version"] == answer.headers["ETag"]
            assert told["location"].endswith(f"/Users/{answer.json()['id']}")
    assert other.get(f"/Outcomes/{uuid.uuid4()}").json()["state"] == "unknown"


# --- an answer that nobody saw ---


def left_behind(service: Distributed, gateway: int, body: Any) -> None:
    """Send a POST to a gateway and go away before the answer comes."""
    content = json.dumps(body).encode()
    host, _, port = service.origins[gateway].removeprefix("http://").partition(":")
    head = (
        f"POST /scim/v2/Users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.tokens['rfc']}\r\n"
        f"Content-Type: application/scim+json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    with socket.create_connection((host, int(port))) as connection, service.stalled():
        connection.sendall(head.encode() + content)
        time.sleep(0.3)
        connection.close()
        time.sleep(0.2)


@pytest.mark.parametrize("gateway", [0, 1])
def test_CP30_an_answer_that_its_caller_never_saw_is_given_by_the_other_gateway(
    service: Distributed, gateway: int
) -> None:
    body = user(externalId=unique())
    left_behind(service, gateway, body)
    other = service.caller_of(1 - gateway)
    try:
        first = eventually(lambda: other.find(f'userName eq "{body["userName"]}"').get("Resources"))[0]
        again = eventually(lambda: (a := other.post("/Users", body)).status_code != 409 and a)
        assert again.status_code == 201, again.text
        assert again.json() == first
        assert again.headers["ETag"] == 'W/"1"'
        assert versions(service, first["id"]) == [1]
        refused(other.post("/Users", body | {"title": "t"}), 409, "uniqueness")
    finally:
        other.http.close()


def test_CP30_a_seen_answer_is_followed_by_409_through_either(pair: Pair) -> None:
    body = user()
    assert pair[0].post("/Users", body).status_code == 201
    for caller in pair:
        assert refused(caller.post("/Users", body), 409, "uniqueness")["schemas"] == [urns.ERROR]


def answered(caller: Scim, body: Any) -> httpx2.Response | None:
    """Repeat a POST; while it is not known whether its first caller saw the answer it may be told so, never 409."""
    answer = caller.post("/Users", body)
    assert answer.status_code in {201, 503}, answer.text
    return answer if answer.status_code == 201 else None


def test_CP30_the_answer_of_a_gateway_that_died_is_given_by_the_other(service: Distributed) -> None:
    body = user(externalId=unique())
    dead, other = service.gateways[0], service.caller_of(1)
    try:
        with ThreadPoolExecutor(1) as background:
            with service.stalled():
                caller = service.caller_of(0)
                answer = background.submit(caller.post, "/Users", body)
                eventually(lambda: "\nscimgw_commands_in_flight 1.0" in dead.metrics())
                time.sleep(0.3)  # the command is on its way to the log
                dead.kill()
            assert isinstance(answer.exception(30), httpx2.HTTPError)
            caller.http.close()
        eventually(lambda: other.find(f'userName eq "{body["userName"]}"').get("Resources"))
        again = eventually(partial(answered, other, body))
        found = other.find(f'userName eq "{body["userName"]}"')["Resources"]
        assert [entry["id"] for entry in found] == [again.json()["id"]]
        assert versions(service, again.json()["id"]) == [1]
    finally:
        other.http.close()
        dead.start()
        dead.ready()
