"""Reads TOML and knows the line of a key, so that an operator is told where to mend a file."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from consumers.errors import SettingsError

_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"^\s*((?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*'))*)\s*=")
_PART = re.compile(r"[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*'")

Path = tuple[str | int, ...]
"""Keys from the outermost table inwards; a number is the place in an array of tables, from 0."""


def parse_toml(raw: bytes, name: str) -> tuple[str, dict[str, Any]]:
    """Return the text and its tables; ``name`` is what the SettingsError of a malformed file calls it."""
    try:
        text = raw.decode("utf-8-sig")  # Windows' editors begin a file with a byte order mark
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{name}, line {line}: not UTF-8; save the file as UTF-8") from None
    try:
        return text, tomllib.loads(text)
    except ValueError as error:  # TOMLDecodeError, and Python's own of a number with thousands of digits
        raise SettingsError(f"{name}: not TOML: {error}; correct that place") from None
    except RecursionError:
        raise SettingsError(f"{name}: not TOML: nested too deeply") from None


def line_of(text: str, path: Path) -> int | None:
    """Return the line (from 1) of the key at ``path``, or of its nearest enclosing key or table that has one.

    Good for files people write: tables, arrays of tables and dotted keys. Inside an inline table or array it is
    the line where that begins.
    """
    best: tuple[int, int] | None = None
    for number, found in _keys(text):
        depth = _common(found, path)
        if depth and depth == len(found) and (best is None or depth > best[0]):
            best = (depth, number)
    return best[1] if best else None


def _keys(text: str) -> list[tuple[int, Path]]:
    """Return each header and each key with its line and its whole path."""
    keys: list[tuple[int, Path]] = []
    table: Path = ()
    counts: dict[Path, int] = {}
    quotes: str | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if quotes is not None:  # inside a multi-line string nothing is a key
            if quotes in line:
                quotes = None
            continue
        if header := _HEADER.match(line):
            table = _indexed(_parts(header[2]), counts)
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            keys.append((number, table))
        elif key := _KEY.match(line):
            keys.append((number, (*table, *_parts(key[1]))))
            quotes = next((q for q in ('"""', "'''") if line.count(q) == 1), None)
    return keys


def _indexed(parts: Path, counts: dict[Path, int]) -> Path:
    """Return the path with the current place of every array of tables that it passes through."""
    path: Path = ()
    for part in parts[:-1]:
        path = (*path, part)
        if path in counts:
            path = (*path, counts[path])
    return (*path, parts[-1])


def _parts(dotted: str) -> Path:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted)) or ("",)


def _common(left: Path, right: Path) -> int:
    depth = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        depth += 1
    return depth
