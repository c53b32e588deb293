"""Kafka with SCRAM over TLS and Redis with TLS and users: everything works with the least rights, and no secret leaks."""

from __future__ import annotations

import json
import re
import secrets
import subprocess
import time
import uuid
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

import pytest
import redis

from schemas.ids import time_ordered
from tests.distributed import SCIMGW, Distributed, Program, distributed
from tests.gateway.test_serve_gateway import ended, eventually, missing
from tests.served import op, refused, user
from tests.services.secure import Certificates, SecureBroker, SecureRedis

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]

RUNBOOK: Final = Path(__file__).parents[2] / "deploy" / "runbook.md"
ROLES: Final = ("scimgw-worker", "scimgw-gateway")


class AuthorizingBroker(SecureBroker):
    """A broker at which a user may do nothing until it is given the right to."""

    @property
    def inner(self) -> str:
        """Where the broker talks to itself, and whoever comes there may do everything."""
        return self._inner

    @property
    def properties(self) -> dict[str, str]:
        return {
            **super().properties,
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        }


def role_url(server: SecureRedis, user_name: str, password: str) -> str:
    """Return the URL of a user of the server."""
    return f"rediss://{user_name}:{password}@127.0.0.1:{server.port}/0?ssl_ca_certs={server.ca_file}"


@pytest.fixture
def roles(secure_redis: SecureRedis) -> dict[str, str]:
    """Make the users of the runbook, with its rules; user → password."""
    rules = re.findall(r"^user (\S+) on >PASSWORD (.+)$", RUNBOOK.read_text(), re.MULTILINE)
    assert {name for name, _ in rules} == set(ROLES)
    made = {}
    with redis.Redis.from_url(secure_redis.admin_url) as client:
        for name, words in rules:
            made[name] = secrets.token_urlsafe(24)
            client.execute_command("ACL", "SETUSER", name, "reset", "on", f">{made[name]}", *words.split())
    return made


@pytest.fixture
def kafka_settings(secure_kafka: SecureBroker, tmp_path: Path) -> dict[str, str]:
    """Give the settings that reach the broker; the password stands in a file."""
    return settings_of(secure_kafka, tmp_path)


def settings_of(broker: SecureBroker, directory: Path) -> dict[str, str]:
    """Return the settings that reach a broker; the password stands in a file."""
    password_file = directory / "kafka-password"
    password_file.write_text(broker.password + "\n")
    return {
        "SCIMGW_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
        "SCIMGW_KAFKA__SASL_MECHANISM": broker.mechanism,
        "SCIMGW_KAFKA__SASL_USERNAME": broker.username,
        "SCIMGW_KAFKA__SASL_PASSWORD_FILE": str(password_file),
        "SCIMGW_KAFKA__CA_FILE": str(broker.ca_file),
    }


class Secured(Distributed):
    """A gateway and a worker, each as its own user of Redis, whose URL stands in a file."""

    def __init__(
        self, directory: Path, broker: SecureBroker, urls: Mapping[str, str], settings: Mapping[str, str], prefix: str
    ) -> None:
        super().__init__(directory, broker.bootstrap, "", prefix, workers=0, environment=settings)
        self.of_role: dict[str, dict[str, str]] = {}
        del self.environment["SCIMGW_REDIS__URL"]
        for role, url in urls.items():
            url_file = directory / f"{role}-url"
            url_file.write_text(url + "\n")
            self.of_role[role] = {**self.environment, "SCIMGW_REDIS__URL_FILE": str(url_file)}
        self.workers = [Program("worker", ["worker"], self.of_role["scimgw-worker"], directory)]
        self.environment = self.of_role["scimgw-gateway"]
        self.gateways = [self._gateway("gateway")]
        self.origin = self.origins[0]
        self.admin = self.gateways[0].admin

    def said(self, *arguments: str, role: str = "scimgw-gateway", **more: str) -> tuple[int, str, str]:
        """Run ``scimgw``; return exit code, standard output and standard error."""
        environment = {**self.of_role[role], **more}
        done = subprocess.run([*SCIMGW, *arguments], env=environment, capture_output=True, timeout=90, check=False)
        return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.fixture
def secured(
    tmp_path: Path, secure_kafka: SecureBroker, secure_redis: SecureRedis, roles: dict[str, str],
    kafka_settings: dict[str, str], topic_prefix: str,
) -> Secured:  # fmt: skip
    """Give a service on both servers, not started."""
    urls = {role: role_url(secure_redis, role, password) for role, password in roles.items()}
    return Secured(tmp_path / "service", secure_kafka, urls, kafka_settings, topic_prefix)


def holds_none(text: str, *given: str) -> None:
    """Check that none of these secrets stands in a text."""
    for secret in given:
        assert secret not in text, "a secret was told"


# --- everything works ---


def test_everything_works_over_TLS_with_the_rights_of_the_runbook(
    secured: Secured, secure_kafka: SecureBroker, secure_redis: SecureRedis, roles: dict[str, str]
) -> None:
    given = [secure_kafka.password, *roles.values()]
    printed = ""
    with distributed(secured) as service:
        caller = service.caller()
        made = caller.made(externalId="e-1")
        path = f"/Users/{made['id']}"
        assert caller.find('externalId eq "e-1"')["totalResults"] == 1
        assert caller.get("/Users").json()["totalResults"] == 1
        assert caller.put(path, user(made["userName"], title="t"), headers={"If-Match": 'W/"1"'}).status_code == 200
        refused(caller.post("/Users", user(made["userName"])), 409, "uniqueness")
        keyed = {"Idempotency-Key": uuid.uuid4().hex}
        patched = [caller.patch(path, op("replace", "title", value="u"), headers=keyed) for _ in range(2)]
        assert [answer.status_code for answer in patched] == [200, 200]
        txn = patched[0].headers["Scim-Txn"]
        assert caller.get(f"/Outcomes/{txn}").json()["state"] == "applied"
        assert caller.delete(path).status_code == 204
        assert len(service.events_of("rfc", made["id"])) == 4
        for role, arguments in (
            ("scimgw-gateway", ["topics", "check"]),
            ("scimgw-gateway", ["outcome", txn, "--tenant", "rfc"]),
            ("scimgw-gateway", ["config", "show"]),
            ("scimgw-worker", ["dead-letters", "list"]),
        ):
            code, out, error = secured.said(*arguments, role=role)
            assert (code, error) == (0, ""), error
            printed += out
        again = caller.made()
        code, out, error = secured.said("rebuild", role="scimgw-worker")
        assert code == 0, error
        assert "recovered in" in error
        printed += out + error
        eventually(lambda: caller.get(f"/Users/{again['id']}").status_code == 200)
        refused(caller.get(path), 404)
        # Each second the owners check their fence; the gateway gives its sign of life.
        time.sleep(2.5)
        assert caller.made()["id"]
        printed += service.metrics()
    logs = "".join(program.log() for program in secured.programs)
    holds_none(printed + logs, *given)
    assert "NOPERM" not in logs
    assert not re.search(r'"level":"(error|critical)","logger":"(scimgw|consumers|gateway)', logs)
    with redis.Redis.from_url(secure_redis.admin_url) as client:
        denied = [entry for entry in client.acl_log() if entry["username"] in ROLES]
    assert not denied, [(entry["username"], entry["object"]) for entry in denied]


@pytest.mark.parametrize(
    ("role", "forbidden"),
    [
        ("scimgw-gateway", ["SET", "{s0}:rfc:r:somebody", "x"]),
        ("scimgw-gateway", ["DEL", "{s0}:wm:0"]),
        ("scimgw-gateway", ["SET", "{s0}:fence:0", "active:mine"]),
        ("scimgw-gateway", ["HSET", "{s0}:rfc:uq:userName", "ann", "somebody"]),
        *((role, words) for role in ROLES for words in (["CONFIG", "GET", "*"], ["KEYS", "*"], ["FLUSHALL"], ["ACL", "LIST"])),
        *((role, ["GET", "another-application"]) for role in ROLES),
    ],
)  # fmt: skip
def test_the_users_of_the_runbook_may_do_no_more_than_they_need(
    secure_redis: SecureRedis, roles: dict[str, str], role: str, forbidden: list[str]
) -> None:
    url = role_url(secure_redis, role, roles[role])
    with redis.Redis.from_url(url) as client, pytest.raises(redis.exceptions.NoPermissionError):
        client.execute_command(*forbidden)


# --- what is wrong is said in one line, without the secret ---


def one_line(code: int, out: str, error: str) -> str:
    """Check that a command failed with one line on standard error, and return it."""
    assert code in {1, 2}, (code, out, error)
    lines = error.splitlines()
    assert len(lines) == 1, error
    assert lines[0].startswith("scimgw: ")
    assert "Traceback" not in out
    return lines[0]


KAFKA_COMMANDS: Final = (["topics", "check"], ["topics", "create"], ["events"], ["dead-letters", "list"])


@pytest.mark.parametrize("arguments", KAFKA_COMMANDS)
def test_a_wrong_password_of_Kafka_is_told_by_the_settings_that_may_be_wrong(
    secured: Secured, secure_kafka: SecureBroker, tmp_path: Path, arguments: list[str]
) -> None:
    wrong = secrets.token_urlsafe(24)
    (tmp_path / "kafka-password").write_text(wrong)
    line = one_line(*secured.said(*arguments, role="scimgw-worker"))
    for part in (secure_kafka.bootstrap, "refused the credentials", "kafka.sasl_username", "kafka.sasl_password"):
        assert part in line, line
    holds_none(line, wrong)


@pytest.mark.parametrize("arguments", KAFKA_COMMANDS)
def test_a_wrong_CA_of_Kafka_is_told(
    secured: Secured, secure_kafka: SecureBroker, tmp_path: Path, arguments: list[str]
) -> None:
    other = Certificates(tmp_path / "other").ca_file
    line = one_line(*secured.said(*arguments, role="scimgw-worker", SCIMGW_KAFKA__CA_FILE=str(other)))
    for part in (secure_kafka.bootstrap, "TLS", "kafka.ca_file"):
        assert part in line, line
    holds_none(line, secure_kafka.password)


def test_a_CA_file_that_is_none_is_told(secured: Secured, tmp_path: Path) -> None:
    (tmp_path / "no-ca.pem").write_text("no certificate")
    for path in (tmp_path / "no-ca.pem", tmp_path / "not-there.pem"):
        code, out, error = secured.said("topics", "check", SCIMGW_KAFKA__CA_FILE=str(path))
        assert code == 2
        line = one_line(code, out, error)
        assert "kafka.ca_file" in line
        assert str(path) in line


REDIS_COMMANDS: Final = (["outcome", time_ordered(1, b"\0" * 10), "--tenant", "rfc"], ["rebuild"])


def with_url(secured: Secured, directory: Path, url: str) -> dict[str, str]:
    """Return the setting that names another URL of Redis."""
    url_file = directory / "wrong-url"
    url_file.write_text(url)
    return {"SCIMGW_REDIS__URL_FILE": str(url_file)}


@pytest.mark.parametrize("arguments", REDIS_COMMANDS)
def test_what_is_wrong_with_Redis_is_told_without_its_URL(
    secured: Secured, secure_redis: SecureRedis, roles: dict[str, str], tmp_path: Path, arguments: list[str]
) -> None:
    wrong, right = secrets.token_urlsafe(24), roles["scimgw-worker"]
    other = Certificates(tmp_path / "other").ca_file
    with redis.Redis.from_url(secure_redis.admin_url) as client:
        client.execute_command("ACL", "SETUSER", "powerless", "reset", "on", f">{wrong}", "-@all", "+ping")
    for url, says in (
        (role_url(secure_redis, "scimgw-worker", wrong), ("password", "credentials")),
        (
            role_url(secure_redis, "scimgw-worker", right).replace(str(secure_redis.ca_file), str(other)),
            ("TLS", "ertificate"),
        ),
        (role_url(secure_redis, "powerless", wrong), ("right", "NOPERM", "permission")),
        (role_url(secure_redis, "scimgw-worker", right).replace("rediss://", "redis://").partition("?")[0], ("Redis",)),
    ):
        line = one_line(*secured.said(*arguments, role="scimgw-worker", **with_url(secured, tmp_path, url)))
        assert any(part in line for part in says), line
        holds_none(line, wrong, right, url)


def says_why(program: Program, server: str) -> bool:
    """Tell whether ``/readyz`` names the credentials."""
    return program.probe("livez")[0] == 200 and bool(
        re.search("credentials|password", missing(program).get(server, ""))
    )


@pytest.mark.parametrize("server", ["kafka", "redis"])
def test_processes_with_a_wrong_password_start_and_say_so(
    secured: Secured, secure_kafka: SecureBroker, secure_redis: SecureRedis, tmp_path: Path, server: str
) -> None:
    assert secured.said("topics", "create")[0] == 0
    wrong, more = secrets.token_urlsafe(24), {}
    if server == "kafka":
        (tmp_path / "kafka-password").write_text(wrong)
    else:
        more = with_url(secured, tmp_path, role_url(secure_redis, "scimgw-worker", wrong))
    programs = [*secured.gateways, *secured.workers]
    with ended(*programs):
        for program in programs:
            program.start(**more)
        for program in programs:
            eventually(partial(says_why, program, server))
            holds_none(json.dumps(missing(program)) + program.log(), wrong)
        time.sleep(3)
        for program in programs:
            assert program.running
            assert program.stop() == 0
            holds_none(program.log(), wrong, secure_kafka.password)
            assert "Traceback" not in program.log()


def test_a_user_of_Kafka_without_rights_is_told_which(
    tmp_path: Path, secure_redis: SecureRedis, roles: dict[str, str], topic_prefix: str
) -> None:
    broker = AuthorizingBroker(tmp_path / "kafka")
    broker.start()
    try:
        urls = {role: role_url(secure_redis, role, password) for role, password in roles.items()}
        service = Secured(tmp_path / "service", broker, urls, settings_of(broker, tmp_path), topic_prefix)
        line = one_line(*service.said("topics", "create"))
        assert "right" in line, line
        inner = {"SCIMGW_KAFKA__BOOTSTRAP": broker.inner, "SCIMGW_KAFKA__SECURITY_PROTOCOL": "PLAINTEXT"}
        code, _, error = service.said("topics", "create", **inner)
        assert code == 0, error
        for arguments in (["topics", "check"], ["events"], ["dead-letters", "list"]):
            code, out, error = service.said(*arguments, role="scimgw-worker")
            assert code in {1, 2}
            assert "right" in out + error, out + error
            assert "Traceback" not in error
            holds_none(out + error, broker.password)
        (worker,) = service.workers
        with ended(worker):
            worker.start()
            eventually(lambda: not worker.running or "right" in worker.log())
            holds_none(worker.log(), broker.password)
            assert "Traceback" not in worker.log()
            assert "right" in worker.log()
    finally:
        broker.close()
