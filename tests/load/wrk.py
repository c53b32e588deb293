"""wrk as the load: one call, its closing JSON line, its own CPU."""

from __future__ import annotations

import resource
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from typing import Final

import msgspec

from tests.load.errors import BenchError, RunFailed
from tests.load.users import HERE

_MARK: Final = "BENCH "


class WrkResult(msgspec.Struct, frozen=True):
    """What ``done()`` in ``common.lua`` prints; times in microseconds."""

    requests: int
    """Answers that came before the end."""
    duration_us: int
    bytes: int
    issued: int
    """Requests built, one of them (wrk's own check of the script) never sent, some still on their way at the end."""
    answered_well: int
    answered_otherwise: int
    example: str
    """The first answer that was not as it must be."""
    connect_errors: int
    read_errors: int
    write_errors: int
    status_errors: int
    timeouts: int
    mean_us: float
    max_us: int
    p50_us: int
    p75_us: int
    p90_us: int
    p99_us: int
    p999_us: int
    cpu_s: float = 0.0
    """Of wrk itself."""

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.requests / (self.duration_us / 1e6)


def find_wrk() -> str:
    """Return wrk's path. Raises BenchError with the remedy."""
    found = shutil.which("wrk")
    if found is None:
        raise BenchError(
            "wrk is not on PATH; install it (Debian, Ubuntu: apt-get install wrk) and run make bench again"
        )
    return found


class Load(msgspec.Struct, frozen=True):
    """One kind of load."""

    script: str
    """A file of this directory, without ``.lua``."""
    connections: int
    arguments: Mapping[str, str] = {}
    """For the script: ``expect``, ``password``."""


def run(load: Load, port: int, seconds: float, arguments: Mapping[str, str]) -> WrkResult:
    """Run wrk on one thread and return its figures. Raises RunFailed for any answer but those expected."""
    pairs = [f"{key}={value}" for key, value in {**arguments, **load.arguments}.items()]
    command = [
        *(find_wrk(), "-t1", f"-c{load.connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s"),
        *("-s", str(HERE / f"{load.script}.lua"), f"http://127.0.0.1:{port}", "--", *pairs),
    ]
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        cpu_s = _wait(process, seconds + 30)
        output.seek(0)
        text = output.read()
    return checked(msgspec.structs.replace(parse(text), cpu_s=cpu_s), load)


def _wait(process: subprocess.Popen[bytes], limit_s: float) -> float:
    """Wait for the end and return the CPU seconds of the process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        process.wait(limit_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise RunFailed(f"wrk did not end within {limit_s:.0f} s") from None
    except BaseException:
        process.kill()
        process.wait()
        raise
    # Of all ended children; wrk is the only one that ends in between.
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def parse(output: str) -> WrkResult:
    """Return the figures in wrk's output. Raises RunFailed when the script did not get to its end."""
    for line in output.splitlines():
        if line.startswith(_MARK):
            return msgspec.json.decode(line.removeprefix(_MARK), type=WrkResult)
    raise RunFailed(f"wrk printed no figures: {' '.join(output.split())[-500:]}")


def checked(result: WrkResult, load: Load) -> WrkResult:
    """Return the figures if every answer was one that the script expects. Raises RunFailed."""
    wrong = {
        "answers but the expected": result.answered_otherwise,
        "connect errors": result.connect_errors,
        "read errors": result.read_errors,
        "write errors": result.write_errors,
        "answers over 399": result.status_errors,
        "timeouts": result.timeouts,
    }
    if any(wrong.values()):
        said = ", ".join(f"{count} {name}" for name, count in wrong.items() if count)
        raise RunFailed(f"{load.script}: {said} among {result.requests}; the first: {result.example or 'none kept'}")
    if result.requests == 0 or result.answered_well != result.requests:
        raise RunFailed(f"{load.script}: {result.requests} answers by wrk, {result.answered_well} by the script")
    if result.issued - result.requests > load.connections + 1:
        raise RunFailed(f"{load.script}: {result.issued} requests, only {result.requests} answers")
    return result
