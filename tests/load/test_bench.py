"""The command line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.tenants import first_tenants_file
from tests.load.bench import main
from tests.load.deployments import ROOT, set_password_rule
from tests.load.errors import BenchError
from tests.load.password_row import hashes_a_second


def test_wrk_missing_ends_the_bench_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["--quick", "--data", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_an_unknown_row_is_named_beside_those_that_there_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrk = tmp_path / "wrk"
    wrk.write_text("#!/bin/sh\n")
    wrk.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["--rows", "create,delete", "--data", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "'delete'" in said
    assert "create-1, create, patch, get, filter, list, memory, scale, password" in said


def test_the_password_rule_of_a_first_tenants_file_is_set_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "tenants.toml"
    text, _ = first_tenants_file()
    file.write_text(text)
    set_password_rule(file, "argon2id")
    once = file.read_text()
    set_password_rule(file, "argon2id")
    assert file.read_text() == once
    assert [line for line in once.splitlines() if line.startswith("password")] == ['password = "argon2id"']


def test_a_tenants_file_without_a_tenant_is_said(tmp_path: Path) -> None:
    file = tmp_path / "tenants.toml"
    file.write_text("[server]\n")
    with pytest.raises(BenchError):
        set_password_rule(file, "argon2id")


def test_the_hash_floor_is_measured() -> None:
    assert hashes_a_second(1, 0.2) > 1


def test_results_that_are_kept_name_no_path_of_the_machine() -> None:
    for result in (ROOT / "tests" / "load" / "results").glob("*.json"):
        assert str(ROOT) not in result.read_text()


@pytest.mark.skipif(shutil.which("wrk") is None and not os.environ.get("CI"), reason="wrk is not installed")
def test_a_sigterm_stops_the_server_before_the_bench_ends(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.load.bench", "--rows", "get", "--runs", "1", "--data", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as bench:
        server = _pid_below(bench.pid)
        _until_it_logs(tmp_path)
        bench.terminate()
        assert bench.wait(30) == 130
    assert not Path(f"/proc/{server}").exists()
    assert list(tmp_path.iterdir()) == []


def _until_it_logs(data: Path) -> None:
    """Wait until the server has said something: by then the bench knows what it has started."""
    until = time.monotonic() + 60
    while not any(log.stat().st_size for log in data.rglob("server.log")):
        assert time.monotonic() < until
        time.sleep(0.01)


def _pid_below(pid: int) -> int:
    """Return the server that the bench starts."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for child in children:
            if b"gateway.cli" in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
        time.sleep(0.05)
    raise AssertionError("the bench started no server")
