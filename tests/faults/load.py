"""The load of a fault run: several clients, half of their writes on resources that they all share."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from random import Random

from tests.faults import bodies
from tests.faults.caller import Caller
from tests.faults.history import Intent, Operation, Recorder

BACK_OFF_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much load, and of what kind."""

    clients: int = 8
    readers: int = 0
    """Further clients that only read: they see what is shown while all the others wait for their writes."""
    rate: float = 600
    """Requests a second of all clients together, at most."""
    shared: int = 12
    """Resources that all clients write to; a deleted one is replaced by a new one."""
    owned: int = 20
    """Resources of each client's own."""
    names: int = 16
    """Names that all clients contend for."""
    patience_s: float = 25.0
    """How long a client waits for an answer: longer than the budget of a request."""
    impatient: float = 0.01
    """The share of writes whose client hangs up after some milliseconds."""


@dataclass(slots=True)
class Board:
    """What clients know of resources: the last version and name seen."""

    shared: list[str] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)


class Load:
    """Clients at work on the gateways at ``urls``; everything they send and see goes to the recorder."""

    def __init__(
        self,
        urls: Sequence[str],
        token: str,
        recorder: Recorder,
        random: Random,
        plan: Plan,
        *,
        tenant: str = "default",
    ) -> None:
        self.urls = urls
        self.tenant = tenant
        self.recorder = recorder
        self.plan = plan
        self.board = Board()
        self.stopping = asyncio.Event()
        self._token = token
        self._random = random

    async def run(self) -> None:
        """Work until ``stopping`` is set; every request that went out is then waited for."""
        async with AsyncExitStack() as stack:
            callers = [
                await stack.enter_async_context(Caller(f"c{number}", self.recorder, self._token, tenant=self.tenant))
                for number in range(self.plan.clients + self.plan.readers)
            ]
            workers = [
                _Worker(self, caller, Random(self._random.getrandbits(64)), writes=number < self.plan.clients)
                for number, caller in enumerate(callers)
            ]
            async with asyncio.TaskGroup() as group:
                for worker in workers:
                    group.create_task(worker.run(), name=worker.caller.name)


class _Worker:
    def __init__(self, load: Load, caller: Caller, random: Random, *, writes: bool) -> None:
        self.load = load
        self.writes = writes
        self.caller = caller
        self.random = random
        self.owned: list[str] = []

    async def run(self) -> None:
        interval = self.load.plan.clients / self.load.plan.rate
        clock = asyncio.get_running_loop()
        due = clock.time()
        while not self.load.stopping.is_set():
            await self._work()
            due = max(due + interval * self.random.uniform(0.5, 1.5), clock.time() - 1)
            await asyncio.sleep(max(0, due - clock.time()))

    async def _work(self) -> None:
        intent = self._intent()
        operation = await self._call(intent)
        if not operation.is_write:
            return
        if operation.is_open or not operation.sent:
            if self.random.random() < 0.8:
                await self._insist(intent)
            return
        if operation.succeeded and intent.key is not None and self.random.random() < 0.2:
            await self._call(intent if self.random.random() < 0.8 else self._reused(intent))
        elif operation.succeeded and intent.verb != "delete" and self.random.random() < 0.05:
            # A true duplicate: a POST is refused, PUT and PATCH have nothing to change unless somebody came between.
            await self._call(intent)

    async def _insist(self, intent: Intent) -> None:
        """Repeat a request whose answer was lost until there is one; through another gateway where there are several."""
        while not self.load.stopping.is_set():
            await asyncio.sleep(self.random.uniform(0.5, 1.5) * BACK_OFF_S)
            operation = await self._call(intent, patient=True)
            if operation.status is not None and operation.status < 500 and operation.status != 429:
                return

    async def _call(self, intent: Intent, *, patient: bool = False) -> Operation:
        plan = self.load.plan
        impatient = not patient and self.random.random() < plan.impatient
        patience = self.random.uniform(0.001, 0.03) if impatient else plan.patience_s
        operation = await self.caller.call(self.random.choice(self.load.urls), intent, patience)
        self._learn(operation)
        if not operation.sent or operation.status in {429, 503}:
            await asyncio.sleep(self.random.uniform(0.5, 1.5) * BACK_OFF_S)
        return operation

    def _learn(self, operation: Operation) -> None:
        board, resource = self.load.board, operation.resource
        if resource is None:
            return
        shown = operation.answer if operation.succeeded and isinstance(operation.answer, dict) else {}
        # The repeat of a request shows next to nothing of a resource that is gone since.
        gone = operation.succeeded and "userName" not in shown
        if gone or operation.status == 404:
            for known in (board.shared, self.owned):
                if resource in known:
                    known.remove(resource)
            return
        if not shown:
            return
        board.versions[resource] = max(operation.version or 0, board.versions.get(resource, 0))
        board.names[resource] = shown["userName"]
        if operation.verb == "create" and resource not in board.shared:
            room = len(board.shared) < self.load.plan.shared
            (board.shared if room else self.owned).append(resource)

    def _reused(self, intent: Intent) -> Intent:
        """Return another request under the same key: it must be refused (INV-7)."""
        if intent.verb == "create":
            return Intent("create", body=bodies.user(self.random, bodies.own_name(self.random)), key=intent.key)
        return Intent("patch", intent.resource, bodies.patch(self.random), key=intent.key)

    def _intent(self) -> Intent:
        random, plan, board = self.random, self.load.plan, self.load.board
        key = f"key-{random.getrandbits(96):024x}" if random.random() < 0.4 else None
        shares = random.random() < 0.5 or not self.writes
        pool = board.shared if shares else self.owned
        wanted = plan.shared if shares else plan.owned
        choice = random.random() if self.writes else random.uniform(0.76, 1)
        if not self.writes and not pool:
            return Intent("find", name=self._name())
        if not pool or (len(pool) < wanted and choice < 0.3) or choice < 0.1:
            return Intent("create", body=bodies.user(random, self._name()), key=key)
        resource = random.choice(pool)
        known = board.versions.get(resource)
        if_match = known if random.random() < 0.4 else None
        if choice < 0.3:
            name = board.names[resource] if random.random() < 0.7 else self._name()
            return Intent("replace", resource, bodies.user(random, name), if_match, key)
        if choice < 0.68:
            renamed = self._name() if random.random() < 0.2 else None
            return Intent("patch", resource, bodies.patch(random, renamed), if_match, key)
        if choice < 0.76:
            return Intent("delete", resource, None, if_match, key)
        if choice < 0.82:
            return Intent("find", name=self._name())
        return Intent("read", resource)

    def _name(self) -> str:
        if self.random.random() < 0.5:
            return bodies.shared_name(self.random, self.load.plan.names)
        return bodies.own_name(self.random)
