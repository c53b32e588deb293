"""Names and users for the last questions of a run."""

from __future__ import annotations

from random import Random

from tests.faults import bodies


def names(count: int) -> list[str]:
    """Return all shared names, each in one spelling."""
    found: dict[int, str] = {}
    random = Random(0)
    while len(found) < count:
        name = bodies.shared_name(random, count)
        found.setdefault(int(name.split("-")[1]), name)
    return list(found.values())


def user(random: Random, name: str) -> bodies.Body:
    """Return a user with that name."""
    return bodies.user(random, name)
