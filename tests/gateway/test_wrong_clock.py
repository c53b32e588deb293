"""A whole process whose clock is wrong, by libfaketime: it says so, harms nobody, and is well once the clock is (CP-18)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from tests.distributed import Distributed, Program, distributed
from tests.gateway.test_serve_gateway import eventually
from tests.served import refused, user
from tests.services.choice import absent
from tests.services.redis import RedisServer

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]

LIBRARIES: Final = ("/usr/lib/*/faketime", "/usr/lib/faketime", "/usr/local/lib/faketime", "/opt/homebrew/lib/faketime")
APART_S: Final = 30
SLOW_S: Final = 5.0
"""An append that takes so long on a busy machine tells of the clock only that it is out by so much less."""
PATIENCE_S: Final = 60.0


class Clock:
    """What time it is for one process; its monotonic clock is the machine's."""

    def __init__(self, library: Path, file: Path) -> None:
        self._file = file
        self.environment = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self.set(0)

    def set(self, ahead_s: int) -> None:
        """Have the clock so many seconds ahead of the machine's, within a second; negative: behind."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{ahead_s:+d}s\n")
        new.rename(self._file)


@pytest.fixture(scope="module")
def library() -> Path:
    """Give the library that gives processes another time."""
    for pattern in LIBRARIES:
        for directory in sorted(Path("/").glob(pattern.lstrip("/"))):
            for name in ("libfaketimeMT.so.1", "libfaketime.so.1"):
                if (directory / name).exists():
                    return directory / name
    return absent("libfaketime", "Debian: apt-get install faketime")


class Clocked:
    """A gateway and a worker, each with a clock of its own, another gateway with the machine's."""

    def __init__(self, service: Distributed, clocks: dict[str, Clock]) -> None:
        self.service = service
        self.clocks = clocks

    @property
    def gateway(self) -> Program:
        return self.service.gateways[0]

    @property
    def worker(self) -> Program:
        return self.service.workers[0]

    @contextmanager
    def apart(self, name: str, ahead_s: int) -> Iterator[None]:
        """Have a process's clock apart for the length of a block."""
        self.clocks[name].set(ahead_s)
        try:
            yield
        finally:
            self.clocks[name].set(0)


@pytest.fixture(scope="module")
def clocked(tmp_path_factory: pytest.TempPathFactory, kafka_bootstrap: str, library: Path) -> Iterator[Clocked]:
    directory = tmp_path_factory.mktemp("clocks")
    clocks = {name: Clock(library, directory / f"{name}.time") for name in ("gateway-1", "worker-1")}
    server = RedisServer(directory / "redis")
    server.start()
    made = Distributed(
        directory / "service",
        kafka_bootstrap,
        server.url,
        f"clocks-{uuid.uuid4().hex[:10]}",
        gateways=2,
        environment_of=lambda name: clocks[name].environment if name in clocks else {},
    )
    try:
        with distributed(made) as service:
            yield Clocked(service, clocks)
    finally:
        server.close()


def skew_of(program: Program) -> float:
    """Return by how many seconds the process says that its clock is ahead."""
    (value,) = re.findall(r"^scimgw_clock_skew_seconds (\S+)$", program.metrics(), re.MULTILINE)
    return float(value)


def is_not_ready(program: Program, says: str) -> bool:
    status, told = program.probe("readyz")
    return status == 503 and re.search(rf"this clock is (2[5-9]|3[0-4])\.\d s {says} the brokers'", told) is not None


def is_ready(program: Program) -> bool:
    return program.probe("readyz")[0] == 200


def test_CP18_a_gateway_that_is_ahead_is_not_ready_until_its_clock_is_right(clocked: Clocked) -> None:
    gateway, caller, other = clocked.gateway, clocked.service.caller_of(0), clocked.service.caller_of(1)
    try:
        with clocked.apart("gateway-1", APART_S):
            # It compares by its own writes. The one that is under way when the clock jumps has no time left.
            eventually(
                lambda: caller.post("/Users", user()).status_code in {201, 503} and is_not_ready(gateway, "ahead of"),
                limit_s=PATIENCE_S,
            )
            # They count as accepted when the broker took them, so they are decided.
            made = caller.made()
            assert skew_of(gateway) == pytest.approx(APART_S, abs=SLOW_S)
            ahead = datetime.fromisoformat(made["meta"]["lastModified"]) - datetime.now(UTC)
            assert ahead.total_seconds() < APART_S / 2, "no time of a resource lies in the future"
            assert caller.post("/Users", user()).status_code == 201, "who asks it all the same is served"
            assert is_ready(clocked.service.gateways[1])
            assert other.read(made["id"])["userName"] == made["userName"]
        eventually(lambda: is_ready(gateway), limit_s=PATIENCE_S)
        assert abs(skew_of(gateway)) < 1
        assert caller.post("/Users", user()).status_code == 201
        log = gateway.log()
        assert log.count('"clock_out"') == log.count('"clock_agrees"') >= 1
    finally:
        caller.http.close()
        other.http.close()


def test_CP18_a_gateway_that_is_behind_is_not_ready_and_its_writes_are_503(clocked: Clocked) -> None:
    gateway, caller = clocked.gateway, clocked.service.caller_of(0)
    try:
        with clocked.apart("gateway-1", -APART_S):
            body = user()
            answers = []

            def told() -> bool:
                answers.append(caller.post("/Users", body))
                return is_not_ready(gateway, "behind")

            eventually(told, limit_s=PATIENCE_S)
            # As old as they look their budget is over: nothing of them is decided (INV-13).
            refused(caller.post("/Users", user()), 503)
            assert answers[-1].status_code in {503, 409}
        eventually(lambda: is_ready(gateway), limit_s=PATIENCE_S)
        assert caller.post("/Users", user()).status_code == 201
    finally:
        caller.http.close()


@pytest.mark.parametrize(("ahead_s", "says"), [(APART_S, "ahead of"), (-APART_S, "behind")])
def test_CP18_a_worker_whose_clock_is_out_raises_an_alarm_until_it_is_right(
    clocked: Clocked, ahead_s: int, says: str
) -> None:
    worker, caller = clocked.worker, clocked.service.caller_of(1)
    try:
        with clocked.apart("worker-1", ahead_s):

            def told() -> bool:
                # Ahead, every budget seems over to it: 503. Behind, it decides as ever.
                status = caller.post("/Users", user()).status_code
                assert status in {201, 503}
                return is_not_ready(worker, says)

            eventually(told, limit_s=PATIENCE_S)
            assert skew_of(worker) == pytest.approx(ahead_s, abs=SLOW_S)
            assert caller.post("/Users", user()).status_code == (503 if ahead_s > 0 else 201)
        eventually(lambda: is_ready(worker), limit_s=PATIENCE_S)
        eventually(lambda: caller.post("/Users", user()).status_code == 201, limit_s=PATIENCE_S)
        assert abs(skew_of(worker)) < 1
    finally:
        caller.http.close()
