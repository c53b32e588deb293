"""The commands ``worker`` and ``rebuild``."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from typing import Final

from consumers.backends.redis_client import RedisClient
from consumers.backends.redis_keys import ShardKeys
from consumers.backends.redis_store import RedisPartitionStore
from consumers.errors import SettingsError
from consumers.settings import Settings
from gateway import serve_worker
from gateway.cli_config import settings_of
from schemas.partitions import partitions_of_shard

_LOOK_S: Final = 0.2
_SAY_S: Final = 2.0


def worker(parsed: argparse.Namespace) -> int:
    """Work until told to stop."""
    settings = _distributed(settings_of(parsed).settings, "worker")
    os.umask(0o077)
    return serve_worker.run(settings, parsed.name)


def rebuild(parsed: argparse.Namespace) -> int:
    """Have the workers fill Redis anew from the state topic; return when all is there."""
    settings = _distributed(settings_of(parsed).settings, "rebuild")
    shards = range(settings.redis.shards) if parsed.shard is None else [parsed.shard]
    if parsed.shard is not None and not 0 <= parsed.shard < settings.redis.shards:
        raise SettingsError(f"rebuild --shard {parsed.shard}: there are {settings.redis.shards}; count from 0")
    for shard in shards:
        asyncio.run(_rebuild(settings, shard))
    return 0


async def _rebuild(settings: Settings, shard: int) -> None:
    redis = RedisClient(settings.redis)
    block = partitions_of_shard(shard, shards=settings.redis.shards, partitions=settings.kafka.partitions)
    try:
        began = said = time.monotonic()
        # As the owner of one of its partitions would (CP-13): every owner finds its fence gone and takes over again.
        store = RedisPartitionStore(
            redis, partition=block[0], shards=settings.redis.shards, partitions=settings.kafka.partitions
        )
        await store.take()
        await store.empty()
        _say(f"shard {shard}: emptied; its reads answer 503 until its {len(block)} partitions are recovered")
        while True:
            recovered = max(0, await redis.call("HLEN", ShardKeys(shard).recovered) - 1)
            keys = await redis.call("DBSIZE")
            now = time.monotonic()
            if recovered == len(block):
                _say(f"shard {shard}: recovered in {now - began:.1f} s; Redis holds {keys} keys")
                return
            if now - said >= _SAY_S:
                said = now
                _say(f"shard {shard}: {recovered} of {len(block)} partitions recovered, {keys} keys so far")
            await asyncio.sleep(_LOOK_S)
    finally:
        await redis.close()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _distributed(settings: Settings, command: str) -> Settings:
    if not settings.distributed:
        raise SettingsError(f"{command}: it needs Kafka and Redis; set SCIMGW_KAFKA__BOOTSTRAP and SCIMGW_REDIS__URL")
    return settings
