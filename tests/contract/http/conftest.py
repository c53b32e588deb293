"""The service that the HTTP contract is held against, and its callers."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.contract.http.samples import made_ann
from tests.distributed import Distributed, distributed
from tests.served import Scim, Service, serving
from tests.services.processes import RedisLike

MODES: Final = {"one-and-one": (1, 1), "two-and-two": (2, 2)}
"""Mode → how many gateways and workers; beside them there is the embedded one, a single process."""


@pytest.fixture(
    scope="session", params=["embedded", *(pytest.param(mode, marks=pytest.mark.services) for mode in MODES)]
)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service of each mode for all tests of a run."""
    directory = tmp_path_factory.mktemp("contract")
    if request.param == "embedded":
        with serving(directory) as running:
            yield running
        return
    bootstrap: str = request.getfixturevalue("kafka_bootstrap")
    server: RedisLike = request.getfixturevalue("redis_server")
    gateways, workers = MODES[request.param]
    # Other tests empty database 0.
    database = f"{server.url.rpartition('/')[0]}/{list(MODES).index(request.param) + 1}"
    prefix = f"http-{uuid.uuid4().hex[:10]}"
    made = Distributed(directory, bootstrap, database, prefix, gateways=gateways, workers=workers)
    with distributed(made) as running_apart:
        yield running_apart


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
