"""The parts of Oracle CPQ's ``extensionUser`` that say in another way what other native fields of it say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_KINDS: Final = {"billing": "bill", "shipping": "ship"}
_PLACES: Final = {"locality": "City", "region": "StateProvince", "postalCode": "Zip", "country": "Country"}
_NAMES: Final = {"firstName": "FirstName", "lastName": "LastName"}


def with_views(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields with ``addresses`` and the full names derived from them, where they do not have some themselves."""
    taken = {name.lower() for name in fields}
    return {**fields, **{name: view for name, view in _views(fields).items() if name.lower() not in taken}}


def without_views(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields without what is only an answer's view of the others, sent back as it was."""
    views = {name.lower(): view for name, view in _views(fields).items()}
    return {name: value for name, value in fields.items() if views.get(name.lower()) != value}


def _views(fields: Mapping[str, Any]) -> dict[str, Any]:
    texts = {name.lower(): value for name, value in fields.items() if isinstance(value, str) and value}
    views: dict[str, Any] = {}
    addresses = [address for kind, prefix in _KINDS.items() if (address := _address(kind, prefix, texts))]
    if addresses:
        views["addresses"] = addresses
    for kind, prefix in _KINDS.items():
        name = _renamed(_NAMES, prefix, texts)
        if name:
            views[f"{kind}FullName"] = name
    return views


def _address(kind: str, prefix: str, texts: Mapping[str, str]) -> dict[str, str] | None:
    lines = [texts[line] for line in (f"{prefix}address1", f"{prefix}address2") if line in texts]
    address = {"streetAddress": "\n".join(lines)} if lines else {}
    address |= _renamed(_PLACES, prefix, texts)
    return {"type": kind, **address} if address else None


def _renamed(names: Mapping[str, str], prefix: str, texts: Mapping[str, str]) -> dict[str, str]:
    """Return the texts of the fields that begin so, under the names they have in a view."""
    return {name: texts[key] for name, field in names.items() if (key := f"{prefix}{field}".lower()) in texts}
