"""Change commands: what a gateway asks the owner of a resource to do, as it stands in the command log."""

from __future__ import annotations

from typing import Any, Final, Literal, assert_never

import msgspec

from schemas.patch_requests import Operation
from schemas.rules import Rules

DEFAULT_RULES: Final = Rules()


class Create(msgspec.Struct, frozen=True, tag="create", tag_field="verb"):
    """Create the resource ``resource_id`` (RFC 7644 section 3.3)."""

    body: dict[str, Any]
    """The resource in canonical form, without ``id`` and ``password``."""
    password: str | msgspec.UnsetType = msgspec.UNSET
    """The argon2id hash of the password that came with it; clear text never leaves the gateway."""


class Replace(msgspec.Struct, frozen=True, tag="replace", tag_field="verb"):
    """Replace the resource (RFC 7644 section 3.5.1)."""

    body: dict[str, Any]
    password: str | msgspec.UnsetType = msgspec.UNSET
    keeps: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    """Attribute paths that stay as they are stored where the body omits them: the tenant's list, a dialect's blind spots."""
    keeps_extensions: bool | msgspec.UnsetType = msgspec.UNSET
    """True where extensions of whatever URN stay if the body omits them: a dialect that knows none cannot list them."""


class Patch(msgspec.Struct, frozen=True, tag="patch", tag_field="verb"):
    """Apply PATCH operations, all or none (RFC 7644 section 3.5.2)."""

    operations: tuple[Operation, ...]
    password: str | msgspec.UnsetType | None = msgspec.UNSET
    """A hash to set, or None to remove the stored one."""


class Delete(msgspec.Struct, frozen=True, tag="delete", tag_field="verb"):
    """Delete the resource (RFC 7644 section 3.6)."""


Verb = Create | Replace | Patch | Delete


class Guard(msgspec.Struct, frozen=True):
    """A refusal that the stored resource may earn: ``filter`` is evaluated on it, a match refuses the command."""

    filter: str
    status: int
    detail: str
    scim_type: str | None = None


class ChangeCommand(msgspec.Struct, frozen=True, kw_only=True):
    """One change to one resource, complete: a worker needs nothing else but the stored state to decide it."""

    v: Literal[1] = 1
    txn: str
    """The command's id, and RFC 9967's ``txn``."""
    tenant: str
    resource_type: str
    resource_id: str
    change: Verb
    accepted_at: int
    """Milliseconds since 1970, by the gateway's clock."""
    budget: int
    """Milliseconds after ``accepted_at`` within which the command must be decided; 0 for no end: nobody waits for it."""
    principal: str
    """Who asks: the name of the token or the subject of the JWT, for the audit trail and the rules on repeats."""
    fingerprint: str
    gateway: str
    """The gateway that waits, by the id it took at its start; "" where nobody does."""
    if_match: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    key: str | msgspec.UnsetType = msgspec.UNSET
    """The Idempotency-Key, hashed (``schemas.ids.key_hash``)."""
    rules: Rules | msgspec.UnsetType = msgspec.UNSET
    """The tenant's rules where they differ from the default."""
    guard: Guard | msgspec.UnsetType = msgspec.UNSET
    traceparent: str | msgspec.UnsetType = msgspec.UNSET
    redrives: str | msgspec.UnsetType = msgspec.UNSET
    """The ``txn`` of the parked command that this one does again."""

    @property
    def effective_rules(self) -> Rules:
        """The rules to decide by."""
        return DEFAULT_RULES if self.rules is msgspec.UNSET else self.rules

    @property
    def address(self) -> tuple[str, str, str]:
        """Tenant, resource type and id: what no two resources share."""
        return self.tenant, self.resource_type, self.resource_id


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(ChangeCommand)


def encode_command(command: ChangeCommand) -> bytes:
    """Return the command as it stands in the log."""
    return _encoder.encode(command)


def decode_command(value: bytes) -> ChangeCommand:
    """Read a command from the log; raises msgspec.ValidationError for a kind or schema number it does not know."""
    return _decoder.decode(value)


def verb_of(command: ChangeCommand) -> Literal["create", "replace", "patch", "delete"]:
    """Return the command's verb as it stands in the log and in metrics."""
    match command.change:
        case Create():
            return "create"
        case Replace():
            return "replace"
        case Patch():
            return "patch"
        case Delete():
            return "delete"
        case _:
            assert_never(command.change)
