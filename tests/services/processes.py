"""A server as a process of ours on loopback, that can be killed, paused and started again where it was."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

START_LIMIT_S: Final = 60.0
STOP_LIMIT_S: Final = 10.0
PORTS: Final = range(20_000, 32_000)
"""Below the ports that Linux draws for outgoing connections: while a server is down nobody takes its port, and a client
that tries to reach it does not connect to itself."""


class Missing(Exception):
    """The service cannot be had here; the text says what is missing and how to get it."""


class Server(Protocol):
    """What a test may do to a server, however it runs. After each the address and what was stored are the same."""

    def start(self) -> None:
        """Start it, again too, and return when it answers."""

    def stop(self) -> None:
        """End it in good order, or kill it after ten seconds; nothing happens when it is not running."""

    def kill(self) -> None:
        """End it as SIGKILL does, and return when it is gone."""

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing answers."""

    def resume(self) -> None:
        """Let a frozen server go on."""

    def revive(self) -> None:
        """Have it running and answering, whatever was done to it."""

    def close(self) -> None:
        """End it for good."""


class KafkaServer(Server, Protocol):
    """A broker."""

    @property
    def bootstrap(self) -> str:
        """``host:port``, as clients' ``bootstrap_servers``."""


class RedisLike(Server, Protocol):
    """A Redis or Valkey."""

    @property
    def url(self) -> str:
        """``redis://…/0``."""


class ServerProcess(ABC):
    """A process with a directory of its own, which nothing else may use; it dies with the process that started it."""

    name: str
    stop_limit_s = STOP_LIMIT_S

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log_file = directory / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._paused = False
        directory.mkdir(parents=True, exist_ok=True)

    @property
    def pid(self) -> int:
        """The process, while it runs."""
        assert self._process is not None, f"{self.name} is not running"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process exists; a frozen one does."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        assert not self.running, f"{self.name} is running"
        self._disarm()
        self._paused = False
        command = self._prepare()
        began = self.log_file.stat().st_size if self.log_file.exists() else 0
        with self.log_file.open("ab") as log:
            # A session of its own: the terminal's Ctrl-C goes to pytest, which then stops it in good order.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                start_new_session=True,
            )
        self._guard = guard(self._process.pid)
        try:
            self._wait_until_ready(began)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        if self.running:
            self.resume()
            os.kill(self.pid, signal.SIGTERM)
        self._end()

    def kill(self) -> None:
        if self.running:
            os.kill(self.pid, signal.SIGKILL)
        self._end()

    def pause(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)  # on a busy machine its threads run on for a while
        self._paused = True

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)
        self._paused = False

    def revive(self) -> None:
        if not self.running:
            self.start()
        elif self._paused:
            self.resume()

    def close(self) -> None:
        self.stop()

    def log(self) -> str:
        """Return what it has logged, of all its starts."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    @abstractmethod
    def _prepare(self) -> Sequence[str]:
        """Do what comes before each start, and return the command line."""

    @abstractmethod
    def _ready(self, logged: str) -> bool:
        """Whether it answers, asked every few milliseconds after a start; ``logged`` since this start."""

    def _wait_until_ready(self, began: int) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            with self.log_file.open("rb") as log:
                log.seek(began)
                logged = log.read().decode(errors="replace")
            if not self.running:
                raise AssertionError(f"{self.name} ended at its start:\n{logged[-4000:]}")
            if self._ready(logged):
                return
            time.sleep(0.02)
        raise AssertionError(f"{self.name} did not answer within {START_LIMIT_S:.0f} s:\n{logged[-4000:]}")

    def _end(self) -> None:
        if self._process is not None:
            try:
                self._process.wait(self.stop_limit_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(STOP_LIMIT_S)
            self._process = None
        self._paused = False
        self._disarm()

    def _disarm(self) -> None:
        if self._guard is not None:
            self._guard.kill()
            self._guard.communicate()
            self._guard = None


def guard(pid: int) -> subprocess.Popen[bytes]:
    """Start a process that kills ``pid`` when we are gone, however we end: it then reads the end of its input.

    Not PR_SET_PDEATHSIG, which kills when the *thread* ends that started the process.
    """
    return subprocess.Popen(
        ["sh", "-c", 'read -r _; kill -9 "$0"', str(pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def server_port() -> int:
    """Return a port of ``PORTS`` that nobody listens on."""
    for port in random.sample(PORTS, 200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError(f"no free port between {PORTS.start} and {PORTS.stop}")
