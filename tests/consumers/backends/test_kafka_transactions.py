"""Transactions by their own requests on a real broker, with answers put in between that a broker gives seldom."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    InvalidTxnState,
    KafkaConnectionError,
    KafkaError,
    NodeNotReadyError,
    OperationNotAttempted,
    OutOfOrderSequenceNumber,
    ProducerFenced,
    TopicAuthorizationFailedError,
    UnsupportedVersionError,
    for_code,
)
from aiokafka.protocol.produce import ProduceRequest, ProduceResponse_v7
from aiokafka.protocol.transaction import (
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse_v0,
    EndTxnRequest,
    EndTxnResponse_v0,
)

from consumers.backends.kafka_client import abandoned
from consumers.backends.kafka_transactions import FENCED, PAUSE_S, Placed, Transactions
from consumers.settings import KafkaSettings
from consumers.topics import Topics
from tests.consumers.backends.kafka_topics_of_tests import created, values

pytestmark = pytest.mark.services

NOT_LEADER, NOT_ENOUGH_REPLICAS, NOT_COORDINATOR, LOADING, CONCURRENT = 6, 19, 16, 14, 51
OUT_OF_ORDER, DUPLICATE, OLD_EPOCH, WRONG_STATE, FORBIDDEN, NOT_ATTEMPTED = 45, 46, 47, 48, 29, 55


@pytest.fixture
async def kafka(kafka_bootstrap: str, topic_prefix: str) -> KafkaSettings:
    return await created(kafka_bootstrap, topic_prefix)


@pytest.fixture
def places(kafka: KafkaSettings) -> list[TopicPartition]:
    """A partition of the state and one of the events."""
    topics = Topics(kafka.topic_prefix)
    return [TopicPartition(topics.state, 1), TopicPartition(topics.events, 1)]


@pytest.fixture
async def producer(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap, transactional_id=f"{kafka.topic_prefix}-own", request_timeout_ms=10_000
    )
    await producer.start()
    yield producer
    await abandoned(producer)


Answer = Callable[[Any], Any]
"""Makes an answer of a request, or raises."""


class Between:
    """Stands between a producer and its broker: the next requests of a kind get these answers."""

    def __init__(self, client: AIOKafkaClient, monkeypatch: pytest.MonkeyPatch) -> None:
        self._send = client.send
        self._answers: dict[type, list[Answer | None]] = {}
        self.sent: list[type] = []
        monkeypatch.setattr(client, "send", self.send)

    def answer(self, kind: type, *answers: Answer | None) -> None:
        """Give these answers instead of sending; None: send it, and lose the broker's answer."""
        self._answers[kind] = list(answers)

    async def send(self, node: int, request: Any, **more: Any) -> Any:
        self.sent.append(type(request))
        waiting = self._answers.get(type(request))
        if not waiting:
            return await self._send(node, request, **more)
        answer = waiting.pop(0)
        if answer is None:
            await self._send(node, request, **more)
            raise KafkaConnectionError("the answer was lost")
        return answer(request)


@pytest.fixture
def between(producer: AIOKafkaProducer, monkeypatch: pytest.MonkeyPatch) -> Between:
    return Between(producer.client, monkeypatch)


def refused(code: int, topic: str = "") -> Answer:
    """Answer a produce request with an error for all of it, or for one topic, the others not being written either."""

    def answer(request: ProduceRequest) -> Any:
        other = 0 if topic else code
        rows = [
            (name, [(partition, code if name == topic else other, 0, 5, 0) for partition, _ in batches])
            for name, batches in request._topics
        ]
        return ProduceResponse_v7(rows, 0)

    return answer


def not_joined(*codes: int) -> Answer:
    def answer(request: AddPartitionsToTxnRequest) -> Any:
        rows = zip(request._topics, codes, strict=False)
        return AddPartitionsToTxnResponse_v0(0, [(name, [(where[0], code)]) for (name, where), code in rows])

    return answer


def not_ended(code: int) -> Answer:
    return lambda _request: EndTxnResponse_v0(0, code)


def unreachable(error: Exception) -> Answer:
    def answer(_request: Any) -> Any:
        raise error

    return answer


def filled(producer: Transactions, *names: str) -> Any:
    batch = producer.batch()
    for name in names:
        assert batch.append(timestamp=None, key=b"key", value=name.encode()) is not None
    return batch


async def written(transactions: Transactions, places: list[TopicPartition], *names: str) -> list[Placed]:
    """Write the names to both places in one transaction."""
    await transactions.begin(places)
    placed = await transactions.append([(place, filled(transactions, *names)) for place in places])
    await transactions.commit()
    return placed


async def committed(kafka: KafkaSettings, place: TopicPartition) -> list[str]:
    return [value.decode() for value in await values(kafka, place.topic, place.partition)]


async def test_a_transaction_is_whole_on_all_its_partitions_and_the_next_follows_it(
    kafka: KafkaSettings, places: list[TopicPartition], producer: AIOKafkaProducer
) -> None:
    transactions = Transactions(producer)
    first = await written(transactions, places, "a", "b")
    second = await written(transactions, places, "c")
    assert [one.offset for one in first] == [0, 0]
    assert [one.offset for one in second] == [3, 3]  # a marker stands between
    assert 0 < first[0].timestamp <= second[0].timestamp
    for place in places:
        assert await committed(kafka, place) == ["a", "b", "c"]


async def test_transactions_that_follow_each_other_at_once_wait_for_the_markers_of_the_last(
    kafka: KafkaSettings, places: list[TopicPartition], producer: AIOKafkaProducer
) -> None:
    transactions = Transactions(producer)
    names = [str(n) for n in range(50)]
    for name in names:
        await written(transactions, places, name)
    assert await committed(kafka, places[0]) == names


async def test_what_is_not_committed_is_not_seen_and_a_new_start_of_the_id_fences_it(
    kafka: KafkaSettings, places: list[TopicPartition], producer: AIOKafkaProducer
) -> None:
    transactions = Transactions(producer)
    await written(transactions, places, "seen")
    await transactions.begin(places)
    await transactions.append([(place, filled(transactions, "unseen")) for place in places])
    other = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=f"{kafka.topic_prefix}-own")
    await other.start()
    try:
        with pytest.raises(ProducerFenced):
            await transactions.commit()
        assert Transactions(other).identity != transactions.identity
        await written(Transactions(other), places, "after")
    finally:
        await abandoned(other)
    with pytest.raises(ProducerFenced):
        await transactions.begin(places)
    assert await committed(kafka, places[0]) == ["seen", "after"]


async def test_a_batch_whose_answer_is_lost_is_sent_again_and_stands_once(
    kafka: KafkaSettings, places: list[TopicPartition], producer: AIOKafkaProducer, between: Between
) -> None:
    transactions = Transactions(producer)
    await written(transactions, places, "a")
    between.answer(ProduceRequest, None, None)
    placed = await written(transactions, places, "b", "c")
    assert [one.offset for one in placed] == [2, 2]
    await written(transactions, places, "d")
    assert between.sent.count(ProduceRequest) >= 5  # more where a new topic has no leader at first
    for place in places:
        assert await committed(kafka, place) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("kind", [AddPartitionsToTxnRequest, EndTxnRequest])
async def test_CP11_a_coordinator_whose_answer_is_lost_is_not_asked_again(
    kafka: KafkaSettings, places: list[TopicPartition], producer: AIOKafkaProducer, between: Between, kind: type
) -> None:
    """What arrives late, behind its own repeat and the next beginning, would commit half of a transaction."""
    transactions = Transactions(producer)
    await written(transactions, places, "a")
    between.answer(kind, None)
    asked = between.sent.count(kind)
    with pytest.raises(KafkaConnectionError):
        await written(transactions, places, "b")
    assert between.sent.count(kind) == asked + 1
    found = await committed(kafka, places[0])
    assert found == (["a"] if kind is AddPartitionsToTxnRequest else ["a", "b"])


async def test_a_coordinator_that_was_not_asked_for_want_of_a_connection_is_asked_again(
    kafka: KafkaSettings, places: list[TopicPartition], producer: AIOKafkaProducer, between: Between
) -> None:
    between.answer(AddPartitionsToTxnRequest, unreachable(NodeNotReadyError()))
    between.answer(EndTxnRequest, unreachable(NodeNotReadyError()))
    await written(Transactions(producer), places, "a")
    assert await committed(kafka, places[0]) == ["a"]


@pytest.mark.parametrize("code", [NOT_LEADER, NOT_ENOUGH_REPLICAS])
async def test_a_batch_that_a_broker_cannot_take_now_is_sent_again(
    kafka: KafkaSettings, places: list[TopicPartition], producer: AIOKafkaProducer, between: Between, code: int
) -> None:
    between.answer(ProduceRequest, refused(code), refused(code))
    await written(Transactions(producer), places, "a")
    for place in places:
        assert await committed(kafka, place) == ["a"]


async def test_of_two_batches_only_the_one_that_failed_is_sent_again(
    kafka: KafkaSettings, places: list[TopicPartition], producer: AIOKafkaProducer, between: Between
) -> None:
    state, events = places
    transactions = Transactions(producer)
    between.answer(ProduceRequest, refused(NOT_LEADER, events.topic))
    placed = await written(transactions, places, "a")
    # The made-up answer says that the first was written.
    assert placed[0] == Placed(0, 5)
    assert await committed(kafka, state) == []
    assert await committed(kafka, events) == ["a"]


async def test_batches_of_partitions_with_several_leaders_go_to_each_of_them(
    kafka: KafkaSettings, places: list[TopicPartition], producer: AIOKafkaProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cluster has one broker: as far as the client knows first, the events' leader is another, then none."""
    cluster = producer.client.cluster
    leader_of = cluster.leader_for_partition
    believed = [99, -1, None]

    def leader(place: TopicPartition) -> int | None:
        return believed.pop(0) if place == places[1] and believed else leader_of(place)

    monkeypatch.setattr(cluster, "leader_for_partition", leader)
    placed = await written(Transactions(producer), places, "a")
    assert [one.offset for one in placed] == [0, 0]
    assert believed == []
    for place in places:
        assert await committed(kafka, place) == ["a"]


async def test_who_leads_is_not_waited_for_for_ever(
    kafka: KafkaSettings, places: list[TopicPartition], producer: AIOKafkaProducer, between: Between
) -> None:
    """The client's task that asks ends with what is no error of Kafka's, as uvloop raises."""
    transactions = Transactions(producer)
    await written(transactions, places, "before")
    producer.client._sync_task.cancel()
    between.answer(ProduceRequest, refused(NOT_LEADER))
    async with asyncio.timeout(5):
        await written(transactions, places, "a")
    assert await committed(kafka, places[0]) == ["before", "a"]


async def test_a_batch_that_the_broker_has_but_has_forgotten_the_place_of_has_none(
    places: list[TopicPartition], producer: AIOKafkaProducer, between: Between
) -> None:
    between.answer(ProduceRequest, refused(DUPLICATE))
    assert await written(Transactions(producer), places, "a") == [Placed(-1, -1)] * 2


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (OLD_EPOCH, ProducerFenced),
        (FENCED, ProducerFenced),
        (OUT_OF_ORDER, OutOfOrderSequenceNumber),
        (FORBIDDEN, TopicAuthorizationFailedError),
    ],
)
async def test_what_will_not_pass_is_raised_and_one_batch_in_two_is_enough(
    places: list[TopicPartition],
    producer: AIOKafkaProducer,
    between: Between,
    code: int,
    error: type[KafkaError],
) -> None:
    transactions = Transactions(producer)
    await transactions.begin(places)
    between.answer(ProduceRequest, refused(code, places[1].topic))
    with pytest.raises(error):
        await transactions.append([(place, filled(transactions, "a")) for place in places])


@pytest.mark.parametrize("code", [CONCURRENT, NOT_COORDINATOR, LOADING])
async def test_what_the_coordinator_cannot_do_now_is_asked_again(
    kafka: KafkaSettings, places: list[TopicPartition], producer: AIOKafkaProducer, between: Between, code: int
) -> None:
    between.answer(AddPartitionsToTxnRequest, not_joined(code, NOT_ATTEMPTED), not_joined(code, code), not_joined(code))
    between.answer(EndTxnRequest, not_ended(code))
    await written(Transactions(producer), places, "a")
    assert await committed(kafka, places[1]) == ["a"]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (OLD_EPOCH, ProducerFenced),
        (FENCED, ProducerFenced),
        (WRONG_STATE, InvalidTxnState),
        (NOT_ATTEMPTED, OperationNotAttempted),
    ],
)
async def test_what_the_coordinator_will_never_do_is_raised(
    places: list[TopicPartition],
    producer: AIOKafkaProducer,
    between: Between,
    code: int,
    error: type[KafkaError],
) -> None:
    transactions = Transactions(producer)
    between.answer(AddPartitionsToTxnRequest, not_joined(NOT_ATTEMPTED, code))
    with pytest.raises(error):
        await transactions.begin(places)
    between.answer(EndTxnRequest, not_ended(code))
    with pytest.raises(error):
        await transactions.commit()


async def test_who_is_not_mentioned_in_the_answer_has_not_joined(
    places: list[TopicPartition], producer: AIOKafkaProducer, between: Between
) -> None:
    between.answer(AddPartitionsToTxnRequest, not_joined(0))
    with pytest.raises(OperationNotAttempted):
        await Transactions(producer).begin(places)


@pytest.mark.parametrize("kind", [AddPartitionsToTxnRequest, ProduceRequest, EndTxnRequest])
async def test_what_breaks_within_the_client_is_an_error_of_kafkas(
    places: list[TopicPartition], producer: AIOKafkaProducer, between: Between, kind: type
) -> None:
    between.answer(kind, unreachable(AssertionError("its handshake met something new")))
    with pytest.raises(KafkaError, match="something new"):
        await written(Transactions(producer), places, "a")


@pytest.mark.parametrize("kind", [AddPartitionsToTxnRequest, ProduceRequest])
async def test_an_error_of_the_connection_that_does_not_pass_is_raised(
    places: list[TopicPartition], producer: AIOKafkaProducer, between: Between, kind: type
) -> None:
    between.answer(kind, unreachable(UnsupportedVersionError()))
    with pytest.raises(UnsupportedVersionError):
        await written(Transactions(producer), places, "a")


async def test_a_broker_that_is_away_is_tried_until_the_caller_gives_up(
    places: list[TopicPartition], producer: AIOKafkaProducer, between: Between
) -> None:
    between.answer(ProduceRequest, *[unreachable(KafkaConnectionError("away"))] * 1000)
    caller = asyncio.create_task(written(Transactions(producer), places, "a"))
    tries: list[float] = []
    while len(tries) < 5:
        await asyncio.sleep(0.001)
        if between.sent.count(ProduceRequest) > len(tries):
            tries.append(time.monotonic())
        assert not caller.done(), caller
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert tries[-1] - tries[0] > PAUSE_S, "without a pause between them"


def test_the_codes_of_this_file_are_what_they_are_called() -> None:
    assert [
        for_code(code).__name__ for code in (NOT_LEADER, CONCURRENT, NOT_COORDINATOR, OLD_EPOCH, NOT_ATTEMPTED)
    ] == [
        "NotLeaderForPartitionError",
        "ConcurrentTransactions",
        "NotCoordinatorForGroupError",
        "InvalidProducerEpoch",
        "OperationNotAttempted",
    ]
