"""The operator's settings: one TOML file under the environment under the command line, each value with its origin."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from consumers.errors import SettingsError
from consumers.toml_lines import line_of, parse_toml
from schemas.urns import DEFAULT_ISSUER

Secret = Annotated[str, Meta(extra={"secret": True})]
"""A value that ``config show`` masks and that ``<NAME>_FILE`` may give by the name of a file."""


class HttpSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The main port."""

    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    """0 lets the operating system choose (tests)."""
    public_url: str = ""
    """Origin and path prefix under which clients reach the server, no slash at the end; "" = as the request says."""
    budget_s: Annotated[float, Meta(gt=0, le=300)] = 20.0
    """Seconds within which a write is answered; past it 503."""
    max_body: Annotated[int, Meta(ge=1024, le=1_048_576)] = 1_048_576
    """Bytes of a request's body after decompression; records and topics are cut for no more than 1 MiB."""
    tls_cert_file: str = ""
    tls_key_file: str = ""


class EventSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands in every event, and for how long events are kept."""

    issuer: str = ""
    """``iss`` of every event; "" = ``http.public_url``, else ``urn:scimgw`` (see ``Settings.issuer``)."""
    retention_days: Annotated[int, Meta(ge=1, le=28)] = 14
    """At most 28: personal data of a deleted user is gone by then."""


class AdminSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The operators' port: ``/metrics`` and the health routes."""

    listen: str = ""
    """``HOST:PORT``, ``[IPv6]:PORT``; "" = off."""

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port, or None when the port is off."""
        if not self.listen:
            return None
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


class OutcomeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many outcomes are kept for those who ask again: of each partition, in the embedded mode of the database."""

    most: Annotated[int, Meta(ge=50_000, le=100_000_000)] = 250_000
    """Without an Idempotency-Key; beyond, the oldest go before their 15 minutes are over.

    Never fewer than are decided within a budget: until that is over a second delivery is recognised by them.
    """
    most_keyed: Annotated[int, Meta(ge=1000, le=100_000_000)] = 500_000
    """With one; beyond, requests under a new key are answered 503 until some have expired, after 24 hours."""


class KafkaSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The brokers of the distributed mode, and what the topics are."""

    bootstrap: str = ""
    """``HOST:PORT,HOST:PORT``; "" = the embedded mode."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    sasl_username: str = ""
    sasl_password: Secret = ""
    ca_file: str = ""
    """PEM of the authorities that brokers' certificates are checked with; "" = the system's."""
    cert_file: str = ""
    key_file: str = ""
    partitions: Annotated[int, Meta(ge=1, le=1024)] = 4
    """Fixed for life, a multiple of ``redis.shards``; about two for each core of the workers."""
    replication: Annotated[int, Meta(ge=1, le=9)] = 1
    topic_prefix: Annotated[str, Meta(pattern="^[A-Za-z0-9._-]{1,100}$")] = "scim"
    session_timeout_s: Annotated[float, Meta(ge=1, le=300)] = 6.0
    """Seconds after which a worker that is not heard of loses its partitions."""


class RedisSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Redis or Valkey, 7 or newer, of the distributed mode."""

    url: Secret = ""
    """``redis://[user:password@]host:port[/db]``, or ``rediss://`` with ``?ssl_ca_certs=FILE``; it may hold a password."""
    shards: Annotated[int, Meta(ge=1, le=1024)] = 1
    """Hash tags that tenants are spread over, fixed for life: 1 for one server."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that may be set; a section is a struct of its own, its field's name is the first part of the name."""

    data: Annotated[str, Meta(min_length=1)] = "./var"
    """Directory of the embedded mode."""
    secret: Secret = ""
    """The server's own key, base64url of 256 bits; "" = the one of the tenants file."""
    http: HttpSettings = HttpSettings()
    events: EventSettings = EventSettings()
    outcomes: OutcomeSettings = OutcomeSettings()
    admin: AdminSettings = AdminSettings()
    kafka: KafkaSettings = KafkaSettings()
    redis: RedisSettings = RedisSettings()

    @property
    def distributed(self) -> bool:
        """Whether commands that exist for both modes mean Kafka and Redis."""
        return bool(self.kafka.bootstrap)

    @property
    def issuer(self) -> str:
        """``iss`` of the events (RFC 8417 section 2.2)."""
        return self.events.issuer or self.http.public_url or DEFAULT_ISSUER


class LoadedSettings(msgspec.Struct, frozen=True):
    """Settings, and where each value stands."""

    settings: Settings
    origins: dict[str, str]
    """Name (``http.port``) → ``default``, ``file X line N``, ``environment SCIMGW_HTTP__PORT``, ``command line``."""
    config: str | None
    """The TOML file that was read."""


class _Setting(msgspec.Struct, frozen=True):
    """One leaf of ``Settings``."""

    name: str
    type: Any
    default: Any
    secret: bool

    @property
    def variable(self) -> str:
        return "SCIMGW_" + self.name.upper().replace(".", "__")


class _Given(msgspec.Struct, frozen=True):
    """A value as found, not yet converted."""

    value: object
    origin: str


def _leaves(struct: type[msgspec.Struct], prefix: str = "") -> Iterator[_Setting]:
    for field in msgspec.structs.fields(struct):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from _leaves(field.type, f"{prefix}{field.name}.")
        else:
            yield _Setting(prefix + field.name, field.type, field.default, field.type == Secret)


SETTINGS: Final[dict[str, _Setting]] = {leaf.name: leaf for leaf in _leaves(Settings)}
_PREFIX: Final = "SCIMGW_"
_PLAIN_VARIABLES: Final = {"SCIMGW_CONFIG", "SCIMGW_DATA", "SCIMGW_SECRET", "SCIMGW_SECRET_FILE"}
"""Ours although they have no ``__``; any other such name is left alone: a cluster sets SCIMGW_PORT for a service."""


def load_settings(
    config_path: str | None, environ: Mapping[str, str], overrides: Mapping[str, object] | None = None
) -> LoadedSettings:
    """Read the file (``config_path``, else ``SCIMGW_CONFIG``), the environment over it and the command line over both.

    ``overrides`` maps names (``http.port``) to values; None means not given. Raises SettingsError, one line: the
    setting, the value's place, the remedy.
    """
    config = config_path or environ.get("SCIMGW_CONFIG") or None
    given: dict[str, _Given] = _from_file(config) if config else {}
    given |= _from_environment(environ)
    for name, value in (overrides or {}).items():
        if value is not None:
            given[_known(name, "command line").name] = _Given(value, "command line")
    values = {name: _converted(leaf, given.get(name)) for name, leaf in SETTINGS.items()}
    origins = {name: given[name].origin if name in given else "default" for name in SETTINGS}
    _check(values, origins)
    return LoadedSettings(_built(Settings, values), origins, config)


def shown(loaded: LoadedSettings) -> list[tuple[str, object, str]]:
    """Return name, value and origin of every setting; a secret that is set shows as asterisks."""
    rows: list[tuple[str, object, str]] = []
    for name, leaf in SETTINGS.items():
        value: Any = loaded.settings
        for part in name.split("."):
            value = getattr(value, part)
        rows.append((name, "********" if leaf.secret and value else value, loaded.origins[name]))
    return rows


def _from_file(path: str) -> dict[str, _Given]:
    """Return the file's values; a table is a section, ``<secret>_file`` the name of a file with the secret."""
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise SettingsError(f"settings file {path}: {error.strerror}; name a readable TOML file by --config") from None
    text, table = parse_toml(raw, f"settings file {path}")
    given: dict[str, _Given] = {}
    for keys, value in _flat(table):
        name = ".".join(keys)
        line = line_of(text, keys)
        origin = f"file {path} line {line}" if line else f"file {path}"
        _give(given, name, value, origin)
    return given


def _flat(table: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    for key, value in table.items():
        if isinstance(value, dict) and not above:
            yield from _flat(value, (key,))
        else:
            yield (*above, key), value


def _from_environment(environ: Mapping[str, str]) -> dict[str, _Given]:
    """Return the values of the variables that are ours (``interfaces.md``, settings)."""
    given: dict[str, _Given] = {}
    for variable in sorted(environ):
        ours = variable.startswith(_PREFIX) and ("__" in variable or variable in _PLAIN_VARIABLES)
        if ours and variable != "SCIMGW_CONFIG":
            name = variable.removeprefix(_PREFIX).lower().replace("__", ".")
            _give(given, name, environ[variable], f"environment {variable}")
    return given


def _give(given: dict[str, _Given], name: str, value: object, origin: str) -> None:
    """Add one value found in a file or the environment; a secret's file is read here."""
    leaf = SETTINGS.get(name.removesuffix("_file"))
    by_file = name not in SETTINGS and name.endswith("_file") and leaf is not None and leaf.secret
    leaf = leaf if by_file and leaf else _known(name, origin)
    if leaf.name in given:
        raise SettingsError(f"setting {leaf.name} is given twice: {given[leaf.name].origin} and {origin}; remove one")
    if by_file:
        value, origin = _content(str(value), name, origin), f"{origin} ({value})"
    given[leaf.name] = _Given(value, origin)


def _content(path: str, name: str, origin: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SettingsError(f"setting {name}: {path}: {why} ({origin}); name a readable text file") from None


def _known(name: str, origin: str) -> _Setting:
    if name in SETTINGS:
        return SETTINGS[name]
    names = list(SETTINGS) + [f"{leaf.name}_file" for leaf in SETTINGS.values() if leaf.secret]
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if origin.startswith("environment "):
        name, origin = origin.removeprefix("environment "), "environment"
        close = [_PREFIX + one.upper().replace(".", "__") for one in close]
    remedy = f"did you mean {' or '.join(close)}?" if close else "remove it; scimgw config show lists every setting"
    raise SettingsError(f"unknown setting {name} ({origin}); {remedy}")


def _converted(leaf: _Setting, given: _Given | None) -> object:
    if given is None:
        return leaf.default
    try:
        return msgspec.convert(given.value, leaf.type, strict=False)
    except msgspec.ValidationError as error:
        raise _wrong(leaf.name, given.value, given.origin, str(error)) from None


def _wrong(name: str, value: object, origin: str, why: str) -> SettingsError:
    leaf = SETTINGS[name]
    shown_value = "" if leaf.secret else f" {str(value)[:200]!r}"
    remedy = (
        "correct or remove it" if leaf.default == "" else f"correct it, or remove it for the default {leaf.default!r}"
    )
    reason = why[:1].lower() + why[1:]
    return SettingsError(f"setting {name}: the value{shown_value} ({origin}) will not do: {reason}; {remedy}")


_LISTEN: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]]+):([0-9]{1,5})")


def _check(values: dict[str, Any], origins: dict[str, str]) -> None:
    """Refuse what no single type can: URLs, addresses, and settings that need each other."""

    def refuse(name: str, why: str) -> SettingsError:
        return _wrong(name, values[name], origins[name], why)

    if url := values["http.public_url"]:
        if not _is_base_url(url):
            raise refuse("http.public_url", "expected https://host[:port][/path] without query and fragment")
        values["http.public_url"] = url.rstrip("/")
    issuer = values["events.issuer"]
    if issuer and (":" not in issuer or re.search(r"\s", issuer)):
        raise refuse("events.issuer", "expected a URI (RFC 8417 section 2.2)")
    if listen := values["admin.listen"]:
        match = _LISTEN.fullmatch(listen)
        if not match or int(match[2]) > 65535:
            raise refuse("admin.listen", "expected HOST:PORT, such as 127.0.0.1:9100")
    _check_servers(values, refuse)
    for one, other in (("http.tls_cert_file", "http.tls_key_file"), ("http.tls_key_file", "http.tls_cert_file")):
        if values[one] and not values[other]:
            raise refuse(one, f"it needs {other} beside it")
        if values[one] and not Path(values[one]).is_file():
            raise refuse(one, "no such file")


def _check_servers(values: dict[str, Any], refuse: Callable[[str, str], SettingsError]) -> None:
    """Refuse settings of Kafka and Redis that do not go together."""
    if values["kafka.partitions"] % values["redis.shards"]:
        raise refuse("kafka.partitions", "expected a multiple of redis.shards")
    if values["redis.url"] and not re.match(r"(rediss?|unix)://", values["redis.url"]):
        raise refuse("redis.url", "expected redis://, rediss:// or unix://")
    if values["kafka.bootstrap"] and not values["redis.url"]:
        raise refuse("kafka.bootstrap", "it needs redis.url beside it")
    if values["kafka.security_protocol"].startswith("SASL_") and not values["kafka.sasl_username"]:
        raise refuse("kafka.security_protocol", "it needs kafka.sasl_username and kafka.sasl_password beside it")
    for name in ("kafka.ca_file", "kafka.cert_file", "kafka.key_file"):
        if values[name] and not Path(values[name]).is_file():
            raise refuse(name, "no such file")


def _is_base_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in {"http", "https"}
            and bool(parts.hostname)
            and parts.port != 0
            and not (parts.query or parts.fragment or parts.username or re.search(r"\s", url))
        )
    except ValueError:
        return False


def _built(struct: type[Any], values: Mapping[str, object], prefix: str = "") -> Any:
    """Return the struct with each leaf taken from ``values`` by its whole name."""
    arguments: dict[str, object] = {}
    for field in msgspec.structs.fields(struct):
        name = prefix + field.name
        arguments[field.name] = values[name] if name in SETTINGS else _built(field.type, values, f"{name}.")
    return struct(**arguments)
