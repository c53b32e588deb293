"""Reads the tenants file again when it changes, and keeps the running snapshot when the new text has a mistake."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from consumers.errors import SettingsError
from gateway.tenants import Tenants, load_tenants

_log: Final = logging.getLogger("scimgw.tenants")
_Mark = tuple[int, int, int, int]


class TenantsWatch:
    """Looks at the file every ``interval_s`` seconds; ``on_change`` gets each new snapshot, on the loop.

    A revoked token must fail within 5 seconds (``faults.md``, token theft), so a second is the default.
    """

    def __init__(
        self,
        path: str | Path,
        running: Tenants,
        on_change: Callable[[Tenants], None],
        *,
        secret: str = "",
        interval_s: float = 1.0,
    ) -> None:
        self._path = Path(path)
        self._running = running
        self._on_change = on_change
        self._secret = secret
        self._interval_s = interval_s
        self._seen: _Mark | None = None

    async def run(self) -> None:
        """Watch until cancelled. The first look always reads: the file may have changed since the server began."""
        first = True
        while True:
            if first or await asyncio.to_thread(_mark, self._path) != self._seen:
                first = False
                await self._read()
            await asyncio.sleep(self._interval_s)

    async def _read(self) -> None:
        try:
            # The mark is taken before the content: a write that falls between the two is seen at the next look.
            self._seen = await asyncio.to_thread(_mark, self._path)
            tenants = await asyncio.to_thread(load_tenants, self._path, self._secret)
        except SettingsError as error:
            _log.error("%s; the running settings are kept", error, extra={"action": "tenants_refused"})
            return
        if tenants == self._running:
            return
        self._running = tenants
        self._on_change(tenants)
        counts = {"tenants": len(tenants.tenants), "tokens": len(tenants.by_token_hash)}
        _log.info("tenants file read again", extra={"action": "tenants_read", **counts})


def _mark(path: Path) -> _Mark | None:
    """Return what changes when the file does, None while there is none."""
    try:
        now = path.stat()
    except OSError:
        return None
    return now.st_mtime_ns, now.st_ctime_ns, now.st_size, now.st_ino
