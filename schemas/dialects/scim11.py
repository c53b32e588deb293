"""SCIM 1.1 as it meets SCIM 2.0: a partial resource read as a PatchOp, a user shown in the schema of 1.1.

Sources: SCIM Core Schema 1.1 and SCIM Protocol 1.1 (draft-scim-core-schema-01, draft-scim-api-01), whose section 3.3.2 is
PATCH: the body is a partial resource, what ``meta.attributes`` lists is removed first, the rest is merged. What comes out
is RFC 7644's PatchOp, in the words of this server's tables, so that nobody behind the gateway meets a second form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from schemas import urns
from schemas.attributes import Attribute, Schema
from schemas.codec import encode
from schemas.commands import DEFAULT_RULES
from schemas.dialects.dialect import Shown
from schemas.errors import InvalidPath, InvalidSyntax, InvalidValue
from schemas.json_values import check_json, shown
from schemas.memberships import Membership
from schemas.notation import MAX_NOTATION, Reference, find_key, read_reference
from schemas.patch_requests import MAX_OPERATIONS, PatchRequest, normalise
from schemas.paths import Path
from schemas.projection import Projection, parse_projection
from schemas.resource_types import SCHEMAS, USER
from schemas.resources import MAX_VALUES
from schemas.validation import check_primary, conform_attribute, conform_element, is_extension_name
from schemas.versions import etag

CORE: Final = "urn:scim:schemas:core:1.0"
ENTERPRISE: Final = "urn:scim:schemas:extension:enterprise:1.0"

_CORE_PREFIX: Final = re.compile(re.escape(f"{CORE}:"), re.ASCII | re.IGNORECASE)
_WHOLE_CORE: Final = re.compile(rf"{re.escape(CORE)}(?=\s*(?:,|$))", re.ASCII | re.IGNORECASE)
_ENTERPRISE_NOTATION: Final = re.compile(f"{re.escape(ENTERPRISE)}(?=:|$)", re.ASCII | re.IGNORECASE)
_MANAGER_ID: Final = re.compile(r":manager\.managerId$", re.ASCII | re.IGNORECASE)
_URNS: Final = {urns.USER: CORE, urns.ENTERPRISE_USER: ENTERPRISE}
_OWN_URNS: Final = frozenset(_URNS.values())
_MANAGER_REF: Final = f"{urns.ENTERPRISE_USER}:manager.$ref"


def patch_request(sent: object, described: Iterable[Schema] = ()) -> PatchRequest:
    """Return the operations on a user that a partial resource stands for; there may be none.

    ``described`` are extensions that are stored as they are sent but whose attributes are known: their types are
    checked and their readOnly attributes ignored. Raises ScimError as ``schemas.patch_requests.normalise`` does.
    """
    if not isinstance(sent, dict):
        raise InvalidSyntax("The body must be a JSON object.")
    check_json(sent, "The body")
    document = patch_op(sent, described)
    return normalise(document, USER, DEFAULT_RULES) if document["Operations"] else PatchRequest(())


def patch_op(sent: dict[str, Any], described: Iterable[Schema] = ()) -> dict[str, Any]:
    """Return the PatchOp document of a partial resource that ``check_json`` passed; it may have no operation.

    Null and empty arrays and objects ask for nothing; unknown attributes and readOnly ones are ignored.
    """
    partial = _Partial(sent, described)
    for name in _listed(sent):
        partial.remove(name)
    for name, value in sent.items():
        if not _is_nothing(value):
            partial.merge(name, value)
    return {"schemas": [urns.PATCH_OP], "Operations": partial.operations}


def user_document(told: Shown) -> dict[str, Any]:
    """Return the user as SCIM 1.1 shows it: URNs and names of 1.1, groups and manager as they are derived."""
    document: dict[str, Any] = {}
    for name, value in told.doc.items():
        if name == "schemas":
            document[name] = [_URNS.get(urn, urn) for urn in value if urn.lower() not in _OWN_URNS]
        elif name == urns.ENTERPRISE_USER:
            document |= _enterprise_shown(value, told.manager)
        elif name.lower() not in _OWN_URNS:  # opaque extensions to SCIM 2.0; here they would hide the real ones
            document["timeZone" if name == "timezone" else name] = value
    if told.groups:
        document["groups"] = [_group(membership) for membership in told.groups]
    meta = {
        "created": told.created,
        "lastModified": told.modified,
        "location": told.location,
        "version": etag(told.version),
    }
    document["meta"] = {name: value for name, value in meta.items() if value is not None}
    return document


def projection(attributes: str | None) -> Projection | None:
    """Return what the query parameter ``attributes`` asks a user document for (SCIM Protocol 1.1 section 3.7).

    None stands for all of it. Raises InvalidValue for too many names.
    """
    if attributes is None:
        return None
    return parse_projection(_CORE_PREFIX.sub("", _WHOLE_CORE.sub(urns.USER, attributes)), None, USER)


class _Partial:
    """Collects what a partial resource asks for as operations of RFC 7644."""

    def __init__(self, sent: dict[str, Any], described: Iterable[Schema]) -> None:
        self.operations: list[dict[str, Any]] = []
        self._described = {schema.urn.lower(): schema for schema in described}
        attributes = (USER.attribute(name) for name, value in sent.items() if not _is_nothing(value))
        self._supplied = {attribute.name for attribute in attributes if attribute is not None}
        self._replaced: set[str] = set()
        """Multi-valued attributes that ``meta.attributes`` lists and the resource has."""

    def remove(self, text: str) -> None:
        """Take one name out of ``meta.attributes``. Raises InvalidPath for what is no attribute notation."""
        name = _ENTERPRISE_NOTATION.sub(urns.ENTERPRISE_USER, _CORE_PREFIX.sub("", text))
        if name.startswith(urns.ENTERPRISE_USER):
            name = _MANAGER_ID.sub(":manager.value", name)
        described = self._described.get(name.lower())
        if described is not None:
            writable = (each.name for each in described.attributes if each.mutability != "readOnly")
            for each in writable:
                self._operate("remove", f"{described.urn}:{each}")
            return
        reference = read_reference(name, USER)
        if reference is not None:
            if not self._is_ignored(reference):
                self._remove_attribute(reference)
        elif _is_unknown_extension(name):
            # A URN that ends in a number is no path of RFC 7644's; without one, null unassigns the extension.
            self._operate("replace", None, value={name: None})
        else:
            raise InvalidPath("meta.attributes must list attributes: name, name.sub-attribute, urn:name.")

    def merge(self, name: str, value: Any) -> None:
        """Take one member of the resource, which is not null or empty. Raises InvalidValue."""
        attribute = USER.attribute(name)
        if attribute is not None:
            if attribute.mutability == "readOnly" or attribute is SCHEMAS:
                return
            if attribute.multi_valued:
                self._merge_elements(attribute, value)
            else:
                verb = "add" if attribute.type == "complex" else "replace"
                self._operate(verb, attribute.name, value=value)
        elif name.lower() in {ENTERPRISE, urns.ENTERPRISE_USER.lower()}:
            self._merge_enterprise(value)
        elif _is_unknown_extension(name):
            self._merge_extension(name, value)

    def _operate(self, verb: str, path: str | None, **value: Any) -> None:
        """Add an operation; raises InvalidValue for one too many at once, not when all the rest has been read."""
        if len(self.operations) == MAX_OPERATIONS:
            raise InvalidValue(
                f"The body asks for more than {MAX_OPERATIONS} changes; send the rest in another request."
            )
        self.operations.append({"op": verb, **({} if path is None else {"path": path}), **value})

    def _is_ignored(self, reference: Reference) -> bool:
        """Tell whether a removal asks for nothing: of what no schema defines, or of what clients do not write."""
        if not reference.name:
            return False
        described = self._described.get((reference.urn or "").lower())
        known = None if described is None else described.attribute(reference.name)
        attribute = known or reference.attribute
        if attribute is None or attribute is SCHEMAS or (reference.sub_name is not None and reference.sub is None):
            return True
        return "readOnly" in {attribute.mutability, reference.sub.mutability if reference.sub else None}

    def _remove_attribute(self, reference: Reference) -> None:
        """Remove what is listed; what is also supplied is replaced instead: it may be required, or take many operations."""
        attribute = reference.attribute
        if attribute is not None and reference.urn is None and reference.sub is None:
            supplied = attribute.name in self._supplied
            if supplied and attribute.multi_valued:
                self._replaced.add(attribute.name)
                return
            if supplied and attribute.type != "complex":
                return
        self._operate("remove", Path(reference.urn, attribute, None, reference.sub).name)

    def _merge_elements(self, attribute: Attribute, sent: object) -> None:
        """Merge values: by ``value`` where they have one, as further ones where not; ``operation: delete`` removes."""
        name = attribute.name
        if not isinstance(sent, list):
            raise InvalidValue(f"{name} must be an array.")
        if len(sent) > MAX_VALUES:
            raise InvalidValue(f"{name} has more than {MAX_VALUES} values.")
        replaces = name in self._replaced
        kept: list[dict[str, Any]] = []
        for each in sent:
            element = conform_element(attribute, each, DEFAULT_RULES, name)
            if not _deletes(each):
                if element is not None:
                    kept.append(element)
                    if not replaces:
                        self._add_element(name, element)
            elif element is None:
                raise InvalidValue(f"A value of {name} to delete must be named by its sub-attributes.")
            elif not replaces:  # of an attribute that goes as a whole, no value is left to delete
                self._remove_element(name, element)
        check_primary(kept, name)
        if replaces:
            self._operate("replace", name, value=kept or None)

    def _add_element(self, name: str, element: dict[str, Any]) -> None:
        path = _selecting(name, {"value": element["value"]}) if "value" in element else None
        if path is None:
            self._operate("add", name, value=[element])
        else:
            self._operate("add", path, value=element)

    def _remove_element(self, name: str, element: dict[str, Any]) -> None:
        path = _selecting(name, {"value": element["value"]} if "value" in element else element)
        if path is None:
            raise InvalidValue(f"A value of {name} to delete is too long to select by.")
        self._operate("remove", path)

    def _merge_enterprise(self, sent: object) -> None:
        if not isinstance(sent, dict):
            raise InvalidValue(f"{ENTERPRISE} must be an object.")
        members = dict(sent)
        key = find_key(members, "manager")
        manager = None if key is None else members[key]
        manager_id = _member(manager, "managerId") if isinstance(manager, dict) else None
        if key is not None and not _is_nothing(manager_id):
            members[key] = {"value": manager_id}
            # SCIM 1.1 has no $ref: one that was written over SCIM 2.0 would go on naming the manager before.
            self._operate("remove", _MANAGER_REF)
        self._operate("add", urns.ENTERPRISE_USER, value=members)

    def _merge_extension(self, urn: str, sent: object) -> None:
        """Overwrite the members that are given; those of a described extension have their types."""
        if not isinstance(sent, dict):
            raise InvalidValue(f"{shown(urn)} must be an object.")
        schema = self._described.get(urn.lower())
        members = {name: value for name, value in sent.items() if value is not None}
        if schema is not None:
            urn, members = schema.urn, _conformed(schema, members)
        if members:
            self._operate("replace", None, value={urn: members})


def _listed(sent: Mapping[str, Any]) -> list[str]:
    """Return ``meta.attributes``, and check on the way that ``meta`` and ``schemas`` are what they have to be."""
    schemas = _member(sent, "schemas")
    if not isinstance(schemas, list | None) or not all(isinstance(urn, str) for urn in schemas or ()):
        raise InvalidValue("schemas must be an array of URNs.")
    meta = _member(sent, "meta")
    if not isinstance(meta, dict | None):
        raise InvalidValue("meta must be an object.")
    names = _member(meta or {}, "attributes")
    if not isinstance(names, list | None) or not all(isinstance(name, str) for name in names or ()):
        raise InvalidValue("meta.attributes must be an array of strings.")
    if len(names or ()) > MAX_OPERATIONS:
        raise InvalidValue(f"meta.attributes may list {MAX_OPERATIONS} names; send the rest in another request.")
    return names or []


def _member(members: Mapping[str, Any], name: str) -> Any:
    key = find_key(members, name)
    return None if key is None else members[key]


def _deletes(element: object) -> bool:
    if not isinstance(element, dict):
        return False
    operation = _member(element, "operation")
    return isinstance(operation, str) and operation.lower() == "delete"


def _selecting(name: str, members: Mapping[str, Any]) -> str | None:
    """Return the path of the values that have these sub-attributes, None where it would be too long for one."""
    terms = (f"{key} eq {encode(value).decode()}" for key, value in members.items())
    path = f"{name}[{' and '.join(terms)}]"
    return path if len(path.encode()) <= MAX_NOTATION else None


def _conformed(schema: Schema, members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members without readOnly ones and with the others in canonical form; unknown ones stay as they are."""
    conformed: dict[str, Any] = {}
    for name, value in members.items():
        attribute = schema.attribute(name)
        if attribute is None:
            conformed[name] = value
        elif attribute.mutability != "readOnly":
            canonical = conform_attribute(attribute, value, DEFAULT_RULES, f"{schema.urn}:{attribute.name}")
            if canonical is not None:
                conformed[attribute.name] = canonical
    return conformed


def _enterprise_shown(stored: Mapping[str, Any], display: str | None) -> dict[str, Any]:
    """Return the enterprise extension under its URN of 1.1, the manager with ``managerId`` and ``displayName``."""
    extension = dict(stored)
    manager = extension.pop("manager", {})
    if "value" in manager:
        extension["manager"] = {"managerId": manager["value"]}
        if display is not None:
            extension["manager"]["displayName"] = display
    return {ENTERPRISE: extension} if extension else {}


def _group(membership: Membership) -> dict[str, Any]:
    display = {} if membership.display is None else {"display": membership.display}
    return {"value": membership.group_id, **display, "type": "direct" if membership.direct else "indirect"}


def _is_unknown_extension(name: str) -> bool:
    return is_extension_name(name, USER) and name.lower() != CORE


def _is_nothing(value: object) -> bool:
    return value is None or value in ([], {})
