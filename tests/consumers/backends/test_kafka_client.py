"""What all clients of Kafka share: arguments, one line for each error, how much they log; TLS and SCRAM for real."""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path

import msgspec
import pytest
from aiokafka import errors

from consumers.backends import kafka_client
from consumers.backends.kafka_client import (
    CLIENT_ERRORS,
    RateLimit,
    client_arguments,
    together,
    translated,
    translating,
)
from consumers.backends.kafka_commands import KafkaCommandLog
from consumers.backends.kafka_events import open_event_logs
from consumers.backends.kafka_group import KafkaCommandGroup
from consumers.backends.kafka_log import KafkaPartitionLog
from consumers.backends.kafka_topics import create_topics, require_topics
from consumers.errors import LogUnavailable, OperatorError, WrongSettings
from consumers.settings import KafkaSettings, Settings
from tests.consumers.backends.kafka_topics_of_tests import transaction
from tests.services.secure import SecureBroker

SECRET = "hunter2-hunter2"
SASL = KafkaSettings(
    bootstrap="one:9092,two:9092",
    security_protocol="SASL_PLAINTEXT",
    sasl_mechanism="PLAIN",
    sasl_username="ann",
    sasl_password=SECRET,
)


def test_plain_settings_ask_for_neither_tls_nor_a_password() -> None:
    arguments = client_arguments(KafkaSettings(bootstrap="one:9092"))
    assert arguments["bootstrap_servers"] == ["one:9092"]
    assert not [name for name in arguments if name.startswith(("sasl", "ssl"))]


def test_credentials_reach_the_client() -> None:
    arguments = client_arguments(SASL)
    assert arguments["bootstrap_servers"] == ["one:9092", "two:9092"]
    assert arguments["sasl_mechanism"] == "PLAIN"
    assert (arguments["sasl_plain_username"], arguments["sasl_plain_password"]) == ("ann", SECRET)


def test_tls_checks_certificates_and_names() -> None:
    context = client_arguments(KafkaSettings(bootstrap="one:9092", security_protocol="SSL"))["ssl_context"]
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname


@pytest.mark.parametrize("name", ["ca_file", "cert_file"])
def test_a_file_that_is_no_pem_is_refused_by_its_setting(tmp_path: Path, name: str) -> None:
    file = tmp_path / "no.pem"
    file.write_text("no certificate")
    kafka = msgspec.structs.replace(KafkaSettings(security_protocol="SSL"), **{name: str(file)})
    with pytest.raises(WrongSettings, match=f"kafka.{name}.*no.pem") as refused:
        client_arguments(kafka)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (errors.KafkaConnectionError("x"), "failed (KafkaConnectionError); look whether its brokers run"),
        (errors.AuthenticationFailedError(SECRET), "refused the credentials; check kafka.security_protocol"),
        (errors.SaslAuthenticationFailed(SECRET), "refused the credentials"),
        (errors.TopicAuthorizationFailedError("t"), "give user ann the right to it"),
        (errors.UnknownTopicOrPartitionError(), "run 'scimgw topics create'"),
        (TimeoutError(), "did not answer in time"),
        (OSError(5, SECRET), "failed (OSError)"),
    ],
)
def test_each_error_is_one_line_with_place_and_remedy_and_no_secret(error: Exception, said: str) -> None:
    line = str(translated(error, SASL, "read scim.state.v1"))
    assert line.startswith("read scim.state.v1: Kafka at one:9092,two:9092 ")
    assert said in line
    assert SECRET not in line
    assert "\n" not in line


@pytest.mark.parametrize(
    "error",
    [
        *(errors.KafkaError(), errors.ConsumerStoppedError(), errors.IllegalOperation()),
        # uvloop's, of a connection that was reset and then is written to: it ended the process.
        RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed"),
    ],
)
def test_what_a_client_raises_leaves_as_log_unavailable(error: Exception) -> None:
    assert isinstance(error, CLIENT_ERRORS)
    with pytest.raises(LogUnavailable) as translated_one, translating(SASL, "x"):
        raise error
    assert translated_one.value.__cause__ is error


def test_an_error_for_operators_stays_what_it_is() -> None:
    wrong = WrongSettings("as it is")
    with pytest.raises(OperatorError) as raised, translating(SASL, "x"):
        raise wrong
    assert raised.value is wrong


def test_a_logger_that_repeats_itself_is_cut_short_and_says_how_much_was_kept_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = [100.0]
    monkeypatch.setattr("consumers.backends.kafka_client.time.monotonic", lambda: clock[0])
    logger = logging.getLogger("tests.rate-limit")
    limit = RateLimit(most=3, per_s=60)
    logger.addFilter(limit)
    try:
        for n in range(10):
            logger.warning("broker %s is away", n)
        clock[0] += 61
        logger.warning("broker %s is back", 1)
    finally:
        logger.removeFilter(limit)
    assert [record.getMessage() for record in caplog.records] == [
        "broker 0 is away",
        "broker 1 is away",
        "broker 2 is away",
        "broker 1 is back (7 lines before it kept back)",
    ]


def test_limiting_the_logs_is_repeatable() -> None:
    for _ in range(2):
        kafka_client.limit_logging()
    sender = logging.getLogger("aiokafka.producer.sender")
    assert sum(isinstance(one, RateLimit) for one in sender.filters) == 1


@pytest.fixture
def secure(secure_kafka: SecureBroker, topic_prefix: str) -> KafkaSettings:
    return KafkaSettings(
        bootstrap=secure_kafka.bootstrap,
        topic_prefix=topic_prefix,
        partitions=1,
        security_protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_username=secure_kafka.username,
        sasl_password=secure_kafka.password,
        ca_file=str(secure_kafka.ca_file),
    )


@pytest.mark.services
async def test_every_client_works_with_scram_over_tls(secure: KafkaSettings) -> None:
    await create_topics(Settings(kafka=secure))
    await require_topics(Settings(kafka=secure))
    log = KafkaPartitionLog(secure, 0)
    await log.open()
    await log.append(transaction("ann"))
    ends = await log.ends()
    assert [len(stretch) async for stretch in log.read(0, ends.end)] == [1]
    await log.close()
    commands = KafkaCommandLog(secure, lambda _: None)
    await commands.start()
    await commands.append(0, "acme/a", b"1")
    await commands.close()
    async with open_event_logs(secure) as (events,):
        assert len(await events.read(0, 10)) == 1
    await delivered(secure)


async def delivered(kafka: KafkaSettings) -> None:
    """Join the group and take the one command."""
    group = KafkaCommandGroup(kafka)
    assigned = asyncio.Event()

    async def told(partitions: frozenset[int]) -> None:
        assigned.set()

    member = asyncio.create_task(group.run(told, told))
    async with asyncio.timeout(30):
        await assigned.wait()
        feed = group.feed(0)
        await feed.seek(0)
        while not await feed.take(10, 1000, 1.0):
            pass
    member.cancel()
    with pytest.raises(asyncio.CancelledError):
        await member


@pytest.mark.services
async def test_a_wrong_password_is_refused_by_name_of_the_settings(secure: KafkaSettings) -> None:
    wrong = msgspec.structs.replace(secure, sasl_password=SECRET)
    with pytest.raises(LogUnavailable, match=r"refused the credentials; check .*kafka\.sasl_password") as refused:
        await require_topics(Settings(kafka=wrong))
    assert SECRET not in str(refused.value)
    log = KafkaPartitionLog(wrong, 0)
    with pytest.raises(LogUnavailable, match="refused the credentials"):
        await log.open()
    await log.close()


@pytest.mark.services
async def test_a_broker_whose_certificate_another_authority_signed_is_not_talked_to(secure: KafkaSettings) -> None:
    unknown = msgspec.structs.replace(secure, ca_file="")
    with pytest.raises(LogUnavailable, match=r"no TLS with Kafka at .*CERTIFICATE_VERIFY_FAILED.*kafka\.ca_file"):
        await require_topics(Settings(kafka=unknown))


async def test_CP12_where_one_of_several_fails_none_is_left_running() -> None:
    """A producer whose start goes on, held by nobody, would fence the live owner when it is through."""
    ended: list[str] = []

    async def fails() -> None:
        await asyncio.sleep(0)
        raise LogUnavailable("no broker")

    async def hangs() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("hangs")

    with pytest.raises(LogUnavailable):
        await together(fails(), hangs())
    assert ended == ["hangs"]
