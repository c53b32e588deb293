"""How names and values that ignore case are compared: one fold, used by unique names, indexes and filters alike."""

from __future__ import annotations

import unicodedata
from typing import Final

LONGEST_STACK: Final = 64
"""Marks in a row that are put in order as they come: no language stacks ten, and more takes as long as their square."""
_MARKS_BY_NAME: Final = frozenset("\u0f73\u0f75\u0f81\uff9e\uff9f")
"""Characters that become marks when they are decomposed."""


def fold(value: str) -> str:
    """Return the form under which a value that is not caseExact is stored in an index and compared.

    NFKC, casefold, NFKC again: casefolding can leave a string that is no longer normalised, so that two spellings
    of one name would be two names (RFC 7643 section 2.2, caseExact; INV-4).
    """
    if value.isascii():
        return value.lower()
    if len(value) > LONGEST_STACK and _is_stacked(value):
        value = _ordered(value)
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", value).casefold())


def _is_stacked(value: str) -> bool:
    """Tell whether more marks than anybody writes stand in a row."""
    marks = 0
    for character in value:
        if unicodedata.combining(character) or character in _MARKS_BY_NAME:
            marks += 1
            if marks > LONGEST_STACK:
                return True
        else:
            marks = 0
    return False


def _ordered(value: str) -> str:
    """Return the value decomposed (NFKD), in a time that grows as its length does.

    ``unicodedata`` puts the marks behind a letter in order by moving each past those before it: of a hundred thousand in
    the wrong order, that would take minutes.
    """
    ordered: list[str] = []
    marks: list[str] = []
    for character in value:
        for part in unicodedata.normalize("NFKD", character):
            if unicodedata.combining(part):
                marks.append(part)
            else:
                ordered.extend(sorted(marks, key=unicodedata.combining))
                marks.clear()
                ordered.append(part)
    ordered.extend(sorted(marks, key=unicodedata.combining))
    return "".join(ordered)
