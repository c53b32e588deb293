"""The answer of an identical create that never reached its caller (CP-30)."""

from __future__ import annotations

from consumers.backends.redis_client import RedisClient
from consumers.backends.redis_keys import ShardKeys
from consumers.ports import Claim
from schemas.outcomes import UNSEEN_LIFE_MS, Outcome, decode_outcome


async def first_answer(client: RedisClient, keys: ShardKeys, claim: Claim, holder: str) -> Outcome | None:
    """Return that answer, if ``holder``, the resource that has the name, was made by it; raises StoreUnavailable."""
    if claim.unseen is None:
        return None
    tenant = claim.tenant
    txn = await client.call("GET", keys.created_by(tenant, holder))
    if txn is None:
        return None
    value = await client.call("GET", keys.outcome(tenant, txn.decode()))
    if value is None:
        return None
    outcome = decode_outcome(value)
    if outcome.unseen != claim.unseen or claim.now - outcome.decided_at > UNSEEN_LIFE_MS:
        return None
    sign = keys.alive(outcome.gateway)
    marked, alive, present = answers = await client.calls(
        [("EXISTS", keys.unseen(tenant, claim.unseen)), ("EXISTS", sign), ("PUBSUB", "NUMSUB", sign)]
    )
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    # A process that was killed is not present any more; one whose machine vanished gives no sign of life.
    there = alive and present[1] > 0
    return outcome if marked or not there else None
