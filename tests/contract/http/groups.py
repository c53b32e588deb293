"""Groups of the service that is tested, put into its store: there is no endpoint for them yet."""

from __future__ import annotations

from collections.abc import Sequence

import redis

from gateway.first_start import DATABASE
from tests.contract.edges import put_group_in_sqlite, redis_group_commands
from tests.distributed import Distributed
from tests.served import Embedded, Service


def put_group(service: Service, tenant: str, group_id: str, display: str, members: Sequence[str]) -> None:
    """Put a group with its members, users or groups, into the store of a service."""
    if isinstance(service, Embedded):
        put_group_in_sqlite(service.directory / DATABASE, tenant, group_id, display, members)
        return
    assert isinstance(service, Distributed)
    with redis.Redis.from_url(service.redis_url) as client:
        for command in redis_group_commands(tenant, group_id, display, members):
            client.execute_command(*command)
