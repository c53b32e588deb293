"""What the server left behind, decoded from plain records: events of the log, resources of the store."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tests.faults.model import Doc, canonical

_VERBS: Final = {"create": "create", "put": "replace", "patch": "patch", "delete": "delete"}
_VERB_URN: Final = re.compile(r"^urn:ietf:params:scim:event:prov:(create|put|patch|delete)(?::full|:notice)?$")
_ETAG: Final = re.compile(r'^W/"([1-9][0-9]*)"$')

Plain = Mapping[str, Any]


class MalformedError(ValueError):
    """A record that does not have the form that ``interfaces.md`` promises."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One event of the log, with what the checks look at."""

    partition: int
    offset: int
    tenant: str
    resource: str
    version: int
    number: int
    """Its ``seq`` within tenant and partition."""
    txn: str
    verb: str
    data: Any
    after: Doc | None
    """The resource as it stands now, canonical; None after a delete."""
    flipped: bool | None = None
    """What ``active`` became, where the event says that it flipped."""
    identity: Any = None
    """The record's value, to recognise a repeat."""


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """One resource of the store; ``doc`` None: deleted, or not there."""

    tenant: str
    resource: str
    version: int | None
    doc: Doc | None
    name: str | None = None
    """The folded userName, where the record carries it."""


def etag_version(value: Any) -> int | None:
    """Return n of ``W/"n"``, or None for anything else."""
    match = _ETAG.match(value) if isinstance(value, str) else None
    return int(match[1]) if match else None


def event_of(record: Plain) -> Event:
    """Read a record ``{partition, offset, key, headers, value}`` of the event log (``interfaces.md``, Events).

    Raises MalformedError where value, key and headers contradict each other or lack what the form promises.
    """
    try:
        return _event_of(record)
    except MalformedError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MalformedError(f"event at {record.get('partition')}:{record.get('offset')}: {error!r}") from error


def _event_of(record: Plain) -> Event:
    value = record["value"]
    place = f"event at {record['partition']}:{record['offset']}"
    tenant, resource = record["key"].split("/")
    subject, _, version = value["jti"].rpartition(":")
    partition, _, number = value["seq"].partition(":")
    verbs = [(_VERBS[match[1]], body) for urn, body in value["events"].items() if (match := _VERB_URN.match(urn))]
    if len(verbs) != 1:
        raise MalformedError(f"{place} names {len(verbs)} verbs")
    verb, body = verbs[0]
    headers = dict(record["headers"])
    expected = {
        "ce_id": value["jti"],
        "ce_resourceversion": version,
        "ce_sequence": number,
        "ce_tenant": tenant,
        "ce_subject": value["sub_id"]["uri"],
    }
    if any(headers.get(name) != said for name, said in expected.items()):
        raise MalformedError(f"{place}: headers and value disagree")
    if subject != resource or value["sub_id"]["id"] != resource or int(partition) != record["partition"]:
        raise MalformedError(f"{place}: key, jti, sub_id and seq disagree")
    if verb != "delete" and etag_version(body["version"]) != int(version):
        raise MalformedError(f"{place}: the event's version is not that of its jti")
    flips = [urn.endswith(":activate") for urn in value["events"] if urn.endswith((":activate", ":deactivate"))]
    after = {"create": body.get("data"), "delete": None}.get(verb, value.get("after"))
    return Event(
        partition=record["partition"],
        offset=record["offset"],
        tenant=tenant,
        resource=resource,
        version=int(version),
        number=int(number),
        txn=value["txn"],
        verb=verb,
        data=body.get("data"),
        after=None if verb == "delete" else canonical(after),
        flipped=flips[0] if flips else None,
        identity=value,
    )


def stored_of(record: Plain) -> Stored | None:
    """Read a record ``{key, value}`` of the state log or of ``answered``; None for a kind without a resource of its own."""
    parts = record["key"].split("/")
    if len(parts) != 3:
        return None
    tenant, _, resource = parts
    value = record["value"]
    if value is None or value["kind"] == "gone":
        return Stored(tenant=tenant, resource=resource, version=(value or {}).get("version"), doc=None)
    name = value.get("names", {}).get("userName")
    return Stored(tenant=tenant, resource=resource, version=value["version"], doc=canonical(value["doc"]), name=name)


def answered(tenant: str, resource: str, status: int, etag: str | None, body: Any) -> Plain:
    """Return what a GET of a resource showed, in the form of a state record.

    Raises MalformedError for an answer that says nothing about the resource.
    """
    key = f"{tenant}/User/{resource}"
    if status == 404:
        return {"key": key, "value": {"kind": "gone"}}
    version = etag_version(etag)
    if status != 200 or version is None or etag_version(body["meta"]["version"]) != version or body["id"] != resource:
        raise MalformedError(f"GET of {resource}: status {status}, ETag {etag}")
    return {"key": key, "value": {"kind": "user", "version": version, "doc": body}}
