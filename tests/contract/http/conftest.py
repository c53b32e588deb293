"""The service that the HTTP contract is held against, and its callers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.http.samples import made_ann
from tests.served import Scim, Service, serving


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One server for all tests of a run."""
    with serving(tmp_path_factory.mktemp("contract")) as running:
        yield running


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
