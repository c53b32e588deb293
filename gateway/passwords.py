"""Passwords on their way in: hashed with argon2id off the event loop, or dropped; never passed on in clear."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher as Argon2
from argon2 import Type


class PasswordHasher:
    """Hashes at OWASP's settings (19 MiB, 2 passes): about 20 ms of one core each.

    As many at once as there are cores; more wait, so memory is bounded. The threads yield to the event loop's
    (niceness), since a bulk load of passwords must not double everybody else's waiting time.
    """

    def __init__(self, parallel: int | None = None) -> None:
        workers = parallel or os.cpu_count() or 1
        self._argon2 = Argon2(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="argon2id", initializer=_yield_to_others)

    async def hash(self, password: str) -> str:
        """Return the PHC string of the password (``$argon2id$…``)."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._argon2.hash, password)

    def close(self) -> None:
        """Stop the threads; hashes that wait are dropped with their requests."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _yield_to_others() -> None:
    # On Linux niceness belongs to the thread; elsewhere it would slow the whole process.
    if os.uname().sysname == "Linux":
        os.nice(10)
