"""The callers: few names, few resources, repeats after lost answers and without a reason, conditions, keys."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Final

import msgspec

from tests.faults import bodies
from tests.faults.history import Intent, Operation
from tests.simulation.front import Answer, Gateway, patiently
from tests.simulation.world import POISONS, World

TENANTS: Final = ("acme", "globex")
BUDGETS_MS: Final = (20_000, 20_000, 8_000, 6_000)
PATIENCE_S: Final = 25.0
NAMES: Final = 4
RETRY_AFTER_S: Final = (1.0, 3.0)
KEY_LIFE_S: Final = 23 * 3600.0
KEY_GONE_S: Final = 25 * 3600.0
"""Between the two it is not said whether a repeat meets its first outcome."""
UNSEEN_LIFE_S: Final = 9 * 60.0
SIGN_OF_LIFE_S: Final = 12.0
"""After so long a gateway that died counts as gone."""


class Sent(msgspec.Struct):
    """A request that may be sent again."""

    tenant: str
    intent: Intent
    at: float
    """When it was sent first, by virtual time."""
    budget_ms: int = 0
    """0: any."""
    lives: int = 0
    """How often its Idempotency-Key was forgotten since: what came then was another request."""
    rival: bool = False
    """Whether another request used its Idempotency-Key at the same moment."""


class Callers:
    """All callers of a run, and what they know together."""

    def __init__(self, world: World, random: Random) -> None:
        self._world = world
        self._random = random
        self._known: dict[str, list[str]] = {tenant: [] for tenant in TENANTS}
        self._versions: dict[str, int] = {}
        self._again: list[Sent] = []
        self._number = 0
        self.poison = 0.0

    async def run(self, requests: int) -> None:
        """Be one caller: send so many requests, one after the other."""
        for _ in range(requests):
            await asyncio.sleep(self._random.choice((0.005, 0.02, 0.1, 0.5, 1.5)))
            operations = await asyncio.gather(*(self.send(one) for one in self._next()))
            if any(one is not None and one.status in {503, None} for one in operations) and self._random.random() < 0.5:
                await asyncio.sleep(self._random.choice(RETRY_AFTER_S))

    def _next(self) -> list[Sent]:
        """Return what to send now, one request or several at the same moment."""
        choice = self._random.random()
        if choice < 0.08:
            return self._race()
        if choice < 0.12:
            tenant, now = TENANTS[self._random.random() < 0.25], self._world.loop.time()
            return [Sent(tenant, self._intent(tenant), now) for _ in range(6)]
        again = self._repeat() if self._again and self._random.random() < 0.35 else None
        if again is not None:
            return [again]
        tenant = TENANTS[self._random.random() < 0.25]
        intent = self._intent(tenant)
        sent = [Sent(tenant, one, self._world.loop.time()) for one in (intent, *self._rival(tenant, intent))]
        sent[0].rival = len(sent) > 1
        return sent

    def _rival(self, tenant: str, intent: Intent) -> list[Intent]:
        """Return another request under the same Idempotency-Key, now and then: one of the two is to be refused (CP-30)."""
        if intent.key is None or self._random.random() > 0.2:
            return []
        other = self._intent(tenant)
        if other.verb in {"read", "find"} or (other.verb != "create" and other.resource == intent.resource):
            return []
        self._world.counts["keys used at once for two requests"] += 1
        return [msgspec.structs.replace(other, key=intent.key)]

    async def create_own(self) -> Operation | None:
        """Create a user whose name nobody else wants; None where that did not succeed."""
        for _ in range(10):
            body = bodies.user(self._random, bodies.own_name(self._random))
            operation = await self.send(Sent(TENANTS[0], Intent("create", body=body), self._world.loop.time()))
            if operation is not None and operation.status == 201:
                return operation
            await asyncio.sleep(1.0)
        return None

    def _race(self) -> list[Sent]:
        """Return creates with one name for one moment, of which one gets it (CP-19, CP-20)."""
        tenant, name = TENANTS[self._random.random() < 0.25], bodies.shared_name(self._random, NAMES)
        now, count = self._world.loop.time(), self._random.choice((2, 3))
        return [Sent(tenant, Intent("create", body=bodies.user(self._random, name)), now) for _ in range(count)]

    def _repeat(self) -> Sent | None:
        """Return a request to send again, unless too much time has passed to say what must come of it."""
        sent = self._again.pop(self._random.randrange(len(self._again)))
        age = self._world.loop.time() - sent.at
        if KEY_LIFE_S < age < KEY_GONE_S or (sent.rival and age > KEY_LIFE_S):
            return None
        if sent.intent.key is None and sent.intent.verb == "create" and age > UNSEEN_LIFE_S:
            return None
        return sent

    async def send(self, sent: Sent) -> Operation | None:
        """Send a request, note what came of it."""
        world, intent, random = self._world, sent.intent, self._random
        gateway = random.choice(world.gateways)
        self._number += 1
        number, invoked = self._number, world.loop.time()
        if intent.key is not None and invoked - sent.at > KEY_LIFE_S:
            sent.at, sent.lives = invoked, sent.lives + 1
        budget = sent.budget_ms or random.choice(BUDGETS_MS)
        if isinstance(intent.body, dict) and intent.body.get("title") in POISONS:
            budget = 0  # as a redriven one: the end of its budget would spare the next worker
        asked = gateway.process.start(gateway.answer(sent.tenant, intent, budget, random), "request")
        answer = await patiently(gateway, asked, PATIENCE_S)
        returned = world.loop.time()
        if answer is None and not gateway.process.dead:
            self._no_answer(gateway, intent, invoked)
        if intent.verb in {"read", "find"} and answer is None:
            return None
        if isinstance(intent.body, dict) and intent.body.get("title") in POISONS:
            world.counts["poison sent"] += 1
            return None
        if answer is not None and answer.status == 422 and sent.lives and intent.verb == "create":
            world.counts["spent keys refused"] += 1
            return None
        operation = self._operation(number, gateway, sent, (invoked, returned), answer)
        world.operations.append(operation)
        world.counts["requests"] += 1
        world.counts[f"answered {operation.status}"] += 1
        self._learn(sent, operation)
        return operation

    def _no_answer(self, gateway: Gateway, intent: Intent, invoked: float) -> None:
        """A gateway that lives answers within the budget (CP-27); one that stands still may be late."""
        if gateway.process.paused_at >= invoked or self._world.leapt_at >= invoked:
            return
        self._world.complaints.append(f"CP-27: no answer to a {intent.verb} within {PATIENCE_S:.0f} s")

    def _operation(
        self,
        number: int,
        gateway: Gateway,
        sent: Sent,
        times: tuple[float, float],
        answer: Answer | None,
    ) -> Operation:
        intent = sent.intent
        status = answer.status if answer else None
        if answer is not None and status == 500 and answer.txn is not None:
            # Parked: the worker was killed each time it was tried. To its caller it is as if nobody knew.
            status = 503
            self._world.witness.parked.add(answer.txn)
        return Operation(
            number=number,
            client="simulated",
            gateway=gateway.process.name,
            verb=intent.verb,
            invoked_at=int(times[0] * 1e9),
            returned_at=int(times[1] * 1e9),
            tenant=sent.tenant,
            resource=(answer.resource if answer and answer.resource else None) or intent.resource,
            name=intent.name,
            body=intent.body,
            if_match=intent.if_match,
            key=f"{intent.key}@{sent.lives}" if intent.key and sent.lives else intent.key,
            status=status,
            gave_up=answer is None and not gateway.process.dead,
            version=answer.version if answer else None,
            txn=answer.txn if answer else None,
            answer=answer.body if answer else None,
        )

    def _learn(self, sent: Sent, operation: Operation) -> None:
        known = self._known[sent.tenant]
        if operation.succeeded and operation.resource and operation.verb not in {"find"}:
            if operation.resource not in known:
                known.append(operation.resource)
            if operation.version is not None:
                self._versions[operation.resource] = operation.version
        if not operation.is_write:
            return
        lost = operation.status is None or operation.status >= 500
        if lost and self._random.random() < 0.8:
            if operation.status is None and operation.key is None and operation.verb == "create":
                self._world.loop.call_later(SIGN_OF_LIFE_S, self._again.append, sent)
            else:
                self._again.append(sent)
        elif sent.intent.key is not None and self._random.random() < 0.3:
            self._again.append(sent)

    def _intent(self, tenant: str) -> Intent:
        random, known = self._random, self._known[tenant]
        key = f"key-{random.getrandbits(64):x}" if random.random() < 0.45 else None
        name = bodies.shared_name(random, NAMES) if random.random() < 0.8 else bodies.own_name(random)
        choice = random.random()
        if not known or choice < 0.3:
            return Intent("create", body=self._poisoned(bodies.user(random, name)), key=key)
        resource = random.choice(known[-6:])
        version = self._versions.get(resource, 1) - (random.random() < 0.2)
        if_match = max(1, version) if random.random() < 0.4 else None
        if choice < 0.42:
            return Intent("replace", resource, bodies.user(random, name), if_match, key)
        if choice < 0.62:
            renamed = name if random.random() < 0.35 else None
            return Intent("patch", resource, bodies.patch(random, renamed), if_match, key)
        if choice < 0.76:
            return Intent("delete", resource, None, if_match, key)
        return Intent("find", name=name) if choice < 0.83 else Intent("read", resource)

    def _poisoned(self, body: bodies.Body) -> bodies.Body:
        return body | {"title": self._random.choice(POISONS)} if self._random.random() < self.poison else body

    @property
    def known(self) -> dict[str, list[str]]:
        """The resources that are known by now, by tenant."""
        return self._known
