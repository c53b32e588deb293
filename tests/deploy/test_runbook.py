"""The runbook and the alert rules: they name metrics, settings, commands and sections that exist, and all of them."""

from __future__ import annotations

import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import redis
import yaml

from consumers.backends.redis_keys import ShardKeys
from consumers.metrics import Metrics
from consumers.settings import SETTINGS
from gateway.cli import _parser
from tests.services.choice import absent
from tests.services.processes import server_port

ROOT: Final = Path(__file__).parent.parent.parent
RUNBOOK: Final = (ROOT / "deploy/runbook.md").read_text()
ALERTS: Final = ROOT / "deploy/alerts.yaml"
RULES: Final[list[dict[str, Any]]] = [
    rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]
]
DECLARED: Final = {
    f"{family.name}_total" if family.type == "counter" else family.name for family in Metrics().registry.collect()
}
ANCHORS: Final = {
    re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).replace(" ", "-")
    for line in RUNBOOK.splitlines()
    if line.startswith("#")
}


def metrics_in(text: str) -> set[str]:
    """Return the names of metrics in a text."""
    return set(re.findall(r"\bscimgw_[a-z_]+[a-z]\b", text))


def commands() -> Iterator[list[str]]:
    """Yield the words of every command line of ours: lines of the shell blocks, and code within a sentence."""
    lines = [line for block in re.findall(r"```sh\n(.*?)```", RUNBOOK, re.S) for line in block.splitlines()]
    for line in (*lines, *re.findall(r"`(scimgw [^`]+)`", RUNBOOK)):
        words = shlex.split(line, comments=True)
        if words[:1] == ["scimgw"]:
            yield words[1:]


def test_every_metric_is_explained() -> None:
    explained = re.findall(r"^\| `(\w+)` \| (?:gateway|worker|both) \| \S.+ \|$", RUNBOOK, re.M)

    assert sorted(explained) == sorted(DECLARED)


def test_every_metric_that_is_named_exists() -> None:
    assert metrics_in(RUNBOOK) == DECLARED
    assert metrics_in(ALERTS.read_text()) <= DECLARED


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_every_command_is_one_that_the_program_parses(words: list[str]) -> None:
    _parser().parse_args(words)


def test_every_command_for_operators_is_in_it() -> None:
    named = {words[0] if words[0] in {"rebuild", "outcome"} else " ".join(words[:2]) for words in commands()}

    assert named >= {
        "rebuild",
        "outcome",
        "topics check",
        "topics create",
        "config check",
        "config show",
        "dead-letters list",
        "dead-letters show",
        "dead-letters redrive",
    }


def test_every_setting_that_is_named_exists() -> None:
    variables = {setting.variable for setting in SETTINGS.values()}
    files = {f"{setting.variable}_FILE" for setting in SETTINGS.values() if setting.secret}
    named = set(re.findall(r"\bSCIMGW_[A-Z_]+", RUNBOOK))
    sections = {name.split(".")[0] for name in SETTINGS if "." in name}
    dotted = {name for name in re.findall(r"`([a-z]+\.[a-z_]+)`", RUNBOOK) if name.split(".")[0] in sections}

    assert named
    assert named <= variables | files
    assert dotted
    assert dotted <= set(SETTINGS)


def test_every_section_that_is_linked_exists() -> None:
    linked = set(re.findall(r"\]\(#([^)]+)\)", RUNBOOK))

    assert linked
    assert linked <= ANCHORS


# --- alerts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_pages_or_not_says_what_it_is_and_has_its_section(rule: dict[str, Any]) -> None:
    file, _, anchor = rule["annotations"]["runbook"].partition("#")

    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"]
    assert metrics_in(rule["expr"])
    assert (ROOT / file).exists()
    assert anchor in ANCHORS


def test_what_the_catalogue_says_to_page_on_is_paged_on() -> None:
    paging = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in Metrics().registry.collect()
        if "page on it" in family.documentation
    }
    paged = metrics_in(" ".join(rule["expr"] for rule in RULES if rule["labels"]["severity"] == "page"))

    assert paging
    assert paging <= paged


CASES: Final = """
rule_files: [{alerts}]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {{series: 'scimgw_partition_halted{{partition="2",instance="w"}}', values: '0 0 1 1 1 1 1 1'}}
      - {{series: 'scimgw_commands_appended_total{{instance="g"}}', values: '0 60 120 180 240 300 360 420'}}
      - {{series: 'scimgw_commands_unknown_total{{instance="g"}}', values: '0 0 0 0 0 0 0 0'}}
      # One command waited long, a while ago: nothing waits now.
      - {{series: 'scimgw_partition_lag_seconds{{partition="1",instance="w"}}', values: '70x7'}}
      - {{series: 'scimgw_partition_lag_commands{{partition="1",instance="w"}}', values: '0x7'}}
      - {{series: 'scimgw_partitions{{instance="w"}}', values: '4 4 4 4 4 4 4 4'}}
      - {{series: 'scimgw_http_requests_total{{status="500",instance="g"}}', values: '_ _ 1 1 1 1 1 1'}}
    alert_rule_test:
      - {{eval_time: 1m, alertname: ScimgwPartitionHalted, exp_alerts: []}}
      - eval_time: 6m
        alertname: ScimgwPartitionHalted
        exp_alerts:
          - exp_labels: {{severity: page, partition: "2"}}
            exp_annotations:
              summary: "Partition 2 is halted: going on would lose something. Its writes get 503."
              runbook: deploy/runbook.md#partition-halted
      - {{eval_time: 7m, alertname: ScimgwLag, exp_alerts: []}}
      - {{eval_time: 7m, alertname: ScimgwNoWorker, exp_alerts: []}}
      - {{eval_time: 7m, alertname: ScimgwOutcomesUnknown, exp_alerts: []}}
      - eval_time: 4m
        alertname: ScimgwErrors
        exp_alerts:
          - exp_labels: {{severity: ticket}}
            exp_annotations:
              summary: "1 requests were answered 500: a defect, or a parked command."
              runbook: deploy/runbook.md#parked-commands
  - interval: 1m
    input_series:
      - {{series: 'scimgw_commands_appended_total{{instance="g"}}', values: '0 60 120 180 240 300 360 420'}}
      - {{series: 'scimgw_commands_unknown_total{{instance="g"}}', values: '0 60 120 180 240 300 360 420'}}
      - {{series: 'scimgw_partition_lag_seconds{{partition="1",instance="w"}}', values: '70x7'}}
      - {{series: 'scimgw_partition_lag_commands{{partition="1",instance="w"}}', values: '9x7'}}
    alert_rule_test:
      - eval_time: 5m
        alertname: ScimgwNoWorker
        exp_alerts:
          - exp_labels: {{severity: page}}
            exp_annotations:
              summary: "Commands are appended, and no worker owns a partition: every write ends in 503."
              runbook: deploy/runbook.md#lag
      - eval_time: 5m
        alertname: ScimgwOutcomesUnknown
        exp_alerts:
          - exp_labels: {{severity: page}}
            exp_annotations:
              summary: "More than 1 % of the writes end without a known outcome (503)."
              runbook: deploy/runbook.md#outcome-unknown
      - eval_time: 5m
        alertname: ScimgwLag
        exp_alerts:
          - exp_labels: {{severity: page, partition: "1"}}
            exp_annotations:
              summary: "Partition 1 lags; past the budget of 20 s its writes end in 503."
              runbook: deploy/runbook.md#lag
"""


def test_prometheus_fires_them_when_it_should(tmp_path: Path) -> None:
    promtool = os.environ.get("PROMTOOL") or shutil.which("promtool")
    if promtool is None:
        absent("promtool", "Debian: apt-get install prometheus; or name it in PROMTOOL")
    cases = tmp_path / "cases.yaml"
    cases.write_text(CASES.format(alerts=ALERTS))
    ran = subprocess.run(
        [promtool, "test", "rules", str(cases)], capture_output=True, text=True, timeout=60, check=False
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr


# --- rights in Redis --------------------------------------------------------------------------------------------------


@pytest.mark.services
@pytest.mark.timeout(180)
def test_the_rights_in_redis_suffice_for_each_role_and_let_a_gateway_change_no_record(
    kafka_bootstrap: str, topic_prefix: str, redis_url: str, tmp_path: Path
) -> None:
    admin: Any = redis.Redis.from_url(redis_url)  # redis-py types hardly any of its commands
    urls = {}
    for line in re.findall(r"^user (scimgw-.*)$", RUNBOOK, re.M):
        role, *rules = line.split()
        password = secrets.token_hex(16)
        admin.execute_command("ACL", "SETUSER", role, *(rule.replace("PASSWORD", password) for rule in rules))
        urls[role.removeprefix("scimgw-")] = redis_url.replace("://", f"://{role}:{password}@")
    admin.execute_command("ACL", "LOG", "RESET")

    def environment(role: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SCIMGW_")}
        ours = {"KAFKA__BOOTSTRAP": kafka_bootstrap, "KAFKA__TOPIC_PREFIX": topic_prefix, "REDIS__URL": urls[role]}
        return {**kept, **{f"SCIMGW_{name}": value for name, value in ours.items()}, "PYTHONPATH": str(ROOT)}

    def scimgw(role: str, *words: str) -> str:
        command = [sys.executable, "-m", "gateway.cli", *words]
        ran = subprocess.run(
            command, env=environment(role), capture_output=True, text=True, timeout=90, check=False, cwd=tmp_path
        )
        assert ran.returncode in {0, 1}, ran.stderr
        return ran.stdout

    def started(role: str, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "gateway.cli", role, *words]
        return subprocess.Popen(command, env=environment(role), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    scimgw("worker", "topics", "create")
    token = scimgw("gateway", "tenants", "init", "--file", str(tmp_path / "tenants.toml")).strip()
    port = server_port()
    running = [started("worker"), started("gateway", "--port", str(port), "--tenants", str(tmp_path / "tenants.toml"))]
    try:
        user = b'{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"ann"}'

        def asked(path: str, body: bytes | None = None, method: str | None = None) -> int:
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}{path}",
                data=body,
                method=method,
                headers={"Authorization": f"Bearer {token}", "Content-Type": "application/scim+json"},
            )
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return int(answer.status)
            except urllib.error.HTTPError as error:
                return error.code
            except OSError:
                return 0

        eventually(lambda: asked("/readyz") == 200)
        assert asked("/scim/v2/Users", user) == 201
        assert asked("/scim/v2/Users?filter=userName%20eq%20%22ann%22") == 200
        assert asked("/scim/v2/Users?filter=userName%20eq%20%22bob%22") == 200
        assert asked("/scim/v2/Users") == 200
        assert "unknown" in scimgw("gateway", "outcome", "0199c1f0-5b7e-7c3a-8d21-4f6a1b2c3d4e", "--tenant", "default")
        scimgw("worker", "rebuild")
        eventually(lambda: asked("/scim/v2/Users") == 200)
    finally:
        for process in running:
            process.send_signal(signal.SIGTERM)
        for process in running:
            process.wait(timeout=30)
    assert [(entry["username"], entry["object"]) for entry in admin.acl_log()] == []

    gateway = redis.Redis.from_url(urls["gateway"])
    for key in (ShardKeys(0).record("default", "x"), ShardKeys(0).outcome("default", "x"), ShardKeys(0).fence(0)):
        with pytest.raises(redis.exceptions.NoPermissionError):
            gateway.set(key, "forged")
    for role, url in urls.items():
        with pytest.raises(redis.exceptions.NoPermissionError):
            redis.Redis.from_url(url).flushall()
        admin.acl_deluser(f"scimgw-{role}")


def eventually(holds: Callable[[], bool], within_s: float = 60) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)
