"""What a dialect is: a documented service's wire contract, translated into this server's commands and back.

A dialect is pure: the gateway authenticates, reads the body, hashes the password, submits the command and looks up what
an answer shows; what was asked and how the answer reads is the dialect's. Nothing else in the product knows its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

import msgspec

from schemas.commands import Create, Guard, Patch, Replace
from schemas.errors import InvalidValue
from schemas.memberships import Membership
from schemas.rules import Rules

Operation = Literal["create", "read", "replace", "patch"]
Derived = Literal["groups", "manager"]


class Route(msgspec.Struct, frozen=True):
    """One documented operation, or the ``read`` beside it."""

    method: str
    path: str
    """Of the user, with ``{id}`` as its last segment; for a ``create`` the collection, without a slash at its end."""
    operation: Operation
    override: str | None = None
    """What ``X-HTTP-Method-Override`` must say for the method to stand for this operation."""


class Asked(msgspec.Struct, frozen=True):
    """What a dialect may know of a request besides its body."""

    operation: Operation
    path: str
    """As it was sent, percent-encoded, without the query."""
    query: Mapping[str, str]
    """The first value of each parameter, decoded."""


class Translated(msgspec.Struct, frozen=True):
    """What a request's body asks for."""

    change: Create | Replace | Patch
    """Without a password. A Create's and a Replace's body has no ``id`` either; the Replace's ``keeps`` and
    ``keeps_extensions`` name what the dialect cannot express."""
    password: str | msgspec.UnsetType | None = msgspec.UNSET
    """In clear; None removes the stored one."""
    guard: Guard | msgspec.UnsetType = msgspec.UNSET


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A user as an answer may tell it."""

    doc: dict[str, Any]
    """In canonical form; only ``schemas`` and ``id`` of one that was deleted since the change that is answered again."""
    version: int
    location: str
    """The URI of the user on the route that was used."""
    created: str | None
    modified: str | None
    groups: tuple[Membership, ...] = ()
    """In the order of their ids; looked up only for a dialect that ``derives`` them."""
    manager: str | None = None
    """The name of the user's manager for display; looked up only for a dialect that ``derives`` it."""


class Refused(msgspec.Struct, frozen=True):
    """An error to be told."""

    status: int
    detail: str
    path: str
    """Of the request, as ``Asked.path``."""
    scim_type: str | None = None
    violations: tuple[str, ...] = ()
    """What is wrong with the body, one sentence each that names the field; none for other errors."""


class Answer(msgspec.Struct, frozen=True):
    """An answer in the dialect. The gateway adds ``ETag``, ``Retry-After``, ``WWW-Authenticate``, ``Allow`` and ids."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Violations(InvalidValue):
    """A body that is not of its documented shape, with everything that is wrong with it."""

    def __init__(self, violations: tuple[str, ...]) -> None:
        super().__init__("; ".join(violations))
        self.violations = violations


class Dialect(Protocol):
    """One service's contract."""

    @property
    def name(self) -> str:
        """The word for it in the tenants file."""
        ...

    @property
    def routes(self) -> tuple[Route, ...]:
        """What is served."""
        ...

    @property
    def prefixes(self) -> tuple[str, ...]:
        """Paths below which whatever is not served is refused in this dialect's form, without a slash at their end."""
        ...

    @property
    def schemes(self) -> frozenset[str]:
        """The schemes of the Authorization header that may carry the token, in lower case."""
        ...

    @property
    def media_types(self) -> frozenset[str]:
        """What a body may be declared to be."""
        ...

    def derives(self, asked: Asked) -> frozenset[Derived]:
        """Return what the answer to this shows beside the stored resource: only that is looked up."""
        ...

    @property
    def rules(self) -> Rules:
        """The switches to decide its commands by: a tenant's profile is about SCIM clients, not about this contract's."""
        ...

    def translate(self, asked: Asked, body: bytes, preserves: tuple[str, ...]) -> Translated:
        """Return what the body asks for.

        ``preserves`` are the paths that the tenant keeps from every replace (``Rules.put_preserves``).
        Raises Violations or another ScimError.
        """
        ...

    def answer(self, asked: Asked, status: int, shown: Shown) -> Answer:
        """Return the answer of a read or a change that succeeded with this status of SCIM's (201, 200)."""
        ...

    def refuse(self, refused: Refused) -> Answer:
        """Return an error in the form of the service."""
        ...
