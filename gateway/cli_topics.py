"""The commands about topics: ``topics create`` and ``topics check``."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from consumers.backends.kafka_client import limit_logging
from consumers.backends.kafka_topics import check_topics, create_topics
from consumers.errors import SettingsError
from consumers.settings import Settings
from consumers.topics import Row
from gateway.cli_config import settings_of


def create(parsed: argparse.Namespace) -> int:
    """Create what is missing; 1 when something that was there is not as it should be."""
    return _shown(parsed, create_topics)


def check(parsed: argparse.Namespace) -> int:
    """Compare what is there with what should be; 1 when something differs."""
    return _shown(parsed, check_topics)


def _shown(parsed: argparse.Namespace, rows_of: Callable[[Settings], Awaitable[list[Row]]]) -> int:
    settings = settings_of(parsed).settings
    if not settings.distributed:
        raise SettingsError("setting kafka.bootstrap is empty; set SCIMGW_KAFKA__BOOTSTRAP to HOST:PORT of a broker")
    limit_logging()

    async def asked() -> list[Row]:
        return await rows_of(settings)

    rows = asyncio.run(asked())
    if parsed.json:
        print(msgspec.json.encode(rows).decode())
    else:
        _print_table(rows)
    return 0 if all(row.ok for row in rows) else 1


def _print_table(rows: Sequence[Row]) -> None:
    heads = ("topic", "setting", "is", "should be", "")
    cells = [(row.topic, row.setting, row.actual, row.wanted, "ok" if row.ok else "DIFFERS") for row in rows]
    widths = [max(len(line[column]) for line in (heads, *cells)) for column in range(len(heads))]
    for line in (heads, *cells):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    for row in rows:
        if not row.ok:
            print(f"{row.topic} {row.setting}: {row.remedy}", file=sys.stderr)
