"""Commands of a caller that means nothing by them but what a test says."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from itertools import count

import msgspec

from schemas import ids
from schemas.commands import ChangeCommand, Create, Delete, Replace, Verb
from schemas.urns import USER
from tests.contract.stands import GATEWAY

ANCIENT = 3 * 24 * 3600 * 1000
"""Longer ago than any outcome is kept, in milliseconds."""

_names = count(1)
_last_moment = 0


def now() -> int:
    """Return the time in milliseconds since 1970."""
    return int(time.time() * 1000)


def next_moment() -> int:
    """Return the time, or the millisecond after what was returned last: what is created then has its place after that."""
    global _last_moment  # noqa: PLW0603 - a clock is one for all
    _last_moment = max(now(), _last_moment + 1)
    return _last_moment


def in_order(commands: Sequence[ChangeCommand]) -> list[ChangeCommand]:
    """Return the commands as if they were accepted one after the other, now."""
    return [msgspec.structs.replace(command, accepted_at=next_moment()) for command in commands]


def new_id() -> str:
    """Return an id as the gateway makes it."""
    return ids.time_ordered(now(), os.urandom(ids.RANDOM_BYTES))


def new_name() -> str:
    """Return a userName that no other test uses."""
    return f"user-{next(_names)}-{os.urandom(4).hex()}"


def body(user_name: str, external_id: str | None = None, **attributes: object) -> dict[str, object]:
    """Return a user in canonical form."""
    known = {"schemas": [USER], "userName": user_name, **attributes}
    return known if external_id is None else {**known, "externalId": external_id}


def create(
    user_name: str | None = None,
    *,
    external_id: str | None = None,
    tenant: str = "acme",
    resource_id: str | None = None,
    key: str | None = None,
    password: str | None = None,
    fingerprint: str | None = None,
    principal: str = "okta",
    gateway: str = GATEWAY,
    accepted_at: int | None = None,
    title: str = "Engineer",
) -> ChangeCommand:
    """Return a create; what is not given is made up."""
    name = user_name or new_name()
    return command(
        Create(body=body(name, external_id, title=title), password=msgspec.UNSET if password is None else password),
        resource_id or new_id(),
        tenant=tenant,
        key=key,
        fingerprint=fingerprint,
        principal=principal,
        gateway=gateway,
        accepted_at=next_moment() if accepted_at is None else accepted_at,
    )


def replace(
    resource: ChangeCommand,
    user_name: str,
    *,
    external_id: str | None = None,
    key: str | None = None,
    title: str = "Director",
    if_match: int | None = None,
) -> ChangeCommand:
    """Return a replacement of the resource that another command is about."""
    return command(
        Replace(body=body(user_name, external_id, title=title)),
        resource.resource_id,
        tenant=resource.tenant,
        key=key,
        if_match=if_match,
    )


def delete(resource: ChangeCommand, *, key: str | None = None) -> ChangeCommand:
    """Return the delete of the resource that another command is about."""
    return command(Delete(), resource.resource_id, tenant=resource.tenant, key=key)


def command(
    change: Verb,
    resource_id: str,
    *,
    tenant: str = "acme",
    key: str | None = None,
    fingerprint: str | None = None,
    principal: str = "okta",
    gateway: str = GATEWAY,
    accepted_at: int | None = None,
    if_match: int | None = None,
) -> ChangeCommand:
    """Return a command on a user."""
    return ChangeCommand(
        txn=new_id(),
        tenant=tenant,
        resource_type="User",
        resource_id=resource_id,
        change=change,
        accepted_at=now() if accepted_at is None else accepted_at,
        budget=20_000,
        principal=principal,
        fingerprint=fingerprint or os.urandom(16).hex(),
        gateway=gateway,
        key=msgspec.UNSET if key is None else key,
        if_match=msgspec.UNSET if if_match is None else (f'W/"{if_match}"',),
    )


def name_of(create_command: ChangeCommand) -> str:
    """Return the userName that a create or replace asks for."""
    assert isinstance(create_command.change, Create | Replace)
    name = create_command.change.body["userName"]
    assert isinstance(name, str)
    return name
