"""What ``make run`` says when the machine lacks something, and that its set-up is done once."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")


def make_run(venv: Path, **variables: str | Path) -> subprocess.CompletedProcess[str]:
    words = [f"{name}={value}" for name, value in {"VENV": venv, **variables}.items()]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SCIMGW_", "MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", "-C", str(ROOT), "run", *words], env=kept, capture_output=True, text=True, timeout=120, check=False
    )


def program(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_a_python_that_is_too_old_is_named_with_its_version(tmp_path: Path) -> None:
    old = program(tmp_path / "python", 'case "$2" in *version_info*) exit 42;; *) echo 3.9.2;; esac')
    ran = make_run(tmp_path / "venv", PYTHON=old)
    assert ran.returncode != 0
    assert f"{old} is Python 3.9.2, which is too old; install 3.11 or newer" in ran.stderr
    assert not (tmp_path / "venv").exists()


def test_a_python_without_ensurepip_is_named_with_the_package_that_brings_it(tmp_path: Path) -> None:
    bare = program(tmp_path / "python", 'case "$2" in *ensurepip*) exit 1;; *platform*) echo 3.11.2;; esac')
    ran = make_run(tmp_path / "venv", PYTHON=bare)
    assert ran.returncode != 0
    assert f"{bare} (Python 3.11.2) lacks venv or ensurepip" in ran.stderr
    assert "python3-venv" in ran.stderr


def test_no_python_at_all_is_said_with_how_to_name_one(tmp_path: Path) -> None:
    ran = make_run(tmp_path / "venv", PYTHON=tmp_path / "none")
    assert ran.returncode != 0
    assert "make PYTHON=/path/to/python3" in ran.stderr


def test_a_busy_port_is_said_in_one_line(tmp_path: Path) -> None:
    """The environment that runs this test stands in for the one ``make run`` would set up."""
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    program(venv / "bin" / "python", f'exec "{sys.executable}" "$@"')
    program(venv / "bin" / "scimgw", f'PYTHONPATH="{ROOT}" exec "{sys.executable}" -m gateway.cli "$@"')
    sums = "cat requirements.lock pyproject.toml | cksum; pwd -P"
    stamp = subprocess.run(["sh", "-c", sums], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (venv / ".installed-runtime").write_text(stamp)
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        ran = make_run(venv, PORT=str(port), DATA=tmp_path / "var")
    assert ran.returncode != 0
    assert "setting up" not in ran.stderr
    said = [line for line in ran.stderr.splitlines() if str(port) in line]
    assert len(said) == 1
    assert "in use" in said[0]
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_file_has_hashes_and_names_no_index(name: str) -> None:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if "://" in line or line.startswith("-")]
    entries = "\n".join(lines).replace("\\\n", "").splitlines()
    assert len(entries) > 10
    assert all(" --hash=sha256:" in entry for entry in entries)


def test_what_runs_is_locked_at_the_versions_that_are_tested() -> None:
    def pinned(name: str) -> set[str]:
        return {line.split(" ;")[0].rstrip(" \\") for line in (ROOT / name).read_text().splitlines() if "==" in line}

    assert pinned("requirements.lock") <= pinned("requirements-dev.lock")
