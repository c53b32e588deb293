"""What a tenant with users ought to do, written down a second time and as simply as possible: dicts, no batches, no codec."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from typing import Any

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

Doc = dict[str, Any]
"""A user without ``id`` and ``meta``, as it is sent and shown."""


class Refused(Exception):
    """The answer is an error of this status and scimType."""

    def __init__(self, status: int, scim_type: str | None = None) -> None:
        super().__init__(status, scim_type)
        self.status = status
        self.scim_type = scim_type


@dataclass
class Held:
    """A live user."""

    version: int
    doc: Doc


@dataclass
class Answer:
    """What a request is answered."""

    status: int
    resource_id: str | None = None
    version: int = 0
    """Of the ETag."""
    error: str | None = None
    """scimType."""


@dataclass
class Event:
    """One applied version; ``after`` is None for a delete, and the whole user for everything else."""

    resource_id: str
    version: int
    verb: str
    flipped: bool | None
    after: Doc | None


@dataclass
class Edit:
    """One PATCH operation: how it is sent, and what it does."""

    sent: dict[str, Any]
    kind: str
    arguments: tuple[Any, ...]


@dataclass
class Model:
    """One tenant."""

    users: dict[str, Held] = field(default_factory=dict)
    gone: dict[str, int] = field(default_factory=dict)
    keys: dict[str, tuple[str, Answer]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    def holder(self, user_name: str) -> str | None:
        """Return who has this name, in any case."""
        folded = user_name.casefold()
        return next((i for i, held in self.users.items() if held.doc["userName"].casefold() == folded), None)

    def answer(self, key: str | None, request: tuple[Any, ...], attempt: Any) -> tuple[Answer, bool]:
        """Return the answer to a request, and whether it is that of an earlier one under the same key."""
        signature = json.dumps(request, sort_keys=True)
        if key is not None and key in self.keys:
            first, answer = self.keys[key]
            return (answer, True) if first == signature else (Answer(422), False)
        try:
            answer = attempt()
        except Refused as error:
            answer = Answer(error.status, error=error.scim_type)
        if key is not None:
            self.keys[key] = signature, answer
        return answer, False

    def create(self, doc: Doc, resource_id: str | None) -> Answer:
        """Create a user; ``resource_id`` is the one that the server gave, None when it refused."""
        if self.holder(doc["userName"]) is not None:
            raise Refused(409, "uniqueness")
        assert resource_id is not None, "nobody has the name, and yet it was refused"
        assert resource_id not in self.users
        assert resource_id not in self.gone
        self.users[resource_id] = Held(1, copy.deepcopy(doc))
        self.events.append(Event(resource_id, 1, "create", None, copy.deepcopy(doc)))
        return Answer(201, resource_id, 1)

    def replace(self, resource_id: str, tag: int | None, doc: Doc) -> Answer:
        """Replace a user; ``tag`` is the version that If-Match names, None when there is none."""
        return self._change("put", resource_id, self._found(resource_id, tag), copy.deepcopy(doc))

    def patch(self, resource_id: str, tag: int | None, edits: list[Edit]) -> Answer:
        """Patch a user."""
        held = self._found(resource_id, tag)
        doc = copy.deepcopy(held.doc)
        for edit in edits:
            getattr(self, f"_{edit.kind}")(doc, *edit.arguments)
        return self._change("patch", resource_id, held, _settled(doc))

    def delete(self, resource_id: str, tag: int | None) -> Answer:
        """Delete a user."""
        held = self._found(resource_id, tag)
        del self.users[resource_id]
        self.gone[resource_id] = held.version + 1
        self.events.append(Event(resource_id, held.version + 1, "delete", None, None))
        return Answer(204, resource_id, held.version + 1)

    def _found(self, resource_id: str, tag: int | None) -> Held:
        held = self.users.get(resource_id)
        if held is None:
            raise Refused(404)
        if tag is not None and tag != held.version:
            raise Refused(412)
        return held

    def _change(self, verb: str, resource_id: str, held: Held, doc: Doc) -> Answer:
        if doc == held.doc:
            return Answer(200, resource_id, held.version)
        if self.holder(doc["userName"]) not in {None, resource_id}:
            raise Refused(409, "uniqueness")
        active = doc.get("active")
        flipped = active if active is not None and active != held.doc.get("active") else None
        held.doc, held.version = doc, held.version + 1
        self.events.append(Event(resource_id, held.version, verb, flipped, copy.deepcopy(doc)))
        return Answer(200, resource_id, held.version)

    # --- what edits do ---

    def _set(self, doc: Doc, name: str, value: Any) -> None:
        doc[name] = value

    def _clear(self, doc: Doc, name: str) -> None:
        doc.pop(name, None)

    def _merge(self, doc: Doc, values: dict[str, Any]) -> None:
        doc.update(values)

    def _family(self, doc: Doc, value: str | None) -> None:
        doc["name"] = {"familyName": value} if value is not None else {}

    def _department(self, doc: Doc, value: str | None) -> None:
        doc[ENTERPRISE] = {"department": value} if value is not None else {}

    def _add_email(self, doc: Doc, email: dict[str, Any]) -> None:
        emails = doc.setdefault("emails", [])
        same = [each for each in emails if _but_for_primary(each) == _but_for_primary(email)]
        if email.get("primary"):
            for each in emails:
                if each.get("primary"):
                    each["primary"] = False
            for each in same:
                each["primary"] = True
        if not same:
            emails.append(email)

    def _remove_email(self, doc: Doc, value: str) -> None:
        doc["emails"] = [each for each in doc.get("emails", []) if each["value"] != value]

    def _type_email(self, doc: Doc, value: str, kind: str) -> None:
        chosen = [each for each in doc.get("emails", []) if each["value"] == value]
        if not chosen:
            raise Refused(400, "noTarget")
        for each in chosen:
            each["type"] = kind


def _but_for_primary(email: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in email.items() if name != "primary"}


def _settled(doc: Doc) -> Doc:
    """Return the user without repeated and empty values, its ``schemas`` as they must be."""
    emails: list[Any] = []
    for each in doc.get("emails", []):
        same = [there for there in emails if _but_for_primary(there) == _but_for_primary(each)]
        if not same:
            emails.append(each)
        elif each.get("primary"):
            same[0]["primary"] = True
    doc["emails"] = emails
    settled = {name: value for name, value in doc.items() if value not in ([], {})}
    settled["schemas"] = [USER, ENTERPRISE] if ENTERPRISE in settled else [USER]
    return settled
