"""From the PATCH bodies that clients send to operations in canonical form (RFC 7644 section 3.5.2, ``scim.md`` section 3).

Every tolerated oddity ends here. What comes out has paths in the table's spelling and values that ``schemas.validation``
passed; ``schemas.patch`` applies it, the command log and the events carry it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec

from schemas import urns
from schemas.attributes import Attribute, ResourceType
from schemas.errors import InvalidPath, InvalidSyntax, InvalidValue, NoTarget
from schemas.json_values import check_json, shown
from schemas.paths import Path, check_writable, is_required, parse_path
from schemas.removals import selecting_paths
from schemas.rules import Rules
from schemas.validation import (
    canonical_urn,
    conform_attribute,
    conform_element,
    conform_extension,
    is_extension_name,
)

MAX_OPERATIONS: Final = 500
"""Operations in one request."""
MAX_TOUCHED: Final = 10_000
"""Values that the operations of one request may add, change or remove."""

Verb = Literal["add", "remove", "replace"]
_VERBS: Final[dict[str, Verb]] = {"add": "add", "remove": "remove", "replace": "replace"}


class Operation(msgspec.Struct, frozen=True, omit_defaults=True):
    """One operation in canonical form; without a path its value holds extensions that no schema here describes."""

    op: Verb
    path: str | None = None
    value: Any = msgspec.UNSET


class PatchRequest(msgspec.Struct, frozen=True):
    """What a PATCH asks for, the password apart from the rest."""

    operations: tuple[Operation, ...]
    password: str | msgspec.UnsetType | None = msgspec.UNSET
    """In clear; None removes it. The last operation on it counts."""


def normalise(body: object, resource_type: ResourceType, rules: Rules) -> PatchRequest:
    """Return the operations of a PATCH body; there may be none where all of them asked for nothing.

    Raises InvalidSyntax for a body or operation of another shape, InvalidPath and InvalidFilter for a path, NoTarget for
    a removal without one, Mutability for a path to what may not be changed so, InvalidValue for a value that is not of
    its attribute's type and for more than MAX_OPERATIONS.
    """
    if not isinstance(body, dict):
        raise InvalidSyntax("The body must be a JSON object.")
    check_json(body, "The body")
    members = _folded(body)
    if not rules.patch_without_schemas:
        _check_schemas(members.get("schemas"))
    sent = members.get("operations")
    if not isinstance(sent, list) or not sent:
        raise InvalidSyntax("Operations must be an array of at least one operation.")
    if len(sent) > MAX_OPERATIONS:
        raise InvalidValue(f"A PATCH may hold {MAX_OPERATIONS} operations; send the rest in another request.")
    normaliser = _Normaliser(resource_type, rules)
    for operation in sent:
        normaliser.take(operation)
    if sum(len(each.value) if isinstance(each.value, list) else 1 for each in normaliser.operations) > MAX_TOUCHED:
        raise InvalidValue(f"A PATCH may touch {MAX_TOUCHED} values; send the rest in another request.")
    return PatchRequest(tuple(normaliser.operations), normaliser.password)


def patch_document(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the operations as a PatchOp document (RFC 7644 section 3.5.2), of plain dicts and lists."""
    return {"schemas": [urns.PATCH_OP], "Operations": msgspec.to_builtins([*operations])}


def _folded(members: dict[str, Any]) -> dict[str, Any]:
    return {name.lower(): value for name, value in members.items()}


def _check_schemas(sent: object) -> None:
    wanted = urns.PATCH_OP.lower()
    if not isinstance(sent, list) or not any(isinstance(urn, str) and urn.lower() == wanted for urn in sent):
        raise InvalidSyntax(f"schemas must list {urns.PATCH_OP}.")


class _Normaliser:
    """Collects the canonical operations of one request."""

    def __init__(self, resource_type: ResourceType, rules: Rules) -> None:
        self.operations: list[Operation] = []
        self.password: str | msgspec.UnsetType | None = msgspec.UNSET
        self._resource_type = resource_type
        self._rules = rules

    def take(self, sent: object) -> None:
        """Add what one operation of the request asks for."""
        if not isinstance(sent, dict):
            raise InvalidSyntax("An operation must be an object with op, path and value.")
        members = _folded(sent)
        verb = _VERBS.get(str(members.get("op")).lower())
        if verb is None:
            raise InvalidSyntax("op must be add, remove or replace.")
        text = members.get("path")
        if text is not None and not isinstance(text, str):
            raise InvalidPath("path must be a string.")
        if verb == "remove":
            if not text:
                raise NoTarget("A remove operation must have a path.")
            self._remove(self._path(text), members.get("value"))
            return
        if "value" not in members:
            raise InvalidSyntax(f"The operation {verb} must have a value.")
        if text:
            self._assign(verb, self._path(text), members["value"])
        elif isinstance(members["value"], dict):
            self._members(verb, members["value"])
        else:
            raise InvalidValue(f"The value of an operation {verb} without a path must be an object.")

    def _path(self, text: str) -> Path:
        return parse_path(text, self._resource_type, bare_words=self._rules.bare_filter_words)

    def _remove(self, path: Path, value: object) -> None:
        check_writable(path, "remove")
        if _is_password(path):
            self.password = None
        elif self._rules.remove_by_value and (attribute := _selected(path, value)) is not None:
            paths = selecting_paths(path.name, attribute, value, self._rules)
            self.operations.extend(Operation("remove", selecting) for selecting in paths)
        else:
            self.operations.append(Operation("remove", path.text))

    def _assign(self, verb: Verb, path: Path, value: object) -> None:
        """Add what ``add`` or ``replace`` with a path asks for."""
        check_writable(path, verb)
        if self._unassigns(verb, path, value):
            self._unassign(path)
            return
        if _is_nothing(value):
            return
        canonical = self._conformed(path, value)
        if _is_password(path):
            self.password = canonical
        elif canonical is not None:
            self.operations.append(Operation(verb, path.text, canonical))
        if isinstance(value, dict):
            self._unassign_members(verb, path, value)

    def _unassigns(self, verb: Verb, path: Path, value: object) -> bool:
        """Tell whether the value asks for what the path names to be removed.

        RFC 7643 section 2.5: null and ``[]`` mean unassigned; to add what is not there adds nothing. Where one string
        stands for a complex value, ``""`` stands for none, and so it does for its ``value`` alone.
        """
        if _is_nothing(value):
            return verb == "replace"
        attribute = path.attribute
        single = attribute is not None and attribute.type == "complex" and not attribute.multi_valued
        named = path.sub is None or path.sub.name == "value"
        return value == "" and single and named and self._rules.complex_from_string

    def _unassign(self, path: Path) -> None:
        if is_required(path):
            raise InvalidValue(f"{path.name} is required.")
        self._remove(path, None)

    def _unassign_members(self, verb: Verb, path: Path, value: dict[str, Any]) -> None:
        """Remove the members that a complex value unassigns: to merge the others would leave them as they are (L7)."""
        for name, item in value.items():
            member = self._inside(path, name)
            if member is None or _is_ignored(member):
                continue
            if self._unassigns(verb, member, item):
                self._unassign(member)
            elif isinstance(item, dict):
                self._unassign_members(verb, member, item)

    def _inside(self, path: Path, name: str) -> Path | None:
        """Return the path of a member of what ``path`` names: an attribute of an extension, or a sub-attribute."""
        if path.attribute is None:
            extension = self._resource_type.extension(path.urn or "")
            attribute = None if extension is None else extension.attribute(name)
            return None if attribute is None else Path(path.urn, attribute)
        if path.filter is not None or path.attribute.multi_valued:
            return None
        sub = path.attribute.sub(name)
        return None if sub is None else Path(path.urn, path.attribute, None, sub)

    def _conformed(self, path: Path, value: Any) -> Any:
        rules, attribute = self._rules, path.attribute
        if attribute is None:
            return conform_extension(path.urn or "", value, self._resource_type, rules)[1]
        if path.sub is not None:
            return conform_attribute(path.sub, value, rules, path.name)
        if path.filter is not None:
            one = value[0] if isinstance(value, list) and len(value) == 1 else value
            return conform_element(attribute, one, rules, path.name)
        if attribute.multi_valued and not isinstance(value, list):
            value = [value]
        canonical = conform_attribute(attribute, value, rules, path.name)
        if attribute.name == "schemas" and canonical is not None:
            return list(dict.fromkeys(canonical_urn(urn, self._resource_type) for urn in canonical))
        return canonical

    def _members(self, verb: Verb, value: dict[str, Any]) -> None:
        """Add what the members of a value without path ask for; readOnly ones and ``schemas`` are ignored (L9)."""
        for name, item in value.items():
            if self._resource_type.is_core(name) and isinstance(item, dict):
                self._members(verb, item)
            elif is_extension_name(name, self._resource_type) and self._resource_type.extension(name) is None:
                self._foreign(verb, name, item)
            else:
                self._member(verb, name, item)

    def _member(self, verb: Verb, name: str, item: object) -> None:
        path = self._member_path(name)
        if path is None:
            if self._rules.strict_attributes:
                raise InvalidValue(f"No schema here defines {shown(name)}.")
        elif not _is_ignored(path):
            self._assign(verb, path, item)

    def _member_path(self, name: str) -> Path | None:
        """Return what a member's name stands for: an attribute, an extension, or either spelled as a path (L13)."""
        attribute = self._resource_type.attribute(name)
        if attribute is not None:
            return Path(None, attribute)
        dotted = "." in name.rpartition(":")[2] or "[" in name
        if (dotted and not self._rules.dotted_keys) or not (dotted or ":" in name):
            return None
        try:
            return self._path(name)
        except InvalidPath:
            return None

    def _foreign(self, verb: Verb, name: str, item: object) -> None:
        """Add what a member under the URN of an unknown extension asks for: an object, or one attribute of it."""
        if isinstance(item, dict) or _is_nothing(item):
            _, value = conform_extension(name, item, self._resource_type, self._rules)
            if value is not None or verb == "replace":
                self.operations.append(Operation(verb, None, {name: value}))
            return
        try:
            path = self._path(name)
        except InvalidPath:
            raise InvalidValue(f"{shown(name)} must be an object.") from None
        self._assign(verb, path, item)


def _is_nothing(value: object) -> bool:
    return value is None or value in ([], {})


def _is_password(path: Path) -> bool:
    return path.attribute is not None and path.attribute.name == "password" and path.urn is None


def _is_ignored(path: Path) -> bool:
    if path.attribute is not None and path.attribute.name == "schemas":
        return True
    return any(each is not None and each.mutability == "readOnly" for each in (path.attribute, path.sub))


def _selected(path: Path, value: object) -> Attribute | None:
    """Return the attribute whose elements the value of a removal names: an array of them, or one of many."""
    attribute = path.attribute
    if attribute is None or path.filter is not None or path.sub is not None:
        return None
    single = attribute.multi_valued and isinstance(value, dict | str)
    return (
        attribute
        if single or (isinstance(value, list) and (attribute.multi_valued or attribute.type == "any"))
        else None
    )
