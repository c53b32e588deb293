"""What every process that serves has in common: its loop, its tasks, its ports, and how it stops."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, Final, Protocol

from aiohttp import web

from consumers.settings import AdminSettings, HttpSettings
from gateway import logs
from gateway.app import main_app
from gateway.front import Front
from gateway.listening import cut, listen, runner, tls_context
from gateway.tenants import Tenants
from gateway.tenants_watch import TenantsWatch

logger = logging.getLogger("scimgw")

DRAIN_S: Final = 10.0
"""How long requests in flight have after SIGTERM; what is left then is answered 503 with its txn."""
LINGER_S: Final = 2.0
"""How long callers with a kept connection have to be told, by an answer, that it ends. A connection that is closed
without a word may have a request on its way, and who sent that does not know what became of it."""
LINGER_LOOK_S: Final = 0.02
SWITCH_S: Final = 0.0005
"""How long the interpreter lets one thread run before another gets its turn: a writer thread waits that long at most."""


class InFlight(Protocol):
    """What a process has accepted and not answered."""

    def __len__(self) -> int:
        """Return how much it is."""
        ...

    def abandon(self) -> None:
        """Answer all of it now."""
        ...


def prepare_interpreter() -> None:
    """Send logs to standard error, and set the interpreter up for serving (decision 6)."""
    logs.configure()
    sys.setswitchinterval(SWITCH_S)


def run_loop(serving: Coroutine[Any, Any, int]) -> int:
    """Run a process's one coroutine, with uvloop where there is one, and return what it returns."""
    # What is loaded by now stays for good: the collector need not look at it again, nor so often at requests,
    # which are freed without it.
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner_:
        return runner_.run(serving)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's factory where there is a uvloop: not on PyPy."""
    try:
        import uvloop  # noqa: PLC0415 - not everywhere
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def stop_signal() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    return stopping


async def serve_main(
    stack: contextlib.AsyncExitStack, settings: HttpSettings, front: Front, *, reuse_port: bool = False
) -> tuple[web.AppRunner, asyncio.Server]:
    """Listen on the main port; see ``drain`` for how it ends."""
    serving = runner(main_app(front), DRAIN_S + 1)
    await serving.setup()
    stack.push_async_callback(serving.cleanup)
    tls = tls_context(settings.tls_cert_file, settings.tls_key_file)
    server = await listen(serving, settings.host, settings.port, tls=tls, reuse_port=reuse_port)
    stack.push_async_callback(_closed, server)
    return serving, server


async def drain(front: Front, in_flight: InFlight, serving: web.AppRunner, server: asyncio.Server) -> None:
    """Take no more connections, and wait for the requests in flight within DRAIN_S."""
    front.readiness.draining = True
    logger.info("draining", extra={"action": "drain", "in_flight": len(in_flight)})
    server.close()
    loop = asyncio.get_running_loop()
    abandoning = loop.call_later(DRAIN_S, in_flight.abandon)
    cutting = loop.call_later(DRAIN_S + 1, cut, serving)  # aiohttp would wait for who does not read its answer
    until = loop.time() + LINGER_S
    while serving.server is not None and serving.server.connections and loop.time() < until:  # noqa: ASYNC110 - no event
        await asyncio.sleep(LINGER_LOOK_S)
    await serving.cleanup()
    abandoning.cancel()
    cutting.cancel()


async def serve_admin(stack: contextlib.AsyncExitStack, settings: AdminSettings, app: web.Application) -> None:
    """Listen on the operators' port, where there is one; it answers until everything else has stopped."""
    if settings.address is None:
        return
    admin = web.AppRunner(app, access_log=None, handle_signals=False, auto_decompress=False, keepalive_timeout=30)
    await admin.setup()
    stack.push_async_callback(admin.cleanup)
    server = await listen(admin, *settings.address)
    stack.push_async_callback(_closed, server)


async def watch_tenants(stack: contextlib.AsyncExitStack, front: Front, path: Path, secret: str) -> None:
    """Keep the tenants as the file says, as long as the stack is open."""

    def changed(tenants: Tenants) -> None:
        front.tenants = tenants

    watch = TenantsWatch(path, front.tenants, changed, secret=secret)
    await stack.enter_async_context(background("tenants", watch.run()))


@contextlib.asynccontextmanager
async def background(name: str, work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
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


async def _closed(server: asyncio.Server) -> None:
    server.close()
