"""What the figures were measured on, so that they can be compared with others: processor, Python, commit, fsync time."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import msgspec


class Machine(msgspec.Struct, frozen=True):
    """One machine, one state of the source."""

    processor: str
    cores: int
    memory_gib: float
    system: str
    python: str
    commit: str
    """With ``+changes`` when the working tree differs from it."""


def describe(root: Path) -> Machine:
    """Describe this machine and the source tree in ``root``."""
    return Machine(
        processor=parse_processor(Path("/proc/cpuinfo").read_text()),
        cores=usable_cores(),
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        commit=_commit(root),
    )


def usable_cores() -> int:
    """Return the cores that this process, and so the server it starts, may use."""
    return len(os.sched_getaffinity(0))


def parse_processor(cpuinfo: str) -> str:
    """Return the first model name in a ``/proc/cpuinfo``."""
    names = [line.partition(":")[2].strip() for line in cpuinfo.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _commit(root: Path) -> str:
    head = _git(root, "rev-parse", "--short=12", "HEAD")
    changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    return (head or "unknown") + ("+changes" if changed else "")


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def fsync_ms(directory: Path, times: int = 200) -> float:
    """Return the median milliseconds of a 4 KiB append with fdatasync in ``directory``: the floor of a lone write."""
    taken: list[float] = []
    block = b"x" * 4096
    with tempfile.NamedTemporaryFile(dir=directory) as file:
        for _ in range(times):
            started = time.perf_counter()
            os.write(file.fileno(), block)
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1000
