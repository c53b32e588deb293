"""The decision: every status, every detail, and what goes with a change."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest
from hypothesis import given

from schemas import timestamps, urns
from schemas.changes import Change, Decision, NoChange, StoredResource, View
from schemas.commands import ChangeCommand, Create, Delete, Guard, Replace, Verb, decode_command, encode_command
from schemas.decide import MAX_IMAGE, SLACK, decide, refusal, replay
from schemas.errors import InvalidValue, NotFound, ScimError, Uniqueness
from schemas.outcomes import Refusal
from schemas.rules import Rules
from tests.schemas.samples import ANN, HASH, MORNING, NOON, body, command, outcome, patch, stored, user, view
from tests.schemas.strategies import COMMANDS, LIVE, VIEWS

AT_NOON = "2026-11-21T12:00:00.007Z"
IN_THE_MORNING = "2026-11-21T08:00:00.007Z"
BEFORE_THAT = "2026-11-21T08:00:00.006Z"
ENTERPRISE = {"schemas": [urns.USER, urns.ENTERPRISE_USER], urns.ENTERPRISE_USER: {"department": "Sales"}}

NOT_FOUND = Refusal(status=404, detail="no User has this id")
STALE = Refusal(status=412, detail="the resource is at another version than If-Match names; read it again and repeat")
TOO_LARGE = Refusal(status=413, detail="the resource would exceed 1048576 bytes; remove values before you add others")
SPENT = Refusal(
    status=422, detail="this Idempotency-Key was used before and its answer is no longer kept; use a new key"
)

ON_STORED: list[Verb] = [Replace(body("bob")), patch({"op": "replace", "path": "title", "value": "CEO"}), Delete()]
"""One change of each verb that needs a stored resource."""
VERBS = ["replace", "patch", "delete"]


def changed(decision: Decision) -> Change:
    assert isinstance(decision, Change)
    return decision


def of_size(size: int) -> dict[str, Any]:
    """Return a body that makes a user of this many bytes of JSON."""
    empty = len(msgspec.json.encode(user(title="")))
    return body(title="x" * (size - empty))


# --- create -----------------------------------------------------------------------------------------------------------


def test_E1_a_create_makes_version_1_of_the_resource_under_the_id_it_was_given() -> None:
    sent = body("Ann@Example.com", externalId="e-7", active=False)
    create = command(Create(sent, password=HASH))

    assert decide(create, View()) == Change(
        command=create,
        effect="create",
        expected=0,
        status=201,
        created=AT_NOON,
        modified=AT_NOON,
        doc={"schemas": [urns.USER], "id": ANN, "userName": "Ann@Example.com", "externalId": "e-7", "active": False},
        text=msgspec.json.encode(
            {"schemas": [urns.USER], "id": ANN, "userName": "Ann@Example.com", "externalId": "e-7", "active": False}
        ),
        password=HASH,
        names={"userName": "ann@example.com"},
        acquires=(("userName", "ann@example.com"),),
        releases=(),
        adds=(("externalId", "e-7"),),
        drops=(),
        flipped=None,
    )
    assert changed(decide(create, View())).version == 1


def test_a_created_resource_shows_schemas_and_id_first() -> None:
    doc = changed(decide(command(Create({"userName": "ann", "schemas": [urns.USER]})), View())).doc

    assert doc is not None
    assert list(doc) == ["schemas", "id", "userName"]


def test_a_create_without_external_id_and_password_brings_neither() -> None:
    change = changed(decide(command(Create(body())), View()))

    assert change.adds == ()
    assert change.password is msgspec.UNSET


def test_what_the_next_command_sees_is_what_the_create_makes() -> None:
    change = changed(decide(command(Create(body(), password=HASH)), View()))

    assert change.resource() == StoredResource(
        version=1, created=AT_NOON, modified=AT_NOON, names={"userName": "ann"}, doc=user(), password=HASH
    )


@pytest.mark.parametrize("seen", [view(user()), View(gone=True)], ids=["live", "deleted"])
def test_CP_8_a_create_under_a_spent_id_is_refused(seen: View) -> None:
    assert decide(command(Create(body())), seen) == SPENT


def test_if_match_and_guards_do_not_concern_a_create() -> None:
    guard = Guard(filter="userName pr", status=403, detail="no")

    assert isinstance(decide(command(Create(body()), if_match=("3",), guard=guard), View()), Change)


def test_an_after_image_of_the_largest_size_is_taken_and_one_byte_more_is_refused() -> None:
    largest = MAX_IMAGE - SLACK

    assert (MAX_IMAGE, SLACK) == (1_048_576, 4_096)
    assert isinstance(decide(command(Create(of_size(largest))), View()), Change)
    assert decide(command(Create(of_size(largest + 1))), View()) == TOO_LARGE


# --- what may stand in the way of a change ----------------------------------------------------------------------------


@pytest.mark.parametrize("change", ON_STORED, ids=VERBS)
@pytest.mark.parametrize("seen", [View(), View(gone=True)], ids=["never there", "deleted"])
def test_O4_a_missing_resource_is_404_even_with_if_match_and_a_guard(change: Verb, seen: View) -> None:
    guard = Guard(filter="userName pr", status=403, detail="no")

    assert decide(command(change), seen) == NOT_FOUND
    assert decide(command(change, if_match=("3",), guard=guard), seen) == NOT_FOUND


@pytest.mark.parametrize("change", ON_STORED, ids=VERBS)
def test_INV_5_if_match_gives_the_next_version_or_412(change: Verb) -> None:
    seen = view(user(), version=3)

    for tags in (("3",), ("2", "3"), ("*",)):
        assert changed(decide(command(change, if_match=tags), seen)).version == 4
    for tags in (("2",), ("4",), ("2", "4"), ("",)):
        assert decide(command(change, if_match=tags), seen) == STALE


@pytest.mark.parametrize("change", ON_STORED, ids=VERBS)
def test_O3_if_match_is_looked_at_before_what_the_command_asks(change: Verb) -> None:
    nothing_to_do = Replace(body())

    assert decide(command(nothing_to_do, if_match=("2",)), view(user(), version=3)) == STALE
    guard = Guard(filter="userName pr", status=403, detail="no")
    assert decide(command(change, if_match=("2",), guard=guard), view(user(), version=3)) == STALE


@pytest.mark.parametrize("change", ON_STORED, ids=VERBS)
def test_a_guard_that_matches_the_stored_resource_refuses_in_its_own_words(change: Verb) -> None:
    seen = view(user(userType="Remote"))
    guard = Guard(filter='userType eq "remote"', status=403, detail="not a local user", scim_type="mutability")
    plain = Guard(filter="userType pr", status=403, detail="not a local user")

    refused = Refusal(status=403, detail="not a local user", scim_type="mutability")
    assert decide(command(change, guard=guard), seen) == refused
    assert decide(command(change, guard=plain), seen) == Refusal(status=403, detail="not a local user")


@pytest.mark.parametrize("change", ON_STORED, ids=VERBS)
def test_a_guard_that_does_not_match_lets_the_change_through(change: Verb) -> None:
    guard = Guard(filter='userType eq "remote"', status=403, detail="not a local user")

    assert isinstance(decide(command(change, guard=guard), view(user(userType="Local"))), Change)


# --- replace ----------------------------------------------------------------------------------------------------------


def test_K2_a_replace_sets_what_it_brings_and_clears_the_rest() -> None:
    before = stored(user("ann", title="CTO", externalId="e-7", active=True), version=3, password=HASH)
    replace = command(Replace(body("Bob", externalId="e-8", active=True)))

    assert decide(replace, View(resource=before)) == Change(
        command=replace,
        effect="put",
        expected=3,
        status=200,
        created=BEFORE_THAT,
        modified=AT_NOON,
        doc=user("Bob", externalId="e-8", active=True),
        text=msgspec.json.encode(user("Bob", externalId="e-8", active=True)),
        password=HASH,
        names={"userName": "bob"},
        acquires=(("userName", "bob"),),
        releases=(("userName", "ann"),),
        adds=(("externalId", "e-8"),),
        drops=(("externalId", "e-7"),),
        flipped=None,
    )


def test_a_replaced_resource_shows_schemas_and_id_first() -> None:
    doc = changed(decide(command(Replace({"userName": "bob", "schemas": [urns.USER]})), view(user()))).doc

    assert doc is not None
    assert list(doc) == ["schemas", "id", "userName"]


def test_K2_a_replace_without_a_password_keeps_the_stored_one_and_one_with_it_sets_it() -> None:
    before = View(resource=stored(user(), password=HASH))

    assert changed(decide(command(Replace(body("bob"))), before)).password == HASH
    assert changed(decide(command(Replace(body("bob"), password="new")), before)).password == "new"


def test_a_new_password_alone_is_a_change() -> None:
    for before in (stored(user()), stored(user(), password=HASH)):
        change = changed(decide(command(Replace(body(), password="new")), View(resource=before)))

        assert (change.version, change.password, change.doc) == (2, "new", user())
        assert (change.acquires, change.releases, change.adds, change.drops) == ((), (), (), ())


def test_L4_a_replace_with_what_is_stored_changes_nothing() -> None:
    before = stored(user(title="CTO", active=True), version=3, password=HASH)

    for replace in (Replace(body(title="CTO", active=True)), Replace(body(active=True, title="CTO"), password=HASH)):
        decision = decide(command(replace), View(resource=before))
        assert decision == NoChange(before, 200)


def test_a_no_op_is_one_at_any_size() -> None:
    sent = of_size(MAX_IMAGE)
    before = stored(user(title=sent["title"]))

    assert decide(command(Replace(sent)), View(resource=before)) == NoChange(before)


def test_a_change_that_python_would_not_see_is_a_change() -> None:
    urn = "urn:example:badge:1.0:User"
    both = {"schemas": [urns.USER, urn]}
    before = view(user(**both, **{urn: {"level": 1}}))

    for level in (True, 1.0):
        assert changed(decide(command(Replace(body(**both, **{urn: {"level": level}}))), before)).version == 2
    assert isinstance(decide(command(Replace(body(**both, **{urn: {"level": 1}}))), before), NoChange)


def test_the_order_of_members_is_no_change_and_the_order_of_values_is_one() -> None:
    one, two = {"type": "work", "value": "a@example.com"}, {"value": "b@example.com"}
    before = view(user(emails=[one, two]))

    turned = {"value": "a@example.com", "type": "work"}
    assert isinstance(decide(command(Replace(body(emails=[turned, two]))), before), NoChange)
    assert isinstance(decide(command(Replace(body(emails=[two, one]))), before), Change)


def test_a_replace_beyond_the_size_limit_is_refused() -> None:
    assert isinstance(decide(command(Replace(of_size(MAX_IMAGE - SLACK))), view(user())), Change)
    assert decide(command(Replace(of_size(MAX_IMAGE - SLACK + 1))), view(user())) == TOO_LARGE


def test_a_rename_in_another_case_changes_the_resource_and_keeps_the_name() -> None:
    change = changed(decide(command(Replace(body("ANN"))), view(user("ann"))))

    assert (change.names, change.acquires, change.releases) == ({"userName": "ann"}, (), ())
    assert change.doc == user("ANN")


@pytest.mark.parametrize(
    ("before", "after", "adds", "drops"),
    [
        ({}, {}, (), ()),
        ({}, {"externalId": "e-7"}, (("externalId", "e-7"),), ()),
        ({"externalId": "e-7"}, {}, (), (("externalId", "e-7"),)),
        ({"externalId": "e-7"}, {"externalId": "e-7"}, (), ()),
        ({"externalId": "e-7"}, {"externalId": "E-7"}, (("externalId", "E-7"),), (("externalId", "e-7"),)),
    ],
)
def test_C2_the_index_follows_the_external_id(
    before: dict[str, str], after: dict[str, str], adds: tuple[object, ...], drops: tuple[object, ...]
) -> None:
    change = changed(decide(command(Replace(body(title="CTO", **after))), view(user(**before))))

    assert (change.adds, change.drops) == (adds, drops)


@pytest.mark.parametrize(
    ("before", "after", "flipped"),
    [
        (True, True, None),
        (False, False, None),
        (True, False, False),
        (False, True, True),
        (None, True, True),
        (None, False, False),
        (True, None, None),
        (False, None, None),
        (None, None, None),
    ],
)
def test_V5_a_flip_of_active_is_told(before: bool | None, after: bool | None, flipped: bool | None) -> None:
    old = {} if before is None else {"active": before}
    new = {} if after is None else {"active": after}
    change = changed(decide(command(Replace(body(title="CTO", **new))), view(user(**old))))

    assert change.flipped is flipped


def test_what_a_replace_keeps_stays_as_it_is_stored() -> None:
    before = view(user(title="CTO", **ENTERPRISE))
    kept = Replace(body("bob"), keeps=("title", urns.ENTERPRISE_USER))

    assert changed(decide(command(kept), before)).doc == {**user("bob", title="CTO"), **ENTERPRISE}
    assert changed(decide(command(Replace(body("bob"), keeps=())), before)).doc == user("bob")


def test_a_replace_through_a_dialect_keeps_the_extensions_that_it_cannot_express() -> None:
    badge = {"urn:example:badge:1.0:User": {"level": 1}}
    before = view({**user(title="CTO", **ENTERPRISE), **badge})

    kept = changed(decide(command(Replace(body("bob"), keeps_extensions=True)), before)).doc
    assert kept == {
        **user("bob"),
        **ENTERPRISE,
        **badge,
        "schemas": [urns.USER, urns.ENTERPRISE_USER, "urn:example:badge:1.0:User"],
    }


def test_a_replace_that_keeps_what_it_lacks_is_checked_as_a_whole() -> None:
    without_name = {"schemas": [urns.USER], "title": "CTO"}

    kept = decide(command(Replace(without_name, keeps=("userName",))), view(user()))
    assert changed(kept).doc == user(title="CTO")
    refused = decide(command(Replace(without_name, keeps=("nickName",))), view(user()))
    assert isinstance(refused, Refusal)
    assert (refused.status, refused.scim_type) == (400, "invalidValue")


# --- patch ------------------------------------------------------------------------------------------------------------


def test_L3_a_patch_changes_what_it_names() -> None:
    before = stored(user("ann", title="CTO", externalId="e-7", active=True), version=3, password=HASH)
    operations = patch(
        {"op": "replace", "path": "active", "value": False},
        {"op": "replace", "path": "userName", "value": "Bob"},
        {"op": "remove", "path": "externalId"},
    )
    asked = command(operations)

    assert decide(asked, View(resource=before)) == Change(
        command=asked,
        effect="patch",
        expected=3,
        status=200,
        created=BEFORE_THAT,
        modified=AT_NOON,
        doc=user("Bob", title="CTO", active=False),
        text=msgspec.json.encode(user("Bob", title="CTO", active=False)),
        password=HASH,
        names={"userName": "bob"},
        acquires=(("userName", "bob"),),
        releases=(("userName", "ann"),),
        adds=(),
        drops=(("externalId", "e-7"),),
        flipped=False,
    )


def test_L4_a_patch_that_changes_nothing_keeps_version_and_last_modified() -> None:
    before = stored(user(title="CTO"), version=3, password=HASH)

    decision = decide(command(patch({"op": "replace", "path": "title", "value": "CTO"})), View(resource=before))
    assert decision == NoChange(before, 200)


def test_L3_a_patch_is_all_or_nothing() -> None:
    before = view(user(title="CTO"))
    as_it_was = copy.deepcopy(before)
    half = patch(
        {"op": "replace", "path": "title", "value": "CEO"},
        {"op": "replace", "path": 'emails[type eq "work"].value', "value": "a@example.com"},
    )

    refused = decide(command(half), before)
    assert isinstance(refused, Refusal)
    assert (refused.status, refused.scim_type) == (400, "noTarget")
    assert before == as_it_was


def test_a_patch_is_applied_by_the_rules_that_the_command_brings() -> None:
    lenient = Rules(replace_as_add=True)
    one = patch({"op": "replace", "path": 'emails[type eq "work"].value', "value": "a@example.com"})

    assert isinstance(decide(command(one), view(user())), Refusal)
    added = changed(decide(command(one, rules=lenient), view(user())))
    assert added.doc == user(emails=[{"type": "work", "value": "a@example.com"}])


@pytest.mark.parametrize("before", [msgspec.UNSET, HASH])
def test_R5_a_patch_keeps_sets_or_removes_the_password(before: str | msgspec.UnsetType) -> None:
    seen = View(resource=stored(user(), password=before))
    retitle = {"op": "replace", "path": "title", "value": "CEO"}

    assert changed(decide(command(patch(retitle)), seen)).password == before
    assert changed(decide(command(patch(retitle, password="new")), seen)).password == "new"
    assert changed(decide(command(patch(retitle, password=None)), seen)).password is msgspec.UNSET


def test_R5_a_patch_of_the_password_alone_is_a_change_only_where_it_differs() -> None:
    with_password, without = stored(user(), password=HASH), stored(user())

    assert changed(decide(command(patch(password="new")), View(resource=without))).doc == user()
    assert changed(decide(command(patch(password=None)), View(resource=with_password))).doc == user()
    assert decide(command(patch(password=HASH)), View(resource=with_password)) == NoChange(with_password)
    assert decide(command(patch(password=None)), View(resource=without)) == NoChange(without)


def test_a_patch_beyond_the_size_limit_is_refused() -> None:
    fits = patch({"op": "add", "path": "title", "value": of_size(MAX_IMAGE - SLACK)["title"]})
    too_large = patch({"op": "add", "path": "title", "value": of_size(MAX_IMAGE - SLACK + 1)["title"]})

    assert isinstance(decide(command(fits), view(user())), Change)
    assert decide(command(too_large), view(user())) == TOO_LARGE


# --- delete -----------------------------------------------------------------------------------------------------------


def test_M1_a_delete_leaves_nothing_and_gives_its_names_back() -> None:
    before = stored(user("Ann", externalId="e-7", active=True), version=3, password=HASH)
    delete = command(Delete())
    decision = changed(decide(delete, View(resource=before)))

    assert decision == Change(
        command=delete,
        effect="delete",
        expected=3,
        status=204,
        created=BEFORE_THAT,
        modified=AT_NOON,
        doc=None,
        password=msgspec.UNSET,
        names={},
        acquires=(),
        releases=(("userName", "ann"),),
        adds=(),
        drops=(("externalId", "e-7"),),
        flipped=None,
    )
    assert decision.version == 4
    assert decision.resource() is None


# --- time -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ON_STORED, ids=VERBS)
@pytest.mark.parametrize(
    ("accepted_at", "modified"),
    [
        (MORNING + 1, "2026-11-21T08:00:00.008Z"),
        (MORNING, IN_THE_MORNING),
        (MORNING - 1, IN_THE_MORNING),
        (0, IN_THE_MORNING),
    ],
)
def test_CP_30_last_modified_never_goes_back_when_a_clock_does(change: Verb, accepted_at: int, modified: str) -> None:
    decision = changed(decide(command(change, accepted_at=accepted_at), view(user())))

    assert (decision.created, decision.modified) == (BEFORE_THAT, modified)


def test_the_times_of_these_tests_are_what_they_say() -> None:
    assert [timestamps.text(time) for time in (NOON, MORNING, MORNING - 1)] == [AT_NOON, IN_THE_MORNING, BEFORE_THAT]


# --- repeats ----------------------------------------------------------------------------------------------------------


def test_CP_17_a_command_delivered_again_is_answered_again() -> None:
    first, keyed = outcome(), outcome(txn="other")

    assert replay(command(Delete()), View(answered=first)) is first
    assert replay(command(Delete()), View(answered=first, keyed=keyed)) is first
    assert replay(command(Delete(), fingerprint="another"), View(answered=first)) is first


def test_INV_7_the_same_key_and_body_have_the_same_outcome() -> None:
    keyed = outcome(txn="other")

    assert replay(command(Create(body())), View(keyed=keyed)) is keyed


def test_INV_7_the_same_key_with_another_body_is_refused() -> None:
    refused = replay(command(Create(body()), fingerprint="another"), View(keyed=outcome(txn="other")))

    assert refused == Refusal(
        status=422, detail="this Idempotency-Key was used for another request; use a new key", scim_type=None
    )


@pytest.mark.parametrize("seen", [View(), view(user()), View(gone=True)])
def test_a_first_attempt_has_no_answer_yet(seen: View) -> None:
    assert replay(command(Create(body())), seen) is None


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "scim_type"),
    [
        (NotFound("gone"), 404, None),
        (InvalidValue("gone"), 400, "invalidValue"),
        (Uniqueness("gone"), 409, "uniqueness"),
    ],
)
def test_a_refusal_says_what_the_error_says(error: ScimError, status: int, scim_type: str | None) -> None:
    assert refusal(error) == Refusal(status=status, detail="gone", scim_type=scim_type)


def test_a_defect_is_not_dressed_up_as_a_refusal() -> None:
    with pytest.raises(KeyError):
        decide(command(Create({"schemas": [urns.USER]})), View())


def test_inputs_of_a_decision_stay_as_they_are() -> None:
    changes: list[tuple[ChangeCommand, View]] = [
        (command(Create(body())), View()),
        *((command(change), view(user(title="CTO"))) for change in ON_STORED),
        (command(Replace(body(), keeps=("title",))), view(user(title="CTO"))),
    ]
    for asked, seen in changes:
        before = copy.deepcopy((asked, seen))
        decide(asked, seen)
        assert (asked, seen) == before


# --- determinism ------------------------------------------------------------------------------------------------------


@given(COMMANDS, VIEWS)
def test_INV_17_a_decision_depends_on_command_and_view_alone(asked: ChangeCommand, seen: View) -> None:
    before = copy.deepcopy((asked, seen))
    first = decide(asked, seen)

    assert (asked, seen) == before
    assert decide(*before) == first
    assert decide(decode_command(encode_command(asked)), seen) == first


@given(COMMANDS, LIVE)
def test_INV_2_every_change_makes_the_version_after_the_stored_one_and_its_index_is_right(
    asked: ChangeCommand, seen: View
) -> None:
    decision = decide(asked, seen)
    assert seen.resource is not None
    if isinstance(decision, NoChange):
        assert decision.resource is seen.resource
    elif isinstance(decision, Change):
        left = decision.resource()
        before, after = index_of(seen.resource), set() if left is None else index_of(left)
        assert (decision.expected, decision.version) == (3, 4)
        assert decision.modified >= seen.resource.modified
        assert set(decision.acquires) | set(decision.adds) == after - before
        assert set(decision.releases) | set(decision.drops) == before - after


def index_of(resource: StoredResource) -> set[tuple[str, str]]:
    return {*resource.names.items(), *((name, resource.doc[name]) for name in ["externalId"] if name in resource.doc)}
