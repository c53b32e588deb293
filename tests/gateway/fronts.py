"""The gateway alone: its real server on loopback, in front of ports whose faults a test injects."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp

from consumers.metrics import Metrics
from consumers.ports import Page, Reply
from gateway.app import main_app
from gateway.front import Front
from gateway.listening import listen, runner
from gateway.passwords import PasswordHasher
from gateway.tenants import Grant, Tenant, Tenants
from schemas.changes import Name
from schemas.commands import ChangeCommand
from schemas.memberships import Membership
from schemas.outcomes import Outcome
from schemas.records import ResourceImage
from schemas.rules import PROFILES

TOKEN = "scimgw_test"


@dataclass
class Ports:
    """Submitter and Reader in one, which do what a test tells them."""

    submitting: Callable[[ChangeCommand], Awaitable[Reply]]
    reading: Callable[[], Any] = lambda: None
    """What every read does first; it may raise."""
    marked: list[tuple[str, str]] = field(default_factory=list)
    commands: list[ChangeCommand] = field(default_factory=list)

    async def submit(self, command: ChangeCommand) -> Reply:
        """See ``consumers.ports.Submitter``."""
        self.commands.append(command)
        return await self.submitting(command)

    def is_pending(self, tenant: str, txn: str) -> bool:
        """See ``consumers.ports.Submitter``."""
        return False

    def mark_unseen(self, tenant: str, unseen: str) -> None:
        """See ``consumers.ports.Submitter``."""
        self.marked.append((tenant, unseen))

    async def get(self, tenant: str, resource_type: str, resource_id: str) -> ResourceImage | None:
        """See ``consumers.ports.Reader``."""
        self.reading()
        return None

    async def find(self, tenant: str, resource_type: str, name: Name) -> tuple[ResourceImage, ...]:
        """See ``consumers.ports.Reader``."""
        self.reading()
        return ()

    async def page(self, tenant: str, resource_type: str, offset: int, limit: int) -> Page:
        """See ``consumers.ports.Reader``."""
        self.reading()
        return Page(0, ())

    async def groups_of(self, tenant: str, member_id: str) -> tuple[Membership, ...]:
        """See ``consumers.ports.Reader``."""
        self.reading()
        return ()

    async def outcome(self, tenant: str, txn: str) -> Outcome | None:
        """See ``consumers.ports.Reader``."""
        self.reading()
        return None


async def unused(command: ChangeCommand) -> Reply:
    """Submit nothing: the test does not get so far."""
    raise AssertionError(f"{command.txn} was submitted")


def tenants(expires: float | None = None, password: Literal["drop", "argon2id"] = "drop") -> Tenants:
    """Return a snapshot with tenant ``acme`` and one token; ``expires`` in seconds since 1970."""
    tenant = Tenant(
        name="acme",
        profile="rfc",
        rules=PROFILES["rfc"],
        password=password,
        dialects=None,
        discovery_without_token=True,
    )
    digest = hashlib.sha256(TOKEN.encode()).digest()
    grant = Grant(tenant, "first", "token:first", digest, expires)
    return Tenants(b"s" * 32, {"acme": tenant}, {digest: grant})


def front_of(ports: Ports, **settings: Any) -> Front:
    """Return a gateway's front over these ports."""
    known = {"tenants": tenants(), "gateway": "gateway-1", **settings}
    return Front(submitter=ports, reader=ports, metrics=Metrics(), passwords=PasswordHasher(1), **known)


@contextlib.asynccontextmanager
async def served(front: Front) -> AsyncIterator[str]:
    """Serve in this event loop as production does; yield the origin."""
    running = runner(main_app(front), 1)
    await running.setup()
    server = await listen(running, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await running.cleanup()
        front.passwords.close()


@contextlib.asynccontextmanager
async def calling(ports: Ports, **settings: Any) -> AsyncIterator[aiohttp.ClientSession]:
    """Yield a client of a gateway over these ports; its URLs begin behind the origin."""
    async with served(front_of(ports, **settings)) as origin:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with aiohttp.ClientSession(origin, headers=headers) as session:
            yield session
        await asyncio.sleep(0)
