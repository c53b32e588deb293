"""The main port's socket: how many connections it takes, and how long an idle one may stay."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Final

from aiohttp import web

from consumers.errors import OperatorError

MOST_CONNECTIONS: Final = 4096
"""More are closed as they come: each costs memory before it has said a word."""
KEEP_ALIVE_S: Final = 30.0
"""Also the longest that a request's headers may take: aiohttp has no other limit for them."""
STALLED_S: Final = 30.0
"""How long a caller may read nothing of its answer, which stays in memory until then (on Linux)."""


class _Refused(asyncio.Protocol):
    """Closes the connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def runner(app: web.Application, drain_s: float, *, keep_alive_s: float = KEEP_ALIVE_S) -> web.AppRunner:
    """Return the runner of an application; requests in flight have ``drain_s`` seconds when it stops."""
    return web.AppRunner(
        app,
        access_log=None,
        handle_signals=False,
        handler_cancellation=False,
        auto_decompress=False,  # gateway.bodies does it, within limits
        keepalive_timeout=keep_alive_s,
        shutdown_timeout=drain_s,
    )


async def listen(
    running: web.AppRunner,
    host: str,
    port: int,
    *,
    tls: ssl.SSLContext | None = None,
    reuse_port: bool = False,
    stalled_s: float = STALLED_S,
) -> asyncio.Server:
    """Listen on ``host:port`` and serve with at most ``MOST_CONNECTIONS`` connections.

    Raises OperatorError when the address cannot be had.
    """
    server = running.server
    if server is None:
        raise RuntimeError("set the runner up before it listens")

    def protocol() -> asyncio.BaseProtocol:
        return _Refused() if len(server.connections) >= MOST_CONNECTIONS else server()

    try:
        listening = await asyncio.get_running_loop().create_server(
            protocol, host, port, ssl=tls, backlog=1024, reuse_port=reuse_port or None
        )
    except OSError as error:
        reason = "is in use" if error.errno in {98, 48} else f"cannot be had ({error.strerror})"
        raise OperatorError(f"port {port} on {host} {reason}; give another by --port") from None
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        for each in listening.sockets:  # The sockets of its connections inherit it.
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(stalled_s * 1000))
    return listening


def cut(running: web.AppRunner) -> None:
    """Close every connection at once: what its caller has not read by now is lost."""
    for connection in running.server.connections if running.server is not None else ():
        if connection.transport is not None:
            connection.transport.abort()


def tls_context(cert_file: str, key_file: str) -> ssl.SSLContext | None:
    """Return the TLS settings of the main port (TLS 1.2 or newer), or None where there is no certificate."""
    if not cert_file:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(cert_file, key_file)
    except (OSError, ssl.SSLError) as error:
        raise OperatorError(
            f"http.tls_cert_file and http.tls_key_file do not make a pair that can be used: {error}"
        ) from None
    return context
