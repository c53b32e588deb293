"""The life of a thousand users through two gateways in turn, and what a plain Kafka client reads of it."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any, Final

import httpx2
import msgspec
import pytest
from aiokafka import ConsumerRecord
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_models import ListResponse, PatchOp, SearchRequest

from tests.distributed import Distributed, distributed
from tests.faults.cluster import committed
from tests.judges.conftest import Judged
from tests.served import op, patch_op, unique

pytestmark = [pytest.mark.services, pytest.mark.slow]

USERS: Final = 1000
CLIENTS: Final = 8
TENANT: Final = "judged"

# scim2-models makes its classes with `ast.parse`, which CPython 3.11 can't do in two threads at once (gh-106905).
ONE_PARSES: Final = Lock()


class Turning(Judged):
    """Sends each request to the next gateway."""

    def __init__(self, origins: Sequence[str]) -> None:
        super().__init__()
        self.turns = itertools.cycle(map(httpx2.URL, origins))
        self.of_origin: dict[str, int] = defaultdict(int)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        origin = next(self.turns)
        request.url = request.url.copy_with(host=origin.host, port=origin.port)
        self.of_origin[str(origin)] += 1
        return super().handle_request(request)


def live(transport: Turning, base_url: str, token: str, count: int) -> list[str]:
    """Create, find, replace, patch and delete so many users; returns their ids."""
    ids = []
    with httpx2.Client(
        base_url=base_url, headers={"Authorization": f"Bearer {token}"}, transport=transport, timeout=60
    ) as http:
        scim = SyncSCIMClient(http)
        with ONE_PARSES:
            scim.discover()
        model: Any = scim.get_resource_model("User")
        for _ in range(count):
            name = unique("thousand")
            created: Any = scim.create(model(user_name=name, display_name="Ann", active=True))
            condition: SearchRequest[Any] = SearchRequest.model_validate({"filter": f'userName eq "{name}"'})
            found = scim.query(model, query_parameters=condition)
            assert isinstance(found, ListResponse)
            assert found.resources == [created]
            created.display_name = "Bea"
            replaced: Any = scim.replace(created)
            assert transport.sent[-1].headers["If-Match"] == 'W/"1"'
            assert replaced.meta.version == 'W/"2"'
            change = PatchOp[model].model_validate(patch_op(op("add", "nickName", value="Babs")))
            modified: Any = scim.modify(replaced, change)
            assert (modified.nick_name, modified.meta.version) == ("Babs", 'W/"3"')
            assert scim.delete(modified) is None
            assert transport.sent[-1].headers["If-Match"] == 'W/"3"'
            ids.append(created.id)
    return ids


def versions_of(records: Sequence[ConsumerRecord]) -> dict[str, list[int]]:
    """Return resource → the versions of its records, as they come; checks that no number is left out (INV-3)."""
    versions: dict[str, list[int]] = defaultdict(list)
    numbers: dict[int, list[int]] = defaultdict(list)
    for record in records:
        value = msgspec.json.decode(record.value)
        partition, _, number = value["seq"].partition(":")
        assert int(partition) == record.partition
        resource, _, version = value["jti"].rpartition(":")
        assert record.key.decode() == f"{TENANT}/{resource}"
        versions[resource].append(int(version))
        numbers[record.partition].append(int(number))
    assert len(numbers) > 1, "several partitions"
    for partition, seen in numbers.items():
        assert seen == list(range(1, len(seen) + 1)), f"partition {partition}"
    return versions


@pytest.mark.timeout(600)
def test_a_thousand_users_through_both_gateways(tmp_path: Path, kafka_bootstrap: str, redis_url: str) -> None:
    environment = {"SCIMGW_HTTP__PUBLIC_URL": "https://scim.example.com"}
    prefix = f"thousand-{uuid.uuid4().hex[:10]}"
    made = Distributed(tmp_path, kafka_bootstrap, redis_url, prefix, gateways=2, workers=2, environment=environment)
    with distributed(made) as service:
        transports = [Turning(service.origins) for _ in range(CLIENTS)]
        with ThreadPoolExecutor(CLIENTS) as clients:
            lives = [
                clients.submit(live, transport, service.base_url, service.tokens[TENANT], USERS // CLIENTS)
                for transport in transports
            ]
            ids = [resource for one in lives for resource in one.result()]
        for transport in transports:
            assert len(transport.of_origin) == 2
            assert min(transport.of_origin.values()) >= max(transport.of_origin.values()) - 1
        records = asyncio.run(committed(kafka_bootstrap, f"{prefix}.events.v1"))
    assert len(set(ids)) == USERS
    assert versions_of(records) == {resource: [1, 2, 3, 4] for resource in ids}
