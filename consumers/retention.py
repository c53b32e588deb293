"""How long the state topic keeps what, in milliseconds; the topics are made with it, and take-overs rest on it (CP-9)."""

from __future__ import annotations

from typing import Final

HOUR_MS: Final = 3600 * 1000
DAY_MS: Final = 24 * HOUR_MS
COMPACTION_LAG_MS: Final = 26 * HOUR_MS
"""Longer than outcomes live: until then every record stays, and with it the outcome of its command."""
DELETE_RETENTION_MS: Final = 7 * DAY_MS
"""How long a tombstone stays."""
LONGEST_LAG_MS: Final = 28 * DAY_MS
"""After this personal data of earlier versions is gone."""
