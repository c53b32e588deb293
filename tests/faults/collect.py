"""The state after a run, read over HTTP: every resource that the clients or the list know of."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import aiohttp

from tests.faults.evidence import answered
from tests.faults.history import Operation

PAGE = 100
PARALLEL = 8


async def final_state(url: str, token: str, history: Iterable[Operation]) -> list[dict[str, Any]]:
    """GET every user the history names and every user the server lists; returns state records (``evidence.answered``)."""
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        resources = {operation.resource for operation in history if operation.resource is not None}
        resources |= await _listed(session, url)
        waiting = sorted(resources, reverse=True)
        records: list[dict[str, Any]] = []

        async def read() -> None:
            while waiting:
                resource = waiting.pop()
                async with session.get(f"{url}/scim/v2/Users/{resource}") as response:
                    body = await response.json(content_type=None)
                    etag = response.headers.get("ETag")
                    records.append(dict(answered("default", resource, response.status, etag, body)))

        async with asyncio.TaskGroup() as group:
            for _ in range(PARALLEL):
                group.create_task(read())
    return records


async def _listed(session: aiohttp.ClientSession, url: str) -> set[str]:
    resources: set[str] = set()
    start, total = 1, 1
    while start <= total:
        async with session.get(f"{url}/scim/v2/Users?startIndex={start}&count={PAGE}") as response:
            page = await response.json(content_type=None)
        total = page["totalResults"]
        resources |= {resource["id"] for resource in page["Resources"]}
        if not page["Resources"]:
            break
        start += len(page["Resources"])
    return resources
