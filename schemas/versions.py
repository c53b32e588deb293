"""Versions as ETags, and the conditional requests of RFC 7644 section 3.14."""

from __future__ import annotations

from typing import Final

from schemas.errors import InvalidValue

ANY: Final = ("*",)
"""``If-Match: *``: any version of an existing resource."""

_MOST_TAGS = 50


def etag(version: int) -> str:
    """Return the weak entity tag of a version: ``W/"3"``; the same text stands in ``meta.version``."""
    return f'W/"{version}"'


def parse_tags(header: str) -> tuple[str, ...]:
    """Return the opaque parts of an If-Match or If-None-Match list, or ``ANY``.

    SCIM clients send back ``meta.version`` with its ``W/``, which HTTP's strong comparison would never match, so
    weakness is ignored (RFC 7644 section 3.14). Clients that drop the quotes are understood too.

    Raises InvalidValue where the list is empty, has more than 50 tags or is not ASCII: HTTP's other bytes are no text.
    """
    text = header.strip()
    if text == "*":
        return ANY
    tags = tuple(tag for tag in (_opaque(part) for part in text.split(",")) if tag)
    if not tags or len(tags) > _MOST_TAGS or not text.isascii():
        raise InvalidValue(f"If-Match and If-None-Match take * or up to {_MOST_TAGS} entity tags")
    return tags


def _opaque(part: str) -> str:
    tag = part.strip()
    if tag[:2] in {"W/", "w/"}:
        tag = tag[2:]
    opaque = tag.strip('"')
    # A quoted or listed star is a tag that no version has, not the star that stands for all of them (RFC 9110 section 13.1.1).
    return '"*"' if opaque == "*" else opaque


def matches(tags: tuple[str, ...], version: int) -> bool:
    """Tell whether a version is among the tags of a conditional request."""
    return tags == ANY or str(version) in tags
