"""A disk that is full, read-only or failing: 503 with Retry-After, nothing half done, whole again without a restart."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest

from tests.faults import bodies
from tests.faults.caller import Caller
from tests.faults.checker import check
from tests.faults.collect import final_state
from tests.faults.disks import no_room
from tests.faults.history import Intent, Recorder
from tests.faults.servers import Embedded, serving
from tests.faults.tracing import needed, without

LONG = "t" * 200_000
"""A value that fits into no file as it is: small writes find room in the write-ahead log, which is used again."""


class Client:
    """A recorded client of a server, and what is checked of it in every test here."""

    def __init__(self, server: Embedded, recorder: Recorder, caller: Caller) -> None:
        self.server = server
        self.recorder = recorder
        self.caller = caller
        self.random = Random(1)

    async def create(self, name: str, *, title: str = "one") -> tuple[int | None, str]:
        """Create a user; returns status and id."""
        body = {**bodies.user(self.random, name), "title": title}
        operation = await self.caller.call(self.server.url, Intent("create", body=body), 30)
        return operation.status, operation.resource or ""

    async def patch(self, resource: str) -> int | None:
        """Patch a user; returns the status."""
        body = bodies.patch(self.random)
        body["Operations"].append({"op": "replace", "path": "title", "value": LONG})
        return (await self.caller.call(self.server.url, Intent("patch", resource, body), 30)).status

    async def read(self, resource: str) -> int | None:
        """GET a user; returns the status."""
        return (await self.caller.call(self.server.url, Intent("read", resource), 30)).status

    async def refusal(self) -> tuple[int, Any, dict[str, Any]]:
        """POST a user; returns status, headers and body of the answer."""
        headers = {"Authorization": f"Bearer {self.server.token}", "Content-Type": "application/scim+json"}
        body = {"schemas": [bodies.USER], "userName": "refused", "title": LONG}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(f"{self.server.url}/scim/v2/Users", json=body) as response,
        ):
            return response.status, response.headers, await response.json(content_type=None)

    async def outcome(self, txn: str) -> str:
        """Return the state of a request's outcome."""
        headers = {"Authorization": f"Bearer {self.server.token}"}
        url = f"{self.server.url}/scim/v2/Outcomes/{txn}"
        async with aiohttp.ClientSession(headers=headers) as session, session.get(url) as response:
            state: str = (await response.json())["state"]
            return state

    async def assert_unbroken(self) -> None:
        """Everything recorded, the state and the events keep the promise."""
        state = await final_state([self.server.url], self.server.token, self.recorder.operations)
        events = await asyncio.to_thread(self.server.events)
        assert check(self.recorder.operations, state, events) == []


@asynccontextmanager
async def client(data: Path) -> AsyncIterator[Client]:
    recorder = Recorder()
    async with serving(data) as server, Caller("c", recorder, server.token) as caller:
        yield Client(server, recorder, caller)


async def assert_refuses_and_recovers(one: Client, fault: Any) -> None:
    """With the fault, writes are 503 and reads go on; without it the same process writes again."""
    status, ann = await one.create("ann")
    assert status == 201
    pid = one.server.pid
    with fault:
        assert await one.create("bob", title=LONG) == (503, "")
        assert await one.patch(ann) == 503
        assert await one.read(ann) == 200
        status, headers, body = await one.refusal()
        assert status == 503
        assert int(headers["Retry-After"]) > 0
        assert body["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
        assert body["status"] == "503"
        assert await one.outcome(headers["Scim-Txn"]) == "unknown"
    assert (await one.create("bob"))[0] == 201, "the name was not left reserved"
    assert await one.patch(ann) == 200
    assert one.server.pid == pid
    await one.assert_unbroken()
    one.server.kill()
    await one.server.start()
    await one.assert_unbroken()


async def test_without_room_writes_are_503_and_resume_without_a_restart(tmp_path: Path) -> None:
    async with client(tmp_path / "data") as one:
        await assert_refuses_and_recovers(one, no_room(one.server.pid))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
async def test_on_a_full_disk_writes_are_503_and_resume_without_a_restart(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    with mounted(disk):
        async with client(disk / "data") as one:
            await assert_refuses_and_recovers(one, filled(disk))


@pytest.mark.parametrize(
    ("calls", "error"),
    [("pwrite64,pwritev,write", "EROFS"), ("pwrite64", "ENOSPC"), ("fdatasync,fsync", "EIO")],
)
async def test_when_the_log_cannot_be_written_or_synced_nothing_is_acknowledged(
    tmp_path: Path, calls: str, error: str
) -> None:
    async with client(tmp_path / "data") as one:
        await assert_refuses_and_recovers(one, failing(one.server, calls, error))


@contextmanager
def mounted(disk: Path) -> Iterator[None]:
    """Mount a disk of 16 MiB there."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "none", str(disk)], capture_output=True, check=False
    )
    if done.returncode:
        # Root in a container often may not mount; the same is then shown by the limit on file sizes alone.
        pytest.skip(f"mount: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Within the block no byte is free on the disk."""
    ballast = disk / "ballast"
    descriptor = os.open(ballast, os.O_CREAT | os.O_WRONLY)
    try:
        for block in (65536, 4096, 1):
            try:
                while os.write(descriptor, bytes(block)):
                    pass
            except OSError:
                continue
        yield
    finally:
        os.close(descriptor)
        ballast.unlink()


@contextmanager
def failing(server: Embedded, calls: str, error: str) -> Iterator[None]:
    """Within the block these calls on the write-ahead log fail with this error; strace makes them."""
    needed("strace")
    log = server.data / "scimgw.db-wal"
    trace = server.data.parent / "trace"
    inject = ["-e", f"trace={calls}", "-e", f"inject={calls}:error={error}", "-P", str(log)]
    command = ["strace", "-f", "-o", str(trace), *inject, "-p", str(server.pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as tracer:
        assert tracer.stderr is not None
        said = tracer.stderr.readline().decode()
        if "attached" not in said:
            tracer.wait()
            without(f"strace cannot attach to a process here: {said.strip()}")
        try:
            yield
        finally:
            tracer.terminate()
            tracer.wait()
    assert f"{error} " in trace.read_text(errors="replace"), "the fault struck nothing"
