"""The decision: what a command does to the resource it names, as a function of the two and nothing else (INV-17)."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any, Final, assert_never

import msgspec

from schemas import codec, timestamps
from schemas.changes import Change, Decision, Name, NoChange, StoredResource, View
from schemas.commands import ChangeCommand, Create, Delete, Guard, Patch, Replace
from schemas.errors import KeyReused, NotFound, PreconditionFailed, ScimError, TooLarge
from schemas.filters import parse_filter
from schemas.indexing import index_entries, unique_names
from schemas.keeping import keep, keep_extensions
from schemas.matching import matches as filter_matches
from schemas.outcomes import Outcome, Refusal
from schemas.patch import apply_patch
from schemas.resource_types import RESOURCE_TYPES
from schemas.validation import check_complete
from schemas.versions import matches

MAX_IMAGE: Final = 1024 * 1024
"""The largest after-image, in bytes of JSON (``design.md`` section 3)."""
SLACK: Final = 4096
"""Room for what a record holds beside the resource."""
_canonical: Final = msgspec.json.Encoder(order="sorted")


def decide(command: ChangeCommand, view: View) -> Decision:
    """Return what the command does, given what it may look at.

    Deterministic: the time stands in the command, sequence numbers are given out later (``schemas.numbering``).
    Unique names are not looked at: a Change says which ones it acquires, and the store reserves them.
    """
    try:
        return _decide(command, view)
    except ScimError as error:
        return refusal(error)


def refusal(error: ScimError) -> Refusal:
    """Return a client's error as the refusal that an outcome can hold."""
    return Refusal(status=error.status, detail=error.detail, scim_type=error.scim_type)


def replay(command: ChangeCommand, view: View) -> Outcome | Refusal | None:
    """Return the answer that a repeated command already has, a refusal for a key's other use, or None for a first attempt.

    The same Idempotency-Key and body have the same outcome; with another body the key is refused (INV-7).
    """
    if view.answered is not None:
        return view.answered
    return None if view.keyed is None else answer_of_key(command, view.keyed)


def answer_of_key(command: ChangeCommand, first: Outcome) -> Outcome | Refusal:
    """Return the answer to a command whose Idempotency-Key has an outcome; another resource makes it another request."""
    if first.fingerprint == command.fingerprint:
        return first
    return refusal(KeyReused("this Idempotency-Key was used for another request; use a new key"))


def _decide(command: ChangeCommand, view: View) -> Decision:
    change = command.change
    if isinstance(change, Create):
        return _create(command, change, view)
    stored = view.resource
    if stored is None:
        raise NotFound(f"no {command.resource_type} has this id")
    if command.if_match is not msgspec.UNSET and not matches(command.if_match, stored.version):
        raise PreconditionFailed("the resource is at another version than If-Match names; read it again and repeat")
    if command.guard is not msgspec.UNSET and _guarded(command, command.guard, stored):
        return Refusal(status=command.guard.status, detail=command.guard.detail, scim_type=command.guard.scim_type)
    match change:
        case Replace():
            return _replace(command, change, stored)
        case Patch():
            return _patch(command, change, stored)
        case Delete():
            return _delete(command, stored)
        case _:
            assert_never(change)


def _guarded(command: ChangeCommand, guard: Guard, stored: StoredResource) -> bool:
    return filter_matches(parse_filter(guard.filter, RESOURCE_TYPES[command.resource_type]), stored.doc)


def _create(command: ChangeCommand, create: Create, view: View) -> Change:
    if view.resource is not None or view.gone:
        # Only an id derived from a key can meet an earlier resource: its outcome is forgotten, so the key is spent (CP-8).
        raise KeyReused("this Idempotency-Key was used before and its answer is no longer kept; use a new key")
    doc = _identified(command, create.body)
    text = _encoded(doc)
    names = unique_names(command.resource_type, doc)
    now = timestamps.text(command.accepted_at)
    return Change(
        command=command,
        effect="create",
        expected=0,
        status=201,
        created=now,
        modified=now,
        doc=doc,
        text=text,
        password=create.password,
        names=names,
        acquires=tuple(names.items()),
        adds=tuple(sorted(index_entries(doc))),
    )


def _replace(command: ChangeCommand, replace: Replace, stored: StoredResource) -> Change | NoChange:
    resource_type = RESOURCE_TYPES[command.resource_type]
    doc = _identified(command, replace.body)
    if replace.keeps_extensions is True:
        doc = keep_extensions(stored.doc, doc)
    if replace.keeps is not msgspec.UNSET:
        doc = keep(replace.keeps, stored.doc, doc, resource_type)
        check_complete(doc, resource_type)
    # A PUT that names no password leaves it: it could not have read it (RFC 7644 section 3.5.1, K2).
    password = stored.password if replace.password is msgspec.UNSET else replace.password
    return _next(command, "put", stored, doc, password)


def _patch(command: ChangeCommand, patch: Patch, stored: StoredResource) -> Change | NoChange:
    resource_type = RESOURCE_TYPES[command.resource_type]
    doc = apply_patch(patch.operations, stored.doc, resource_type, command.effective_rules)
    password = stored.password
    if patch.password is not msgspec.UNSET:
        password = msgspec.UNSET if patch.password is None else patch.password
    return _next(command, "patch", stored, doc, password)


def _delete(command: ChangeCommand, stored: StoredResource) -> Change:
    return Change(
        command=command,
        effect="delete",
        expected=stored.version,
        status=204,
        created=stored.created,
        modified=_later(command, stored),
        doc=None,
        names={},
        releases=tuple(stored.names.items()),
        drops=tuple(sorted(index_entries(stored.doc))),
    )


def _next(
    command: ChangeCommand, effect: Any, stored: StoredResource, doc: dict[str, Any], password: str | msgspec.UnsetType
) -> Change | NoChange:
    """Return the change from the stored resource to ``doc``, or NoChange where there is no difference (L4)."""
    if password == stored.password and _same(doc, stored.doc):
        return NoChange(stored)
    text = _encoded(doc)
    names = unique_names(command.resource_type, doc)
    releases, acquires = _apart(stored.names.items(), names.items())
    drops, adds = _apart(index_entries(stored.doc), index_entries(doc))
    active = doc.get("active")
    return Change(
        command=command,
        effect=effect,
        expected=stored.version,
        status=200,
        created=stored.created,
        modified=_later(command, stored),
        doc=doc,
        text=text,
        password=password,
        names=names,
        acquires=acquires,
        releases=releases,
        adds=adds,
        drops=drops,
        flipped=active if isinstance(active, bool) and active != stored.doc.get("active") else None,
    )


def _apart(old: AbstractSet[Name], new: AbstractSet[Name]) -> tuple[tuple[Name, ...], tuple[Name, ...]]:
    """Return what is only in ``old`` and what is only in ``new``."""
    return ((), ()) if old == new else (tuple(sorted(old - new)), tuple(sorted(new - old)))


def _same(doc: dict[str, Any], stored: dict[str, Any]) -> bool:
    """Tell whether two resources are the same JSON, members in whatever order.

    Python alone would not tell ``1`` from ``true`` in an extension that is kept as sent, and so lose a change.
    """
    return doc == stored and _canonical.encode(doc) == _canonical.encode(stored)


def _identified(command: ChangeCommand, body: dict[str, Any]) -> dict[str, Any]:
    """Return the body with the id the server gave it, behind ``schemas``."""
    return {"schemas": body["schemas"], "id": command.resource_id, **body}


def _encoded(doc: dict[str, Any]) -> bytes:
    """Return the resource as JSON; raises TooLarge where its record would be too large for the log."""
    text = codec.encode(doc)
    if len(text) > MAX_IMAGE - SLACK:
        raise TooLarge(f"the resource would exceed {MAX_IMAGE} bytes; remove values before you add others")
    return text


def _later(command: ChangeCommand, stored: StoredResource) -> str:
    """Return the time of the change; never before the one it follows, whatever the gateways' clocks say (CP-30)."""
    return max(timestamps.text(command.accepted_at), stored.modified)
