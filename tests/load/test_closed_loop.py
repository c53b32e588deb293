"""What is in the database is held against what was acknowledged."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.load.closed_loop import Counted, arguments
from tests.load.deployments import Running
from tests.load.errors import RunFailed
from tests.load.stub_server import stub_server
from tests.load.test_wrk import GOOD
from tests.load.wrk import Load

CREATE = Load("create", 8)
PATCH = Load("patch", 8)


class Database:
    """As much of a server as the counts ask for."""

    def __init__(self, versions: list[int]) -> None:
        self.versions = versions
        self.total: int | None = None

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, bytes]:
        query = dict(pair.split("=") for pair in target.partition("?")[2].split("&"))
        start = int(query["startIndex"]) - 1
        page = self.versions[start : start + int(query["count"])]
        users = [
            {"id": str(start + index), "meta": {"version": f'W/"{version}"'}} for index, version in enumerate(page)
        ]
        total = len(self.versions) if self.total is None else self.total
        return 200, msgspec.json.encode({"totalResults": total, "Resources": users})


def at(port: int, directory: Path) -> Running:
    (directory / "token").write_text("t\n")
    return Running(port, 0, directory / "token", directory / "population", 3, (), directory)


@pytest.mark.parametrize("created", [100, 103, 105])
def test_creates_on_their_way_at_the_end_may_be_there_or_not(created: int, tmp_path: Path) -> None:
    database = Database([1, 1, 1])
    with stub_server(database.answer) as port:
        counted = Counted(at(port, tmp_path))
        counted.add(CREATE, GOOD)
        database.versions += [1] * created
        assert counted.check() == 3 + created


@pytest.mark.parametrize("created", [99, 106])
def test_a_lost_or_doubled_create_fails_the_run(created: int, tmp_path: Path) -> None:
    database = Database([1, 1, 1])
    with stub_server(database.answer) as port:
        counted = Counted(at(port, tmp_path))
        counted.add(CREATE, GOOD)
        database.versions += [1] * created
        with pytest.raises(RunFailed, match=f"{created} users more than before, where 100 were acknowledged"):
            counted.check()


def test_a_read_that_creates_something_fails_the_run(tmp_path: Path) -> None:
    database = Database([1, 1, 1])
    with stub_server(database.answer) as port:
        counted = Counted(at(port, tmp_path))
        counted.add(Load("get", 8), GOOD)
        database.versions.append(1)
        with pytest.raises(RunFailed):
            counted.check()


@pytest.mark.parametrize(("applied", "holds"), [(99, False), (100, True), (105, True), (106, False)])
def test_every_acknowledged_patch_is_a_version(applied: int, holds: bool, tmp_path: Path) -> None:
    database = Database([1] * 250)
    with stub_server(database.answer) as port:
        counted = Counted(at(port, tmp_path))
        counted.add(PATCH, GOOD)
        database.versions[3] += applied - 40
        database.versions[249] += 40
        if holds:
            assert counted.check() == 250
        else:
            with pytest.raises(RunFailed, match=f"{applied} changes"):
                counted.check()


def test_a_total_that_the_pages_do_not_hold_fails_the_run(tmp_path: Path) -> None:
    database = Database([1, 2, 2])
    database.total = 4
    with stub_server(database.answer) as port:
        counted = Counted(at(port, tmp_path))
        counted.add(PATCH, GOOD)
        with pytest.raises(RunFailed, match="4 users by totalResults, 3 in the pages"):
            counted.check()


def test_a_tag_of_another_length_would_make_users_of_another_size(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="six"):
        arguments(at(1, tmp_path), "long-tag")
