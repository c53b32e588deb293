"""Settings of Redis that would break the promise: read from INFO, which managed services and our own users may (CP-31)."""

from __future__ import annotations

import re
from typing import Final

from consumers.backends.redis_client import RedisClient
from consumers.errors import WrongSettings

OLDEST: Final = 7


async def require_settings(client: RedisClient) -> None:
    """Refuse a server that evicts keys, keeps no append-only file or is too old.

    Raises WrongSettings that names setting, value and remedy, StoreUnavailable when it cannot be asked.
    """
    info = await client.call("INFO", "everything")
    problem = wrong_setting(info.decode(errors="replace"))
    if problem is not None:
        raise WrongSettings(problem)


def wrong_setting(info: str) -> str | None:
    """Return what is wrong by an answer to INFO, in one line, or None.

    Eviction counts as on without a ``maxmemory`` too: the day somebody sets one, acknowledged writes would vanish.
    """
    found = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
    name, version = ("Valkey", found["valkey_version"]) if "valkey_version" in found else ("Redis", None)
    version = version or found.get("redis_version", "?")
    major = re.match(r"\d+", version)
    if major is None or int(major.group()) < OLDEST:
        return f"redis_version is {version}: Redis or Valkey {OLDEST} or newer is needed; update the server"
    policy = found.get("maxmemory_policy", "?")
    if policy != "noeviction":
        return (
            f"{name} maxmemory-policy is {policy}: it would drop acknowledged writes when memory is short; "
            "set maxmemory-policy noeviction"
        )
    if found.get("aof_enabled") != "1":
        return (
            f"{name} appendonly is no: a restart would come up without its keys and take its whole contents from "
            "the log; set appendonly yes"
        )
    return None
