"""``/metrics``, scraped while a load is on and after it, says what the load's generator counted."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import msgspec

from tests.load.connections import Answer, Connection, connections
from tests.load.deployments import Embedded, Running
from tests.load.exposition import COMMANDS, EVENTS, REQUESTS, Counts, counts, scrape
from tests.load.population import version_number
from tests.load.users import name_of, user_body, user_name

USERS = "/scim/v2/Users"
USER = USERS + "/{id}"
UNKNOWN = USERS + "/0199c1e2-7c3a-7bd2-9c3e-1f2d3c4b5a69"
CLIENTS = 8
ROUNDS = 6
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


class _Meta(msgspec.Struct, frozen=True):
    version: str


class _User(msgspec.Struct, frozen=True):
    id: str
    meta: _Meta


def patch_of(title: str) -> bytes:
    """Return a PatchOp that sets the title."""
    return msgspec.json.encode(
        {"schemas": [PATCH_OP], "Operations": [{"op": "replace", "path": "title", "value": title}]}
    )


class Generator:
    """Mixed requests of every outcome, each counted as its answer says."""

    def __init__(self) -> None:
        self.issued = 0
        self.requests: Counts = Counter()
        """By route, method and status."""
        self.commands: Counts = Counter()
        """By verb and result."""
        self.events = 0

    async def ask(
        self, connection: Connection, route: str, method: str, target: str, body: bytes | None = None, *headers: str
    ) -> Answer:
        """Ask and count."""
        self.issued += 1
        answer = await connection.ask(method, target, body, headers)
        self.requests[route, method, str(answer.status)] += 1
        return answer

    def command(self, verb: str, result: str) -> None:
        """Count what the server must have decided."""
        self.commands[verb, result] += 1
        self.events += result == "applied"

    async def client(self, connection: Connection, number: int) -> None:
        """Do everything that a client can do, right and wrong, several times over."""
        for round_ in range(ROUNDS):
            name = name_of(f"c{number:05d}", round_)
            created = await self.ask(connection, USERS, "POST", USERS, user_body(name))
            assert created.status == 201
            self.command("create", "applied")
            user = msgspec.json.decode(created.body, type=_User)
            await self.refused_creates(connection, name)
            await self.reads(connection, user, name)
            await self.changes(connection, user, name, f"title {number} {round_}")
            if round_ % 2:
                assert (await self.ask(connection, USER, "DELETE", f"{USERS}/{user.id}")).status == 204
                self.command("delete", "applied")
            assert (await self.ask(connection, USER, "DELETE", UNKNOWN)).status == 404
            self.command("delete", "refused")

    async def refused_creates(self, connection: Connection, name: str) -> None:
        """A taken name reaches ``decide``; a body that is no JSON does not."""
        assert (await self.ask(connection, USERS, "POST", USERS, user_body(name))).status == 409
        self.command("create", "refused")
        assert (await self.ask(connection, USERS, "POST", USERS, b'{"userName":')).status == 400

    async def reads(self, connection: Connection, user: _User, name: str) -> None:
        """Reads are requests and no commands."""
        target = f"{USERS}/{user.id}"
        assert (await self.ask(connection, USER, "GET", target)).status == 200
        assert (await self.ask(connection, USER, "GET", target, None, 'If-None-Match: W/"1"')).status == 304
        assert (await self.ask(connection, USER, "GET", UNKNOWN)).status == 404
        quoted = user_name(name).replace("@", "%40")
        found = await self.ask(connection, USERS, "GET", f"{USERS}?filter=userName%20eq%20%22{quoted}%22")
        assert found.status == 200
        assert (await self.ask(connection, "none", "GET", "/scim/v2/Nothing")).status == 404

    async def changes(self, connection: Connection, user: _User, name: str, title: str) -> None:
        """A change, the same again (no change), a stale version, a whole replacement."""
        target = f"{USERS}/{user.id}"
        for result in ("applied", "no_change"):
            patched = await self.ask(connection, USER, "PATCH", target, patch_of(title))
            assert patched.status == 200
            self.command("patch", result)
            assert version_number(msgspec.json.decode(patched.body, type=_User).meta.version) == 2
        stale = await self.ask(connection, USER, "PUT", target, user_body(name), 'If-Match: W/"1"')
        assert stale.status == 412
        self.command("replace", "refused")
        put = await self.ask(connection, USER, "PUT", target, user_body(name), 'If-Match: W/"2"')
        assert put.status == 200
        self.command("replace", "applied")


async def put_on(running: Running, generator: Generator) -> int:
    """Run all clients, with a scrape now and then; return how many scrapes fell into the load."""
    async with connections(running.port, running.token, CLIENTS) as opened:
        load = asyncio.gather(*(generator.client(each, number) for number, each in enumerate(opened)))
        scrapes = 0
        while not load.done():
            answered = generator.requests.total()
            text = await asyncio.to_thread(scrape, running.admin_port)
            shown = served(text).total()
            # What was answered before the scrape is in it, what was asked for after it is not.
            assert answered <= shown <= generator.issued
            scrapes += not load.done()
            await asyncio.sleep(0.02)
        await load
    return scrapes


def served(text: str) -> Counts:
    """Return the requests of SCIM clients: not the scrapes and health checks."""
    found = counts(text, REQUESTS, ("route", "method", "status"))
    return Counter({key: count for key, count in found.items() if key[0] not in {"/metrics", "/readyz"}})


def test_metrics_scraped_during_a_load_agree_with_what_its_generator_counted(tmp_path: Path) -> None:
    generator = Generator()
    with Embedded(tmp_path).running(0) as running:
        scrapes = asyncio.run(put_on(running, generator))
        text = scrape(running.admin_port)
        assert scrapes > 0
        assert generator.requests.total() == generator.issued > 500
        assert served(text) == generator.requests
        assert counts(text, COMMANDS, ("verb", "result")) == generator.commands
        assert counts(text, EVENTS, ()) == {(): generator.events}
        # All of one tenant, and nothing of another.
        assert set(counts(text, COMMANDS, ("tenant",))) == {("default",)}
