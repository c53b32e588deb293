"""What a command may look at, out of what Redis has stored of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from consumers.backends.redis_records import is_live, is_of_type, resource_of
from schemas.changes import StoredResource, View
from schemas.commands import ChangeCommand
from schemas.outcomes import decode_outcome


def view_of(
    command: ChangeCommand,
    value: bytes | None,
    answer: bytes | None,
    outcomes: Mapping[tuple[str, Any], bytes | None],
    resources: dict[bytes, StoredResource],
) -> View:
    """Return the command's view.

    ``value`` is what is stored of the resource, ``answer`` the outcome of this very command, ``outcomes`` are those by
    tenant and Idempotency-Key; ``resources`` those of this batch that were read already, to which this one is added.
    """
    if value is not None and not is_of_type(value, command.resource_type):
        value = None
    live = value is not None and is_live(value)
    resource = None
    if value is not None and live:
        resource = resources.get(value) or resources.setdefault(value, resource_of(value))
    keyed = None if command.key is msgspec.UNSET else outcomes[command.tenant, command.key]
    return View(
        resource=resource,
        gone=value is not None and not live,
        answered=None if answer is None else decode_outcome(answer),
        keyed=None if keyed is None else decode_outcome(keyed),
        size=0 if value is None else len(value),
    )
