"""The subscriber that we hand out: each event once, in order, and a gap is not passed over in silence (INV-3)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

EVENTS: Final = Path(__file__).parent.parent.parent / "deploy" / "events"
NAMES: Final = ["create", "patch", "patch-deactivate", "put-activate", "delete"]
SAMPLES: Final = [json.loads((EVENTS / "samples" / f"{name}.json").read_text()) for name in NAMES]
USER: Final = "0199c1a2-b3c4-7102-8304-05060708090a"
APPLIED: Final = [
    f"default 0:41 {USER}:1 create:full",
    f"default 0:42 {USER}:2 patch:full",
    f"default 0:43 {USER}:3 patch:full and deactivate",
    f"default 0:44 {USER}:4 put:full and activate",
    f"default 0:45 {USER}:5 delete",
]


def meta(sample: dict[str, Any], offset: int = 1) -> str:
    """Return a line as ``scimgw events --meta`` prints it."""
    return json.dumps({"partition": 0, "offset": offset, **sample})


def console(sample: dict[str, Any], *before: str) -> str:
    """Return a line as Kafka's console consumer prints it."""
    return "\t".join([*before, sample["key"], json.dumps(sample["value"])])


def numbered(sample: dict[str, Any], tenant: str, seq: str) -> dict[str, Any]:
    """Return the sample as another tenant's event, with another number."""
    return {**sample, "key": f"{tenant}/{USER}", "value": {**sample["value"], "seq": seq}}


def subscribed(*lines: str) -> tuple[int, list[str], str]:
    """Return exit code, what was printed, and what was complained about."""
    run = subprocess.run(
        [sys.executable, EVENTS / "subscriber.py"],
        input="".join(f"{line}\n" for line in lines),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return run.returncode, run.stdout.splitlines(), run.stderr


def test_each_event_is_applied_in_order() -> None:
    assert subscribed(*map(meta, SAMPLES)) == (0, APPLIED, "")


def test_INV_3_a_repeat_is_dropped_by_its_jti() -> None:
    lines = [meta(SAMPLES[place]) for place in (0, 1, 1, 0, 1, 2, 0)]

    assert subscribed(*lines) == (
        0,
        [*APPLIED[:2], *(f"repeat {USER}:{version}" for version in (2, 1, 2)), APPLIED[2], f"repeat {USER}:1"],
        "",
    )


def test_INV_3_a_deleted_users_events_are_repeats_too() -> None:
    assert subscribed(*map(meta, SAMPLES), meta(SAMPLES[0]))[1] == [*APPLIED, f"repeat {USER}:1"]


def test_INV_3_a_missing_event_is_noticed_before_anything_behind_it_is_applied() -> None:
    complaint = "gap in default, partition 0: 43 came, 42 was due\n"

    assert subscribed(meta(SAMPLES[0]), meta(SAMPLES[2]), meta(SAMPLES[3])) == (3, APPLIED[:1], complaint)


def test_a_subscriber_may_start_anywhere() -> None:
    assert subscribed(*map(meta, SAMPLES[2:])) == (0, APPLIED[2:], "")


def test_tenants_and_partitions_count_for_themselves() -> None:
    create = SAMPLES[0]
    events = [create, numbered(create, "other", "0:7"), numbered(create, "third", "1:1"), SAMPLES[1]]

    code, printed, complaint = subscribed(*map(meta, events))
    assert (code, complaint) == (0, "")
    assert [line.split()[:2] for line in printed] == [
        ["default", "0:41"],
        ["other", "0:7"],
        ["third", "1:1"],
        ["default", "0:42"],
    ]


@pytest.mark.parametrize("before", [(), ("ce_tenant:default,ce_id:x",)], ids=["key", "headers and key"])
def test_lines_of_kafkas_console_consumer_are_read_too(before: tuple[str, ...]) -> None:
    assert subscribed(*(console(sample, *before) for sample in SAMPLES)) == (0, APPLIED, "")
