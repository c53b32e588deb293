"""Crash point G2: the server dies after the effect and before the answer; what the same request gets from the next one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from tests.faults import bodies
from tests.faults.caller import Caller
from tests.faults.history import Intent, Operation, Recorder
from tests.faults.servers import Embedded, serving


class Unheard:
    """A client that sends writes and reads no answers, and one that sees what became of them."""

    def __init__(self, server: Embedded, caller: Caller) -> None:
        self.server = server
        self.caller = caller
        self.random = Random(1)

    async def call(self, intent: Intent) -> Operation:
        """Send a request and wait for its answer."""
        return await self.caller.call(self.server.url, intent, 20)

    async def created(self) -> str:
        """Create a user; returns its id."""
        return (await self.call(Intent("create", body=bodies.user(self.random, "ann")))).resource or ""

    async def send_and_kill(self, method: str, path: str, body: Any, seen: Intent, status: int, key: str = "") -> None:
        """Send a request, wait until its effect is seen, kill the server before the answer is read, start it again.

        ``seen`` is a read that shows the effect: by its status, and by what ``_shows`` looks for.
        """
        host, port = self.server.url.removeprefix("http://").split(":")
        content = b"" if body is None else msgspec.json.encode(body)
        lines = [
            f"{method} /scim/v2/Users{path} HTTP/1.1",
            f"Host: {host}",
            f"Authorization: Bearer {self.server.token}",
            "Content-Type: application/scim+json",
            f"Content-Length: {len(content)}",
            *([f"Idempotency-Key: {key}"] if key else []),
        ]
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write("\r\n".join([*lines, "", ""]).encode() + content)
        await writer.drain()
        async with asyncio.timeout(10):
            while not _shows(await self.call(seen), status, body):
                await asyncio.sleep(0.01)
        self.server.kill()
        writer.transport.abort()
        await self.server.start()


def _shows(read: Operation, status: int, body: Any) -> bool:
    if read.status != status:
        return False
    if body is None:
        return True
    shown = read.answer["Resources"] if read.verb == "find" else [read.answer]
    return any(resource["nickName"] in msgspec.json.encode(body).decode() for resource in shown)


@asynccontextmanager
async def unheard(data: Path) -> AsyncIterator[Unheard]:
    async with serving(data) as server, Caller("c", Recorder(), server.token) as caller:
        yield Unheard(server, caller)


async def test_G2_an_identical_post_gets_the_first_answer(tmp_path: Path) -> None:
    async with unheard(tmp_path / "data") as client:
        body = bodies.user(client.random, "ann")
        await client.send_and_kill("POST", "", body, Intent("find", name="ann"), 200)
        again = await client.call(Intent("create", body=body))
        found = await client.call(Intent("find", name="ann"))
        assert (again.status, again.version) == (201, 1)
        assert [resource["id"] for resource in found.answer["Resources"]] == [again.resource]
        assert len(await asyncio.to_thread(client.server.events)) == 1
        other = {**body, "title": "another"}
        assert (await client.call(Intent("create", body=other))).status == 409


async def test_G2_the_same_key_gets_the_same_outcome(tmp_path: Path) -> None:
    async with unheard(tmp_path / "data") as client:
        resource = await client.created()
        body = bodies.patch(client.random)
        await client.send_and_kill("PATCH", f"/{resource}", body, Intent("read", resource), 200, key="k")
        await client.call(Intent("patch", resource, bodies.patch(client.random)))
        again = await client.call(Intent("patch", resource, body, key="k"))
        assert (again.status, again.version) == (200, 2)
        assert again.answer["meta"]["version"] == 'W/"3"', "the body shows the resource as it is now"
        assert len(await asyncio.to_thread(client.server.events)) == 3


async def test_G2_a_repeated_put_changes_nothing(tmp_path: Path) -> None:
    async with unheard(tmp_path / "data") as client:
        resource = await client.created()
        body = bodies.user(client.random, "ann")
        await client.send_and_kill("PUT", f"/{resource}", body, Intent("read", resource), 200)
        again = await client.call(Intent("replace", resource, body))
        assert (again.status, again.version) == (200, 2)
        assert len(await asyncio.to_thread(client.server.events)) == 2


async def test_G2_a_repeated_delete_finds_nothing(tmp_path: Path) -> None:
    async with unheard(tmp_path / "data") as client:
        resource = await client.created()
        await client.send_and_kill("DELETE", f"/{resource}", None, Intent("read", resource), 404)
        assert (await client.call(Intent("delete", resource))).status == 404
        assert len(await asyncio.to_thread(client.server.events)) == 2
