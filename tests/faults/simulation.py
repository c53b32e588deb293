"""Histories of the reference in virtual time: overlapping requests, lost answers, repeats, effects after the time-out."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from tests.faults import bodies
from tests.faults.history import Intent, Operation
from tests.faults.reference import Answer, Reference

MS = 10**6


@dataclass(slots=True)
class Simulation:
    """Clients of a reference; every request takes effect at one moment between its sending and its answer, or later."""

    random: Random
    server: Reference = field(default_factory=Reference)
    history: list[Operation] = field(default_factory=list)
    overlap: int = 300
    """Up to so many virtual milliseconds a request is under way before and after its effect."""
    loss: float = 0.1
    """How often an answer is lost."""
    lateness: int = 15_000
    """So many virtual milliseconds after its sending a request whose answer was lost may still take effect."""
    now: int = 1000 * MS
    _known: list[str] = field(default_factory=list)
    _again: list[Intent] = field(default_factory=list)

    def run(self, steps: int) -> None:
        """Take so many steps."""
        for _ in range(steps):
            self.now += self.random.randrange(1, 100) * MS
            repeats = self._again and self.random.random() < 0.5
            self.step(self._again.pop(0) if repeats else self._intent())

    def step(self, intent: Intent) -> Operation:
        """Send one request; the effect, if any, is at ``now``."""
        invoked, returned = self.now - self._moment(), self.now + self._moment()
        is_write = intent.verb not in {"read", "find"}
        if is_write and self.random.random() < self.loss:
            if self.random.random() < 0.7:
                self._again.append(intent)
            return self._lose(intent, invoked, returned)
        answer = self._answer(intent)
        if answer.resource and answer.status == 201 and answer.resource not in self._known:
            self._known.append(answer.resource)
        return self._record(intent, invoked, returned, answer)

    def _lose(self, intent: Intent, invoked: int, returned: int) -> Operation:
        fate = self.random.choice(["done", "done late", "not done", "503", "unsent"])
        if fate == "503":
            return self._record(
                intent, invoked, returned, Answer(503, intent.resource, txn=f"lost-{len(self.history)}")
            )
        if fate.startswith("done"):
            done = self._answer(intent)
            if done.status == 201:
                self.server.unseen.add(done.resource or "")
        if fate == "done late":
            invoked = max(0, self.now - self.lateness * MS)
            returned = self.now - self._moment()
        return self._record(intent, min(invoked, returned), returned, None, sent=fate != "unsent")

    def _record(
        self, intent: Intent, invoked: int, returned: int, answer: Answer | None, *, sent: bool = True
    ) -> Operation:
        operation = Operation(
            number=len(self.history) + 1,
            client="simulated",
            gateway="simulated",
            verb=intent.verb,
            invoked_at=invoked,
            returned_at=returned,
            resource=(answer.resource if answer and answer.resource else None) or intent.resource,
            name=intent.name,
            body=intent.body,
            if_match=intent.if_match,
            key=intent.key,
            sent=sent,
            status=answer.status if answer else None,
            version=answer.version if answer else None,
            txn=answer.txn if answer else None,
            answer=answer.body if answer else None,
        )
        self.history.append(operation)
        return operation

    def _answer(self, intent: Intent) -> Answer:
        if intent.verb == "find":
            return self.server.find(intent.name or "")
        if intent.verb == "read":
            return self.server.read(intent.resource or "")
        return self.server.submit(intent.verb, intent.resource, intent.body, intent.if_match, intent.key)

    def _intent(self) -> Intent:
        random = self.random
        key = f"key-{random.getrandbits(64):x}" if random.random() < 0.3 else None
        name = bodies.shared_name(random, 8) if random.random() < 0.5 else bodies.own_name(random)
        choice = random.random()
        if self.history and choice < 0.02 and self.history[-1].verb == "create" and self.history[-1].key is None:
            return Intent("create", body=self.history[-1].body)
        if not self._known or choice < 0.12:
            return Intent("create", body=bodies.user(random, name), key=key)
        # The latest few are busy, the others were mostly deleted.
        resource = random.choice(self._known[-6:])
        version = len(self.server.versions[resource]) - (random.random() < 0.3)
        if_match = version if random.random() < 0.4 else None
        if choice < 0.3:
            return Intent("replace", resource, bodies.user(random, name), if_match, key)
        if choice < 0.6:
            renamed = name if random.random() < 0.2 else None
            return Intent("patch", resource, bodies.patch(random, renamed), if_match, key)
        if choice < 0.66:
            return Intent("delete", resource, None, if_match, key)
        if choice < 0.7:
            return Intent("find", name=name)
        return Intent("read", resource)

    def _moment(self) -> int:
        return self.random.randrange(self.overlap + 1) * MS
