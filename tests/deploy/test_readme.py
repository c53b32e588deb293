"""The README: it names only tests, settings, metrics and limits that exist, and its quick start works when pasted."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from consumers.embedded import MOST_PENDING
from consumers.ports import MOST_BYTES
from consumers.settings import SETTINGS, Settings
from gateway.first_start import DATABASE
from gateway.listening import KEEP_ALIVE_S, MOST_CONNECTIONS
from gateway.listing import DEFAULT_COUNT, MAX_COUNT
from gateway.unread import MOST_UNREAD_BYTES
from schemas import decide, filters, notation, patch_limits, patch_requests, resources, rules
from schemas.patch_requests import MAX_TOUCHED

ROOT: Final = Path(__file__).parent.parent.parent
README: Final = (ROOT / "README.md").read_text()


def tables() -> list[list[str]]:
    """Return the cells of every row of every table."""
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in README.splitlines() if line.startswith("|")
    ]


def test_every_test_that_is_named_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", README))
    existing = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)\(", path.read_text())
    }

    assert named
    assert named <= existing, named - existing


def test_every_setting_stands_in_the_table_with_its_variable_and_default() -> None:
    rows = {row[0].strip("`"): row[1:3] for row in tables() if row[0].strip("`") in SETTINGS}

    assert rows.keys() == SETTINGS.keys()
    for name, (variables, default) in rows.items():
        assert f"`{SETTINGS[name].variable}`" in variables.split(", ")
        assert default == (f"`{SETTINGS[name].default}`" if SETTINGS[name].default != "" else "–")


def test_every_profile_and_switch_of_a_tenant_is_named() -> None:
    for name in (*rules.PROFILES, *rules.Rules.__struct_fields__):
        assert f"`{name}`" in README


@pytest.mark.parametrize(
    ("what", "numbers"),
    [
        ("body, after decompression", [Settings().http.max_body]),
        ("a user as JSON", [decide.MAX_IMAGE - decide.SLACK]),
        ("objects and arrays", [resources.MAX_DEPTH]),
        ("values of one attribute", [resources.MAX_VALUES]),
        ("`userName`, `externalId`", [resources.MAX_NAME_BYTES]),
        ("operations of a PATCH", [patch_requests.MAX_OPERATIONS, MAX_TOUCHED]),
        ("… values that they are compared with", [patch_limits.MAX_EXAMINED]),
        ("a filter or path", [notation.MAX_NOTATION, filters.MAX_TERMS, filters.MAX_NESTING]),
        ("a page", [MAX_COUNT, MOST_BYTES // 2**20, DEFAULT_COUNT]),
        ("a tenant's answers", [MOST_UNREAD_BYTES // 2**20]),
        ("changes waiting", [MOST_PENDING]),
        ("connections", [MOST_CONNECTIONS]),
        ("time for headers", [int(KEEP_ALIVE_S)]),
        ("time for a write", [int(Settings().http.budget_s)]),
    ],
)
def test_every_limit_is_what_the_code_enforces(what: str, numbers: list[int]) -> None:
    (row,) = (row for row in tables() if row[0].startswith(what) and len(row) == 2)

    assert re.findall(r"[\d,]*\d", row[1])[: len(numbers)] == [f"{number:,}" for number in numbers]


def test_every_file_and_page_that_is_linked_exists() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", README):
        if target.startswith("#"):
            headings = {re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in headed()}
            assert target[1:] in headings
        else:
            assert (ROOT / target.partition("#")[0]).exists()


def headed() -> list[str]:
    return [line for line in README.splitlines() if line.startswith("#")]


# --- the quick start --------------------------------------------------------------------------------------------------

ENVIRONMENT: Final = {
    **{name: value for name, value in os.environ.items() if not name.startswith("SCIMGW_")},
    "PYTHONPATH": str(ROOT),
}


@contextmanager
def serving(directory: Path) -> Iterator[str]:
    """Serve from a directory; yield the address of SCIM."""
    server = subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", "serve", "--port", "0", "--data", directory],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stdout is not None
        yield server.stdout.readline().split()[-1]
    finally:
        server.terminate()
        server.communicate(timeout=30)


def test_the_quick_start_works_when_pasted_and_makes_four_events(tmp_path: Path) -> None:
    (script,) = (block for block in re.findall(r"```sh\n(.*?)```", README, re.S) if block.startswith("SCIM="))
    directory = tmp_path / "var"
    with serving(directory) as address:
        for old, new in (("http://127.0.0.1:8080/scim/v2", address), ("./var", str(directory))):
            assert old in script
            script = script.replace(old, new)
        pasted = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, timeout=60, check=True
        )
        created, listed, replaced, patched, deleted = pasted.stdout.splitlines()
        events = subprocess.run(
            [sys.executable, "-m", "gateway.cli", "events", "--data", directory],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout.splitlines()

    assert (directory / DATABASE).exists()
    user = json.loads(created)
    assert json.loads(listed)["Resources"] == [user]
    assert "emails" not in json.loads(replaced)
    assert json.loads(patched)["emails"] == [{"type": "work", "value": "ann@example.org"}]
    assert json.loads(patched)["active"] is False
    assert deleted.startswith("HTTP/1.1 204")
    assert [json.loads(event)["jti"] for event in events] == [f"{user['id']}:{version}" for version in range(1, 5)]
