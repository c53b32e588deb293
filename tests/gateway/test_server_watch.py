"""When a gateway is ready, and when it refuses to start."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from consumers.clock_skew import ClockSkew
from consumers.errors import LogUnavailable, OperatorError, SettingsError, WrongSettings
from consumers.metrics import Metrics
from gateway import server_watch
from gateway.readiness import Readiness
from gateway.server_watch import ServerWatch, Watched


@dataclass
class Server:
    """A server that is away, or there with right or wrong settings."""

    name: str
    error: OperatorError | None = None
    answers: bool = True
    admitted: int = 0

    async def admit(self) -> None:
        """See ``Watched.admit``."""
        if self.error is not None:
            raise self.error
        self.admitted += 1

    def reached(self) -> bool:
        """See ``Watched.reached``."""
        return self.answers


@dataclass
class Stand:
    """A watch over two servers and a shard."""

    kafka: Server = field(default_factory=lambda: Server("kafka"))
    redis: Server = field(default_factory=lambda: Server("redis"))
    unrecovered: str | None = None
    readiness: Readiness = field(default_factory=Readiness)
    metrics: Metrics = field(default_factory=Metrics)
    refused: list[SettingsError] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.skew = ClockSkew(self.metrics)
        self.watch = ServerWatch(
            [Watched(one.name, one.admit, one.reached) for one in (self.kafka, self.redis)],
            self.readiness,
            self.metrics,
            self.skew,
            unrecovered=lambda: self.unrecovered,
            refuse=self.refused.append,
        )

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Watch, as fast as the loop turns."""
        task = asyncio.create_task(self.watch.run(), name="watch")
        await rest()
        try:
            yield
        finally:
            assert not task.done()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def rest() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_watch, "LOOK_S", 0)
    monkeypatch.setattr(server_watch, "RETRY_S", 0)


async def test_nothing_is_ready_before_the_first_look() -> None:
    stand = Stand()
    assert set(stand.readiness.missing) == {"kafka", "redis"}


async def test_a_gateway_is_ready_when_a_write_would_succeed() -> None:
    stand = Stand(kafka=Server("kafka", LogUnavailable("away")), unrecovered="shard 0 is not recovered")
    async with stand.watching():
        assert stand.readiness.missing == {"kafka": "away", "shards": "shard 0 is not recovered"}
        stand.kafka.error = None
        await rest()
        assert set(stand.readiness.missing) == {"shards"}
        stand.unrecovered = None
        stand.kafka.answers = False
        await rest()
        assert stand.readiness.missing == {"kafka": "kafka does not answer"}
        stand.kafka.answers = True
        await rest()
        assert not stand.readiness.missing


async def test_once_ready_it_stays_so_while_servers_are_away() -> None:
    stand = Stand()
    async with stand.watching():
        assert not stand.readiness.missing
        stand.kafka.answers = stand.redis.answers = False
        stand.unrecovered = "shard 0 is not recovered"
        await rest()
        assert not stand.readiness.missing
        registry = stand.metrics.registry
        assert registry.get_sample_value("scimgw_server_reached", {"server": "kafka"}) == 0
        assert stand.kafka.admitted == stand.redis.admitted == 1


async def test_CP18_a_gateway_whose_clock_is_out_is_not_ready_until_it_agrees_again() -> None:
    stand = Stand()
    async with stand.watching():
        stand.skew.observed(1.5)
        await rest()
        assert set(stand.readiness.missing) == {"clock"}
        assert not stand.readiness.starting, "it was started"
        stand.skew.observed(0.5)
        await rest()
        assert not stand.readiness.missing


async def test_wrong_settings_are_refused_as_soon_as_the_server_answers() -> None:
    stand = Stand(redis=Server("redis", LogUnavailable("away")))
    async with stand.watching():
        assert not stand.refused
        stand.redis.error = wrong = WrongSettings("maxmemory-policy is allkeys-lru; set noeviction")
        await rest()
        assert stand.refused == [wrong]
        assert stand.readiness.missing == {"redis": str(wrong)}
