"""A reply that was lost on its way to the gateway: the stored outcome makes the same answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from consumers.errors import NotRecovered
from consumers.ports import Reply
from schemas import urns
from schemas.commands import ChangeCommand, Create, verb_of
from schemas.outcomes import Outcome, Refusal
from schemas.records import ResourceImage
from tests.gateway.fronts import Ports, calling

BODY = {"schemas": [urns.USER], "userName": "ann"}
PATCH = {"schemas": [urns.PATCH_OP], "Operations": [{"op": "replace", "path": "title", "value": "t"}]}
MADE = "2026-11-21T08:00:00.000Z"


def outcome_of(command: ChangeCommand, **given: Any) -> Outcome:
    known: dict[str, Any] = {"status": 201 if isinstance(command.change, Create) else 200, "version": 1}
    return Outcome(
        txn=command.txn,
        resource_type="User",
        resource_id=command.resource_id,
        verb=verb_of(command),
        fingerprint=command.fingerprint,
        gateway=command.gateway,
        decided_at=command.accepted_at,
        **(known | given),
    )


def image_of(command: ChangeCommand, version: int = 1) -> ResourceImage:
    doc = msgspec.json.encode({**BODY, "id": command.resource_id})
    return ResourceImage(kind="user", v=1, version=version, doc=msgspec.Raw(doc), created=MADE, modified=MADE)


@dataclass
class Losing(Ports):
    """Ports whose replies come without the resource, as stored outcomes do, or whole."""

    loses: bool = True
    version_now: int = 1

    async def get(self, tenant: str, resource_type: str, resource_id: str) -> ResourceImage | None:
        """See ``consumers.ports.Reader``."""
        self.reading()
        return image_of(self.commands[-1], self.version_now)


def losing(*, loses: bool = True, version_now: int = 1, reading: Any = lambda: None, **outcome: Any) -> Losing:
    async def submit(command: ChangeCommand) -> Reply:
        return Reply(outcome_of(command, **outcome), None if loses or "error" in outcome else image_of(command))

    return Losing(submit, reading=reading, loses=loses, version_now=version_now)


async def answered(ports: Losing, method: str, path: str, body: Any) -> tuple[int, dict[str, str], Any, str]:
    """Return status, headers that do not differ by request, body, and the id of the resource."""
    async with calling(ports) as session:
        answer = await session.request(method, f"/scim/v2{path}", json=body)
        content = await answer.read()
    resource_id = ports.commands[-1].resource_id
    kept = {name: answer.headers[name] for name in ("ETag", "Location", "Content-Type") if name in answer.headers}
    kept = {name: value.replace(resource_id, "ID") for name, value in kept.items()}
    kept["Location"] = kept.get("Location", "").partition("/scim/v2")[2]
    shown = msgspec.json.decode(content) if content else None
    if shown and "meta" in shown:
        shown["meta"]["location"] = shown["meta"]["location"].partition("/scim/v2")[2].replace(resource_id, "ID")
        shown["id"] = "ID"
    return answer.status, kept, shown, resource_id


@pytest.mark.parametrize(
    ("method", "path", "body", "outcome"),
    [
        ("POST", "/Users", BODY, {}),
        ("PUT", "/Users/u-1", BODY, {}),
        ("PATCH", "/Users/u-1", PATCH, {}),
        ("DELETE", "/Users/u-1", None, {"status": 204}),
        ("POST", "/Users", BODY, {"status": 409, "error": Refusal(409, "taken", "uniqueness")}),
        ("PUT", "/Users/u-1", BODY, {"status": 412, "error": Refusal(412, "changed")}),
    ],
)
async def test_a_lost_reply_is_answered_like_one_that_came(
    method: str, path: str, body: Any, outcome: dict[str, Any]
) -> None:
    came = await answered(losing(loses=False, **outcome), method, path, body)
    found = await answered(losing(loses=True, **outcome), method, path, body)
    assert found[:3] == came[:3]


async def test_a_lost_reply_has_its_own_ETag_and_the_resource_as_it_is_now() -> None:
    status, headers, body, _ = await answered(losing(version_now=3), "POST", "/Users", BODY)
    assert (status, headers["ETag"], body["meta"]["version"]) == (201, 'W/"1"', 'W/"3"')


async def test_INV11_a_lost_reply_whose_resource_cannot_be_read_is_an_unknown_outcome() -> None:
    def reading() -> None:
        raise NotRecovered("the test says so")

    ports = losing(reading=reading)
    status, _, body, _ = await answered(ports, "POST", "/Users", BODY)
    assert status == 503
    assert body["txn"] == ports.commands[-1].txn
    assert len(ports.marked) == 1, "an identical POST gets the answer (CP-30)"
