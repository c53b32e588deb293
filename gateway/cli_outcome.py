"""The command ``outcome``: what became of a write, also while others serve."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from consumers.backends.redis_client import RedisClient
from consumers.backends.redis_reader import RedisReader
from consumers.backends.sqlite_database import open_reader
from consumers.backends.sqlite_reader import SqliteReader
from consumers.backends.sqlite_thread import DatabaseThread
from consumers.ports import Reader
from consumers.settings import Settings
from gateway.cli_config import settings_of
from gateway.first_start import DATABASE, TENANTS_FILE
from gateway.tenants import load_tenants
from schemas import urns
from schemas.outcomes import Outcome, Refusal
from schemas.resource_types import RESOURCE_TYPES
from schemas.versions import etag


def outcome(parsed: argparse.Namespace) -> int:
    """Print what became of one command; 1 when nothing is known of it."""
    settings = settings_of(parsed).settings
    found = asyncio.run(_find_outcome(parsed, settings))
    document = _document(parsed.txn, found, settings.http.public_url)
    if parsed.json:
        print(msgspec.json.encode(document).decode())
    else:
        for name, value in document.items():
            print(f"{name:<9} {_said(value)}")
    return 1 if found is None else 0


async def _find_outcome(parsed: argparse.Namespace, settings: Settings) -> Outcome | None:
    """Look for the outcome with the tenant that was named, else with each of the tenants file."""
    tenants_file = Path(parsed.tenants or Path(settings.data) / TENANTS_FILE)
    names = [parsed.tenant] if parsed.tenant else list(load_tenants(tenants_file, settings.secret).tenants)
    async with _reading(settings) as reader:
        # Together: one question to Redis for all.
        outcomes = await asyncio.gather(*(reader.outcome(name, parsed.txn) for name in names))
    return next((found for found in outcomes if found is not None), None)


@asynccontextmanager
async def _reading(settings: Settings) -> AsyncIterator[Reader]:
    """Open a reader of the mode that is set."""
    if settings.distributed:
        client = RedisClient(settings.redis)
        try:
            yield RedisReader(client, shards=settings.redis.shards, partitions=settings.kafka.partitions)
        finally:
            await client.close()
        return
    thread = DatabaseThread(Path(settings.data) / DATABASE, open_reader, "sqlite-outcomes")
    await thread.open()
    try:
        yield SqliteReader(thread)
    finally:
        await thread.close()


def _document(txn: str, found: Outcome | None, base_url: str) -> dict[str, Any]:
    """Return what ``GET /scim/v2/Outcomes/{txn}`` answers (``interfaces.md``)."""
    document: dict[str, Any] = dict.fromkeys(("txn", "state", "status", "version", "location", "error"))
    document["txn"] = txn
    if found is None:
        return document | {"state": "unknown"}
    if found.error is not None:
        return document | {"state": "refused", "status": found.status, "error": _error(found.error)}
    endpoint = RESOURCE_TYPES[found.resource_type].endpoint
    where = f"{base_url}/scim/v2{endpoint}/{found.resource_id}"
    return document | {"state": "applied", "status": found.status, "version": etag(found.version), "location": where}


def _error(refusal: Refusal) -> dict[str, object]:
    """Return the SCIM Error that the caller got (RFC 7644 section 3.12)."""
    kind = {} if refusal.scim_type is None else {"scimType": refusal.scim_type}
    return {"schemas": [urns.ERROR], "status": str(refusal.status), **kind, "detail": refusal.detail}


def _said(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        return " ".join(str(value[key]) for key in ("scimType", "detail") if key in value)
    return str(value)
