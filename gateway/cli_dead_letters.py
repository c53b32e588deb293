"""``scimgw dead-letters list|show|redrive``: parked commands, why they were parked, and their way back."""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import os
import sys
import time

import msgspec

from consumers.backends.kafka_commands import KafkaCommandLog
from consumers.backends.kafka_dead_letters import PlacedLetter, read_dead_letters
from consumers.errors import SettingsError
from consumers.settings import Settings
from gateway.cli_config import settings_of
from schemas import ids, timestamps
from schemas.commands import ChangeCommand, encode_command
from schemas.dead_letters import redriven
from schemas.partitions import partition_of


def list_letters(parsed: argparse.Namespace) -> int:
    """Print one line a parked command."""
    for placed in _letters(_settings(parsed)):
        if parsed.json:
            print(msgspec.json.encode(_summary(placed)).decode())
        else:
            letter = placed.letter
            when = timestamps.text(letter.parked_at)
            print(f"{placed.place:<12} {when}  {letter.tenant or '-':<16} {letter.txn or '-':<36}  {letter.why}")
    return 0


def show_letter(parsed: argparse.Namespace) -> int:
    """Print one parked command whole: it holds the caller's data."""
    placed = _one(_letters(_settings(parsed)), parsed.place)
    value = base64.b64decode(placed.letter.value)
    document = _summary(placed) | {"key": placed.letter.key, "cut": placed.letter.cut, "command": _readable(value)}
    print(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
    return 0


def redrive(parsed: argparse.Namespace) -> int:
    """Append new commands that do what parked ones asked for, unless anything has overtaken them."""
    settings = _settings(parsed)
    letters = _letters(settings)
    chosen = letters if parsed.all else [_one(letters, place) for place in parsed.places]
    if not chosen and not parsed.all:
        raise SettingsError("dead-letters redrive: name PARTITION:OFFSET as 'dead-letters list' prints it, or --all")
    commands = []
    failed = 0
    for placed in chosen:
        try:
            commands.append((placed, redriven(placed.letter, txn=_new_txn(), now=time.time_ns() // 1_000_000)))
        except ValueError as error:
            failed += 1
            print(f"{placed.place}: not redriven: {error}", file=sys.stderr)
    asyncio.run(_append(settings, commands))
    return 1 if failed else 0


async def _append(settings: Settings, commands: list[tuple[PlacedLetter, ChangeCommand]]) -> None:
    log = KafkaCommandLog(settings.kafka, lambda _skew: None)
    async with contextlib.AsyncExitStack() as stack:
        await log.start()
        stack.push_async_callback(log.close)
        for placed, command in commands:
            partition = partition_of(
                command.tenant,
                command.resource_id,
                shards=settings.redis.shards,
                partitions=settings.kafka.partitions,
            )
            await log.append(partition, f"{command.tenant}/{command.resource_id}", encode_command(command))
            print(
                f"{placed.place}: redriven as {command.txn}; see: scimgw outcome {command.txn} --tenant {command.tenant}",
                flush=True,
            )


def _settings(parsed: argparse.Namespace) -> Settings:
    settings = settings_of(parsed).settings
    if not settings.distributed:
        raise SettingsError("dead-letters: there are none in the embedded mode; set SCIMGW_KAFKA__BOOTSTRAP")
    return settings


def _letters(settings: Settings) -> list[PlacedLetter]:
    async def read() -> list[PlacedLetter]:
        return [placed async for placed in read_dead_letters(settings.kafka)]

    return asyncio.run(read())


def _one(letters: list[PlacedLetter], place: str) -> PlacedLetter:
    for placed in letters:
        if placed.place == place:
            return placed
    raise SettingsError(f"dead-letters: there is none at {place}; 'scimgw dead-letters list' prints them")


def _summary(placed: PlacedLetter) -> dict[str, object]:
    letter = placed.letter
    return {
        "place": placed.place,
        "parked": timestamps.text(letter.parked_at),
        "tenant": letter.tenant,
        "txn": letter.txn,
        "why": letter.why,
        "command_place": f"{letter.partition}:{letter.offset}",
        "version": letter.version,
    }


def _readable(value: bytes) -> object:
    """Return the command as JSON where it is some, else as base64."""
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return base64.b64encode(value).decode()


def _new_txn() -> str:
    return ids.time_ordered(time.time_ns() // 1_000_000, os.urandom(ids.RANDOM_BYTES))
