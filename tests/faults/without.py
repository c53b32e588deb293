"""The service without one rule of its commit protocol: a run that fails without it is one that can fail."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final = ("schemas", "consumers", "gateway")


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """What takes a rule away, and the row that shows it."""

    row: str
    what: str
    """What goes wrong, in a few words."""
    file: str
    line: str
    """It stands there exactly once."""
    instead: str
    found: frozenset[str]
    """One of these invariants at least is broken."""


REMOVED: Final[Mapping[str, Removed]] = {
    "CP-15": Removed(
        row="redis-flush",
        what="Redis is read before all partitions are recovered",
        file="consumers/backends/redis_prelude.lua",
        line="    if not found[i + 1] then return fields[i] end\n",
        instead="",
        found=frozenset({"INV-1", "INV-4", "INV-8"}),
    ),
    "CP-17": Removed(
        row="redelivery",
        what="a command that was answered is decided again",
        file="schemas/batches.py",
        line="answer = replay(command, view)",
        instead="answer = None",
        found=frozenset({"INV-2", "INV-7", "INV-12"}),
    ),
    "CP-30": Removed(
        row="gateway-kill",
        what="the repeat of a create whose answer was lost with its gateway is a duplicate",
        file="consumers/apply.py",
        line="if first is not None:",
        instead="if False:",
        found=frozenset({"INV-4"}),
    ),
}


def environment_without(rule: str, directory: Path) -> dict[str, str]:
    """Copy the product without the rule, and return the environment in which Python takes the copy for it."""
    removed = REMOVED[rule]
    for package in PACKAGES:
        shutil.copytree(ROOT / package, directory / package, ignore=shutil.ignore_patterns("__pycache__"))
    file = directory / removed.file
    text = file.read_text()
    if text.count(removed.line) != 1:
        raise RuntimeError(f"{rule}: the line to remove stands {text.count(removed.line)} times in {removed.file}")
    file.write_text(text.replace(removed.line, removed.instead))
    return {"PYTHONPATH": str(directory), "PYTHONSAFEPATH": "1"}
