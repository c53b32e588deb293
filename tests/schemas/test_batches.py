"""Batches: decided in order, chained, cut where an answer hangs on a reservation, never stopped by one bad command."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import batches, urns
from schemas.batches import Crashed, Expired, Full, Step, key_of, outcome_of, plan, repeated
from schemas.changes import Change, NoChange, View
from schemas.commands import ChangeCommand, Create, Delete, Replace, Verb
from schemas.decide import decide, refusal
from schemas.errors import KeyReused, NotFound
from schemas.outcomes import Outcome, Refusal
from tests.schemas.samples import ANN, BOB, FINGERPRINT, NOON, TXN, body, command, outcome, patch, stored, user, view

CEO = {"op": "replace", "path": "title", "value": "CEO"}
CTO = {"op": "replace", "path": "title", "value": "CTO"}


def steps(*asked: tuple[ChangeCommand, View], now: int = NOON, margin: int = 0) -> list[Step]:
    return plan([each for each, _ in asked], [seen for _, seen in asked], now, margin)


def numbered(changes: Sequence[tuple[Verb, str]]) -> list[ChangeCommand]:
    """Return commands with ids of their own."""
    return [command(change, uid=uid, txn=f"txn-{place}") for place, (change, uid) in enumerate(changes)]


# --- chaining ---------------------------------------------------------------------------------------------------------


def test_CP_17_each_command_sees_what_those_before_it_leave() -> None:
    seen = view(user(title="CFO"), version=3)
    first, second, third = numbered([(patch(CEO), ANN), (patch(CTO), ANN), (Delete(), ANN)])
    found = steps((first, seen), (second, seen), (third, seen))

    assert [step.version for step in found if isinstance(step, Change)] == [4, 5, 6]
    assert [step.doc for step in found if isinstance(step, Change)] == [user(title="CEO"), user(title="CTO"), None]


def test_a_no_op_is_seen_as_one_behind_the_change_that_makes_it_so() -> None:
    seen = view(user(title="CFO"), version=3)
    first, second = numbered([(patch(CEO), ANN), (patch(CEO), ANN)])
    changed, same = steps((first, seen), (second, seen))

    assert isinstance(changed, Change)
    assert isinstance(same, NoChange)
    assert same.resource == changed.resource()


def test_INV_5_if_match_is_held_against_what_the_batch_leaves() -> None:
    seen = view(user(title="CFO"), version=3)
    first = command(patch(CEO), txn="1", if_match=("3",))
    second = command(patch(CTO), txn="2", if_match=("3",))
    third = command(patch(CTO), txn="3", if_match=("4",))
    found = steps((first, seen), (second, seen), (third, seen))

    assert isinstance(found[0], Change)
    assert isinstance(found[1], Refusal)
    assert found[1].status == 412
    assert isinstance(found[2], Change)
    assert found[2].version == 5


def test_behind_a_delete_the_resource_is_gone() -> None:
    seen = view(user())
    found = steps(*((each, seen) for each in numbered([(Delete(), ANN), (Delete(), ANN), (Create(body()), ANN)])))

    assert isinstance(found[0], Change)
    assert [step.status for step in found[1:] if isinstance(step, Refusal)] == [404, 422]


def test_resources_do_not_see_each_other() -> None:
    one, other = view(user(title="CFO"), version=3), view(user("bob", BOB, title="CFO"), version=7)
    first, second = numbered([(patch(CEO), ANN), (patch(CTO), BOB)])
    found = steps((first, one), (second, other))

    assert [step.version for step in found if isinstance(step, Change)] == [4, 8]


def test_the_same_id_in_another_tenant_is_another_resource() -> None:
    seen = view(user(title="CFO"), version=3)
    first, second = command(patch(CEO), txn="1"), command(patch(CEO), txn="2", tenant="other")
    found = steps((first, seen), (second, seen))

    assert [step.version for step in found if isinstance(step, Change)] == [4, 4]


def test_a_refusal_leaves_nothing_behind() -> None:
    seen = view(user(title="CFO"), version=3)
    broken = patch(CEO, {"op": "replace", "path": 'emails[type eq "work"].value', "value": "a@example.com"})
    first, second = numbered([(broken, ANN), (patch(CTO), ANN)])
    found = steps((first, seen), (second, seen))

    assert isinstance(found[0], Refusal)
    assert isinstance(found[1], Change)
    assert (found[1].version, found[1].doc) == (4, user(title="CTO"))


# --- where a batch is cut ---------------------------------------------------------------------------------------------


def test_CP_19_a_batch_ends_before_a_second_command_for_a_resource_that_awaits_its_name() -> None:
    created = numbered([(Create(body("ann")), ANN), (patch(CEO), ANN), (Create(body("bob")), BOB)])
    assert len(steps((created[0], View()), (created[1], View()), (created[2], View()))) == 1

    renamed = numbered([(Replace(body("eve")), ANN), (patch(CEO), ANN)])
    assert len(steps((renamed[0], view(user())), (renamed[1], view(user())))) == 1


def test_CP_19_CP_30_a_batch_ends_before_a_second_command_for_a_resource_that_awaits_its_key() -> None:
    """Another partition may have used the key: then the first command is refused, and the second decided anew."""
    seen = view(user(title="CFO"))
    first, second, other = numbered([(patch(CEO), ANN), (patch(CTO), ANN), (patch(CEO), BOB)])
    keyed = msgspec.structs.replace(first, key="k")
    assert len(steps((keyed, seen), (second, seen))) == 1
    assert len(steps((keyed, seen), (other, view(user("bob", BOB))), (second, seen))) == 2
    same = msgspec.structs.replace(keyed, change=patch({"op": "replace", "path": "title", "value": "CFO"}))
    assert len(steps((same, seen), (second, seen))) == 2, "a no-op leaves nothing that hangs on it"


@pytest.mark.parametrize(
    ("decided", "key"),
    [
        (Refusal(status=404, detail="no"), "k"),
        (refusal(KeyReused("no")), None),
        (NoChange(stored(user())), "k"),
    ],
    ids=["refusal", "refused key", "no-op"],
)
def test_CP_30_a_key_is_reserved_for_what_its_outcome_will_hold(decided: Refusal | NoChange, key: str | None) -> None:
    asked = command(Delete(), key="k")
    assert key_of(asked, decided) == key == outcome_of(asked, decided, None).key
    assert key_of(command(Delete()), decided) is None


def test_CP_21_a_rename_may_follow_changes_that_keep_the_name() -> None:
    seen = view(user())
    found = steps(
        *((each, seen) for each in numbered([(patch(CEO), ANN), (Replace(body("eve")), ANN), (Delete(), ANN)]))
    )

    assert [step.acquires for step in found if isinstance(step, Change)] == [(), (("userName", "eve"),)]
    assert len(found) == 2


def test_CP_20_a_batch_ends_before_a_second_command_that_wants_the_same_name() -> None:
    first, second, third = numbered([(Create(body("Ann")), ANN), (Create(body("ann")), BOB), (Delete(), "x")])

    assert len(steps((first, View()), (second, View()), (third, View()))) == 1


def test_CP_20_a_name_is_wanted_until_the_end_of_the_batch() -> None:
    asked = numbered([(Create(body("ann")), ANN), (Create(body("bob")), BOB), (Create(body("Ann")), "x")])

    assert len(steps(*((each, View()) for each in asked))) == 2


def test_a_name_that_a_rename_wants_cuts_a_create_of_it() -> None:
    first, second = numbered([(Replace(body("eve")), ANN), (Create(body("EVE")), BOB)])

    assert len(steps((first, view(user())), (second, View()))) == 1


def test_the_same_name_in_another_tenant_is_another_name() -> None:
    first = command(Create(body("ann")), txn="1")
    second = command(Create(body("ann")), uid=BOB, txn="2", tenant="other")

    assert len(steps((first, View()), (second, View()))) == 2


def test_different_names_of_different_resources_go_together() -> None:
    asked = numbered([(Create(body("ann")), ANN), (Create(body("bob")), BOB), (Create(body("eve")), "x")])

    assert len(steps(*((each, View()) for each in asked))) == 3


def test_a_batch_ends_before_a_second_command_under_the_same_key() -> None:
    first, second = command(patch(CEO), txn="1", key="k"), command(patch(CEO), uid=BOB, txn="2", key="k")
    other = command(patch(CEO), uid=BOB, txn="2", key="l")
    elsewhere = command(patch(CEO), uid=BOB, txn="2", key="k", tenant="other")
    ann, bob = view(user()), view(user("bob", BOB))

    assert len(steps((first, ann), (second, bob))) == 1
    assert len(steps((first, ann), (other, bob))) == 2
    assert len(steps((first, ann), (elsewhere, bob))) == 2


@pytest.mark.parametrize("seen", [View(), View(answered=outcome())], ids=["refused", "replayed"])
def test_a_key_is_taken_whatever_became_of_its_first_command(seen: View) -> None:
    first, second = command(Delete(), txn="1", key="k"), command(patch(CEO), uid=BOB, txn="2", key="k")

    assert len(steps((first, seen), (second, view(user("bob", BOB))))) == 1


def test_commands_without_a_key_never_share_one() -> None:
    first, second = numbered([(patch(CEO), ANN), (patch(CEO), BOB)])

    assert len(steps((first, view(user())), (second, view(user("bob", BOB))))) == 2


def test_CP_17_a_batch_ends_before_a_second_delivery_of_one_of_its_commands() -> None:
    seen = view(user(title="CFO"))
    one, other = command(patch(CEO), txn="1"), command(patch(CTO), txn="2")

    assert len(steps((one, seen), (other, seen), (one, seen), (other, seen))) == 2
    assert len(steps((one, seen), (command(patch(CTO), txn="1", tenant="other"), seen))) == 2


def test_what_is_left_of_a_batch_is_taken_the_next_time() -> None:
    first, second = numbered([(Create(body("ann")), ANN), (patch(CEO), ANN)])
    (made,) = steps((first, View()), (second, View()))
    assert isinstance(made, Change)
    (left,) = steps((second, View(resource=made.resource())))

    assert isinstance(left, Change)
    assert left.version == 2


def test_an_empty_batch_comes_to_nothing() -> None:
    assert steps() == []


def test_every_command_needs_a_view() -> None:
    with pytest.raises(ValueError, match="zip"):
        plan([command(Delete())], [], NOON, 0)


def test_CP_22_a_batch_ends_once_its_resources_have_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = numbered([(patch(CEO), ANN), (Delete(), BOB), (patch(CTO), "x"), (Delete(), "y")])
    seen = [view(user("ann", uid)) for uid in (ANN, BOB, "x", "y")]
    whole = steps(*zip(asked, seen, strict=True))
    sizes = [len(step.text) for step in whole if isinstance(step, Change)]
    assert len(whole) == len(sizes) == 4
    assert (sizes[1], sizes[3]) == (0, 0), "a delete leaves no resource"
    assert batches.MOST_BYTES == 8_388_608, "what one transaction holds in memory"

    for most, taken in ((0, 1), (sizes[0] - 1, 1), (sizes[0], 3), (sizes[0] + sizes[2] - 1, 3), (sum(sizes), 4)):
        monkeypatch.setattr(batches, "MOST_BYTES", most)
        assert steps(*zip(asked, seen, strict=True)) == whole[:taken]


def test_CP_22_what_a_batch_looks_at_counts_also_where_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [command(Delete(), txn=str(n), if_match=("9",)) for n in range(3)]
    large = msgspec.structs.replace(view(user()), size=100)
    monkeypatch.setattr(batches, "MOST_BYTES", 150)
    assert [type(step) for step in steps(*((each, large) for each in asked))] == [Refusal, Refusal]


def test_a_batch_ends_where_others_have_waited_enough() -> None:
    asked = numbered([(Delete(), ANN), (Delete(), BOB), (Delete(), "x")])
    seen = [view(user("ann", uid)) for uid in (ANN, BOB, "x")]
    answers = [False, True]
    assert len(plan(asked, seen, NOON, 0, enough=lambda: answers.pop(0))) == 2


# --- budget -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("margin", [0, 4_000])
def test_INV_13_a_command_is_decided_only_before_its_budget_less_the_margin_is_over(margin: int) -> None:
    asked = (command(patch(CEO), budget=20_000), view(user()))
    end = NOON + 20_000 - margin

    assert isinstance(steps(asked, now=end - 1, margin=margin)[0], Change)
    assert steps(asked, now=end, margin=margin) == [Expired()]
    assert steps(asked, now=end + 1, margin=margin) == [Expired()]


@pytest.mark.parametrize("late", [0, 1, 10**10])
def test_a_command_that_nobody_waits_for_has_no_end(late: int) -> None:
    asked = (command(patch(CEO), budget=0), view(user()))

    assert isinstance(steps(asked, now=NOON + late, margin=4_000)[0], Change)


def test_an_expired_command_leaves_nothing_behind_and_does_not_hold_up_others() -> None:
    seen = view(user(title="CFO"), version=3)
    late, timely = command(patch(CEO), txn="1", budget=1), command(patch(CTO), txn="2")
    found = steps((late, seen), (timely, seen), now=NOON + 1)

    assert found[0] == Expired()
    assert isinstance(found[1], Change)
    assert found[1].version == 4


def test_CP_17_a_command_that_has_its_answer_gets_it_after_its_budget_too() -> None:
    answered = outcome()

    assert steps((command(Delete()), View(answered=answered)), now=NOON + 10**9) == [answered]
    keyed = steps((command(Delete(), fingerprint="another"), View(keyed=answered)), now=NOON + 10**9)
    assert isinstance(keyed[0], Refusal)
    assert keyed[0].status == 422


def test_CP_17_behind_a_change_of_the_batch_an_answered_command_is_still_answered_again() -> None:
    answered, keyed = outcome(txn="2"), outcome(txn="0")
    seen = view(user(title="CFO"), version=3)
    again = View(resource=seen.resource, answered=answered)
    under_key = View(resource=seen.resource, keyed=keyed)
    first, second, third = (
        command(patch(CEO), txn="1"),
        command(patch(CTO), txn="2"),
        command(patch(CTO), txn="3", key="k"),
    )

    assert steps((first, seen), (second, again), (third, under_key))[1:] == [answered, keyed]


# --- defects ----------------------------------------------------------------------------------------------------------


def test_INV_18_a_command_that_crashes_the_decision_does_not_touch_its_neighbours() -> None:
    seen = view(user(title="CFO"), version=3)
    nameless = command(Replace({"schemas": [urns.USER]}), txn="2")
    first, third = command(patch(CEO), txn="1"), command(patch(CTO), txn="3")
    found = steps((first, seen), (nameless, seen), (third, seen))

    assert isinstance(found[1], Crashed)
    assert isinstance(found[1].error, KeyError)
    assert [step.version for step in found if isinstance(step, Change)] == [4, 5]


def test_a_crash_keeps_the_key_of_its_command_to_itself() -> None:
    nameless = command(Create({"schemas": [urns.USER]}), txn="1", key="k")

    assert len(steps((nameless, View()), (command(Delete(), txn="2", key="k"), View()))) == 1


# --- outcomes ---------------------------------------------------------------------------------------------------------


def test_the_outcome_of_a_create_names_the_version_and_how_a_repeat_is_recognised() -> None:
    asked = command(Create(body()), key="k" * 32)
    decided = decide(asked, View())
    assert isinstance(decided, Change)

    assert outcome_of(asked, decided, "0c" * 16) == Outcome(
        txn=TXN,
        status=201,
        resource_type="User",
        resource_id=ANN,
        version=1,
        error=None,
        verb="create",
        fingerprint=FINGERPRINT,
        key="k" * 32,
        unseen="0c" * 16,
        gateway="gw-1",
        decided_at=NOON,
    )


def test_CP_27_the_outcome_of_a_repeat_is_the_first_ones_without_its_key_and_under_the_repeats_txn() -> None:
    again = command(Create(body()), key="k" * 32, txn="t2", gateway="gw-2", accepted_at=NOON + 5)
    first = outcome(key="k" * 32, unseen="0c" * 16)
    told = repeated(again, first)
    assert told == msgspec.structs.replace(first, txn="t2", key=None, unseen=None, gateway="gw-2", decided_at=NOON + 5)


def test_the_outcome_of_a_no_op_names_the_version_that_stands() -> None:
    asked = command(patch(CEO))
    made = outcome_of(asked, NoChange(stored(user(title="CEO"), version=3)), None)

    assert (made.status, made.version, made.error, made.verb, made.key, made.unseen) == (
        200,
        3,
        None,
        "patch",
        None,
        None,
    )


def test_the_outcome_of_a_refusal_says_why_and_names_no_version() -> None:
    why = Refusal(status=409, detail="userName is in use", scim_type="uniqueness")
    made = outcome_of(command(Replace(body())), why, None)

    assert (made.status, made.version, made.error, made.verb) == (409, 0, why, "replace")


def test_the_outcome_of_a_delete_names_the_version_that_the_delete_made() -> None:
    asked = command(Delete())
    decided = decide(asked, view(user(), version=3))
    assert isinstance(decided, Change)
    made = outcome_of(asked, decided, None)

    assert (made.status, made.version, made.verb) == (204, 4, "delete")


def test_an_outcome_lives_from_the_time_its_command_was_accepted() -> None:
    assert outcome_of(command(Delete(), accepted_at=5), Refusal(status=404, detail="no"), None).decided_at == 5


# --- all of it --------------------------------------------------------------------------------------------------------

IDS = st.sampled_from([ANN, BOB, "x"])
NAMES = st.sampled_from(["ann", "Ann", "bob", "eve"])
CHANGES = st.one_of(
    NAMES.map(lambda name: Create(body(name))),
    NAMES.map(lambda name: Replace(body(name))),
    st.sampled_from([patch(CEO), patch(CTO), Delete()]),
)


@given(st.lists(st.tuples(CHANGES, IDS), max_size=12), st.sets(IDS), st.lists(st.sampled_from("abc"), max_size=12))
def test_a_plan_is_a_prefix_in_which_no_answer_hangs_on_a_reservation(
    changes: list[tuple[Verb, str]], live: set[str], keys: list[str]
) -> None:
    commands = [
        msgspec.structs.replace(each, key=keys[place]) if place < len(keys) else each
        for place, each in enumerate(numbered(changes))
    ]
    views = {uid: view(user(f"name-of-{uid}", uid), version=3) for uid in live}
    found = plan(commands, [views.get(each.resource_id, View()) for each in commands], NOON, 0)

    assert len(found) >= min(1, len(commands))
    acquired: list[object] = []
    awaiting: set[str] = set()
    versions = dict.fromkeys(live, 3)
    for each, step in zip(commands, found, strict=False):
        assert each.resource_id not in awaiting
        if isinstance(step, Change):
            assert step.expected == versions.get(each.resource_id, 0)
            versions[each.resource_id] = step.version
            acquired.extend(step.acquires)
            if step.acquires or each.key is not msgspec.UNSET:
                awaiting.add(each.resource_id)
    assert len(set(acquired)) == len(acquired)
    used = [each.key for each, _ in zip(commands, found, strict=False) if each.key is not msgspec.UNSET]
    assert len(set(used)) == len(used)


@given(st.lists(st.tuples(CHANGES, IDS), max_size=8), st.sets(IDS))
def test_INV_17_a_batch_is_planned_the_same_way_each_time(changes: list[tuple[Verb, str]], live: set[str]) -> None:
    commands = numbered(changes)
    views = [view(user(f"name-of-{uid}", uid)) if uid in live else View() for _, uid in changes]

    assert plan(commands, views, NOON, 0) == plan(commands, views, NOON, 0)


def test_INV7_a_refused_use_of_a_key_does_not_own_it() -> None:
    """Partitions are replayed in any order: the refusal might come before the request that the key belongs to."""
    reused = refusal(KeyReused("used for another request"))

    assert outcome_of(command(Delete(), key="k"), reused, None).key is None
    assert outcome_of(command(Delete(), key="k"), refusal(NotFound("no User has this id")), None).key == "k"


def test_where_no_outcome_can_be_kept_a_new_key_is_not_decided_and_a_known_one_is_answered() -> None:
    seen = view(user(title="CFO"))
    known = msgspec.structs.replace(seen, keyed=outcome())
    asked = [msgspec.structs.replace(command(patch(CEO), txn=f"{n}"), key=f"k{n}") for n in range(2)]
    late = msgspec.structs.replace(asked[0], accepted_at=0)
    without = command(patch(CEO), txn="9")

    assert plan([asked[0], without], [seen, seen], NOON, 0, full=True)[0] == Full()
    assert plan([asked[0], without], [seen, seen], NOON, 0, full=True)[1:] == plan([without], [seen], NOON, 0)
    assert plan([asked[1]], [known], NOON, 0, full=True) == plan([asked[1]], [known], NOON, 0)
    assert plan([late], [seen], NOON, 0, full=True) == [Expired()]
