"""A disk that is full, at will, for a running process."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

from tests.faults.campaign import Strike
from tests.faults.history import Recorder
from tests.faults.servers import Embedded

ROOM = 8192
"""Bytes: less than any file that a serving process writes has already."""


@contextmanager
def no_room(pid: int) -> Iterator[None]:
    """Within the block the process can write to no file beyond its first 8 KiB (RLIMIT_FSIZE: EFBIG)."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (ROOM, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


async def fill(server: Embedded, recorder: Recorder, random: Random) -> list[Strike]:
    """Leave the server without room for a second or so; it is not restarted."""
    while recorder.writes_in_flight == 0:
        await asyncio.sleep(0.0005)
    at = time.monotonic_ns()
    with no_room(server.pid):
        await asyncio.sleep(random.uniform(0.3, 1.5))
    return [Strike(at, time.monotonic_ns())]
