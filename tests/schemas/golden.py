"""Golden files: values as earlier versions wrote them, which must be read for ever."""

from __future__ import annotations

from pathlib import Path
from typing import Final

GOLDEN: Final = Path(__file__).parent.parent / "golden"


def names(kind: str) -> list[str]:
    """Return the names of the golden files of a kind: ``record``, ``command``, ``outcome``, ``event`` or ``dead``."""
    found = sorted(path.name for path in GOLDEN.glob(f"{kind}-*.json"))
    assert found, f"no golden file of kind {kind}"
    return found


def value(name: str) -> bytes:
    """Return the bytes as they stand in a log or a row."""
    return (GOLDEN / name).read_bytes().removesuffix(b"\n")
