"""GETs at a fixed, modest rate, to see what other load does to everybody else; time counts from the intended start."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import socket
import threading
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from tests.load.connections import encode, split_answer
from tests.load.errors import RunFailed
from tests.load.measures import percentile

THREADS: Final = 8
"""Each with a connection of its own: blocking sockets wake more exactly than an event loop's millisecond timers."""
LAG_LIMIT_MS: Final = 10.0
"""A generator later than that at p99 measures itself."""


class Probed(msgspec.Struct, frozen=True):
    """How long GETs took, in milliseconds."""

    requests: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    lag_p99_ms: float
    """How late the generator itself was with its requests where no earlier answer held it up."""


class _Taken(msgspec.Struct):
    seconds: list[float]
    lags: list[float]
    failure: str = ""


class Probe:
    """The GETs run from ``start`` until ``stop``."""

    def __init__(
        self, port: int, token: str, ids: Sequence[str], rate: float, *, lag_limit_ms: float = LAG_LIMIT_MS
    ) -> None:
        self._lag_limit_ms = lag_limit_ms
        self._port = port
        self._token = token
        self._ids = ids
        self._period = THREADS / rate
        self._stop = threading.Event()
        self._taken = [_Taken([], []) for _ in range(THREADS)]
        self._threads = [
            threading.Thread(target=self._ask, args=(number,), name=f"probe-{number}") for number in range(THREADS)
        ]
        self._started = 0.0

    def __enter__(self) -> Probe:
        # A collection of this process's garbage would be counted as the server's time.
        gc.collect()
        gc.disable()
        self._started = time.perf_counter() + 0.05
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        gc.enable()

    def result(self) -> Probed:
        """Return the figures after the block. Raises RunFailed for any answer but 200 and for a generator too late."""
        for taken in self._taken:
            if taken.failure:
                raise RunFailed(f"a GET beside the load: {taken.failure}")
        seconds = [value for taken in self._taken for value in taken.seconds]
        lags = [value for taken in self._taken for value in taken.lags]
        if not seconds or not lags:
            raise RunFailed("no GET beside the load was answered")
        lag = percentile(lags, 0.99) * 1000
        if lag > self._lag_limit_ms:
            raise RunFailed(f"the generator of GETs was {lag:.1f} ms late at p99; the machine is too busy to measure")
        return Probed(
            len(seconds), percentile(seconds, 0.5) * 1000, percentile(seconds, 0.99) * 1000, max(seconds) * 1000, lag
        )

    def _ask(self, number: int) -> None:
        _before_others()
        taken = self._taken[number]
        choose = random.Random(number)
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=10) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                intended = self._started + self._period * number / THREADS
                while not self._stop.is_set():
                    on_time = time.perf_counter() <= intended
                    while (wait := intended - time.perf_counter()) > 0:
                        time.sleep(wait)
                    if on_time:
                        taken.lags.append(time.perf_counter() - intended)
                    connection.sendall(encode("GET", f"/scim/v2/Users/{choose.choice(self._ids)}", self._token))
                    status = _status(connection)
                    taken.seconds.append(time.perf_counter() - intended)
                    if status != 200:
                        taken.failure = f"status {status}"
                        return
                    intended += self._period
        except (OSError, RunFailed) as error:
            taken.failure = str(error)


def _before_others() -> None:
    """Let this thread have a core as soon as it wants one, where the system allows it (Linux, as root).

    Callers have cores of their own; here they share the server's, and how long one waits for a core to send its request
    or to see its answer on would be counted as the server's time: at p99 some 0.7 ms while passwords are hashed.
    """
    if hasattr(os, "SCHED_FIFO"):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


def _status(connection: socket.socket) -> int:
    received = b""
    while True:
        more = connection.recv(65536)
        if not more:
            raise RunFailed("the server closed the connection")
        received += more
        cut = split_answer(received)
        if cut is not None:
            return cut[0].status
