"""Random operations over HTTP against a small independent model: every answer, the final state and the events agree."""

from __future__ import annotations

from typing import Any, ClassVar

import httpx2
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from schemas import urns
from tests.contract.http.user_model import ENTERPRISE, Answer, Edit, Event, Model
from tests.served import Embedded, Scim, Service, op, unique, user

names = st.sampled_from(["ann", "ANN", "bob", "Straße", "STRASSE", "eve"])
words = st.sampled_from(["x", "y", "Ünï"])
addresses = st.sampled_from(["a@example.com", "b@example.com"])
kinds = st.sampled_from(["work", "home"])
emails = st.fixed_dictionaries(
    {"value": addresses}, optional={"type": kinds, "primary": st.sampled_from([True, True, False])}
)
optional_keys = st.one_of(st.none(), st.integers(0, 40).map(str))
"""Seldom the same one twice: repeats have a rule of their own."""
conditions = st.sampled_from(["none", "none", "current", "stale", "any"])
places = st.integers(0, 7)

bodies = st.fixed_dictionaries(
    {"userName": names},
    optional={
        "externalId": words,
        "title": words,
        "active": st.booleans(),
        "name": st.fixed_dictionaries({"familyName": words}),
        "enterprise": st.fixed_dictionaries({"department": words}),
        "emails": emails.map(lambda email: [email]),
    },
)


def _sets(name: str, value: Any, verb: str) -> Edit:
    return Edit(op(verb, name, value=value), "set", (name, value))


verbs = st.sampled_from(["add", "replace", "Replace"])
edits = st.one_of(
    st.builds(_sets, st.sampled_from(["title", "displayName", "externalId"]), words, verbs),
    st.builds(_sets, st.just("active"), st.booleans(), verbs),
    st.sampled_from(["title", "emails", "externalId", "active"]).map(lambda n: Edit(op("remove", n), "clear", (n,))),
    st.just(Edit(op("replace", "title", value=None), "clear", ("title",))),
    st.fixed_dictionaries({}, optional={"title": words, "active": st.booleans(), "externalId": words}).map(
        lambda values: Edit(op("replace", value={"id": "ignored", **values}), "merge", (values,))
    ),
    words.map(lambda word: Edit(op("add", "name.familyName", value=word), "family", (word,))),
    st.just(Edit(op("remove", "name"), "family", (None,))),
    words.map(lambda word: Edit(op("replace", f"{ENTERPRISE}:department", value=word), "department", (word,))),
    st.just(Edit(op("remove", f"{ENTERPRISE}:department"), "department", (None,))),
    emails.map(lambda email: Edit(op("add", "emails", value=[email]), "add_email", (email,))),
    addresses.map(lambda value: Edit(op("remove", f'emails[value eq "{value}"]'), "remove_email", (value,))),
    st.builds(
        lambda value, kind: Edit(
            op("replace", f'emails[value eq "{value}"].type', value=kind), "type_email", (value, kind)
        ),
        addresses,
        kinds,
    ),
)
VERBS = {"create": urns.CREATE_FULL, "put": urns.PUT_FULL, "patch": urns.PATCH_FULL, "delete": urns.DELETE}


class Users(RuleBasedStateMachine):
    """One example: a tenant's users from nothing to whatever comes."""

    service: ClassVar[Service]
    expected: ClassVar[list[Event]] = []
    """The events of all examples, for one look at the log at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.scim: Scim = self.service.caller("model")
        self.model = Model()
        self.suffix = unique("")
        self.ids: list[str] = []
        self.repeatable: list[tuple[str, tuple[Any, ...]]] = []
        """Requests that had a key: a rule and its arguments."""
        self.others = self.total()
        """Users that earlier examples left."""

    def total(self) -> int:
        total: int = self.scim.get("/Users", count=0).json()["totalResults"]
        return total

    # --- requests ---

    @initialize(email=emails)
    def two_users(self, email: dict[str, Any]) -> None:
        self.create({"userName": "ann", "emails": [email, {"value": "c@example.com", "type": "home"}]}, None)
        self.create({"userName": "bob", "title": "x", "active": True}, None)

    @rule(place=places)
    def repeat(self, place: int) -> None:
        """Send an earlier request with its key again."""
        if self.repeatable:
            name, arguments = self.repeatable[place % len(self.repeatable)]
            getattr(self, name)(*arguments)

    @rule(body=bodies, key=optional_keys)
    def create(self, body: dict[str, Any], key: str | None) -> None:
        self.do_create(self.body(body), key)

    def do_create(self, doc: dict[str, Any], key: str | None) -> None:
        answer = self.scim.post("/Users", doc, headers=self.headers(key))
        given = answer.json().get("id") if answer.status_code == 201 else None
        if given is not None and given not in self.ids:
            self.ids.append(given)
        expected, is_repeat = self.model.answer(key, ("create", doc), lambda: self.model.create(doc, given))
        self.check(answer, expected, is_repeat=is_repeat)
        self.note(key, "do_create", doc, key)

    @rule(place=places, body=bodies, key=optional_keys, condition=conditions)
    def replace(self, place: int, body: dict[str, Any], key: str | None, condition: str) -> None:
        self.do_replace(self.id_of(place), self.body(body), key, condition)

    def do_replace(self, resource_id: str, doc: dict[str, Any], key: str | None, condition: str) -> None:
        tag = self.tag(resource_id, condition)
        answer = self.scim.put(f"/Users/{resource_id}", doc, headers=self.headers(key, condition, tag))
        expected, is_repeat = self.model.answer(
            key, ("replace", resource_id, doc), lambda: self.model.replace(resource_id, tag, doc)
        )
        self.check(answer, expected, is_repeat=is_repeat)
        self.note(key, "do_replace", resource_id, doc, key, condition)

    @rule(place=places)
    def replace_by_the_same(self, place: int) -> None:
        resource_id = self.id_of(place)
        if resource_id in self.model.users:
            shown = self.scim.read(resource_id)
            self.check(
                self.scim.put(f"/Users/{resource_id}", shown),
                self.model.replace(resource_id, None, self.held(resource_id)),
            )

    @rule(place=places, wanted=st.lists(edits, min_size=1, max_size=4), key=optional_keys, condition=conditions)
    def patch(self, place: int, wanted: list[Edit], key: str | None, condition: str) -> None:
        self.do_patch(self.id_of(place), wanted, key, condition)

    def do_patch(self, resource_id: str, wanted: list[Edit], key: str | None, condition: str) -> None:
        tag = self.tag(resource_id, condition)
        sent = [edit.sent for edit in wanted]
        answer = self.scim.patch(f"/Users/{resource_id}", *sent, headers=self.headers(key, condition, tag))
        # A key is compared with what a request asks for, in whatever words: Replace is replace, null is a removal.
        asked = [(edit.sent["op"].lower() if edit.kind == "set" else "", edit.kind, edit.arguments) for edit in wanted]
        meant = [each for each in asked if each[1:] != ("merge", ({},))]
        expected, is_repeat = self.model.answer(
            key, ("patch", resource_id, _flat(meant)), lambda: self.model.patch(resource_id, tag, wanted)
        )
        self.check(answer, expected, is_repeat=is_repeat)
        self.note(key, "do_patch", resource_id, wanted, key, condition)

    @rule(place=places, wanted=st.lists(edits, min_size=1, max_size=4))
    def patch_a_live_user(self, place: int, wanted: list[Edit]) -> None:
        live = list(self.model.users)
        if live:
            self.do_patch(live[place % len(live)], wanted, None, "none")

    @rule(place=places, name=names, condition=conditions)
    def rename(self, place: int, name: str, condition: str) -> None:
        resource_id, wanted = self.id_of(place), name + self.suffix
        tag = self.tag(resource_id, condition)
        operation = op("replace", "userName", value=wanted)
        answer = self.scim.patch(f"/Users/{resource_id}", operation, headers=self.headers(None, condition, tag))
        edit = Edit(operation, "set", ("userName", wanted))
        expected, _ = self.model.answer(None, (), lambda: self.model.patch(resource_id, tag, [edit]))
        self.check(answer, expected)

    @rule(place=places, wanted=st.lists(edits, max_size=3))
    def patch_that_ends_badly(self, place: int, wanted: list[Edit]) -> None:
        """All or nothing, found out before the user is even looked for."""
        operations = [edit.sent for edit in wanted]
        answer = self.scim.patch(f"/Users/{self.id_of(place)}", *operations, op("remove", "userName"))
        self.check(answer, Answer(400, error="mutability"), submitted=False)

    @rule(place=places, key=optional_keys, condition=conditions)
    def delete(self, place: int, key: str | None, condition: str) -> None:
        self.do_delete(self.id_of(place), key, condition)

    def do_delete(self, resource_id: str, key: str | None, condition: str) -> None:
        tag = self.tag(resource_id, condition)
        answer = self.scim.delete(f"/Users/{resource_id}", headers=self.headers(key, condition, tag))
        expected, is_repeat = self.model.answer(
            key, ("delete", resource_id), lambda: self.model.delete(resource_id, tag)
        )
        self.check(answer, expected, is_repeat=is_repeat)
        self.note(key, "do_delete", resource_id, key, condition)

    @rule(place=places, condition=conditions)
    def read(self, place: int, condition: str) -> None:
        resource_id = self.id_of(place)
        tag = self.tag(resource_id, condition)
        headers = {} if condition == "none" else {"If-None-Match": "*" if condition == "any" else f'W/"{tag}"'}
        answer = self.scim.get(f"/Users/{resource_id}", headers=headers)
        held = self.model.users.get(resource_id)
        if held is None:
            assert answer.status_code == 404
        elif condition in {"any", "current"}:
            assert (answer.status_code, answer.headers["ETag"]) == (304, f'W/"{held.version}"')
        else:
            self.check(answer, Answer(200, resource_id, held.version))

    @rule(name=names)
    def find_by_name(self, name: str) -> None:
        found = self.scim.find(f'userName eq "{name}{self.suffix}"')["Resources"]
        holder = self.model.holder(name + self.suffix)
        assert [each["id"] for each in found] == ([] if holder is None else [holder])
        assert [self.shown(each) for each in found] == ([] if holder is None else [self.model.users[holder].doc])

    @rule(word=words)
    def find_by_external_id(self, word: str) -> None:
        found = self.scim.find(f'externalId eq "{word}{self.suffix}"')["Resources"]
        mine = [i for i in self.ids if i in self.model.users]
        assert [each["id"] for each in found] == [
            i for i in mine if self.held(i).get("externalId") == word + self.suffix
        ]

    @rule(place=places)
    def ask_as_another_tenant(self, place: int) -> None:
        other = self.service.caller("model-other")
        assert other.get(f"/Users/{self.id_of(place)}").status_code == 404
        assert other.delete(f"/Users/{self.id_of(place)}").status_code == 404

    # --- what must hold ---

    @rule()
    def the_population_is_right(self) -> None:
        assert self.total() == self.others + len(self.model.users)

    def teardown(self) -> None:
        """Compare the final state, as GET and as the list show it."""
        for resource_id in self.ids:
            held = self.model.users.get(resource_id)
            if held is None:
                assert self.scim.get(f"/Users/{resource_id}").status_code == 404
            else:
                self.check(self.scim.get(f"/Users/{resource_id}"), Answer(200, resource_id, held.version))
        live = [i for i in self.ids if i in self.model.users]
        page = self.scim.get("/Users", startIndex=self.others + 1, count=1000).json()
        assert [each["id"] for each in page["Resources"]] == live
        self.expected.extend(self.model.events)

    # --- parts of requests and answers ---

    def note(self, key: str | None, name: str, *arguments: Any) -> None:
        if key is not None:
            self.repeatable.append((name, arguments))

    def id_of(self, place: int) -> str:
        return self.ids[place % len(self.ids)] if self.ids else "01920000-0000-7000-8000-000000000000"

    def body(self, drawn: dict[str, Any]) -> dict[str, Any]:
        """Return a body whose names belong to this example alone."""
        own = {name: drawn[name] + self.suffix for name in ("userName", "externalId") if name in drawn}
        return user(**(drawn | own))

    def held(self, resource_id: str) -> dict[str, Any]:
        return self.model.users[resource_id].doc

    def tag(self, resource_id: str, condition: str) -> int | None:
        """Return the version that If-Match is to name, None for none or any."""
        held = self.model.users.get(resource_id)
        current = 1 if held is None else held.version
        versions = {"current": current, "stale": current + 1}
        return versions.get(condition)

    def headers(self, key: str | None, condition: str = "none", tag: int | None = None) -> dict[str, str]:
        headers = {} if key is None else {"Idempotency-Key": key + self.suffix}
        if condition != "none":
            headers["If-Match"] = "*" if tag is None else f'W/"{tag}"'
        return headers

    def shown(self, resource: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in resource.items() if name not in {"id", "meta"}}

    def check(
        self, answer: httpx2.Response, expected: Answer, *, is_repeat: bool = False, submitted: bool = True
    ) -> None:
        """Hold an answer against what the model says, and what the server says of it later against the answer."""
        assert answer.status_code == expected.status, answer.text
        if expected.status >= 400:
            assert answer.json().get("scimType") == expected.error
        elif expected.status != 204:
            self.check_resource(answer, expected)
        txn = answer.headers.get("Scim-Txn")
        if txn is not None:
            outcome = self.scim.get(f"/Outcomes/{txn}").json()
            state = "applied" if expected.status < 400 else "refused"
            assert outcome["state"] == (state if submitted else "unknown"), (outcome, is_repeat)

    def check_resource(self, answer: httpx2.Response, expected: Answer) -> None:
        assert expected.resource_id is not None
        assert answer.headers["ETag"] == f'W/"{expected.version}"'
        assert answer.headers["Location"].endswith(expected.resource_id)
        resource = answer.json()
        assert resource["id"] == expected.resource_id
        held = self.model.users.get(expected.resource_id)
        if held is None:
            assert set(resource) == {"schemas", "id", "meta"}
        else:
            assert self.shown(resource) == held.doc
            assert resource["meta"]["version"] == f'W/"{held.version}"'


def _flat(asked: list[tuple[Any, ...]]) -> list[Any]:
    """Return what is asked for with every pathless value taken apart, as the canonical operations are."""
    flat: list[Any] = []
    for verb, kind, arguments in asked:
        if kind == "merge":
            flat += [("replace", "set", pair) for pair in arguments[0].items()]
        else:
            flat.append((verb, kind, arguments))
    return flat


def test_random_operations_agree_with_the_model(service: Service) -> None:
    Users.service, Users.expected = service, []
    before = {event["value"]["jti"] for event in service.events("model")}
    limits = settings(
        max_examples=35 if isinstance(service, Embedded) else 12,
        stateful_step_count=50,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        # Not shrunk: what a step does hangs on what the server holds from the run before.
        phases=(Phase.generate,),
    )
    run_state_machine_as_test(Users, settings=limits)
    events = [event for event in service.events("model") if event["value"]["jti"] not in before]
    assert len(events) == len(Users.expected), "one event for every applied version, none for no-ops and refusals"
    # Examples come one after the other, so that a partition has them in the same order.
    by_jti = {event["value"]["jti"]: event for event in events}
    assert len(by_jti) == len(events)
    order = [f"{expected.resource_id}:{expected.version}" for expected in Users.expected]
    for jti, expected in zip(order, Users.expected, strict=True):
        check_event(by_jti[jti]["value"], expected)
    by_partition: dict[str, list[int]] = {}
    for jti in order:
        partition, _, number = by_jti[jti]["value"]["seq"].partition(":")
        by_partition.setdefault(partition, []).append(int(number))
    for numbers in by_partition.values():
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def check_event(event: dict[str, Any], expected: Event) -> None:
    """Hold an event against the version that it tells of."""
    assert event["jti"] == f"{expected.resource_id}:{expected.version}"
    flip = {True: urns.ACTIVATE, False: urns.DEACTIVATE}
    flipped = set() if expected.flipped is None else {flip[expected.flipped]}
    assert set(event["events"]) == {VERBS[expected.verb]} | flipped
    if expected.verb == "create":
        assert event["events"][urns.CREATE_FULL]["data"] == {**(expected.after or {}), "id": expected.resource_id}
    elif expected.after is not None:
        assert event["after"] == {**expected.after, "id": expected.resource_id}
