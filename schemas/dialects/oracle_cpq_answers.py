"""A user as Oracle CPQ answers it: ``user-response``, SCIM's attributes with CPQ's own in ``extensionUser``."""

from __future__ import annotations

from typing import Any, Final

from schemas import urns
from schemas.dialects.dialect import Shown, Violations
from schemas.dialects.oracle_cpq_fields import HOMES, URN, coded_value, home_value
from schemas.dialects.oracle_cpq_views import with_views
from schemas.notation import find_key
from schemas.resource_types import USER
from schemas.versions import etag

_HIDDEN: Final = frozenset({"password", *(name.lower() for name, home in HOMES.items() if not home.coded)})
_CODED: Final = {name.lower(): name for name, home in HOMES.items() if home.coded}


def user_response(shown: Shown) -> dict[str, Any]:
    """Return the user in the shape of the document.

    Of one that is deleted only what is left: its identity.
    """
    doc = shown.doc
    core = {name: value for name, value in doc.items() if ":" not in name}
    if "userName" in core:
        core.setdefault("active", True)
    meta = {"resourceType": USER.name, "created": shown.created, "lastModified": shown.modified}
    core["meta"] = {name: value for name, value in meta.items() if value is not None} | {
        "location": shown.location,
        "version": etag(shown.version),
    }
    listed = [urns.USER]
    if urns.ENTERPRISE_USER in doc:
        listed.append(urns.ENTERPRISE_USER)
        core["enterpriseUser"] = _enterprise_user(doc[urns.ENTERPRISE_USER], shown.manager)
    fields = _extension_user(doc)
    if fields:
        listed.append(URN)
        core["extensionUser"] = fields
    return core | {"schemas": listed}


def _enterprise_user(members: dict[str, Any], manager: str | None) -> dict[str, Any]:
    if manager is None:
        return members
    return members | {"manager": members["manager"] | {"displayName": manager}}


def _extension_user(doc: dict[str, Any]) -> dict[str, Any]:
    """Return the native fields: as they were sent, but none whose home says something else by now."""
    key = find_key(doc, URN)
    stored = {} if key is None else doc[key]
    fields = {
        name: value
        for name, value in stored.items()
        if name.lower() not in _HIDDEN and (name.lower() not in _CODED or _agrees(_CODED[name.lower()], value, doc))
    }
    return with_views(fields)


def _agrees(name: str, field: Any, doc: dict[str, Any]) -> bool:
    """Tell whether the home of a coded field has the value that the field has: SCIM's clients write there alone."""
    home = HOMES[name]
    try:
        value = coded_value(name, field) if isinstance(field, dict) else None
    except Violations:
        return False
    there = home_value(home, doc)
    return (home.default if value is None else value) == (home.default if there is None else there)
