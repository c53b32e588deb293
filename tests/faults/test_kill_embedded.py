"""``kill -9`` of the serving process under load, three times: nothing acknowledged is lost, doubled or reordered."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.faults import campaign
from tests.faults.campaign import Size
from tests.faults.load import Plan
from tests.faults.servers import serving

SIZE = Size(strikes=3, acknowledged=1000, calm=(0.8, 2.0))


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_killed_three_times_under_load_the_embedded_server_keeps_the_promise(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as server:
        plan = Plan(rate=300)
        result = await campaign.run(
            server, campaign.kill, SIZE, 20261121, plan, lambda line: print(line, file=sys.stderr)
        )
    assert not result.violations, "\n".join(map(str, result.violations[:20]))
    assert result.acknowledged >= SIZE.acknowledged
    struck = [result.unanswered(strike) for strike in result.strikes]
    assert sum(map(bool, struck)) >= SIZE.strikes, f"too few kills hit writes in flight: {struck}"
