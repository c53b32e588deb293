"""The command line, as a person or a script starts it: what is printed where, and the exit codes."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

import gateway
from gateway.tenants import first_tenants_file, load_tenants, token_digest
from schemas.urns import USER

ROOT = Path(__file__).parent.parent.parent
COMMAND = [sys.executable, "-m", "gateway.cli"]
COMMANDS = [
    ["serve"],
    ["gateway"],
    ["worker"],
    ["rebuild"],
    ["topics", "create"],
    ["topics", "check"],
    ["dead-letters", "list"],
    ["dead-letters", "show"],
    ["dead-letters", "redrive"],
    ["tenants", "init"],
    ["events"],
    ["outcome"],
    ["config", "check"],
    ["config", "show"],
    ["backup"],
    ["restore"],
]


class Ran(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SCIMGW_")}
    return kept | {"PYTHONPATH": str(ROOT)} | more


def scimgw(*arguments: str | Path, cwd: Path | None = None, **more: str) -> Ran:
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd or ROOT,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return Ran(done.returncode, done.stdout, done.stderr)


def one_line(text: str) -> str:
    assert text.startswith("scimgw")
    assert text.count("\n") == 1
    assert text.endswith("\n")
    return text


class Served:
    """A running ``scimgw serve`` and its data directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.process = subprocess.Popen(
            [*COMMAND, "serve", "--port", "0", "--data", str(directory)],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        url = re.search(r"http://\S+", self.process.stdout.readline())
        if url is None:
            self.process.kill()
            raise AssertionError(self.process.communicate()[1])
        self.address = urlsplit(url[0])
        self.token = (directory / "token").read_text().strip()

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, str], Any]:
        connection = http.client.HTTPConnection(self.address.hostname or "", self.address.port or 0, timeout=30)
        with closing(connection):
            headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/scim+json"}
            connection.request(method, f"/scim/v2{path}", json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, dict(answer.getheaders()), json.loads(text) if text else None

    def create(self, name: str) -> tuple[str, str]:
        status, headers, user = self.ask("POST", "/Users", {"schemas": [USER], "userName": name})
        assert status == 201, user
        return user["id"], headers["Scim-Txn"]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        try:
            self.process.communicate(timeout=30)
        finally:
            self.process.kill()
        return self.process.returncode


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    server = Served(tmp_path / "var")
    try:
        yield server
    finally:
        server.stop()


def test_the_version_is_printed() -> None:
    assert scimgw("--version") == (0, f"scimgw {gateway.__version__}\n", "")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(command: list[str]) -> None:
    ran = scimgw(*command, "--help")
    assert ran.code == 0
    assert re.search(rf"example: .*scimgw {' '.join(command)}\b", ran.out)


@pytest.mark.parametrize(
    "arguments",
    [[], ["swerve"], ["serve", "--prot", "1"], ["serve", "--port", "x"], ["tenants"], ["config"], ["outcome"]],
    ids=" ".join,
)
def test_wrong_usage_is_said_in_one_line_and_exits_with_2(arguments: list[str]) -> None:
    ran = scimgw(*arguments)
    assert ran.code == 2
    assert "--help" in one_line(ran.err)
    assert ran.out == ""


@pytest.mark.parametrize("command", [["serve"], ["events"], ["config", "check"], ["config", "show"], ["backup", "x"]])
def test_wrong_settings_are_said_in_one_line_and_exit_with_2(command: list[str], tmp_path: Path) -> None:
    ran = scimgw(*command, cwd=tmp_path, SCIMGW_HTTP__PORT="eighty")
    assert ran.code == 2
    assert "http.port" in one_line(ran.err)
    assert "SCIMGW_HTTP__PORT" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_config_show_prints_each_setting_with_its_origin_and_no_secret(tmp_path: Path) -> None:
    ran = scimgw("config", "show", "--data", tmp_path, SCIMGW_HTTP__PORT="8081", SCIMGW_SECRET="topsecret")
    assert ran.code == 0
    assert re.search(r"^http\.port +8081 +environment SCIMGW_HTTP__PORT$", ran.out, re.MULTILINE)
    assert re.search(rf"^data +{tmp_path} +command line$", ran.out, re.MULTILINE)
    assert "topsecret" not in ran.out
    table = json.loads(scimgw("config", "show", "--json", SCIMGW_HTTP__PORT="8081", SCIMGW_SECRET="topsecret").out)
    assert table["http.port"] == {"value": 8081, "origin": "environment SCIMGW_HTTP__PORT"}
    assert table["secret"]["value"] == "********"


def test_config_check_validates_the_tenants_file_too(tmp_path: Path) -> None:
    assert scimgw("config", "check", "--data", tmp_path).code == 0
    assert list(tmp_path.iterdir()) == []
    file = tmp_path / "tenants.toml"
    file.write_text(first_tenants_file()[0])
    assert "1 tenants, 1 tokens" in scimgw("config", "check", "--data", tmp_path).out
    file.write_text(file.read_text().replace("[tenants.default]", "[tenants.Default]"))
    ran = scimgw("config", "check", "--data", tmp_path)
    assert ran.code == 2
    assert "line 6: tenants.Default" in one_line(ran.err)


def test_tenants_init_prints_the_token_once_and_keeps_its_hash(tmp_path: Path) -> None:
    file = tmp_path / "tenants.toml"
    ran = scimgw("tenants", "init", "--file", file)
    assert ran.code == 0
    token = ran.out.strip()
    assert token_digest(token) in load_tenants(file).by_token_hash
    assert token not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = scimgw("tenants", "init", "--file", file)
    assert (again.code, again.out) == (1, "")
    assert "exists" in one_line(again.err)
    assert token_digest(token) in load_tenants(file).by_token_hash


def test_tenants_init_into_a_missing_directory_fails_in_one_line(tmp_path: Path) -> None:
    ran = scimgw("tenants", "init", "--file", tmp_path / "none" / "tenants.toml")
    assert ran.code == 1
    assert "No such file or directory" in one_line(ran.err)


@pytest.mark.parametrize("command", [["events"], ["outcome", "x", "--tenant", "t"], ["backup", "to"]], ids=" ".join)
def test_a_directory_without_a_database_is_said_in_one_line(command: list[str], tmp_path: Path) -> None:
    ran = scimgw(*command, "--data", tmp_path / "none", cwd=tmp_path)
    assert ran.code == 1
    assert str(tmp_path / "none") in one_line(ran.err)
    assert list(tmp_path.iterdir()) == []


def test_events_shows_each_version_once_also_while_serving(served: Served) -> None:
    first, _ = served.create("ann")
    second, txn = served.create("bob")
    ran = scimgw("events", "--data", served.directory)
    lines = [json.loads(line) for line in ran.out.splitlines()]
    assert (ran.code, ran.err) == (0, "")
    assert [line["jti"] for line in lines] == [f"{first}:1", f"{second}:1"]
    assert lines[1]["txn"] == txn
    meta = [json.loads(line) for line in scimgw("events", "--meta", "--data", served.directory).out.splitlines()]
    assert [entry["value"] for entry in meta] == lines
    assert {entry["partition"] for entry in meta} == {0}
    assert meta[0]["key"] == f"default/{first}"
    assert meta[0]["headers"]["ce_id"] == f"{first}:1"
    from_second = scimgw("events", "--from", f"0:{meta[1]['offset']}", "--data", served.directory)
    assert [json.loads(line)["jti"] for line in from_second.out.splitlines()] == [f"{second}:1"]
    assert scimgw("events", "--from", "latest", "--data", served.directory).out == ""
    assert scimgw("events", "--from", "2020-01-01T00:00:00Z", "--data", served.directory).out == ran.out
    assert scimgw("events", "--from", "2100-01-01T00:00:00+01:00", "--data", served.directory).out == ""
    assert scimgw("events", "--tenant", "default", "--data", served.directory).out == ran.out
    assert scimgw("events", "--tenant", "other", "--data", served.directory).out == ""


@pytest.mark.parametrize("start", ["yesterday", "1:0", "2026-11-21T08:00:00", "2026-11-21", "-1", ""])
def test_a_place_to_start_that_is_none_is_refused(served: Served, start: str) -> None:
    ran = scimgw("events", f"--from={start}", "--data", served.directory)
    assert ran.code == 2
    assert "--from" in one_line(ran.err)


def test_events_goes_on_with_new_events_when_it_follows(served: Served) -> None:
    first, _ = served.create("ann")
    command = [*COMMAND, "events", "--follow", "--data", str(served.directory)]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as following:
        assert following.stdout is not None
        assert following.stderr is not None
        assert json.loads(following.stdout.readline())["jti"] == f"{first}:1"
        second, _ = served.create("bob")
        began = time.monotonic()
        assert json.loads(following.stdout.readline())["jti"] == f"{second}:1"
        assert time.monotonic() - began < 10
        following.send_signal(signal.SIGINT)
        assert following.wait(30) == 130
        assert following.stderr.read() == b""


def test_events_into_a_pipe_that_closes_makes_no_noise(served: Served) -> None:
    for name in range(3):
        served.create(f"user-{name}")
    line = f"{sys.executable} -m gateway.cli events --follow --data '{served.directory}' | head -n 1"
    with subprocess.Popen(
        line, shell=True, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0
    ) as pipe:
        served.create("one-more")
        deadline = time.monotonic() + 30
        while pipe.poll() is None and time.monotonic() < deadline:
            served.create(f"user-{time.monotonic_ns()}")  # the writer learns of the closed pipe when it writes
        if pipe.poll() is None:
            os.killpg(pipe.pid, signal.SIGKILL)
        out, err = pipe.communicate()
    assert out.count(b"\n") == 1
    assert err == b""


def test_outcome_tells_what_became_of_a_write(served: Served) -> None:
    user, txn = served.create("ann")
    ran = scimgw("outcome", txn, "--json", "--data", served.directory)
    assert ran.code == 0
    found = json.loads(ran.out)
    assert found == served.ask("GET", f"/Outcomes/{txn}")[2] | {"location": f"/scim/v2/Users/{user}"}
    assert (found["state"], found["version"]) == ("applied", 'W/"1"')
    assert re.search(r"^state +applied$", scimgw("outcome", txn, "--data", served.directory).out, re.MULTILINE)
    refused_txn = served.ask("POST", "/Users", {"schemas": [USER], "userName": "ann"})[1]["Scim-Txn"]
    refused = scimgw("outcome", refused_txn, "--tenant", "default", "--json", "--data", served.directory)
    assert refused.code == 0
    assert json.loads(refused.out) == served.ask("GET", f"/Outcomes/{refused_txn}")[2]
    text = scimgw("outcome", refused_txn, "--data", served.directory).out
    assert re.search(r"^error +uniqueness \S+", text, re.MULTILINE)


def test_outcome_of_an_unknown_write_exits_with_1(served: Served) -> None:
    _, txn = served.create("ann")
    for arguments in (["no-such-txn"], [txn, "--tenant", "other"]):
        ran = scimgw("outcome", *arguments, "--json", "--data", served.directory)
        assert (ran.code, json.loads(ran.out)["state"], ran.err) == (1, "unknown", "")


def test_a_second_serve_on_the_same_directory_says_which_process_has_it(served: Served) -> None:
    ran = scimgw("serve", "--port", "0", "--data", served.directory)
    assert ran.code == 1
    assert f"process {served.process.pid}" in one_line(ran.err)


def test_a_port_in_use_is_said_in_one_line(served: Served, tmp_path: Path) -> None:
    ran = scimgw("serve", "--port", str(served.address.port), "--data", tmp_path / "other")
    assert ran.code == 1
    last = ran.err.splitlines()[-1]
    assert f"port {served.address.port}" in last
    assert "in use" in last


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_stops_when_told_to_and_all_is_there_after_the_next_start(tmp_path: Path, number: signal.Signals) -> None:
    served = Served(tmp_path / "var")
    try:
        user, _ = served.create("ann")
    finally:
        code = served.stop(number)
    assert code == 0
    again = Served(tmp_path / "var")
    try:
        assert again.token == served.token
        assert again.ask("GET", f"/Users/{user}")[0] == 200
    finally:
        again.stop()


def test_serve_refuses_to_start_without_a_token_that_is_valid(tmp_path: Path) -> None:
    text = first_tenants_file()[0]
    (tmp_path / "tenants.toml").write_text(text + "expires = 2020-01-01T00:00:00Z\n")
    ran = scimgw("serve", "--port", "0", "--data", tmp_path)
    assert ran.code == 2
    assert "no tenant has a token" in one_line(ran.err)


def test_a_database_of_a_later_version_is_refused(tmp_path: Path) -> None:
    served = Served(tmp_path / "var")
    served.create("ann")
    served.stop()
    database = tmp_path / "var" / "scimgw.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA user_version=99")
    for command in (["serve", "--port", "0"], ["events"], ["outcome", "x"], ["backup", str(tmp_path / "to")]):
        ran = scimgw(*command, "--data", tmp_path / "var")
        assert ran.code == 1
        assert "later version" in ran.err.splitlines()[-1]
    assert not (tmp_path / "to").exists()


def test_a_backup_made_while_serving_is_restored_with_all_but_the_token(served: Served, tmp_path: Path) -> None:
    users = [served.create(f"user-{number}")[0] for number in range(20)]
    to, directory = tmp_path / "backup", tmp_path / "restored"
    ran = scimgw("backup", to, "--data", served.directory)
    assert (ran.code, ran.out) == (0, "")
    assert sorted(path.name for path in to.iterdir()) == ["scimgw.db", "tenants.toml"]
    assert stat.S_IMODE(to.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in to.iterdir()} == {0o600}
    served.create("after")
    assert scimgw("restore", to, "--data", directory).code == 0
    assert sorted(path.name for path in directory.iterdir()) == ["lock", "scimgw.db", "tenants.toml"]
    (directory / "token").write_text(served.token)  # the operator still has it
    again = Served(directory)
    try:
        assert again.ask("GET", "/Users")[2]["totalResults"] == len(users)
        assert all(again.ask("GET", f"/Users/{user}")[0] == 200 for user in users)
        again.create("after")
        assert load_tenants(directory / "tenants.toml").secret == load_tenants(to / "tenants.toml").secret
    finally:
        assert again.stop() == 0


def test_a_backup_is_whole_while_others_write(served: Served, tmp_path: Path) -> None:
    program = (
        "import http.client,json,sys\n"
        "c=http.client.HTTPConnection(sys.argv[1],int(sys.argv[2]))\n"
        "for n in range(100000):\n"
        "  b=json.dumps({'schemas':[sys.argv[4]],'userName':f'u{n}'})\n"
        "  c.request('POST','/scim/v2/Users',b,{'Authorization':'Bearer '+sys.argv[3],"
        "'Content-Type':'application/scim+json'})\n"
        "  c.getresponse().read()\n"
    )
    host, port = served.address.hostname or "", str(served.address.port)
    with subprocess.Popen([sys.executable, "-c", program, host, port, served.token, USER]) as writing:
        try:
            while served.ask("GET", "/Users?count=0")[2]["totalResults"] < 100:
                time.sleep(0.05)
            before = served.ask("GET", "/Users?count=0")[2]["totalResults"]
            assert scimgw("backup", tmp_path / "to", "--data", served.directory).code == 0
            after = served.ask("GET", "/Users?count=0")[2]["totalResults"]
        finally:
            writing.kill()
    assert before < after
    directory = tmp_path / "restored"
    assert scimgw("restore", tmp_path / "to", "--data", directory).code == 0
    events = scimgw("events", "--data", directory).out.splitlines()
    assert before <= len(events) <= after
    assert [json.loads(line)["seq"] for line in events] == [f"0:{number}" for number in range(1, len(events) + 1)]


def test_a_backup_never_overwrites(served: Served, tmp_path: Path) -> None:
    served.create("ann")
    (tmp_path / "to").mkdir()
    ran = scimgw("backup", tmp_path / "to", "--data", served.directory)
    assert ran.code == 1
    assert "exists" in one_line(ran.err)
    assert list((tmp_path / "to").iterdir()) == []


def test_a_restore_into_a_served_or_filled_directory_is_refused(served: Served, tmp_path: Path) -> None:
    kept, _ = served.create("kept")
    to = tmp_path / "to"
    assert scimgw("backup", to, "--data", served.directory).code == 0
    late, _ = served.create("late")
    ran = scimgw("restore", to, "--data", served.directory, "--force")
    assert ran.code == 1
    assert f"process {served.process.pid}" in one_line(ran.err)
    served.stop()
    ran = scimgw("restore", to, "--data", served.directory)
    assert ran.code == 1
    assert "--force" in one_line(ran.err)
    assert scimgw("restore", to, "--data", served.directory, "--force").code == 0
    again = Served(served.directory)
    try:
        assert again.token == served.token  # it is of the restored tenants, too
        assert again.ask("GET", f"/Users/{kept}")[0] == 200
        assert again.ask("GET", f"/Users/{late}")[0] == 404
    finally:
        assert again.stop() == 0


def test_a_token_that_the_restored_tenants_do_not_know_is_removed(served: Served, tmp_path: Path) -> None:
    served.create("ann")
    assert scimgw("backup", tmp_path / "to", "--data", served.directory).code == 0
    other = Served(tmp_path / "other")
    assert other.stop() == 0
    assert scimgw("restore", tmp_path / "to", "--data", other.directory, "--force").code == 0
    assert not (other.directory / "token").exists()


def damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4096])


def no_database(path: Path) -> None:
    path.write_text("not a database, but longer than the header of one, which has a hundred bytes; " * 3)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (x)")


def later(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=99")


def missing(path: Path) -> None:
    path.unlink()


def wrong_tenants(path: Path) -> None:
    (path.parent / "tenants.toml").write_text("[server]\n")


def test_a_backup_that_cannot_be_used_replaces_nothing(served: Served, tmp_path: Path) -> None:
    kept, _ = served.create("kept")
    for number in range(50):
        served.create(f"user-{number}")
    assert scimgw("backup", tmp_path / "good", "--data", served.directory).code == 0
    served.stop()
    for spoil in (damaged, cut, no_database, empty, foreign, later, missing, wrong_tenants):
        bad = tmp_path / spoil.__name__
        shutil.copytree(tmp_path / "good", bad)
        spoil(bad / "scimgw.db")
        for directory, force in ((served.directory, ["--force"]), (tmp_path / "new", [])):
            before = {path.name: path.read_bytes() for path in directory.glob("*") if path.name != "lock"}
            ran = scimgw("restore", bad, "--data", directory, *force)
            assert ran.code in {1, 2}, spoil.__name__
            assert str(bad) in one_line(ran.err)
            assert {path.name: path.read_bytes() for path in directory.glob("*") if path.name != "lock"} == before
    again = Served(served.directory)
    try:
        assert again.ask("GET", f"/Users/{kept}")[0] == 200
    finally:
        assert again.stop() == 0


def test_a_restore_killed_while_it_replaces_is_not_served_and_can_be_repeated(served: Served, tmp_path: Path) -> None:
    user, _ = served.create("ann")
    assert scimgw("backup", tmp_path / "to", "--data", served.directory).code == 0
    served.stop()
    (served.directory / "scimgw.db").unlink()
    (served.directory / "restoring").touch()  # as _replace leaves it when killed there
    ran = scimgw("serve", "--port", "0", "--data", served.directory)
    assert ran.code == 1
    assert "--force" in one_line(ran.err)
    assert scimgw("restore", tmp_path / "to", "--data", served.directory, "--force").code == 0
    again = Served(served.directory)
    try:
        assert again.ask("GET", f"/Users/{user}")[0] == 200
    finally:
        assert again.stop() == 0
