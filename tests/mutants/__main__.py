"""``make mutants``: which mutants of decide, PATCH and filters no test notices, and whether each of them is known."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.mutants import runs
from tests.mutants.operators import Mutant, mutants

ROOT: Final = Path(__file__).parent.parent.parent
KNOWN: Final = Path(__file__).with_name("survivors.toml")
LEAST: Final = 90
"""Per cent of a group's mutants that the tests must notice."""
GROUPS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "decide": (("decide", "batches"), ("decide*", "batches*", "keeping", "changes")),
    "patch": (("patch", "patch_requests", "paths", "removals"), ("patch*", "paths*", "removal*")),
    "filter": (
        ("filters", "filter_tokens", "notation", "matching"),
        ("filters*", "filter_*", "notation*", "matching*", "paths*"),
    ),
}
"""Modules of ``schemas``, and the tests of ``tests/schemas`` for them."""
_COPIED: Final = ("schemas", "tests/__init__.py", "tests/rfc_examples.py", "tests/schemas", "tests/idp", "tests/rfc")
_INI: Final = """[pytest]
filterwarnings =
    error
    ignore:Module already imported so cannot be rewritten
"""


@dataclass
class Tally:
    """What became of the mutants of one module."""

    module: str
    count: int = 0
    survived: list[Mutant] = field(default_factory=list)

    @property
    def killed(self) -> int:
        return self.count - len(self.survived)


def main() -> int:
    """Print a table and the survivors; return 1 when too many survive, or one that the list does not know."""
    options = _options()
    started = time.monotonic()
    known: dict[str, dict[str, str]] = tomllib.loads(KNOWN.read_text()) if KNOWN.exists() else {}
    failed = False
    with tempfile.TemporaryDirectory(prefix="scimgw-mutants-") as name:
        root = Path(name)
        _copy(root)
        print(f"{'module':<28}{'mutants':>9}{'killed':>9}{'survived':>10}{'share':>9}", flush=True)
        for group, (modules, tests) in GROUPS.items():
            chosen = [each for each in modules if not options.module or each in options.module]
            if not chosen:
                continue
            tallies = []
            for tally in _run(root, chosen, tests, options.jobs):
                _print_row(tally.module, tally.count, tally.killed)
                failed |= _compare(tally, known.get(tally.module, {}))
                tallies.append(tally)
            failed |= _print_group(group, tallies) < LEAST
    print(f"{time.monotonic() - started:.0f} s")
    return int(failed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    names = [module for modules, _ in GROUPS.values() for module in modules]
    parser.add_argument("--module", action="append", choices=names, help="this module only; may be repeated")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time (2)")
    return parser.parse_args()


def _copy(root: Path) -> None:
    for each in _COPIED:
        source, target = ROOT / each, root / each
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    (root / "pytest.ini").write_text(_INI)


def _run(root: Path, modules: list[str], tests: tuple[str, ...], jobs: int) -> Iterator[Tally]:
    files = sorted({path for each in tests for path in (root / "tests/schemas").glob(f"test_{each}.py")})
    paths = [f"schemas/{module}.py" for module in modules]
    reaches = runs.measure(root, paths, [str(path.relative_to(root)) for path in files])
    for path in paths:
        tally = Tally(path)
        found = list(mutants((root / path).read_text()))
        for mutant, survived in runs.survivors(root, path, found, reaches[path], jobs):
            tally.count += 1
            if survived:
                tally.survived.append(mutant)
        tally.survived.sort(key=found.index)
        yield tally


def _print_row(name: str, count: int, killed: int) -> float:
    share = 100 * killed / max(count, 1)
    print(f"{name:<28}{count:>9}{killed:>9}{count - killed:>10}{share:>8.1f}%", flush=True)
    return share


def _print_group(group: str, tallies: list[Tally]) -> float:
    share = _print_row(f"= {group}", sum(each.count for each in tallies), sum(each.killed for each in tallies))
    if share < LEAST:
        print(f"  less than {LEAST} %")
    return share


def _compare(tally: Tally, reasons: dict[str, str]) -> bool:
    """Print the survivors without a reason and the reasons without a survivor; tell whether there are any of the former."""
    names = {mutant.name for mutant in tally.survived}
    unknown = [mutant for mutant in tally.survived if mutant.name not in reasons]
    for mutant in unknown:
        print(f"  survives, without a reason: {tally.module}:{mutant.lines.start} {mutant.name}")
    for name in reasons:
        if name not in names:
            print(f"  does not survive (any more): {tally.module} {name}")
    return bool(unknown)


if __name__ == "__main__":
    sys.exit(main())
