"""A caller of a dialect's routes, whose answers are held to the dialect's own form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import httpx2
import msgspec

from tests.served import Service


class DialectCaller:
    """Speaks one dialect with one token; ``check`` is given each request's method and answer."""

    def __init__(self, service: Service, check: Callable[[str, httpx2.Response], None], token: str) -> None:
        self.origin = service.origin
        self._scim = service.speaking(check, token)

    def request(
        self,
        method: str,
        path: str,
        json: Any = None,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        """Send one request; ``path`` is behind the origin or a whole URL, a body goes as ``application/json``."""
        if json is not None:
            content = msgspec.json.encode(json)
        sent = {} if content is None else {"Content-Type": "application/json"}
        url = self.origin + path.removeprefix(self.origin)
        return self._scim.request(method, url, content=content, headers={**sent, **(headers or {})})
