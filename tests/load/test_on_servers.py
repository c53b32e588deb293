"""The servers of the distributed rows, and what their rows want of them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import yaml

from tests.load.budget import Budget
from tests.load.deployments import ROOT, Embedded
from tests.load.errors import BenchError, RunFailed
from tests.load.rows import TABLES
from tests.load.servers import SHIPPED
from tests.load.test_measures import a_run
from tests.load.workers_row import shared_out, workers_runs


def test_redis_is_measured_as_it_is_shipped() -> None:
    compose = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
    command = compose["services"]["redis"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert {name: options[name] for name in SHIPPED[::2]} == dict(zip(SHIPPED[::2], SHIPPED[1::2], strict=True))


def test_two_workers_of_which_one_had_nearly_nothing_to_do_fail_the_run() -> None:
    run = a_run(3000)
    even = msgspec.structs.replace(run, cpu_us={"gateway": 200.0, "worker-1": 90.0, "worker-2": 60.0, "wrk": 30.0})
    uneven = msgspec.structs.replace(run, cpu_us={"gateway": 200.0, "worker-1": 140.0, "worker-2": 10.0, "wrk": 30.0})
    one = msgspec.structs.replace(run, cpu_us={"gateway": 200.0, "worker": 150.0})
    assert shared_out(even) is even
    assert shared_out(one) is one
    with pytest.raises(RunFailed, match="140, 10 µs"):
        shared_out(uneven)


def test_the_embedded_mode_has_no_workers_to_compare(tmp_path: Path) -> None:
    with pytest.raises(BenchError):
        workers_runs(Embedded(tmp_path), Budget(runs=1), "workers")


def test_the_memory_of_the_distributed_mode_is_judged_process_by_process_in_megabytes() -> None:
    (row,) = (row for row in TABLES["kafka"] if row.key == "memory")
    run = msgspec.structs.replace(
        a_run(100, "whole"),
        memory_mib={"gateway": 100.0, "worker": 150.0, "broker": 900.0},
        more={"drift_percent_gateway": 1.0, "drift_percent_worker": 6.0, "drift_percent_broker": 50.0},
    )
    read = {measure.title: (measure.read(run), measure.floor) for measure in row.measures}
    held = {title: floor.holds(value) for title, (value, floor) in read.items() if floor}
    assert read["gateway: most resident"][0] == pytest.approx(104.86, abs=0.01)
    assert held == {
        "gateway: most resident": True,
        "gateway: growth, round 2 to the last": True,
        "worker: most resident": False,
        "worker: growth, round 2 to the last": False,
    }
