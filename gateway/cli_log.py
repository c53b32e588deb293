"""The command ``events``: what happened, also while others serve."""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from consumers.backends.kafka_client import limit_logging
from consumers.backends.kafka_events import open_event_logs
from consumers.backends.sqlite import open_event_log
from consumers.errors import SettingsError
from consumers.ports import EventLog, LoggedEvent
from consumers.settings import Settings
from gateway.cli_config import settings_of
from gateway.first_start import DATABASE

_BATCH: Final = 500
_PLACE: Final = re.compile(r"([0-9]{1,9}):([0-9]{1,18})")
"""PARTITION:OFFSET."""


def events(parsed: argparse.Namespace) -> int:
    """Print events as they are kept, one a line."""
    asyncio.run(_print_events(parsed, _event_logs(settings_of(parsed).settings)))
    return 0


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
        last = len(logs) - 1
        raise SettingsError(f"--from {start}: the last partition here is {last}; give {last}:OFFSET, for instance")
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
