"""Passwords on their way in: hashed with argon2id by processes of their own, or dropped; never passed on in clear."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import Final

from schemas.errors import Unavailable

logger = logging.getLogger(__name__)

_PROGRAM: Final = Path(__file__).with_name("hashing.py")
_ATTEMPTS: Final = 3
_MOST_READ: Final = 4096


class PasswordHasher:
    """Hashes at OWASP's settings (19 MiB, 2 passes): about 20 ms of one core each.

    As many at once as there are cores; more wait, so memory is bounded. In processes and not in threads, which a bulk
    load of passwords would share the interpreter's lock with everybody else. They are started at the first password,
    replaced when they end, and end with this process, whatever ends it. A password goes over a socket that no third
    process has.
    """

    def __init__(self, parallel: int | None = None) -> None:
        self._parallel = parallel or _cores()
        self._waiting: deque[tuple[str, asyncio.Future[str]]] = deque()
        self._arrived = asyncio.Semaphore(0)
        """One for each entry of the queue."""
        self._working: list[asyncio.Task[None]] = []

    async def hash(self, password: str) -> str:
        """Return the PHC string of the password (``$argon2id$…``).

        Cancelling takes back what waits; a hash under way is thrown away. Raises Unavailable when no process hashes.
        """
        if not self._working:
            numbers = range(self._parallel)
            self._working = [asyncio.create_task(self._work(), name=f"argon2id-{number}") for number in numbers]
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.append((password, future))
        self._arrived.release()
        return await future

    def close(self) -> None:
        """End the processes; hashes that wait are dropped with their requests."""
        for task in self._working:
            task.cancel()
        for _, future in self._waiting:
            future.cancel()

    async def _work(self) -> None:
        process = _HashingProcess()
        try:
            while True:
                await self._arrived.acquire()
                password, future = self._waiting.popleft()
                if not future.done():
                    await _answer(process, password, future)
        finally:
            process.end()


async def _answer(process: _HashingProcess, password: str, future: asyncio.Future[str]) -> None:
    try:
        hashed = await process.hash(password)
    except Unavailable as unavailable:
        if not future.done():
            future.set_exception(unavailable)
    except BaseException:
        future.cancel()
        raise
    else:
        if not future.done():
            future.set_result(hashed)


class _HashingProcess:
    """A process that runs ``gateway/hashing.py``, started when it is needed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None

    async def hash(self, password: str) -> str:
        """Return the hash; where the process ended, of another one. Raises Unavailable."""
        asking = f"{password.encode().hex()}\n".encode()
        for _ in range(_ATTEMPTS):
            try:
                return await self._ask(asking)
            except OSError as error:
                fields = {"action": "hash", "error": str(error), "code": self.end()}
                logger.warning("a process that hashes passwords ended", extra=fields)
        raise Unavailable("passwords cannot be hashed now; nothing was accepted, send it again")

    async def _ask(self, asking: bytes) -> str:
        loop = asyncio.get_running_loop()
        line = self._line or self._start()
        await loop.sock_sendall(line, asking)
        answer = b""
        while not answer.endswith(b"\n"):
            part = await loop.sock_recv(line, _MOST_READ)
            if not part:
                raise ConnectionResetError("its output ended")
            answer += part
        return answer[:-1].decode()

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            ours.setblocking(False)
            self._line = ours
            # A new interpreter: a copy of this process would have its threads' locks, held for ever.
            # -P: no module of this package shall stand in for one of Python's.
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, and a file beside this one
                [sys.executable, "-P", str(_PROGRAM)],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.DEVNULL,
            )
        return ours

    def end(self) -> int | None:
        """End the process and return its exit code, where there is one."""
        process, line, self._process, self._line = self._process, self._line, None, None
        if line is not None:
            line.close()
        if process is None:
            return None
        process.kill()
        return process.wait()


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
