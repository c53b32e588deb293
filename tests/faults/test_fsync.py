"""A kill keeps the page cache, a power cut does not: the write-ahead log is synced between a write and its answer."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.faults import bodies
from tests.faults.caller import Caller
from tests.faults.history import Intent, Recorder
from tests.faults.servers import serving
from tests.faults.tracing import steps, traced

LOG = "scimgw.db-wal"


async def test_the_write_ahead_log_is_synced_before_each_write_is_answered(tmp_path: Path) -> None:
    trace, random = tmp_path / "trace", Random(1)
    async with (
        serving(tmp_path / "data", prefix=traced(trace)) as server,
        Caller("c", Recorder(), server.token) as caller,
    ):
        created = await caller.call(server.url, Intent("create", body=bodies.user(random, "ann")), 20)
        resource = created.resource
        put = await caller.call(server.url, Intent("replace", resource, bodies.user(random, "bob")), 20)
        patched = await caller.call(server.url, Intent("patch", resource, bodies.patch(random)), 20)
        deleted = await caller.call(server.url, Intent("delete", resource), 20)
    assert [o.status for o in (created, put, patched, deleted)] == [201, 200, 200, 204]
    lines = trace.read_text(errors="replace").splitlines()
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert is_durable_when_answered(list(steps(lines, LOG, method))), f"{method} was answered before it was durable"


def is_durable_when_answered(seen: list[str]) -> bool:
    """Whether, after the request, the log was written and then synced before the answer went out."""
    since = seen[seen.index("received") :]
    before = since[: since.index("answered")]
    return "written" in before and before[-1] == "synced"


@pytest.mark.parametrize(
    ("between", "durable"),
    [
        (["7 pwrite64(8</d/scimgw.db-wal>, ...) = 24", "7 fdatasync(8</d/scimgw.db-wal>) = 0"], True),
        (
            [
                "7 pwrite64(8</d/scimgw.db-wal>, ...) = 24",
                "7 fdatasync(8</d/scimgw.db-wal> <unfinished ...>",
                '9 read(3</etc/hosts>, "x") = 1',
                "7 <... fdatasync resumed>) = 0",
            ],
            True,
        ),
        ([], False),
        (["7 pwrite64(8</d/scimgw.db-wal>, ...) = 24"], False),
        (["7 fdatasync(8</d/scimgw.db-wal>) = 0", "7 pwrite64(8</d/scimgw.db-wal>, ...) = 24"], False),
        (["7 pwrite64(8</d/scimgw.db-wal>, ...) = 24", "7 fdatasync(8</d/scimgw.db>) = 0"], False),
        (["7 pwrite64(8</d/scimgw.db-wal>, ...) = 24", "7 fdatasync(8</d/scimgw.db-wal>) = -1 EIO (...)"], False),
        (["7 pwrite64(8</d/scimgw.db-wal>, ...) = 24", "7 fdatasync(8</d/scimgw.db-wal> <unfinished ...>"], False),
    ],
)
def test_a_missing_or_early_sync_is_seen_in_a_trace(between: list[str], durable: bool) -> None:
    received = '9 recvfrom(15<socket:[1]>, "POST /scim/v2/Users HTTP/1.1", 262144, 0, NULL, NULL) = 700'
    answered = '9 sendto(15<socket:[1]>, "HTTP/1.1 201 Created", 1132, 0, NULL, 0) = 1132'
    seen: list[str] = list(steps([received, *between, answered], LOG, "POST"))
    assert is_durable_when_answered(seen) is durable
