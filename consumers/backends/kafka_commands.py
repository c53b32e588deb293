"""The command topic on Kafka as a gateway writes it: gathered by partition, one batch of each under way at a time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sized
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaProducer

from consumers.backends.kafka_client import abandoned, client_arguments, connecting, translated
from consumers.backends.kafka_compression import compression
from consumers.errors import LogUnavailable, OperatorError, RecordTooLarge
from consumers.partition_ports import Appended
from consumers.settings import KafkaSettings
from consumers.topics import MOST_BATCH_BYTES, MOST_RECORD_BYTES, Topics

logger = logging.getLogger(__name__)

MOST_WAITING: Final = 10_000
MOST_WAITING_BYTES: Final = 128 * 1024 * 1024
"""How many commands may wait for the log, and how much they may come to (INV-19)."""
BATCH_BYTES: Final = 1024 * 1024
LOOK_S: Final = 0.003
MOST_LOOKS: Final = 5
"""A partition's commands gather for as long as more of them have come at each look, and for so many looks at the most.

Each batch costs the broker, and the worker that fetches it, as much as several commands do; answers come by the batch,
and so do the requests that follow them. A caller alone never waits for it: the next command comes after the answer to
the last, so there was one in the batch before.
"""
SHORTEST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 1.0


class _Waiting(msgspec.Struct):
    """An append that is not acknowledged yet."""

    key: bytes
    value: bytes
    future: asyncio.Future[Appended]

    @property
    def size(self) -> int:
        """Bytes of the record, without its framing."""
        return len(self.key) + len(self.value)


class _Lane(msgspec.Struct):
    """The appends to one partition, in the order of the calls."""

    partition: int
    queue: deque[_Waiting]
    filled: asyncio.Event


class KafkaCommandLog:
    """``consumers.partition_ports.CommandLog``, which makes its producer anew after whatever breaks it."""

    def __init__(self, kafka: KafkaSettings, observed: Callable[[float], None]) -> None:
        """``observed`` is told for each batch by how many seconds our clock is ahead of the brokers' (CP-18).

        Negative where it is behind; 0 where the append time lies between our sending and the answer.
        """
        self._kafka = kafka
        self._topic = Topics(kafka.topic_prefix).commands
        self._observed = observed
        self._lanes = [_Lane(n, deque(), asyncio.Event()) for n in range(kafka.partitions)]
        self._waiting = 0
        self._waiting_bytes = 0
        self._down: LogUnavailable | None = None
        """Why there is no producer, once an attempt to make one has failed."""
        self._running: asyncio.Task[None] | None = None
        self._reached = self._closing = False

    @property
    def reached(self) -> bool:
        """Whether there is a producer that has reached the brokers and is not known to be broken."""
        return self._reached

    async def start(self) -> None:
        """Begin; does not wait for the brokers."""
        self._running = asyncio.create_task(self._run(), name="command-log")
        self._running.add_done_callback(self._ended)

    def _ended(self, running: asyncio.Task[None]) -> None:
        """Begin anew where it ended and nobody had closed it: every append would wait for ever."""
        if self._closing:
            return
        error = None if running.cancelled() else running.exception()
        logger.critical("the producers' supervisor has ended", exc_info=error, extra={"action": "append"})
        self._running = asyncio.create_task(self._run(), name="command-log")
        self._running.add_done_callback(self._ended)

    async def close(self) -> None:
        """End at once; what waits gets LogUnavailable."""
        self._closing = True
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running
        self._down = LogUnavailable(f"append to {self._topic}: this gateway is stopping; send the request to another")
        self._fail_all(self._down)

    def append(self, partition: int, key: str, value: bytes) -> asyncio.Future[Appended]:
        """See ``CommandLog.append``; also RecordTooLarge, and LogUnavailable where too much waits already."""
        future: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        waiting = _Waiting(key.encode(), value, future)
        if (refusal := self._refusal(waiting.size)) is not None:
            future.set_exception(refusal)
            return future
        lane = self._lanes[partition]
        lane.queue.append(waiting)
        lane.filled.set()
        self._waiting += 1
        self._waiting_bytes += waiting.size
        return future

    def _refusal(self, size: int) -> Exception | None:
        """Return why a record of this size cannot be taken now; None where it can."""
        if size > MOST_RECORD_BYTES:
            return RecordTooLarge(f"a record of {size} bytes for {self._topic}, which takes {MOST_RECORD_BYTES}")
        if self._down is not None:
            return LogUnavailable(str(self._down))
        if self._waiting >= MOST_WAITING or self._waiting_bytes + size > MOST_WAITING_BYTES:
            return LogUnavailable(f"append to {self._topic}: Kafka is too slow for what comes in; look at its brokers")
        return None

    async def _run(self) -> None:
        failures = 0
        while True:
            producer: AIOKafkaProducer | None = None
            try:
                producer = self._producer()  # reads the certificates' files, which may be halfway to new ones
                async with connecting(self._kafka, f"append to {self._topic}"):
                    await producer.start()
                    await producer.partitions_for(self._topic)
                self._reached, self._down, failures = True, None, 0
                await self._drain(producer)
            except Exception as error:  # noqa: BLE001 - whatever it is, the producer is made anew
                failures += 1
                self._down = self._reason(error)
                logger.warning(
                    "the producer of commands is made anew", extra={"action": "append", "error": str(self._down)}
                )
                self._fail_all(self._down)
            finally:
                was_reached, self._reached = self._reached, False
                if producer is not None:
                    await abandoned(producer)
            if was_reached:
                # It worked until now: who comes meanwhile may wait for the next one.
                self._down = None
            await asyncio.sleep(min(LONGEST_PAUSE_S, SHORTEST_PAUSE_S * 2 ** min(failures, 8)))

    async def _drain(self, producer: AIOKafkaProducer) -> None:
        """Send what comes until the producer breaks; raises why."""
        lanes = {asyncio.create_task(self._send_all(producer, lane), name="command-lane") for lane in self._lanes}
        # A producer can break while nothing is under way.
        watched = {*lanes, producer._sender.sender_task}
        try:
            done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            raise LogUnavailable(f"append to {self._topic}: the producer has ended; it is made anew by itself")
        finally:
            for task in lanes:
                task.cancel()
            await asyncio.gather(*lanes, return_exceptions=True)

    async def _send_all(self, producer: AIOKafkaProducer, lane: _Lane) -> None:
        last = 1
        while True:
            await lane.filled.wait()
            if last > 1:
                await _settled(lane.queue)
            builder, taken = self._gathered(producer, lane.queue)
            if not lane.queue:
                lane.filled.clear()
            if not taken:
                continue
            try:
                await self._send(producer, lane.partition, builder, taken)
            except BaseException as error:
                _fail(taken, self._reason(error))
                raise
            finally:
                self._let_go(taken)
            last = len(taken)

    def _gathered(self, producer: AIOKafkaProducer, queue: deque[_Waiting]) -> tuple[Any, list[_Waiting]]:
        """Take off the queue what fits into one batch; what its caller no longer waits for is left out."""
        builder = producer.create_batch()
        taken: list[_Waiting] = []
        while queue:
            waiting = queue[0]
            if waiting.future.done():
                self._let_go((waiting,))
            elif builder.append(timestamp=None, key=waiting.key, value=waiting.value) is None:
                break
            else:
                taken.append(waiting)
            queue.popleft()
        return builder, taken

    def _let_go(self, gone: Iterable[_Waiting]) -> None:
        """Count no longer what is acknowledged, failed or withdrawn."""
        for waiting in gone:
            self._waiting -= 1
            self._waiting_bytes -= waiting.size

    async def _send(self, producer: AIOKafkaProducer, partition: int, builder: Any, taken: list[_Waiting]) -> None:
        before = time.time()
        answer = await producer.send_batch(builder, self._topic, partition=partition)
        where = await answer
        after = time.time()
        if where.offset < 0:
            # A repeat whose offset the broker has forgotten (DuplicateSequence): durable, but not known where.
            _fail(taken, LogUnavailable(f"append to {self._topic}: it is not known where the command stands"))
            return
        for place, waiting in enumerate(taken):
            if not waiting.future.done():
                waiting.future.set_result(Appended(where.offset + place, where.timestamp))
        appended = where.timestamp / 1000
        self._observed(max(0.0, before - 0.001 - appended) or min(0.0, after - appended))

    def _reason(self, error: BaseException) -> LogUnavailable:
        if isinstance(error, asyncio.CancelledError):
            return LogUnavailable(f"append to {self._topic}: the producer broke, and is made anew by itself")
        why = translated(error, self._kafka, f"append to {self._topic}")
        return why if isinstance(why, LogUnavailable) else LogUnavailable(str(why))

    def _fail_all(self, error: OperatorError) -> None:
        for lane in self._lanes:
            _fail(lane.queue, error)
            self._let_go(lane.queue)
            lane.queue.clear()
            lane.filled.clear()

    def _producer(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            **client_arguments(self._kafka),
            enable_idempotence=True,
            acks="all",
            compression_type=compression(),
            max_batch_size=BATCH_BYTES,
            max_request_size=MOST_BATCH_BYTES,
        )


async def _settled(queue: Sized) -> None:
    """Wait until no more comes, a moment at the most."""
    seen = 0
    for _ in range(MOST_LOOKS):
        if len(queue) == seen:
            return
        seen = len(queue)
        await asyncio.sleep(LOOK_S)


def _fail(waiting: Iterable[_Waiting], error: OperatorError) -> None:
    for one in waiting:
        if not one.future.done():
            one.future.set_exception(type(error)(str(error)))
