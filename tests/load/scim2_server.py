"""scim2-server (PyPI) as a deployment, to be compared with: its ASGI application on uvicorn, users in memory."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.load import population
from tests.load.deployments import ROOT, Running, environment, free_ports, stop, wait_ready
from tests.load.errors import BenchError
from tests.load.processes import Watched

VERSION: Final = "0.8.3"
PACKAGES: Final = (f"scim2-server=={VERSION}", "scim2-models==0.12.3", "uvicorn==0.54.0", "httptools", "uvloop")
"""Not in our lock files: nothing of ours needs them. uvicorn on its fastest loop and parser, as it would be deployed."""
HOME: Final = ROOT / "var" / f"scim2-server-{VERSION}"
"""Its virtual environment, made on first use and kept."""
INSTALL_LIMIT_S: Final = 300
APPLICATION: Final = '''\
"""scim2-server's application of its default schemas under /scim, behind one bearer token."""
import os

from scim2_models import UnauthorizedException
from scim2_server.applications.asgi import ASGIApplication
from scim2_server.memory import AsyncInMemoryStorage
from scim2_server.utils import load_default_provider

with open(os.environ["TOKEN_FILE"]) as file:
    TOKEN = "Bearer " + file.read().strip()


class Application(ASGIApplication):
    def check_auth(self, request):
        if request.header("Authorization") != TOKEN:
            raise UnauthorizedException


inner = Application(AsyncInMemoryStorage(), load_default_provider())


async def app(scope, receive, send):
    started = {}

    async def send_whole(event):
        # It sends no Content-Length, which uvicorn would make up for with chunks that the bench does not read.
        if event["type"] == "http.response.start":
            started.update(event)
            return
        if event["type"] == "http.response.body":
            length = str(len(event["body"])).encode()
            await send({**started, "headers": [*started["headers"], (b"content-length", length)]})
        await send(event)

    await inner({**scope, "root_path": "/scim"}, receive, send_whole)
'''


class Scim2Server:
    """One uvicorn process with one worker; what it stores ends with it."""

    name = "scim2-server"

    def __init__(self, directory: Path, home: Path = HOME) -> None:
        self._directory = directory
        self._home = home
        self._runs = 0

    @contextmanager
    def running(self, count: int, *, password: str = "drop", keep: bool = False) -> Iterator[Running]:
        """See ``Deployment.running``; nothing is kept, and passwords are as it has them."""
        if keep or password != "drop":
            raise NotImplementedError("scim2-server keeps nothing and knows one way with passwords")
        python = installed(self._home)
        self._runs += 1
        home = self._directory / f"scim2-server-run-{self._runs}"
        home.mkdir(parents=True)
        (home / "scim2_application.py").write_text(APPLICATION)
        token_file = home / "token"
        token_file.write_text(secrets.token_urlsafe(32))
        with _process(python, home, token_file) as (process, port):
            wait_ready(process, port, home / "server.log", route="/scim/v2/ServiceProviderConfig")
            running = Running(
                port=port,
                admin_port=port,
                token_file=token_file,
                population_file=home / "population.txt",
                population=count,
                watched=(Watched(self.name, process.pid),),
                directory=home,
                ours=False,
            )
            users = population.load(running.port, running.token, count, limit_s=60 + count / 50)
            population.write_file(running.population_file, users)
            yield running

    def close(self) -> None:
        """See ``Deployment.close``: nothing does."""


@contextmanager
def _process(python: Path, home: Path, token_file: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    (port,) = free_ports(1)
    with (home / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [
                *(str(python), "-m", "uvicorn", "scim2_application:app", "--host", "127.0.0.1", "--port", str(port)),
                *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"),
            ],
            cwd=home,
            env={**environment(), "TOKEN_FILE": str(token_file)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process, port
    finally:
        stop(process)


def installed(home: Path, packages: Sequence[str] = PACKAGES) -> Path:
    """Return the Python that has the packages, installing them first where it must. Raises BenchError with the remedy."""
    python, mark = home / "bin" / "python", home / "installed"
    if mark.exists() and mark.read_text().split() == list(packages):
        return python
    print(f"bench: installing {' '.join(packages)} into {home.name} …", file=sys.stderr, flush=True)
    shutil.rmtree(home, ignore_errors=True)
    for command in (
        [sys.executable, "-m", "venv", str(home)],
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages],
    ):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_LIMIT_S, check=False)
            code, said = done.returncode, done.stderr
        except (OSError, subprocess.TimeoutExpired) as failure:
            code, said = -1, type(failure).__name__
        if code != 0:
            shutil.rmtree(home, ignore_errors=True)
            last = next((line.strip() for line in reversed(said.splitlines()) if line.strip()), f"code {code}")
            raise BenchError(
                f"--against needs {packages[0]} from a Python package index, and pip could not install it: {last} "
                "(set PIP_INDEX_URL to an index that can be reached, or leave --against out)"
            )
    mark.write_text(" ".join(packages))
    return python
