"""Kills, pauses, losses and poison under load, three times or so each: nothing acknowledged is lost, doubled, reordered."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import pytest

from tests.faults import run
from tests.faults.load import Plan
from tests.services.choice import absent
from tests.services.processes import Missing

pytestmark = [pytest.mark.services, pytest.mark.slow]

SEED: Final = 20261121
NAMES: Final = (
    *("failpoints", "worker-kill", "worker-pause", "redis-kill", "redis-flush", "broker-restart", "poison"),
    *("redis-promotion", "leader-kill", "rolling-restart", "tcp-worker-kafka"),
)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", NAMES)
async def test_the_distributed_service_keeps_the_promise(name: str, tmp_path: Path) -> None:
    size = run.size_of(name, "ci")
    try:
        result, seen = await run.run_row(name, size, SEED, Plan(rate=200), tmp_path)
    except Missing as why:
        absent("kafka", str(why))
    print(f"{name}: {dict(seen)}", file=sys.stderr)
    assert not result.violations, "\n".join(map(str, result.violations[:20]))
    assert not run.unproven(name, result, seen)
    assert result.acknowledged >= size.acknowledged
