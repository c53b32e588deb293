"""Running tests against mutants: each in a forked process, with those tests alone that reach the changed lines."""

from __future__ import annotations

import ast
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Final

import coverage
import hypothesis
import pytest

from tests.mutants.operators import Mutant

_OPTIONS: Final = ("-x", "-q", "--tb=no", "--assert=plain", "-c", "pytest.ini", "--rootdir=.", "-p", "no:cacheprovider")
_LIMIT: Final = 5
"""CPU seconds that the tests of a mutant may take, and twice their usual time; who needs more loops for ever: noticed."""
_MEMORY: Final = 3 * 1024**3
_IMPORTED: Final = ""
"""Stands for the time before the first test: imports, parameters."""


class Reach:
    """Which tests run which lines of a module, and the CPU time they take."""

    def __init__(self, tests: dict[int, set[str]], seconds: dict[str, float]) -> None:
        self._tests = tests
        self._seconds = seconds

    def seconds(self, tests: Iterable[str]) -> float:
        """Return how long the tests take together."""
        return sum(self._seconds.get(test, 0.0) for test in tests)

    def of(self, lines: Iterable[int]) -> list[str]:
        """Return the ids of the tests that run any of the lines, the quickest first.

        Behind them stand all others where imports run one of the lines: what they made of it may matter to any test.
        """
        found = {test for line in lines for test in self._tests.get(line, ())}
        others = [test for test in self._seconds if test not in found] if _IMPORTED in found else []
        return [*self._quickest(found - {_IMPORTED}), *self._quickest(others)]

    def _quickest(self, tests: Iterable[str]) -> list[str]:
        return sorted(tests, key=lambda test: (self._seconds.get(test, 0.0), test))


def measure(root: Path, modules: Sequence[str], tests: Sequence[str]) -> dict[str, Reach]:
    """Run the tests once, unchanged, and return what reaches what in each of the modules; raises when a test fails."""
    result = root / "reach.pickle"
    pid = _forked(lambda: _measured(root, modules, tests, result))
    _, status = os.waitpid(pid, 0)
    if status != 0:
        raise SystemExit(f"the tests fail without a mutant: {' '.join(tests)}")
    lines, seconds = json.loads(result.read_bytes())
    return {
        module: Reach({int(line): set(found) for line, found in lines[module].items()}, seconds) for module in modules
    }


def survivors(
    root: Path, module: str, mutants: Iterable[Mutant], reach: Reach, jobs: int
) -> Iterator[tuple[Mutant, bool]]:
    """Yield each mutant, as its tests end, with whether it survived them; ``jobs`` run at a time.

    Raises when the module does not survive unchanged: then nothing that follows would mean anything.
    """
    lines = range(1, 10_000)
    tests = reach.of(lines)
    unchanged = Mutant("", "", lines, ast.parse((root / module).read_text()))
    _, status = os.waitpid(
        _forked(partial(_tested, root, module, unchanged, tests, _LIMIT + 2 * int(reach.seconds(tests)))), 0
    )
    if status != 0:
        raise SystemExit(f"the tests of {module} fail without a mutant")
    running: dict[int, Mutant] = {}
    for mutant in mutants:
        tests = reach.of(mutant.lines)
        if not tests:
            yield mutant, True
            continue
        while len(running) >= jobs:
            yield _ended(running)
        limit = _LIMIT + 2 * int(reach.seconds(tests))
        running[_forked(partial(_tested, root, module, mutant, tests, limit))] = mutant
    while running:
        yield _ended(running)


def _ended(running: dict[int, Mutant]) -> tuple[Mutant, bool]:
    pid, status = os.wait()
    return running.pop(pid), status == 0


def _forked(run: Callable[[], int]) -> int:
    """Run the function in a process of its own, silently; its result is the exit status."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    status = 70
    try:
        nothing = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(nothing, stream)
        status = run()
    finally:
        os._exit(status)


def _tested(root: Path, module: str, mutant: Mutant, tests: Sequence[str], limit: int) -> int:
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    sys.meta_path.insert(0, _Mutated(module, root / module, mutant.tree))
    return _pytest(root, sorted({test.partition("::")[0] for test in tests}), _Chosen(tests))


def _pytest(root: Path, files: Sequence[str], plugin: object) -> int:
    os.chdir(root)
    sys.path.insert(0, str(root))
    # This package is of the tree; the tests and what they test are of the copy.
    for name in [name for name in sys.modules if name.partition(".")[0] in {"schemas", "tests"}]:
        del sys.modules[name]
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = (
        "1"  # Half of a run would be imports of plugins that no test here needs.
    )
    sys.dont_write_bytecode = False
    hypothesis.settings.register_profile("mutants", derandomize=True, database=None, deadline=None)
    hypothesis.settings.load_profile("mutants")
    return int(pytest.main([*_OPTIONS, *files], plugins=[plugin]))


class _Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports the changed module where the module is asked for."""

    def __init__(self, module: str, path: Path, tree: ast.Module) -> None:
        self._name = module.removesuffix(".py").replace("/", ".")
        self._path = path
        self._tree = tree

    def find_spec(self, fullname: str, path: object, target: object = None) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        return importlib.util.spec_from_file_location(fullname, self._path, loader=self)

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._tree, str(self._path), "exec"), module.__dict__)


class _Chosen:
    """Leaves to pytest only the chosen tests, in their order."""

    def __init__(self, tests: Sequence[str]) -> None:
        self._order = {test: place for place, test in enumerate(tests)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted((i for i in items if i.nodeid in self._order), key=lambda item: self._order[item.nodeid])


class _Measuring:
    """Tells coverage which test runs, and takes its CPU time."""

    def __init__(self, measured: coverage.Coverage) -> None:
        self._coverage = measured
        self.seconds: dict[str, float] = {}
        self._began = 0.0

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        # What an earlier test had in a cache would seem not to be reached by this one.
        for name, module in list(sys.modules.items()):
            if name.startswith("schemas."):
                for value in vars(module).values():
                    if callable(clear := getattr(value, "cache_clear", None)):
                        clear()
        self._coverage.switch_context(nodeid)
        self._began = time.process_time()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.seconds[nodeid] = time.process_time() - self._began


def _measured(root: Path, modules: Sequence[str], tests: Sequence[str], result: Path) -> int:
    os.environ["COVERAGE_CORE"] = "ctrace"
    measured = coverage.Coverage(data_file=None, config_file=False, include=[str(root / each) for each in modules])
    plugin = _Measuring(measured)
    measured.start()
    status = _pytest(root, tests, plugin)
    measured.stop()
    found = measured.get_data()
    lines = {module: found.contexts_by_lineno(str(root / module)) for module in modules}
    result.write_text(json.dumps((lines, plugin.seconds)))
    return status
