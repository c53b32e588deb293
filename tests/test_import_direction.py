"""The arrows of the layout: gateway → consumers → schemas, and what each may import from outside."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("gateway", "consumers", "schemas")
OURS_ALLOWED = {
    "schemas": {"schemas"},
    "consumers": {"consumers", "schemas"},
    "gateway": {"gateway", "consumers", "schemas"},
}
PURE_THIRD_PARTY = {"msgspec"}
IMPURE = {
    "asyncio",
    "concurrent",
    "logging",
    "multiprocessing",
    "os",
    "pathlib",
    "random",
    "secrets",
    "select",
    "selectors",
    "shutil",
    "socket",
    "sqlite3",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "urllib.request",
}
"""What waits, or gives another answer each time: kept out of ``schemas``."""
DRIVERS = {"sqlite3": "sqlite", "aiokafka": "kafka", "redis": "redis"}
"""Driver → how the names of the files that may import it begin, in ``consumers/backends``."""
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Yield the absolute name of everything the module imports, ``from a import b`` as ``a.b``."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                assert level == 0, f"{path}: a relative import hides its arrow"
                yield from (f"{module}.{alias.name}" for alias in names)
            case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(name)), *_]):
                yield name


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", FILES, ids=place)
def test_imports_follow_the_arrows(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    ours = {name.partition(".")[0] for name in imports(path)} & {*PACKAGES, "tests"}
    assert ours <= OURS_ALLOWED[package]


@pytest.mark.parametrize("path", [path for path in FILES if path.is_relative_to(ROOT / "schemas")], ids=place)
def test_schemas_import_nothing_that_waits_or_varies(path: Path) -> None:
    for name in imports(path):
        top = name.partition(".")[0]
        assert top == "schemas" or top in sys.stdlib_module_names or top in PURE_THIRD_PARTY, name
        assert not any(name == impure or name.startswith(f"{impure}.") for impure in IMPURE), name


@pytest.mark.parametrize("path", [path for path in FILES if path.is_relative_to(ROOT / "schemas")], ids=place)
def test_schemas_neither_await_nor_read_a_clock(path: Path) -> None:
    clocks = {"now", "utcnow", "today", "uuid1", "uuid4", "getenv"}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        assert not isinstance(node, ast.Await | ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert node.func.attr not in clocks, f"{place(path)}:{node.lineno}"


@pytest.mark.parametrize("path", FILES, ids=place)
def test_a_driver_is_imported_only_in_its_own_backend_file(path: Path) -> None:
    for name in imports(path):
        beginning = DRIVERS.get(name.partition(".")[0])
        if beginning is not None:
            assert path.parent == ROOT / "consumers" / "backends"
            assert path.name.startswith(beginning)


def test_every_form_of_an_import_is_seen(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        "import gateway.app\ndef f():\n  from consumers import apply\n  import_module('x')\n  i.import_module('y')\n"
    )
    assert list(imports(module)) == ["gateway.app", "consumers.apply", "y"]


def test_every_package_is_named_in_the_distribution() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for package in {path.parent.relative_to(ROOT).as_posix().replace("/", ".") for path in FILES}:
        assert f'"{package}"' in text, f"{package} is missing under [tool.setuptools] packages"
