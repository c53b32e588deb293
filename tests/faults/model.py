"""A small model of PUT and PATCH, enough for what the load sends; it shares no code with the server (INV-17)."""

from __future__ import annotations

import copy
import re
import unicodedata
from typing import Any, Final

Doc = dict[str, Any]

_PATH: Final = re.compile(
    r"^(?:(?P<urn>urn:[\w:.]*:User):)?(?P<name>\w+)(?:\[(?P<key>\w+) eq \"(?P<value>[^\"]*)\"\])?(?:\.(?P<sub>\w+))?$"
)


def fold(name: str) -> str:
    """Return the form in which names are compared (``design.md`` section 5)."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def canonical(doc: Doc) -> Doc:
    """Return a resource without what is derived or unassigned, in a form that two of can be compared with ``==``."""
    kept = {name: value for name, value in doc.items() if name not in {"meta", "password", "groups"}}
    cleaned: Doc = _clean(kept)
    if "schemas" in cleaned:
        cleaned["schemas"] = sorted(cleaned["schemas"])
    return cleaned


def apply(verb: str, resource: str, body: Any, doc: Doc | None) -> Doc | None:
    """Return the canonical resource that a write leaves, None after a delete.

    Raises ValueError for a PATCH form that the load does not send.
    """
    if verb == "delete":
        return None
    if verb in {"create", "replace"}:
        return canonical({**body, "id": resource})
    changed = copy.deepcopy(doc or {})
    for operation in body["Operations"]:
        _operate(operation["op"].lower(), operation.get("path"), operation.get("value"), changed)
    return canonical({**changed, "id": resource})


def name_wanted(verb: str, body: Any) -> str | None:
    """Return the userName that a write asks for, or None where it leaves the name alone."""
    if verb in {"create", "replace"}:
        return str(body["userName"])
    if verb == "patch":
        for operation in body["Operations"]:
            if operation.get("path") == "userName":
                return str(operation["value"])
            if operation.get("path") is None and "userName" in operation["value"]:
                return str(operation["value"]["userName"])
    return None


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        cleaned = {name: _clean(child) for name, child in value.items()}
        return {name: child for name, child in cleaned.items() if child is not None and child not in ([], {})}
    if isinstance(value, list):
        return [_clean(child) for child in value]
    return value


def _operate(op: str, path: str | None, value: Any, doc: Doc) -> None:
    if path is None:
        for name, child in value.items():
            _assign(doc, name, child, appends=op == "add")
        return
    match = _PATH.match(path)
    if match is None:
        raise ValueError(f"the model has no PATCH path {path}")
    urn, name, sub = match["urn"], match["name"], match["sub"]
    if urn and op != "remove":
        doc["schemas"] = sorted({*doc.get("schemas", []), urn})
    parent: Doc = doc.setdefault(urn, {}) if urn else doc
    if match["key"] is not None:
        _operate_on_elements(op, parent, name, (match["key"], match["value"]), sub, value)
    elif op == "remove":
        (parent.get(name, {}) if sub else parent).pop(sub or name, None)
    elif sub:
        parent.setdefault(name, {})[sub] = value
    else:
        _assign(parent, name, value, appends=op == "add")
    if urn and not doc.get(urn):
        # L11: the URN leaves `schemas` with the last attribute of the extension.
        doc.pop(urn, None)
        doc["schemas"] = [schema for schema in doc.get("schemas", []) if schema != urn]


def _operate_on_elements(op: str, doc: Doc, name: str, term: tuple[str, str], sub: str | None, value: Any) -> None:
    elements: list[Doc] = doc.get(name, [])
    hits = [element for element in elements if str(element.get(term[0], "")).casefold() == term[1].casefold()]
    if op == "remove" and sub is None:
        doc[name] = [element for element in elements if element not in hits]
        return
    if op == "add" and not hits:
        # L6: the element is built from the filter.
        hits = [{term[0]: term[1]}]
        doc[name] = [*elements, *hits]
    for element in hits:
        if op == "remove" and sub:
            element.pop(sub, None)
        elif sub:
            element[sub] = value
        else:
            element.update(value)


def _assign(doc: Doc, name: str, value: Any, *, appends: bool) -> None:
    held = doc.get(name)
    if isinstance(value, dict) and isinstance(held, dict):
        held.update(value)
    elif isinstance(value, list) and appends:
        doc[name] = [*(held or []), *(element for element in value if element not in (held or []))]
    else:
        doc[name] = value
