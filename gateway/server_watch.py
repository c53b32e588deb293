"""Kafka and Redis as a gateway sees them: refuses wrong settings, tells readiness what is missing, once and later."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from consumers.clock_skew import ClockSkew
from consumers.errors import OperatorError, SettingsError
from consumers.metrics import Metrics
from gateway.readiness import Readiness

logger = logging.getLogger("scimgw")

LOOK_S: Final = 0.5
RETRY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Watched:
    """A server, as far as a gateway must know whether it is there."""

    name: str
    """``kafka`` or ``redis``: in ``/readyz``, logs and metrics."""
    admit: Callable[[], Awaitable[None]]
    """Checks its settings. Raises SettingsError where they would break the promise, OperatorError while it is away."""
    reached: Callable[[], bool]
    """Whether it answers now."""


class ServerWatch:
    """Watches the servers of a gateway until cancelled.

    Ready for the first time when every server was admitted and is reached, and nothing is left to recover; from then
    on only the clock can make the process unready (``interfaces.md``, HTTP beside SCIM): a request gets its 503 here,
    where it can be told why.
    """

    def __init__(
        self,
        servers: Sequence[Watched],
        readiness: Readiness,
        metrics: Metrics,
        skew: ClockSkew,
        *,
        unrecovered: Callable[[], str | None],
        refuse: Callable[[SettingsError], None],
    ) -> None:
        """``unrecovered`` tells what is left to recover, None for nothing; ``refuse`` ends the process."""
        self._servers = servers
        self._readiness = readiness
        self._metrics = metrics
        self._skew = skew
        self._unrecovered = unrecovered
        self._refuse = refuse
        self._away = {server.name: f"{server.name} was not reached yet" for server in servers}
        """Servers that were not admitted yet, and why."""
        self.look()

    async def run(self) -> None:
        """Watch."""
        async with asyncio.TaskGroup() as admitting:
            for server in self._servers:
                admitting.create_task(self._admit(server), name=f"admit-{server.name}")
            while True:
                self.look()
                await asyncio.sleep(LOOK_S)

    def look(self) -> None:
        """Bring readiness and metrics up to date."""
        reached = {server.name: server.reached() for server in self._servers}
        for name, answers in reached.items():
            self._metrics.reached(name, answers)
        problem = self._skew.problem
        self._readiness.problems = {} if problem is None else {"clock": problem}
        if self._readiness.starting or self._away:
            self._readiness.starting = self._missing(reached)
            if not self._readiness.starting:
                logger.info("ready", extra={"action": "ready"})

    def _missing(self, reached: dict[str, bool]) -> dict[str, str]:
        missing = dict(self._away)
        for name, answers in reached.items():
            if not answers:
                missing.setdefault(name, f"{name} does not answer")
        unrecovered = self._unrecovered()
        if unrecovered is not None:
            missing["shards"] = unrecovered
        return missing

    async def _admit(self, server: Watched) -> None:
        """Check the server's settings as soon as it answers."""
        while True:
            try:
                await server.admit()
            except SettingsError as error:
                self._away[server.name] = str(error)
                self._refuse(error)
                return
            except OperatorError as error:
                if self._away[server.name] != str(error):
                    logger.warning("%s", error, extra={"action": "start", "server": server.name})
                self._away[server.name] = str(error)
                await asyncio.sleep(RETRY_S)
            else:
                del self._away[server.name]
                return
