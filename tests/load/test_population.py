"""Making a population."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.load.errors import RunFailed
from tests.load.population import load, read_file, version_number, write_file
from tests.load.stub_server import stub_server


def test_every_user_is_made_once_and_kept_with_its_id(tmp_path: Path) -> None:
    names: list[str] = []

    def answering(method: str, target: str, body: bytes) -> tuple[int, bytes]:
        names.append(msgspec.json.decode(body)["userName"])
        return 201, msgspec.json.encode({"id": f"id-of-{names[-1]}"})

    with stub_server(answering) as port:
        users = load(port, "token", 200)
    assert len(set(names)) == 200
    assert sorted(users) == sorted((f"id-of-{name}", name) for name in names)
    write_file(tmp_path / "population.txt", users)
    assert read_file(tmp_path / "population.txt") == users


def test_one_answer_but_201_ends_the_loading_with_what_was_answered() -> None:
    with (
        stub_server(lambda method, target, body: (503, b"busy")) as port,
        pytest.raises(RunFailed, match="503 b'busy'"),
    ):
        load(port, "token", 200)


def test_the_number_of_a_version_is_read() -> None:
    assert version_number('W/"12"') == 12
