"""Refusals and preconditions: each 404 and 412 has its state, If-Match its version, no effect comes late (INV-5, 8, 13)."""

from __future__ import annotations

from typing import Final

from tests.faults.attribution import Request
from tests.faults.findings import Findings, decided_between
from tests.faults.history import Operation

BUDGET_NS: Final = 20 * 10**9
"""The default time budget of a request (``design.md`` section 8)."""
SKEW_NS: Final = 10**9
"""Added to it: the gateway's clock starts when it has read the request (CP-18)."""


def check_absences(findings: Findings) -> None:
    """A 404 saw the state after the delete; the timelines take it as such."""
    for request in findings.attribution.requests:
        refusals = [answer for answer in request.answers if answer.status == 404]
        if refusals:
            _saw_nothing(findings, refusals[0], *decided_between(request))
    for operation in findings.history:
        if operation.verb == "read" and operation.status == 404:
            _saw_nothing(findings, operation, operation.invoked_at, operation.returned_at)


def _saw_nothing(findings: Findings, operation: Operation, invoked_at: int, returned_at: int) -> None:
    last = findings.last(operation.resource or "")
    if last is None:
        return
    if last.verb == "delete":
        findings.timelines[last.resource].saw(last.version, invoked_at, returned_at, operation)
    elif operation.is_write:
        findings.add("(d)", "refused", "404 for a resource that was never deleted", last.resource, operation)
    else:
        findings.add("INV-8", "stale", "404 for a resource that was never deleted", last.resource, operation)


def check_conditions(findings: Findings) -> None:
    """If-Match v makes v+1 or is a no-op at v, or there was a moment at which the version was another (INV-5)."""
    for request in findings.attribution.requests:
        wanted = request.first.if_match
        if wanted is None:
            if any(answer.status == 412 for answer in request.answers):
                findings.add("(d)", "refused", "412 without If-Match", request.first.resource, request.first)
            continue
        if request.event is not None and request.event.version != wanted + 1:
            text = f"If-Match {wanted} made version {request.event.version}"
            findings.add("INV-5", "content", text, request.event.resource, *request.attempts)
        for answer in request.answers:
            if answer.status == 412:
                _check_mismatch(findings, request, wanted, answer)
                break
            if answer.succeeded and request.event is None and answer.version not in {None, wanted}:
                text = f"If-Match {wanted} was answered with version {answer.version}"
                findings.add("INV-5", "content", text, answer.resource, answer)


def _check_mismatch(findings: Findings, request: Request, wanted: int, answer: Operation) -> None:
    timeline = findings.timelines.get(answer.resource or "")
    if timeline is None or wanted > timeline.last:
        return
    invoked_at, returned_at = decided_between(request)
    began_before = timeline.before[wanted].at < invoked_at
    # after[last + 1] only says until when the last version was seen: there is no version that could have ended it.
    ended_after = wanted == timeline.last or timeline.after[wanted + 1].at > returned_at
    if began_before and ended_after:
        text = f"412 though version {wanted} was the current one all the time"
        findings.add("INV-5", "refused", text, answer.resource, answer)


def check_late_effects(findings: Findings, budget_ns: int) -> None:
    """What was answered 503, or not at all, is never decided after its budget (INV-13)."""
    for request in findings.attribution.requests:
        event = request.event
        if event is None or any(attempt.succeeded for attempt in request.attempts):
            continue
        sent = [request.may_have_been_sent, *(attempt.invoked_at for attempt in request.attempts if attempt.sent)]
        deadline = max(sent) + budget_ns + SKEW_NS
        bound = findings.timelines[event.resource].after[event.version]
        if bound.at > deadline and bound.by is not None:
            text = f"version {event.version} appeared after the budget of its request, whose outcome was unknown"
            findings.add("INV-13", "late", text, event.resource, request.first, bound.by)
