"""What the load is put on: real server processes with a population, started for a run and stopped by their pids after it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final, Protocol

import msgspec

from tests.load import population
from tests.load.errors import BenchError, RunFailed
from tests.load.processes import Watched

ROOT: Final = Path(__file__).resolve().parents[2]
START_LIMIT_S: Final = 30
STOP_LIMIT_S: Final = 20


class Running(msgspec.Struct, frozen=True):
    """A deployment that answers."""

    port: int
    admin_port: int
    token_file: Path
    population_file: Path
    """One ``id userName`` a line."""
    population: int
    watched: tuple[Watched, ...]
    """Each process that gets a column."""
    directory: Path
    """On the file system that the writes go to."""
    ours: bool = True
    """False for another product, to be compared with: no ``/metrics`` of ours, versions that do not count changes."""

    @property
    def token(self) -> str:
        """The bearer token of the tenant."""
        return self.token_file.read_text().strip()


class Deployment(Protocol):
    """A way to run the product."""

    name: str
    """Of the floors and the result file."""

    def running(self, count: int, *, password: str = "drop", keep: bool = False) -> AbstractContextManager[Running]:
        """Start with ``count`` users and nothing else, stop at the end of the block.

        ``password`` is the tenant's setting. With ``keep`` what the block adds is still there when the same is asked
        for again (for populations too large to be made anew for each run). Raises RunFailed when it does not start.
        """
        ...

    def close(self) -> None:
        """Stop what runs from one block to the next."""
        ...


class Embedded:
    """``scimgw serve``: one process on SQLite. A population is made once over HTTP; each run gets a copy of its files."""

    name = "embedded"

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._copies = 0

    @contextmanager
    def running(self, count: int, *, password: str = "drop", keep: bool = False) -> Iterator[Running]:
        source = self._with_population(count, password)
        if keep:
            with _serve(source, count) as running:
                yield running
            return
        self._copies += 1
        copy = self._directory / f"run-{self._copies}"
        _copy(source, copy)
        try:
            with _serve(copy, count) as running:
                yield running
        finally:
            shutil.rmtree(copy)

    def close(self) -> None:
        """See ``Deployment.close``: nothing does."""

    def _with_population(self, count: int, password: str) -> Path:
        home = self._directory / f"population-{count}-{password}"
        if home.exists():
            return home
        made = home.with_suffix(".partial")
        if made.exists():
            shutil.rmtree(made)
        made.mkdir()
        if password != "drop":
            with _serve(made, 0):
                pass  # the first start writes the tenants file
            set_password_rule(made / "data" / "tenants.toml", password)
        with _serve(made, count) as running:
            # No slower than 200 a second, or something is wrong that a benchmark should not hide.
            users = population.load(running.port, running.token, count, limit_s=60 + count / 200)
            population.write_file(running.population_file, users)
        made.rename(home)
        return home


def set_password_rule(tenants: Path, rule: str) -> None:
    """Set ``password`` of the one tenant in a tenants file."""
    text = tenants.read_text()
    without = re.sub(r"(?m)^\s*password\s*=.*\n", "", text)
    changed, found = re.subn(
        r"(?m)^\[tenants\.[a-z0-9-]+\]\n", lambda table: f'{table[0]}password = "{rule}"\n', without, count=1
    )
    if not found:
        raise BenchError("the tenants file of the first start has no [tenants.NAME] table")
    tenants.write_text(changed)


def _copy(source: Path, target: Path) -> None:
    """Copy a stopped server's files and wait until they are on the disk: their way there must not share a run's fsyncs."""
    shutil.copytree(source, target)
    os.sync()


@contextmanager
def _serve(home: Path, count: int) -> Iterator[Running]:
    port, admin_port = free_ports(2)
    log = home / "server.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "gateway.cli", "serve", "--port", str(port), "--data", str(home / "data")),
                *("--admin", f"127.0.0.1:{admin_port}"),
            ],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_ready(process, port, log)
        yield Running(
            port=port,
            admin_port=admin_port,
            token_file=home / "data" / "token",
            population_file=home / "population.txt",
            population=count,
            watched=(Watched("server", process.pid),),
            directory=home,
        )
    finally:
        stop(process)


def environment() -> dict[str, str]:
    """Return the environment without our own settings: a run is made with the defaults."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SCIMGW_")}


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback that nothing listened on a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()


def wait_ready(
    process: subprocess.Popen[bytes], port: int, log: Path, limit_s: float = START_LIMIT_S, *, route: str = "/readyz"
) -> None:
    """Wait for 200 from the route. Raises RunFailed with the end of the log."""
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RunFailed(f"the server ended with {process.returncode}: {_end_of(log)}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{route}", timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.05)
    raise RunFailed(f"the server was not ready within {limit_s:.0f} s: {_end_of(log)}")


def stop(process: subprocess.Popen[bytes], limit_s: float = STOP_LIMIT_S) -> None:
    """End a process by SIGTERM, by SIGKILL when it takes longer than ``limit_s``."""
    process.terminate()
    try:
        process.wait(limit_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _end_of(log: Path) -> str:
    """Return the last line without this machine's paths, for results are committed."""
    lines = log.read_text(errors="replace").replace(str(ROOT), ".").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "its log is empty")
