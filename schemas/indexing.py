"""Which values of a resource are unique names, and which are looked up by index."""

from __future__ import annotations

from typing import Any

from schemas.changes import Name
from schemas.commands import ChangeCommand, Create, Replace
from schemas.folding import fold


def unique_names(resource_type: str, doc: dict[str, Any]) -> dict[str, str]:
    """Return the names that only one live resource of the tenant may hold, folded, by attribute (RFC 7643 section 4.1.1)."""
    if resource_type == "User":
        return {"userName": fold(doc["userName"])}
    return {}


def wanted_names(command: ChangeCommand) -> tuple[Name, ...]:
    """Return the names that the command will ask for if it is applied, as far as it tells them by itself.

    A store may look them up together with what ``decide`` looks at; what a PATCH comes to is only known afterwards.
    A body without a name is for ``decide`` to fail on, alone: this one must not fail its neighbours too.
    """
    match command.change:
        case Create(body=body) | Replace(body=body) if isinstance(body.get("userName"), str):
            return tuple(unique_names(command.resource_type, body).items())
        case _:
            return ()


def index_entries(doc: dict[str, Any]) -> frozenset[Name]:
    """Return the entries under which the resource is found: ``externalId``, which is caseExact (RFC 7643 section 3.1)."""
    external_id = doc.get("externalId")
    return frozenset() if external_id is None else frozenset({("externalId", external_id)})
