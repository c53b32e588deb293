"""Fail points: they kill where they are told to, and do nothing otherwise."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from consumers import failpoints
from consumers.errors import SettingsError


def test_nothing_is_armed_without_the_variable() -> None:
    failpoints.arm({})
    for point in failpoints.POINTS:
        failpoints.hit(point)


@pytest.mark.parametrize("value", ["worker.nowhere", "worker.logged:x", ":3"])
def test_an_unknown_point_is_a_wrong_setting_that_names_the_right_ones(value: str) -> None:
    with pytest.raises(SettingsError, match=r"expected one of gateway\.accepted"):
        failpoints.arm({failpoints.VARIABLE: value})


@pytest.mark.parametrize(("value", "printed"), [("worker.logged", "1"), ("worker.logged:3", "1\n2\n3")])
def test_the_process_dies_at_the_point_the_nth_time_it_is_reached(value: str, printed: str) -> None:
    program = (
        "from consumers import failpoints\n"
        f"failpoints.arm({{failpoints.VARIABLE: {value!r}}})\n"
        "for n in range(1, 9):\n"
        "    failpoints.hit('worker.sent')\n"
        "    print(n, flush=True)\n"
        "    failpoints.hit('worker.logged')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=30)

    assert done.returncode == -signal.SIGKILL
    assert done.stdout.strip() == printed


def test_every_point_is_in_the_code_once() -> None:
    found = subprocess.run(
        ["grep", "-rhoE", r'hit\("[a-z.]+"\)', "consumers", "gateway"], capture_output=True, text=True, check=True
    )
    names = sorted(line.split('"')[1] for line in found.stdout.split())

    assert names == sorted(failpoints.POINTS)
