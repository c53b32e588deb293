"""Redis' settings that matter, read from INFO (CP-31)."""

from __future__ import annotations

from pathlib import Path

import pytest

from consumers.backends.redis_client import RedisClient
from consumers.backends.redis_settings_check import require_settings, wrong_setting
from consumers.errors import StoreUnavailable, WrongSettings
from consumers.settings import RedisSettings
from tests.services.redis import RedisServer
from tests.services.secure import SecureRedis

GOOD = {
    "redis_version": "7.0.15",
    "maxmemory": "0",
    "maxmemory_policy": "noeviction",
    "aof_enabled": "1",
    "role": "master",
}


def info(**changes: str) -> str:
    return "# Server\r\n" + "\r\n".join(f"{name}:{value}" for name, value in (GOOD | changes).items())


class TestWrongSetting:
    @pytest.mark.parametrize("changes", [{}, {"maxmemory": "1000"}, {"redis_version": "8.2.1"}, {"role": "slave"}])
    def test_CP31_what_production_wants_is_accepted(self, changes: dict[str, str]) -> None:
        assert wrong_setting(info(**changes)) is None

    def test_CP31_valkey_is_judged_by_its_own_version(self) -> None:
        assert wrong_setting(info(redis_version="7.2.4", valkey_version="9.1.2")) is None

    @pytest.mark.parametrize(
        ("changes", "setting", "value", "remedy"),
        [
            ({"maxmemory_policy": "allkeys-lru"}, "maxmemory-policy", "allkeys-lru", "set maxmemory-policy noeviction"),
            ({"maxmemory_policy": "volatile-ttl"}, "maxmemory-policy", "volatile-ttl", "noeviction"),
            ({"aof_enabled": "0"}, "appendonly", "no", "set appendonly yes"),
            ({"redis_version": "6.2.14"}, "redis_version", "6.2.14", "update the server"),
        ],
    )
    def test_CP31_what_would_break_the_promise_is_named_with_value_and_remedy(
        self, changes: dict[str, str], setting: str, value: str, remedy: str
    ) -> None:
        problem = wrong_setting(info(**changes))
        assert problem is not None
        assert "\n" not in problem
        for part in (setting, value, remedy):
            assert part in problem


@pytest.mark.services
class TestRequireSettings:
    async def test_CP31_our_servers_are_accepted(self, redis_url: str, valkey_url: str) -> None:
        for url in (redis_url, valkey_url):
            client = RedisClient(RedisSettings(url=url))
            await require_settings(client)
            await client.close()

    @pytest.mark.parametrize(
        ("extra", "setting"),
        [(["--maxmemory-policy", "allkeys-lfu"], "maxmemory-policy"), (["--appendonly", "no"], "appendonly")],
    )
    async def test_CP31_a_server_with_a_wrong_setting_is_refused(
        self, tmp_path: Path, extra: list[str], setting: str
    ) -> None:
        server = RedisServer(tmp_path, extra=extra)
        server.start()
        client = RedisClient(RedisSettings(url=server.url))
        try:
            with pytest.raises(WrongSettings, match=setting):
                await require_settings(client)
        finally:
            await client.close()
            server.close()

    async def test_CP31_a_user_that_may_not_use_config_will_do(self, secure_redis: SecureRedis) -> None:
        client = RedisClient(RedisSettings(url=secure_redis.url))
        await require_settings(client)
        with pytest.raises(StoreUnavailable):
            await client.call("CONFIG", "GET", "maxmemory")
        await client.close()
