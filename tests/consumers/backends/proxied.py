"""A Redis behind a proxy that can break its connections, within the test's own process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from tests.faults.proxy import Link, Order
from tests.services.redis import RedisServer


@asynccontextmanager
async def through_proxy(server: RedisServer) -> AsyncIterator[tuple[Link, str]]:
    """Give the link, which takes orders, and the URL to use."""
    link = Link()
    link.take(Order(port=0, target=urlsplit(server.url).netloc))
    listening = await asyncio.start_server(link.accepted, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    try:
        yield link, f"redis://127.0.0.1:{port}/0"
    finally:
        link.take(Order(port=0, cut=True))
        listening.close()
