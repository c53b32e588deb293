"""The servers that the deployments on Kafka and Redis run on: one broker for all of them, a Redis for each run."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.services.kafka import Broker
from tests.services.redis import RedisServer

SHIPPED: Final = ("--appendfsync", "everysec", "--auto-aof-rewrite-min-size", "512mb")
"""Redis as deploy/compose.yaml has it.

``everysec`` is what the promise needs: Kafka has every acknowledged write, and the second that Redis may lose with its
machine is found by the watermark and replayed (CP-14). The size keeps a database that begins empty, as each run's does,
from being rewritten at 64, 128, 256 MB, one after the other within the run.
"""


class SharedBroker:
    """One broker for all runs: a fresh one spends more of its first minute on compiling itself than on work."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._broker: Broker | None = None

    def started(self) -> Broker:
        """Return the broker, which is started when it is first asked for."""
        if self._broker is None:
            self._broker = Broker(made(self._directory))
            self._broker.start()
        return self._broker

    def close(self) -> None:
        """Stop it, if it runs."""
        if self._broker is not None:
            self._broker.stop()
            self._broker = None


def redis_server(directory: Path) -> RedisServer:
    """Return a Redis that is not started, set as we ship it."""
    return RedisServer(made(directory), extra=SHIPPED)


def made(directory: Path) -> Path:
    """Make a directory that is not there yet, and return it."""
    directory.mkdir(parents=True)
    return directory
