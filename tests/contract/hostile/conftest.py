"""The server under attack, and what must hold after every attack: it works, it is small, and it logged no defect."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.contract.hostile.wire import USERS, Caller
from tests.served import Embedded, Service, serving, unique

MOST_RESIDENT: Final = 200 * 1024 * 1024
"""Bytes of memory that the process may have after any attack."""
PROMPT_S: Final = 2.0
"""How long a normal request may take right after an attack."""
DEFECTS: Final = re.compile(r'"level":"(?:error|critical)"|Traceback|never retrieved|never awaited')


class Watch:
    """The server's processes and logs, as far as this machine has them: none where only an address was given."""

    def __init__(self, service: Service) -> None:
        self._pids = (service.pid,) if isinstance(service, Embedded) else ()
        self._log: Callable[[], str] = service.log if isinstance(service, Embedded) else str
        self._read = len(self._log())

    def resident(self) -> int:
        """Return the memory of the largest process, in bytes."""
        return max((_status(pid, "VmRSS") for pid in self._pids), default=0)

    def descriptors(self) -> int:
        """Return how many files and sockets the processes have open."""
        return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in self._pids)

    def logged(self) -> str:
        """Return what was logged since the last call."""
        log = self._log()
        news, self._read = log[self._read :], len(log)
        return news


def _status(pid: int, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One server for all attacks of a run."""
    with serving(tmp_path_factory.mktemp("hostile")) as running:
        yield running


@pytest.fixture(scope="session")
def watch(service: Service) -> Watch:
    """Its processes and logs."""
    return Watch(service)


@pytest.fixture(scope="session")
def hostile(service: Service) -> Caller:
    """A caller with a good token and bad intentions."""
    return Caller(service.address, service.tokens["hostile"])


@pytest.fixture(scope="session")
def tolerant(service: Service) -> Caller:
    """The same in a tenant that tolerates most: there is more code to reach."""
    return Caller(service.address, service.tokens["entra"])


@pytest.fixture(scope="session")
def bystander(service: Service) -> tuple[Caller, str]:
    """A caller of another tenant who minds their own business, and the user that they look at."""
    caller = Caller(service.address, service.tokens["rfc"])
    return caller, caller.made(unique("bystander"))


@pytest.fixture(autouse=True)
def unharmed(service: Service, bystander: tuple[Caller, str], watch: Watch) -> Iterator[None]:
    """After each attack others are served as before, memory is within its bound, no defect and no token was logged."""
    yield
    caller, resource_id = bystander
    began = time.monotonic()
    answer = caller.request("GET", f"{USERS}/{resource_id}", limit_s=10 * PROMPT_S)
    assert answer.status == 200
    assert json.loads(answer.body)["id"] == resource_id
    assert time.monotonic() - began < PROMPT_S, "a normal request waits for what an attack has left behind"
    assert watch.resident() < MOST_RESIDENT
    logged = watch.logged()
    assert DEFECTS.search(logged) is None, logged
    assert not [name for name, token in service.tokens.items() if token in logged]
