"""``scimgw gateway``: the HTTP front end on Kafka and Redis; the composition root of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from consumers import failpoints
from consumers.backends.kafka_client import limit_logging
from consumers.backends.kafka_commands import KafkaCommandLog
from consumers.backends.kafka_topics import require_topics
from consumers.backends.redis_client import RedisClient
from consumers.backends.redis_reader import RedisReader
from consumers.backends.redis_replies import RedisReplies
from consumers.backends.redis_settings_check import require_settings
from consumers.clock_skew import ClockSkew
from consumers.errors import SettingsError, StoreUnavailable
from consumers.metrics import Metrics
from consumers.remote import RemoteCommands
from consumers.settings import Settings
from gateway import process
from gateway.app import admin_app
from gateway.front import SCIM_BASE, Front, new_id
from gateway.passwords import PasswordHasher
from gateway.server_watch import ServerWatch, Watched
from gateway.tenants import Tenants, load_tenants, require_token

logger = logging.getLogger("scimgw")

FAREWELL_S: Final = 1.0


def run(settings: Settings, tenants_file: Path, *, reuse_port: bool = False) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code.

    Listens also while Kafka and Redis are away. Raises OperatorError when it cannot start, or when a server, once it
    answers, has settings that would break the promise.
    """
    process.prepare_interpreter()
    failpoints.arm(os.environ)
    limit_logging()
    tenants = load_tenants(tenants_file, settings.secret)
    require_token(tenants, tenants_file, time.time())
    return process.run_loop(_serve(settings, tenants, tenants_file, reuse_port=reuse_port))


async def _serve(settings: Settings, tenants: Tenants, tenants_file: Path, *, reuse_port: bool) -> int:
    stopping = process.stop_signal()
    refused: list[SettingsError] = []

    def refuse(error: SettingsError) -> None:
        refused.append(error)
        stopping.set()

    async with contextlib.AsyncExitStack() as stack:
        front, commands, watch = await _open(stack, settings, tenants, refuse)
        await process.watch_tenants(stack, front, tenants_file, settings.secret)
        serving, server = await process.serve_main(stack, settings.http, front, reuse_port=reuse_port)
        await process.serve_admin(stack, settings.admin, admin_app(front))
        await stack.enter_async_context(process.background("servers", watch.run()))
        host, port = server.sockets[0].getsockname()[:2]
        _announce(settings, host, port)
        await stopping.wait()
        await process.drain(front, commands, serving, server)
    if refused:
        raise refused[0]
    logger.info("stopped", extra={"action": "stop"})
    return 0


async def _open(
    stack: contextlib.AsyncExitStack, settings: Settings, tenants: Tenants, refuse: Callable[[SettingsError], None]
) -> tuple[Front, RemoteCommands, ServerWatch]:
    """Start the clients of Kafka and Redis, which look after themselves, and what stands between them and requests."""
    gateway, metrics = new_id(), Metrics()
    skew = ClockSkew(metrics)
    shards, partitions = settings.redis.shards, settings.kafka.partitions
    client = RedisClient(settings.redis)
    stack.push_async_callback(client.close)
    reader = RedisReader(client, shards=shards, partitions=partitions)
    stack.push_async_callback(reader.close)
    log = KafkaCommandLog(settings.kafka, skew.observed)
    await log.start()
    stack.push_async_callback(log.close)
    replies = RedisReplies(client, settings.redis, gateway=gateway)
    stack.push_async_callback(_fell_silent, replies)
    commands = RemoteCommands(
        log,
        reader,
        metrics,
        replies.mark_unseen,
        shards=shards,
        partitions=partitions,
        store_away_s=reader.away_s,
    )
    stack.push_async_callback(commands.close)
    passwords = PasswordHasher()
    stack.callback(passwords.close)
    works = {
        "replies": replies.run(commands.deliver),
        "alive": replies.alive(),
        "recovered": reader.monitor(),
        "sweep": commands.sweep(),
    }
    for name, work in works.items():
        await stack.enter_async_context(process.background(name, work))

    async def admit_redis() -> None:
        await require_settings(client)
        # Before the first write: an outcome whose gateway gives no sign of life counts as unseen (CP-30).
        await replies.beat()

    front = Front(
        submitter=commands,
        reader=reader,
        metrics=metrics,
        passwords=passwords,
        tenants=tenants,
        gateway=gateway,
        public_url=settings.http.public_url,
        budget_ms=int(settings.http.budget_s * 1000),
        max_body=settings.http.max_body,
    )
    servers = [
        Watched("kafka", lambda: require_topics(settings), lambda: log.reached),
        Watched("redis", admit_redis, lambda: client.connected),
    ]
    watch = ServerWatch(servers, front.readiness, metrics, skew, unrecovered=reader.missing, refuse=refuse)
    return front, commands, watch


async def _fell_silent(replies: RedisReplies) -> None:
    """Tell the workers that this gateway is no more, if that can be told soon."""
    with contextlib.suppress(StoreUnavailable, TimeoutError):
        async with asyncio.timeout(FAREWELL_S):
            await replies.stop()


def _announce(settings: Settings, host: str, port: int) -> None:
    scheme = "https" if settings.http.tls_cert_file else "http"
    shown = f"[{host}]" if ":" in host else host
    print(f"SCIM 2.0 at {scheme}://{shown}:{port}{SCIM_BASE}", flush=True)
