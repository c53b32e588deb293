"""What the versions hold: commands replayed through the model, and the store after the last request (INV-1, INV-17)."""

from __future__ import annotations

from collections.abc import Iterable

from tests.faults import model
from tests.faults.evidence import MalformedError, Plain, Stored, stored_of
from tests.faults.findings import Findings


def check_replay(findings: Findings) -> None:
    """Each version is what its request makes of the version before, by a model of our own (INV-17; (c))."""
    for (resource, version), request in findings.attribution.writers.items():
        event = findings.versions[resource][version]
        before = findings.event(resource, version - 1)
        if event.verb == "patch" and before is None:
            continue
        expected = model.apply(event.verb, resource, request.first.body, before.after if before else None)
        if expected != event.after:
            text = f"version {version} is not what its {event.verb} makes of the one before"
            findings.add("INV-17", "content", text, resource, request.first)


def check_final_state(findings: Findings, records: Iterable[Plain]) -> None:
    """The store holds the last version of every resource with the content of its event, and nothing else (INV-1; (c))."""
    latest: dict[str, Stored] = {}
    for record in records:
        try:
            stored = stored_of(record)
        except (MalformedError, KeyError, TypeError) as error:
            findings.add("INV-1", "form", f"a state record cannot be read: {error!r}", None)
            continue
        if stored is not None:
            _check_succession(findings, latest.get(stored.resource), stored)
            latest[stored.resource] = stored
    for resource in findings.versions:
        _check_stored(findings, resource, latest.pop(resource, None))
    for resource, stored in latest.items():
        if stored.doc is not None or stored.version is not None:
            findings.add("INV-3", "lost", "the store has a resource that no event tells of", resource)


def _check_succession(findings: Findings, previous: Stored | None, stored: Stored) -> None:
    if previous is None or previous.version is None or stored.version is None or previous.version < stored.version:
        return
    text = f"the state log has version {stored.version} after {previous.version}"
    findings.add("INV-2", "reordered", text, stored.resource)


def _check_stored(findings: Findings, resource: str, stored: Stored | None) -> None:
    last = findings.last(resource)
    if last is None:
        return
    if last.after is None:
        if stored is not None and stored.doc is not None:
            text = f"the store has version {stored.version}, deleted by version {last.version}"
            findings.add("INV-1", "lost", text, resource)
        return
    if stored is None or stored.doc is None:
        findings.add(
            "INV-1", "lost", f"the store has no such resource, the events have version {last.version}", resource
        )
    elif stored.version is not None and stored.version > last.version:
        text = f"the store has version {stored.version}, the events end at {last.version}"
        findings.add("INV-3", "lost", text, resource)
    elif stored.version != last.version:
        text = f"the store has version {stored.version}, the events have {last.version}"
        findings.add("INV-1", "lost", text, resource)
    elif stored.doc != last.after:
        findings.add("INV-1", "content", f"version {last.version} is stored otherwise than its event says", resource)
    elif stored.name is not None and stored.name != model.fold(str(stored.doc["userName"])):
        findings.add("INV-4", "name", "the stored name is not the folded userName", resource)
