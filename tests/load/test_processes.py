"""Reading /proc."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from tests.load.processes import (
    CpuMeter,
    MemoryWatch,
    Watched,
    busy_seconds,
    cpu_seconds,
    memory,
    parse_busy_seconds,
    parse_cpu_seconds,
    parse_memory,
    uses_uvloop,
)


def test_cpu_is_user_and_system_time_also_when_the_command_has_odd_characters() -> None:
    stat = "42 (a b) R (x) S 1 42 42 0 -1 4194304 900 0 0 0 150 50 7 7 20 0 3 0 5000 123456 789"
    assert parse_cpu_seconds(stat, 100) == 2.0


def test_the_machine_is_busy_with_all_but_idling_and_waiting_for_disks() -> None:
    stat = "cpu  100 20 30 9000 400 5 6 7 50 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n"
    assert parse_busy_seconds(stat, 100) == 1.68
    before = busy_seconds()
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    assert busy_seconds() - before > 0.1


def test_memory_is_given_in_mebibytes() -> None:
    read = parse_memory("Name:\tpython\nVmHWM:\t  204800 kB\nVmRSS:\t  102400 kB\nRssAnon:\t   51200 kB\n")
    assert (read.resident, read.anonymous, read.peak) == (100, 50, 200)


def test_a_process_that_computes_uses_cpu_and_one_that_sleeps_does_not() -> None:
    own = Watched("own", os.getpid())
    meter = CpuMeter([own])
    until = time.process_time() + 0.3
    while time.process_time() < until:
        pass
    assert meter.used()["own"] == pytest.approx(0.3, abs=0.1)
    idle = CpuMeter([own])
    time.sleep(0.2)
    assert idle.used()["own"] < 0.1
    assert cpu_seconds(own.pid) > 0.2


def test_memory_is_sampled_while_the_block_runs() -> None:
    own = Watched("own", os.getpid())
    with MemoryWatch([own], every_s=0.01) as watch:
        time.sleep(0.1)
    samples = watch.of("own")
    assert len(samples) >= 3
    assert max(samples) <= memory(own.pid).peak + 1, "the kernel sums its counters of pages late"


@pytest.mark.parametrize(("loaded", "seen"), [("uvloop", True), ("asyncio", False)])
def test_uvloop_is_seen_only_where_it_is_loaded(loaded: str, seen: bool) -> None:
    program = f"import {loaded}, sys; print('loaded', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert uses_uvloop(process.pid) == seen
        process.communicate()
