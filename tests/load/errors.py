"""What stops a row of the bench, or all of it."""

from __future__ import annotations


class BenchError(Exception):
    """The bench cannot go on; one line with the remedy."""


class RunFailed(Exception):
    """A run whose answers or counts are not what they must be: its figures are worth nothing."""
