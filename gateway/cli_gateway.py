"""The command ``gateway``."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from consumers.errors import SettingsError
from gateway import serve_gateway
from gateway.cli_config import settings_of
from gateway.first_start import TENANTS_FILE


def gateway(parsed: argparse.Namespace) -> int:
    """Serve until told to stop."""
    settings = settings_of(parsed).settings
    if not settings.distributed:
        raise SettingsError("gateway: it needs Kafka and Redis; set SCIMGW_KAFKA__BOOTSTRAP and SCIMGW_REDIS__URL")
    os.umask(0o077)
    tenants_file = Path(parsed.tenants or Path(settings.data) / TENANTS_FILE)
    return serve_gateway.run(settings, tenants_file, reuse_port=parsed.reuse_port)
