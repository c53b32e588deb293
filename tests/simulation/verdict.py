"""The verdict on a run: the history checker of the fault runs, and what only an all-seeing observer can ask."""

from __future__ import annotations

import asyncio
import copy
from collections import defaultdict
from typing import Any

import msgspec

from consumers.slots import TransactionSlots
from schemas.outcomes import Outcome, expires_at
from tests.faults.checker import check
from tests.faults.evidence import Plain
from tests.faults.history import Intent
from tests.simulation import bodies_of
from tests.simulation.callers import BUDGETS_MS, NAMES, TENANTS, Callers, Sent
from tests.simulation.kafka_ports import FakeFeed
from tests.simulation.redis_scripts import Kept, Scripts
from tests.simulation.redis_server import RedisServer
from tests.simulation.world import World

DECISION_SLACK_S = 0.05


async def judge(world: World, callers: Callers) -> list[str]:
    """Return what is wrong, now that nothing disturbs the system and all is decided."""
    await _read_all(world, callers)
    await _probe(world, callers)
    await asyncio.sleep(3.0)
    violations = check(world.operations, _final_state(world), _events(world))
    # When an effect was decided is known here: seen late is not decided late, Redis may have been away (CP-27).
    complaints = [str(one) for one in violations if (one.invariant, one.kind) != ("INV-13", "late")]
    complaints += _late(world)
    complaints += _stored(world)
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


def _final_state(world: World) -> list[Plain]:
    """Return what live Redis holds."""
    return [
        {"key": "/".join(key[1:]), "value": msgspec.json.decode(kept.record)} for key, kept in world.redis.items("r")
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
    for (_, tenant, _, resource), kept in world.redis.items("r"):
        if kept.live:
            for attribute, name in msgspec.json.decode(kept.record)["names"].items():
                holders[tenant, attribute, name].add(resource)
    index = {key[1:]: set(ids) for key, ids in world.redis.items("uq")}
    if any(len(ids) > 1 for ids in holders.values()):
        found.append("INV-4: two live users share a name")
    if index != holders:
        found.append("INV-4: the index of names is not what the users' records say")
    for (_, tenant, _), outcome in world.redis.items("out"):
        if outcome.status == 409 and (tenant, outcome.resource_id) not in world.witness.taken:
            found.append(f"CP-20: {outcome.txn} was refused for a name that nobody held")
        if outcome.status == 503:
            found.append(f"CP-25: the outcome of {outcome.txn} is an answer that says nothing of it")
    return found


async def _rebuilt(world: World) -> list[str]:
    """Redis rebuilt from the state log is live Redis (INV-9); outcomes apart that have expired."""
    for process in list(world.workers.values()):
        process.kill()
    other = copy.copy(world)
    other.redis = RedisServer(world.loop, world.counts)
    process = other.process("rebuild")
    for partition in world.shard:
        owner = other.owner(process, TransactionSlots(1), partition, FakeFeed(other, process, partition, lambda: True))
        process.start(owner.run(), "rebuild")
    end = world.loop.time() + 120.0
    while not Scripts(other.redis, world.shard, world.partition_of).is_whole():
        if world.loop.time() > end:
            return ["INV-9: it cannot be rebuilt"]
        await asyncio.sleep(0.1)
    live, made = _content(world.redis), _content(other.redis)
    differing = [key for key in {**live, **made} if live.get(key) != made.get(key)]
    return [f"INV-9: rebuilt differently: {key}: {live.get(key)} is {made.get(key)}"[:300] for key in differing[:5]]


def _content(redis: RedisServer) -> dict[Any, Any]:
    content: dict[Any, Any] = {}
    for kind in ("r", "uq", "ix", "seq", "out", "key"):
        for key, value in redis.items(kind):
            content[key] = value
    now = redis.now()
    outcomes: dict[tuple[str, str], Outcome] = {key[1:]: value for key, value in redis.items("out")}
    for key, value in list(content.items()):
        if isinstance(value, Outcome):
            expired = expires_at(value) <= now
        elif key[0] == "key":
            outcome = outcomes.get((key[1], value))
            # Keys have no expiry of their own here, and a command that came again may have another outcome by now.
            expired = outcome is None or outcome.key != key[2] or expires_at(outcome) <= now
        else:
            expired = False
        if expired:
            del content[key]
        elif isinstance(value, Kept):
            content[key] = (value.version, value.live, value.record)
    return content
