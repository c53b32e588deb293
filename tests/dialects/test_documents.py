"""``documents.sh``: the five documents' requests, sent as somebody would who has only the documents and curl."""

from __future__ import annotations

import os
import re
import subprocess
import uuid
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.dialects.contracts import DOCUMENTS, FOLDER
from tests.distributed import Distributed, distributed
from tests.served import Service, serving
from tests.services.processes import RedisLike

SCRIPT: Final = FOLDER / "documents.sh"
STEPS: Final = 31


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the script and return what became of it."""
    known = {name: value for name, value in os.environ.items() if name not in {"BASE_URL", "TOKEN", "FORBIDDEN_TOKEN"}}
    return subprocess.run(
        ["sh", str(SCRIPT), *arguments],
        env={**known, "no_proxy": "127.0.0.1", **environment},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        cwd=FOLDER,
    )


@pytest.fixture(scope="module", params=["embedded", pytest.param("distributed", marks=pytest.mark.services)])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Give the service in each mode."""
    directory = tmp_path_factory.mktemp(request.param)
    if request.param == "embedded":
        with serving(directory) as embedded:
            yield embedded
        return
    server: RedisLike = request.getfixturevalue("redis_server")
    database = f"{server.url.rpartition('/')[0]}/3"  # other tests empty database 0, the HTTP contract has 1 and 2
    prefix = f"documents-{uuid.uuid4().hex[:10]}"
    with distributed(Distributed(directory, request.getfixturevalue("kafka_bootstrap"), database, prefix)) as remote:
        yield remote


def names(service: Service) -> list[Any]:
    """Return the names of all users of the tenant."""
    return [user["userName"] for user in service.caller("rfc").get("/Users").json()["Resources"]]


def test_the_documents_requests_are_answered_as_the_documents_say(service: Service) -> None:
    tokens = {"TOKEN": service.tokens["rfc"], "FORBIDDEN_TOKEN": service.tokens["scim2"]}
    for url in (service.origin, service.base_url):  # a second time, too
        done = run(BASE_URL=url, **tokens)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"=== {STEPS} requests, 0 not as expected" in done.stdout
        assert "BUT EXPECTED" not in done.stdout
        assert len(re.findall(r"^< \d{3}, as expected$", done.stdout, re.MULTILINE)) == STEPS
        for documents in DOCUMENTS.values():
            for name in documents:
                assert f"=== {name}.txt" in done.stdout
        assert not any(token in done.stdout + done.stderr for token in tokens.values())
        assert names(service) == [], "what it makes it removes"


def test_what_an_earlier_run_left_is_removed_and_a_namesake_is_not(service: Service) -> None:
    rfc = service.caller("rfc")
    for name in ("<string>", "string"):
        rfc.made(name, externalId=name)
    arguments = (service.origin, service.tokens["rfc"])
    done = run(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert names(service) == []
    namesake = rfc.made("<string>")
    try:
        done = run(*arguments)
        assert done.returncode == 1
        assert "< 409, BUT EXPECTED 201" in done.stdout
        assert names(service) == ["<string>"]
    finally:
        rfc.delete(f"/Users/{namesake['id']}")


def test_a_difference_is_exit_1(service: Service) -> None:
    done = run(service.origin, "wrong")
    assert done.returncode == 1
    assert "< 401, BUT EXPECTED 201" in done.stdout
    assert names(service) == []


def test_help_and_wrong_usage() -> None:
    done = run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "BASE_URL" in done.stdout
    for arguments in ((), ("http://127.0.0.1:1",), ("a", "b", "c", "d")):
        done = run(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert "usage:" in done.stderr


def test_nobody_there_is_exit_1() -> None:
    done = run("http://127.0.0.1:1", "token")
    assert done.returncode == 1
