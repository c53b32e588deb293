"""Every answer held against the version it names: effects, no-ops, repeats, reads (INV-1, 2, 6, 7, 8, 12)."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

from tests.faults import model
from tests.faults.attribution import Request
from tests.faults.evidence import etag_version
from tests.faults.findings import Findings
from tests.faults.history import Operation

_GOOD: Final = {"create": (201,), "replace": (200,), "patch": (200, 204), "delete": (204,)}
_DECISIONS: Final = frozenset({404, 409, 412, 422})
_TURNED_AWAY: Final = frozenset({429, 503})


def check_answers(findings: Findings) -> None:
    """Check all answers, and give the timelines what they prove."""
    _check_requests(findings)
    _check_keys(findings)
    for operation in findings.history:
        if not operation.is_write:
            _check_read(findings, operation)


def _check_requests(findings: Findings) -> None:
    """Hold every answer to a write against the version it made (INV-1, INV-2, INV-6, INV-12)."""
    for request in findings.attribution.requests:
        event = request.event
        if event is not None:
            timeline = findings.timelines[event.resource]
            timeline.wrote(event.version, request.invoked_at, request.returned_at, _witness(request))
        for attempt in request.attempts:
            if attempt.succeeded:
                _check_success(findings, request, attempt)
            elif attempt.status == 500 and attempt.txn in findings.parked:
                if event is not None and event.txn == attempt.txn:
                    text = f"set aside, yet version {event.version} is its effect"
                    findings.add("INV-6", "late", text, event.resource, attempt)
            elif attempt.status is not None and attempt.status not in _DECISIONS | _TURNED_AWAY:
                text = f"status {attempt.status} for a valid request"
                findings.add("(d)", "refused", text, attempt.resource, attempt)
            elif attempt.is_refused and event is not None:
                text = f"answered {attempt.status}, yet version {event.version} is its effect"
                invariant = "INV-7" if len(request.attempts) > 1 else "INV-6"
                findings.add(invariant, "late", text, event.resource, attempt)


def _witness(request: Request) -> Operation:
    return next((a for a in request.attempts if a.succeeded), request.first)


def _check_success(findings: Findings, request: Request, attempt: Operation) -> None:
    event = request.event or (request.twin.event if request.twin else None)
    if attempt.status not in _GOOD[attempt.verb]:
        findings.add("(d)", "refused", f"status {attempt.status} for a {attempt.verb}", attempt.resource, attempt)
    if event is None:
        _check_no_op(findings, request, attempt)
    elif attempt.resource != event.resource or (attempt.verb != "delete" and attempt.version != event.version):
        text = f"answered with version {attempt.version} of {attempt.resource}, its effect is version {event.version}"
        findings.add("INV-2", "content", text, event.resource, attempt)
    _check_body(findings, request, attempt, attempt.answer)


def _check_no_op(findings: Findings, request: Request, attempt: Operation) -> None:
    """A write that was acknowledged and left no event must have had nothing to change."""
    resource, version = attempt.resource, attempt.version
    current = findings.event(resource, version)
    if attempt.verb in {"create", "delete"} or resource is None or version is None or current is None:
        findings.add("INV-1", "lost", f"an acknowledged {attempt.verb} left no version", resource, attempt)
        return
    if model.apply(attempt.verb, resource, attempt.body, current.after) != current.after:
        findings.add("INV-1", "lost", f"acknowledged as version {version}, which does not show it", resource, attempt)
        return
    findings.timelines[resource].saw(version, request.invoked_at, request.returned_at, attempt)


def _check_body(findings: Findings, request: Request, attempt: Operation, body: Any) -> None:
    """The resource in an answer is the one written, as it stood at the version it names."""
    if body is None or attempt.resource is None:
        return
    began_before = request.may_have_begun < request.first.invoked_at
    repeated = findings.polled or len(request.attempts) > 1 or request.twin is not None or began_before
    last = findings.last(attempt.resource)
    if repeated and "userName" not in body and body.get("id") == attempt.resource and last and last.verb == "delete":
        # A repeat, or a lost reply, is answered with the first outcome; of a resource that is gone there is nothing to
        # show.
        findings.timelines[last.resource].saw(last.version, attempt.invoked_at, attempt.returned_at, attempt)
        return
    version = _check_shown(findings, attempt, attempt.resource, body)
    if version is None:
        return
    if repeated and attempt.version is not None and version >= attempt.version:
        # A repeat, or a lost reply, is answered with the first outcome, and with the resource as it is now for a body.
        findings.timelines[attempt.resource].saw(version, attempt.invoked_at, attempt.returned_at, attempt)
    elif version != attempt.version:
        text = f"the ETag says version {attempt.version}, the body {version}"
        findings.add("INV-12", "content", text, attempt.resource, attempt)


def _check_shown(findings: Findings, operation: Operation, resource: str, body: Any) -> int | None:
    """Compare a resource shown to a client with the version it names; returns the version, None where there is none."""
    version = etag_version(body.get("meta", {}).get("version"))
    made = findings.event(resource, version)
    if body.get("id") != resource:
        findings.add("INV-12", "content", "the answer shows another resource", resource, operation)
    elif version is None or made is None or made.after is None:
        findings.add("INV-1", "lost", f"version {version} was shown, and no event tells of it", resource, operation)
    elif model.canonical(body) != made.after:
        text = f"version {version} was shown with another content than its event has"
        findings.add("INV-12", "content", text, resource, operation)
    else:
        return version
    return None


def _check_keys(findings: Findings) -> None:
    """Same Idempotency-Key and body, same outcome; the key with another body is refused (INV-7)."""
    by_key: dict[tuple[str, str], list[Request]] = defaultdict(list)
    for request in findings.attribution.requests:
        if request.first.key is not None:
            by_key[request.first.tenant, request.first.key].append(request)
        answers = request.answers
        outcomes = {(a.status, a.resource, a.version, a.location) for a in answers}
        if len(outcomes) > 1:
            findings.add("INV-7", "doubled", "one key and body, answered differently", answers[0].resource, *answers)
    for requests in by_key.values():
        decided = [r for r in requests if r.event is not None or any(a.status != 422 for a in r.answers)]
        if len(decided) > 1:
            witnesses = [attempt for request in decided for attempt in request.attempts]
            findings.add("INV-7", "doubled", "one key decided two requests", witnesses[0].resource, *witnesses)
        for request in requests if len(requests) == 1 else ():
            for attempt in (a for a in request.attempts if a.status == 422):
                findings.add("INV-7", "refused", "a key refused that had no other use", attempt.resource, attempt)


def _check_read(findings: Findings, operation: Operation) -> None:
    """Reads show what was current within their window (INV-8)."""
    if operation.verb == "find":
        for body in (operation.answer or {}).get("Resources", []) if operation.succeeded else ():
            version = _check_shown(findings, operation, body["id"], body)
            if version is not None:
                findings.timelines[body["id"]].saw(version, operation.invoked_at, operation.returned_at, operation)
        return
    if not operation.succeeded or operation.resource is None:
        return
    version = _check_shown(findings, operation, operation.resource, operation.answer)
    if version is None:
        return
    if version != operation.version:
        findings.add("INV-12", "content", "ETag and meta.version differ", operation.resource, operation)
    findings.timelines[operation.resource].saw(version, operation.invoked_at, operation.returned_at, operation)
