"""``scimgw worker``: owns partitions, as many as the group gives it; the composition root of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from typing import Any, Final

from consumers import failpoints
from consumers.backends.kafka_client import limit_logging
from consumers.backends.kafka_group import KafkaCommandGroup
from consumers.backends.kafka_log import KafkaPartitionLog
from consumers.backends.kafka_topics import require_topics
from consumers.backends.redis_client import RedisClient
from consumers.backends.redis_settings_check import require_settings
from consumers.backends.redis_store import RedisPartitionStore
from consumers.clock_skew import ClockSkew
from consumers.errors import LogUnavailable, StoreUnavailable
from consumers.metrics import Metrics
from consumers.owner import PartitionOwner
from consumers.partition_ports import CommandFeed, CommandGroup
from consumers.settings import Settings
from consumers.slots import TransactionSlots
from consumers.worker import Worker
from gateway import process
from gateway.app import worker_app
from gateway.readiness import Readiness
from schemas.partitions import partition_of

logger = logging.getLogger("scimgw")

RETRY_S: Final = 1.0
LOOK_S: Final = 0.5
DRAIN_S: Final = 10.0
_STARTING: Final = {"kafka": "not reached yet", "redis": "not reached yet", "group": "not joined yet"}


def run(settings: Settings, name: str | None) -> int:
    """Work until SIGTERM or SIGINT; return the exit code. Raises OperatorError for settings that would break the promise."""
    process.prepare_interpreter()
    failpoints.arm(os.environ)
    limit_logging()
    return process.run_loop(_work(settings, name))


async def _work(settings: Settings, name: str | None) -> int:
    stopping = process.stop_signal()
    metrics, readiness = Metrics(), Readiness(starting=dict(_STARTING))
    async with contextlib.AsyncExitStack() as stack:
        await process.serve_admin(stack, settings.admin, worker_app(readiness, metrics))
        redis = RedisClient(settings.redis)
        stack.push_async_callback(redis.close)
        if not await _reached(settings, redis, readiness, stopping):
            return 0
        skew = ClockSkew(metrics)
        worker = _worker(settings, name, redis, metrics, skew)
        working = asyncio.create_task(worker.run(), name="worker")
        stopped = asyncio.create_task(stopping.wait(), name="stop")
        stack.push_async_callback(_ended, stopped)
        await stack.enter_async_context(process.background("readiness", _watch(worker, skew, readiness)))
        logger.info("working", extra={"action": "start", "member": name or "unnamed"})
        await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
        readiness.draining = True
        if stopping.is_set():
            logger.info("draining", extra={"action": "drain", "partitions": len(worker.owned)})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_S):
                    await worker.stop()
                    await working
        await _ended(working)
    logger.info("stopped", extra={"action": "stop"})
    return 0 if stopping.is_set() else 1


def _worker(settings: Settings, name: str | None, redis: RedisClient, metrics: Metrics, skew: ClockSkew) -> Worker:
    # A transaction costs the same whatever it carries, and its batch keeps this process and the broker or Redis busy in
    # turn: more of them at once than every other core can serve only make them smaller (CP-22).
    slots = TransactionSlots(max(1, (os.cpu_count() or 1) // 2))

    def new_group() -> CommandGroup:
        return KafkaCommandGroup(settings.kafka, name)

    def new_owner(partition: int, feed: CommandFeed) -> PartitionOwner:
        log = KafkaPartitionLog(settings.kafka, partition, observed=skew.observed)
        store = RedisPartitionStore(
            redis,
            partition=partition,
            shards=settings.redis.shards,
            partitions=settings.kafka.partitions,
            outcomes=settings.outcomes,
        )

        def belongs(tenant: str, resource_id: str) -> bool:
            return partition == partition_of(
                tenant, resource_id, shards=settings.redis.shards, partitions=settings.kafka.partitions
            )

        return PartitionOwner(
            partition,
            feed,
            log,
            store,
            metrics=metrics,
            issuer=settings.issuer,
            slots=slots,
            belongs=belongs,
        )

    return Worker(new_group, new_owner, metrics=metrics)


async def _reached(settings: Settings, redis: RedisClient, readiness: Readiness, stopping: asyncio.Event) -> bool:
    """Wait for both servers and check how they are set; False when told to stop before. Raises WrongSettings."""
    while not stopping.is_set():
        try:
            await require_topics(settings)
            readiness.starting.pop("kafka", None)
            await require_settings(redis)
            readiness.starting.pop("redis", None)
            return True
        except (LogUnavailable, StoreUnavailable) as error:
            logger.warning("a server is not reached", extra={"action": "start", "error": str(error)})
            readiness.starting["kafka" if isinstance(error, LogUnavailable) else "redis"] = str(error)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RETRY_S):
                await stopping.wait()
    return False


async def _watch(worker: Worker, skew: ClockSkew, readiness: Readiness) -> None:
    """Keep what ``/readyz`` tells up to date."""
    while True:
        if worker.joined:
            readiness.starting.pop("group", None)
        problem = skew.problem
        if problem is None:
            readiness.problems.pop("clock", None)
        else:
            readiness.problems["clock"] = problem
        await asyncio.sleep(LOOK_S)


async def _ended(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
