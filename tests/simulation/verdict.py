"""The verdict on a run: the history checker of the fault runs, and what only an all-seeing observer can ask."""

from __future__ import annotations

import asyncio
import copy
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import msgspec

from consumers.backends.redis_compare import compare
from consumers.backends.redis_keys import ShardKeys
from consumers.backends.redis_records import is_live, record_of
from consumers.slots import TransactionSlots
from schemas.outcomes import decode_outcome
from tests.faults.checker import check
from tests.faults.evidence import Plain
from tests.faults.history import Intent
from tests.simulation import bodies_of
from tests.simulation.callers import BUDGETS_MS, NAMES, TENANTS, Callers, Sent
from tests.simulation.kafka_ports import FakeFeed
from tests.simulation.world import World

DECISION_SLACK_S = 0.05
_PREFIX = ShardKeys(0).prefix


async def judge(world: World, callers: Callers) -> list[str]:
    """Return what is wrong, now that nothing disturbs the system and all is decided."""
    world.judged = True
    await _read_all(world, callers)
    await _probe(world, callers)
    await asyncio.sleep(3.0)
    violations = check(world.operations, _final_state(world), _events(world))
    # When an effect was decided is known here: seen late is not decided late, Redis may have been away (CP-27).
    complaints = [str(one) for one in violations if (one.invariant, one.kind) != ("INV-13", "late")]
    complaints += _late(world)
    complaints += _stored(world)
    complaints += world.redis.faults
    complaints += await _rebuilt(world)
    return complaints


async def _read_all(world: World, callers: Callers) -> None:
    """Read every resource once more: what was acknowledged is seen (INV-1, INV-8)."""
    now = world.loop.time()
    for tenant, known in callers.known.items():
        for resource in known:
            await callers.send(Sent(tenant, Intent("read", resource), now))


async def _probe(world: World, callers: Callers) -> None:
    """Ask for every name once more: one that nobody holds can be had (CP-20)."""
    for tenant in TENANTS:
        for name in bodies_of.names(NAMES):
            intent = Intent("create", body=bodies_of.user(world.random, name))
            operation = await callers.send(Sent(tenant, intent, world.loop.time(), max(BUDGETS_MS)))
            if operation is None or operation.status not in {201, 409}:
                status = None if operation is None else operation.status
                world.complaints.append(f"CP-20: a calm system answers {status} to who asks for a name")


def _events(world: World) -> list[Plain]:
    return [
        {
            "partition": partition,
            "offset": entry.offset,
            "key": entry.key,
            "headers": entry.headers,
            "value": msgspec.json.decode(entry.value or b""),
        }
        for partition, log in enumerate(world.broker.events)
        for entry in log.committed(0, log.end)
    ]


def _keys(world: World, kind: str) -> Iterator[tuple[str, str, Any]]:
    """Yield tenant, the rest of the key and the value of what live Redis holds of a kind."""
    for key in world.redis.data.there():
        tenant, found, rest = (*key.decode().removeprefix(_PREFIX).split(":", 2), "", "")[:3]
        if found == kind:
            yield tenant, rest, world.redis.data.look(key)


def _final_state(world: World) -> list[Plain]:
    """Return what live Redis holds."""
    return [
        {
            "key": f"{tenant}/{value.split(b' ')[2].decode()}/{resource}",
            "value": msgspec.json.decode(record_of(value)),
        }
        for tenant, resource, value in _keys(world, "r")
    ]


def _late(world: World) -> list[str]:
    """Nothing is decided after its budget (INV-13, CP-18): by true time, whatever the clocks said."""
    found = []
    for txn, end in world.witness.budgets.items():
        decided = world.witness.decided.get(txn)
        if decided is not None and decided > end + DECISION_SLACK_S:
            found.append(f"INV-13: {txn} was decided {decided - end:.1f} s after its budget")
    made = {msgspec.json.decode(entry.value or b"")["txn"] for log in world.broker.events for entry in log.entries}
    found += [f"INV-18: {txn} was set aside, and has an effect" for txn in sorted(world.witness.parked & made)]
    return found


def _stored(world: World) -> list[str]:
    """Names and outcomes as live Redis holds them (INV-4, CP-25)."""
    found = []
    holders: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for tenant, resource, value in _keys(world, "r"):
        if is_live(value):
            for attribute, name in msgspec.json.decode(record_of(value))["names"].items():
                holders[tenant, attribute, name].add(resource)
    index = {
        (tenant, attribute, name.decode()): set(ids.decode().split())
        for tenant, attribute, names in _keys(world, "uq")
        for name, ids in names.items()
    }
    if any(len(ids) > 1 for ids in holders.values()):
        found.append("INV-4: two live users share a name")
    if index != holders:
        found.append("INV-4: the index of names is not what the users' records say")
    for tenant, txn, value in _keys(world, "out"):
        outcome = decode_outcome(value)
        if outcome.status == 409 and (tenant, outcome.resource_id) not in world.witness.taken:
            found.append(f"CP-20: {txn} was refused for a name that nobody held")
        if outcome.status == 503:
            found.append(f"CP-25: the outcome of {txn} is an answer that says nothing of it")
    return found


async def _rebuilt(world: World) -> list[str]:
    """Redis rebuilt from the state log is live Redis (INV-9), as the product's own comparison sees it."""
    for process in list(world.workers.values()):
        process.kill()
    other = copy.copy(world)
    other.redis = other.new_redis()
    process = other.process("rebuild")
    for partition in world.shard:
        owner = other.owner(process, TransactionSlots(1), partition, FakeFeed(other, process, partition, lambda: True))
        process.start(owner.run(), "rebuild")
    end = world.loop.time() + 120.0
    while not other.redis.is_whole(world.shard):
        if world.loop.time() > end:
            return ["INV-9: it cannot be rebuilt"]
        await asyncio.sleep(0.1)
    sides = [side.client(side.process("compare")) for side in (world, other)]
    differences = await process.start(compare(sides[0], sides[1], shards=1), "compare")
    return [
        f"INV-9: rebuilt differently: {one.key}: {one.what}: "
        f"{world.redis.data.look(one.key.encode())} is {other.redis.data.look(one.key.encode())}"[:400]
        for one in differences
        if not _same_place(world, other, one.key)
    ][:5] + other.redis.faults


def _same_place(world: World, other: World, key: str) -> bool:
    """Tell whether this is about two watermarks with nothing but aborted transactions and markers between them."""
    kind, _, partition = key.removeprefix(_PREFIX).partition(":")
    marks = [side.redis.data.look(key.encode()) for side in (world, other)]
    if kind != "wm" or None in marks:
        return False
    places = sorted(int(mark.split()[0]) for mark in marks)
    same_position = len({mark.split()[1] for mark in marks}) == 1
    return same_position and not world.broker.state[int(partition)].committed(*places)
