"""Times as milliseconds since 1970 and as the text that SCIM shows."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache


def text(milliseconds: int) -> str:
    """Return ``2026-11-21T12:00:00.123Z`` (RFC 7643 section 2.3.5); texts of this form sort as their times do."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{_second(seconds)}.{rest:03d}Z"


@lru_cache(maxsize=8)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def milliseconds(timestamp: str) -> int:
    """Return the milliseconds since 1970 of a text made by ``text``."""
    return _beginning(timestamp[:19]) + int(timestamp[20:23])


@lru_cache(maxsize=1024)
def _beginning(second: str) -> int:
    return round(datetime.fromisoformat(second).replace(tzinfo=UTC).timestamp()) * 1000
