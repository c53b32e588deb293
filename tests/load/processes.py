"""What the running processes use, read from /proc: CPU seconds and resident memory, each process by its name."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Watched(msgspec.Struct, frozen=True):
    """A process with a column of its own."""

    name: str
    pid: int


class Memory(msgspec.Struct, frozen=True):
    """Resident memory in MiB."""

    resident: float
    anonymous: float
    """Without pages of mapped files."""
    peak: float


def cpu_seconds(pid: int) -> float:
    """Return the CPU a process has used, user and system, its ended children not counted."""
    return parse_cpu_seconds(Path(f"/proc/{pid}/stat").read_text(), _TICKS)


def parse_cpu_seconds(stat: str, ticks: int) -> float:
    """Return utime + stime of a line of ``/proc/PID/stat`` (proc(5), fields 14 and 15) in seconds."""
    # The command's name may hold spaces and parentheses: count from the last one.
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / ticks


def busy_seconds() -> float:
    """Return the CPU that everything on this machine has used since it started, waiting for disks not counted."""
    return parse_busy_seconds(Path("/proc/stat").read_text(), _TICKS)


def parse_busy_seconds(stat: str, ticks: int) -> float:
    """Return the busy time of all cores in a ``/proc/stat`` (proc(5)): all but idle and iowait, guests counted once."""
    user, nice, system, _idle, _iowait, *interrupts = (int(field) for field in stat.split("\n", 1)[0].split()[1:9])
    return (user + nice + system + sum(interrupts)) / ticks


def memory(pid: int) -> Memory:
    """Return what a process holds in memory now."""
    return parse_memory(Path(f"/proc/{pid}/status").read_text())


def parse_memory(status: str) -> Memory:
    """Return the memory in a ``/proc/PID/status``."""
    lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    kib = {key: int(lines[key].split()[0]) for key in ("VmRSS", "RssAnon", "VmHWM")}
    return Memory(kib["VmRSS"] / 1024, kib["RssAnon"] / 1024, kib["VmHWM"] / 1024)


def uses_uvloop(pid: int) -> bool:
    """Tell whether the process has uvloop's library mapped."""
    return "/uvloop/" in Path(f"/proc/{pid}/maps").read_text()


class CpuMeter:
    """CPU of some processes between ``__init__`` and ``used``."""

    def __init__(self, watched: Sequence[Watched]) -> None:
        self._watched = watched
        self._before = {process.name: cpu_seconds(process.pid) for process in watched}

    def used(self) -> dict[str, float]:
        """Return seconds by name."""
        return {process.name: cpu_seconds(process.pid) - self._before[process.name] for process in self._watched}


class MemoryWatch:
    """Resident memory of some processes, looked at from a thread of its own while the block runs."""

    def __init__(self, watched: Sequence[Watched], every_s: float = 0.1) -> None:
        self._watched = watched
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, name="memory-watch")
        self._samples: dict[str, list[float]] = {process.name: [] for process in watched}

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def of(self, name: str) -> list[float]:
        """Return the samples of one process in MiB."""
        return self._samples[name]

    def _look(self) -> None:
        while not self._stop.wait(self._every_s):
            for process in self._watched:
                try:
                    resident = memory(process.pid).resident
                except (OSError, KeyError):
                    return  # the process is gone; its run fails for that, not here
                self._samples[process.name].append(resident)
