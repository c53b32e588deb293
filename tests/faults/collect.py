"""The state after a run, read over HTTP: every resource that the clients or the list know of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from itertools import cycle
from typing import Any

import aiohttp

from tests.faults.evidence import MalformedError, answered
from tests.faults.history import Operation

PAGE = 100
PARALLEL = 8
PATIENCE_S = 30.0
"""For how long a 503 is asked again: the service recovers by itself, but not at once."""


async def final_state(
    urls: Sequence[str], token: str, history: Iterable[Operation], tenant: str = "default"
) -> list[dict[str, Any]]:
    """GET every user that the history names or the server lists; returns state records (``evidence.answered``).

    Each request goes to the next of the gateways at ``urls``.
    """
    turns = cycle(urls)
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        resources = {operation.resource for operation in history if operation.resource is not None}
        resources |= await _listed(session, urls[0])
        waiting = sorted(resources, reverse=True)
        records: list[dict[str, Any]] = []

        async def read() -> None:
            while waiting:
                resource = waiting.pop()
                status, etag, body = await answer_to(session, f"{next(turns)}/scim/v2/Users/{resource}")
                records.append(dict(answered(tenant, resource, status, etag, body)))

        async with asyncio.TaskGroup() as group:
            for _ in range(PARALLEL):
                group.create_task(read())
    return records


async def answer_to(session: aiohttp.ClientSession, url: str) -> tuple[int, str | None, Any]:
    """GET, again and again while the service says 503; returns status, ETag and body."""
    until = time.monotonic() + PATIENCE_S
    while True:
        async with session.get(url) as response:
            body = await response.json(content_type=None)
            if response.status != 503 or time.monotonic() > until:
                return response.status, response.headers.get("ETag"), body
        await asyncio.sleep(0.2)


async def _listed(session: aiohttp.ClientSession, url: str) -> set[str]:
    resources: set[str] = set()
    start, total = 1, 1
    while start <= total:
        status, _, page = await answer_to(session, f"{url}/scim/v2/Users?startIndex={start}&count={PAGE}")
        if status != 200:
            raise MalformedError(f"a list of users was answered {status}")
        total = page["totalResults"]
        resources |= {resource["id"] for resource in page["Resources"]}
        if not page["Resources"]:
            break
        start += len(page["Resources"])
    return resources
