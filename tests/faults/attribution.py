"""Which request made which version: events laid at the door of requests, by txn, else by the mark in the body."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from tests.faults.evidence import Event
from tests.faults.history import Operation, marker
from tests.faults.violations import Violation

NEVER: Final = 2**63
"""A time after every other."""


@dataclass(slots=True, eq=False)
class Request:
    """One write as its caller means it: a single attempt, or all attempts under one Idempotency-Key and body."""

    attempts: list[Operation]
    event: Event | None = None
    """The version it made, if any."""
    twin: Request | None = None
    """Without a key: an identical create, sent before or after, that made the resource this one was answered with."""
    lost_its_key: bool = False
    """Whether another request under its Idempotency-Key was told a decision: this one then has no effect."""
    mark: str | None = field(init=False)
    may_have_begun: int = NEVER
    """When the first of the lost requests was sent that may have made the version instead."""
    may_have_been_sent: int = 0
    """When the last of them was sent."""

    def __post_init__(self) -> None:
        self.mark = marker(self.first.body)

    @property
    def first(self) -> Operation:
        """The first attempt; its verb, body and conditions are those of all."""
        return self.attempts[0]

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of the operations it consists of."""
        return tuple(attempt.number for attempt in self.attempts)

    @property
    def answers(self) -> list[Operation]:
        """The attempts that were told a decision: an effect, a no-op or a refusal, but not 429 or 5xx."""
        return [a for a in self.attempts if a.succeeded or (a.is_refused and a.status != 429)]

    @property
    def invoked_at(self) -> int:
        """When it can have taken effect at the earliest."""
        return min([self.may_have_begun, *(a.invoked_at for a in self.attempts if a.sent)])

    @property
    def returned_at(self) -> int:
        """When it had taken effect at the latest; NEVER where no answer said so."""
        return min((a.returned_at for a in self.attempts if a.succeeded), default=NEVER)

    @property
    def can_have_effect(self) -> bool:
        """Whether some attempt succeeded or its outcome is open."""
        return any(a.succeeded or a.is_open for a in self.attempts)


@dataclass(slots=True)
class Attribution:
    """The requests of a history, and for each event the request that made it."""

    requests: list[Request]
    writers: dict[tuple[str, int], Request] = field(default_factory=dict)
    """By resource and version."""
    violations: list[Violation] = field(default_factory=list)


def attribute(history: Iterable[Operation], events: Sequence[Event]) -> Attribution:
    """Group the writes of a history into requests and find the request of each event.

    Reports effects nobody asked for, effects of refused requests (INV-6), second effects (INV-2, INV-7, INV-13).
    """
    found = Attribution(_requests(history))
    _mark_lost_keys(found.requests)
    by_txn: dict[str, list[Request]] = defaultdict(list)
    open_requests: dict[tuple[str, str], list[Request]] = defaultdict(list)
    for request in found.requests:
        for txn in {a.txn for a in request.attempts if a.txn is not None}:
            by_txn[txn].append(request)
        for handle in (request.mark, request.first.resource):
            if handle is not None:
                open_requests[request.first.verb, handle].append(request)
    for event in events:
        named = [r for r in by_txn.get(event.txn, []) if _fits(r, event)]
        if by_txn.get(event.txn) and not named:
            found.violations.append(_misled(event, by_txn[event.txn]))
        handle = event.resource if event.verb == "delete" else marker(event.data)
        similar = [r for r in open_requests.get((event.verb, handle or ""), []) if _fits(r, event)]
        _lay(found, event, named, similar)
    _pair_creates(found.requests)
    return found


def _requests(history: Iterable[Operation]) -> list[Request]:
    requests: list[Request] = []
    keyed: dict[tuple[str, str, bytes], Request] = {}
    for operation in sorted(history, key=lambda o: o.invoked_at):
        if not operation.is_write:
            continue
        if operation.key is None:
            requests.append(Request([operation]))
            continue
        path = None if operation.verb == "create" else operation.resource
        what = msgspec.json.encode([operation.verb, path, operation.body], order="deterministic")
        known = keyed.get((operation.tenant, operation.key, what))
        if known is None:
            keyed[operation.tenant, operation.key, what] = known = Request([operation])
            requests.append(known)
        else:
            known.attempts.append(operation)
    return requests


def _mark_lost_keys(requests: Iterable[Request]) -> None:
    rivals: dict[tuple[str, str], list[Request]] = defaultdict(list)
    for request in requests:
        if request.first.key is not None:
            rivals[request.first.tenant, request.first.key].append(request)
    for group in rivals.values():
        owners = [request for request in group if any(answer.status != 422 for answer in request.answers)]
        for request in group:
            request.lost_its_key = bool(owners) and request not in owners


def _fits(request: Request, event: Event) -> bool:
    first = request.first
    if first.verb != event.verb or first.tenant != event.tenant:
        return False
    return first.verb == "create" or first.resource == event.resource


def _lay(found: Attribution, event: Event, named: list[Request], similar: list[Request]) -> None:
    """Choose the request that made the event, and report what is wrong with it."""
    free = [r for r in named if r.event is None and r.can_have_effect]
    free += _unanswered(event, [r for r in similar if r not in free])
    if free:
        _give(found, event, free)
        return
    suspects = named or similar
    numbers = tuple(n for r in suspects for n in r.numbers)[:8]
    spent = [r for r in suspects if r.event is not None]
    if spent and spent[0].first.key is not None:
        text = f"version {event.version} is a second effect of one Idempotency-Key"
        violation = Violation("INV-7", "doubled", text, event.resource, numbers)
    elif spent:
        text = f"version {event.version} is a second effect of one request"
        violation = Violation("INV-2" if named else "INV-13", "doubled", text, event.resource, numbers)
    elif suspects:
        text = f"version {event.version} is the effect of a request that was refused"
        violation = Violation("INV-6", "late", text, event.resource, numbers)
    else:
        text = f"version {event.version} is an effect that nobody asked for"
        violation = Violation("INV-12", "doubled", text, event.resource, ())
    found.violations.append(violation)


def _unanswered(event: Event, requests: list[Request]) -> list[Request]:
    """Return the requests whose outcome is open and may be this event, the likeliest first.

    Among equals the earliest: it bounds the time of the effect least, so no violation is invented.
    """
    possible = [r for r in requests if r.event is None and any(_may_be(a, event) for a in r.attempts)]
    return sorted(possible, key=lambda r: (_is_excluded(r), r.first.if_match not in {None, event.version - 1}))


def _is_excluded(request: Request) -> bool:
    """Whether a decision that was told excludes an effect; only a broken server makes it the writer."""
    return request.lost_its_key or any(not answer.succeeded for answer in request.answers)


def _may_be(attempt: Operation, event: Event) -> bool:
    return attempt.is_open and (attempt.txn is None or attempt.txn == event.txn)


def _give(found: Attribution, event: Event, candidates: list[Request]) -> None:
    """Make the first candidate the writer; the others widen the time in which it can have been sent."""
    writer, others = candidates[0], candidates[1:]
    writer.event = event
    if event.verb == "create" or not any(attempt.succeeded for attempt in writer.attempts):
        sent = [attempt.invoked_at for request in others for attempt in request.attempts if attempt.is_open]
        writer.may_have_begun = min(sent, default=NEVER)
        writer.may_have_been_sent = max(sent, default=0)
    found.writers[event.resource, event.version] = writer


def _misled(event: Event, requests: list[Request]) -> Violation:
    text = f"version {event.version} carries the txn of a request for something else"
    return Violation("INV-12", "content", text, event.resource, tuple(n for r in requests for n in r.numbers))


def _pair_creates(requests: list[Request]) -> None:
    """Give a create that was answered with another create's resource its twin (``design.md`` section 8, unseen answers)."""
    makers = {r.event.resource: r for r in requests if r.event is not None and r.event.verb == "create"}
    for request in requests:
        first = request.first
        if first.key is None and first.verb == "create" and first.succeeded and request.event is None:
            maker = makers.get(first.resource or "")
            if maker is not None and maker.first.body == first.body:
                request.twin = maker
