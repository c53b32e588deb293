"""Which shard and which partition a resource belongs to: fixed for life (CP-1)."""

from __future__ import annotations

from zlib import crc32


def shard_of(tenant: str, shards: int) -> int:
    """Return the shard that keeps everything of this tenant, 0 to ``shards`` - 1."""
    return crc32(tenant.encode()) % shards


def partition_of(tenant: str, resource_id: str, *, shards: int, partitions: int) -> int:
    """Return the partition of the commands, state and events of a resource; ``partitions`` is a multiple of ``shards``.

    A shard owns a block of partitions, so that a partition touches exactly one shard.
    """
    block = partitions // shards
    return shard_of(tenant, shards) * block + crc32(f"{tenant}/{resource_id}".encode()) % block


def shard_of_partition(partition: int, *, shards: int, partitions: int) -> int:
    """Return the shard whose block this partition is in."""
    return partition // (partitions // shards)


def partitions_of_shard(shard: int, *, shards: int, partitions: int) -> range:
    """Return the block of partitions that a shard owns."""
    block = partitions // shards
    return range(shard * block, (shard + 1) * block)
