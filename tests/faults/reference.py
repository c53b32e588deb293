"""A tiny server that keeps the promise in memory, and breaks it in one chosen way: what the checker is tested against."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from tests.faults import model
from tests.faults.model import Doc

Bug = Literal[
    "case-sensitive uniqueness",
    "commit before names",
    "conflict without holder",
    "doubled event",
    "doubled version",
    "dropped ack",
    "forgotten first answer",
    "If-Match ignored",
    "If-Match refused",
    "key answered differently",
    "late effect",
    "lost event",
    "lost flip",
    "name never freed",
    "nondeterministic decide",
    "refused but done",
    "revived",
    "skipped dedupe",
    "stale read",
    "swapped events",
    "swapped replies",
]
BUGS: tuple[Bug, ...] = get_args(Bug)

PERIOD = 7
"""A planted bug bites at every seventh opportunity; rare ones and case-sensitive uniqueness always."""
RARE: frozenset[Bug] = frozenset({"forgotten first answer", "key answered differently", "skipped dedupe"})
LATE = 60
"""After so many more writes a late effect appears."""


@dataclass(slots=True)
class Answer:
    """What the server says."""

    status: int
    resource: str | None = None
    version: int | None = None
    txn: str | None = None
    body: Any = None


@dataclass(slots=True)
class Reference:
    """Users of one tenant, one partition; takes effect at the moment of the call."""

    bug: Bug | None = None
    versions: dict[str, list[Doc | None]] = field(default_factory=dict)
    """By id, after-images from version 1; None after the delete."""
    names: dict[str, str] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    keyed: dict[str, tuple[Any, Answer]] = field(default_factory=dict)
    created: dict[str, tuple[Any, str]] = field(default_factory=dict)
    """Body and txn of the create of each id."""
    unseen: set[str] = field(default_factory=set)
    """Ids whose create was answered to nobody."""
    bitten: int = 0
    """How often the planted bug had an effect."""
    _opportunities: int = 0
    _later: list[tuple[int, tuple[str, str, Any, str]]] = field(default_factory=list)
    _previous: Answer | None = None
    _txns: int = 0

    def submit(
        self, verb: str, resource: str | None, body: Any, if_match: int | None = None, key: str | None = None
    ) -> Answer:
        """Decide a write, make it visible, answer."""
        self._txns += 1
        answer = self._deduplicated(verb, resource, body, if_match, key, f"txn-{self._txns}")
        if self._later and self._txns > self._later[0][0]:
            verb_then, resource_then, body_then, txn_then = self._later.pop(0)[1]
            if self.current(resource_then) is not None:
                self._apply(verb_then, resource_then, body_then, txn_then)
        swappable = answer.status < 300 and self._previous and self._previous.resource != answer.resource
        if swappable and self._previous and self._bites("swapped replies"):
            answer, self._previous = self._previous, answer
        self._previous = answer if answer.status in {200, 201} else self._previous
        return answer

    def _deduplicated(
        self, verb: str, resource: str | None, body: Any, if_match: int | None, key: str | None, txn: str
    ) -> Answer:
        if key is not None and key in self.keyed and not self._bites("skipped dedupe"):
            what, first = self.keyed[key]
            if what != [verb, resource, body]:
                return Answer(422, resource, txn=txn)
            if self._bites("key answered differently"):
                return Answer(409, resource, txn=first.txn)
            body = None if first.body is None or first.resource is None else self.shown(first.resource)
            if first.body is not None and body is None:
                # Gone since.
                body = {"id": first.resource, "meta": {"version": f'W/"{first.version}"'}}
            return Answer(first.status, first.resource, first.version, first.txn, body)
        answer = self._decide(verb, resource, body, if_match, txn)
        if key is not None:
            self.keyed.setdefault(key, ([verb, resource, body], answer))
        return answer

    def _decide(self, verb: str, resource: str | None, body: Any, if_match: int | None, txn: str) -> Answer:
        if verb == "create":
            return self._create(body, txn)
        assert resource is not None
        stored = self.current(resource)
        version = len(self.versions.get(resource, []))
        if stored is None and not (version and verb == "replace" and self._bites("revived")):
            return Answer(404, resource, txn=txn)
        if if_match is not None and if_match != version and not self._bites("If-Match ignored"):
            return Answer(412, resource, txn=txn)
        if if_match is not None and if_match == version and self._bites("If-Match refused"):
            return Answer(412, resource, txn=txn)
        after = model.apply(verb, resource, body, stored)
        wanted = self._folded(after)
        if (
            wanted is not None
            and self.names.get(wanted, resource) != resource
            and not self._bites("commit before names")
        ):
            return Answer(409, resource, txn=txn)
        if verb != "delete" and after == stored:
            return Answer(200, resource, version, txn, self.shown(resource))
        if self._bites("refused but done"):
            self._apply(verb, resource, body, txn)
            return Answer(412 if if_match else 409, resource, txn=txn)
        if self._bites("late effect"):
            self._later.append((self._txns + LATE, (verb, resource, body, txn)))
            return Answer(503, resource, txn=txn)
        if self._bites("dropped ack"):
            return Answer(204 if verb == "delete" else 200, resource, version + 1, txn)
        self._apply(verb, resource, body, txn)
        if verb == "delete":
            return Answer(204, resource, None, txn)
        if self._bites("doubled version"):
            self._apply(verb, resource, body, txn)
        return Answer(200, resource, len(self.versions[resource]), txn, self.shown(resource))

    def _create(self, body: Any, txn: str) -> Answer:
        holder = self.names.get(self._fold(body["userName"]))
        if holder is not None and not self._bites("commit before names"):
            first, first_txn = self.created[holder]
            if first == body and holder in self.unseen and not self._bites("forgotten first answer"):
                return Answer(201, holder, 1, first_txn, self.shown(holder))
            return Answer(409, txn=txn)
        if self._bites("conflict without holder"):
            return Answer(409, txn=txn)
        resource = f"id-{self._txns}"
        self._apply("create", resource, body, txn)
        self.created[resource] = body, txn
        return Answer(201, resource, 1, txn, self.shown(resource))

    def read(self, resource: str) -> Answer:
        """Answer a GET by id."""
        body = self.shown(resource)
        if body is None:
            return Answer(404, resource)
        made = self.versions[resource]
        if len(made) > 1 and self._bites("stale read"):
            return Answer(200, resource, len(made) - 1, body=_rendered(resource, len(made) - 1, made[-2] or {}))
        return Answer(200, resource, len(made), body=body)

    def find(self, name: str) -> Answer:
        """Answer a search by userName."""
        holder = self.names.get(self._fold(name))
        shown = self.shown(holder) if holder else None
        resources = [] if shown is None else [shown]
        return Answer(200, body={"totalResults": len(resources), "Resources": resources})

    def current(self, resource: str) -> Doc | None:
        """Return the resource as it stands, canonical."""
        return self.versions.get(resource, [None])[-1]

    def shown(self, resource: str) -> Doc | None:
        """Return the resource as an answer shows it."""
        doc = self.current(resource)
        return None if doc is None else _rendered(resource, len(self.versions[resource]), doc)

    def final_state(self) -> Iterator[dict[str, Any]]:
        """Yield the state records."""
        for resource, made in self.versions.items():
            value: dict[str, Any] = {"v": 1, "kind": "gone", "version": len(made)}
            if made[-1] is not None:
                value |= {"kind": "user", "doc": made[-1]}
            yield {"key": f"default/User/{resource}", "value": value}

    def _apply(self, verb: str, resource: str, body: Any, txn: str) -> None:
        before = self.current(resource)
        after = model.apply(verb, resource, body, before)
        if after is not None and self._bites("nondeterministic decide"):
            after = {**after, "title": f"at {self._txns}"}
        for name in (self._folded(before), self._folded(after)):
            if name is not None and self.names.get(name) == resource and not self._bites("name never freed"):
                del self.names[name]
        if (wanted := self._folded(after)) is not None:
            self.names[wanted] = resource
        self.versions.setdefault(resource, []).append(after)
        self._emit(verb, resource, body, txn, before, after)

    def _emit(self, verb: str, resource: str, body: Any, txn: str, before: Doc | None, after: Doc | None) -> None:
        version, number = len(self.versions[resource]), len(self.events) + 1
        urn = _URNS[verb]
        described: dict[str, Any] = {urn: {}}
        if verb != "delete":
            described = {urn: {"version": f'W/"{version}"', "data": after if verb == "create" else body}}
        active = (after or {}).get("active")
        if before and after and active != before.get("active") and not self._bites("lost flip"):
            described["urn:ietf:params:scim:event:prov:" + ("activate" if active else "deactivate")] = {}
        uri = f"/Users/{resource}"
        value: dict[str, Any] = {
            "iss": "urn:scimgw",
            "jti": f"{resource}:{version}",
            "txn": txn,
            "seq": f"0:{number}",
            "sub_id": {"format": "scim", "uri": uri, "id": resource},
            "events": described,
        }
        if verb in {"replace", "patch"}:
            value["after"] = after
        headers = {
            "ce_id": f"{resource}:{version}",
            "ce_resourceversion": str(version),
            "ce_sequence": str(number),
            "ce_tenant": "default",
            "ce_subject": uri,
        }
        record = {
            "partition": 0,
            "offset": number - 1,
            "key": f"default/{resource}",
            "headers": headers,
            "value": value,
        }
        if self._bites("lost event"):
            # The number goes to the next event: only the version's gap shows that one is missing.
            return
        self.events.append(record)
        if self._bites("doubled event"):
            self.events.append(record)
        if len(self.events) > 1 and self._bites("swapped events"):
            self.events[-2:] = reversed(self.events[-2:])

    def _fold(self, name: str) -> str:
        return name if self.bug == "case-sensitive uniqueness" else model.fold(name)

    def _folded(self, doc: Doc | None) -> str | None:
        return None if doc is None else self._fold(doc["userName"])

    def _bites(self, bug: Bug) -> bool:
        if self.bug != bug:
            return False
        self._opportunities += 1
        bites = bug in RARE or self._opportunities % PERIOD == 0
        self.bitten += bites
        return bites


_URNS = {
    "create": "urn:ietf:params:scim:event:prov:create:full",
    "replace": "urn:ietf:params:scim:event:prov:put:full",
    "patch": "urn:ietf:params:scim:event:prov:patch:full",
    "delete": "urn:ietf:params:scim:event:prov:delete",
}


def _rendered(resource: str, version: int, doc: Doc) -> Doc:
    meta = {"resourceType": "User", "version": f'W/"{version}"', "location": f"/scim/v2/Users/{resource}"}
    return {**copy.deepcopy(doc), "meta": meta}
