"""Settings: file under environment under command line, origins, secrets, and mistakes said in one line."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from consumers.errors import SettingsError
from consumers.settings import SETTINGS, LoadedSettings, Settings, load_settings, shown


def refusal(config: str | None = None, **environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(config, environ)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


def _written(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_without_anything_the_defaults_of_the_interfaces_page_hold() -> None:
    loaded = load_settings(None, {})
    settings = loaded.settings
    assert settings == Settings()
    assert (settings.data, settings.http.host, settings.http.port) == ("./var", "127.0.0.1", 8080)
    assert (settings.http.budget_s, settings.http.max_body) == (20.0, 1024 * 1024)
    assert settings.admin.address is None
    assert set(loaded.origins.values()) == {"default"}


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    config = _written(tmp_path / "s.toml", 'data = "/file"\n[http]\nport = 1\nhost = "0.0.0.0"\nbudget_s = 3\n')
    environ = {"SCIMGW_HTTP__PORT": "2", "SCIMGW_HTTP__HOST": "::1"}
    loaded = load_settings(config, environ, {"http.port": 3, "http.host": None})
    assert (loaded.settings.data, loaded.settings.http.budget_s) == ("/file", 3.0)
    assert (loaded.settings.http.host, loaded.settings.http.port) == ("::1", 3)
    assert loaded.origins["http.port"] == "command line"
    assert loaded.origins["http.host"] == "environment SCIMGW_HTTP__HOST"
    assert loaded.origins["http.budget_s"] == f"file {config} line 5"
    assert loaded.origins["data"] == f"file {config} line 1"
    assert loaded.origins["admin.listen"] == "default"


def test_the_file_may_be_named_by_the_environment_and_the_command_line_wins(tmp_path: Path) -> None:
    one, other = _written(tmp_path / "1.toml", 'data = "1"'), _written(tmp_path / "2.toml", 'data = "2"')
    assert load_settings(None, {"SCIMGW_CONFIG": one}).settings.data == "1"
    loaded = load_settings(other, {"SCIMGW_CONFIG": one})
    assert (loaded.settings.data, loaded.config) == ("2", other)


@pytest.mark.parametrize(
    "variable", ["SCIMGW_PORT", "SCIMGW_SERVICE_HOST", "SCIMGW_PORT_8080_TCP_ADDR", "SCIMGW_TEST_FAILPOINT", "PATH__X"]
)
def test_variables_that_are_not_ours_are_left_alone(variable: str) -> None:
    assert load_settings(None, {variable: "tcp://10.0.0.1:80"}).settings == Settings()


def test_an_unknown_variable_with_two_underscores_is_refused_with_the_nearest_name() -> None:
    assert "SCIMGW_HTP__PORT" in refusal(SCIMGW_HTP__PORT="1")
    assert "did you mean SCIMGW_HTTP__PORT" in refusal(SCIMGW_HTP__PORT="1")
    assert "config show" in refusal(SCIMGW_QQQQ__ZZZZ="1")


def test_an_unknown_key_of_the_file_is_refused_with_its_line(tmp_path: Path) -> None:
    config = _written(tmp_path / "s.toml", "# settings\n[http]\nprot = 1\n")
    line = refusal(config)
    assert f"file {config} line 3" in line
    assert "did you mean http.port" in line


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("SCIMGW_HTTP__PORT", "eighty", "http.port"),
        ("SCIMGW_HTTP__PORT", "65536", "http.port"),
        ("SCIMGW_HTTP__PORT", "", "http.port"),
        ("SCIMGW_HTTP__HOST", "", "http.host"),
        ("SCIMGW_HTTP__BUDGET_S", "0", "http.budget_s"),
        ("SCIMGW_HTTP__BUDGET_S", "nan", "http.budget_s"),
        ("SCIMGW_HTTP__MAX_BODY", "1048577", "http.max_body"),
        ("SCIMGW_EVENTS__RETENTION_DAYS", "29", "events.retention_days"),
        ("SCIMGW_EVENTS__ISSUER", "no uri", "events.issuer"),
        ("SCIMGW_HTTP__PUBLIC_URL", "scim.example.com", "http.public_url"),
        ("SCIMGW_HTTP__PUBLIC_URL", "https://scim.example.com/?a", "http.public_url"),
        ("SCIMGW_HTTP__PUBLIC_URL", "https://[::1", "http.public_url"),
        ("SCIMGW_ADMIN__LISTEN", "9100", "admin.listen"),
        ("SCIMGW_ADMIN__LISTEN", "127.0.0.1:70000", "admin.listen"),
        ("SCIMGW_HTTP__TLS_CERT_FILE", "/nowhere", "http.tls_cert_file"),
        ("SCIMGW_HTTP__TLS_KEY_FILE", "/nowhere", "http.tls_key_file"),
        ("SCIMGW_DATA", "", "data"),
        ("SCIMGW_KAFKA__SECURITY_PROTOCOL", "TLS", "kafka.security_protocol"),
        ("SCIMGW_KAFKA__SECURITY_PROTOCOL", "SASL_SSL", "kafka.security_protocol"),
        ("SCIMGW_KAFKA__SECURITY_PROTOCOL", "SASL_PLAINTEXT", "kafka.security_protocol"),
        ("SCIMGW_KAFKA__SASL_MECHANISM", "GSSAPI", "kafka.sasl_mechanism"),
        ("SCIMGW_KAFKA__PARTITIONS", "0", "kafka.partitions"),
        ("SCIMGW_KAFKA__PARTITIONS", "1025", "kafka.partitions"),
        ("SCIMGW_KAFKA__REPLICATION", "0", "kafka.replication"),
        ("SCIMGW_KAFKA__TOPIC_PREFIX", "", "kafka.topic_prefix"),
        ("SCIMGW_KAFKA__TOPIC_PREFIX", "a b", "kafka.topic_prefix"),
        ("SCIMGW_KAFKA__SESSION_TIMEOUT_S", "0.5", "kafka.session_timeout_s"),
        ("SCIMGW_KAFKA__CA_FILE", "/nowhere", "kafka.ca_file"),
        ("SCIMGW_KAFKA__CERT_FILE", "/nowhere", "kafka.cert_file"),
        ("SCIMGW_KAFKA__KEY_FILE", "/nowhere", "kafka.key_file"),
        ("SCIMGW_KAFKA__BOOTSTRAP", "127.0.0.1:9092", "kafka.bootstrap"),
        ("SCIMGW_REDIS__SHARDS", "0", "redis.shards"),
        ("SCIMGW_OUTCOMES__MOST", "49999", "outcomes.most"),
        ("SCIMGW_OUTCOMES__MOST_KEYED", "999", "outcomes.most_keyed"),
        ("SCIMGW_REDIS__URL", "http://127.0.0.1:6379", "redis.url"),
        ("SCIMGW_REDIS__URL", "127.0.0.1:6379", "redis.url"),
    ],
)
def test_a_wrong_value_is_refused_with_setting_place_and_remedy(variable: str, value: str, named: str) -> None:
    line = refusal(**{variable: value})
    assert line.startswith(f"setting {named}: ")
    assert f"environment {variable}" in line
    assert "correct" in line


def test_a_certificate_without_its_key_is_refused(tmp_path: Path) -> None:
    certificate = _written(tmp_path / "cert.pem", "x")
    assert "http.tls_key_file" in refusal(SCIMGW_HTTP__TLS_CERT_FILE=certificate)


def test_certificate_and_key_files_are_taken_when_they_exist(tmp_path: Path) -> None:
    file = _written(tmp_path / "pem", "x")
    environ = {"SCIMGW_HTTP__TLS_CERT_FILE": file, "SCIMGW_HTTP__TLS_KEY_FILE": file}
    assert load_settings(None, environ).settings.http.tls_key_file == file


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[http]\nport =\n", "line 2"),
        ("[http]\nport = 1\nport = 2\n", "line 3"),
        ("http = 3\n", "unknown setting http"),
        ("[[http]]\nport = 1\n", "unknown setting http"),
        ("[http.port]\nx = 1\n", "http.port"),
        ("x = " + "[" * 3000, "not TOML"),
    ],
)
def test_a_file_of_the_wrong_form_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(_written(tmp_path / "s.toml", text))


def test_a_file_that_is_not_utf_8_is_refused_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_bytes(b'data = "x"\n# caf\xe9\n')
    assert "line 2: not UTF-8" in refusal(str(tmp_path / "s.toml"))


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_bytes(b'\xef\xbb\xbfdata = "x"\n')
    assert load_settings(str(tmp_path / "s.toml"), {}).settings.data == "x"


def test_a_missing_file_is_refused_with_the_option_that_names_one(tmp_path: Path) -> None:
    assert "--config" in refusal(str(tmp_path / "none.toml"))


def test_a_secret_may_come_from_a_file_and_is_masked_when_shown(tmp_path: Path) -> None:
    file = _written(tmp_path / "secret", "topsecret\n")
    loaded = load_settings(None, {"SCIMGW_SECRET_FILE": file})
    assert loaded.settings.secret == "topsecret"
    assert loaded.origins["secret"] == f"environment SCIMGW_SECRET_FILE ({file})"
    assert "topsecret" not in repr(shown(loaded))
    assert ("secret", "********", loaded.origins["secret"]) in shown(loaded)


def test_the_file_may_name_a_secrets_file(tmp_path: Path) -> None:
    file = _written(tmp_path / "secret", "topsecret\n")
    config = _written(tmp_path / "s.toml", f'secret_file = "{file}"\n')
    assert load_settings(config, {}).settings.secret == "topsecret"
    assert load_settings(config, {"SCIMGW_SECRET": "other"}).settings.secret == "other"


def test_a_secret_given_in_two_ways_is_refused_without_repeating_it(tmp_path: Path) -> None:
    file = _written(tmp_path / "secret", "topsecret\n")
    line = refusal(SCIMGW_SECRET="lessersecret", SCIMGW_SECRET_FILE=file)
    assert "given twice" in line
    assert "lesser" not in line


def test_a_secrets_file_that_cannot_be_read_is_refused_with_its_name(tmp_path: Path) -> None:
    assert str(tmp_path / "none") in refusal(SCIMGW_SECRET_FILE=str(tmp_path / "none"))


def test_a_secret_of_the_wrong_type_is_not_repeated(tmp_path: Path) -> None:
    assert "12345" not in refusal(_written(tmp_path / "s.toml", "secret = 12345\n"))


def test_only_secrets_have_a_file_form() -> None:
    assert "unknown setting SCIMGW_HTTP__PORT_FILE" in refusal(SCIMGW_HTTP__PORT_FILE="/x")


def test_the_issuer_is_its_setting_else_the_public_url_else_a_urn() -> None:
    def issuer(**environ: str) -> str:
        return load_settings(None, environ).settings.issuer

    assert issuer() == "urn:scimgw"
    assert issuer(SCIMGW_HTTP__PUBLIC_URL="https://scim.example.com/x/") == "https://scim.example.com/x"
    assert issuer(SCIMGW_HTTP__PUBLIC_URL="https://a.example", SCIMGW_EVENTS__ISSUER="urn:b") == "urn:b"


@pytest.mark.parametrize(
    ("listen", "address"),
    [("127.0.0.1:9100", ("127.0.0.1", 9100)), ("[::1]:0", ("::1", 0)), ("localhost:9100", ("localhost", 9100))],
)
def test_the_admin_port_is_host_and_port(listen: str, address: tuple[str, int]) -> None:
    assert load_settings(None, {"SCIMGW_ADMIN__LISTEN": listen}).settings.admin.address == address


def test_every_setting_is_reached_by_its_variable_name() -> None:
    loaded: LoadedSettings = load_settings(None, {"SCIMGW_ADMIN__LISTEN": "a:1"})
    assert [name for name, _, _ in shown(loaded)] == list(SETTINGS)
    assert {leaf.variable for leaf in SETTINGS.values()} >= {"SCIMGW_DATA", "SCIMGW_SECRET", "SCIMGW_HTTP__BUDGET_S"}
    assert all(isinstance(leaf.default, int | float | str) for leaf in SETTINGS.values())


# --- Kafka and Redis --------------------------------------------------------------------------------------------------


def test_the_embedded_mode_needs_no_servers_and_both_are_named_together() -> None:
    assert not load_settings(None, {}).settings.distributed
    environ = {"SCIMGW_KAFKA__BOOTSTRAP": "a:9092,b:9092", "SCIMGW_REDIS__URL": "redis://127.0.0.1:6379/0"}
    settings = load_settings(None, environ).settings
    assert settings.distributed
    assert (settings.kafka.partitions, settings.kafka.replication, settings.redis.shards) == (4, 1, 1)
    assert not load_settings(None, {"SCIMGW_REDIS__URL": "redis://127.0.0.1"}).settings.distributed


def test_brokers_without_a_redis_are_refused_with_the_setting_that_is_missing() -> None:
    line = refusal(SCIMGW_KAFKA__BOOTSTRAP="127.0.0.1:9092")
    assert "it needs redis.url beside it" in line


@pytest.mark.parametrize("scheme", ["redis", "rediss", "unix"])
def test_a_redis_is_named_by_its_url(scheme: str) -> None:
    url = f"{scheme}://127.0.0.1:6379"
    assert load_settings(None, {"SCIMGW_REDIS__URL": url}).settings.redis.url == url


def test_CP1_partitions_are_a_multiple_of_the_shards() -> None:
    line = refusal(SCIMGW_KAFKA__PARTITIONS="8", SCIMGW_REDIS__SHARDS="3")
    assert line.startswith("setting kafka.partitions: ")
    assert "a multiple of redis.shards" in line
    assert "kafka.partitions" in refusal(SCIMGW_REDIS__SHARDS="8"), "more shards than the default has partitions"
    environ = {"SCIMGW_KAFKA__PARTITIONS": "12", "SCIMGW_REDIS__SHARDS": "3"}
    assert load_settings(None, environ).settings.redis.shards == 3


def test_sasl_needs_a_user() -> None:
    line = refusal(SCIMGW_KAFKA__SECURITY_PROTOCOL="SASL_SSL", SCIMGW_KAFKA__SASL_PASSWORD="topsecret")
    assert "kafka.sasl_username" in line
    assert "topsecret" not in line
    environ = {"SCIMGW_KAFKA__SECURITY_PROTOCOL": "SASL_SSL", "SCIMGW_KAFKA__SASL_USERNAME": "scimgw"}
    assert load_settings(None, environ).settings.kafka.sasl_mechanism == "SCRAM-SHA-512"
    assert load_settings(None, {"SCIMGW_KAFKA__SECURITY_PROTOCOL": "SSL"}).settings.kafka.sasl_username == ""


def test_the_files_of_the_brokers_certificates_are_taken_when_they_exist(tmp_path: Path) -> None:
    file = _written(tmp_path / "pem", "x")
    environ = {f"SCIMGW_KAFKA__{name}_FILE": file for name in ("CA", "CERT", "KEY")}
    kafka = load_settings(None, environ).settings.kafka
    assert (kafka.ca_file, kafka.cert_file, kafka.key_file) == (file, file, file)


SERVERS_SECRETS = {
    "kafka.sasl_password": ("SCIMGW_KAFKA__SASL_PASSWORD", "topsecret"),
    "redis.url": ("SCIMGW_REDIS__URL", "redis://scimgw:topsecret@127.0.0.1:6379"),
}


@pytest.mark.parametrize("name", SERVERS_SECRETS)
def test_the_servers_secrets_may_come_from_files_and_are_masked_when_shown(tmp_path: Path, name: str) -> None:
    variable, value = SERVERS_SECRETS[name]
    file = _written(tmp_path / "secret", value + "\n")
    for loaded in (load_settings(None, {variable: value}), load_settings(None, {f"{variable}_FILE": file})):
        section, _, field = name.partition(".")
        assert getattr(getattr(loaded.settings, section), field) == value
        assert (name, "********", loaded.origins[name]) in shown(loaded)
        assert "topsecret" not in repr(shown(loaded))
    config = _written(tmp_path / "s.toml", f'[{section}]\n{field}_file = "{file}"\n')
    assert (name, "********", f"file {config} line 2 ({file})") in shown(load_settings(config, {}))


def test_a_wrong_redis_url_is_not_repeated() -> None:
    assert "topsecret" not in refusal(SCIMGW_REDIS__URL="http://scimgw:topsecret@127.0.0.1")


def test_settings_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Settings().data = "elsewhere"  # type: ignore[misc]
    assert msgspec.structs.replace(Settings(), data="elsewhere").data == "elsewhere"
