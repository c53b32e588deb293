"""``scimgw serve``: the embedded mode, everything in one process; the composition root of it."""

from __future__ import annotations

import contextlib
import logging
import time
from functools import partial
from pathlib import Path

from consumers.apply import ApplyLoop, straight_to
from consumers.backends.sqlite import open_embedded
from consumers.backends.sqlite_outcomes import OutcomeBound
from consumers.backends.sqlite_remembering import minted_by
from consumers.embedded import LocalCommands
from consumers.metrics import Metrics
from consumers.settings import Settings
from gateway import process
from gateway.app import admin_app
from gateway.first_start import FirstStart, prepare
from gateway.front import SCIM_BASE, Front, new_id
from gateway.passwords import PasswordHasher
from gateway.tenants import Tenants, load_tenants, require_token
from schemas import urns

logger = logging.getLogger("scimgw")


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code. Raises OperatorError when it cannot start."""
    process.prepare_interpreter()
    with prepare(settings.data) as directory:
        tenants = load_tenants(directory.tenants_file, settings.secret)
        require_token(tenants, directory.tenants_file, time.time())
        return process.run_loop(_serve(settings, directory, tenants))


async def _serve(settings: Settings, directory: FirstStart, tenants: Tenants) -> int:
    stopping = process.stop_signal()
    async with contextlib.AsyncExitStack() as stack:
        front, commands = await _open(stack, settings, directory.database, tenants)
        await process.watch_tenants(stack, front, directory.tenants_file, settings.secret)
        serving, server = await process.serve_main(stack, settings.http, front)
        await process.serve_admin(stack, settings.admin, admin_app(front))
        host, port = server.sockets[0].getsockname()[:2]
        _announce(settings, directory, tenants, host, port)
        await stopping.wait()
        await process.drain(front, commands, serving, server)
    logger.info("stopped", extra={"action": "stop"})
    return 0


async def _open(
    stack: contextlib.AsyncExitStack, settings: Settings, database: Path, tenants: Tenants
) -> tuple[Front, LocalCommands]:
    """Open the store and start what applies commands to it."""
    gateway, metrics = new_id(), Metrics()
    embedded = await stack.enter_async_context(
        open_embedded(
            database,
            gateway=gateway,
            retention_days=settings.events.retention_days,
            fresh=minted_by(gateway),
            bound=OutcomeBound(settings.outcomes, partial(metrics.outcomes_held, 0)),
        )
    )
    commands = LocalCommands(metrics, embedded.store.mark_unseen)
    applying = ApplyLoop(commands, embedded.store, straight_to(embedded.store), metrics=metrics, issuer=settings.issuer)
    for name, work in (("apply", applying.run(commands)), ("sweep", commands.sweep())):
        await stack.enter_async_context(process.background(name, work))
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
