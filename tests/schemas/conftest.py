"""What every test of the core starts from."""

from __future__ import annotations

import pytest

from schemas.filters import parse_filter
from schemas.paths import parse_path


@pytest.fixture(autouse=True)
def _nothing_parsed_yet() -> None:
    """Forget what earlier tests parsed: it would hide what the parser does now, from mutation testing above all."""
    parse_filter.cache_clear()
    parse_path.cache_clear()
