"""The scripts, written for one boot of Redis: what was written for another cannot run (CP-4); and what they refuse."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from consumers.errors import NotRecovered, StoreConflict, StoreUnavailable
from consumers.partition_ports import OwnershipLost

NAMES: Final = ("view", "reserve", "apply", "owner", "empty", "read")


class Scripts(msgspec.Struct, frozen=True):
    """The scripts of one boot."""

    boot: str
    """``run_id`` and ``master_replid``, parted by a blank."""
    texts: dict[str, str]
    digests: dict[str, str]
    """By name, the SHA-1 by which EVALSHA knows them."""


def boot_of(info: bytes) -> str:
    """Return the boot that an answer to ``INFO server replication`` tells."""
    found = dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)
    return f"{found['run_id']} {found['master_replid']}"


def scripts_for(boot: str) -> Scripts:
    """Return the scripts with the boot in their text."""
    run_id, _, replid = boot.partition(" ")
    head = f"local RUN_ID, REPLID, BOOT = '{run_id}', '{replid}', '{boot}'\n{_source('prelude')}\n"
    texts = {name: head + _source(name) for name in NAMES}
    digests = {name: hashlib.sha1(text.encode()).hexdigest() for name, text in texts.items()}  # noqa: S324 - EVALSHA's
    return Scripts(boot, texts, digests)


@cache
def _source(name: str) -> str:
    return Path(__file__).with_name(f"redis_{name}.lua").read_text("utf-8")


def refusal(status: bytes, answer: Sequence[Any]) -> StoreUnavailable | StoreConflict | OwnershipLost:
    """Return the error that a script's status other than ``ok`` stands for, as the port says."""
    match status:
        case b"recovering":
            return NotRecovered(f"the store is being recovered ({_missing(answer[0])}); try again soon")
        case b"conflict":
            return StoreConflict(answer[0].decode())
        case b"fence":
            return OwnershipLost("another owner has the fence")
        case b"boot":
            return OwnershipLost("Redis is another one, or was started again")
        case _:
            return OwnershipLost("the watermark is not what this owner wrote last")


def _missing(field: bytes) -> str:
    return "all partitions are missing" if field == b"boot" else f"partition {field.decode()} is missing"
