"""Truthful 503s: what a caller was told to ask for is answered, and is what happened (CP-27, INV-13)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from itertools import cycle
from typing import Any

import aiohttp

from tests.faults.collect import PARALLEL, answer_to
from tests.faults.event_order import decode
from tests.faults.evidence import Plain, etag_version
from tests.faults.history import Operation
from tests.faults.logs import Parked
from tests.faults.violations import Violation


def told_unknown(operation: Operation) -> bool:
    """Whether the caller of a write was told that its outcome is unknown, and where to ask."""
    return operation.is_write and operation.status == 503 and _is_open(operation)


def _is_open(operation: Operation) -> bool:
    return isinstance(operation.answer, dict) and "txn" in operation.answer


async def asked(urls: Sequence[str], token: str, history: Iterable[Operation]) -> list[dict[str, Any]]:
    """GET the outcome of every write that was answered "unknown", from one gateway or another."""
    turns = cycle(urls)
    history = list(history)
    waiting = [operation.answer["txn"] for operation in history if told_unknown(operation)]
    waiting += {
        operation.txn for operation in history if operation.is_write and operation.status == 500 and operation.txn
    }
    found: list[dict[str, Any]] = []
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def ask() -> None:
            while waiting:
                txn = waiting.pop()
                status, _, body = await answer_to(session, f"{next(turns)}/scim/v2/Outcomes/{txn}")
                found.append({**body, "txn": txn} if status == 200 else {"txn": txn, "state": f"status {status}"})

        async with asyncio.TaskGroup() as group:
            for _ in range(PARALLEL):
                group.create_task(ask())
    return found


def parked(outcomes: Iterable[dict[str, Any]], dead: Iterable[Parked] = ()) -> frozenset[str]:
    """Return the txns of commands that were set aside: the third attempt at what kills its worker is not made (CP-26).

    ``dead``: what the topic of dead letters holds. A run may last longer than outcomes are kept.
    """
    told = (outcome for outcome in outcomes if (outcome["state"], outcome.get("status")) == ("refused", 500))
    return frozenset(outcome["txn"] for outcome in told) | {letter.txn for letter in dead if letter.txn}


def check_told(
    history: Iterable[Operation], events: Iterable[Plain], outcomes: Iterable[dict[str, Any]]
) -> list[Violation]:
    """Hold what 503s and ``/Outcomes`` say against the events: an effect is told as applied, and nothing else is."""
    log, _ = decode(events)
    effects = {event.txn: event for event in log}
    versions = {(event.resource, event.version) for event in log}
    violations: list[Violation] = []
    for operation in history:
        if operation.is_write and operation.status == 503 and not _is_open(operation) and operation.txn in effects:
            text = f'told "not applied", yet version {effects[operation.txn].version} is its effect'
            violations.append(Violation("INV-6", "late", text, operation.resource, (operation.number,)))
    for outcome in outcomes:
        event, state = effects.get(outcome["txn"]), outcome["state"]
        if event is not None and (state != "applied" or etag_version(outcome["version"]) != event.version):
            text = f"version {event.version} is the effect of {event.txn}, its outcome says {state} {outcome.get('version')}"
            violations.append(Violation("CP-27", "content", text, event.resource))
        elif event is None and state == "applied":
            # A change that had nothing to change, or a repeat: the version it names was made by another.
            resource = outcome["location"].rpartition("/")[2]
            if (resource, etag_version(outcome["version"])) not in versions:
                text = f"{outcome['txn']} is told as applied, and left no version"
                violations.append(Violation("CP-27", "lost", text, resource))
        elif state not in {"applied", "refused", "unknown", "pending"}:
            violations.append(Violation("CP-27", "form", f"the outcome of {outcome['txn']} is told as {state}"))
    return violations
