"""The jars of a Kafka broker and their class-data archive, fetched once into the user's cache.

``python -m tests.services.kafka_jars`` fetches them, so that no test's time limit pays for it.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.services.processes import Missing

POM: Final = Path(__file__).with_name("pom.xml")
VERSION: Final = re.findall(r"<artifactId>kafka_2\.13</artifactId>\s*<version>([\d.]+)", POM.read_text())[0]
FETCH_LIMIT_S: Final = 90.0
"""Less than a test may take: a slow registry is a missing broker, not a failure."""


def cache() -> Path:
    """Return the directory that holds the jars, outside of the tree."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "scimgw-tests" / f"kafka-{VERSION}"


def archive() -> Path:
    """Return where the class-data archive is, or shall be; without one a broker takes seconds more to start."""
    return cache() / "broker.jsa"


def jars(limit_s: float = FETCH_LIMIT_S) -> list[Path]:
    """Return the jars, fetched by Maven when they are not there; raise ``Missing`` when they cannot be had."""
    if shutil.which("java") is None:
        raise Missing("no java on PATH; Debian, Ubuntu: apt-get install openjdk-17-jre-headless")
    libs = cache() / "libs"
    if not libs.exists():
        with exclusively(cache()):
            if not libs.exists():
                _fetch(libs, limit_s)
    return sorted(libs.glob("*.jar"))


def _fetch(libs: Path, limit_s: float) -> None:
    if shutil.which("mvn") is None:
        raise Missing(f"no Kafka {VERSION} in {libs.parent}, and no mvn on PATH to fetch it; apt-get install maven")
    # Whole or not at all: a fetch that is cut off leaves nothing that looks like jars.
    with tempfile.TemporaryDirectory(dir=libs.parent) as fresh:
        command = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", "-DincludeScope=runtime"]
        try:
            subprocess.run(
                [*command, f"-DoutputDirectory={fresh}/libs"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=limit_s,
                check=True,
            )
        except subprocess.TimeoutExpired:
            raise Missing(f"Maven did not fetch Kafka {VERSION} within {limit_s:.0f} s") from None
        except subprocess.CalledProcessError as why:
            said = why.stdout.decode(errors="replace")[-500:]
            raise Missing(f"Maven could not fetch Kafka {VERSION}: {said}") from None
        Path(fresh, "libs").rename(libs)


@contextmanager
def exclusively(directory: Path) -> Iterator[None]:
    """Let one process at a time through; the lock of a killed one is free."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    from tests.services.kafka import make_archive

    began = time.monotonic()
    try:
        found = jars(limit_s=600)
        make_archive()
    except Missing as why:
        sys.exit(str(why))
    print(f"{len(found)} jars of Kafka {VERSION} and their archive after {time.monotonic() - began:.1f} s")
