"""``scimgw rebuild`` while writes go on: nothing is lost, and Redis then holds what the log says (INV-9)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.faults import rebuild

pytestmark = [pytest.mark.services, pytest.mark.slow]

USERS = int(os.environ.get("SCIMGW_TEST_REBUILD_USERS", "5000"))


@pytest.mark.timeout(300 + USERS / 200)
@pytest.mark.usefixtures("kafka_bootstrap", "redis_url")  # skipped where servers cannot be had
async def test_INV9_rebuild_under_writes_loses_nothing_and_the_rebuilt_Redis_equals_the_live_one(
    tmp_path: Path,
) -> None:
    report = await rebuild.run(tmp_path, USERS, lambda line: print(line, file=sys.stderr))
    print("\n".join(report.lines()))
    assert not report.violations
    assert report.reads[503] > 0, "nobody read while the shard was being recovered"
    assert report.reads[200] > 0
    assert report.writes[201] > 0
    assert report.replayed >= USERS
    assert not report.live_differences
    assert not report.rebuilt_differences
    assert len(report.planted) == 14
    assert report.found == report.planted
