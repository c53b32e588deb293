"""For each invariant a history broken by hand, which must be found and named; the same history unbroken is clean."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from tests.faults import bodies, model
from tests.faults.checker import check
from tests.faults.evidence import MalformedError, answered, event_of
from tests.faults.history import Intent, Operation
from tests.faults.reference import Answer, Reference
from tests.faults.violations import Violation

MS = 10**6
BUDGET_NS = 1000 * MS


def user(name: str, mark: str, **more: Any) -> dict[str, Any]:
    return {"schemas": [bodies.USER], "userName": name, "nickName": f"mark-{mark}", "active": True, **more}


def titled(title: str, mark: str) -> dict[str, Any]:
    operations = [
        {"op": "replace", "path": "title", "value": title},
        {"op": "replace", "path": "nickName", "value": f"mark-{mark}"},
    ]
    return {"schemas": [bodies.PATCH_OP], "Operations": operations}


@dataclass
class Story:
    """Requests one after the other, 10 ms apart, and what they leave; ``state`` and ``events`` may be broken afterwards."""

    server: Reference = field(default_factory=Reference)
    history: list[Operation] = field(default_factory=list)
    state: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    now: int = 10_000 * MS

    def do(self, intent: Intent, *, lost: bool = False, happens: bool = True) -> Operation:
        """Send a request; ``lost``: without an answer; not ``happens``: without an effect."""
        self.now += 10 * MS
        answer: Answer | None = None
        if not happens:
            pass
        elif intent.verb == "read":
            answer = self.server.read(intent.resource or "")
        elif intent.verb == "find":
            answer = self.server.find(intent.name or "")
        else:
            answer = self.server.submit(intent.verb, intent.resource, intent.body, intent.if_match, intent.key)
        if lost and answer and answer.status == 201:
            self.server.unseen.add(answer.resource or "")
        self.events = deepcopy(self.server.events)
        self.state = deepcopy(list(self.server.final_state()))
        told = None if lost else answer
        return self.note(intent, told)

    def note(self, intent: Intent, told: Answer | None, **more: Any) -> Operation:
        """Record what a client says of a request, whatever the server did."""
        operation = Operation(
            number=len(self.history) + 1,
            client="c",
            gateway="g",
            verb=intent.verb,
            invoked_at=self.now,
            returned_at=self.now + 5 * MS,
            resource=(told.resource if told and told.resource else None) or intent.resource,
            name=intent.name,
            body=intent.body,
            if_match=intent.if_match,
            key=intent.key,
            status=told.status if told else None,
            version=told.version if told else None,
            txn=told.txn if told else None,
            answer=told.body if told else None,
        )
        self.history.append(msgspec.structs.replace(operation, **more))
        return operation

    def create(self, name: str, mark: str) -> str:
        """Create a user; returns its id."""
        return self.do(Intent("create", body=user(name, mark))).resource or ""

    def change(self, number: int, **changes: Any) -> None:
        """Alter what a client recorded."""
        self.history[number - 1] = msgspec.structs.replace(self.history[number - 1], **changes)

    def check(self) -> list[Violation]:
        """Run the checker."""
        return check(self.history, self.state, self.events, budget_ns=BUDGET_NS)

    def finds(self, invariant: str, *operations: int) -> bool:
        """Whether the checker names the invariant, and these operations with it."""
        return any(v.invariant == invariant and set(operations) <= set(v.operations) for v in self.check())


@pytest.fixture
def story() -> Story:
    """Ann is created, patched to versions 2 and 3, and read: five clean operations."""
    told = Story()
    ann = told.create("ann", "1")
    told.do(Intent("patch", ann, titled("one", "2"), if_match=1))
    told.do(Intent("patch", ann, titled("two", "3")))
    told.do(Intent("read", ann))
    told.do(Intent("find", name="ANN"))
    assert told.check() == []
    return told


def ann(story: Story) -> str:
    return story.history[0].resource or ""


def test_INV_1_an_acknowledged_write_without_a_version_is_lost(story: Story) -> None:
    story.note(Intent("patch", ann(story), titled("three", "4")), Answer(200, ann(story), 4, "txn-x"))
    assert story.finds("INV-1", 6)


def test_INV_1_an_acknowledged_write_that_is_only_in_the_events_is_lost(story: Story) -> None:
    story.state[0]["value"]["version"] = 2
    assert story.finds("INV-1")


def test_INV_1_a_resource_missing_from_the_store_is_lost(story: Story) -> None:
    story.state.clear()
    assert story.finds("INV-1")


def test_INV_1_another_content_in_the_store_is_found(story: Story) -> None:
    story.state[0]["value"]["doc"]["title"] = "other"
    assert story.finds("INV-1")


def test_INV_1_a_resource_that_came_back_after_its_delete_is_found(story: Story) -> None:
    kept = deepcopy(story.state)
    story.do(Intent("delete", ann(story)))
    assert story.check() == []
    story.state = kept
    assert story.finds("INV-1")


def test_INV_2_two_versions_of_one_request_are_found(story: Story) -> None:
    story.server._apply("patch", ann(story), story.history[2].body, story.history[2].txn or "")
    story.events, story.state = story.server.events, list(story.server.final_state())
    assert story.finds("INV-2", 3)


def test_INV_2_an_answer_with_another_version_than_the_effect_is_found(story: Story) -> None:
    story.change(3, version=2)
    assert story.finds("INV-2", 3)


def test_INV_2_one_version_told_twice_with_different_content_is_found(story: Story) -> None:
    twice = deepcopy(story.events[-1])
    twice["value"]["after"]["title"] = "other"
    story.events.append(twice)
    assert story.finds("INV-2")


def test_INV_3_a_lost_event_is_found(story: Story) -> None:
    del story.events[1]
    assert story.finds("INV-3")


def test_INV_3_a_lost_last_event_is_found_by_the_store(story: Story) -> None:
    del story.events[-1]
    assert story.finds("INV-3")
    assert story.finds("INV-1", 3)


def test_INV_3_events_out_of_order_are_found(story: Story) -> None:
    story.events[1], story.events[2] = story.events[2], story.events[1]
    assert story.finds("INV-3")


def test_INV_3_a_gap_in_the_numbers_of_a_partition_is_found(story: Story) -> None:
    record = story.events[-1]
    record["headers"]["ce_sequence"], record["value"]["seq"] = "9", "0:9"
    assert story.finds("INV-3")


def test_INV_3_a_repeat_is_recognised_in_a_subscribers_record_and_refused_in_the_log(story: Story) -> None:
    story.events.insert(2, deepcopy(story.events[1]))
    assert story.finds("INV-3")
    assert check(story.history, story.state, story.events, redelivered=True) == []


def test_INV_3_an_event_whose_headers_contradict_it_is_found(story: Story) -> None:
    story.events[1]["headers"]["ce_resourceversion"] = "7"
    assert story.finds("INV-3")


def test_INV_4_one_name_of_two_users_is_found_in_any_spelling(story: Story) -> None:
    story.server.names.clear()
    story.create("AnN", "4")
    assert story.finds("INV-4")


def test_INV_4_one_name_of_two_users_in_two_partitions_is_found_by_the_clocks(story: Story) -> None:
    story.server.names.clear()
    story.create("AnN", "4")
    other = story.events[-1]
    other |= {"partition": 1, "offset": 0}
    other["headers"]["ce_sequence"], other["value"]["seq"] = "1", "1:1"
    assert story.finds("INV-4")


def test_INV_4_a_name_freed_and_taken_again_is_no_violation(story: Story) -> None:
    story.do(Intent("delete", ann(story)))
    story.create("ANN", "4")
    assert story.check() == []


def test_d_a_409_without_a_holder_is_refused_wrongly(story: Story) -> None:
    story.note(Intent("create", body=user("bob", "4")), Answer(409, txn="txn-x"))
    assert story.finds("INV-4", 6)


def test_d_a_409_for_the_repeat_of_a_create_whose_answer_was_lost_is_refused_wrongly(story: Story) -> None:
    story.do(Intent("create", body=user("bob", "4")), lost=True)
    repeat = story.do(Intent("create", body=user("bob", "4")))
    assert repeat.status == 201
    assert story.check() == []
    story.change(repeat.number, status=409, resource=None, version=None, answer=None, txn="txn-x")
    assert story.finds("INV-4", repeat.number)


def test_d_a_409_for_a_true_duplicate_is_right(story: Story) -> None:
    assert story.do(Intent("create", body=user("ann", "1"))).status == 409
    assert story.check() == []


def test_INV_5_an_effect_on_another_version_than_if_match_named_is_found(story: Story) -> None:
    story.change(3, if_match=1)
    assert story.finds("INV-5", 3)


def test_INV_5_a_412_for_the_current_version_is_refused_wrongly(story: Story) -> None:
    story.note(Intent("patch", ann(story), titled("x", "4"), if_match=3), Answer(412, ann(story), txn="txn-x"))
    assert story.finds("INV-5", 6)


def test_d_a_412_is_right_when_the_version_changed_within_its_window(story: Story) -> None:
    story.note(
        Intent("patch", ann(story), titled("x", "4"), if_match=2),
        Answer(412, ann(story), txn="txn-x"),
        invoked_at=story.history[2].invoked_at,
        returned_at=story.history[2].returned_at,
    )
    assert story.check() == []


def test_INV_6_a_refused_request_that_took_effect_is_found(story: Story) -> None:
    story.change(3, status=412, version=None, answer=None)
    assert story.finds("INV-6", 3)


def test_INV_6_a_refused_request_that_takes_effect_later_under_another_txn_is_found(story: Story) -> None:
    intent = Intent("patch", ann(story), titled("x", "4"))
    story.note(intent, Answer(429, ann(story), txn="txn-x"))
    story.do(intent)
    story.history.pop()
    assert story.finds("INV-6", 6)


def test_INV_7_one_key_answered_in_two_ways_is_found(story: Story) -> None:
    intent = Intent("patch", ann(story), titled("x", "4"), key="k")
    story.do(intent)
    again = story.do(intent)
    assert again.version == 4
    assert story.check() == []
    story.change(again.number, version=5)
    assert story.finds("INV-7", 6, 7)


def test_INV_7_one_key_that_decides_two_requests_is_found(story: Story) -> None:
    story.do(Intent("patch", ann(story), titled("x", "4"), key="k"))
    assert story.do(Intent("patch", ann(story), titled("y", "5"), key="k")).status == 422
    assert story.check() == []
    story.do(Intent("patch", ann(story), titled("y", "5")))
    story.change(8, key="k")
    assert story.finds("INV-7", 6, 8)


def test_INV_7_a_delete_without_an_answer_may_be_anothers_where_its_key_was_used_for_another_request(
    story: Story,
) -> None:
    """Two deletes went unanswered, one under a key that then answered another request: the other one did it."""
    story.do(Intent("delete", ann(story), key="k"), lost=True, happens=False)
    assert story.do(Intent("patch", ann(story), titled("x", "4"), key="k")).succeeded
    story.do(Intent("delete", ann(story)), lost=True)
    assert story.check() == []


def test_INV_7_a_delete_under_a_key_that_answered_another_request_is_found_where_nobody_else_can_have_done_it(
    story: Story,
) -> None:
    assert story.do(Intent("patch", ann(story), titled("x", "4"), key="k")).succeeded
    story.do(Intent("delete", ann(story)), lost=True)
    story.change(7, key="k")
    assert story.finds("INV-7", 6, 7)


def test_INV_7_a_second_effect_of_a_lost_request_with_a_key_is_found(story: Story) -> None:
    intent = Intent("patch", ann(story), titled("x", "4"), key="k")
    story.do(intent, lost=True)
    story.do(Intent("patch", ann(story), titled("y", "5")))
    story.server.keyed.clear()
    story.do(intent)
    assert story.finds("INV-7", 6, 8)


def test_INV_8_a_read_that_shows_less_than_was_acknowledged_is_found(story: Story) -> None:
    stale = deepcopy(story.history[3].answer)
    stale["meta"]["version"], stale["title"], stale["nickName"] = 'W/"2"', "one", "mark-2"
    story.change(4, version=2, answer=stale)
    assert story.finds("INV-8", 3, 4)


def test_INV_8_a_read_before_which_another_client_read_more_is_found(story: Story) -> None:
    # The write itself is never answered: only the first reader proves that it had taken effect.
    story.do(Intent("patch", ann(story), titled("x", "4")), lost=True)
    old = story.history[3]
    story.do(Intent("read", ann(story)))
    story.do(Intent("read", ann(story)))
    assert story.check() == []
    story.change(8, version=old.version, answer=old.answer)
    assert story.finds("INV-8", 7, 8)


def test_INV_8_a_404_for_a_live_resource_is_found(story: Story) -> None:
    story.change(4, status=404, version=None, answer=None)
    assert story.finds("INV-8", 4)


def test_INV_8_a_404_before_the_delete_was_sent_is_found(story: Story) -> None:
    story.change(4, status=404, version=None, answer=None)
    story.do(Intent("delete", ann(story)))
    assert story.finds("INV-8") or story.finds("INV-12")


def test_INV_8_a_search_that_misses_a_holder_is_found(story: Story) -> None:
    story.change(5, answer={"totalResults": 0, "Resources": []})
    assert story.finds("INV-8", 5)


def test_INV_12_versions_against_the_order_of_the_clients_are_found(story: Story) -> None:
    second, third = story.history[1], story.history[2]
    story.change(2, invoked_at=third.invoked_at + 20 * MS, returned_at=third.returned_at + 20 * MS)
    assert story.finds("INV-12", second.number)


def test_INV_12_a_swapped_reply_is_found(story: Story) -> None:
    bob = story.create("bob", "4")
    shown = story.do(Intent("read", bob))
    story.change(4, answer=shown.answer)
    assert story.finds("INV-12", 4)


def test_INV_12_an_effect_that_nobody_asked_for_is_found(story: Story) -> None:
    story.do(Intent("patch", ann(story), titled("x", "4")))
    story.history.pop()
    assert story.finds("INV-12")


def test_INV_13_an_unknown_outcome_may_appear_once_or_not_at_all(story: Story) -> None:
    story.do(Intent("patch", ann(story), titled("x", "4")), lost=True)
    story.do(Intent("patch", ann(story), titled("y", "5")), lost=True, happens=False)
    assert story.check() == []


def test_INV_13_an_unknown_outcome_that_appears_twice_is_found(story: Story) -> None:
    intent = Intent("patch", ann(story), titled("x", "4"))
    story.do(intent, lost=True)
    story.do(Intent("patch", ann(story), titled("y", "5")))
    story.do(intent, lost=True)
    story.history.pop()
    assert story.finds("INV-13", 6)


def test_INV_13_an_effect_after_the_budget_is_found(story: Story) -> None:
    intent = Intent("patch", ann(story), titled("x", "4"))
    story.note(intent, Answer(503, ann(story), txn="txn-503"))
    story.now += BUDGET_NS + 2000 * MS
    story.do(Intent("read", ann(story)))
    assert story.check() == []
    story.server._apply("patch", ann(story), intent.body, "txn-503")
    story.do(Intent("read", ann(story)))
    assert story.finds("INV-13", 6, 7)


def test_INV_14_a_deleted_user_that_is_changed_again_is_found(story: Story) -> None:
    story.do(Intent("delete", ann(story)))
    story.server._apply("replace", ann(story), user("ann", "9"), "txn-x")
    story.do(Intent("read", ann(story)))
    assert story.finds("INV-14")


def test_INV_17_a_version_that_is_not_what_its_request_makes_is_found(story: Story) -> None:
    for record in (story.events[2]["value"]["after"], story.state[0]["value"]["doc"]):
        record["title"] = "three"
    shown = [deepcopy(story.history[number].answer) for number in (2, 3)]
    for number, answer in zip((3, 4), shown, strict=True):
        story.change(number, answer=answer | {"title": "three"})
    story.history.pop()
    assert story.finds("INV-17", 3)


def test_a_no_op_keeps_the_version_and_leaves_no_event(story: Story) -> None:
    again = story.do(Intent("patch", ann(story), titled("two", "3"), if_match=3))
    assert (again.status, again.version) == (200, 3)
    assert story.check() == []


def test_an_unexpected_status_is_refused_wrongly(story: Story) -> None:
    story.note(Intent("patch", ann(story), titled("x", "4")), Answer(500, ann(story), txn="txn-x"))
    assert story.finds("(d)", 6)


def test_answers_in_the_form_of_state_records_serve_as_the_final_state(story: Story) -> None:
    story.create("bob", "4")
    story.do(Intent("delete", story.history[-1].resource))
    story.state = []
    for resource in story.server.versions:
        shown = story.server.read(resource)
        etag = f'W/"{shown.version}"' if shown.version else None
        story.state.append(dict(answered("default", resource, shown.status, etag, shown.body)))
    assert story.check() == []
    with pytest.raises(MalformedError):
        answered("default", ann(story), 503, None, {})


def test_an_event_without_the_promised_form_is_refused(story: Story) -> None:
    event_of(story.events[0])
    broken: dict[str, Any]
    for broken in ({"jti": "x:1"}, {"seq": "1:1"}, {"events": {}}):
        record = deepcopy(story.events[0])
        record["value"] |= broken
        with pytest.raises(MalformedError):
            event_of(record)


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (
            {"op": "add", "path": 'emails[type eq "home"].value', "value": "h"},
            {"emails": [{"type": "home", "value": "h"}]},
        ),
        ({"op": "Replace", "value": {"title": "t"}}, {"title": "t"}),
        ({"op": "remove", "path": "displayName"}, {}),
        (
            {"op": "replace", "path": f"{bodies.ENTERPRISE}:department", "value": "d"},
            {bodies.ENTERPRISE: {"department": "d"}, "schemas": [bodies.USER, bodies.ENTERPRISE]},
        ),
    ],
)
def test_the_model_applies_what_the_load_sends(operation: dict[str, Any], expected: dict[str, Any]) -> None:
    before = {"schemas": [bodies.USER], "id": "r", "userName": "ann"}
    assert model.apply("patch", "r", {"Operations": [operation]}, before) == model.canonical(before | expected)
