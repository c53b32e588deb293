"""The bare gateway: HTTP to the command topic, and the answers from a Redis stream back to those who wait."""

from __future__ import annotations

import argparse
import asyncio
import hmac
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import uvloop
from aiohttp import web
from aiokafka import AIOKafkaProducer
from redis.asyncio import Redis

from tests.load.bare import wire
from tests.load.bare.gathering import Gathered
from tests.load.bare.scripts import INDEX
from tests.load.exposition import REQUESTS

MEDIA_TYPE: Final = "application/scim+json"
DEADLINE_S: Final = 10
LOOKS: Final = 5
"""For how long commands are gathered (see ``Gathered``), as the product does.

Without it broker and worker cost half as much again at 256 connections.
"""

_Asked = tuple[str, asyncio.Future[Any]]
"""An id, and who waits for its JSON."""
Handler = Callable[[web.Request], Awaitable[web.Response]]


class Operation(msgspec.Struct, frozen=True):
    """The one kind of operation that is known: replace the display name."""

    op: str
    path: str
    value: str


class PatchOp(msgspec.Struct, frozen=True):
    """RFC 7644 §3.5.2."""

    operations: tuple[Operation, ...] = msgspec.field(name="Operations")


class Gateway:
    """What the routes share."""

    def __init__(self, producer: AIOKafkaProducer, redis: Redis, prefix: str, origin: str, token: str) -> None:
        self.name = os.urandom(8).hex()
        self._producer = producer
        self._redis = redis
        self._topic = f"{prefix}.commands"
        self._users = f"{origin}/scim/v2/Users"
        self._authorization = f"Bearer {token}".encode()
        self._counted: Counter[tuple[str, str, int]] = Counter()
        self._replies: dict[bytes, tuple[float, asyncio.Future[wire.Reply]]] = {}
        """By txn, the oldest first."""
        self._lanes = [self._lane(partition) for partition in range(wire.PARTITIONS)]
        self._reads = Gathered(self._read)

    @property
    def running(self) -> list[Coroutine[None, None, None]]:
        """What runs beside the requests."""
        return [*(lane.run() for lane in self._lanes), self._reads.run(), self._hear(), self._sweep()]

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, those of operators too."""
        one = "/scim/v2/Users/{id}"
        return [
            web.post("/scim/v2/Users", self._counting("/Users", self._create)),
            web.get("/scim/v2/Users", self._counting("list", self._list)),
            web.get(one, self._counting("/Users/{id}", self._get)),
            web.patch(one, self._counting("/Users/{id}", self._patch)),
            web.get("/readyz", self._ready),
            web.get("/metrics", self._metrics),
        ]

    def _counting(self, route: str, handler: Handler) -> Handler:
        async def counted(request: web.Request) -> web.Response:
            given = request.headers.get("Authorization", "").encode()
            if hmac.compare_digest(given, self._authorization):
                try:
                    answer = await handler(request)
                except (msgspec.MsgspecError, UnicodeDecodeError):
                    answer = web.Response(status=400)
            else:
                answer = web.Response(status=401)
            self._counted[route, request.method, answer.status] += 1
            return answer

        return counted

    async def _create(self, request: web.Request) -> web.Response:
        sent = wire.decode_user(await request.read())
        identifier = os.urandom(16).hex()
        now = time.time()
        at = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        location = f"{self._users}/{identifier}"
        meta = wire.Meta("User", at, at, location, 'W/"1"')
        body = wire.encode_user(msgspec.structs.replace(sent, id=identifier, meta=meta))
        reply = await self._submit("create", identifier, sent.user_name, int(now * 1000), body)
        if reply.status != 201:
            return web.Response(status=reply.status)
        headers = {"Location": location, "ETag": meta.version, "Content-Type": MEDIA_TYPE}
        return web.Response(status=201, body=body, headers=headers)

    async def _patch(self, request: web.Request) -> web.Response:
        asked = msgspec.json.decode(await request.read(), type=PatchOp).operations
        if [(one.op, one.path) for one in asked] != [("replace", "displayName")]:
            return web.Response(status=400)
        identifier = request.match_info["id"]
        reply = await self._submit("patch", identifier, "", int(time.time() * 1000), asked[0].value.encode())
        return web.Response(status=reply.status, body=reply.body, content_type=MEDIA_TYPE)

    async def _get(self, request: web.Request) -> web.Response:
        found: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._reads.add((request.match_info["id"], found))
        body = await found
        if body is None:
            return web.Response(status=404)
        user = wire.decode_user(body)
        headers = {"ETag": user.meta.version if user.meta else "", "Content-Type": MEDIA_TYPE}
        return web.Response(body=body, headers=headers)

    async def _list(self, request: web.Request) -> web.Response:
        start, count = int(request.query.get("startIndex", 1)), int(request.query.get("count", 100))
        total = await self._redis.zcard(INDEX)
        ids: list[Any] = await self._redis.zrange(INDEX, start - 1, start + count - 2) if count else []
        bodies = await self._redis.mget([wire.user_key(each.decode()) for each in ids]) if ids else []
        page = {"totalResults": total, "Resources": [msgspec.Raw(body) for body in bodies if body]}
        return web.Response(body=msgspec.json.encode(page), content_type=MEDIA_TYPE)

    async def _ready(self, _request: web.Request) -> web.Response:
        owned = await self._redis.exists(*(wire.fence_key(partition) for partition in range(wire.PARTITIONS)))
        return web.Response(status=200 if owned == wire.PARTITIONS else 503)

    async def _metrics(self, _request: web.Request) -> web.Response:
        lines = [
            f'{REQUESTS}{{route="{route}",method="{method}",status="{status}"}} {count}\n'
            for (route, method, status), count in self._counted.items()
        ]
        return web.Response(text=f"# TYPE {REQUESTS} counter\n" + "".join(lines))

    async def _submit(self, verb: str, identifier: str, user_name: str, at: int, body: bytes) -> wire.Reply:
        txn = os.urandom(16)
        reply: asyncio.Future[wire.Reply] = asyncio.get_running_loop().create_future()
        self._replies[txn] = time.monotonic() + DEADLINE_S, reply
        command = (txn, self.name, verb, identifier, user_name, at, body)
        self._lanes[wire.partition_of(identifier)].add((identifier.encode(), wire.pack(command)))
        return await reply

    def _lane(self, partition: int) -> Gathered[tuple[bytes, bytes]]:
        async def send(commands: list[tuple[bytes, bytes]]) -> None:
            batch = self._producer.create_batch()
            for key, value in commands:
                if batch.append(timestamp=None, key=key, value=value) is None:
                    raise RuntimeError("commands too large for one batch")
            await (await self._producer.send_batch(batch, self._topic, partition=partition))

        return Gathered(send, looks=LOOKS)

    async def _read(self, asked: list[_Asked]) -> None:
        bodies = await self._redis.mget([wire.user_key(identifier) for identifier, _ in asked])
        for (_, found), body in zip(asked, bodies, strict=True):
            if not found.done():
                found.set_result(body)

    async def _hear(self) -> None:
        """Give each answer to who waits for it."""
        key, last = wire.stream_key(self.name), b"0-0"
        while True:
            read: Any = await self._redis.xread({key: last}, count=64, block=2000)
            for _, entries in read or ():
                for last, fields in entries:  # noqa: B007 - the place to read on from
                    for reply in wire.decode_replies(fields[b"r"]):
                        _, waiting = self._replies.pop(reply.txn, (0.0, None))
                        if waiting is not None and not waiting.done():
                            waiting.set_result(reply)

    async def _sweep(self) -> None:
        """Answer 503 to who has waited for too long."""
        while True:
            await asyncio.sleep(0.5)
            now = time.monotonic()
            late = [txn for txn, (until, _) in self._replies.items() if until < now]
            for txn in late:
                _, waiting = self._replies.pop(txn)
                if not waiting.done():
                    waiting.set_result(wire.Reply(txn, 503, b""))


async def serve(port: int, bootstrap: str, redis_url: str, prefix: str, token: str) -> None:
    """Serve until cancelled, or until something that everything rests on fails."""
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(Redis.from_url(redis_url, protocol=2, socket_timeout=None))
        producer = AIOKafkaProducer(**wire.producer_arguments(bootstrap))
        await producer.start()
        stack.push_async_callback(producer.stop)
        gateway = Gateway(producer, redis, prefix, f"http://127.0.0.1:{port}", token)
        app = web.Application()
        app.add_routes(gateway.routes())
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
        async with asyncio.TaskGroup() as group:
            for running in gateway.running:
                group.create_task(running)


def main() -> None:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser()
    for name in ("--port", "--bootstrap", "--redis", "--prefix", "--token-file"):
        parser.add_argument(name, required=True)
    given = parser.parse_args()
    token = Path(given.token_file).read_text().strip()
    uvloop.run(serve(int(given.port), given.bootstrap, given.redis, given.prefix, token))


if __name__ == "__main__":
    main()
