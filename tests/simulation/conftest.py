"""A loop of its own for each test of a fake."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.simulation.loop import VirtualLoop


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    """Give a loop in virtual time."""
    made = VirtualLoop()
    try:
        yield made
    finally:
        made.close()
