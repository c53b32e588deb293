"""``scimgw serve``: the embedded mode, everything in one process; the composition root of it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from consumers.apply import ApplyLoop, straight_to
from consumers.backends.sqlite import open_embedded
from consumers.backends.sqlite_remembering import minted_by
from consumers.embedded import LocalCommands
from consumers.metrics import Metrics
from consumers.settings import Settings
from gateway import logs
from gateway.app import admin_app, main_app
from gateway.first_start import FirstStart, prepare
from gateway.front import SCIM_BASE, Front, new_id
from gateway.listening import cut, listen, runner, tls_context
from gateway.passwords import PasswordHasher
from gateway.tenants import Tenants, load_tenants, require_token
from gateway.tenants_watch import TenantsWatch
from schemas import urns

logger = logging.getLogger("scimgw")

DRAIN_S: Final = 10.0
"""How long requests in flight have after SIGTERM; what is left then is answered 503 with its txn."""
SWITCH_S: Final = 0.0005
"""How long the interpreter lets one thread run before another gets its turn: the writer thread waits that long at most."""


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code. Raises OperatorError when it cannot start."""
    logs.configure()
    sys.setswitchinterval(SWITCH_S)
    with prepare(settings.data) as directory:
        tenants = load_tenants(directory.tenants_file, settings.secret)
        require_token(tenants, directory.tenants_file, time.time())
        # What is loaded by now stays for good: the collector need not look at it again, nor so often at requests,
        # which are freed without it.
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner_:
            return runner_.run(_serve(settings, directory, tenants))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's factory where there is a uvloop: not on PyPy."""
    try:
        import uvloop  # noqa: PLC0415 - not everywhere
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _serve(settings: Settings, directory: FirstStart, tenants: Tenants) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with contextlib.AsyncExitStack() as stack:
        front, commands = await _open(stack, settings, directory.database, tenants)
        await _watch_tenants(stack, front, directory.tenants_file, settings.secret)
        serving = runner(main_app(front), DRAIN_S + 1)
        await serving.setup()
        stack.push_async_callback(serving.cleanup)
        tls = tls_context(settings.http.tls_cert_file, settings.http.tls_key_file)
        server = await listen(serving, settings.http.host, settings.http.port, tls=tls)
        stack.push_async_callback(_closed, server)
        await _serve_admin(stack, settings, front)
        host, port = server.sockets[0].getsockname()[:2]
        _announce(settings, directory, tenants, host, port)
        await stopping.wait()
        front.draining = True
        logger.info("draining", extra={"action": "drain", "in_flight": len(commands)})
        server.close()
        abandoning = loop.call_later(DRAIN_S, commands.abandon)
        cutting = loop.call_later(DRAIN_S + 1, cut, serving)  # aiohttp would wait for who does not read its answer
        await serving.cleanup()
        abandoning.cancel()
        cutting.cancel()
    logger.info("stopped", extra={"action": "stop"})
    return 0


async def _open(
    stack: contextlib.AsyncExitStack, settings: Settings, database: Path, tenants: Tenants
) -> tuple[Front, LocalCommands]:
    """Open the store and start what applies commands to it."""
    gateway, metrics = new_id(), Metrics()
    embedded = await stack.enter_async_context(
        open_embedded(
            database, gateway=gateway, retention_days=settings.events.retention_days, fresh=minted_by(gateway)
        )
    )
    commands = LocalCommands(metrics, embedded.store.mark_unseen)
    applying = ApplyLoop(commands, embedded.store, straight_to(embedded.store), metrics=metrics, issuer=settings.issuer)
    for name, work in (("apply", applying.run()), ("sweep", commands.sweep())):
        await stack.enter_async_context(_background(name, work))
    passwords = PasswordHasher()
    stack.callback(passwords.close)
    front = Front(
        submitter=commands,
        reader=embedded.reader,
        metrics=metrics,
        passwords=passwords,
        tenants=tenants,
        gateway=gateway,
        public_url=settings.http.public_url,
        budget_ms=int(settings.http.budget_s * 1000),
        max_body=settings.http.max_body,
    )
    return front, commands


async def _watch_tenants(stack: contextlib.AsyncExitStack, front: Front, path: Path, secret: str) -> None:
    def changed(tenants: Tenants) -> None:
        front.tenants = tenants

    watch = TenantsWatch(path, front.tenants, changed, secret=secret)
    await stack.enter_async_context(_background("tenants", watch.run()))


async def _serve_admin(stack: contextlib.AsyncExitStack, settings: Settings, front: Front) -> None:
    """Listen on the operators' port, where there is one; it answers until everything else has stopped."""
    if settings.admin.address is None:
        return
    admin = web.AppRunner(
        admin_app(front), access_log=None, handle_signals=False, auto_decompress=False, keepalive_timeout=30
    )
    await admin.setup()
    stack.push_async_callback(admin.cleanup)
    server = await listen(admin, *settings.admin.address)
    stack.push_async_callback(_closed, server)


async def _closed(server: asyncio.Server) -> None:
    server.close()


@contextlib.asynccontextmanager
async def _background(name: str, work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run a task that never ends by itself; should it, the process ends: half a gateway is worse than none."""
    task: asyncio.Task[None] = asyncio.create_task(work, name=name)
    task.add_done_callback(_died)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _died(task: asyncio.Task[None]) -> None:
    if task.cancelled():
        return
    logger.critical("a task that must not end has ended", exc_info=task.exception(), extra={"action": task.get_name()})
    signal.raise_signal(signal.SIGTERM)


def _announce(settings: Settings, directory: FirstStart, tenants: Tenants, host: str, port: int) -> None:
    """Say where the server is, where the token is, and a line that works when pasted."""
    scheme = "https" if settings.http.tls_cert_file else "http"
    shown = f"[{host}]" if ":" in host else host
    url = f"{scheme}://{shown}:{port}{SCIM_BASE}"
    print(f"SCIM 2.0 at {url}", flush=True)
    token_file = directory.working_token_file(tenants)
    if token_file is None:
        print(f"Tokens are in {directory.tenants_file}, as hashes; use yours.", flush=True)
        return
    print(f"The token is in {token_file}. Try it in another shell:\n", flush=True)
    random = '$(od -An -N4 -tx4 /dev/urandom | tr -d " ")'
    user = f'{{"schemas":["{urns.USER}"],"userName":"ann-\'{random}\'"}}'
    print(
        f"  curl -i {url}/Users -H \"Authorization: Bearer $(cat '{token_file}')\" "
        f"-H 'Content-Type: application/scim+json' -d '{user}'\n",
        flush=True,
    )
