"""A process that hashes passwords: one a line in hexadecimal digits on standard input, one hash a line in answer.

Run by ``gateway.passwords`` as a script, so that it loads nothing of the server. It ends when its input does, which is
also when the server dies.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys

from argon2 import PasswordHasher, Type


def main() -> None:
    """Answer until the input ends."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # sent to the whole group: the server is to end in its own order
    _yield_to_others()
    # OWASP's settings: 19 MiB, 2 passes; about 20 ms of one core.
    hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)
    for line in sys.stdin.buffer:
        sys.stdout.buffer.write(hasher.hash(bytes.fromhex(line.decode())).encode() + b"\n")
        sys.stdout.buffer.flush()


def _yield_to_others() -> None:
    """Take a core only while nobody else wants it: a bulk load of passwords must not make everybody else wait.

    Linux takes the core from an idle-class process at once when another wakes up, and counts its core as free; from one
    of the lowest niceness only after some milliseconds.
    """
    with contextlib.suppress(OSError):
        if hasattr(os, "SCHED_IDLE"):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        else:
            os.nice(19)


if __name__ == "__main__":
    main()
