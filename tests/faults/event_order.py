"""The order a subscriber sees: versions 1, 2, 3 … of each resource, numbers without a gap, each once (INV-2, INV-3)."""

from __future__ import annotations

from collections.abc import Iterable

from tests.faults.evidence import Event, MalformedError, Plain, event_of
from tests.faults.violations import Kind, Violation


def decode(records: Iterable[Plain]) -> tuple[list[Event], list[Violation]]:
    """Read the event log; a record without the promised form is a violation and left out."""
    events: list[Event] = []
    violations: list[Violation] = []
    for record in records:
        try:
            events.append(event_of(record))
        except MalformedError as error:
            violations.append(Violation("INV-3", "form", str(error)))
    return events, violations


def check_order(events: Iterable[Event], *, redelivered: bool) -> tuple[list[Event], list[Violation]]:
    """Return the events without repeats, in the order given, and what is wrong with that order."""
    violations: list[Violation] = []
    once: list[Event] = []
    seen: dict[tuple[str, int], Event] = {}
    for event in events:
        earlier = seen.get((event.resource, event.version))
        if earlier is None:
            seen[event.resource, event.version] = event
            once.append(event)
        elif earlier.identity != event.identity:
            violations.append(_violation("INV-2", "doubled", "was made twice", event))
        elif not redelivered:
            violations.append(_violation("INV-3", "doubled", "stands in the log twice", event))
    offsets: dict[int, int] = {}
    numbers: dict[tuple[str, int], int] = {}
    last: dict[str, Event] = {}
    for event in once:
        if event.offset <= offsets.get(event.partition, -1):
            violations.append(_violation("INV-3", "reordered", "came after a later offset", event))
        offsets[event.partition] = event.offset
        violations += _check_number(event, numbers)
        violations += _check_successor(event, last.get(event.resource))
        last[event.resource] = event
    return once, violations


def _check_number(event: Event, numbers: dict[tuple[str, int], int]) -> list[Violation]:
    line = event.tenant, event.partition
    previous = numbers.get(line)
    numbers[line] = event.number
    if previous is None or event.number == previous + 1:
        return []
    kind: Kind = "lost" if event.number > previous + 1 else "reordered"
    return [_violation("INV-3", kind, f"has number {event.number} after {previous} in its partition", event)]


def _check_successor(event: Event, previous: Event | None) -> list[Violation]:
    if previous is None:
        if event.version != 1:
            return [_violation("INV-3", "lost", "is the first one offered", event)]
        return [] if event.verb == "create" else [_violation("INV-2", "lost", "is first and no create", event)]
    found: list[Violation] = []
    if event.version != previous.version + 1:
        kind: Kind = "lost" if event.version > previous.version else "reordered"
        found.append(_violation("INV-3", kind, f"follows version {previous.version}", event))
    if previous.verb == "delete":
        found.append(_violation("INV-14", "late", "follows the delete", event))
    if event.verb == "create":
        found.append(_violation("INV-2", "doubled", "is a second create", event))
    if event.partition != previous.partition:
        found.append(_violation("INV-12", "reordered", "is in another partition than the one before", event))
    flipped = _flip(previous, event)
    if event.flipped != flipped:
        found.append(_violation("INV-3", "content", f"tells that active became {event.flipped}, not {flipped}", event))
    return found


def _flip(previous: Event, event: Event) -> bool | None:
    active = (event.after or {}).get("active")
    return active if isinstance(active, bool) and active != (previous.after or {}).get("active") else None


def _violation(invariant: str, kind: Kind, what: str, event: Event) -> Violation:
    return Violation(invariant, kind, f"version {event.version} {what} (txn {event.txn})", event.resource)
