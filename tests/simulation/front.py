"""A simulated gateway: the real submission behind the least that stands between it and HTTP, and its callers."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Final

import msgspec

from consumers.backends.redis_reader import RedisReader
from consumers.backends.redis_replies import RedisReplies
from consumers.errors import OperatorError
from consumers.ports import Reply
from consumers.remote import RemoteCommands
from consumers.submission import OutcomeUnknown, SubmissionError
from schemas import ids
from schemas.commands import ChangeCommand, Create, Delete, Patch, Replace, Verb
from schemas.errors import ScimError
from schemas.fingerprints import fingerprint, unseen_key
from schemas.folding import fold
from schemas.patch_requests import normalise
from schemas.records import ResourceImage
from schemas.resource_types import USER
from schemas.rules import Rules
from schemas.versions import etag
from tests.faults.history import Intent
from tests.simulation.kafka_ports import FakeCommandLog
from tests.simulation.network import Process
from tests.simulation.redis_connection import SETTINGS

if TYPE_CHECKING:
    from tests.simulation.world import World

PRINCIPAL: Final = "okta"
SECRET: Final = b"of all gateways"
_RULES: Final = Rules()


@dataclass(slots=True)
class Answer:
    """What goes back to the caller."""

    status: int
    resource: str | None = None
    version: int | None = None
    txn: str | None = None
    body: Any = None


@dataclass(slots=True)
class Gateway:
    """One gateway process."""

    world: World
    process: Process
    reader: RedisReader = field(init=False)
    commands: RemoteCommands = field(init=False)

    def __post_init__(self) -> None:
        self.process.run(self._begin)

    def _begin(self) -> None:
        world, process = self.world, self.process
        client = world.client(process)
        replies = RedisReplies(client, SETTINGS, gateway=process.name)
        self.reader = RedisReader(client, shards=1, partitions=world.partitions, clock=process.clock)
        self.commands = RemoteCommands(
            FakeCommandLog(world, process),
            self.reader,
            world.metrics,
            replies.mark_unseen,
            shards=1,
            partitions=world.partitions,
            store_away_s=self.reader.away_s,
            clock=process.clock,
        )
        process.start(self.reader.monitor(), "monitor")
        process.start(replies.run(self.commands.deliver), "replies")
        process.start(replies.alive(), "sign of life")
        process.start(self.commands.sweep(), "sweep")

    def answer(self, tenant: str, intent: Intent, budget_ms: int, random: Random) -> Coroutine[Any, Any, Answer]:
        """Take a request in, now; return what answers it."""
        is_write = intent.verb not in {"read", "find"}
        return self._answer(tenant, intent, self._command(tenant, intent, budget_ms, random) if is_write else None)

    async def _answer(self, tenant: str, intent: Intent, command: ChangeCommand | None) -> Answer:
        try:
            if command is not None:
                return await self._write(tenant, intent, command)
            if intent.verb == "read":
                return await self._read(tenant, intent.resource or "")
            return await self._find(tenant, intent.name or "")
        except OperatorError:
            return Answer(503, intent.resource)

    async def _read(self, tenant: str, resource_id: str) -> Answer:
        image = await self.reader.get(tenant, "User", resource_id)
        if image is None:
            return Answer(404, resource_id)
        return Answer(200, resource_id, image.version, body=shown(image))

    async def _find(self, tenant: str, name: str) -> Answer:
        images = await self.reader.find(tenant, "User", ("userName", fold(name)))
        return Answer(200, body={"Resources": [shown(image) for image in images]})

    async def _write(self, tenant: str, intent: Intent, command: ChangeCommand) -> Answer:
        try:
            reply = await self.commands.submit(command)
        except SubmissionError as error:
            if isinstance(error, OutcomeUnknown) and isinstance(command.change, Create):
                self.commands.mark_unseen(tenant, unseen_key(PRINCIPAL, command.fingerprint))
            return Answer(503, intent.resource, txn=command.txn)
        outcome = reply.outcome
        if outcome.error is not None:
            return Answer(outcome.error.status, intent.resource, txn=outcome.txn)
        if intent.verb == "delete":
            return Answer(204, outcome.resource_id, None, outcome.txn)
        body = await self._body(tenant, reply)
        return Answer(outcome.status, outcome.resource_id, outcome.version, outcome.txn, body)

    async def _body(self, tenant: str, reply: Reply) -> Any:
        """Return the resource as written; of an answer given before, or found, as it is now."""
        image, outcome = reply.image, reply.outcome
        if image is None:
            try:
                image = await self.reader.get(tenant, "User", outcome.resource_id)
            except OperatorError:
                return None
            if image is not None and image.version != outcome.version and not reply.replayed:
                return None
        if image is None:
            return {"id": outcome.resource_id, "meta": {"version": etag(outcome.version)}} if reply.replayed else None
        return shown(image)

    def _command(self, tenant: str, intent: Intent, budget_ms: int, random: Random) -> ChangeCommand:
        now = int(self.process.clock() * 1000)
        change, body = _change(intent)
        resource_id = intent.resource
        if resource_id is None:
            resource_id = (
                ids.time_ordered(now, random.randbytes(ids.RANDOM_BYTES))
                if intent.key is None
                else ids.derived(tenant, PRINCIPAL, "User", intent.key)
            )
        target = "User" if intent.resource is None else f"User/{resource_id}"
        txn = ids.time_ordered(now, random.randbytes(ids.RANDOM_BYTES))
        self.world.witness.accepted(txn, budget_ms)
        return ChangeCommand(
            txn=txn,
            tenant=tenant,
            resource_type="User",
            resource_id=resource_id,
            change=change,
            accepted_at=now,
            budget=budget_ms,
            principal=PRINCIPAL,
            fingerprint=fingerprint(SECRET, intent.verb, target, body, None),
            gateway=self.process.name,
            if_match=msgspec.UNSET if intent.if_match is None else (str(intent.if_match),),
            key=msgspec.UNSET if intent.key is None else ids.key_hash(tenant, PRINCIPAL, intent.key),
        )


def _change(intent: Intent) -> tuple[Verb, Any]:
    """Return the verb of the command and what enters its fingerprint."""
    match intent.verb:
        case "create":
            return Create(body=intent.body), intent.body
        case "replace":
            return Replace(body=intent.body), intent.body
        case "patch":
            wanted = normalise(intent.body, USER, _RULES)
            return Patch(operations=wanted.operations), wanted.operations
        case _:
            return Delete(), None


def shown(image: ResourceImage) -> dict[str, Any]:
    """Return the resource as a caller sees it."""
    doc: dict[str, Any] = msgspec.json.decode(image.doc)
    return {**doc, "meta": {"version": etag(image.version)}}


async def patiently(gateway: Gateway, asked: asyncio.Task[Answer], patience_s: float) -> Answer | None:
    """Return the answer, or None where the gateway died or the caller lost patience."""
    await asyncio.wait([asked], timeout=patience_s)
    if gateway.process.dead or not asked.done() or asked.cancelled():
        return None
    error = asked.exception()
    if isinstance(error, ScimError):
        return Answer(error.status)
    if error is not None:
        raise error
    return asked.result()
