"""What the topics hold against each other: what a correct service leaves is accepted, each broken promise is found."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Final

import pytest
from msgspec import structs

from tests.faults.logs import Commanded, Logs, Parked, Stated, check_topics
from tests.faults.reference import Reference
from tests.faults.simulation import Simulation
from tests.faults.violations import Violation

TENANT: Final = "default"
REFUSED: Final = "txn-refused"
POISONED: Final = "txn-poisoned"


class Story:
    """The topics after a run of a correct server, one partition."""

    def __init__(self) -> None:
        simulation = Simulation(Random(3), Reference())
        simulation.run(200)
        self.events = simulation.server.events
        self.commands: list[Commanded] = []
        self.state: list[Stated] = []
        self.dead: list[Parked] = []
        for event in self.events:
            self.decided(event["value"]["txn"], self.image(event))
        self.decided(REFUSED, answered=REFUSED, status=409)
        self.decided(POISONED, answered=POISONED, status=500)
        self.dead.append(Parked(partition=0, offset=len(self.commands) - 1, parked_at=900, txn=POISONED))

    def image(self, event: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return key and value of the state record that goes with an event."""
        resource, _, version = event["value"]["jti"].rpartition(":")
        value: dict[str, Any] = {"kind": "gone", "version": int(version), "txn": event["value"]["txn"]}
        body = next(iter(event["value"]["events"].values()))
        doc = event["value"].get("after") or body.get("data")
        if doc is not None:
            value |= {"kind": "user", "doc": doc}
        return f"{TENANT}/User/{resource}", value

    def decided(
        self, txn: str, image: tuple[str, dict[str, Any]] | None = None, answered: str = "", status: int = 0
    ) -> None:
        """Append a command and what its transaction left."""
        offset = len(self.commands)
        self.commands.append(Commanded(partition=0, offset=offset, at=offset, txn=txn))
        if image is not None:
            self.state.append(Stated(partition=0, offset=len(self.state), key=image[0], value=image[1]))
        outcome = {"tenant": TENANT, "outcome": {"txn": answered, "status": status}}
        place = {"kind": "position", "offset": offset, "answered": [outcome] if answered else []}
        self.state.append(Stated(partition=0, offset=len(self.state), key="position/0", value=place))

    def place(self, kind: str, number: int = 5) -> int:
        """Return where the so manieth state record of a kind stands."""
        return [place for place, one in enumerate(self.state) if one.value["kind"] == kind][number]

    def check(self) -> list[Violation]:
        """Check the topics."""
        logs = Logs(state=tuple(self.state), commands=tuple(self.commands), dead=tuple(self.dead))
        return check_topics(logs, self.events, TENANT)


def test_what_a_correct_service_leaves_is_accepted() -> None:
    assert Story().check() == []


def lost_image(story: Story) -> None:
    del story.state[story.place("user")]


def lost_event(story: Story) -> None:
    del story.events[5]


def doubled_version(story: Story) -> None:
    story.state.insert(story.place("user") + 1, story.state[story.place("user")])


def doubled_effect(story: Story) -> None:
    here, other = story.place("user", 5), story.place("user", 6)
    again = story.state[other].value | {"txn": story.state[here].value["txn"]}
    story.state[other] = structs.replace(story.state[other], value=again)


def other_content(story: Story) -> None:
    here = story.place("user")
    doc = story.state[here].value["doc"] | {"title": "nobody's"}
    story.state[here] = structs.replace(story.state[here], value=story.state[here].value | {"doc": doc})


def position_back(story: Story) -> None:
    story.state.append(structs.replace(story.state[-1], value={"kind": "position", "offset": 2, "answered": []}))


def numbers_back(story: Story) -> None:
    for number in (7, 6):
        story.state.append(Stated(partition=0, offset=9, key="seq/default", value={"kind": "seq", "seq": number}))


def refused_with_effect(story: Story) -> None:
    outcome = {"txn": story.events[0]["value"]["txn"], "status": 409}
    answered = [{"tenant": TENANT, "outcome": outcome}]
    story.state[-1] = structs.replace(story.state[-1], value=story.state[-1].value | {"answered": answered})
    story.dead.clear()


def commands_swapped(story: Story) -> None:
    seen: dict[str, str] = {}
    for event in story.events:
        txn, resource = event["value"]["txn"], event["value"]["sub_id"]["id"]
        if resource in seen:
            places = {one.txn: place for place, one in enumerate(story.commands)}
            first, second = places[seen[resource]], places[txn]
            story.commands[first] = structs.replace(story.commands[first], txn=txn)
            story.commands[second] = structs.replace(story.commands[second], txn=seen[resource])
            return
        seen[resource] = txn
    raise AssertionError("no resource was changed twice")


def effect_of_nobody(story: Story) -> None:
    story.commands[3] = structs.replace(story.commands[3], txn="txn-of-nobody")


def parked_late(story: Story) -> None:
    story.dead[0] = structs.replace(story.dead[0], parked_at=70_000)


def parked_without_outcome(story: Story) -> None:
    story.state.pop()


def parked_twice(story: Story) -> None:
    story.dead *= 2


def parked_what_is_not_there(story: Story) -> None:
    story.dead[0] = structs.replace(story.dead[0], offset=4711)


@pytest.mark.parametrize(
    ("broken", "invariant"),
    [
        (lost_image, "INV-1"),
        (lost_event, "INV-3"),
        (doubled_version, "INV-2"),
        (doubled_effect, "INV-12"),
        (other_content, "INV-9"),
        (position_back, "INV-10"),
        (numbers_back, "INV-10"),
        (refused_with_effect, "INV-6"),
        (commands_swapped, "INV-12"),
        (effect_of_nobody, "INV-12"),
        (parked_late, "INV-18"),
        (parked_without_outcome, "INV-18"),
        (parked_twice, "INV-18"),
        (parked_what_is_not_there, "INV-18"),
    ],
)
def test_a_broken_promise_is_found_in_the_topics(broken: Callable[[Story], None], invariant: str) -> None:
    story = Story()
    broken(story)
    assert invariant in {violation.invariant for violation in story.check()}
