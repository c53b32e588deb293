"""What strace saw of a server between the arrival of a write and its answer."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Literal

import pytest

Step = Literal["received", "written", "synced", "answered"]

CALLS: Final = "fsync,fdatasync,pwrite64,pwritev,write,writev,sendto,sendmsg,read,readv,recvfrom,recvmsg"
_LINE: Final = re.compile(r"^(?P<pid>\d+)\s+(?:<\.\.\. )?(?P<call>\w+)(?: resumed>|\()(?P<rest>.*)$")
_SYNCS: Final = frozenset({"fsync", "fdatasync"})
_WRITES: Final = frozenset({"pwrite64", "pwritev", "write", "writev"})


def traced(output: Path) -> tuple[str, ...]:
    """Return the command prefix under which a server's calls are written to ``output``; skips the test without strace."""
    needed("strace")
    return ("strace", "-f", "-y", "-s", "64", "-e", f"trace={CALLS}", "-o", str(output))


def needed(program: str) -> None:
    """Skip the test where the program is missing; fail it in CI, where it must not be."""
    if shutil.which(program) is None:
        without(f"{program} is not installed")


def without(reason: str) -> None:
    """Skip the test for this reason; fail it in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def steps(lines: Iterable[str], log: str, method: str) -> Iterator[Step]:
    """Yield what happened, in order: requests of that method, writes and finished syncs of the log, answers 2xx.

    ``log`` is the end of the write-ahead log's path.
    """
    syncing: dict[str, bool] = {}
    for line in lines:
        match = _LINE.match(line)
        if match is None:
            continue
        pid, call, rest = match["pid"], match["call"], match["rest"]
        is_log = f"{log}>" in rest
        if call in _SYNCS:
            if "<unfinished" in rest:
                syncing[pid] = is_log
            elif (is_log or syncing.pop(pid, False)) and rest.rstrip().endswith("= 0"):
                yield "synced"
        elif f'"{method} /scim/' in rest:
            yield "received"
        elif '"HTTP/1.1 2' in rest:
            yield "answered"
        elif call in _WRITES and is_log:
            yield "written"
