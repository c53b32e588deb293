"""The reference behind HTTP, in the process of the test: what the load and the recorder are tested against."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from aiohttp import web

from tests.faults.reference import Answer, Reference

_VERBS = {"POST": "create", "PUT": "replace", "PATCH": "patch", "DELETE": "delete"}


class ReferenceServer:
    """SCIM over a Reference; some answers are lost by cutting the connection."""

    def __init__(self, reference: Reference, random: Random, *, loss: float = 0.0, delay_s: float = 0.004) -> None:
        self.reference = reference
        self.seen: list[tuple[str, str]] = []
        """Method and path of every request."""
        self._random = random
        self._loss = loss
        self._delay_s = delay_s

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application()
        app.router.add_route("*", "/scim/v2/Users", self._serve)
        app.router.add_route("*", "/scim/v2/Users/{id}", self._serve)
        return app

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.seen.append((request.method, request.path))
        resource = request.match_info.get("id")
        body = await request.json() if request.can_read_body else None
        await asyncio.sleep(self._random.uniform(0, self._delay_s))
        if request.method == "GET":
            return _response(self._read(resource, request))
        lost = self._random.random() < self._loss
        if lost and self._random.random() < 0.5:
            return _cut(request)
        if_match = request.headers.get("If-Match")
        answer = self.reference.submit(
            _VERBS[request.method],
            resource,
            body,
            int(if_match[3:-1]) if if_match else None,
            request.headers.get("Idempotency-Key"),
        )
        if not lost:
            return _response(answer)
        if answer.status == 201 and answer.resource:
            self.reference.unseen.add(answer.resource)
        return _cut(request)

    def _read(self, resource: str | None, request: web.Request) -> Answer:
        if resource is not None:
            return self.reference.read(resource)
        wanted = request.query.get("filter")
        if wanted is not None:
            return self.reference.find(wanted.split('"')[1])
        shown = [doc for known in self.reference.versions if (doc := self.reference.shown(known))]
        start = int(request.query["startIndex"]) - 1
        page = shown[start : start + int(request.query["count"])]
        return Answer(200, body={"totalResults": len(shown), "Resources": page})


def _cut(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _response(answer: Answer) -> web.Response:
    headers: dict[str, Any] = {}
    if answer.txn is not None:
        headers["Scim-Txn"] = answer.txn
    if answer.version is not None:
        headers["ETag"] = f'W/"{answer.version}"'
    if answer.status == 201:
        headers["Location"] = f"/scim/v2/Users/{answer.resource}"
    if answer.body is None:
        return web.Response(status=answer.status, headers=headers)
    return web.json_response(answer.body, status=answer.status, headers=headers)


@asynccontextmanager
async def listening(server: ReferenceServer) -> AsyncIterator[str]:
    """Serve on a free port of the loopback interface; yields the base URL."""
    runner = web.AppRunner(server.app(), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
