"""Partitions: where a resource lives, which no version may ever change."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.partitions import partition_of, partitions_of_shard, shard_of, shard_of_partition
from tests.schemas.samples import ANN, BOB, DERIVED

LAYOUTS = st.tuples(st.integers(1, 12), st.integers(1, 12)).map(lambda pair: (pair[0], pair[0] * pair[1]))
"""Shards and partitions."""
TENANTS = st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True)


# A change of any value below would look for every stored resource where it is not.
@pytest.mark.parametrize(
    ("tenant", "by_shards"),
    [("default", {1: 0, 2: 1, 5: 4}), ("acme", {1: 0, 2: 0, 5: 4}), ("umbrella-7", {1: 0, 2: 0, 5: 0})],
)
def test_CP_1_the_shard_of_a_tenant_is_known_for_ever(tenant: str, by_shards: dict[int, int]) -> None:
    assert {shards: shard_of(tenant, shards) for shards in by_shards} == by_shards


@pytest.mark.parametrize(
    ("tenant", "uid", "by_layout"),
    [
        ("default", ANN, {(1, 1): 0, (1, 4): 3, (1, 64): 39, (2, 8): 7, (5, 20): 19}),
        ("default", BOB, {(1, 1): 0, (1, 4): 2, (1, 64): 58, (2, 8): 6, (5, 20): 18}),
        ("default", DERIVED, {(1, 1): 0, (1, 4): 1, (1, 64): 1, (2, 8): 5, (5, 20): 17}),
        ("acme", ANN, {(1, 1): 0, (1, 4): 2, (1, 64): 58, (2, 8): 2, (5, 20): 18}),
        ("acme", BOB, {(1, 1): 0, (1, 4): 3, (1, 64): 39, (2, 8): 3, (5, 20): 19}),
        ("acme", DERIVED, {(1, 1): 0, (1, 4): 0, (1, 64): 28, (2, 8): 0, (5, 20): 16}),
        ("umbrella-7", ANN, {(1, 1): 0, (1, 4): 0, (1, 64): 56, (2, 8): 0, (5, 20): 0}),
        ("umbrella-7", BOB, {(1, 1): 0, (1, 4): 1, (1, 64): 37, (2, 8): 1, (5, 20): 1}),
        ("umbrella-7", DERIVED, {(1, 1): 0, (1, 4): 2, (1, 64): 30, (2, 8): 2, (5, 20): 2}),
    ],
)
def test_CP_1_the_partition_of_a_resource_is_known_for_ever(
    tenant: str, uid: str, by_layout: dict[tuple[int, int], int]
) -> None:
    found = {
        (shards, partitions): partition_of(tenant, uid, shards=shards, partitions=partitions)
        for shards, partitions in by_layout
    }

    assert found == by_layout


@given(LAYOUTS, TENANTS, st.text(max_size=40))
def test_CP_1_a_resource_is_in_the_block_of_its_tenants_shard(layout: tuple[int, int], tenant: str, uid: str) -> None:
    shards, partitions = layout
    found = partition_of(tenant, uid, shards=shards, partitions=partitions)

    assert found in partitions_of_shard(shard_of(tenant, shards), shards=shards, partitions=partitions)
    assert shard_of_partition(found, shards=shards, partitions=partitions) == shard_of(tenant, shards)


@given(LAYOUTS)
def test_every_partition_is_in_the_block_of_one_shard(layout: tuple[int, int]) -> None:
    shards, partitions = layout
    blocks = [partitions_of_shard(shard, shards=shards, partitions=partitions) for shard in range(shards)]

    assert [partition for block in blocks for partition in block] == list(range(partitions))
    for shard, block in enumerate(blocks):
        assert {shard_of_partition(each, shards=shards, partitions=partitions) for each in block} == {shard}


def test_resources_of_a_tenant_spread_evenly_over_its_block() -> None:
    found = Counter(partition_of("default", f"0199c1a2-{i:04x}", shards=2, partitions=16) for i in range(8_000))

    assert found.keys() == set(partitions_of_shard(shard_of("default", 2), shards=2, partitions=16))
    assert min(found.values()) > 850
    assert max(found.values()) < 1150


def test_tenants_spread_evenly_over_shards() -> None:
    found = Counter(shard_of(f"tenant-{i}", 4) for i in range(4_000))

    assert len(found) == 4
    assert min(found.values()) > 850
    assert max(found.values()) < 1150
