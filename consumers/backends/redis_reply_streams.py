"""Answers on their way from an owner to the gateways: entries of a stream for each gateway in the owner's shard."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from consumers.backends.redis_client import Command, RedisClient
from consumers.backends.redis_keys import ShardKeys
from consumers.errors import StoreUnavailable
from consumers.partition_ports import Addressed
from consumers.replies import entries

logger = logging.getLogger(__name__)

MOST_KEPT: Final = 1024
"""Entries of a gateway's stream: seconds of answers at full load; what is trimmed is found as a stored outcome."""
REPLIES_LIFE_MS: Final = 60_000
"""How long the stream of a gateway stays that gets no more answers."""


async def send(client: RedisClient, keys: ShardKeys, replies: Sequence[Addressed]) -> None:
    """Write small entries, large users left out; what cannot be written is lost, and found as a stored outcome."""
    commands: list[Command] = []
    gateways: set[str] = set()
    for gateway, entry in entries(replies):
        gateways.add(gateway)
        commands.append(("XADD", keys.replies(gateway), "MAXLEN", "~", MOST_KEPT, "*", "r", entry))
    commands += [("PEXPIRE", keys.replies(gateway), REPLIES_LIFE_MS) for gateway in gateways]
    if not commands:
        return
    try:
        answers = await client.calls(commands)
    except StoreUnavailable as error:
        answers = [error]
    failed = next((answer for answer in answers if isinstance(answer, Exception)), None)
    if failed is not None:
        logger.warning("replies were lost", extra={"action": "reply", "error": str(failed)})
