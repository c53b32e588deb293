"""The bare write path does what it is measured for: an instrument that loses a write would be fast, too."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.load import population
from tests.load.bare import wire
from tests.load.bare.worker import decided
from tests.load.bare_servers import BareServers
from tests.load.connections import Connection, connections
from tests.load.deployments import Running
from tests.load.exposition import REQUESTS, counts, scrape
from tests.load.users import name_of, user_body

USERS = "/scim/v2/Users"
PATCH = json.dumps({"Operations": [{"op": "replace", "path": "displayName", "value": "Another"}]}).encode()


def command(verb: Any, identifier: str, body: bytes = b"{}") -> wire.Command:
    return wire.Command(b"txn", "gateway", verb, identifier, "name", 0, body)


def test_a_name_that_is_another_ones_and_a_user_that_is_not_there_change_nothing() -> None:
    asked = [command("create", "one"), command("create", "two"), command("patch", "three")]
    changes = decided(asked, {}, {"one"})
    assert [(change.status, change.body) for change in changes] == [(201, b"{}"), (409, b""), (404, b"")]


def test_changes_of_one_user_in_one_batch_see_each_other() -> None:
    meta = wire.Meta("User", "now", "now", "here", 'W/"1"')
    user = wire.encode_user(wire.User(schemas=(), user_name="name", id="one", meta=meta))
    asked = [command("create", "one", user), command("patch", "one", b"First"), command("patch", "one", b"Second")]
    last = wire.decode_user(decided(asked, {}, {"one"})[-1].body)
    assert last.meta is not None
    assert (last.display_name, last.meta.version) == ("Second", 'W/"3"')


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Running]:
    deployment = BareServers(tmp_path)
    try:
        with deployment.running(100) as running:
            yield running
    finally:
        deployment.close()


@pytest.mark.services
async def test_the_bare_path_serves_what_the_rows_ask_for(bare: Running) -> None:
    async with connections(bare.port, bare.token, 1) as (connection,), connections(bare.port, "no", 1) as (stranger,):
        created = await connection.ask("POST", USERS, user_body("a" * 17))
        user = json.loads(created.body)
        assert (created.status, user["meta"]["version"], len(user["emails"])) == (201, 'W/"1"', 1)
        assert (await connection.ask("POST", USERS, user_body("a" * 17))).status == 409
        patched = await connection.ask("PATCH", f"{USERS}/{user['id']}", PATCH)
        read = await connection.ask("GET", f"{USERS}/{user['id']}")
        assert (patched.status, read.status, read.body) == (200, 200, patched.body)
        assert json.loads(read.body)["displayName"] == "Another"
        assert json.loads(read.body)["meta"]["version"] == 'W/"2"'
        assert (await connection.ask("GET", f"{USERS}/{'0' * 32}")).status == 404
        assert (await connection.ask("POST", USERS, b"{")).status == 400
        assert (await stranger.ask("GET", f"{USERS}/{user['id']}")).status == 401


@pytest.mark.services
async def test_the_bare_path_has_the_users_that_it_acknowledged(bare: Running) -> None:
    async def create(connection: Connection, number: int) -> None:
        for part in range(20):
            answer = await connection.ask("POST", USERS, user_body(name_of("extra-", number * 20 + part)))
            assert answer.status == 201

    async with connections(bare.port, bare.token, 16) as opened:
        await asyncio.gather(*(create(connection, number) for number, connection in enumerate(opened)))
    assert await asyncio.to_thread(population.total_users, bare.port, bare.token) == 100 + 320
    assert await asyncio.to_thread(population.changes_applied, bare.port, bare.token) == 0
    shown = counts(await asyncio.to_thread(scrape, bare.admin_port), REQUESTS, ("route", "status"))
    assert shown["/Users", "201"] == 100 + 320
