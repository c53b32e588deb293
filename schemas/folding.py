"""How names and values that ignore case are compared: one fold, used by unique names, indexes and filters alike."""

from __future__ import annotations

import unicodedata


def fold(value: str) -> str:
    """Return the form under which a value that is not caseExact is stored in an index and compared.

    NFKC, casefold, NFKC again: casefolding can leave a string that is no longer normalised, so that two spellings
    of one name would be two names (RFC 7643 section 2.2, caseExact; INV-4).
    """
    if value.isascii():
        return value.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", value).casefold())
