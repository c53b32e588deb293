"""What becomes of each failure behind the gateway: status, form, ids, and what is noted."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import aiohttp
import pytest
from prometheus_client import generate_latest

from consumers.errors import DatabaseDamaged, StoreUnavailable
from consumers.ports import Reply
from consumers.submission import Busy, Expired, Failed, OutcomeUnknown, SubmissionError
from gateway.logs import JsonFormatter
from schemas import urns
from schemas.commands import ChangeCommand
from schemas.outcomes import Outcome, Refusal
from tests.gateway.fronts import Ports, calling, front_of, served, unused

USER = {"schemas": [urns.USER], "userName": "canary-name"}
PATCH = {"schemas": [urns.PATCH_OP], "Operations": [{"op": "remove", "path": "title"}]}


def failing(kind: type[SubmissionError]) -> Ports:
    async def submit(command: ChangeCommand) -> Reply:
        raise kind(command.txn)

    return Ports(submit)


async def error_of(answer: aiohttp.ClientResponse) -> Any:
    """Check the form of an error and return it."""
    assert answer.headers["Content-Type"] == "application/scim+json"
    assert answer.headers["X-Request-Id"]
    body = await answer.json(content_type=None)
    assert body["schemas"] == [urns.ERROR]
    assert body["status"] == str(answer.status)
    return body


@pytest.mark.parametrize(
    ("kind", "status", "says", "tells_txn"),
    [
        (Busy, 503, "nothing was accepted", False),
        (Expired, 503, "was not applied", False),
        (OutcomeUnknown, 503, "not known yet", True),
        (Failed, 500, "defect", True),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_every_way_a_submission_can_end(
    kind: type[SubmissionError], status: int, says: str, tells_txn: bool, method: str
) -> None:
    ports = failing(kind)
    body = {"POST": USER, "PUT": USER, "PATCH": PATCH}.get(method)
    async with calling(ports) as session:
        path = "/scim/v2/Users" if method == "POST" else "/scim/v2/Users/u-1"
        answer = await session.request(method, path, json=body)
        error = await error_of(answer)
    (command,) = ports.commands
    assert answer.status == status
    assert says in error["detail"]
    assert answer.headers["Scim-Txn"] == command.txn
    assert error.get("txn") == (command.txn if tells_txn else None)
    assert ("Retry-After" in answer.headers) == (status == 503)
    is_lost_create = kind is OutcomeUnknown and method == "POST"
    assert len(ports.marked) == (1 if is_lost_create else 0), "only a create's answer can be asked for by repeating it"


async def test_an_unknown_outcome_says_where_it_is_told() -> None:
    ports = failing(OutcomeUnknown)
    async with calling(ports, public_url="https://scim.example.com/x") as session:
        error = await error_of(await session.post("/scim/v2/Users", json=USER))
    assert f"https://scim.example.com/x/scim/v2/Outcomes/{ports.commands[0].txn}" in error["detail"]


@pytest.mark.parametrize("error", [StoreUnavailable("disk"), DatabaseDamaged("record")])
@pytest.mark.parametrize("path", ["/Users", "/Users/u-1", '/Users?filter=userName eq "a"', "/Outcomes/t-1"])
async def test_a_store_that_cannot_be_read_is_503(error: Exception, path: str) -> None:
    def fail() -> None:
        raise error

    async with calling(Ports(unused, fail)) as session:
        answer = await session.get(f"/scim/v2{path}")
        body = await error_of(answer)
    assert answer.status == 503
    assert answer.headers["Retry-After"]
    assert str(error) not in body["detail"], "what is wrong with the store is the operator's business"


async def test_a_defect_is_500_and_nobody_is_told_a_value(caplog: pytest.LogCaptureFixture) -> None:
    async def crash(command: ChangeCommand) -> Reply:
        raise ValueError(command.change)

    with caplog.at_level(logging.INFO):
        async with calling(Ports(crash)) as session:
            answer = await session.post("/scim/v2/Users", json=USER)
            text = await answer.text()
    assert answer.status == 500
    assert "canary" not in text
    assert "Traceback" not in text
    lines = [JsonFormatter().format(record) for record in caplog.records]
    assert any("a request failed" in line for line in lines)
    assert not any("canary" in line for line in lines)
    assert any("crash" in line for line in lines), "the traceback is there for who must mend it"


def outcome_of(command: ChangeCommand, status: int) -> Outcome:
    """Return what became of a create, as a worker says it."""
    return Outcome(
        txn=command.txn,
        status=status,
        resource_type="User",
        resource_id=command.resource_id,
        error=None if status == 201 else Refusal(status, "uniqueness", "userName is in use"),
        verb="create",
        fingerprint=command.fingerprint,
        gateway=command.gateway,
        decided_at=command.accepted_at,
    )


@pytest.mark.parametrize(
    ("status", "marks"),
    [(201, 1), (409, 0), (None, 1)],
    ids=["created", "refused: nothing to hand out again", "unknown"],
)
async def test_an_answer_whose_caller_is_gone_is_marked_unseen(status: int | None, marks: int) -> None:
    arrived, gone = asyncio.Event(), asyncio.Event()
    done = asyncio.Event()

    async def slow(command: ChangeCommand) -> Reply:
        arrived.set()
        await gone.wait()
        done.set()
        if status is None:
            raise OutcomeUnknown(command.txn)
        return Reply(outcome_of(command, status))

    ports = Ports(slow)
    async with served(front_of(ports)) as origin:
        host, port = origin.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        body = json.dumps(USER).encode()
        writer.write(
            b"POST /scim/v2/Users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer scimgw_test\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        await arrived.wait()
        writer.close()
        await writer.wait_closed()
        del reader
        await asyncio.sleep(0.05)
        assert not done.is_set(), "the handler is not cancelled with its connection: the command is on its way"
        gone.set()
        await done.wait()
        await asyncio.sleep(0.05)
    assert [tenant for tenant, _ in ports.marked] == ["acme"] * marks


@pytest.mark.parametrize("given", ["x" * 129, "tab\there", "Zo\xeb"])
async def test_a_request_id_that_is_not_fit_to_be_repeated_is_replaced(given: str) -> None:
    async with calling(Ports(unused)) as session:
        answer = await session.get("/scim/v2/Users", headers={"X-Request-Id": given})
        assert answer.status == 200
        assert answer.headers["X-Request-Id"] != given
        assert answer.headers["X-Request-Id"].isascii()


async def test_metrics_name_routes_by_pattern_and_methods_by_a_list() -> None:
    front = front_of(Ports(unused))
    async with served(front) as origin, aiohttp.ClientSession(origin) as session:
        await session.get("/scim/v2/Users/secret-id")
        await session.request("PROPFIND", "/scim/v2/Users")
        await session.get("/secret/path")
    text = generate_latest(front.metrics.registry).decode()
    assert "secret" not in text.lower()
    assert 'method="GET",route="/scim/v2/Users/{id}",status="401"' in text
    assert 'method="other"' in text
    assert 'route="none"' in text


async def test_commands_carry_what_the_owner_needs_and_no_password() -> None:
    ports = failing(Busy)
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = {"Idempotency-Key": " k ", "traceparent": trace}
    async with calling(ports, budget_ms=1234) as session:
        await session.post("/scim/v2/Users", json=USER | {"password": "canary-password"}, headers=headers)
        await session.post("/scim/v2/Users", json=USER, headers={"Idempotency-Key": "k"})
        await session.put("/scim/v2/Users/u-1", json=USER, headers={"If-Match": 'W/"3"', "traceparent": "nonsense"})
    first, again, put = ports.commands
    assert "canary-password" not in str(first)
    assert (first.tenant, first.principal, first.gateway, first.budget) == ("acme", "token:first", "gateway-1", 1234)
    assert first.resource_id == again.resource_id, "the id of a keyed create is derived from its key"
    assert (first.key, first.fingerprint) == (again.key, again.fingerprint), "a dropped password makes no difference"
    assert first.traceparent == trace
    assert (put.resource_id, put.if_match) == ("u-1", ("3",))
    assert not isinstance(put.traceparent, str)
    assert put.fingerprint != first.fingerprint
