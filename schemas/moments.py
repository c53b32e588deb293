"""dateTime values as instants, so that they compare by time and not by spelling (RFC 7644 section 3.4.2.2)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

_AFTER: Final = frozenset({"", ".", "Z", "+", "-"})


def moment(text: str) -> datetime | None:
    """Return the instant of an xsd:dateTime, or None for another text; without a time zone it is taken as UTC.

    ``24:00:00`` is midnight of the next day, as in xsd:dateTime; digits beyond microseconds are cut off.
    """
    # fromisoformat() also reads week dates, forms without separators and, in 3.11, any character before the zone.
    if len(text) < 19 or text[4] + text[7] + text[10] + text[13] + text[16] != "--T::" or text[19:20] not in _AFTER:
        return None
    midnight = text[11:19] == "24:00:00"
    try:
        instant = datetime.fromisoformat(f"{text[:11]}00{text[13:]}" if midnight else text)
        if midnight:
            instant += timedelta(days=1)
    except (ValueError, OverflowError):
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
