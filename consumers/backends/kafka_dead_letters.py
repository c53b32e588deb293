"""The dead-letter topic as an operator reads it, and the way back of a parked command."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Final

import msgspec
from aiokafka import TopicPartition

from consumers.backends.kafka_client import consuming, translating
from consumers.settings import KafkaSettings
from consumers.topics import Topics
from schemas.dead_letters import DeadLetter, decode_dead_letter

logger = logging.getLogger(__name__)

_FETCH_MS: Final = 500
_MOST: Final = 500


class PlacedLetter(msgspec.Struct, frozen=True):
    """A dead letter and its place, ``partition:offset`` of the dead-letter topic."""

    partition: int
    offset: int
    letter: DeadLetter

    @property
    def place(self) -> str:
        """How an operator names it."""
        return f"{self.partition}:{self.offset}"


async def read_dead_letters(kafka: KafkaSettings) -> AsyncIterator[PlacedLetter]:
    """Yield all dead letters that the topic still has, partition by partition, in order. Raises LogUnavailable.

    One that cannot be decoded is logged and left out: it was written by a later version.
    """
    topic = Topics(kafka.topic_prefix).dead
    places = [TopicPartition(topic, partition) for partition in range(kafka.partitions)]
    what = "read the dead letters"
    async with consuming(kafka, *places, isolation_level="read_committed") as consumer:
        with translating(kafka, what):
            ends = await consumer.end_offsets(places)
            starts = await consumer.beginning_offsets(places)
        for place in places:
            consumer.seek(place, starts[place])
        for place in places:
            while True:
                with translating(kafka, what):
                    if await consumer.position(place) >= ends[place]:
                        break
                    fetched = await consumer.getmany(place, timeout_ms=_FETCH_MS, max_records=_MOST)
                for record in fetched.get(place, ()):
                    letter = _decoded(place.partition, record.offset, record.value)
                    if letter is not None:
                        yield letter


def _decoded(partition: int, offset: int, value: bytes | None) -> PlacedLetter | None:
    try:
        return PlacedLetter(partition, offset, decode_dead_letter(value or b""))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        extra = {"action": "dead_letters", "partition": partition, "offset": offset}
        logger.exception("a dead letter cannot be decoded", extra=extra)
        return None
