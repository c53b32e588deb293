"""A server for the bench's own tests: HTTP/1.1 with keep-alive in a thread, answers given by a function."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

Answering = Callable[[str, str, bytes], tuple[int, bytes]]
"""Method, target, body → status, body."""


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    answering: Answering


class _Client(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while line := self.rfile.readline():
            method, target, _ = line.decode().split(" ")
            length = 0
            while header := self.rfile.readline().strip():
                name, _, value = header.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            status, body = cast("_Server", self.server).answering(method, target, self.rfile.read(length))
            self.wfile.write(b"HTTP/1.1 %d Said\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body)


@contextmanager
def stub_server(answering: Answering) -> Iterator[int]:
    """Serve on the loopback and yield the port."""
    with _Server(("127.0.0.1", 0), _Client) as server:
        server.answering = answering
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, name="stub-server")
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
