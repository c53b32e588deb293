"""Which servers tests run on, and what happens when there are none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.services import kafka_jars
from tests.services.choice import SETTING, WAYS, Way, choose, given
from tests.services.processes import Missing
from tests.services.redis import binary_of


@pytest.fixture(autouse=True)
def laptop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither CI nor a choice."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv(SETTING, raising=False)


def chosen(*working: Way) -> str:
    """Return which of the three ways is taken when these work."""

    def starter(way: Way) -> Callable[[], str]:
        def start() -> str:
            if way not in working:
                raise Missing(f"no {way} here")
            return way

        return start

    return choose("kafka", {way: starter(way) for way in WAYS})


def test_the_first_way_that_works_is_taken() -> None:
    assert chosen("given", "processes", "containers") == "given"
    assert chosen("containers", "processes") == "processes"
    assert chosen("containers") == "containers"


def test_the_setting_is_kept_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SETTING, "containers")
    assert chosen("given", "processes", "containers") == "containers"
    with pytest.raises(pytest.skip.Exception, match="containers: no containers here"):
        chosen("given", "processes")


def test_an_unknown_setting_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SETTING, "podman")
    with pytest.raises(pytest.fail.Exception, match="given, processes, containers"):
        chosen("processes")


def test_a_missing_service_is_a_skip_with_all_reasons_on_a_laptop_and_a_failure_in_ci(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reasons = "NO KAFKA FOR THIS TEST .*no given here.*no processes here.*no containers here"
    with pytest.raises(pytest.skip.Exception, match=reasons):
        chosen()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=reasons):
        chosen()


def test_what_is_missing_is_named_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(Missing, match="apt-get install openjdk"):
        kafka_jars.jars()
    with pytest.raises(Missing, match="apt-get install redis-server"):
        binary_of("redis")
    (tmp_path / "java").touch(mode=0o755)
    with pytest.raises(Missing, match="apt-get install maven"):
        kafka_jars.jars()


def test_a_fetch_that_fails_leaves_nothing_that_looks_like_jars(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "java").touch(mode=0o755)
    maven = tmp_path / "mvn"
    maven.write_text('#!/bin/sh\nfor word; do last=$word; done\nmkdir -p "${last#*=}"; echo offline; exit 1\n')
    maven.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for _ in range(2):
        with pytest.raises(Missing, match="offline"):
            kafka_jars.jars()


def test_an_address_is_taken_from_its_variable_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIMGW_TEST_KAFKA", "127.0.0.1:9092")
    assert given("SCIMGW_TEST_KAFKA") == "127.0.0.1:9092"
    monkeypatch.setenv("SCIMGW_KAFKA__BOOTSTRAP", "127.0.0.1:9092")
    monkeypatch.delenv("SCIMGW_TEST_KAFKA")
    with pytest.raises(Missing, match="SCIMGW_TEST_KAFKA is not set"):
        given("SCIMGW_TEST_KAFKA")
