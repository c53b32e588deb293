"""Idempotency-Keys for which there is no room any more: 503 for a new one, its answer for a known one."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tests.distributed import Distributed, distributed
from tests.gateway.test_serve_gateway import eventually
from tests.served import Scim, Service, refused, serving, unique, user
from tests.services.redis import RedisServer

MOST_KEYED = 1000
BOUND = {"SCIMGW_OUTCOMES__MOST_KEYED": str(MOST_KEYED)}


@pytest.fixture(params=["embedded", pytest.param("distributed", marks=pytest.mark.services)])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    """Either mode, with room for a thousand."""
    if request.param == "embedded":
        with serving(tmp_path, BOUND) as embedded:
            yield embedded
        return
    server = RedisServer(tmp_path / "redis")
    server.start()
    bootstrap = request.getfixturevalue("kafka_bootstrap")
    environment = {**BOUND, "SCIMGW_KAFKA__PARTITIONS": "1"}
    made = Distributed(
        tmp_path / "service", bootstrap, server.url, f"bound-{uuid.uuid4().hex[:10]}", environment=environment
    )
    try:
        with distributed(made) as running:
            yield running
    finally:
        server.close()


def keyed_deletes(caller: Scim, count: int) -> list[int]:
    """Send requests under a key of their own each, that cost little: users who are not there; return the statuses."""

    def one(number: int) -> int:
        headers = {"Idempotency-Key": unique(f"key-{number}")}
        return caller.delete(f"/Users/{uuid.uuid4()}", headers=headers).status_code

    with ThreadPoolExecutor(8) as threads:
        return list(threads.map(one, range(count)))


@pytest.mark.timeout(300)
def test_a_new_key_beyond_the_bound_is_503_until_there_is_room_and_a_known_one_has_its_answer(service: Service) -> None:
    caller = service.caller()
    headers, body = {"Idempotency-Key": unique("first")}, user()
    made = caller.post("/Users", body, headers=headers)
    assert made.status_code == 201
    statuses: list[int] = []
    while len(statuses) < 3 * MOST_KEYED and 503 not in statuses:
        statuses += keyed_deletes(caller, 100)
    assert set(statuses) == {404, 503}
    # A batch that was viewed before may still come in behind the bound.
    assert MOST_KEYED - 1 <= statuses.count(404) <= MOST_KEYED + 256
    answer = caller.post("/Users", user(), headers={"Idempotency-Key": unique("late")})
    refused(answer, 503)
    assert int(answer.headers["Retry-After"]) > 0
    again = caller.post("/Users", body, headers=headers)
    assert (again.status_code, again.json()["id"]) == (201, made.json()["id"])
    assert caller.post("/Users", user()).status_code == 201, "without a key all is as ever"
    held = partial(told, service, r'^scimgw_outcomes_held\{key="yes",partition="0"\} (\S+)$')
    eventually(lambda: held() >= MOST_KEYED, limit_s=60)
    assert told(service, r'^scimgw_commands_total\{result="full",tenant="rfc",verb="create"\} (\S+)$') == 1


def told(service: Service, sample: str) -> float:
    """Return a sample of the metrics, 0 where it is not there."""
    return sum(float(value) for value in re.findall(sample, service.metrics(), re.MULTILINE))
