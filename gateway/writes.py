"""From a request that was understood to a command, and from its outcome to the answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from aiohttp import web

from consumers.errors import StoreUnavailable
from consumers.ports import Reply
from consumers.submission import OutcomeUnknown
from gateway import rendering
from gateway.bodies import answer_type
from gateway.front import CLIENT, FRONT, TXN, Front, new_id, now_ms
from gateway.unread import MOST_UNREAD_BYTES, TOO_MUCH_UNREAD
from schemas import ids
from schemas.commands import DEFAULT_RULES, ChangeCommand, Create, Delete, Guard, Patch, Verb
from schemas.errors import InvalidValue, NotFound, PreconditionRequired, TooManyRequests
from schemas.fingerprints import fingerprint, unseen_key
from schemas.projection import Projection
from schemas.rules import Rules
from schemas.versions import parse_tags

_LONGEST_ID = 128
_LONGEST_KEY = 255
_TRACEPARENT = re.compile("[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


def resource_id(request: web.Request) -> str:
    """Return the id in the path. Raises NotFound for one that no server of ours could have made."""
    given = request.match_info["id"]
    if len(given) > _LONGEST_ID or not given.isascii():
        raise NotFound("no User has this id")
    return given


async def submit(
    request: web.Request,
    change: Verb,
    *,
    resource_id: str | None,
    body: Any,
    password: str | None = None,
    rules: Rules | None = None,
    guard: Guard | msgspec.UnsetType = msgspec.UNSET,
) -> tuple[ChangeCommand, Reply]:
    """Submit a change and return its command and reply.

    ``resource_id`` is None for a create: the id is minted here, or derived from the Idempotency-Key so that a retry
    names the same resource. ``body`` and ``password`` (in clear) only enter the request's fingerprint. ``rules`` are
    the ones to decide by where those of the tenant are not.

    Raises what ``consumers.ports.Submitter.submit`` raises, and ScimError for headers that will not do.
    """
    front = request.app[FRONT]
    grant = request[CLIENT]
    tenant, principal = grant.tenant.name, grant.principal
    if front.unread.bytes_of(tenant) > MOST_UNREAD_BYTES:
        raise TooManyRequests(TOO_MUCH_UNREAD)  # now: once it is applied, its answer cannot be refused
    decides_by = grant.tenant.rules if rules is None else rules
    key = _idempotency_key(request)
    if resource_id is None:
        target = "User"
        resource_id = new_id() if key is None else ids.derived(tenant, principal, "User", key)
        if_match: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    else:
        target = f"User/{resource_id}"
        if_match = _if_match(request, grant.tenant.rules)
    verb = type(change).__struct_config__.tag
    command = ChangeCommand(
        txn=request[TXN],
        tenant=tenant,
        resource_type="User",
        resource_id=resource_id,
        change=change,
        accepted_at=now_ms(),
        budget=front.budget_ms,
        principal=principal,
        fingerprint=fingerprint(front.tenants.secret, str(verb), target, body, password),
        gateway=front.gateway,
        if_match=if_match,
        key=msgspec.UNSET if key is None else ids.key_hash(tenant, principal, key),
        rules=msgspec.UNSET if decides_by == DEFAULT_RULES else decides_by,
        guard=guard,
        traceparent=_traceparent(request),
    )
    try:
        reply = await front.submitter.submit(command)
    except OutcomeUnknown:
        _mark_unseen(front, command)
        raise
    if reply.outcome.error is None and (request.transport is None or request.transport.is_closing()):
        _mark_unseen(front, command)
    return command, reply


def _mark_unseen(front: Front, command: ChangeCommand) -> None:
    """Note that nobody read the answer of a create: an identical POST will get it instead of a 409 (CP-30)."""
    if isinstance(command.change, Create):
        front.submitter.mark_unseen(command.tenant, unseen_key(command.principal, command.fingerprint))


async def answer(
    request: web.Request, command: ChangeCommand, reply: Reply, projection: Projection | None
) -> web.StreamResponse:
    """Return the answer of a write: what the outcome says, in the caller's media type and projection."""
    response = await _answer(request, command, reply, projection)
    response.headers["Scim-Txn"] = reply.outcome.txn
    return response


async def _answer(
    request: web.Request, command: ChangeCommand, reply: Reply, projection: Projection | None
) -> web.Response:
    front = request.app[FRONT]
    outcome = reply.outcome
    if outcome.error is not None:
        return rendering.refusal_answer(outcome.error)
    if isinstance(command.change, Delete):
        return web.Response(status=204)
    base_url, media_type = front.base_url(request), answer_type(request)
    if reply.image is None:  # an earlier answer again, or a reply that was lost and found as its stored outcome
        with already_done(front, command, outcome.txn):
            image = await front.reader.get(command.tenant, outcome.resource_type, outcome.resource_id)
        response = rendering.replayed_answer(reply, image, base_url, projection, media_type)
    else:
        where = rendering.location(base_url, outcome.resource_id)
        response = rendering.resource_answer(reply.image, where, projection, media_type, status=outcome.status)
    if isinstance(command.change, Patch) and command.effective_rules.patch_no_content and projection is None:
        return web.Response(
            status=204, headers={"ETag": response.headers["ETag"], "Location": response.headers["Location"]}
        )
    return response


@contextmanager
def already_done(front: Front, command: ChangeCommand, txn: str) -> Iterator[None]:
    """Guard the reads that an answer needs once its change may be done: "send it again" alone would be wrong then.

    Raises OutcomeUnknown where the store cannot be read.
    """
    try:
        yield
    except StoreUnavailable:
        _mark_unseen(front, command)
        raise OutcomeUnknown(txn) from None


def _idempotency_key(request: web.Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not key.strip() or len(key) > _LONGEST_KEY or not key.isprintable():
        raise InvalidValue(f"Idempotency-Key takes 1 to {_LONGEST_KEY} printable characters")
    return key.strip()


def _if_match(request: web.Request, rules: Rules) -> tuple[str, ...] | msgspec.UnsetType:
    lines = request.headers.getall("If-Match", [])
    if lines:
        return parse_tags(",".join(lines))
    if rules.require_if_match:
        raise PreconditionRequired("send If-Match with the version you read; this tenant wants it on every change")
    return msgspec.UNSET


def _traceparent(request: web.Request) -> str | msgspec.UnsetType:
    """Return the W3C trace context where it is one: it is copied, never interpreted."""
    value = request.headers.get("traceparent")
    return value if value is not None and _TRACEPARENT.fullmatch(value) else msgspec.UNSET
