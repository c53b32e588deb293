"""Which Kafka and Redis the tests use: given ones, processes of our own, or containers."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final, Literal, NoReturn, TypeVar

import pytest

from tests.services.processes import Missing

Way = Literal["given", "processes", "containers"]
WAYS: Final[tuple[Way, ...]] = ("given", "processes", "containers")
SETTING: Final = "SCIMGW_TEST_SERVICES"
ABSENT: Final = "FOR THIS TEST"
"""What every reason of ``absent`` has in it."""
S = TypeVar("S")


def choose(service: str, ways: dict[Way, Callable[[], S]]) -> S:
    """Return the service in the way that ``SCIMGW_TEST_SERVICES`` names, or in the first that works.

    Each of ``ways`` starts the service or raises ``Missing``. Without any the test is skipped, or fails in CI.
    """
    wanted = os.environ.get(SETTING, "")
    if wanted and wanted not in WAYS:
        pytest.fail(f"{SETTING}={wanted}: it is one of {', '.join(WAYS)}, or not set")
    reasons = []
    for way in WAYS:
        if way in ways and wanted in {"", way}:
            try:
                return ways[way]()
            except Missing as why:
                reasons.append(f"{way}: {why}")
    return absent(service, "; ".join(reasons) or f"{SETTING}={wanted} does not offer it")


def absent(service: str, reason: str) -> NoReturn:
    """Skip the test, or fail it in CI, where nothing may be missing."""
    text = f"NO {service.upper()} {ABSENT} ({reason})"
    if os.environ.get("CI") == "true":
        pytest.fail(text, pytrace=False)
    pytest.skip(text)


def given(variable: str) -> str:
    """Return the address in a variable of the environment, or raise ``Missing``."""
    address = os.environ.get(variable, "")
    if not address:
        raise Missing(f"{variable} is not set")
    return address
