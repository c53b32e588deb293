"""The data directory: its first start, its lock, and what a kill in between leaves."""

from __future__ import annotations

import multiprocessing
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from consumers.errors import DataLocked, OperatorError
from gateway import first_start
from gateway.files import write_whole
from gateway.first_start import prepare
from gateway.tenants import load_tenants, require_token, token_digest


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "var"


def test_the_first_start_makes_a_directory_with_a_token_that_its_tenants_file_knows(directory: Path) -> None:
    old = os.umask(0)
    try:
        with prepare(directory) as start:
            assert start.created
            token = start.token_file.read_text().strip()
            tenants = load_tenants(start.tenants_file)
            require_token(tenants, start.tenants_file, now=0)
            assert tenants.by_token_hash[token_digest(token)].tenant.name == "default"
            assert start.working_token_file(tenants) == directory / "token"
            assert start.database == directory / "scimgw.db"
            assert mode(directory) == 0o700
            assert {mode(start.token_file), mode(start.tenants_file), mode(directory / "lock")} == {0o600}
            assert sorted(path.name for path in directory.iterdir()) == ["lock", "tenants.toml", "token"]
    finally:
        os.umask(old)


def test_the_paths_of_a_relative_directory_work_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with prepare("./var") as start:
        assert start.token_file == tmp_path / "var" / "token"


def test_a_later_start_leaves_both_files_as_they_are(directory: Path) -> None:
    with prepare(directory) as start:
        before = (start.tenants_file.read_bytes(), start.token_file.read_bytes())
    with prepare(directory) as start:
        assert not start.created
        assert (start.tenants_file.read_bytes(), start.token_file.read_bytes()) == before


def test_a_tenants_file_that_the_operator_brought_gets_no_token_beside_it(directory: Path) -> None:
    directory.mkdir()
    (directory / "tenants.toml").write_text('[server]\nsecret = "' + "A" * 43 + '"\n')
    with prepare(directory) as start:
        assert not start.token_file.exists()
        assert start.working_token_file(load_tenants(start.tenants_file)) is None


def test_a_token_file_that_no_tenant_knows_any_more_is_not_offered(directory: Path) -> None:
    with prepare(directory) as start:
        start.token_file.write_text("scimgw_" + "x" * 43 + "\n")
        assert start.working_token_file(load_tenants(start.tenants_file)) is None


@pytest.mark.parametrize("killed_in", [1, 2])
def test_a_first_start_killed_between_its_steps_is_begun_again(
    directory: Path, killed_in: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def killed(path: Path, text: str, *, replace: bool) -> None:
        nonlocal calls
        calls += 1
        if calls == killed_in:
            raise KeyboardInterrupt  # stands for the kill: nothing after this runs
        write_whole(path, text, replace=replace)

    monkeypatch.setattr(first_start, "write_whole", killed)
    with pytest.raises(KeyboardInterrupt):
        prepare(directory)
    monkeypatch.undo()
    with prepare(directory) as start:
        assert start.created
        assert start.working_token_file(load_tenants(start.tenants_file)) == start.token_file


def test_a_second_start_says_which_process_has_the_directory(directory: Path) -> None:
    with prepare(directory), pytest.raises(DataLocked, match=rf"in use by process {os.getpid()};.*--data") as caught:
        prepare(directory)
    assert caught.value.exit_code == 1
    with prepare(directory) as start:
        assert not start.created


def _hold(directory: Path, ready: object) -> None:
    with prepare(directory):
        ready.set()  # type: ignore[attr-defined]
        signal.pause()


def test_the_lock_of_a_killed_process_is_free(directory: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    holder = context.Process(target=_hold, args=(directory, ready))
    holder.start()
    try:
        assert ready.wait(30)
        with pytest.raises(DataLocked, match=rf"process {holder.pid}"):
            prepare(directory)
    finally:
        holder.kill()
        holder.join()
    prepare(directory).release()


def test_the_lock_does_not_pass_to_a_child(directory: Path) -> None:
    start = prepare(directory)
    program = [sys.executable, "-c", "print('up', flush=True); input()"]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"  # only then has the kernel closed what exec closes
        start.release()
        prepare(directory).release()
        child.communicate(b"\n")


def test_a_path_that_is_a_file_is_refused_in_one_line(directory: Path) -> None:
    directory.write_text("")
    with pytest.raises(OperatorError, match=r"not a directory; .*--data"):
        prepare(directory)
    with pytest.raises(OperatorError, match=r"not a directory"):
        prepare(directory / "below")


def test_an_interrupted_restore_is_not_served(directory: Path) -> None:
    directory.mkdir()
    (directory / "restoring").touch()
    with pytest.raises(OperatorError, match=r"restore .*--force"):
        prepare(directory)
    assert not (directory / "tenants.toml").exists()


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_whole(path, "old", replace=False)
    with pytest.raises(FileExistsError):
        write_whole(path, "new", replace=False)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, "new", replace=True)
    monkeypatch.undo()
    assert path.read_text() == "old"
    write_whole(path, "new", replace=True)
    assert path.read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
