"""Who held which userName when: no two at once, and no 409 or empty search without a reason (INV-4; (d), (f))."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from tests.faults.attribution import NEVER, Request
from tests.faults.evidence import Event
from tests.faults.findings import Findings, decided_between
from tests.faults.history import Operation
from tests.faults.model import fold, name_wanted
from tests.faults.violations import Violation


@dataclass(frozen=True, slots=True)
class Holding:
    """A resource's possession of a name, from one of its versions to another."""

    resource: str
    first: Event
    end: Event | None
    """The version that gave the name up, if any."""
    can_begin: int
    must_begin: int
    """By this moment the name was held."""
    can_end: int
    must_end: int
    """By this moment it was free, NEVER where it was not given up."""


Holdings = dict[tuple[str, str], list[Holding]]
"""By tenant and folded name."""


def check_names(findings: Findings) -> None:
    """Check possession, refusals for uniqueness, and searches by name."""
    holdings = _holdings(findings)
    for held in holdings.values():
        findings.violations += _overlaps_in_time(held)
        findings.violations += _overlaps_in_log(held)
    creators = {r.event.resource: r for r in findings.attribution.requests if r.event and r.event.verb == "create"}
    for request in findings.attribution.requests:
        refusals = [answer for answer in request.answers if answer.status == 409]
        if refusals:
            _check_conflict(findings, request, refusals[0], holdings, creators)
    for operation in findings.history:
        if operation.verb == "find" and operation.succeeded:
            _check_search(findings, operation, holdings)


def _holdings(findings: Findings) -> Holdings:
    holdings: Holdings = defaultdict(list)
    for resource, versions in findings.versions.items():
        timeline = findings.timelines[resource]
        first: Event | None = None
        for version in sorted(versions):
            event = versions[version]
            if first is not None and _name(event) == _name(first):
                continue
            if first is not None:
                after, before = timeline.after[version].at, timeline.before[version].at
                holdings[first.tenant, _name(first) or ""].append(_holding(findings, first, event, after, before))
            first = event if _name(event) is not None else None
        if first is not None:
            holdings[first.tenant, _name(first) or ""].append(_holding(findings, first, None, NEVER, NEVER))
    return holdings


def _holding(findings: Findings, first: Event, end: Event | None, can_end: int, must_end: int) -> Holding:
    timeline = findings.timelines[first.resource]
    return Holding(
        resource=first.resource,
        first=first,
        end=end,
        can_begin=timeline.after[first.version].at,
        must_begin=timeline.before[first.version].at,
        can_end=can_end,
        must_end=must_end,
    )


def _name(event: Event) -> str | None:
    name = (event.after or {}).get("userName")
    return fold(name) if isinstance(name, str) else None


def _overlaps_in_time(held: list[Holding]) -> list[Violation]:
    """Two possessions of a name that must have overlapped, whatever the moments of their changes were."""
    found: list[Violation] = []
    certain = sorted((h for h in held if h.must_begin < h.can_end), key=lambda h: h.must_begin)
    longest: Holding | None = None
    for holding in certain:
        if longest is not None and holding.must_begin < longest.can_end and holding.resource != longest.resource:
            found.append(_shared(longest, holding))
        if longest is None or holding.can_end > longest.can_end:
            longest = holding
    return found


def _overlaps_in_log(held: list[Holding]) -> list[Violation]:
    """Two possessions that overlap in the order of one partition, which is the order of commits."""
    found: list[Violation] = []
    open_until: dict[int, tuple[float, Holding]] = {}
    for holding in sorted(held, key=lambda h: h.first.offset):
        until, earlier = open_until.get(holding.first.partition, (-1, holding))
        if holding.first.offset < until and earlier.resource != holding.resource:
            found.append(_shared(earlier, holding))
        end = holding.end.offset if holding.end else float("inf")
        open_until[holding.first.partition] = max((until, earlier), (end, holding), key=lambda pair: pair[0])
    return found


def _shared(one: Holding, other: Holding) -> Violation:
    text = f"held one name together with {one.resource} (their versions {other.first.version} and {one.first.version})"
    return Violation("INV-4", "name", text, other.resource)


def _check_conflict(
    findings: Findings, request: Request, refusal: Operation, holdings: Holdings, creators: dict[str, Request]
) -> None:
    """A 409 needs somebody else who could have held the name within its window."""
    wanted = name_wanted(request.first.verb, request.first.body)
    held = holdings.get((request.first.tenant, fold(wanted)), []) if wanted else []
    invoked_at, returned_at = decided_between(request)
    for holding in held:
        if holding.resource == request.first.resource:
            continue
        creator = creators.get(holding.resource)
        if creator is not None and not findings.swallowed and _is_unseen_first(creator, request):
            # Its own first attempt, whose answer never came: the repeat is due that answer (G2).
            continue
        if holding.can_begin <= returned_at and holding.must_end >= invoked_at:
            return
    findings.add("INV-4", "refused", "409 though nobody else held the name", request.first.resource, refusal)


def _is_unseen_first(creator: Request, request: Request) -> bool:
    first, repeat = creator.first, request.first
    if first.key is not None or repeat.key is not None or creator.mark is None or first.body != repeat.body:
        return False
    return first.status is None and not first.gave_up


def _check_search(findings: Findings, operation: Operation, holdings: Holdings) -> None:
    """A search by userName shows who holds it, and shows nobody only when there was such a moment."""
    wanted = fold(operation.name or "")
    shown = operation.answer.get("Resources", [])
    for body in shown:
        if fold(str(body.get("userName"))) != wanted:
            findings.add("INV-12", "content", "a search shows a user of another name", body.get("id"), operation)
    if len(shown) > 1:
        findings.add("INV-4", "name", "a search by userName shows several users", shown[0].get("id"), operation)
    if shown:
        return
    for holding in holdings.get((operation.tenant, wanted), []):
        if holding.must_begin < operation.invoked_at and holding.can_end > operation.returned_at:
            text = "a search by userName missed its holder"
            findings.add("INV-8", "stale", text, holding.resource, operation)
