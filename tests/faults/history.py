"""The history of a run: every request as its client saw it, kept as JSON lines so that a run can be checked again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final, Literal

import msgspec

Verb = Literal["create", "replace", "patch", "delete", "read", "find"]

WRITES: Final = frozenset({"create", "replace", "patch", "delete"})
MARK: Final = "mark-"
"""Every write of the load carries a string that begins so and is its own, so that an effect can be laid at its door even
when the answer, and with it the txn, was lost."""


class Intent(msgspec.Struct, frozen=True):
    """A request before it is sent."""

    verb: Verb
    resource: str | None = None
    body: Any = None
    if_match: int | None = None
    key: str | None = None
    name: str | None = None


class Operation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request and what became of it, as its client saw it.

    Times are nanoseconds of the monotonic clock, which all processes of one machine share. ``returned_at`` is when the
    client had the whole answer, or learned that there would be none (``status`` None).
    """

    number: int
    client: str
    gateway: str
    verb: Verb
    invoked_at: int
    returned_at: int
    tenant: str = "default"
    resource: str | None = None
    """The id in the path; for a create the id that was answered."""
    name: str | None = None
    """The userName that a ``find`` asked for."""
    body: Any = None
    if_match: int | None = None
    key: str | None = None
    """Idempotency-Key."""
    sent: bool = True
    """False where no connection could be made: the server never saw the request."""
    gave_up: bool = False
    """Whether the client stopped waiting: the server may have sent an answer all the same."""
    status: int | None = None
    version: int | None = None
    """From ETag."""
    txn: str | None = None
    """From Scim-Txn."""
    location: str | None = None
    answer: Any = None

    @property
    def is_write(self) -> bool:
        """Whether it asks for a change."""
        return self.verb in WRITES

    @property
    def succeeded(self) -> bool:
        """Whether it was answered 2xx."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_refused(self) -> bool:
        """Whether it was answered by a decision against it, or turned away: it must never take effect (INV-6)."""
        return self.status is not None and 400 <= self.status < 500

    @property
    def is_open(self) -> bool:
        """Whether it may or may not have taken effect, as far as its client can tell (INV-13)."""
        return self.sent and (self.status is None or self.status >= 500)


def marker(body: Any) -> str | None:
    """Return the first string in a body that begins with ``MARK``, or None."""
    if isinstance(body, str):
        return body if body.startswith(MARK) else None
    children = body.values() if isinstance(body, dict) else body if isinstance(body, list) else ()
    return next((found for child in children if (found := marker(child)) is not None), None)


class Recorder:
    """Keeps operations in memory and, given a path, on disk; counts what is in flight."""

    def __init__(self, path: Path | None = None) -> None:
        self.operations: list[Operation] = []
        self.acknowledged = 0
        """Writes answered 2xx."""
        self._writes_in_flight: set[int] = set()
        self._next = 1
        self._file: IO[bytes] | None = path.open("wb") if path else None
        self._encoder = msgspec.json.Encoder()

    @property
    def writes_in_flight(self) -> int:
        """How many writes wait for an answer now."""
        return len(self._writes_in_flight)

    def begin(self, verb: Verb) -> tuple[int, int]:
        """Note that a request goes out; returns its number and the time."""
        number = self._next
        self._next += 1
        if verb in WRITES:
            self._writes_in_flight.add(number)
        return number, time.monotonic_ns()

    def record(self, operation: Operation) -> None:
        """Note how a request ended."""
        self._writes_in_flight.discard(operation.number)
        self.operations.append(operation)
        self.acknowledged += operation.is_write and operation.succeeded
        if self._file:
            self._file.write(self._encoder.encode(operation) + b"\n")

    def close(self) -> None:
        """Write out what is buffered."""
        if self._file:
            self._file.close()
            self._file = None


def read_history(path: Path) -> Iterator[Operation]:
    """Yield the operations of a recorded run."""
    decoder = msgspec.json.Decoder(Operation)
    with path.open("rb") as lines:
        for line in lines:
            yield decoder.decode(line)
