"""One client: sends requests over kept connections, notes exactly what it saw of each."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import msgspec

from tests.faults.evidence import etag_version
from tests.faults.history import Intent, Operation, Recorder

MEDIA_TYPE: Final = "application/scim+json"
_METHODS: Final = {
    "create": "POST",
    "replace": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
    "read": "GET",
    "find": "GET",
}


class Caller:
    """A client of one or more gateways; every call is recorded, none is ever repeated behind the recorder's back."""

    def __init__(self, name: str, recorder: Recorder, token: str, *, tenant: str = "default") -> None:
        self.name = name
        self.tenant = tenant
        self._recorder = recorder
        headers = {"Authorization": f"Bearer {token}", "Accept": MEDIA_TYPE}
        self._session = aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=None))
        # aiohttp sends PUT and DELETE again by itself when a kept connection turns out to be dead. The first may have
        # taken effect, and the recorder would show one request where the server saw two.
        self._session._retry_connection = False

    async def __aenter__(self) -> Caller:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def call(self, gateway: str, intent: Intent, patience_s: float) -> Operation:
        """Send one request, wait for the answer at most so long, record and return what came of it."""
        number, invoked_at = self._recorder.begin(intent.verb)
        # Until the answer is whole it is an unanswered request.
        seen: dict[str, Any] = {}
        try:
            async with asyncio.timeout(patience_s):
                seen = await self._exchange(gateway, intent)
        except aiohttp.ClientConnectorError:
            seen = {"sent": False}
        except TimeoutError:
            seen = {"gave_up": True}
        except (aiohttp.ClientError, ConnectionError, msgspec.DecodeError):
            pass
        finally:
            operation = Operation(
                number=number,
                client=self.name,
                gateway=gateway,
                tenant=self.tenant,
                verb=intent.verb,
                invoked_at=invoked_at,
                returned_at=time.monotonic_ns(),
                resource=seen.pop("resource", None) or intent.resource,
                name=intent.name,
                body=intent.body,
                if_match=intent.if_match,
                key=intent.key,
                **seen,
            )
            self._recorder.record(operation)
        return operation

    async def _exchange(self, gateway: str, intent: Intent) -> dict[str, Any]:
        url = f"{gateway}/scim/v2/Users"
        if intent.verb == "find":
            url += "?filter=" + quote(f'userName eq "{intent.name}"')
        elif intent.resource is not None:
            url += f"/{intent.resource}"
        headers: dict[str, str] = {}
        content = None
        if intent.body is not None:
            headers["Content-Type"] = MEDIA_TYPE
            content = msgspec.json.encode(intent.body)
        if intent.if_match is not None:
            headers["If-Match"] = f'W/"{intent.if_match}"'
        if intent.key is not None:
            headers["Idempotency-Key"] = intent.key
        async with self._session.request(_METHODS[intent.verb], url, data=content, headers=headers) as response:
            raw = await response.read()
            answer = msgspec.json.decode(raw) if raw else None
            location = response.headers.get("Location")
            succeeded = response.status < 300
            resource = None
            if intent.verb == "create" and succeeded:
                resource = location.rpartition("/")[2] if location else (answer or {}).get("id")
            return {
                "resource": resource,
                "status": response.status,
                "version": etag_version(response.headers.get("ETag")) if succeeded else None,
                "txn": response.headers.get("Scim-Txn"),
                "location": location,
                "answer": answer,
            }
