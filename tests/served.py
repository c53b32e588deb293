"""A running gateway for tests over HTTP: tenants with tokens, callers that check what every answer must have.

The tests know only ``Service``; another mode is another subclass of it.
"""

from __future__ import annotations

import copy
import hashlib
import json as json_text
import os
import re
import secrets
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx2

from schemas import urns

SCIM_JSON: Final = "application/scim+json"
START_LIMIT_S: Final = 30.0
STOP_LIMIT_S: Final = 20.0
CHECKED_METHODS: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})

TENANTS: Final[dict[str, str]] = {
    "rfc": "",
    "other": "",
    "entra": 'profile = "entra"',
    "okta": 'profile = "okta"',
    "onelogin": 'profile = "onelogin"',
    "strict": "rules = { strict_attributes = true, strict_formats = true, strict_extensions = true }",
    "argon": 'password = "argon2id"',
    "nocontent": "rules = { patch_no_content = true }",
    "ifmatch": "rules = { require_if_match = true }",
    "preserving": f'rules = {{ put_preserves = ["nickName", "name.middleName", "{urns.ENTERPRISE_USER}:department"] }}',
    "oracle": 'dialects = ["oracle_cpq"]',
    "scim2": 'dialects = ["scim2"]',
    "lists": "",
    "empty": "",
    "judged": "",
    "judged-argon": 'password = "argon2id"',
    "model": "",
    "model-other": "",
    "hostile": "",
}
"""Tenant → its lines in the tenants file. Some belong to one test module alone, which counts what it finds there."""

TOKENS: Final[dict[str, tuple[str, str]]] = {
    **{name: (name, "") for name in TENANTS},
    "rfc-second": ("rfc", ""),
    "rfc-expired": ("rfc", "expires = 2020-01-01T00:00:00Z"),
}
"""Token's name → its tenant, and what else its table holds."""


class Scim:
    """A caller with one token; each of its answers is held to what all answers have in common."""

    def __init__(self, base_url: str, token: str | None, timeout: float = 30.0) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self.base_url = base_url
        self.check: Callable[[str, httpx2.Response], None] = check_answer
        self.http = httpx2.Client(base_url=base_url, headers=headers, timeout=timeout, trust_env=False)

    def request(
        self,
        method: str,
        path: str,
        json: Any = None,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str | bytes] | None = None,
        params: Mapping[str, str | int] | None = None,
    ) -> httpx2.Response:
        """Send one request; ``path`` is below the base URL, ``json`` goes as ``application/scim+json``."""
        sent: dict[str, Any] = dict(headers or {})
        if json is not None:
            content = json_text.dumps(json).encode()
        if content is not None:
            sent.setdefault("Content-Type", SCIM_JSON)
        url = path if path.startswith("http") else f"{self.base_url}{path}"
        answer = self.http.request(method, url, content=content, headers=sent, params=params)
        self.check(method, answer)
        return answer

    def get(self, path: str, headers: Mapping[str, str] | None = None, **params: str | int) -> httpx2.Response:
        return self.request("GET", path, headers=headers, params=params or None)

    def post(self, path: str, json: Any, headers: Mapping[str, str] | None = None, **params: str) -> httpx2.Response:
        return self.request("POST", path, json, headers=headers, params=params or None)

    def put(self, path: str, json: Any, headers: Mapping[str, str] | None = None, **params: str) -> httpx2.Response:
        return self.request("PUT", path, json, headers=headers, params=params or None)

    def delete(self, path: str, headers: Mapping[str, str] | None = None) -> httpx2.Response:
        return self.request("DELETE", path, headers=headers)

    def patch(
        self, path: str, *operations: dict[str, Any], headers: Mapping[str, str] | None = None, **params: str
    ) -> httpx2.Response:
        """PATCH with these operations."""
        return self.request("PATCH", path, patch_op(*operations), headers=headers, params=params or None)

    def find(self, filter_text: str) -> Any:
        """Return the ListResponse of ``GET /Users`` with a filter."""
        answer = self.get("/Users", filter=filter_text)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def made(self, user_name: str | None = None, **attributes: Any) -> Any:
        """Create a user and return it."""
        answer = self.post("/Users", user(user_name, **attributes))
        assert answer.status_code == 201, answer.text
        return answer.json()

    def read(self, resource_id: str) -> Any:
        """Return the user as ``GET`` shows it."""
        answer = self.get(f"/Users/{resource_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def patched(self, resource_id: str, *operations: dict[str, Any]) -> Any:
        """PATCH a user and return it as it is then."""
        answer = self.patch(f"/Users/{resource_id}", *operations)
        assert answer.status_code == 200, answer.text
        return answer.json()


class Service(ABC):
    """A running gateway with the tenants of ``TENANTS``; what a test may know of it."""

    origin: str
    """``http://host:port``."""
    admin: str
    """The operators' port, likewise."""
    tokens: dict[str, str]

    def __init__(self) -> None:
        self._callers: dict[tuple[str, str], Scim] = {}

    @property
    def base_url(self) -> str:
        """Where SCIM is served."""
        return f"{self.origin}/scim/v2"

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, for what no HTTP client would send."""
        host, _, port = self.origin.removeprefix("http://").partition(":")
        return host, int(port)

    def caller(self, token: str = "rfc") -> Scim:
        """Return the caller who uses the token of this name."""
        return self._caller("token", self.tokens[token])

    def stranger(self, token: str = "") -> Scim:
        """Return a caller with a token of its own making, or none."""
        return self._caller("stranger", token)

    def speaking(self, check: Callable[[str, httpx2.Response], None], token: str = "rfc") -> Scim:
        """Return the caller with this token whose answers are held to another form than SCIM's; no need to keep it."""
        caller = copy.copy(self.caller(token) if token in self.tokens else self.stranger(token))
        caller.check = check
        return caller

    def _caller(self, kind: str, token: str) -> Scim:
        if (kind, token) not in self._callers:
            self._callers[kind, token] = Scim(self.base_url, token or None)
        return self._callers[kind, token]

    def hang_up(self) -> None:
        """Close all callers' connections."""
        for caller in self._callers.values():
            caller.http.close()
        self._callers.clear()

    def metrics(self) -> str:
        """Return what Prometheus would scrape."""
        with urllib.request.urlopen(f"{self.admin}/metrics", timeout=10) as answer:
            text: str = answer.read().decode()
        return text

    def events_of(self, tenant: str, resource_id: str) -> list[dict[str, Any]]:
        """Return the events of one resource, in order, as ``events`` does."""
        return [event for event in self.events(tenant) if event["key"] == f"{tenant}/{resource_id}"]

    @abstractmethod
    def events(self, tenant: str) -> list[dict[str, Any]]:
        """Return the tenant's events as ``scimgw events --meta`` prints them."""

    @abstractmethod
    def kept(self) -> bytes:
        """Return everything that the service has written anywhere: state, events, logs."""

    @abstractmethod
    def stalled(self) -> Any:
        """Return a context manager inside which nothing becomes durable, while the gateway goes on answering."""


class Embedded(Service):
    """``scimgw serve`` in a directory of its own."""

    def __init__(self, directory: Path, environment: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.directory = directory
        self._environment = {**clean_environment(), **(environment or {})}
        self.tokens = {name: f"scimgw_{secrets.token_urlsafe(32)}" for name in TOKENS}
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "tenants.toml").write_text(tenants_file(self.tokens))
        self._log = directory / "log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The server's process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the server and wait until it is ready."""
        self.hang_up()
        admin_port = free_port()
        self.admin = f"http://127.0.0.1:{admin_port}"
        command = [sys.executable, "-m", "gateway.cli", "serve", "--port", "0", "--data", str(self.directory)]
        announced = self.directory / "announced"
        with announced.open("wb") as out, self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--admin", f"127.0.0.1:{admin_port}"], stdout=out, stderr=log, env=self._environment
            )
        self.origin = self._announced(announced)

    def _announced(self, announced: Path) -> str:
        deadline = time.monotonic() + START_LIMIT_S
        assert self._process is not None
        while time.monotonic() < deadline:
            found = re.search(r"http://127\.0\.0\.1:\d+", announced.read_text())
            if found:
                return found[0]
            if self._process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"the server did not start:\n{self._log.read_text()}")

    def stop(self) -> int:
        """Hang up, send SIGTERM and return the exit code."""
        self.hang_up()
        return self.terminate()

    def terminate(self) -> int:
        """Send SIGTERM and return the exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(STOP_LIMIT_S)

    def kill(self) -> None:
        """Send SIGKILL."""
        assert self._process is not None
        self.hang_up()
        self._process.kill()
        self._process.wait(STOP_LIMIT_S)

    def events(self, tenant: str) -> list[dict[str, Any]]:
        printed = self.command("events", "--meta", "--tenant", tenant)
        return [json_text.loads(line) for line in printed.split("\n")[:-1]]

    def command(self, *arguments: str) -> str:
        """Run ``scimgw`` on the same data and return what it prints."""
        done = subprocess.run(
            [sys.executable, "-m", "gateway.cli", *arguments, "--data", str(self.directory)],
            env=self._environment,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def kept(self) -> bytes:
        written = (path for path in sorted(self.directory.rglob("*")) if path.is_file())
        return b"".join(path.read_bytes() for path in written)

    def log(self) -> str:
        """Return what the server has logged."""
        return self._log.read_text()

    @contextmanager
    def stalled(self) -> Iterator[None]:
        blocker = sqlite3.connect(self.directory / "scimgw.db", isolation_level=None, timeout=10)
        try:
            # SQLite lets one write at a time: while we are the one, nobody else's transaction begins.
            blocker.execute("BEGIN IMMEDIATE")
            yield
        finally:
            blocker.close()


@contextmanager
def serving(directory: Path, environment: Mapping[str, str] | None = None) -> Iterator[Embedded]:
    """Serve from a directory for the length of a block."""
    service = Embedded(directory, environment)
    service.start()
    try:
        yield service
    finally:
        if service._process is not None and service._process.poll() is None:
            assert service.stop() == 0


def check_answer(method: str, answer: httpx2.Response) -> None:
    """Check what every answer has: ids of request and change, SCIM's Error, an ETag that is ``meta.version``."""
    status, headers = answer.status_code, answer.headers
    assert headers.get("X-Request-Id"), answer
    if method in CHECKED_METHODS:
        assert headers.get("Scim-Txn"), answer
    if status >= 400:
        check_error(answer)
        return
    if status in {204, 304} or method == "HEAD":
        assert answer.content == b""
        return
    media_type = headers["Content-Type"].partition(";")[0]
    assert media_type in {SCIM_JSON, "application/json"}, answer
    body = answer.json()
    assert "password" not in body, "passwords are returned never"
    # A repeat has the ETag of the first answer, and shows the user as it is now: of a create's it is known.
    if method == "POST" and "ETag" in headers:
        assert headers["ETag"] == 'W/"1"', answer
    elif "ETag" in headers and "version" in body.get("meta", {}) and "Idempotency-Key" not in answer.request.headers:
        assert headers["ETag"] == body["meta"]["version"], answer


def check_error(answer: httpx2.Response) -> None:
    """Check the form of an error (RFC 7644 section 3.12)."""
    status, headers = answer.status_code, answer.headers
    assert headers["Content-Type"].partition(";")[0] == SCIM_JSON, answer.text
    if answer.request.method == "HEAD":
        return
    body = answer.json()
    assert body["schemas"] == [urns.ERROR], body
    assert body["status"] == str(status), body
    assert isinstance(body["detail"], str), body
    assert body["detail"], body
    assert set(body) <= {"schemas", "status", "scimType", "detail", "txn"}, body
    assert "Traceback" not in answer.text
    assert status in {400, 401, 403, 404, 405, 406, 408, 409, 412, 413, 415, 422, 428, 429, 501, 503}, answer.text
    if status == 401:
        assert headers["WWW-Authenticate"].startswith("Bearer"), headers
    if status in {429, 503}:
        assert int(headers["Retry-After"]) >= 1, headers


def refused(answer: httpx2.Response, status: int, scim_type: str | None = None) -> Any:
    """Check that the answer is this refusal, and return its body."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body.get("scimType") == scim_type, body
    return body


def unique(name: str = "user") -> str:
    """Return a name that nobody has."""
    return f"{name}-{uuid.uuid4().hex[:12]}"


def user(user_name: str | None = None, **attributes: Any) -> dict[str, Any]:
    """Return the body of a user; ``enterprise`` stands for the extension's URN."""
    schemas = [urns.USER]
    extension = attributes.pop("enterprise", None)
    body: dict[str, Any] = {"schemas": schemas, "userName": unique() if user_name is None else user_name, **attributes}
    if extension is not None:
        schemas.append(urns.ENTERPRISE_USER)
        body[urns.ENTERPRISE_USER] = extension
    return body


def op(verb: str, path: str | None = None, **value: Any) -> dict[str, Any]:
    """Return one PATCH operation; ``value=…`` where it has a value."""
    return {"op": verb, **({} if path is None else {"path": path}), **value}


def patch_op(*operations: dict[str, Any]) -> dict[str, Any]:
    """Return a PatchOp document."""
    return {"schemas": [urns.PATCH_OP], "Operations": list(operations)}


def tenants_file(tokens: Mapping[str, str]) -> str:
    """Return the tenants file of ``TENANTS`` with these tokens, by their names in ``TOKENS``."""
    lines = ["[server]", f'secret = "{secrets.token_urlsafe(32)}"', ""]
    for tenant, settings in TENANTS.items():
        lines += [f"[tenants.{tenant}]", settings]
        for name, (owner, more) in TOKENS.items():
            if owner == tenant:
                digest = hashlib.sha256(tokens[name].encode()).hexdigest()
                lines += [f"[[tenants.{tenant}.tokens]]", f'name = "{name}"', f'sha256 = "{digest}"', more]
    return "\n".join(lines)


def clean_environment() -> dict[str, str]:
    """Return this process's environment without settings of ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SCIMGW_")}


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
