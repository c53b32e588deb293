"""What a resource is inside this server, and how large its parts may grow."""

from __future__ import annotations

from typing import Any, Final

Resource = dict[str, Any]
"""A resource in canonical form.

Attribute names in the table's spelling, ``schemas`` first; no null, no empty array or object, no ``meta`` and no
readOnly attribute except ``id``. Extension attributes stand in an object under their URN; a URN that this server has no
schema for keeps its spelling and its JSON.
"""

MAX_VALUES: Final = 10_000
"""Values in one multi-valued attribute."""
MAX_DEPTH: Final = 32
"""Objects and arrays inside one another, the body itself counted."""
MAX_NAME_BYTES: Final = 1024
"""Bytes of a ``userName`` or ``externalId``: both are keys of an index."""
