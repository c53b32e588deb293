"""The tenants file: who may call, with which token, under which rules; an immutable snapshot of it."""

from __future__ import annotations

import base64
import binascii
import difflib
import hashlib
import re
import secrets
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from consumers.errors import SettingsError
from consumers.toml_lines import Path as KeyPath
from consumers.toml_lines import line_of, parse_toml
from schemas.errors import ScimError
from schemas.keeping import check_preserved
from schemas.resource_types import USER
from schemas.rules import PROFILES, Rules

TENANT_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
TOKEN_PREFIX: Final = "scimgw_"
"""Lets scanners of leaked secrets recognise a token."""
Dialect = Literal["scim2", "matillion", "workspace_one", "oracle_cpq"]


class Tenant(msgspec.Struct, frozen=True):
    """One tenant and what was chosen for it."""

    name: str
    profile: str
    rules: Rules
    """The profile's switches with the tenant's own over them."""
    password: Literal["drop", "argon2id"]
    dialects: frozenset[str] | None
    """None: every dialect this version serves."""
    discovery_without_token: bool
    """The discovery endpoints answer without a token (RFC 7644 section 4); tokens say which tenant's view it is."""

    @property
    def keeps_passwords(self) -> bool:
        """Whether a password is hashed and kept rather than dropped."""
        return self.password == "argon2id"


class Grant(msgspec.Struct, frozen=True):
    """What a token lets its bearer be."""

    tenant: Tenant
    token: str
    """The token's name."""
    principal: str
    """Who acts, for commands, Idempotency-Keys and the audit trail: unique within the tenant."""
    digest: bytes
    """SHA-256 of the token, for ``hmac.compare_digest`` after the look-up."""
    expires: float | None
    """Seconds since 1970 at which it stops being valid."""


class Tenants(msgspec.Struct, frozen=True):
    """A snapshot of the tenants file; a later version of the file is another snapshot."""

    secret: bytes = b""
    """The server's own key, at least 256 bits (fingerprints, cursors)."""
    tenants: dict[str, Tenant] = {}
    by_token_hash: dict[bytes, Grant] = {}
    """SHA-256 of each token → its grant; expired ones too: whether one is over is for the caller's clock to say."""

    def live_tokens(self, now: float) -> int:
        """Return how many tokens are valid at ``now`` (seconds since 1970)."""
        return sum(1 for grant in self.by_token_hash.values() if grant.expires is None or grant.expires > now)


class _Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    sha256: Annotated[str, Meta(pattern=r"^[0-9A-Fa-f]{64}$")]
    expires: Annotated[datetime, Meta(tz=True)] | None = None


class _Tenant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    profile: str = "rfc"
    dialects: Annotated[list[Dialect], Meta(min_length=1)] | None = None
    password: Literal["drop", "argon2id"] = "drop"
    discovery_without_token: bool = True
    rules: dict[str, Any] = {}
    tokens: list[_Token] = []


class _Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    secret: str = ""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    server: _Server = _Server()
    tenants: dict[str, Any] = {}


class _Reading:
    """One pass over one text, which knows how to name a mistake's line and key."""

    def __init__(self, name: str, raw: bytes) -> None:
        self.name = name
        self.text, self.table = parse_toml(raw, name)

    def mistake(self, path: KeyPath, why: str) -> SettingsError:
        line = line_of(self.text, path)
        place = f"{self.name}, line {line}" if line else self.name
        return SettingsError(f"{place}: {_dotted(path)}: {why}" if path else f"{place}: {why}")

    def convert(self, value: object, struct: type[Any], path: KeyPath) -> Any:
        """Convert a table; a mistake inside it is named by its whole key."""
        try:
            return msgspec.convert(value, struct)
        except msgspec.ValidationError as error:
            why, _, inner = str(error).partition(" - at `$")
            full = (*path, *_keys(inner.rstrip("`")))
            if unknown := re.search(r"unknown field `(.*)`", why):
                full = (*full, unknown[1])
                why = _unknown(unknown[1], _fields_at(struct, inner))
            raise self.mistake(full, why[:1].lower() + why[1:]) from None


def load_tenants(path: str | Path, secret: str = "") -> Tenants:
    """Read the file into a snapshot; ``secret`` (a setting) stands in for, and wins over, ``[server] secret``.

    A file without tenants or tokens is a valid one, with which nobody may do anything. Raises SettingsError that
    names line and key; token hashes and the secret are not repeated in it.
    """
    name = f"tenants file {path}"
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        remedy = "'scimgw tenants init --file FILE' writes a first one"
        raise SettingsError(f"{name}: {error.strerror}; {remedy}") from None
    reading = _Reading(name, raw)
    file = reading.convert(reading.table, _File, ())
    tenants: dict[str, Tenant] = {}
    grants: dict[bytes, Grant] = {}
    for tenant_name, table in file.tenants.items():
        tenants[tenant_name] = _add_tenant(reading, tenant_name, table, grants)
    return Tenants(_secret(reading, file.server.secret, secret), tenants, grants)


def require_token(tenants: Tenants, path: str | Path, now: float) -> None:
    """Refuse to start a server that nobody could use: SettingsError when no token is valid at ``now``."""
    if not tenants.live_tokens(now):
        raise SettingsError(
            f"tenants file {path}: no tenant has a token that is valid now; "
            "add one under [[tenants.NAME.tokens]], or write a new file by 'scimgw tenants init --file FILE'"
        )


def first_tenants_file() -> tuple[str, str]:
    """Return the text of a first tenants file, with tenant ``default``, and its token; only a hash is in the text."""
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    text = _FIRST_FILE.format(secret=secrets.token_urlsafe(32), sha256=token_digest(token).hex())
    return text, token


def token_digest(token: str) -> bytes:
    """Return the SHA-256 by which a token is stored and looked up."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


_FIRST_FILE: Final = """\
# Who may call this server. Read again within seconds when it changes; a mistake is logged and the old content kept.

[server]
secret = "{secret}"  # the server's own key: keep it secret, keep it the same

[tenants.default]
profile = "rfc"  # or: entra, entra-legacy, okta, onelogin, lenient
password = "drop"  # or "argon2id": keep a hash

[[tenants.default.tokens]]
name = "first"
sha256 = "{sha256}"
"""


def _add_tenant(reading: _Reading, name: str, table: object, grants: dict[bytes, Grant]) -> Tenant:
    path: KeyPath = ("tenants", name)
    if not TENANT_NAME.fullmatch(name):
        raise reading.mistake(path, "a tenant's name is 1 to 63 of a-z, 0-9 and '-', and does not begin with '-'")
    if not isinstance(table, dict):
        raise reading.mistake(path, f"expected a table, [tenants.{name}]")
    wire: _Tenant = reading.convert(table, _Tenant, path)
    if wire.profile not in PROFILES:
        raise reading.mistake((*path, "profile"), _unknown(wire.profile, PROFILES, "profile"))
    tenant = Tenant(
        name=name,
        profile=wire.profile,
        rules=_rules(reading, wire, (*path, "rules")),
        password=wire.password,
        dialects=None if wire.dialects is None else frozenset(wire.dialects),
        discovery_without_token=wire.discovery_without_token,
    )
    names: set[str] = set()
    for place, token in enumerate(wire.tokens):
        digest = bytes.fromhex(token.sha256)
        at = (*path, "tokens", place)
        if token.name in names:
            raise reading.mistake((*at, "name"), "another token of this tenant has this name; give each its own")
        if digest in grants:
            other = grants[digest]
            raise reading.mistake((*at, "sha256"), f"tenant {other.tenant.name} has the same token ({other.token})")
        names.add(token.name)
        expires = token.expires.timestamp() if token.expires else None
        grants[digest] = Grant(tenant, token.name, f"token:{token.name}", digest, expires)
    return tenant


def _rules(reading: _Reading, wire: _Tenant, path: KeyPath) -> Rules:
    """Return the profile's switches with the tenant's own over them."""
    own: Rules = reading.convert(wire.rules, Rules, path)
    for preserved in own.put_preserves:
        try:
            check_preserved(preserved, USER)
        except ScimError as error:
            raise reading.mistake((*path, "put_preserves"), f"{preserved!r}: {error.detail}") from None
    return msgspec.structs.replace(PROFILES[wire.profile], **{name: getattr(own, name) for name in wire.rules})


def _secret(reading: _Reading, of_file: str, of_settings: str) -> bytes:
    if of_settings:
        key = _decoded(of_settings)
        if key is None:
            raise SettingsError("setting secret: expected base64url of at least 256 bits (43 characters)")
        return key
    if not of_file:
        remedy = "43 characters of base64url (256 bits); 'scimgw tenants init' writes such a file"
        raise reading.mistake(("server", "secret"), f"missing: the server's own key, {remedy}")
    key = _decoded(of_file)
    if key is None:
        raise reading.mistake(("server", "secret"), "expected base64url of at least 256 bits (43 characters)")
    return key


def _decoded(text: str) -> bytes | None:
    try:
        key = base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) >= 32 else None


def _unknown(name: str, known: Any, kind: str = "key") -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"unknown {kind}; did you mean {close[0]}?" if close else f"unknown {kind}; known are {', '.join(known)}"


def _fields_at(struct: type[Any], inner: str) -> list[str]:
    """Return the names of the fields of the struct in which msgspec found a mistake; the one nesting is ``tokens``."""
    for name, nested in ((".server", _Server), (".tokens", _Token)):
        if inner.startswith(name):
            struct = nested
    return [field.name for field in msgspec.structs.fields(struct)]


def _keys(inner: str) -> KeyPath:
    """Return msgspec's ``.tokens[0].sha256`` as keys; ``[...]``, an unnamed key, ends them."""
    keys: list[str | int] = []
    for name, place in re.findall(r"\.(\w+)|\[([0-9]+|\.\.\.)\]", inner):
        if place == "...":
            break
        keys.append(name or int(place))
    return tuple(keys)


def _dotted(path: KeyPath) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")
