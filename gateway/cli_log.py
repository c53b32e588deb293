"""The commands that read what happened: ``events`` and ``outcome``, also while another process serves."""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from consumers.backends.kafka_client import limit_logging
from consumers.backends.kafka_events import open_event_logs
from consumers.backends.sqlite import open_event_log
from consumers.backends.sqlite_database import open_reader
from consumers.backends.sqlite_reader import SqliteReader
from consumers.backends.sqlite_thread import DatabaseThread
from consumers.errors import SettingsError
from consumers.ports import EventLog, LoggedEvent
from consumers.settings import Settings
from gateway.cli_config import settings_of
from gateway.first_start import DATABASE, TENANTS_FILE
from gateway.tenants import load_tenants
from schemas import urns
from schemas.outcomes import Outcome, Refusal
from schemas.resource_types import RESOURCE_TYPES
from schemas.versions import etag

_BATCH: Final = 500
_PLACE: Final = re.compile(r"([0-9]{1,9}):([0-9]{1,18})")
"""PARTITION:OFFSET."""


def events(parsed: argparse.Namespace) -> int:
    """Print events as they are kept, one a line."""
    asyncio.run(_print_events(parsed, _event_logs(settings_of(parsed).settings)))
    return 0


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


def _event_logs(settings: Settings) -> AbstractAsyncContextManager[Sequence[EventLog]]:
    """Open the event log of each partition."""
    if settings.distributed:
        limit_logging()
        return open_event_logs(settings.kafka)
    return _embedded_logs(Path(settings.data) / DATABASE)


@asynccontextmanager
async def _embedded_logs(database: Path) -> AsyncIterator[Sequence[EventLog]]:
    async with open_event_log(database) as log:
        yield (log,)


async def _print_events(parsed: argparse.Namespace, opening: AbstractAsyncContextManager[Sequence[EventLog]]) -> None:
    """Print the partitions one after the other; followed, each batch as it comes."""
    async with opening as logs:
        chosen = _chosen(logs, parsed.start)
        offsets = [await _offset(log, parsed.start) for log in chosen]
        if not parsed.follow:
            for log, offset in zip(chosen, offsets, strict=True):
                await _print_to_the_end(parsed, log, offset)
            return
        followers = [
            asyncio.create_task(_follow(parsed, log, offset), name="follow")
            for log, offset in zip(chosen, offsets, strict=True)
        ]
        try:
            await asyncio.gather(*followers)
        finally:
            for follower in followers:
                follower.cancel()
            await asyncio.gather(*followers, return_exceptions=True)


async def _print_to_the_end(parsed: argparse.Namespace, log: EventLog, offset: int) -> None:
    end = await log.end()  # what comes while we print is for --follow
    while offset < end and (batch := await log.read(offset, min(_BATCH, end - offset))):
        _print_batch(parsed, [logged for logged in batch if logged.offset < end])
        offset = batch[-1].offset + 1


async def _follow(parsed: argparse.Namespace, log: EventLog, offset: int) -> None:
    async for batch in log.follow(offset):
        _print_batch(parsed, batch)


def _chosen(logs: Sequence[EventLog], start: str) -> Sequence[EventLog]:
    """Return the partition that ``--from`` names, or all."""
    place = _PLACE.fullmatch(start)
    if place is None:
        return logs
    partition = int(place[1])
    if partition >= len(logs):
        there = "partition 0" if len(logs) == 1 else f"partitions 0 to {len(logs) - 1}"
        raise SettingsError(f"--from {start}: there is only {there} here; give 0:OFFSET, say")
    return logs[partition : partition + 1]


async def _offset(log: EventLog, start: str) -> int:
    """Return the offset that ``--from`` names."""
    if start == "earliest":
        return await log.earliest()
    if start == "latest":
        return await log.end()
    if place := _PLACE.fullmatch(start):
        return int(place[2])
    try:
        time = datetime.fromisoformat(start)
    except ValueError:
        raise SettingsError(f"--from {start}: give earliest, latest, PARTITION:OFFSET or an ISO 8601 time") from None
    if time.tzinfo is None:
        raise SettingsError(f"--from {start}: the time lacks its zone; give one, such as 2026-11-21T08:00:00Z")
    return await log.offset_at(int(time.timestamp() * 1000))


def _print_batch(parsed: argparse.Namespace, batch: Sequence[LoggedEvent]) -> None:
    for logged in batch:
        if parsed.tenant is None or logged.event.tenant == parsed.tenant:
            line = _with_meta(logged) if parsed.meta else logged.event.value
            sys.stdout.buffer.write(bytes(line) + b"\n")
    sys.stdout.buffer.flush()


def _with_meta(logged: LoggedEvent) -> bytes:
    return msgspec.json.encode(
        {
            "partition": logged.partition,
            "offset": logged.offset,
            "key": logged.event.key,
            "headers": dict(logged.event.headers),
            "value": msgspec.Raw(logged.event.value),
        }
    )


async def _find_outcome(parsed: argparse.Namespace, settings: Settings) -> Outcome | None:
    """Look for the outcome with the tenant that was named, else with each of the tenants file."""
    directory = Path(settings.data)
    names = [parsed.tenant] if parsed.tenant else list(load_tenants(directory / TENANTS_FILE, settings.secret).tenants)
    thread = DatabaseThread(directory / DATABASE, open_reader, "sqlite-outcomes")
    await thread.open()
    try:
        reader = SqliteReader(thread)
        outcomes = [await reader.outcome(name, parsed.txn) for name in names]
    finally:
        await thread.close()
    return next((found for found in outcomes if found is not None), None)


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
