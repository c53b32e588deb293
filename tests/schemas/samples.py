"""Commands, stored users and views for the tests of what decides about them."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from schemas import timestamps, urns
from schemas.changes import StoredResource, View
from schemas.commands import ChangeCommand, Patch, Verb
from schemas.folding import fold
from schemas.outcomes import Outcome
from schemas.patch_requests import Operation
from schemas.records import Record, UserRecord, decode_record

ANN: Final = "0199c1a2-b3c4-7102-8304-05060708090a"
BOB: Final = "0199c1a2-b3c5-7102-8304-05060708090b"
DERIVED: Final = "1f1e1d1c-1b1a-8918-9716-151413121110"
TXN: Final = "0199c1a2-b3c6-7102-8304-05060708090c"
NOON: Final = 1_795_262_400_007
"""2026-11-21T12:00:00.007Z, when commands are accepted."""
MORNING: Final = NOON - 4 * 3600 * 1000
"""When what is stored was last changed."""
FINGERPRINT: Final = "5f16f0cd5d1b8d2f9a4e6f7a1b2c3d4e"
HASH: Final = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$4DqX0vTqk0pY1g2h3i4j5w"


def command(change: Verb, *, uid: str = ANN, txn: str = TXN, **fields: Any) -> ChangeCommand:
    """Return a command of tenant ``default``, accepted at noon with a budget of 20 seconds."""
    return ChangeCommand(
        **{
            "txn": txn,
            "tenant": "default",
            "resource_type": "User",
            "resource_id": uid,
            "change": change,
            "accepted_at": NOON,
            "budget": 20_000,
            "principal": "okta",
            "fingerprint": FINGERPRINT,
            "gateway": "gw-1",
            **fields,
        }
    )


def patch(*operations: dict[str, Any], password: str | msgspec.UnsetType | None = msgspec.UNSET) -> Patch:
    """Return a PATCH of operations in canonical form."""
    return Patch(tuple(Operation(**operation) for operation in operations), password=password)


def body(name: str = "ann", /, **members: Any) -> dict[str, Any]:
    """Return a user as a request brings it: canonical, without an id."""
    return {"schemas": [urns.USER], "userName": name, **members}


def user(name: str = "ann", uid: str = ANN, /, **members: Any) -> dict[str, Any]:
    """Return a user as it is stored."""
    return {"schemas": [urns.USER], "id": uid, "userName": name, **members}


def stored(doc: dict[str, Any], version: int = 1, password: str | msgspec.UnsetType = msgspec.UNSET) -> StoredResource:
    """Return a stored user, created and changed in the morning."""
    return StoredResource(
        version=version,
        created=timestamps.text(MORNING - 1),
        modified=timestamps.text(MORNING),
        names={"userName": fold(doc["userName"])},
        doc=doc,
        password=password,
    )


def view(doc: dict[str, Any] | None = None, version: int = 1) -> View:
    """Return a view of a stored user, or of nothing."""
    return View() if doc is None else View(resource=stored(doc, version))


def outcome(**fields: Any) -> Outcome:
    """Return the outcome of a create that was applied."""
    return Outcome(
        **{
            "txn": TXN,
            "status": 201,
            "resource_type": "User",
            "resource_id": ANN,
            "version": 1,
            "verb": "create",
            "fingerprint": FINGERPRINT,
            "gateway": "gw-1",
            "decided_at": NOON,
            **fields,
        }
    )


def user_record(value: bytes) -> UserRecord:
    """Read the record of a user."""
    record: Record = decode_record(value)
    assert isinstance(record, UserRecord)
    return record
