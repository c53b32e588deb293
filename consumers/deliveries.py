"""From a record of the command topic to a command, or to the outcome of what is none (CP-18, INV-18)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import msgspec

from consumers.partition_ports import Delivered
from consumers.takeover import Belongs
from schemas.commands import ChangeCommand, Create, decode_command, verb_of
from schemas.dead_letters import Envelope
from schemas.outcomes import Outcome, Refusal

LONGEST_WORD: Final = 1024
MOST_APART_MS: Final = 24 * 3600 * 1000
"""No gateway's clock is that far from the brokers': it would not be ready."""
_TENANT: Final = re.compile("[a-z0-9][a-z0-9-]{0,62}")
_RESOURCE_ID: Final = re.compile("[A-Za-z0-9-]{1,64}")


def decoded(delivered: Delivered, belongs: Belongs) -> ChangeCommand | None:
    """Return the command, accepted no later than it was appended, by the broker's clock (CP-18); None for what is none."""
    try:
        command = decode_command(delivered.value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not _is_gateways(command, delivered) or not belongs(command.tenant, command.resource_id):
        return None
    if command.accepted_at > delivered.appended_at:
        # A gateway's clock that is ahead gives no longer budget, no longer life to the outcome, and no time to come.
        return msgspec.structs.replace(command, accepted_at=delivered.appended_at)
    return command


def _is_gateways(command: ChangeCommand, delivered: Delivered) -> bool:
    """Tell whether a gateway may have written this: what none writes must not stop a partition.

    Keys of records and of the store are made of tenant and id. An id that makes no resource may be anything that a caller
    put into a path.
    """
    resource_id = command.resource_id
    return (
        delivered.key == f"{command.tenant}/{resource_id}"
        and _is_tenant(command.tenant)
        and (not isinstance(command.change, Create) or _RESOURCE_ID.fullmatch(resource_id) is not None)
        and len(command.txn) <= LONGEST_WORD
        and len(resource_id) <= LONGEST_WORD
        and len(command.gateway) <= LONGEST_WORD
        and len(command.principal) <= LONGEST_WORD
        and len(command.fingerprint) <= LONGEST_WORD
        and (command.key is msgspec.UNSET or len(command.key) <= LONGEST_WORD)
    )


@lru_cache(maxsize=1024)
def _is_tenant(name: str) -> bool:
    return _TENANT.fullmatch(name) is not None


def failure(command: ChangeCommand) -> Outcome:
    """Return the outcome of a command that will not be decided.

    Without its Idempotency-Key, which would answer 500 for a day: a repeat may well succeed.
    """
    envelope = Envelope(command.txn, command.tenant, command.gateway, command.resource_type)
    return msgspec.structs.replace(
        _failure(envelope, command.accepted_at),
        resource_id=command.resource_id,
        verb=verb_of(command),
        fingerprint=command.fingerprint,
    )


def failure_of_none(envelope: Envelope, appended_at: int) -> Outcome:
    """Return the outcome of what is no command; what cannot be read of it is left empty."""
    apart = abs(envelope.accepted_at - appended_at)
    return _failure(envelope, envelope.accepted_at if apart <= MOST_APART_MS else appended_at)


def _failure(envelope: Envelope, decided_at: int) -> Outcome:
    detail = "the server could not apply this change and has set it aside for its operators"
    return Outcome(
        txn=envelope.txn or "",
        status=500,
        resource_type=envelope.resource_type,
        resource_id=envelope.resource_id,
        error=Refusal(status=500, detail=detail),
        verb="create",
        fingerprint=envelope.fingerprint,
        gateway=envelope.gateway or "",
        decided_at=decided_at,
    )
