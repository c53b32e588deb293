"""GETs at a fixed rate."""

from __future__ import annotations

import time

import pytest

from tests.load.errors import RunFailed
from tests.load.probe import Probe
from tests.load.stub_server import stub_server


def test_the_rate_is_kept_and_a_slow_answer_is_counted_from_when_it_was_meant_to_be_asked_for() -> None:
    def answering(method: str, target: str, body: bytes) -> tuple[int, bytes]:
        if target.endswith("slow"):
            time.sleep(0.05)
        return 200, b"{}"

    with stub_server(answering) as port:
        with Probe(port, "token", ["quick"], 200, lag_limit_ms=1000) as probe:
            time.sleep(1)
        quick = probe.result()
        with Probe(port, "token", ["slow"], 200, lag_limit_ms=1000) as probe:
            time.sleep(1)
        slow = probe.result()
    assert quick.requests < 230
    assert quick.p50_ms < 50
    # Each of the eight asks every 40 ms and waits 50 ms: the delay adds up, as it would for those who wait in a queue.
    assert slow.p50_ms > 100


def test_an_answer_but_200_fails_the_run() -> None:
    with stub_server(lambda method, target, body: (503, b"{}")) as port:
        with Probe(port, "token", ["id"], 100) as probe:
            time.sleep(0.3)
        with pytest.raises(RunFailed, match="status 503"):
            probe.result()


def test_a_server_that_is_gone_fails_the_run() -> None:
    with Probe(1, "token", ["id"], 100) as probe:
        time.sleep(0.1)
    with pytest.raises(RunFailed):
        probe.result()


def test_a_generator_that_is_late_itself_fails_the_run() -> None:
    with stub_server(lambda method, target, body: (200, b"{}")) as port:
        with Probe(port, "token", ["id"], 100, lag_limit_ms=0) as probe:
            time.sleep(0.3)
        with pytest.raises(RunFailed, match="late at p99"):
            probe.result()
