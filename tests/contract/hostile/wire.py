"""HTTP by hand: requests that no client library would send, and answers read byte by byte under a time limit."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from schemas import urns

LIMIT_S: Final = 5.0
"""How long an answer may take unless a test says otherwise; what passes alone in milliseconds shares its cores here."""
SCIM_JSON: Final = "application/scim+json"
USERS: Final = "/scim/v2/Users"
ERROR_MEMBERS: Final = {"schemas", "status", "scimType", "detail", "txn"}


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: dict[str, str]
    """By name in lower case."""
    body: bytes
    seconds: float
    """From the beginning of the connection."""
    interim: tuple[int, ...] = ()
    """Statuses of the 1xx answers before it."""

    def json(self) -> Any:
        """Return the body."""
        return json.loads(self.body)


@dataclass(slots=True)
class Connection:
    """A connection to the server, with what has come in on it and was not taken yet."""

    address: tuple[str, int]
    limit_s: float = LIMIT_S
    socket: socket.socket = field(init=False)
    began: float = field(init=False)
    _buffer: bytes = b""
    _reset: bool = False

    def __post_init__(self) -> None:
        self.began = time.monotonic()
        self.socket = socket.create_connection(self.address, timeout=self.limit_s)

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.socket.close()

    def send(self, text: bytes) -> None:
        """Send as much as the server takes; it may answer and close before it has it all."""
        self.socket.settimeout(self._left())
        try:
            self.socket.sendall(text)
        except ConnectionError:
            return

    def abort(self) -> None:
        """Close with a reset, as a process does that dies with unread answers."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def answer(self, *, head: bool = False) -> Answer | None:
        """Return the next answer, or None when the server closes without one; ``head``: it has no body.

        A reset counts as none: whoever closes while more is being sent to them takes back what is not read yet.
        """
        interim: list[int] = []
        while True:
            while b"\r\n\r\n" not in self._buffer:
                if not self._receive():
                    assert self._reset or not self._buffer, f"an answer breaks off: {self._buffer[:200]!r}"
                    return None
            text, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            status, headers = _head(text)
            if status >= 200:
                break
            interim.append(status)
        length = 0 if head or status in {204, 304} else int(headers["content-length"])
        while len(self._buffer) < length:
            if not self._receive():
                assert self._reset, f"the body of an answer breaks off: {self._buffer[:200]!r}"
                return None
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return Answer(status, headers, body, time.monotonic() - self.began, tuple(interim))

    def closes(self) -> bool:
        """Tell whether the server closes the connection, within the limit, without another word."""
        try:
            while self._receive():
                pass
        except TimeoutError:
            return False
        return self._reset or not self._buffer

    def _receive(self) -> bool:
        self.socket.settimeout(self._left())
        try:
            received = self.socket.recv(1 << 18)
        except ConnectionError:
            self._reset = True
            return False
        self._buffer += received
        return bool(received)

    def _left(self) -> float:
        left = self.began + self.limit_s - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"no answer within {self.limit_s} seconds")
        return left


@dataclass(frozen=True, slots=True)
class Caller:
    """Sends requests with one token, each on a connection of its own."""

    address: tuple[str, int]
    token: str

    def raw(self, text: bytes, *, limit_s: float = LIMIT_S, head: bool = False) -> Answer | None:
        """Send these bytes and return the first answer, None for none."""
        with Connection(self.address, limit_s) as connection:
            connection.send(text)
            return connection.answer(head=head)

    def request(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: Iterable[str | bytes] = (),
        *,
        content_type: str | None = SCIM_JSON,
        limit_s: float = LIMIT_S,
    ) -> Answer:
        """Send a well-framed request and return its answer."""
        text = self.text(method, target, body, headers, content_type=content_type)
        answer = self.raw(text, limit_s=limit_s, head=method == "HEAD")
        assert answer is not None, "the connection was lost"
        return answer

    def text(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: Iterable[str | bytes] = (),
        *,
        content_type: str | None = SCIM_JSON,
        framing: str | None = None,
    ) -> bytes:
        """Return a request as it is sent; ``framing`` stands in the place of Content-Length."""
        lines: list[str | bytes] = [
            f"{method} {target} HTTP/1.1",
            "Host: gateway",
            f"Authorization: Bearer {self.token}",
        ]
        if body is not None:
            if content_type is not None:
                lines.append(f"Content-Type: {content_type}")
            lines.append(f"Content-Length: {len(body)}" if framing is None else framing)
        lines.extend(headers)
        encoded = [line if isinstance(line, bytes) else line.encode() for line in lines]
        return b"\r\n".join([*encoded, b"", b""]) + (body or b"")

    def post(self, body: bytes, headers: Iterable[str | bytes] = (), *, limit_s: float = LIMIT_S) -> Answer:
        """POST to /Users."""
        return self.request("POST", USERS, body, headers, limit_s=limit_s)

    def patch(self, resource_id: str, operations: Any, *, limit_s: float = LIMIT_S) -> Answer:
        """PATCH a user with these operations."""
        body = compact({"schemas": [urns.PATCH_OP], "Operations": operations})
        return self.request("PATCH", f"{USERS}/{resource_id}", body, limit_s=limit_s)

    def find(self, query: str) -> Answer:
        """GET /Users with this query string, as it is."""
        return self.request("GET", f"{USERS}?{query}")

    def made(self, user_name: str, **attributes: Any) -> str:
        """Create a user and return its id."""
        answer = self.post(user(user_name, **attributes))
        assert answer.status == 201, answer.body
        resource_id: str = answer.json()["id"]
        return resource_id

    def count(self) -> int:
        """Return how many users the tenant has."""
        answer = self.find("count=0")
        assert answer.status == 200, answer.body
        total: int = answer.json()["totalResults"]
        return total


def refused(answer: Answer | None, status: int, scim_type: str | None = None) -> None:
    """Check that the answer is this refusal, in the form of RFC 7644 section 3.12."""
    assert answer is not None, "the connection was lost"
    assert answer.status == status, (answer.status, answer.body[:500])
    assert answer.headers["content-type"] == SCIM_JSON, answer.headers
    error = answer.json()
    assert error["schemas"] == [urns.ERROR], error
    assert error["status"] == str(status), error
    assert error.get("scimType") == scim_type, error
    assert error["detail"], error
    assert set(error) <= ERROR_MEMBERS, error
    assert b"Traceback" not in answer.body
    assert answer.headers["x-request-id"]


def not_parsed(answer: Answer | None) -> None:
    """Check that HTTP's parser refused before routing: with 400, or by closing."""
    if answer is not None:
        assert answer.status == 400, (answer.status, answer.body[:500])
        assert b"Traceback" not in answer.body
        assert b'File "' not in answer.body


def compact(value: Any) -> bytes:
    """Return the value as JSON; lone surrogates come out escaped."""
    return json.dumps(value, separators=(",", ":")).encode()


def user(user_name: str, **attributes: Any) -> bytes:
    """Return the body of a user."""
    return compact({"schemas": [urns.USER], "userName": user_name, **attributes})


def user_with(user_name: str, members: bytes) -> bytes:
    """Return the body of a user with these members as they are, JSON or not."""
    return b'{"schemas":["%b"],"userName":"%b",%b}' % (urns.USER.encode(), user_name.encode(), members)


def chunked(*pieces: bytes) -> bytes:
    """Return the pieces as chunks, and the last chunk."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def _head(text: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = text.decode("latin-1").split("\r\n")
    version, status, *_ = first.split(" ", 2)
    assert version.startswith("HTTP/"), first
    return int(status), {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
