"""The transactions of one transactional id on Kafka by their own requests, one after the other (CP-22).

aiokafka's producer is made for records that come one by one from anywhere: a task of its own gathers them, adds their
partitions, sends and commits, each step through queues and wake-ups, and sleeps 20 ms where markers are still written. Who
has whole batches, and one transaction at a time, knows the next request himself. The producer still connects,
authenticates, finds leaders and the coordinator, and begins its id's epoch.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.client import ConnectionGroup, CoordinationType
from aiokafka.errors import (
    ConcurrentTransactions,
    CoordinatorNotAvailableError,
    DuplicateSequenceNumber,
    InvalidProducerEpoch,
    KafkaError,
    NodeNotReadyError,
    NoError,
    OperationNotAttempted,
    ProducerFenced,
    for_code,
)
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import AddPartitionsToTxnRequest, EndTxnRequest

from consumers.backends.kafka_client import REQUEST_LIMIT_MS, together

logger = logging.getLogger(__name__)

ALL_IN_STEP: Final = -1
"""``acks=all``."""
PAUSE_S: Final = 0.05
"""Before what may pass the next time is tried again."""
SHORT_PAUSE_S: Final = 0.002
"""The same where only the last transaction's markers are not written yet; doubles up to PAUSE_S."""
REFRESH_LIMIT_S: Final = 1.0
"""How long it is waited for the news of who leads, before the old are tried again."""
FENCED: Final = 90
"""PRODUCER_FENCED, for which aiokafka has no name."""


class Placed(msgspec.Struct, frozen=True):
    """Where a batch stands in its partition."""

    offset: int
    """Of its first record; -1 where the broker has it already and has forgotten where."""
    timestamp: int
    """The broker's time of the append in milliseconds since 1970; -1 where the topic keeps the producers'."""


class Transactions:
    """The transactions of a producer that was started: ``begin``, ``append``, ``commit``, in this order, one at a time.

    What the brokers say may pass is tried again until it does or the caller gives up. All three raise ProducerFenced,
    and KafkaError for what will not pass or is not known. After an error, or a call that was cancelled, nobody may use
    the producer again: what is durable then, only a new start of its id settles (CP-11).
    """

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self._client = producer.client
        self._manager = producer._txn_manager

    @property
    def identity(self) -> str:
        """Producer id and epoch, which no two starts of a transactional id have in common."""
        return f"{self._manager.producer_id}:{self._manager.producer_epoch}"

    def batch(self) -> Any:
        """Return an empty batch to be filled: ``append`` of the records, until it returns None."""
        return self._producer.create_batch()

    async def begin(self, places: Iterable[TopicPartition]) -> None:
        """Let these partitions take part in the transaction, before anything is appended to them."""
        topics = defaultdict(list)
        for place in places:
            topics[place.topic].append(place.partition)
        manager = self._manager
        request = AddPartitionsToTxnRequest(
            manager.transactional_id, manager.producer_id, manager.producer_epoch, list(topics.items())
        )

        def codes(response: Any) -> set[int]:
            found = {(topic, one): code for topic, partitions in response.errors for one, code in partitions}
            # Who is not mentioned has not joined: its records would stand outside of any transaction.
            return {
                found.get((topic, one), OperationNotAttempted.errno) for topic, ones in topics.items() for one in ones
            }

        await self._coordinated(request, codes, "begin a transaction")

    async def commit(self) -> None:
        """Make what was appended visible, on all partitions."""
        manager = self._manager
        request = EndTxnRequest(manager.transactional_id, manager.producer_id, manager.producer_epoch, True)
        await self._coordinated(request, lambda response: {response.error_code}, "commit a transaction")

    async def append(self, batches: Sequence[tuple[TopicPartition, Any]]) -> list[Placed]:
        """Append filled batches, one of a partition at the most, and return where they stand."""
        manager = self._manager
        sending: dict[TopicPartition, bytes] = {}
        for place, builder in batches:
            sequence = manager.sequence_number(place)
            manager.increment_sequence_number(place, builder.record_count())
            builder._set_producer_state(manager.producer_id, manager.producer_epoch, sequence)
            sending[place] = bytes(builder._build())
        placed: dict[TopicPartition, Placed] = {}
        while True:
            by_leader = defaultdict(list)
            for place in sending:
                by_leader[self._client.cluster.leader_for_partition(place)].append(place)
            asking = [
                self._send(leader, {place: sending[place] for place in places}, placed)
                for leader, places in by_leader.items()
            ]
            if len(asking) == 1:
                await asking[0]
            else:
                await together(*asking)
            sending = {place: data for place, data in sending.items() if place not in placed}
            if not sending:
                return [placed[place] for place, _ in batches]
            await asyncio.sleep(PAUSE_S)
            # No longer than this: the client's own task, which asks, may have died.
            await asyncio.wait({self._client.force_metadata_update()}, timeout=REFRESH_LIMIT_S)

    async def _send(
        self, leader: int | None, sending: Mapping[TopicPartition, bytes], placed: dict[TopicPartition, Placed]
    ) -> None:
        """Send batches to a broker and note those that it has; the others are sent again, numbered as they are.

        That number is why a batch whose answer was lost stands once, however late the first sending arrives.
        """
        topics = defaultdict(list)
        for place, data in sending.items():
            topics[place.topic].append((place.partition, data))
        if leader is None or leader < 0:
            _warn(f"append to {', '.join(topics)}", "nobody leads the partition")
            return
        request = ProduceRequest(self._manager.transactional_id, ALL_IN_STEP, REQUEST_LIMIT_MS, list(topics.items()))
        try:
            response = await self._asked(leader, request, ConnectionGroup.DEFAULT)
        except KafkaError as error:
            if not error.retriable:
                raise
            _warn(f"append to {', '.join(topics)}", type(error).__name__)
            return
        for topic, partitions in response.topics:
            for partition, code, offset, timestamp, *_ in partitions:
                place = TopicPartition(topic, partition)
                if code == NoError.errno:
                    placed[place] = Placed(offset, timestamp)
                elif code == DuplicateSequenceNumber.errno:
                    placed[place] = Placed(-1, -1)
                elif for_code(code).retriable:
                    _warn(f"append to {topic}", for_code(code).__name__)
                else:
                    raise _raised(code, f"append to {topic}, partition {partition}")

    async def _coordinated(self, request: Any, codes: Callable[[Any], set[int]], what: str) -> None:
        """Ask the coordinator, whoever that is by then, until it has done it; ``codes`` are those in its answer.

        Never again where its answer was lost: a request that arrives late, behind its own repeat and the transaction
        after, would commit half of that one.
        """
        sender = self._producer._sender
        pause_s = SHORT_PAUSE_S
        while True:
            node = await sender._find_coordinator(CoordinationType.TRANSACTION, self._manager.transactional_id)
            try:
                found = codes(await self._asked(node, request, ConnectionGroup.COORDINATION))
            except NodeNotReadyError:  # so it was not sent
                found = {CoordinatorNotAvailableError.errno}
            failed = found - {NoError.errno}
            # What was not attempted was not because of another one's error.
            reasons = failed - {OperationNotAttempted.errno} or failed
            if not reasons:
                return
            if reasons == {ConcurrentTransactions.errno}:
                await asyncio.sleep(pause_s)
                pause_s = min(PAUSE_S, 2 * pause_s)
                continue
            for code in reasons - {ConcurrentTransactions.errno}:
                if not for_code(code).retriable:
                    raise _raised(code, what)
            _warn(what, ", ".join(for_code(code).__name__ for code in reasons))
            sender._coordinator_dead(CoordinationType.TRANSACTION)
            await asyncio.sleep(PAUSE_S)

    async def _asked(self, node: int, request: Any, group: ConnectionGroup) -> Any:
        """Return a broker's answer. Raises KafkaError, whatever it was that went wrong in the client."""
        try:
            return await self._client.send(node, request, group=group)
        except (KafkaError, OSError, RuntimeError):
            raise
        except Exception as error:
            raise KafkaError(f"{type(request).__name__}: {error!r}") from error


def _warn(what: str, why: str) -> None:
    logger.warning("a request of a transaction is sent again", extra={"action": "append", "what": what, "error": why})


def _raised(code: int, what: str) -> KafkaError:
    error = for_code(code)
    if error is InvalidProducerEpoch or code == FENCED:
        return ProducerFenced()
    return error(f"{what}: error {code}")
