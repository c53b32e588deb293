"""Resource events: one for every applied version, RFC 8417 claims with RFC 9967 events (``interfaces.md``, Events)."""

from __future__ import annotations

from typing import Any

import msgspec

from schemas import timestamps, urns
from schemas.changes import Change
from schemas.commands import Create, Patch, Replace
from schemas.patch_requests import patch_document
from schemas.resource_types import RESOURCE_TYPES
from schemas.versions import etag

Headers = tuple[tuple[str, str], ...]


class SubjectId(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 9967's ``sub_id``: the resource that changed."""

    format: str
    uri: str
    externalId: str | msgspec.UnsetType = msgspec.UNSET  # noqa: N815 - the RFC's name
    id: str


class ResourceEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The claims of one event; a repeat has the same ``jti``, a gap shows in ``seq``."""

    iss: str
    iat: int
    jti: str
    txn: str
    seq: str
    sub_id: SubjectId
    events: dict[str, dict[str, Any]]
    after: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class EventRecord(msgspec.Struct, frozen=True):
    """An event as a record of the event log: key, value and headers as Kafka has them."""

    tenant: str
    key: str
    value: bytes
    headers: Headers


_encoder = msgspec.json.Encoder()


def event_record(change: Change, *, partition: int, number: int, issuer: str) -> EventRecord:
    """Return the event of a change, numbered ``number`` among its tenant's changes in ``partition``."""
    command = change.command
    tenant, resource_id, version = command.tenant, command.resource_id, str(change.version)
    uri = f"{RESOURCE_TYPES[command.resource_type].endpoint}/{resource_id}"
    described = _described(change)
    # A delete names it too: "externalId, if known" (RFC 9967 section 2.1), and receivers may know the resource by no other.
    external_id = (
        dict(change.drops).get("externalId", msgspec.UNSET)
        if change.doc is None
        else change.doc.get("externalId", msgspec.UNSET)
    )
    iat = timestamps.milliseconds(change.modified) // 1000
    jti = f"{resource_id}:{version}"
    event = ResourceEvent(
        iss=issuer,
        iat=iat,
        jti=jti,
        txn=command.txn,
        seq=f"{partition}:{number}",
        sub_id=SubjectId(format="scim", uri=uri, externalId=external_id, id=resource_id),
        events=described,
        after=msgspec.Raw(change.text) if change.effect in {"put", "patch"} else msgspec.UNSET,
    )
    headers: Headers = (
        ("content-type", "application/json"),
        ("ce_specversion", "1.0"),
        ("ce_id", jti),
        ("ce_source", f"{issuer}/{tenant}"),
        ("ce_type", next(iter(described))),
        ("ce_time", change.modified),
        ("ce_subject", uri),
        ("ce_sequence", str(number)),
        ("ce_resourceversion", version),
        ("ce_tenant", tenant),
    )
    if command.traceparent is not msgspec.UNSET:
        headers = (*headers, ("traceparent", command.traceparent))
    return EventRecord(tenant, f"{tenant}/{resource_id}", _encoder.encode(event), headers)


def _described(change: Change) -> dict[str, dict[str, Any]]:
    """Return the ``events`` claim: what happened, and beside it whether ``active`` flipped (RFC 9967 section 2.4)."""
    version = etag(change.version)
    match change.command.change:
        case Create():
            return {urns.CREATE_FULL: {"version": version, "data": msgspec.Raw(change.text)}}
        case Replace(body=body):
            described: dict[str, dict[str, Any]] = {urns.PUT_FULL: {"version": version, "data": body}}
        case Patch(operations=operations):
            described = {urns.PATCH_FULL: {"version": version, "data": patch_document(operations)}}
        case _:
            return {urns.DELETE: {}}
    if change.flipped is not None:
        described[urns.ACTIVATE if change.flipped else urns.DEACTIVATE] = {}
    return described
