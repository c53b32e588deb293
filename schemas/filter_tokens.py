"""The tokens of a filter: words, JSON strings, parentheses and brackets, cut in one pass without regular expressions."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from schemas.errors import InvalidFilter
from schemas.notation import MAX_NOTATION

Kind = Literal["word", "string", "(", ")", "[", "]", "end"]


class Token(NamedTuple):
    """A piece of the text, as it is written there, and the offset at which it starts."""

    kind: Kind
    text: str
    start: int


_PUNCTUATION: Final[dict[str, Kind]] = {"(": "(", ")": ")", "[": "[", "]": "]"}
_SPACE: Final = frozenset(" \t\r\n")
_WORD_ENDS: Final = frozenset(' \t\r\n()[]"')


def tokens(text: str, start: int) -> list[Token]:
    """Return the tokens of ``text`` from ``start`` on, the last of kind ``end``.

    Raises InvalidFilter for more than MAX_NOTATION bytes, a string without end, or half a character.
    """
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise InvalidFilter("The filter holds half a character.") from None
    if size > MAX_NOTATION:
        raise InvalidFilter(f"The filter is longer than {MAX_NOTATION} bytes.")
    found: list[Token] = []
    place, end = start, len(text)
    while place < end:
        character = text[place]
        if character in _SPACE:
            place += 1
            continue
        if character in _PUNCTUATION:
            stop, kind = place + 1, _PUNCTUATION[character]
        elif character == '"':
            stop, kind = _string_end(text, place), "string"
        else:
            stop, kind = _word_end(text, place), "word"
        found.append(Token(kind, text[place:stop], place))
        place = stop
    found.append(Token("end", "", end))
    return found


def _word_end(text: str, start: int) -> int:
    for place in range(start + 1, len(text)):
        if text[place] in _WORD_ENDS:
            return place
    return len(text)


def _string_end(text: str, start: int) -> int:
    escaped = False
    for place in range(start + 1, len(text)):
        if escaped:
            escaped = False
        elif text[place] == '"':
            return place + 1
        else:
            escaped = text[place] == "\\"
    raise InvalidFilter(f"The string at position {start + 1} of the filter has no end.")
