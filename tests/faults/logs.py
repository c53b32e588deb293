"""The command, state and dead-letter topics held against the events and against themselves (INV-1, 2, 6, 9, 10, 12, 18)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from tests.faults.event_order import check_order, decode
from tests.faults.evidence import Event, Plain
from tests.faults.model import canonical
from tests.faults.violations import Violation

POISON_LIMIT_MS: Final = 60_000


class Stated(msgspec.Struct, frozen=True, kw_only=True):
    """A committed record of the state topic."""

    partition: int
    offset: int
    key: str
    value: Any = None


class Commanded(msgspec.Struct, frozen=True, kw_only=True):
    """A record of the command topic; ``at`` is when the broker took it, in milliseconds since 1970."""

    partition: int
    offset: int
    at: int
    txn: str | None = None
    """None where nobody can read it."""


class Parked(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter about the command at this place."""

    partition: int
    offset: int
    parked_at: int
    txn: str | None = None


class Logs(msgspec.Struct, frozen=True, kw_only=True):
    """What the topics hold, each partition in its order."""

    state: tuple[Stated, ...] = ()
    commands: tuple[Commanded, ...] = ()
    dead: tuple[Parked, ...] = ()


def check_topics(logs: Logs, events: Iterable[Plain], tenant: str) -> list[Violation]:
    """Return what contradicts the promise; ``events`` as for ``checker.check``, the tenant's alone."""
    log, _ = check_order(decode(events)[0], redelivered=True)
    return [
        *_check_images(logs.state, log, tenant),
        *_check_progress(logs.state),
        *_check_refusals(logs.state, log, tenant),
        *_check_order(logs.commands, log),
        *_check_parked(logs),
    ]


def _check_images(state: Sequence[Stated], log: Sequence[Event], tenant: str) -> Iterator[Violation]:
    """The state topic tells each version once, in order, as its event does: the log is what Redis is made of (INV-9)."""
    told = {(event.resource, event.version): event for event in log}
    last: dict[str, int] = {}
    made: dict[str, list[str]] = defaultdict(list)
    for record in state:
        owner, _, resource = record.key.partition("/User/")
        if owner != tenant or not resource or record.value is None:
            continue
        version = record.value["version"]
        if version != last.get(resource, 0) + 1:
            text = f"the state topic tells version {version} after {last.get(resource, 0)}"
            yield Violation("INV-2", "doubled" if version <= last.get(resource, 0) else "lost", text, resource)
        last[resource] = version
        made[record.value["txn"]].append(f"{resource}:{version}")
        event = told.pop((resource, version), None)
        if event is None:
            yield Violation(
                "INV-3", "lost", f"version {version} is in the state topic, and no event tells of it", resource
            )
            continue
        doc = canonical(record.value["doc"]) if record.value["kind"] == "user" else None
        if event.txn != record.value["txn"] or event.after != doc:
            yield Violation(
                "INV-9", "content", f"version {version} is another in the state topic than in its event", resource
            )
    for event in told.values():
        yield Violation(
            "INV-1", "lost", f"version {event.version} has an event, and is not in the state topic", event.resource
        )
    for txn, versions in made.items():
        if len(versions) > 1:
            yield Violation("INV-12", "doubled", f"command {txn} took effect as {', '.join(versions)}")


def _check_progress(state: Sequence[Stated]) -> Iterator[Violation]:
    """Position and numbers of a partition never go back: an owner that was fenced has written nothing (INV-10)."""
    reached: dict[tuple[int, str], int] = {}
    for record in state:
        kind = (record.value or {}).get("kind")
        if kind not in {"position", "seq"}:
            continue
        number = record.value["offset" if kind == "position" else "seq"]
        place = record.partition, record.key
        if number < reached.get(place, -1):
            text = f"{record.key} of partition {record.partition} goes back from {reached[place]} to {number}"
            yield Violation("INV-10", "doubled", text)
        reached[place] = number


def _check_refusals(state: Sequence[Stated], log: Sequence[Event], tenant: str) -> Iterator[Violation]:
    """What the log says was refused, or parked, has no effect (INV-6)."""
    effects = {event.txn: event for event in log}
    for answered in _answered(state):
        outcome = answered["outcome"]
        event = effects.get(outcome["txn"])
        if answered["tenant"] == tenant and event is not None and outcome["status"] >= 400:
            text = f"decided as {outcome['status']}, yet version {event.version} is its effect"
            yield Violation("INV-6", "late", text, event.resource)


def _answered(state: Sequence[Stated]) -> Iterator[Mapping[str, Any]]:
    for record in state:
        if (record.value or {}).get("kind") == "position":
            yield from record.value.get("answered", ())


def _check_order(commands: Sequence[Commanded], log: Sequence[Event]) -> Iterator[Violation]:
    """The versions of a resource are in the order of their commands in its partition (INV-12)."""
    places: dict[str, list[int]] = defaultdict(list)
    for command in commands:
        if command.txn is not None:
            places[command.txn].append(command.offset)
    last: dict[str, int] = {}
    for event in log:
        offsets = places.get(event.txn, [])
        # A repeat may be the one that was decided: the first may have been turned away.
        after = [offset for offset in offsets if offset > last.get(event.resource, -1)]
        if not offsets:
            yield Violation("INV-12", "content", f"version {event.version} is the effect of no command", event.resource)
        elif not after:
            text = f"version {event.version} is the effect of a command that stands before its predecessor's"
            yield Violation("INV-12", "reordered", text, event.resource)
        else:
            last[event.resource] = after[0]


def _check_parked(logs: Logs) -> Iterator[Violation]:
    """A parked command has its letter within a minute, once, and an outcome (INV-18)."""
    commands = {(one.partition, one.offset): one for one in logs.commands}
    refused = {one["outcome"]["txn"] for one in _answered(logs.state) if one["outcome"]["status"] == 500}
    letters = Counter((letter.partition, letter.offset) for letter in logs.dead)
    for letter in logs.dead:
        place = f"the command at {letter.partition}:{letter.offset}"
        command = commands.get((letter.partition, letter.offset))
        if command is None:
            yield Violation("INV-18", "content", f"{place} was parked, and is not there")
        elif letter.parked_at - command.at > POISON_LIMIT_MS:
            yield Violation(
                "INV-18", "late", f"{place} was parked after {(letter.parked_at - command.at) / 1000:.0f} s"
            )
        if letter.txn is not None and letter.txn not in refused:
            yield Violation("INV-18", "lost", f"{place} was parked, and its txn has no outcome")
        if letters[letter.partition, letter.offset] > 1:
            yield Violation("INV-18", "doubled", f"{place} was parked more than once")
