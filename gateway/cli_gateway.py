"""The command ``gateway``."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Final

from consumers.errors import SettingsError
from consumers.owner import TRANSACTION_MARGIN_MS
from gateway import serve_gateway
from gateway.cli_config import settings_of
from gateway.first_start import TENANTS_FILE

LEAST_BUDGET_S: Final = TRANSACTION_MARGIN_MS / 1000 + 1
"""Nothing is decided in the last part of a budget (CP-18); a shorter one would have every write answered 503."""


def gateway(parsed: argparse.Namespace) -> int:
    """Serve until told to stop."""
    settings = settings_of(parsed).settings
    if not settings.distributed:
        raise SettingsError("gateway: it needs Kafka and Redis; set SCIMGW_KAFKA__BOOTSTRAP and SCIMGW_REDIS__URL")
    if settings.http.budget_s < LEAST_BUDGET_S:
        raise SettingsError(
            f"setting http.budget_s: {settings.http.budget_s:g} s leave a worker no time to decide: of a budget "
            f"{TRANSACTION_MARGIN_MS / 1000:g} s are the margin; give at least {LEAST_BUDGET_S:g}"
        )
    os.umask(0o077)
    tenants_file = Path(parsed.tenants or Path(settings.data) / TENANTS_FILE)
    return serve_gateway.run(settings, tenants_file, reuse_port=parsed.reuse_port)
