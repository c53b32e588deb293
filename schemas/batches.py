"""One batch of commands decided in order, each seeing what those before it will leave (CP-17 to CP-21)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from schemas.changes import Change, Decision, Name, NoChange, View
from schemas.commands import ChangeCommand, verb_of
from schemas.decide import decide, replay
from schemas.errors import KeyReused
from schemas.outcomes import Outcome, Refusal


class Expired(msgspec.Struct, frozen=True):
    """The command's budget was over before it could be decided: it never will be (INV-13)."""


class Full(msgspec.Struct, frozen=True):
    """No outcome can be kept under the command's Idempotency-Key: it is not decided, now."""


class Crashed(msgspec.Struct, frozen=True):
    """Deciding the command raised what no decision may raise: a defect of ours, which must not stop its neighbours."""

    error: Exception


Step = Decision | Outcome | Expired | Full | Crashed


MOST_BYTES: Final = 8 * 1024 * 1024
"""Bytes of resources that a batch looks at or leaves, not counting its last: what one transaction may hold (CP-22)."""


def _never() -> bool:
    return False


def plan(
    commands: Sequence[ChangeCommand],
    views: Sequence[View],
    now: int,
    margin: int,
    *,
    full: bool = False,
    enough: Callable[[], bool] = _never,
) -> list[Step]:
    """Decide commands in order; ``views[i]`` is what the store holds for ``commands[i]``.

    Returns what the batch comes to before names are reserved: one step for each command that was taken.

    ``now`` and ``margin`` in milliseconds: a command is decided only before ``accepted_at + budget - margin`` (CP-18).
    ``full``: whether no outcome can be kept under a further Idempotency-Key.
    ``enough``: asked behind each step, whether others have waited long enough for the thread: the batch ends there.

    The batch is cut, never reordered: it ends before a command whose answer hangs on whether an earlier one gets the
    names or the key it asks for, and before a second delivery of one that stands in it (CP-17). So a refusal at
    reserve never undoes a decision behind it (CP-19), a resource acquires names at most once a batch (CP-21), and
    only a committed holder answers 409 (CP-20). The first command is always taken.
    """
    steps: list[Step] = []
    size = 0
    changed: dict[tuple[str, str, str], Change] = {}
    awaiting: set[tuple[str, str, str]] = set()
    names: set[tuple[str, Name]] = set()
    keys: set[tuple[str, str]] = set()
    txns: set[tuple[str, str]] = set()
    for command, view in zip(commands, views, strict=True):
        address = command.address
        key = None if command.key is msgspec.UNSET else (command.tenant, command.key)
        txn = (command.tenant, command.txn)
        if address in awaiting or key in keys or txn in txns or size > MOST_BYTES:
            break
        chained = _chained(view, changed.get(address))
        step = _step(command, chained, now, margin, full=full)
        if isinstance(step, Decision):
            size += chained.size
        if isinstance(step, Change):
            acquired = {(command.tenant, name) for name in step.acquires}
            if acquired & names:
                break
            names |= acquired
            changed[address] = step
            size += len(step.text)
            if acquired or key is not None:
                awaiting.add(address)
        if key is not None:
            keys.add(key)
        txns.add(txn)
        steps.append(step)
        if enough():
            break
    return steps


def is_late(command: ChangeCommand, now: int, margin: int) -> bool:
    """Tell whether it is too late to decide the command: ``margin`` is what making it durable may take (CP-18)."""
    return bool(command.budget) and now >= command.accepted_at + command.budget - margin


def _chained(view: View, earlier: Change | None) -> View:
    if earlier is None:
        return view
    resource = earlier.resource()
    return View(resource, gone=resource is None, answered=view.answered, keyed=view.keyed, size=len(earlier.text))


def _step(command: ChangeCommand, view: View, now: int, margin: int, *, full: bool) -> Step:
    try:
        answer = replay(command, view)
        if answer is not None:
            return answer
        if is_late(command, now, margin):
            return Expired()
        if full and command.key is not msgspec.UNSET:
            return Full()
        return decide(command, view)
    except Exception as error:  # noqa: BLE001 - any defect in deciding one command; the others must go on
        return Crashed(error)


def key_of(command: ChangeCommand, decision: Change | NoChange | Refusal) -> str | None:
    """Return the Idempotency-Key under which the decision's outcome is kept, and which is reserved for it (CP-30)."""
    if command.key is msgspec.UNSET or decision.status == KeyReused.status:
        # A refused use does not own the key: in a replay it might come before the request that does (INV-7).
        return None
    return command.key


def repeated(command: ChangeCommand, first: Outcome) -> Outcome:
    """Return the outcome to store for a command that gets the answer of an earlier one.

    Without it a caller whose reply is lost finds nothing under his txn and waits until his budget ends (CP-27). The
    Idempotency-Key and the name of the unseen answer stay with the first.
    """
    return msgspec.structs.replace(
        first, txn=command.txn, key=None, unseen=None, gateway=command.gateway, decided_at=command.accepted_at
    )


def outcome_of(command: ChangeCommand, decision: Change | NoChange | Refusal, unseen: str | None) -> Outcome:
    """Return the outcome to store for a decision; ``unseen`` names a create so that its repeat is recognised."""
    version, error = 0, None
    if isinstance(decision, Change):
        version = decision.version
    elif isinstance(decision, NoChange):
        version = decision.resource.version
    else:
        error = decision
    return Outcome(
        txn=command.txn,
        status=decision.status,
        resource_type=command.resource_type,
        resource_id=command.resource_id,
        version=version,
        error=error,
        verb=verb_of(command),
        fingerprint=command.fingerprint,
        key=key_of(command, decision),
        unseen=unseen,
        gateway=command.gateway,
        decided_at=command.accepted_at,
    )
