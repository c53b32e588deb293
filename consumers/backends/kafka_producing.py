"""Batches to Kafka without a producer's queues: the requests of an append or a transaction, one after the other.

aiokafka's producer is made for records that come one by one from anywhere: a task of its own gathers them, adds their
partitions, sends, waits for what was sent, and each step goes through its queues and wake-ups. Who has whole batches and
one transaction at a time knows the next request himself: half the time of a worker in a transaction, and a third of the
transaction's own. The producer still connects, authenticates, finds leaders and coordinator, and begins its id's epoch.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.client import ConnectionGroup, CoordinationType
from aiokafka.errors import (
    ConcurrentTransactions,
    DuplicateSequenceNumber,
    InvalidProducerEpoch,
    KafkaError,
    NoError,
    OperationNotAttempted,
    ProducerFenced,
    for_code,
)
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import AddPartitionsToTxnRequest, EndTxnRequest

ALL_IN_STEP: Final = -1
"""``acks=all``."""
ACKNOWLEDGED_MS: Final = 10_000
"""How long a broker may wait for the copies before it says that it could not; then the batch is sent again."""
PAUSE_S: Final = 0.05
"""Before what may pass the next time is tried again."""
SHORT_PAUSE_S: Final = 0.002
"""The last transaction of the id is committed, but its markers are not all written: a matter of milliseconds."""
FENCED: Final = 90
"""PRODUCER_FENCED, for which aiokafka has no name."""


class Placed(msgspec.Struct, frozen=True):
    """Where a batch stands in its partition."""

    offset: int
    """Of its first record; -1 where the broker has it already and has forgotten where."""
    timestamp: int
    """The broker's time of the append in milliseconds since 1970; -1 where the topic keeps the producers'."""


class _Sending(msgspec.Struct):
    """A batch that is not acknowledged yet, with its sequence number in it."""

    index: int
    place: TopicPartition
    data: bytes


class BatchProducer:
    """Appends batches as the idempotent or transactional producer that it is given, which was started.

    Everything that may pass is tried again until it does or the caller gives up; nobody may use the producer after an
    error, or after a call that was cancelled: what is durable then is not known.
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

    async def append(self, batches: Sequence[tuple[TopicPartition, Any]]) -> list[Placed]:
        """Append filled batches, one of a partition at the most, and return where they stand.

        Raises ProducerFenced, and KafkaError for what will not pass.
        """
        manager = self._manager
        sending = []
        for index, (place, builder) in enumerate(batches):
            sequence = manager.sequence_number(place)
            manager.increment_sequence_number(place, builder.record_count())
            builder._set_producer_state(manager.producer_id, manager.producer_epoch, sequence)
            sending.append(_Sending(index, place, bytes(builder._build())))
        placed: dict[int, Placed] = {}
        while True:
            by_leader = defaultdict(list)
            for one in sending:
                by_leader[self._client.cluster.leader_for_partition(one.place)].append(one)
            if len(by_leader) == 1:
                ((leader, ones),) = by_leader.items()
                await self._send(leader, ones, placed)
            else:
                await _all(self._send(leader, ones, placed) for leader, ones in by_leader.items())
            sending = [one for one in sending if one.index not in placed]
            if not sending:
                return [placed[index] for index in range(len(batches))]
            await asyncio.sleep(PAUSE_S)
            await self._client.force_metadata_update()

    async def _send(self, leader: int | None, sending: Sequence[_Sending], placed: dict[int, Placed]) -> None:
        """Send the batches to a broker, and note those that it has; the others may pass another time."""
        if leader is None or leader < 0:
            return
        topics = defaultdict(list)
        for one in sending:
            topics[one.place.topic].append((one.place.partition, one.data))
        request = ProduceRequest(self._manager.transactional_id, ALL_IN_STEP, ACKNOWLEDGED_MS, list(topics.items()))
        try:
            response = await self._client.send(leader, request)
        except KafkaError as error:
            if not error.retriable:
                raise
            return
        index_of = {one.place: one.index for one in sending}
        for topic, partitions in response.topics:
            for partition, code, offset, timestamp, *_ in partitions:
                index = index_of[TopicPartition(topic, partition)]
                if code == NoError.errno:
                    placed[index] = Placed(offset, timestamp)
                elif code == DuplicateSequenceNumber.errno:
                    placed[index] = Placed(-1, -1)
                elif not for_code(code).retriable:
                    raise _raised(code, f"append to {topic}, partition {partition}")


class Transactions(BatchProducer):
    """The transactions of one transactional id: ``begin``, ``append``, ``commit``, in this order, one at a time."""

    async def begin(self, places: Iterable[TopicPartition]) -> None:
        """Let these partitions take part in the transaction; raises as ``append`` does."""
        topics = defaultdict(list)
        for place in places:
            topics[place.topic].append(place.partition)
        manager = self._manager
        request = AddPartitionsToTxnRequest(
            manager.transactional_id, manager.producer_id, manager.producer_epoch, list(topics.items())
        )
        while True:
            response = await self._coordinate(request)
            codes = {code for _, partitions in response.errors for _, code in partitions}
            codes -= {NoError.errno, OperationNotAttempted.errno}  # not attempted because of another one's error
            if await self._passed(codes, "begin a transaction"):
                return

    async def commit(self) -> None:
        """Commit; raises as ``append`` does."""
        manager = self._manager
        request = EndTxnRequest(manager.transactional_id, manager.producer_id, manager.producer_epoch, True)
        while True:
            response = await self._coordinate(request)
            if await self._passed({response.error_code} - {NoError.errno}, "commit a transaction"):
                return

    async def _coordinate(self, request: Any) -> Any:
        """Return the coordinator's answer, whoever that is by then."""
        sender = self._producer._sender
        while True:
            node = await sender._find_coordinator(CoordinationType.TRANSACTION, self._manager.transactional_id)
            try:
                return await self._client.send(node, request, group=ConnectionGroup.COORDINATION)
            except KafkaError as error:
                if not error.retriable:
                    raise
            sender._coordinator_dead(CoordinationType.TRANSACTION)
            await asyncio.sleep(PAUSE_S)

    async def _passed(self, codes: set[int], what: str) -> bool:
        """Tell whether it is done; False after a pause where it may pass another time. Raises where it will not."""
        for code in codes:
            error = for_code(code)
            if not error.retriable and error is not ConcurrentTransactions:
                raise _raised(code, what)
        if codes == {ConcurrentTransactions.errno}:
            await asyncio.sleep(SHORT_PAUSE_S)
        elif codes:
            self._producer._sender._coordinator_dead(CoordinationType.TRANSACTION)
            await asyncio.sleep(PAUSE_S)
        return not codes


def _raised(code: int, what: str) -> KafkaError:
    error = for_code(code)
    if error is InvalidProducerEpoch or code == FENCED:
        return ProducerFenced()
    return error(f"{what}: error {code}")


async def _all(works: Iterable[Any]) -> None:
    """Wait for all of them, however one ends; then raise what the first raised that did."""
    for result in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
