"""The row of sizing: what is counted as what, and what is sent."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from consumers.backends.redis_keys import ShardKeys
from consumers.topics import Topics
from schemas.outcomes import LIFE_MS
from tests.load.budget import Budget
from tests.load.deployments import Embedded
from tests.load.errors import BenchError, RunFailed
from tests.load.footprint import ALL, TOPICS, Footprint, growth, kind_of, segments
from tests.load.rows import TABLES
from tests.load.sizing_row import LONGEST_S, STAGES, creates, own_body, patches, send, sizing_runs
from tests.load.stub_server import stub_server
from tests.load.test_measures import a_run
from tests.load.users import name_of, user_body

KEYS = ShardKeys(3)
USERS = [(f"id-{number}", "") for number in range(10)]


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        (KEYS.record("t", "5"), "record"),
        (KEYS.names("t", "userName"), "names"),
        (KEYS.entries("t", "User", "externalId"), "index"),
        (KEYS.order("t", "User"), "order"),
        (KEYS.outcome("t", "x"), "outcome"),
        (KEYS.first("t", "a:b"), "outcome"),
        (KEYS.reserved_key("t", "r"), "outcome"),
        (KEYS.created_by("t", "5"), "outcome"),
        (KEYS.unseen("t", "x"), "outcome"),
        (KEYS.held(1), "outcome"),
        (KEYS.held_keyed(1), "outcome"),
        (KEYS.replies("g"), "replies"),
        *(
            (key, "other")
            for key in (
                *(KEYS.recovered, KEYS.fence(1), KEYS.watermark(1), KEYS.attempts(1), KEYS.gone(1), KEYS.alive("g")),
                *(KEYS.reservations("t", "userName"), KEYS.number("t", 1), KEYS.groups("t", "5")),
            )
        ),
        (KEYS.record("held1", "5"), "record"),
    ],
)
def test_each_key_of_redis_counts_for_what_it_is(key: str, kind: str) -> None:
    assert kind_of(key) == kind


def test_the_topics_that_are_weighed_are_those_that_there_are(tmp_path: Path) -> None:
    assert {f"p.{topic}" for topic in TOPICS} == set(Topics("p").all)
    for name, size in (
        ("p.commands.v1-0/0.log", 5),
        ("p.commands.v1-1/0.log", 7),
        ("p.commands.v1-1/9.log", 11),
        ("p.commands.v1-1/0.index", 1000),
        ("p.commands.dead.v1-0/0.log", 13),
        ("other.commands.v1-0/0.log", 1000),
        ("pp.commands.v1-0/0.log", 1000),
        ("__transaction_state-3/0.log", 17),
    ):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"x" * size)

    assert segments(tmp_path, "p") == {"commands": 23, "state": 0, "events": 0, "commands.dead": 13, "internal": 17}


def test_what_a_write_adds_is_the_difference_shared_out_and_no_byte_of_redis_is_left_out() -> None:
    before = Footprint(
        keys={"record": 1000, "other": 50},
        used=5000,
        file=0,
        received=0,
        sent=10,
        looking=(500, 700),
        logs={"state": 100},
        transactions=3,
    )
    after = Footprint(
        keys={"record": 3000, "names": 400, "outcome": 600, "replies": 90, "other": 60},
        used=9000,
        file=800,
        received=2500,
        sent=1710,
        looking=(5000, 7000),
        logs={"state": 1100},
        transactions=8,
    )

    found = growth(before, after, 10)

    assert found["redis_record"] == 200
    assert found["redis_for_good"] == 240
    assert found["redis_outcome"] == 60
    assert found["batch"] == 2
    assert (found["file"], found["received"], found["sent"], found["log_state"]) == (80, 200, 100, 100)
    assert sum(found[f"redis_{kind}"] for kind in ALL) + found["redis_beside_keys"] == found["redis_used"] == 400


def test_each_user_is_as_long_as_the_benchs_and_shares_no_value_of_its_own() -> None:
    first, second = (json.loads(own_body(number)) for number in range(2))

    assert len(own_body(0)) == len(own_body(1)) == len(user_body(name_of("popul-", 0)))
    assert first.keys() == second.keys()
    for attribute in ("userName", "externalId", "displayName", "title", "name", "addresses", "phoneNumbers"):
        assert first[attribute] != second[attribute]
    assert own_body(0) == own_body(0)


def test_a_patch_sets_an_attribute_of_some_user_to_another_value_of_the_same_length() -> None:
    before = json.loads(own_body(0))["displayName"]
    writes = patches(USERS, 50, STAGES[1])
    values = [json.loads(body)["Operations"][0]["value"] for _, _, body, _, _ in writes]

    assert len(set(values)) == 50
    assert {len(value) for value in values} == {len(before)}
    assert {target.rpartition("/")[2] for _, target, _, _, _ in writes} <= {identifier for identifier, _ in USERS}
    assert all(headers == () for *_, headers, _ in writes)


def test_only_the_stage_with_keys_sends_keys_each_once() -> None:
    (stage,) = (stage for stage in STAGES if stage.keyed)
    keys = [headers[0] for *_, headers, _ in patches(USERS, 50, stage)]

    assert len(set(keys)) == 50
    assert all(key.startswith("Idempotency-Key: ") for key in keys)


async def test_every_write_is_sent_once_and_gives_its_user() -> None:
    asked: list[bytes] = []

    def answering(method: str, target: str, body: bytes) -> tuple[int, bytes]:
        asked.append(body)
        return 201, msgspec.json.encode({"id": f"id-{len(asked)}"})

    with stub_server(answering) as port:
        identifiers, times = await send(port, "token", creates(0, 20), 4)

    assert sorted(asked) == sorted(own_body(number) for number in range(20))
    assert len(set(identifiers)) == len(times) == 20


async def test_another_answer_than_expected_ends_the_run_with_what_was_answered() -> None:
    with (
        stub_server(lambda method, target, body: (503, b"busy")) as port,
        pytest.raises(RunFailed, match="POST answered 503 b'busy'"),
    ):
        await send(port, "token", creates(0, 20), 4)


def test_the_embedded_mode_has_no_servers_to_size(tmp_path: Path) -> None:
    with pytest.raises(BenchError):
        next(iter(sizing_runs(Embedded(tmp_path), Budget(runs=1), "sizing")))


def test_the_bytes_are_read_while_every_outcome_is_there() -> None:
    assert LONGEST_S * 1000 < LIFE_MS


def test_each_figure_of_the_row_is_read_in_a_run_of_a_stage() -> None:
    (row,) = (row for row in TABLES["kafka"] if row.key == "sizing")
    nothing = Footprint(
        {}, 0, 0, 0, 0, (0, 0), dict.fromkeys(("commands", "state", "events", "commands.dead", "internal"), 0), 0
    )
    more = growth(nothing, nothing, 1)

    for measure in row.measures:
        assert measure.part in {stage.part for stage in STAGES}
        measure.read(msgspec.structs.replace(a_run(10, measure.part), more=more))
