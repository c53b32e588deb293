"""The service that the HTTP contract is held against, and its callers."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Final

import pytest

from tests.contract.http.samples import made_ann
from tests.distributed import Distributed, distributed
from tests.served import Scim, Service, serving
from tests.services.processes import RedisLike

MODES: Final = {"one-and-one": (1, 1), "two-and-two": (2, 2)}
"""Mode → how many gateways and workers; beside them there is the embedded one, a single process."""


class Services:
    """One service of each mode, started when it is first asked for and kept for the whole run: files may alternate."""

    def __init__(self, request: pytest.FixtureRequest, directories: pytest.TempPathFactory) -> None:
        self._request = request
        self._directories = directories
        self._running: dict[str, Service] = {}
        self.stack = ExitStack()

    def of(self, mode: str) -> Service:
        """Return the service of a mode; a test whose Kafka or Redis is missing is skipped, loudly."""
        if mode not in self._running:
            made = serving(self._directories.mktemp(mode)) if mode == "embedded" else self._distributed(mode)
            self._running[mode] = self.stack.enter_context(made)
        return self._running[mode]

    def _distributed(self, mode: str) -> AbstractContextManager[Service]:
        bootstrap: str = self._request.getfixturevalue("kafka_bootstrap")
        server: RedisLike = self._request.getfixturevalue("redis_server")
        gateways, workers = MODES[mode]
        # Other tests empty database 0.
        database = f"{server.url.rpartition('/')[0]}/{list(MODES).index(mode) + 1}"
        prefix = f"http-{uuid.uuid4().hex[:10]}"
        directory = self._directories.mktemp(mode)
        return distributed(Distributed(directory, bootstrap, database, prefix, gateways=gateways, workers=workers))


@pytest.fixture(scope="session")
def services(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Give the services of this run."""
    made = Services(request, tmp_path_factory)
    with made.stack:
        yield made


@pytest.fixture(
    scope="session", params=["embedded", *(pytest.param(mode, marks=pytest.mark.services) for mode in MODES)]
)
def service(request: pytest.FixtureRequest, services: Services) -> Service:
    """Give the service of each mode in turn."""
    return services.of(request.param)


@pytest.fixture
def rfc(service: Service) -> Scim:
    """A caller of the tenant with profile ``rfc``."""
    return service.caller("rfc")


@pytest.fixture
def entra(service: Service) -> Scim:
    """A caller of the tenant with profile ``entra``."""
    return service.caller("entra")


@pytest.fixture
def strict(service: Service) -> Scim:
    """A caller of the tenant that wants everything checked."""
    return service.caller("strict")


@pytest.fixture
def ann(rfc: Scim) -> Any:
    """A user with something to change, of tenant ``rfc``."""
    return made_ann(rfc)
