"""The servers with TLS and passwords: they let the right client in, and no other."""

from __future__ import annotations

import gc
import ssl

import pytest
import redis
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tests.services.secure import SecureBroker, SecureRedis

pytestmark = pytest.mark.services


# A client that is refused leaves its socket to the garbage collector (aiokafka 0.14).
LEFT_OPEN = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


async def connect(broker: SecureBroker, password: str, ca_file: str | None) -> None:
    """Start a client and stop it."""
    producer = AIOKafkaProducer(
        bootstrap_servers=broker.bootstrap,
        security_protocol="SASL_SSL",
        sasl_mechanism=broker.mechanism,
        sasl_plain_username=broker.username,
        sasl_plain_password=password,
        ssl_context=ssl.create_default_context(cafile=ca_file),
        request_timeout_ms=3000,
    )
    try:
        await producer.start()
    finally:
        await producer.stop()
        gc.collect()


async def test_kafka_lets_in_who_has_the_password_and_trusts_its_ca(secure_kafka: SecureBroker) -> None:
    await connect(secure_kafka, secure_kafka.password, str(secure_kafka.ca_file))


@LEFT_OPEN
async def test_kafka_keeps_out_a_wrong_password(secure_kafka: SecureBroker) -> None:
    with pytest.raises(KafkaError):
        await connect(secure_kafka, "wrong", str(secure_kafka.ca_file))


@LEFT_OPEN
async def test_a_client_of_kafka_that_does_not_trust_the_ca_stays_away(secure_kafka: SecureBroker) -> None:
    with pytest.raises(KafkaError):
        await connect(secure_kafka, secure_kafka.password, None)


def test_redis_lets_its_user_in_and_refuses_it_what_is_dangerous(secure_redis: SecureRedis) -> None:
    with redis.Redis.from_url(secure_redis.url) as client:
        assert client.dbsize() == 0
        assert client.set("key", "value")
        assert client.eval("return redis.call('GET', KEYS[1])", 1, "key") == b"value"
        assert client.info("persistence")["aof_enabled"] == 1
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.config_get("*")


def test_redis_keeps_out_who_has_no_password_or_does_not_trust_its_ca(secure_redis: SecureRedis) -> None:
    nobody = secure_redis.url.replace(f"{secure_redis.username}:{secure_redis.password}@", "")
    with redis.Redis.from_url(nobody) as client, pytest.raises(redis.exceptions.AuthenticationError):
        client.ping()
    stranger = secure_redis.url.partition("?")[0]
    with redis.Redis.from_url(stranger, retry=None) as client, pytest.raises(redis.exceptions.ConnectionError):
        client.ping()
