"""Clients of Kafka: their arguments from the settings, the translation of their errors, their end."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import ssl
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, Final, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.conn import CloseReason, collect_hosts, create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    ClusterAuthorizationFailedError,
    ConsumerStoppedError,
    GroupAuthorizationFailedError,
    IllegalOperation,
    KafkaConnectionError,
    KafkaError,
    ProducerClosed,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnknownTopicOrPartitionError,
    UnsupportedSaslMechanismError,
)

from consumers.errors import LogUnavailable, OperatorError, WrongSettings
from consumers.settings import KafkaSettings
from consumers.topics import MISSING

T = TypeVar("T")
REQUEST_LIMIT_MS: Final = 10_000
"""How long a broker may take over one request; aiokafka tries again after it."""
START_LIMIT_S: Final = 15.0
CLOSE_LIMIT_S: Final = 2.0

CLIENT_ERRORS: Final = (
    *(KafkaError, ConsumerStoppedError, IllegalOperation, ProducerClosed, OSError, TimeoutError),
    RuntimeError,
)
"""What aiokafka raises when it cannot do something; some of it is not a KafkaError.

RuntimeError comes from uvloop, where a connection is reset between two steps of aiokafka's that then writes to it.
"""
_REFUSED: Final = (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
_FORBIDDEN: Final = (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)


def client_arguments(kafka: KafkaSettings) -> dict[str, Any]:
    """Return the arguments that every client of aiokafka takes. Raises WrongSettings when a PEM file is not one."""
    arguments: dict[str, Any] = {
        "bootstrap_servers": kafka.bootstrap.split(","),
        "client_id": "scimgw",
        "request_timeout_ms": REQUEST_LIMIT_MS,
        "security_protocol": kafka.security_protocol,
        # An idle connection is kept: the first write after a quiet night should not pay for a new one.
        "connections_max_idle_ms": 540_000,
    }
    if kafka.security_protocol.endswith("SSL"):
        arguments["ssl_context"] = _tls(kafka)
    if kafka.security_protocol.startswith("SASL_"):
        arguments["sasl_mechanism"] = kafka.sasl_mechanism
        arguments["sasl_plain_username"] = kafka.sasl_username
        arguments["sasl_plain_password"] = kafka.sasl_password
    return arguments


def _tls(kafka: KafkaSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=kafka.ca_file or None)
    except (OSError, ssl.SSLError):
        raise WrongSettings(f"setting kafka.ca_file: {kafka.ca_file} holds no certificate in PEM; correct it") from None
    if kafka.cert_file:
        try:
            context.load_cert_chain(kafka.cert_file, kafka.key_file or None)
        except (OSError, ssl.SSLError):
            raise WrongSettings(
                f"settings kafka.cert_file and kafka.key_file: {kafka.cert_file} with {kafka.key_file or 'no key file'} "
                "is no certificate with its key in PEM; correct them"
            ) from None
    return context


def translated(error: BaseException, kafka: KafkaSettings, what: str) -> OperatorError:
    """Return what to raise for an error of a client: one line with what was tried, where, and the remedy."""
    where = f"Kafka at {kafka.bootstrap}"
    if isinstance(error, OperatorError):
        return error
    if isinstance(error, _REFUSED):
        remedy = "check kafka.security_protocol, kafka.sasl_mechanism, kafka.sasl_username and kafka.sasl_password"
        return LogUnavailable(f"{what}: {where} refused the credentials; {remedy}")
    if isinstance(error, _FORBIDDEN):
        user = kafka.sasl_username or "anonymous"
        return LogUnavailable(f"{what}: {where} forbids it ({type(error).__name__}); give user {user} the right to it")
    if isinstance(error, UnknownTopicOrPartitionError):
        return LogUnavailable(f"{what}: {where} has no such topic or partition; {MISSING}")
    if isinstance(error, ssl.SSLError):
        remedy = "check kafka.ca_file, kafka.cert_file, kafka.key_file and the names in the brokers' certificates"
        return LogUnavailable(f"{what}: no TLS with {where} ({error.reason or 'no certificate'}); {remedy}")
    if isinstance(error, TimeoutError):
        return LogUnavailable(f"{what}: {where} did not answer in time; look whether its brokers run")
    return LogUnavailable(f"{what}: {where} failed ({type(error).__name__}); look whether its brokers run")


@contextlib.contextmanager
def translating(kafka: KafkaSettings, what: str) -> Iterator[None]:
    """Raise LogUnavailable for whatever a client raises inside."""
    try:
        yield
    except (*CLIENT_ERRORS, AssertionError) as error:
        # aiokafka asserts what a broker's answer may break: a partition that is not there, a state it left.
        raise translated(error, kafka, what) from error


@contextlib.asynccontextmanager
async def connecting(kafka: KafkaSettings, what: str, limit_s: float = START_LIMIT_S) -> AsyncIterator[None]:
    """Start clients inside: within a time limit, and with the reason when it cannot be done. Raises LogUnavailable."""
    try:
        async with asyncio.timeout(limit_s):
            yield
    except KafkaConnectionError as error:
        raise translated(await _reason(kafka, error), kafka, what) from error
    except (*CLIENT_ERRORS, AssertionError) as error:
        raise translated(error, kafka, what) from error


async def _reason(kafka: KafkaSettings, error: Exception) -> Exception:
    """Return why no broker can be connected to: the client only logs it, and raises that there was none."""
    arguments = client_arguments(kafka)
    del arguments["connections_max_idle_ms"]
    for host, port, _ in collect_hosts(arguments.pop("bootstrap_servers")):
        try:
            async with asyncio.timeout(CLOSE_LIMIT_S):
                connection = await create_conn(host, port, **arguments)
            connection.close()
        except (*_REFUSED, ssl.SSLError) as reason:
            return reason
        except CLIENT_ERRORS:
            continue
    return error


async def together(*works: Coroutine[Any, Any, T]) -> list[T]:
    """Return what all of them return; should one fail, none is left running: it would go on, held by nobody.

    A producer whose start goes on fences the live owner when it is through.
    """
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


@contextlib.asynccontextmanager
async def consuming(kafka: KafkaSettings, *places: TopicPartition, **arguments: Any) -> AsyncIterator[AIOKafkaConsumer]:
    """Give a consumer without a group, connected and assigned to these partitions, at no place in them yet.

    Raises LogUnavailable when it cannot start.
    """
    consumer = AIOKafkaConsumer(
        **client_arguments(kafka),
        **{"enable_auto_commit": False, "auto_offset_reset": "none", **arguments},
    )
    # Before the start, which then waits for the topics to be known; else the first question fails and is asked again.
    consumer.assign(places)
    try:
        async with connecting(kafka, "connect"):
            await consumer.start()
        yield consumer
    finally:
        await stopped(consumer)


def hang_up(consumer: AIOKafkaConsumer) -> None:
    """Close a consumer's connections; the next question makes new ones.

    Where the other end is gone without a word, aiokafka closes a connection only when its own time for a request is over,
    and a question that is given up before is the next one's trouble, until the kernel has had enough: a quarter of an hour.
    """
    for connection in list(consumer._client._conns.values()):
        connection.close(reason=CloseReason.CONNECTION_TIMEOUT)


async def stopped(consumer: AIOKafkaConsumer) -> None:
    """Close a consumer, whatever state it and its broker are in; never raises but for cancellation."""
    if not await _bounded(consumer.stop()):
        await _bounded(_cut_off(consumer))


async def _cut_off(consumer: AIOKafkaConsumer) -> None:
    """End what a consumer still has running; it takes no leave of its group."""
    running = getattr(consumer._coordinator, "_coordination_task", None)
    while running is not None and not running.done():
        running.cancel()
        await asyncio.wait({running}, timeout=0.1)
    if consumer._fetcher is not None:
        await consumer._fetcher.close()
    await consumer._client.close()


async def abandoned(producer: AIOKafkaProducer) -> None:
    """End a producer at once, whatever it has in flight; never raises but for cancellation.

    ``stop`` alone would deliver what is pending first, for ever where the broker is away: a batch of an idempotent
    producer never expires.
    """
    await _bounded(_abandon(producer))


async def _abandon(producer: AIOKafkaProducer) -> None:
    # Private: there is no public way to end it without delivery.
    sender = producer._sender.sender_task
    # What is in flight fails now, instead of at its time limit.
    with contextlib.suppress(Exception):  # of a task of the client's own that has died; it closes nothing then
        await producer.client.close()
    for connection in list(producer.client._conns.values()):
        connection.close()
    while sender is not None and not sender.done():
        # A sender that is cancelled awaits its requests, each of which has to be cancelled in its turn.
        sender.cancel()
        await asyncio.wait({sender}, timeout=0.1)
    accumulated = producer._message_accumulator
    batches = [*itertools.chain(*accumulated._batches.values()), *accumulated._pending_batches]
    # Its callback of a batch that was to be sent again looks for it here, and complains where it is not.
    accumulated._pending_batches.update(batches)
    accumulated.fail_all(ProducerClosed())  # else its flush would wait for ever
    transactions = producer._txn_manager
    futures = [transactions._transaction_waiter] if transactions is not None else []
    for batch in batches:
        futures += [batch.future, batch._drain_waiter]
    for future in futures:
        if future is not None and future.done() and not future.cancelled():
            future.exception()  # looked at, or asyncio complains that nobody did
    await producer.stop()


async def _bounded(closing: Coroutine[Any, Any, None]) -> bool:
    """Tell whether it ended in order and in time."""
    cancellations = _cancellations()
    try:
        async with asyncio.timeout(CLOSE_LIMIT_S):
            await closing
    except asyncio.CancelledError:
        # Not ours: a consumer's stop raises it for a task of its own that was cancelled before it ever ran.
        if _cancellations() != cancellations:
            raise
        return False
    except Exception as error:  # noqa: BLE001 - nothing that goes wrong in closing is of any consequence
        logger.info("a client did not close in order", extra={"action": "close", "error": type(error).__name__})
        return False
    return True


def _cancellations() -> int:
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


logger = logging.getLogger(__name__)


class RateLimit(logging.Filter):
    """Lets a few lines a logger and minute through, and tells how many it kept back.

    A broker that is away makes aiokafka log some thirty warnings a second.
    """

    def __init__(self, most: int = 10, per_s: float = 60.0) -> None:
        super().__init__()
        self._most = most
        self._per_s = per_s
        self._begun: dict[str, float] = {}
        self._seen: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """See ``logging.Filter.filter``."""
        now = time.monotonic()
        name = record.name
        kept_back = 0
        if now - self._begun.get(name, -self._per_s) >= self._per_s:
            kept_back = max(0, self._seen.get(name, 0) - self._most)
            self._begun[name], self._seen[name] = now, 0
        self._seen[name] += 1
        if kept_back:
            record.msg, record.args = f"{record.getMessage()} ({kept_back} lines before it kept back)", ()
        return self._seen[name] <= self._most


_LOGGERS: Final = (
    "aiokafka",
    "aiokafka.client",
    "aiokafka.cluster",
    "aiokafka.conn",
    "aiokafka.consumer.consumer",
    "aiokafka.consumer.fetcher",
    "aiokafka.consumer.group_coordinator",
    "aiokafka.consumer.subscription_state",
    "aiokafka.producer.producer",
    "aiokafka.producer.sender",
)


_OURS: Final = ("consumers.backends.kafka_transactions", "consumers.backends.redis_replies", "scimgw.remote")
"""Loggers of ours that say the same for each command, or five times a second, while a server is away."""


def limit_logging(limit: RateLimit | None = None) -> None:
    """Limit how much aiokafka logs, from now on, in this process; repeatable."""
    for name in (*_LOGGERS, *_OURS):
        driver = logging.getLogger(name)
        # A logger's filters do not hold for its children: each has its own.
        if not any(isinstance(one, RateLimit) for one in driver.filters):
            driver.addFilter(limit or RateLimit())
        if driver.level == logging.NOTSET:
            driver.setLevel(logging.WARNING)
