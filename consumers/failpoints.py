"""Places at which a test kills the process: one behind each numbered step of a write (``SCIMGW_TEST_FAILPOINT``).

``SCIMGW_TEST_FAILPOINT=worker.logged`` kills it by SIGKILL when that point is reached, ``worker.logged:5`` the fifth
time. Nothing is armed unless the variable is set.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from typing import Final

from consumers.errors import SettingsError

VARIABLE: Final = "SCIMGW_TEST_FAILPOINT"
POINTS: Final[dict[str, str]] = {
    "gateway.accepted": "before the command is appended (G1)",
    "gateway.appended": "the command is durable, its answer has not come (G2)",
    "gateway.answered": "the answer has come, the caller has not got it (G2)",
    "worker.taken": "commands were fetched",
    "worker.viewed": "what they may look at was read",
    "worker.reserved": "their names are reserved (W1)",
    "worker.sent": "inside the transaction: everything was sent, nothing committed (W2)",
    "worker.logged": "the transaction is committed, the store knows nothing of it (W3)",
    "worker.committed": "the store has it, nobody was answered (W4)",
    "worker.replied": "the answer was sent",
    "takeover.fenced": "the fence of a take-over is set",
    "takeover.opened": "earlier producers are fenced",
    "takeover.replayed": "the log was replayed, the partition is not active yet",
}

_countdown: dict[str, int] = {}


def arm(environ: Mapping[str, str]) -> None:
    """Arm the point that the environment names; raises SettingsError for an unknown one."""
    value = environ.get(VARIABLE)
    if not value:
        return
    name, _, times = value.partition(":")
    if name not in POINTS or not (times or "1").isdecimal():
        raise SettingsError(f"{VARIABLE}={value}: expected one of {', '.join(POINTS)}, with :N for the Nth time")
    _countdown[name] = int(times or 1)


def hit(point: str) -> None:
    """Die here if the point is armed and this is the time."""
    if not _countdown or point not in _countdown:
        return
    _countdown[point] -= 1
    if _countdown[point] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
