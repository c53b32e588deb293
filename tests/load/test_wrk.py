"""wrk, its scripts, and what makes a run worthless."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from tests.load.errors import BenchError, RunFailed
from tests.load.stub_server import Answering, stub_server
from tests.load.users import TEMPLATE, user_name
from tests.load.wrk import Load, WrkResult, checked, find_wrk, parse, run

needs_wrk = pytest.mark.skipif(
    shutil.which("wrk") is None and not os.environ.get("CI"), reason="wrk is not installed (apt-get install wrk)"
)
GOOD = WrkResult(100, 1_000_000, 5000, 105, 100, 0, "", 0, 0, 0, 0, 0, 1.0, 2, 1, 1, 1, 2, 2)
USERS = [(f"id-{number}", user_name(f"name-{number}")) for number in range(150)]


def test_wrk_missing_is_one_line_with_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BenchError, match=r"^wrk is not on PATH; install it .*apt-get install wrk.*$"):
        find_wrk()


def test_the_figures_are_found_in_wrk_s_output() -> None:
    line = "BENCH " + msgspec.json.encode(GOOD).decode()
    assert parse(f"Running 1s test\n\n{line}\n") == GOOD


def test_a_script_that_breaks_off_fails_the_run() -> None:
    with pytest.raises(RunFailed, match="attempt to index"):
        parse("Running 1s test\ncommon.lua:3: attempt to index a nil value\n")


@pytest.mark.parametrize(
    "wrong",
    [
        {"answered_otherwise": 1},
        {"connect_errors": 1},
        {"read_errors": 1},
        {"write_errors": 1},
        {"status_errors": 1},
        {"timeouts": 1},
        {"answered_well": 99},
        {"requests": 0, "answered_well": 0, "issued": 2},
        {"issued": 120},
    ],
)
def test_one_wrong_answer_fails_the_run(wrong: dict[str, int]) -> None:
    assert checked(GOOD, Load("get", 8)) is GOOD
    with pytest.raises(RunFailed):
        checked(msgspec.structs.replace(GOOD, **wrong), Load("get", 8))


def put_on(load: Load, directory: Path, answering: Answering) -> WrkResult:
    """Run a script for a second against a stub."""
    (directory / "token").write_text("secret-token\n")
    (directory / "population").write_text("".join(f"{identifier} {name}\n" for identifier, name in USERS))
    arguments = {
        "seed": "1",
        "tag": "tests-",
        "token": str(directory / "token"),
        "template": str(TEMPLATE),
        "population": str(directory / "population"),
    }
    with stub_server(answering) as port:
        return run(load, port, 1, arguments)


@needs_wrk
def test_every_create_is_another_user_of_one_size(tmp_path: Path) -> None:
    bodies: list[bytes] = []

    def answering(method: str, target: str, body: bytes) -> tuple[int, bytes]:
        assert (method, target) == ("POST", "/scim/v2/Users")
        bodies.append(body)
        return 201, b"{}"

    result = put_on(Load("create", 4), tmp_path, answering)
    assert result.requests <= len(bodies) <= result.issued
    assert {len(body) for body in bodies} == {1013}
    assert len({json.loads(body)["userName"] for body in bodies}) == len(bodies)
    assert result.cpu_s > 0


@needs_wrk
def test_creates_may_carry_a_password(tmp_path: Path) -> None:
    passwords: Counter[str] = Counter()

    def answering(method: str, target: str, body: bytes) -> tuple[int, bytes]:
        passwords[json.loads(body)["password"]] += 1
        return 201, b"{}"

    put_on(Load("create", 4, {"password": "correct-horse"}), tmp_path, answering)
    assert set(passwords) == {"correct-horse"}


@needs_wrk
def test_patches_draw_users_from_the_whole_population_and_always_change_something(tmp_path: Path) -> None:
    targets: Counter[str] = Counter()
    values: Counter[str] = Counter()

    def answering(method: str, target: str, body: bytes) -> tuple[int, bytes]:
        assert method == "PATCH"
        targets[target.removeprefix("/scim/v2/Users/")] += 1
        values[json.loads(body)["Operations"][0]["value"]] += 1
        return 200, b"{}"

    put_on(Load("patch", 4), tmp_path, answering)
    assert set(targets) == {identifier for identifier, _ in USERS}
    assert set(values.values()) == {1}


@needs_wrk
@pytest.mark.parametrize(
    ("script", "pattern", "distinct"),
    [
        ("get", r"/scim/v2/Users/(id-\d+)", 150),
        ("filter", r"/scim/v2/Users\?filter=userName%20eq%20%22name-(\d+)%40example\.com%22", 150),
        ("list", r"/scim/v2/Users\?count=100&startIndex=(\d+)", 51),
    ],
)
def test_reads_are_drawn_from_the_whole_population(script: str, pattern: str, distinct: int, tmp_path: Path) -> None:
    targets: Counter[str] = Counter()

    def answering(method: str, target: str, body: bytes) -> tuple[int, bytes]:
        found = re.fullmatch(pattern, target)
        assert found
        targets[found[1]] += 1
        return 200, b'{"totalResults":1,"x":0}'

    put_on(Load(script, 4, {"expect": '"totalResults":1,'}), tmp_path, answering)
    assert len(targets) == distinct


@needs_wrk
@pytest.mark.parametrize(
    ("status", "body"), [(404, b"{}"), (302, b"{}"), (500, b'{"detail":"no \\"luck\\""}'), (200, b'{"totalResults":0}')]
)
def test_one_answer_that_is_not_as_expected_fails_a_real_run(status: int, body: bytes, tmp_path: Path) -> None:
    asked = 0

    def answering(method: str, target: str, sent: bytes) -> tuple[int, bytes]:
        nonlocal asked
        asked += 1
        return (status, body) if asked == 30 else (200, b'{"totalResults":1,"x":0}')

    with pytest.raises(RunFailed, match=rf"1 answers but the expected.*the first: {status} "):
        put_on(Load("filter", 1, {"expect": '"totalResults":1,'}), tmp_path, answering)


@needs_wrk
def test_nobody_listening_fails_the_run(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t\n")
    with pytest.raises(RunFailed):
        run(
            Load("create", 1),
            1,
            1,
            {"seed": "1", "tag": "tests-", "token": str(tmp_path / "token"), "template": str(TEMPLATE)},
        )
