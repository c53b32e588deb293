"""The command ``serve``."""

from __future__ import annotations

import argparse
import os

from gateway import serve as server
from gateway.cli_config import settings_of


def serve(parsed: argparse.Namespace) -> int:
    """Serve until told to stop."""
    settings = settings_of(parsed).settings
    os.umask(0o077)  # the database and all that is written beside it hold personal data
    return server.run(settings)
