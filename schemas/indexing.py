"""Which values of a resource are unique names, and which are looked up by index."""

from __future__ import annotations

from typing import Any

from schemas.changes import Name
from schemas.folding import fold


def unique_names(resource_type: str, doc: dict[str, Any]) -> dict[str, str]:
    """Return the names that only one live resource of the tenant may hold, folded, by attribute (RFC 7643 section 4.1.1)."""
    if resource_type == "User":
        return {"userName": fold(doc["userName"])}
    return {}


def index_entries(doc: dict[str, Any]) -> frozenset[Name]:
    """Return the entries under which the resource is found: ``externalId``, which is caseExact (RFC 7643 section 3.1)."""
    external_id = doc.get("externalId")
    return frozenset() if external_id is None else frozenset({("externalId", external_id)})
