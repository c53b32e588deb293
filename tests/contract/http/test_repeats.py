"""Repeats, answers that were never seen, the time budget, and outcomes (design.md section 8; interfaces.md)."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import httpx2
import pytest

from schemas import urns
from tests.served import Scim, Service, op, patch_op, refused, serving, unique, user

BUDGET_S: Final = 0.7
APPLYING_S: Final = 10.0


@pytest.fixture(scope="module")
def hurried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose writes have little time."""
    environment = {"SCIMGW_HTTP__BUDGET_S": str(BUDGET_S)}
    with serving(tmp_path_factory.mktemp("hurried"), environment) as running:
        yield running


def key(name: str = "key") -> dict[str, str]:
    return {"Idempotency-Key": unique(name)}


def identity(answer: httpx2.Response) -> tuple[int, str, str | None, str | None]:
    """What a repeat of a request is promised: status, id, Location and ETag."""
    return answer.status_code, answer.json()["id"], answer.headers.get("Location"), answer.headers.get("ETag")


def eventually(condition: Callable[[], Any]) -> Any:
    """Return the first truth that ``condition`` comes to, within the time a command may take."""
    deadline = time.monotonic() + APPLYING_S
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it did not come to pass in time")


def sent_without_reading(service: Service, body: Any, token: str = "rfc") -> socket.socket:
    """Send a POST whose answer nobody will read; the caller closes the connection."""
    content = json.dumps(body).encode()
    connection = socket.create_connection(service.address)
    head = (
        f"POST /scim/v2/Users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.tokens[token]}\r\n"
        f"Content-Type: application/scim+json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    connection.sendall(head.encode() + content)
    return connection


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    """Makes calls while the test does something else."""
    with ThreadPoolExecutor(4) as threads:
        yield threads


# --- Idempotency-Key ---


def test_INV7_the_same_key_and_body_get_the_same_answer(rfc: Scim, service: Service) -> None:
    headers, body = key(), user(displayName="Ann")
    first = rfc.post("/Users", body, headers=headers)
    again = rfc.post("/Users", body, headers=headers)
    assert first.status_code == 201
    assert identity(again) == identity(first)
    assert again.json() == first.json()
    assert again.headers["Scim-Txn"] == first.headers["Scim-Txn"]
    assert len(service.events_of("rfc", first.json()["id"])) == 1


def test_INV7_the_order_of_attributes_makes_no_other_body(rfc: Scim) -> None:
    headers, body = key(), user(displayName="Ann", title="t")
    first = rfc.post("/Users", body, headers=headers)
    again = rfc.post("/Users", dict(reversed(list(body.items()))), headers=headers)
    assert identity(again) == identity(first)


def test_INV7_a_repeat_shows_the_user_as_it_is_now(rfc: Scim) -> None:
    headers, body = key(), user()
    first = rfc.post("/Users", body, headers=headers)
    rfc.patched(first.json()["id"], op("replace", "title", value="later"))
    again = rfc.post("/Users", body, headers=headers)
    assert identity(again) == identity(first)
    assert again.json()["title"] == "later"
    assert again.json()["meta"]["version"] == 'W/"2"'


def test_INV7_another_body_under_the_same_key_is_422(rfc: Scim) -> None:
    headers = key()
    first = rfc.post("/Users", user(), headers=headers)
    other = user()
    detail = refused(rfc.post("/Users", other, headers=headers), 422)["detail"]
    assert "new key" in detail
    refused(rfc.put(f"/Users/{first.json()['id']}", user(), headers=headers), 422)
    refused(rfc.delete(f"/Users/{first.json()['id']}", headers=headers), 422)
    assert rfc.find(f'userName eq "{other["userName"]}"')["totalResults"] == 0


def test_INV7_parallel_repeats_create_one_user(rfc: Scim, service: Service) -> None:
    headers, body, callers = key(), user(), 12
    gate = threading.Barrier(callers)

    def create(_: int) -> httpx2.Response:
        gate.wait()
        return rfc.post("/Users", body, headers=headers)

    with ThreadPoolExecutor(callers) as threads:
        answers = list(threads.map(create, range(callers)))
    assert len({identity(answer) for answer in answers}) == 1
    assert answers[0].status_code == 201
    assert len(service.events_of("rfc", answers[0].json()["id"])) == 1
    assert rfc.find(f'userName eq "{body["userName"]}"')["totalResults"] == 1


def test_INV7_a_repeat_after_a_delete_gets_the_first_answer_and_revives_nothing(rfc: Scim) -> None:
    headers, body = key(), user()
    first = rfc.post("/Users", body, headers=headers)
    rfc.delete(f"/Users/{first.json()['id']}")
    again = rfc.post("/Users", body, headers=headers)
    assert identity(again) == identity(first)
    assert "userName" not in again.json(), "of a deleted user only its identity is left to tell"
    refused(rfc.get(f"/Users/{first.json()['id']}"), 404)


def test_INV7_a_refusal_is_repeated_too(rfc: Scim) -> None:
    headers, taken = key(), rfc.made()
    body = user(taken["userName"])
    refused(rfc.post("/Users", body, headers=headers), 409, "uniqueness")
    rfc.delete(f"/Users/{taken['id']}")
    refused(rfc.post("/Users", body, headers=headers), 409, "uniqueness")
    assert rfc.post("/Users", body, headers=key()).status_code == 201


def test_INV7_what_is_refused_before_it_is_decided_does_not_spend_the_key(rfc: Scim) -> None:
    headers = key()
    refused(rfc.post("/Users", user(active="maybe"), headers=headers), 400, "invalidValue")
    assert rfc.post("/Users", user(), headers=headers).status_code == 201


def test_INV7_PUT_PATCH_and_DELETE_take_keys(rfc: Scim, service: Service) -> None:
    made = rfc.made(emails=[{"value": "a"}])
    path = f"/Users/{made['id']}"
    put_key, patch_key, delete_key = key(), key(), key()
    body = user(made["userName"], title="t")
    put = rfc.put(path, body, headers=put_key)
    patched = rfc.patch(path, op("replace", "title", value="u"), headers=patch_key)
    assert patched.json()["meta"]["version"] == 'W/"3"'
    put_again = rfc.put(path, body, headers=put_key)
    assert identity(put_again) == identity(put), "the PUT is not done again over the PATCH"
    assert put_again.json()["title"] == "u"
    assert identity(rfc.patch(path, op("replace", "title", value="u"), headers=patch_key)) == identity(patched)
    assert rfc.delete(path, headers=delete_key).status_code == 204
    again = rfc.delete(path, headers=delete_key)
    assert again.status_code == 204, "the first answer, not the 404 of a second delete"
    assert len(service.events_of("rfc", made["id"])) == 4


def test_INV7_a_key_belongs_to_one_caller(rfc: Scim, service: Service) -> None:
    headers, second = key(), service.caller("rfc-second")
    mine, theirs = rfc.post("/Users", user(), headers=headers), second.post("/Users", user(), headers=headers)
    assert (mine.status_code, theirs.status_code) == (201, 201)
    assert mine.json()["id"] != theirs.json()["id"]


@pytest.mark.parametrize("value", ["", "x" * 256])
def test_a_key_that_will_not_do_is_refused(rfc: Scim, value: str) -> None:
    refused(rfc.post("/Users", user(), headers={"Idempotency-Key": value}), 400, "invalidValue")


# --- answers that were never seen ---


def test_an_identical_POST_gets_the_answer_that_its_caller_never_saw(rfc: Scim, service: Service) -> None:
    body = user(externalId=unique())
    with service.stalled():
        sent_without_reading(service, body).close()
        time.sleep(0.2)
    first = eventually(lambda: rfc.find(f'userName eq "{body["userName"]}"')["Resources"])[0]
    again = eventually(lambda: (a := rfc.post("/Users", body)).status_code == 201 and a)
    assert again.json() == first
    assert again.headers["ETag"] == 'W/"1"'
    assert again.headers["Location"] == first["meta"]["location"]
    assert len(service.events_of("rfc", first["id"])) == 1
    refused(service.caller("rfc-second").post("/Users", body), 409, "uniqueness")
    refused(rfc.post("/Users", body | {"title": "t"}), 409, "uniqueness")
    refused(service.caller("rfc").post("/Users", user(body["userName"])), 409, "uniqueness")


def test_an_answer_that_was_seen_is_followed_by_409(rfc: Scim) -> None:
    body = user()
    assert rfc.post("/Users", body).status_code == 201
    refused(rfc.post("/Users", body), 409, "uniqueness")


def test_after_the_gateways_death_an_identical_POST_gets_the_first_answer(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with serving(tmp_path_factory.mktemp("killed")) as service:
        body = user()
        made = service.caller().post("/Users", body)
        headers, keyed_body = key(), user()
        keyed = service.caller().post("/Users", keyed_body, headers=headers)
        service.kill()
        service.start()
        caller = service.caller()
        assert caller.read(made.json()["id"])["userName"] == body["userName"]
        caller.patched(made.json()["id"], op("replace", "title", value="changed meanwhile"))
        again = caller.post("/Users", body)
        assert again.json()["title"] == "changed meanwhile"
        assert again.headers["ETag"] == 'W/"1"'
        assert again.status_code == 201, "nobody knows whether the first answer ever left the process that died"
        assert again.json()["id"] == made.json()["id"]
        refused(service.caller("rfc-second").post("/Users", body), 409, "uniqueness")
        assert caller.post("/Users", keyed_body, headers=headers).json()["id"] == keyed.json()["id"]
        caller.delete(f"/Users/{made.json()['id']}")
        caller.made(body["userName"], title="somebody else")
        refused(caller.post("/Users", body), 409, "uniqueness")
        assert [event["value"]["seq"] for event in service.events("rfc")] == ["0:1", "0:2", "0:3", "0:4", "0:5"]


# --- the time budget and outcomes ---


def unknown(answer: httpx2.Response) -> str:
    """Check that the answer is the 503 of an outcome nobody knows yet, and return its txn."""
    body = refused(answer, 503)
    txn: str = body["txn"]
    assert txn == answer.headers["Scim-Txn"]
    assert f"/Outcomes/{txn}" in body["detail"]
    assert int(answer.headers["Retry-After"]) >= 1
    return txn


def test_a_budget_that_is_over_is_503_and_the_outcome_is_told_later(hurried: Service) -> None:
    caller, body = hurried.caller(), user()
    with hurried.stalled():
        started = time.monotonic()
        txn = unknown(caller.post("/Users", body))
        assert BUDGET_S * 0.9 <= time.monotonic() - started < BUDGET_S + 1.5
        pending = caller.get(f"/Outcomes/{txn}").json()
        assert pending == {
            "txn": txn, "state": "pending", "status": None, "version": None, "location": None, "error": None
        }  # fmt: skip
        assert hurried.caller("other").get(f"/Outcomes/{txn}").json()["state"] == "unknown"
    applied = eventually(lambda: (o := caller.get(f"/Outcomes/{txn}").json())["state"] == "applied" and o)
    made = caller.find(f'userName eq "{body["userName"]}"')["Resources"][0]
    assert (applied["status"], applied["version"], applied["location"]) == (201, 'W/"1"', made["meta"]["location"])
    again = caller.post("/Users", body)
    assert (again.status_code, again.json()) == (201, made), "the answer that its caller never got"
    refused(hurried.caller("rfc-second").post("/Users", body), 409, "uniqueness")


def test_INV13_nothing_is_decided_after_its_budget(hurried: Service, background: ThreadPoolExecutor) -> None:
    caller, early, late = hurried.caller(), user(), user()
    with hurried.stalled():
        first = background.submit(caller.post, "/Users", early)
        time.sleep(0.2)
        second = background.submit(caller.post, "/Users", late)
        unknown(first.result(10))
        txn = unknown(second.result(10))
        time.sleep(0.2)
    eventually(lambda: caller.find(f'userName eq "{early["userName"]}"')["totalResults"])
    assert caller.made()["id"], "what comes after is applied, so what came before was looked at"
    assert caller.find(f'userName eq "{late["userName"]}"')["totalResults"] == 0
    assert caller.get(f"/Outcomes/{txn}").json()["state"] == "unknown"
    assert caller.post("/Users", late).status_code == 201


def test_a_repeat_with_its_key_finds_out_what_became_of_a_lost_request(hurried: Service) -> None:
    caller, headers, body = hurried.caller(), key(), user()
    with hurried.stalled():
        txn = unknown(caller.post("/Users", body, headers=headers))
    again = eventually(lambda: (a := caller.post("/Users", body, headers=headers)).status_code == 201 and a)
    assert again.headers["Scim-Txn"] == txn
    assert caller.find(f'userName eq "{body["userName"]}"')["totalResults"] == 1


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_a_change_that_is_lost_can_be_sent_again(hurried: Service, method: str) -> None:
    caller = hurried.caller()
    made = caller.made()
    bodies: dict[str, Any] = {
        "PUT": user(made["userName"], title="t"),
        "PATCH": patch_op(op("replace", "title", value="t")),
    }

    def send() -> httpx2.Response:
        return caller.request(method, f"/Users/{made['id']}", bodies.get(method))

    with hurried.stalled():
        txn = unknown(send())
    applied = eventually(lambda: (o := caller.get(f"/Outcomes/{txn}").json())["state"] == "applied" and o)
    assert applied["version"] == 'W/"2"'
    again = send()
    if method == "DELETE":
        refused(again, 404)
    else:
        assert (again.status_code, again.headers["ETag"]) == (200, 'W/"2"'), "a no-op, as a retry should be"


def test_outcomes_are_told_in_all_states(rfc: Scim) -> None:
    body = user()
    created = rfc.post("/Users", body)
    path = f"/Users/{created.json()['id']}"
    duplicate, no_op = rfc.post("/Users", body), rfc.put(path, body)
    stale, deleted = rfc.delete(path, headers={"If-Match": '"9"'}), rfc.delete(path)
    location = created.headers["Location"]

    def told(txn: str) -> Any:
        answer = rfc.get(f"/Outcomes/{txn}")
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "application/json"
        outcome = answer.json()
        assert set(outcome) == {"txn", "state", "status", "version", "location", "error"}
        assert outcome["txn"] == txn
        return tuple(outcome[name] for name in ("state", "status", "version", "location", "error"))

    assert told(created.headers["Scim-Txn"]) == ("applied", 201, 'W/"1"', location, None)
    assert told(no_op.headers["Scim-Txn"]) == ("applied", 200, 'W/"1"', location, None)
    assert told(deleted.headers["Scim-Txn"]) == ("applied", 204, 'W/"2"', location, None)
    assert told(duplicate.headers["Scim-Txn"]) == ("refused", 409, None, None, duplicate.json())
    assert told(stale.headers["Scim-Txn"]) == ("refused", 412, None, None, stale.json())
    nothing = ("unknown", None, None, None, None)
    assert told("never") == nothing
    refused_early = rfc.post("/Users", {})
    assert told(refused_early.headers["Scim-Txn"]) == nothing, "it was never submitted"


def test_the_txn_of_an_answer_is_that_of_its_event(rfc: Scim, service: Service) -> None:
    answer = rfc.post("/Users", user())
    (event,) = service.events_of("rfc", answer.json()["id"])
    assert event["value"]["txn"] == answer.headers["Scim-Txn"]
    assert re.fullmatch(r"[0-9a-f-]{36}", event["value"]["txn"])
    assert set(event["value"]["events"]) == {urns.CREATE_FULL}


# --- stopping ---


def test_SIGTERM_lets_requests_in_flight_finish(
    tmp_path_factory: pytest.TempPathFactory, background: ThreadPoolExecutor
) -> None:
    with serving(tmp_path_factory.mktemp("drained")) as service:
        caller, body = service.caller(), user()
        caller.get("/Users")
        with service.stalled():
            waiting = background.submit(caller.post, "/Users", body)
            time.sleep(0.3)
            stopped = background.submit(service.terminate)
            ready = httpx2.Client(trust_env=False)
            with ready:
                eventually(lambda: ready.get(f"{service.admin}/readyz").status_code == 503)
                assert "draining" in ready.get(f"{service.admin}/readyz").json()["missing"]
        assert waiting.result(10).status_code == 201
        assert stopped.result(15) == 0
        service.start()
        assert service.caller().find(f'userName eq "{body["userName"]}"')["totalResults"] == 1


def test_SIGTERM_tells_a_caller_with_a_kept_connection_that_it_ends_and_serves_it_until_then(
    tmp_path_factory: pytest.TempPathFactory, background: ThreadPoolExecutor
) -> None:
    with serving(tmp_path_factory.mktemp("lingering")) as service:
        address = service.origin.removeprefix("http://").split(":")
        token = service.tokens["rfc"]
        asking = f"GET /scim/v2/Users HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        with socket.create_connection((address[0], int(address[1])), timeout=20) as kept:
            assert _answered(kept, asking)["connection"] != "close"
            stopped = background.submit(service.terminate)
            with httpx2.Client(trust_env=False) as ready:
                eventually(lambda: ready.get(f"{service.admin}/readyz").status_code == 503)
            assert _answered(kept, asking)["connection"] == "close"
            assert kept.recv(1) == b""
        assert stopped.result(15) == 0
        service.start()


def _answered(connection: socket.socket, request: bytes) -> dict[str, str]:
    """Send a request and return the headers of its answer, "connection" always."""
    connection.sendall(request)
    text = b""
    while b"\r\n\r\n" not in text:
        text += connection.recv(65536)
    head, _, body = text.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    assert first == "HTTP/1.1 200 OK"
    headers = {"connection": "keep-alive"} | {
        name.lower(): value for name, value in (line.split(": ", 1) for line in lines)
    }
    while len(body) < int(headers["content-length"]):
        body += connection.recv(65536)
    return headers
