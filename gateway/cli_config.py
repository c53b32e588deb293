"""The commands ``config check`` and ``config show``, and the settings as each command sees them."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import msgspec

from consumers.settings import LoadedSettings, load_settings, shown
from gateway import tenants
from gateway.first_start import TENANTS_FILE


def settings_of(parsed: argparse.Namespace) -> LoadedSettings:
    """Return the settings with this command's options over them."""
    options = {
        "data": getattr(parsed, "data", None),
        "http.host": getattr(parsed, "host", None),
        "http.port": getattr(parsed, "port", None),
        "admin.listen": getattr(parsed, "admin", None),
    }
    return load_settings(parsed.config, os.environ, options)


def config_check(parsed: argparse.Namespace) -> int:
    """Validate; what is wrong is raised as a SettingsError."""
    loaded = settings_of(parsed)
    file = Path(loaded.settings.data) / TENANTS_FILE
    if file.exists():
        found = tenants.load_tenants(file, loaded.settings.secret)
        print(f"settings and {file} are good: {len(found.tenants)} tenants, {len(found.by_token_hash)} tokens")
    else:
        print(f"settings are good; there is no {file} yet: the first start writes it")
    return 0


def config_show(parsed: argparse.Namespace) -> int:
    """Print name, value and origin of every setting."""
    rows = shown(settings_of(parsed))
    if parsed.json:
        table = {name: {"value": value, "origin": origin} for name, value, origin in rows}
        print(msgspec.json.format(msgspec.json.encode(table)).decode())
        return 0
    texts = [(name, "-" if value == "" else str(value), origin) for name, value, origin in rows]
    widths = [max(len(text[column]) for text in texts) for column in range(2)]
    for name, value, origin in texts:
        print(f"{name:<{widths[0]}}  {value:<{widths[1]}}  {origin}")
    return 0
