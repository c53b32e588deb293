"""Changes, outcomes and tombstones as the apply script takes them: nothing but keys and values, msgpack."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from consumers.backends.redis_keys import ShardKeys, indexed
from consumers.backends.redis_records import is_live, record_of, resource_of, stored_value
from consumers.ports import Claim
from schemas.changes import Name
from schemas.indexing import index_entries
from schemas.numbering import StoredChange
from schemas.outcomes import KEYED_LIFE_MS, LIFE_MS, UNSEEN_LIFE_MS, Outcome, encode_outcome, expires_at
from schemas.records import Address, resource_key
from schemas.timestamps import milliseconds

_encoder = msgspec.msgpack.Encoder()


class Packing(msgspec.Struct, frozen=True, kw_only=True):
    """What one call of the apply script does."""

    fields: tuple[str, ...] | None
    """The partitions that must be recovered; None while one of them is being recovered."""
    replays: bool
    dry: bool = False
    """Whether everything is only looked at."""
    changes: Sequence[list[Any]] = ()
    outcomes: Sequence[list[Any]] = ()
    numbers: Sequence[Any] = ()
    tombstones: Sequence[Any] = ()
    before: str | None = None
    """Offset and position of the watermark as they must be stored, "" for none; None to leave the watermark alone."""
    mark: str | None = None
    """The watermark to store."""
    mark_key: str
    gone_key: str
    held_key: str
    keyed_key: str
    """Of the outcomes held without and with an Idempotency-Key."""
    now: str
    """Milliseconds since 1970."""
    most: int
    """How many outcomes without a key are kept."""


def packed(packing: Packing) -> list[bytes | str]:
    """Return the arguments of the script: msgpack, keys of resources each with its value, values of outcomes.

    Redis' msgpack knows no binary strings, and what need not be unpacked is not copied. It makes tables slowly: lists are
    flat, and what several changes are about stands once in a list of its own, for which its place (from 1) stands in theirs.
    """
    asked = msgspec.structs.asdict(packing)
    records = _put_changes(asked, packing.changes)
    # The last word counts, as in the script.
    words: list[bytes | str] = [word for pair in records.items() if pair[1] is not False for word in pair]
    asked["written"] = 2 + len(words)
    words += _put_outcomes(asked, packing.outcomes)
    return [_encoder.encode(asked), *words]


def _put_changes(asked: dict[str, Any], changed: Sequence[list[Any]]) -> dict[str, Any]:
    """Put changes into the map; return the values of the resources by their keys."""
    values: dict[str, Any] = {}
    places: dict[str, int] = {}
    groups: dict[str, tuple[int, str, dict[str, int]]] = {}
    changes: list[Any] = []
    names: list[int] = []
    entries: list[Any] = []
    gone: list[str] = []
    for words in changed:
        key, resource_id, expected, version, created, live, value, named, indexing, order, record_key, forget = words
        values[key] = value
        for i in range(0, len(named), 4):
            gained, holders, reservations, name = named[i : i + 4]
            group = groups.get(holders)
            if group is None:
                group = groups[holders] = len(groups) + 1, reservations, {}
            names += gained, group[0], group[2].setdefault(name, len(group[2]) + 1)
        entries += indexing
        place = places.setdefault(key, len(places) + 1)
        changes += (
            place, resource_id, expected, version, created, live, order, len(names) + 1, len(entries) + 1,
        )  # fmt: skip
        if forget:
            gone += forget, record_key
    asked["changes"], asked["names"], asked["entries"], asked["gone"] = changes, names, entries, gone
    asked["records"] = list(places)
    asked["groups"] = [(key, reservations, list(found)) for key, (_, reservations, found) in groups.items()]
    return values


def _put_outcomes(asked: dict[str, Any], outcomes: Sequence[list[Any]]) -> list[bytes]:
    """Put outcomes into the map; return their values."""
    values: list[bytes] = []
    stored: list[str] = []
    creates: list[str] = []
    firsts: list[tuple[str, ...]] = []
    held: list[str] = []
    keyed: list[str] = []
    for key, value, expires, txn, first, reserved_key, created_by, repeated_until in outcomes:
        values.append(value)
        stored += key, expires
        if first:
            firsts.append((first, txn, expires, reserved_key))
            keyed += expires, key
        else:
            held += expires, f"{key}\0{created_by}" if created_by else key
        if created_by:
            creates += created_by, txn, repeated_until
    asked["outcomes"], asked["creates"], asked["firsts"], asked["held"], asked["keyed"] = (
        stored, creates, firsts, held, keyed,
    )  # fmt: skip
    return values


def change_words(keys: ShardKeys, change: StoredChange) -> list[Any]:
    """Return a change: key, id, expected, version, created, live, value, names, entries, key of the order, forgetting."""
    tenant, resource_type, resource_id, version = (
        change.tenant, change.resource_type, change.resource_id, change.version,
    )  # fmt: skip
    created, live = milliseconds(change.created), not change.deleted
    forget_at = None if live else change.forget_at
    return [
        keys.record(tenant, resource_id),
        resource_id,
        change.expected,
        version,
        str(created),
        live,
        stored_value(version=version, created=created, resource_type=resource_type, live=live, record=change.record),
        _names(keys, tenant, change.releases, change.acquires),
        _entries(keys, tenant, resource_type, change.drops, change.adds),
        keys.order(tenant, resource_type),
        change.key,
        False if forget_at is None else str(forget_at),
    ]


def claim_words(keys: ShardKeys, claims: Sequence[Claim]) -> tuple[list[Any], ...]:
    """Return what the reserve script needs of claims: groups of names, Idempotency-Keys, claims, places of their names."""
    groups: dict[tuple[str, str], tuple[int, dict[str, int]]] = {}
    keyed: dict[tuple[str, str], int] = {}
    asking: list[Any] = []
    places: list[int] = []
    for claim in claims:
        for attribute, name in claim.names:
            group = groups.get((claim.tenant, attribute))
            if group is None:
                group = groups[claim.tenant, attribute] = len(groups) + 1, {}
            places += group[0], group[1].setdefault(name, len(group[1]) + 1)
        key = 0 if claim.key is None else keyed.setdefault((claim.tenant, claim.key), len(keyed) + 1)
        asking += claim.resource_id, key, len(places) + 1
    return (
        [(keys.names(*group), keys.reservations(*group), list(names)) for group, (_, names) in groups.items()],
        [(keys.first(t, key), keys.outcome(t, ""), keys.reserved_key(t, key)) for t, key in keyed],
        asking,
        places,
    )


def outcome_words(keys: ShardKeys, tenant: str, outcome: Outcome, now: int) -> list[Any] | None:
    """Return an outcome as the script takes it; None if it has expired.

    Key, value, expiry, txn, the Idempotency-Key's first txn and reservation, key of the create, its expiry.
    """
    # No longer than from now on, whatever its record says: a time beyond Redis' would stop a replay for good.
    expires = min(expires_at(outcome), now + KEYED_LIFE_MS + LIFE_MS)
    if expires <= now:
        return None
    repeated_until = min(outcome.decided_at + UNSEEN_LIFE_MS, expires)
    return [
        keys.outcome(tenant, outcome.txn),
        encode_outcome(outcome),
        str(expires),
        outcome.txn,
        keys.first(tenant, outcome.key) if outcome.key else False,
        keys.reserved_key(tenant, outcome.key) if outcome.key else False,
        keys.created_by(tenant, outcome.resource_id) if outcome.unseen and repeated_until > now else False,
        str(repeated_until),
    ]


def number_words(
    keys: ShardKeys, partition: int, numbers: Mapping[str, int], changes: Sequence[StoredChange]
) -> list[list[Any]]:
    """Return the last number of each tenant: key, number, how many changes it has in the batch."""
    counts = Counter(change.tenant for change in changes)
    return [[keys.number(tenant, partition), last, counts[tenant]] for tenant, last in numbers.items()]


def forgotten_words(keys: ShardKeys, address: Address) -> list[str]:
    """Return a tombstone: key of the resource, key of its record."""
    key = resource_key(address.tenant, address.resource_type, address.resource_id)
    return [keys.record(address.tenant, address.resource_id), key]


def farewell_words(keys: ShardKeys, address: Address, value: bytes) -> list[Any] | None:
    """Return the change that takes back names and entries of a live resource which the log has forgotten; None if gone.

    Its delete and the tombstone met in one stretch of the log, or the log kept only the tombstone.
    """
    if not is_live(value):
        return None
    resource = resource_of(value)
    names = tuple(sorted(resource.names.items()))
    drops = tuple(sorted(index_entries(resource.doc)))
    return [
        keys.record(address.tenant, address.resource_id),
        address.resource_id,
        resource.version,
        resource.version + 1,
        str(milliseconds(resource.created)),
        False,
        False,
        _names(keys, address.tenant, names, ()),
        _entries(keys, address.tenant, address.resource_type, drops, ()),
        keys.order(address.tenant, address.resource_type),
        "",
        False,
    ]


def records_of(keys: Sequence[str], values: Sequence[bytes | None]) -> dict[str, bytes]:
    """Return the records by key, without those that are not stored."""
    return {key: record_of(value) for key, value in zip(keys, values, strict=True) if value is not None}


def _names(keys: ShardKeys, tenant: str, releases: Sequence[Name], acquires: Sequence[Name]) -> list[Any]:
    words: list[Any] = []
    for gained, names in ((0, releases), (1, acquires)):
        for attribute, name in names:
            words += gained, keys.names(tenant, attribute), keys.reservations(tenant, attribute), name
    return words


def _entries(
    keys: ShardKeys, tenant: str, resource_type: str, drops: Sequence[Name], adds: Sequence[Name]
) -> list[Any]:
    words: list[Any] = []
    for added, entries in ((0, drops), (1, adds)):
        for attribute, value in entries:
            words += added, keys.entries(tenant, resource_type, attribute), indexed(value)
    return words
