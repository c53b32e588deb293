"""What can become of a submission besides an outcome."""

from __future__ import annotations


class SubmissionError(Exception):
    """The command has no outcome that could be answered now."""

    def __init__(self, txn: str) -> None:
        super().__init__(txn)
        self.txn = txn


class Busy(SubmissionError):
    """The queue is full: the command was not accepted and will never take effect."""


class OutcomeUnknown(SubmissionError):
    """The command was accepted, and what became of it is not known yet; its ``txn`` will tell."""


class Expired(SubmissionError):
    """The command was not decided within its budget and never will be."""


class Failed(SubmissionError):
    """A defect of this server: the command could not be decided and did not take effect."""
