"""Random users in canonical form, and random commands about them."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st

from schemas import urns
from schemas.changes import View
from schemas.commands import ChangeCommand, Create, Delete, Guard, Replace
from schemas.rules import Rules
from tests.schemas.samples import ANN, DERIVED, HASH, MORNING, NOON, command, outcome, patch, stored

TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
NAMES = st.sampled_from(["ann", "Ann", "bob", "straße", "STRASSE"])
EMAILS = st.lists(
    st.fixed_dictionaries({"value": TEXTS}, optional={"type": st.sampled_from(["work", "home"])}),
    min_size=1,
    max_size=3,
    unique_by=str,
)
OPAQUE = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-1, 1) | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=4,
)
BADGE = "urn:example:badge:1.0:User"
MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    "externalId": st.sampled_from(["e-7", "E-7", "", "é"]),
    "active": st.booleans(),
    "title": TEXTS,
    "name": st.dictionaries(st.sampled_from(["familyName", "givenName"]), TEXTS, min_size=1),
    "emails": EMAILS,
    urns.ENTERPRISE_USER: st.dictionaries(st.sampled_from(["department", "costCenter"]), TEXTS, min_size=1),
    BADGE: st.dictionaries(TEXTS, OPAQUE, min_size=1, max_size=2),
}


def _listed(members: dict[str, Any]) -> dict[str, Any]:
    return {"schemas": [urns.USER, *(name for name in members if ":" in name)], **members}


BODIES = st.builds(
    lambda name, members: _listed({"userName": name, **members}), NAMES, st.fixed_dictionaries({}, optional=MEMBERS)
)
OPERATIONS = st.one_of(
    st.builds(lambda value: {"op": "replace", "path": "userName", "value": value}, NAMES),
    st.builds(lambda value: {"op": "replace", "path": "active", "value": value}, st.booleans()),
    st.builds(lambda value: {"op": "add", "path": "emails", "value": value}, EMAILS),
    st.builds(lambda value: {"op": "add", "path": 'emails[type eq "work"].value', "value": value}, TEXTS),
    st.builds(lambda value: {"op": "replace", "path": f"{urns.ENTERPRISE_USER}:department", "value": value}, TEXTS),
    st.builds(lambda value: {"op": "replace", "path": 'emails[type eq "home"].value', "value": value}, TEXTS),
    st.sampled_from(["title", "externalId", "active", "emails", "name", 'emails[type eq "work"]']).map(
        lambda path: {"op": "remove", "path": path}
    ),
)
PASSWORDS = st.sampled_from([msgspec.UNSET, HASH, "another"])
CHANGES = st.one_of(
    st.builds(Create, BODIES, PASSWORDS),
    st.builds(Replace, BODIES, PASSWORDS),
    st.builds(Replace, BODIES, PASSWORDS, st.just(("title", "name.familyName", urns.ENTERPRISE_USER))),
    st.builds(
        lambda operations, password: patch(*operations, password=password),
        st.lists(OPERATIONS, max_size=4),
        PASSWORDS | st.none(),
    ),
    st.just(Delete()),
)


def _absent_or(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.just(msgspec.UNSET) | values


COMMANDS: st.SearchStrategy[ChangeCommand] = st.builds(
    command,
    CHANGES,
    uid=st.sampled_from([ANN, DERIVED]),
    tenant=st.sampled_from(["default", "other-1"]),
    accepted_at=st.sampled_from([NOON, MORNING, MORNING - 1]),
    if_match=_absent_or(st.sampled_from([("*",), ("3",), ("2", "3"), ("4",)])),
    key=_absent_or(st.just("ab" * 16)),
    rules=_absent_or(st.just(Rules(replace_as_add=True))),
    guard=_absent_or(st.just(Guard(filter='title eq "x" or active eq false', status=403, detail="not a local user"))),
    traceparent=_absent_or(st.just("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")),
)
DOCS = BODIES.map(lambda body: {"schemas": body["schemas"], "id": ANN, **body})
LIVE: st.SearchStrategy[View] = st.builds(
    lambda doc, password: View(resource=stored(doc, version=3, password=password)), DOCS, PASSWORDS
)
VIEWS = st.one_of(
    LIVE,
    st.sampled_from([View(), View(gone=True), View(answered=outcome()), View(keyed=outcome(fingerprint="another"))]),
)
