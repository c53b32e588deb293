"""The tenants file: what a snapshot of it says, which mistakes it refuses, and how a change takes effect."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from consumers.errors import SettingsError
from gateway.tenants import (
    Tenants,
    first_tenants_file,
    load_tenants,
    require_token,
    token_digest,
)
from gateway.tenants_watch import TenantsWatch
from schemas.rules import PROFILES

SECRET = "A" * 43
HASH = "ab" * 32
HEAD = f'[server]\nsecret = "{SECRET}"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tenants.toml"


def loaded(file: Path, text: str, secret: str = "") -> Tenants:
    file.write_text(text, encoding="utf-8")
    return load_tenants(file, secret)


def refusal(file: Path, text: str, secret: str = "") -> str:
    with pytest.raises(SettingsError) as caught:
        loaded(file, text, secret)
    line = str(caught.value)
    assert "\n" not in line
    assert HASH not in line
    assert SECRET not in line
    return line


def token(name: str, digest: str = HASH, tenant: str = "default", more: str = "") -> str:
    return f'[[tenants.{tenant}.tokens]]\nname = "{name}"\nsha256 = "{digest}"\n{more}'


def test_the_first_file_gives_its_token_the_tenant_default(file: Path) -> None:
    text, first = first_tenants_file()
    assert re.fullmatch(r"scimgw_[A-Za-z0-9_-]{43}", first)
    assert first not in text
    tenants = loaded(file, text)
    grant = tenants.by_token_hash[hashlib.sha256(first.encode()).digest()]
    assert (grant.tenant.name, grant.token, grant.principal, grant.expires) == ("default", "first", "token:first", None)
    assert grant.digest == token_digest(first)
    assert (grant.tenant.profile, grant.tenant.rules, grant.tenant.password) == ("rfc", PROFILES["rfc"], "drop")
    assert grant.tenant.dialects is None
    assert grant.tenant.discovery_without_token
    assert len(tenants.secret) == 32


def test_two_first_files_share_neither_token_nor_secret() -> None:
    (one_text, one), (other_text, other) = first_tenants_file(), first_tenants_file()
    secret = re.compile(r'secret = "(.*)"')
    assert one != other
    assert secret.findall(one_text) != secret.findall(other_text)


def test_the_sample_of_the_interfaces_page_is_read(file: Path) -> None:
    text = f"""
[server]
secret = "{SECRET}"                    # 256 bits, base64url; the file has mode 600
[tenants.default]                      # [a-z0-9][a-z0-9-]{{0,62}}
profile = "rfc"
dialects = ["scim2", "matillion", "workspace_one", "oracle_cpq"]
password = "drop"                      # or "argon2id"
[[tenants.default.tokens]]
name = "first"
sha256 = "{HASH}"
expires = 2027-11-21T00:00:00Z         # optional
"""
    tenants = loaded(file, text)
    grant = tenants.by_token_hash[bytes.fromhex(HASH)]
    assert grant.expires == 1826755200.0
    assert grant.tenant.dialects == frozenset({"scim2", "matillion", "workspace_one", "oracle_cpq"})


def test_a_tenants_rules_lie_over_those_of_its_profile(file: Path) -> None:
    text = '[tenants.a]\nprofile = "entra"\n[tenants.a.rules]\ndotted_keys = false\nput_preserves = ["roles"]\n'
    tenant = loaded(file, HEAD + text).tenants["a"]
    assert tenant.rules == msgspec.structs.replace(PROFILES["entra"], dotted_keys=False, put_preserves=("roles",))


def test_two_tokens_of_a_tenant_are_live_side_by_side_for_rotation(file: Path) -> None:
    tenants = loaded(file, HEAD + token("old") + token("new", "cd" * 32))
    assert [grant.token for grant in tenants.by_token_hash.values()] == ["old", "new"]
    assert tenants.live_tokens(0) == 2


def test_a_hash_in_capitals_is_the_same_hash(file: Path) -> None:
    assert bytes.fromhex(HASH) in loaded(file, HEAD + token("one", HASH.upper())).by_token_hash


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("[tenants.A]\n", 3, "tenants.A"),
        ("[tenants.-a]\n", 3, "tenants.-a"),
        (f"[tenants.{'a' * 64}]\n", 3, f"tenants.{'a' * 64}"),
        ('[tenants."a/b"]\n', 3, "tenants.a/b"),
        ("[tenants]\na = 1\n", 4, "tenants.a"),
        ('[tenants.a]\nprofile = "entrada"\n', 4, "tenants.a.profile"),
        ('[tenants.a]\nprofil = "entra"\n', 4, "tenants.a.profil"),
        ('[tenants.a]\npassword = "keep"\n', 4, "tenants.a.password"),
        ('[tenants.a]\ndialects = ["scim2", "scim3"]\n', 4, "tenants.a.dialects"),
        ("[tenants.a]\ndialects = []\n", 4, "tenants.a.dialects"),
        ('[tenants.a]\ndiscovery_without_token = "no"\n', 4, "tenants.a.discovery_without_token"),
        ("[tenants.a.rules]\nstring_boolean = true\n", 4, "tenants.a.rules.string_boolean"),
        ("[tenants.a.rules]\nstring_booleans = 1\n", 4, "tenants.a.rules.string_booleans"),
        ('[tenants.a.rules]\nput_preserves = ["title", "nosuch"]\n', 4, "tenants.a.rules.put_preserves"),
        ("[tenants.a.rules]\nput_preserves = ['emails[type eq \"work\"]']\n", 4, "tenants.a.rules.put_preserves"),
        ('[[tenants.a.tokens]]\nname = "x"\n', 3, "tenants.a.tokens[0]"),
        (token("a b"), 4, "tenants.default.tokens[0].name"),
        (token("x", "scimgw_" + "a" * 43), 5, "tenants.default.tokens[0].sha256"),
        (token("x", more="expires = 2027-01-01T00:00:00\n"), 6, "tenants.default.tokens[0].expires"),
        (token("x", more='expires = "soon"\n'), 6, "tenants.default.tokens[0].expires"),
        (token("x", more="expired = 1\n"), 6, "tenants.default.tokens[0].expired"),
        (token("x") + token("x", "cd" * 32), 7, "tenants.default.tokens[1].name"),
        (token("x") + token("y"), 8, "tenants.default.tokens[1].sha256"),
        (token("x") + token("x", tenant="other"), 8, "tenants.other.tokens[0].sha256"),
        ("[sever]\n", 3, "sever"),
        ("[tenants.a]\nprofile = rfc\n", 4, ""),
    ],
)
def test_a_mistake_is_refused_with_its_line_and_key(file: Path, text: str, line: int, key: str) -> None:
    said = refusal(file, HEAD + text)
    assert f"line {line}" in said
    assert f": {key}" in said
    assert str(file) in said


def test_an_unknown_key_is_answered_with_the_nearest_known_one(file: Path) -> None:
    assert "did you mean profile?" in refusal(file, HEAD + '[tenants.a]\nprofil = "rfc"\n')
    assert "did you mean sha256?" in refusal(file, HEAD + '[[tenants.a.tokens]]\nname = "x"\nsha = "1"\n')
    assert "did you mean entra?" in refusal(file, HEAD + '[tenants.a]\nprofile = "entraid"\n')
    assert "did you mean secret?" in refusal(file, '[server]\nsecrets = "x"\n')


@pytest.mark.parametrize("text", ["", "[server]\n", '[server]\nsecret = ""\n', '[server]\nsecret = "short"\n'])
def test_a_file_without_a_good_server_key_is_refused(file: Path, text: str) -> None:
    assert "server.secret" in refusal(file, text + token("x"))


def test_a_server_key_that_is_not_base64url_is_refused_and_not_repeated(file: Path) -> None:
    assert "§" not in refusal(file, f'[server]\nsecret = "{"§" * 50}"\n')


def test_the_server_key_of_the_settings_wins(file: Path) -> None:
    assert loaded(file, HEAD, "B" * 43).secret != loaded(file, HEAD).secret
    assert loaded(file, token("x"), "B" * 43).secret
    assert "setting secret" in refusal(file, HEAD, "short")


def test_a_missing_file_is_refused_with_the_command_that_writes_one(file: Path) -> None:
    with pytest.raises(SettingsError, match=r"scimgw tenants init"):
        load_tenants(file)


def test_a_server_that_nobody_could_use_does_not_start(file: Path) -> None:
    with pytest.raises(SettingsError, match=r"no tenant has a token that is valid now"):
        require_token(loaded(file, HEAD), file, now=0)
    over = loaded(file, HEAD + token("x", more="expires = 1970-01-01T00:01:00Z\n"))
    require_token(over, file, now=59)
    with pytest.raises(SettingsError):
        require_token(over, file, now=60)


class Watched:
    """A watch on a file, and what it reported."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.seen: list[Tenants] = []
        self.watch = TenantsWatch(file, load_tenants(file), self.seen.append, interval_s=0.01)

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not done():
                await asyncio.sleep(0.01)


async def watching(watched: Watched, scenario: Callable[[], Awaitable[None]]) -> None:
    task = asyncio.create_task(watched.watch.run(), name="watch")
    try:
        await scenario()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_changed_file_is_read_again(file: Path) -> None:
    loaded(file, HEAD + token("x"))
    watched = Watched(file)

    async def scenario() -> None:
        file.write_text(HEAD + token("y", "cd" * 32))
        await watched.until(lambda: len(watched.seen) == 1)
        assert [grant.token for grant in watched.seen[0].by_token_hash.values()] == ["y"]
        other = file.with_name("other")
        other.write_text(HEAD)  # the last token revoked
        other.replace(file)
        await watched.until(lambda: len(watched.seen) == 2)
        assert not watched.seen[1].by_token_hash

    await watching(watched, scenario)


async def test_a_mistake_is_logged_once_and_the_running_settings_are_kept(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    loaded(file, HEAD + token("x"))
    watched = Watched(file)

    def refused() -> list[logging.LogRecord]:
        return [record for record in caplog.records if getattr(record, "action", "") == "tenants_refused"]

    async def scenario() -> None:
        file.write_text(HEAD + "[tenants.A]\n")
        await watched.until(lambda: bool(refused()))
        await asyncio.sleep(0.1)
        assert len(refused()) == 1
        assert "line 3" in refused()[0].getMessage()
        file.unlink()
        await watched.until(lambda: len(refused()) == 2)
        assert not watched.seen
        file.write_text(HEAD + token("x"))  # as it was: nothing changed
        await asyncio.sleep(0.1)
        assert not watched.seen
        file.write_text(HEAD + token("z"))
        await watched.until(lambda: len(watched.seen) == 1)

    await watching(watched, scenario)


async def test_a_change_made_before_the_watch_began_is_seen(file: Path) -> None:
    loaded(file, HEAD + token("x"))
    watched = Watched(file)
    file.write_text(HEAD + token("y"))

    async def scenario() -> None:
        await watched.until(lambda: len(watched.seen) == 1)

    await watching(watched, scenario)
