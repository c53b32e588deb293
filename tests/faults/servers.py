"""The server under test as a process of its own: started, killed by its id, started again on the same data."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from random import Random
from typing import Any, Final

import aiohttp
import msgspec

from tests.faults.caller import Caller
from tests.faults.history import Operation
from tests.faults.violations import Violation

ROOT: Final = Path(__file__).resolve().parents[2]
READY_S: Final = 30.0


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on.

    Below the ephemeral range: a client that knocks at a dead server's ephemeral port gets it, sooner or later, as the
    port of its own end, is connected with itself, and the server cannot start again.
    """
    while True:
        port = secrets.randbelow(12_000) + 20_000
        with closing(socket.socket()) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class Embedded:
    """``scimgw serve`` on a directory; ``prefix`` is a command to run it under. A ``campaign.Site``."""

    tenant = "default"
    polled = False
    swallows = False
    broken: Sequence[Violation] = ()

    def __init__(self, data: Path, *, prefix: Sequence[str] = ()) -> None:
        self.data = data
        self.url = f"http://127.0.0.1:{free_port()}"
        self._prefix = prefix
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id (of the prefix, where there is one)."""
        assert self._process is not None
        return self._process.pid

    @property
    def urls(self) -> Sequence[str]:
        """Its one address."""
        return [self.url]

    @property
    def directory(self) -> Path:
        """Where the evidence of a run is kept: beside the data."""
        return self.data.parent

    @property
    def token(self) -> str:
        """The token that the first start wrote."""
        return (self.data / "token").read_text().strip()

    @property
    def log(self) -> Path:
        """What the server wrote to its standard output and error, over all its starts."""
        return self.data.parent / "server.log"

    def spawn(self) -> None:
        """Start the process without waiting for it to serve."""
        port = self.url.rpartition(":")[2]
        command = [
            *self._prefix,
            sys.executable,
            "-m",
            "gateway.cli",
            "serve",
            "--port",
            port,
            "--data",
            str(self.data),
        ]
        # The settings of whoever runs the tests are not those of the server under test.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SCIMGW_")}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    async def start(self) -> None:
        """Start it and wait until it is ready. Raises RuntimeError when it ends instead, or takes too long."""
        self.spawn()
        await self.ready()

    async def ready(self) -> None:
        """Wait until ``/readyz`` answers 200."""
        until = time.monotonic() + READY_S
        async with aiohttp.ClientSession() as session:
            while time.monotonic() < until:
                if self._process is None or self._process.poll() is not None:
                    raise RuntimeError(f"the server ended instead of serving:\n{self.log.read_text()[-2000:]}")
                try:
                    async with session.get(f"{self.url}/readyz") as response:
                        if response.status == 200:
                            return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.01)
        raise RuntimeError(f"the server is not ready after {READY_S} s:\n{self.log.read_text()[-2000:]}")

    def kill(self) -> None:
        """``kill -9`` of its process group, and wait until it is gone."""
        if self._process is not None:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def stop(self) -> int:
        """SIGTERM, and wait; returns the exit code."""
        assert self._process is not None
        self._process.terminate()
        code = self._process.wait(timeout=READY_S)
        self._process = None
        return code

    def events(self) -> list[dict[str, Any]]:
        """Return the event log as ``scimgw events --meta`` prints it."""
        command = [sys.executable, "-m", "gateway.cli", "events", "--data", str(self.data), "--meta"]
        printed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=300).stdout
        return [msgspec.json.decode(line) for line in _lines(printed)]

    async def published(self) -> list[dict[str, Any]]:
        """See ``campaign.Site.published``."""
        return await asyncio.to_thread(self.events)

    async def quiet(self, caller: Caller, random: Random) -> None:
        """See ``campaign.Site.quiet``: with the last answer everything has ended."""

    async def logs(self) -> None:
        """See ``campaign.Site.logs``: its log is the events'."""

    async def rebuilt(self) -> list[Violation]:
        """See ``campaign.Site.rebuilt``: nothing is derived."""
        return []

    def excuses(self, _operation: Operation) -> bool:
        """See ``campaign.Site.excuses``: nothing is."""
        return False


def _lines(printed: bytes) -> Iterator[bytes]:
    return (line for line in printed.splitlines() if line)


@asynccontextmanager
async def serving(data: Path, *, prefix: Sequence[str] = ()) -> AsyncIterator[Embedded]:
    """Serve from ``data`` until the end of the block, whatever happens in it."""
    server = Embedded(data, prefix=prefix)
    try:
        await server.start()
        yield server
    finally:
        server.kill()
