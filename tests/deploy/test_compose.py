"""The image and the compose file: what they promise on paper, and that ``make up`` gives two gateways on one log."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from consumers.settings import SETTINGS
from gateway.cli import _parser
from tests.services.choice import absent
from tests.services.containers import KAFKA_IMAGE, REDIS_IMAGE, image_of
from tests.services.processes import Missing, server_port

ROOT: Final = Path(__file__).parent.parent.parent
COMPOSE: Final[dict[str, Any]] = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
SERVICES: Final[dict[str, dict[str, Any]]] = COMPOSE["services"]
DOCKERFILE: Final = (ROOT / "deploy/Dockerfile").read_text()
SERVING: Final = ("gateway-1", "gateway-2", "worker-1", "worker-2")
OURS: Final = (*SERVING, "topics", "tenants")
ONCE: Final = ("topics", "tenants")


def steps(instruction: str) -> list[str]:
    """Return what follows an instruction of the Dockerfile, continued lines joined."""
    joined = DOCKERFILE.replace("\\\n", " ")
    return [line.split(maxsplit=1)[1] for line in joined.splitlines() if line.startswith(f"{instruction} ")]


# --- on paper ---------------------------------------------------------------------------------------------------------


def test_there_is_no_version_for_compose_of_either_generation() -> None:
    assert "version" not in COMPOSE
    assert set(SERVICES) == {"kafka", "redis", *OURS}


@pytest.mark.parametrize("service", OURS)
def test_every_setting_is_one_that_the_program_knows(service: str) -> None:
    variables = {setting.variable for setting in SETTINGS.values()}

    assert set(SERVICES[service].get("environment", {})) <= variables
    assert set(re.findall(r"\bSCIMGW_\w+(?==)", DOCKERFILE)) <= variables


def test_gateways_and_workers_have_the_same_servers() -> None:
    assert all(SERVICES[service]["environment"] == SERVICES["topics"]["environment"] for service in SERVING)


@pytest.mark.parametrize("service", [service for service in OURS if service != "tenants"])
def test_every_command_is_one_that_the_program_parses(service: str) -> None:
    _parser().parse_args(SERVICES[service]["command"])


@pytest.mark.parametrize("service", SERVICES)
def test_every_image_can_be_another(service: str) -> None:
    assert re.fullmatch(r"\$\{[A-Z_]+:-[^}]+\}", SERVICES[service]["image"])
    if "build" in SERVICES[service]:
        assert SERVICES[service]["build"]["args"] == {"BASE": "${PYTHON_IMAGE:-python:3.11-slim-bookworm}"}
        assert steps("ARG") == ["BASE=python:3.11-slim-bookworm"]


def test_there_are_no_credentials() -> None:
    text = (ROOT / "deploy/compose.yaml").read_text() + DOCKERFILE

    assert not re.findall(r"(?i)(password|secret|sasl_username)\w*\s*[:=]", text)
    assert not re.findall(r"://[^/\s]*@", text)
    assert "scimgw_" not in text


def test_ports_are_published_on_loopback_alone_and_the_operators_not_at_all() -> None:
    published = {service: each["ports"] for service, each in SERVICES.items() if "ports" in each}

    assert set(published) == {"kafka", "gateway-1", "gateway-2"}
    assert all(
        re.match(r"127\.0\.0\.1:\$\{[A-Z_0-9]+:-\d+\}:\d+$", port) for ports in published.values() for port in ports
    )
    assert published["gateway-1"] == ["127.0.0.1:${GATEWAY_1_PORT:-8081}:8080"]
    assert published["gateway-2"] == ["127.0.0.1:${GATEWAY_2_PORT:-8082}:8080"]


@pytest.mark.parametrize("service", [service for service in SERVICES if service not in ONCE])
def test_what_serves_has_a_health_check_and_is_started_again(service: str) -> None:
    assert SERVICES[service]["healthcheck"]["test"][0] == "CMD"
    assert SERVICES[service]["restart"] == "unless-stopped"


@pytest.mark.parametrize("service", ONCE)
def test_what_runs_once_is_not_started_again(service: str) -> None:
    assert SERVICES[service]["restart"] == "no"


@pytest.mark.parametrize("service", SERVICES)
def test_memory_and_logs_are_limited(service: str) -> None:
    assert re.fullmatch(r"\d+[mg]", SERVICES[service]["mem_limit"])
    assert set(SERVICES[service]["logging"]["options"]) == {"max-size", "max-file"}


@pytest.mark.parametrize("service", OURS)
def test_our_containers_have_no_rights_and_write_nowhere_but_in_their_volumes(service: str) -> None:
    assert SERVICES[service]["read_only"] is True
    assert SERVICES[service]["cap_drop"] == ["ALL"]
    assert SERVICES[service]["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("service", SERVING)
def test_nothing_serves_before_what_it_needs_is_there(service: str) -> None:
    needs = {name: each["condition"] for name, each in SERVICES[service]["depends_on"].items()}
    expected = {"redis": "service_healthy", "topics": "service_completed_successfully"}
    if service.startswith("gateway"):
        expected["tenants"] = "service_completed_successfully"

    assert needs == expected
    assert SERVICES["topics"]["depends_on"] == {"kafka": {"condition": "service_healthy"}}


def test_workers_have_names_of_their_own() -> None:
    names = [SERVICES[service]["command"][2] for service in SERVING if service.startswith("worker")]

    assert [SERVICES[service]["command"][1] for service in SERVING[2:]] == ["--name", "--name"]
    assert names == ["worker-1", "worker-2"]


def test_redis_keeps_what_it_is_told() -> None:
    command = SERVICES["redis"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))

    assert (options["--appendonly"], options["--maxmemory-policy"]) == ("yes", "noeviction")


def test_the_token_is_in_a_volume_that_no_server_sees() -> None:
    assert [
        service for service, each in SERVICES.items() if any("token:" in one for one in each.get("volumes", []))
    ] == ["tenants"]


def test_the_image_has_hashes_no_compiler_no_pip_and_no_rights() -> None:
    assert len(steps("FROM")) == 2
    assert any("--require-hashes" in step and "requirements.lock" in step for step in steps("RUN"))
    assert "uninstall --quiet --yes setuptools pip" in DOCKERFILE
    assert "apt-get" not in DOCKERFILE
    assert re.fullmatch(r"\d+:\d+", steps("USER")[-1])
    assert json.loads(steps("ENTRYPOINT")[-1]) == ["scimgw"]


def test_the_engine_is_sent_what_the_image_is_made_of_and_no_more() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    copied = {name for step in steps("COPY") if "--from" not in step for name in step.split()[:-1]}

    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == copied
    assert all((ROOT / name).exists() for name in copied)


# --- what `make up` says where something is missing -------------------------------------------------------------------


def script(directory: Path, name: str, text: str) -> None:
    (directory / name).write_text(f"#!/bin/sh\n{text}\n")
    (directory / name).chmod(0o755)


def make_up(programs: Path) -> subprocess.CompletedProcess[str]:
    """Run ``make up`` with these programs and the commonest of the system's."""
    for name in ("sh", "make", "dirname", "tail"):
        found = shutil.which(name)
        assert found
        (programs / name).symlink_to(found)
    return subprocess.run(
        ["make", "-C", str(ROOT), "up"],
        env={"PATH": str(programs)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_is_said_that_docker_is_missing(tmp_path: Path) -> None:
    ran = make_up(tmp_path)

    assert ran.returncode != 0
    assert "there is no docker here; install Docker" in ran.stderr


def test_it_is_said_that_compose_is_missing(tmp_path: Path) -> None:
    script(tmp_path, "docker", "echo unknown command >&2; exit 1")
    ran = make_up(tmp_path)

    assert ran.returncode != 0
    assert "compose is not: neither 'docker compose' nor 'docker-compose' works" in ran.stderr


def test_it_is_said_that_the_engine_does_not_answer(tmp_path: Path) -> None:
    script(
        tmp_path,
        "docker",
        'case "$1" in compose) exit 0;; *) echo "Cannot connect to the Docker daemon" >&2; exit 1;; esac',
    )
    ran = make_up(tmp_path)

    assert ran.returncode != 0
    assert "the Docker engine does not answer: Cannot connect to the Docker daemon" in ran.stderr


# --- for real ---------------------------------------------------------------------------------------------------------

PYTHON_IMAGE: Final = ("SCIMGW_TEST_PYTHON_IMAGE", "local/python:3.11-bookworm")


class Stack:
    """The compose project of this test, under names and ports of its own."""

    def __init__(self, images: dict[str, str]) -> None:
        self.one, self.two = server_port(), server_port()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SCIMGW_", "MAKE", "MFLAGS"))}
        self.environment = {
            **kept,
            **images,
            "COMPOSE_PROJECT_NAME": f"scimgw-test-{os.getpid()}",
            "SCIMGW_IMAGE": "scimgw:test",
            "GATEWAY_1_PORT": str(self.one),
            "GATEWAY_2_PORT": str(self.two),
            "KAFKA_PORT": str(server_port()),
        }

    def run(self, *command: str, timeout: float = 180) -> str:
        """Run a command to its good end and return what it printed."""
        ran = subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=timeout, check=False
        )
        assert ran.returncode == 0, f"{command}: {ran.stdout[-4000:]}{ran.stderr[-4000:]}"
        return ran.stdout

    def compose(self, *words: str) -> str:
        """Run a command of compose."""
        return self.run("sh", "deploy/compose.sh", *words)


@pytest.fixture
def stack() -> Iterator[Stack]:
    """Give a project whose images are here, brought down afterwards with all it stored; skip or fail without them."""
    try:
        images = {"KAFKA_IMAGE": image_of(KAFKA_IMAGE), "REDIS_IMAGE": image_of(REDIS_IMAGE)}
        images["PYTHON_IMAGE"] = image_of(PYTHON_IMAGE)
    except Missing as why:
        absent("docker", str(why))
    if not shutil.which("docker"):
        absent("docker", "the engine answers, but there is no docker on PATH")
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    if plugin.returncode and not shutil.which("docker-compose"):
        absent("compose", "neither 'docker compose' nor 'docker-compose'")
    made = Stack(images)
    try:
        yield made
    finally:
        made.run("make", "down", "ARGS=-v --remove-orphans")


def asked(port: int, token: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
    """POST a user, or GET the list."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/scim/v2/Users",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/scim+json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def created(port: int, token: str) -> str:
    """Create a user, again after each 503, and return its id."""
    user = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": f"user-{uuid.uuid4().hex}"}
    deadline = time.monotonic() + 60
    while True:
        status, answer = asked(port, token, user)
        if status == 201:
            return str(answer["id"])
        assert status == 503, answer
        assert time.monotonic() < deadline, answer
        time.sleep(0.5)


@pytest.mark.services
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_make_up_gives_two_gateways_on_one_log_that_outlive_a_worker(stack: Stack) -> None:
    said = stack.run("make", "up", timeout=300)
    token = stack.compose("token").strip()
    first = created(stack.one, token)
    second = created(stack.two, token)

    status, listed = asked(stack.two, token)
    assert status == 200
    assert [user["id"] for user in listed["Resources"]] == [first, second]

    # What `make up` prints is to be pasted: a create through the first gateway, the list through the second.
    pasted = stack.run("bash", "-ceu", "".join(re.findall(r"^ +(?:curl|-H).*\n", said, re.M)))
    assert json.loads(pasted.splitlines()[0])["meta"]["resourceType"] == "User"
    assert json.loads(pasted.splitlines()[1])["totalResults"] == 3
    assert token not in said

    # Every partition goes on: the one that was killed comes back under its name, or the other takes over.
    stack.compose("kill", "-s", "KILL", "worker-1")
    users = [created(stack.one, token) for _ in range(16)]
    stack.compose("up", "-d", "--no-build")
    status, listed = asked(stack.one, token)
    assert status == 200
    assert {user["id"] for user in listed["Resources"]} >= {first, second, *users}

    # Stopped and started again: nothing of it is forgotten.
    stack.run("make", "down")
    stack.run("make", "up", timeout=300)
    assert stack.compose("token").strip() == token
    status, listed = asked(stack.two, token)
    assert (status, listed["totalResults"]) == (200, 19)
