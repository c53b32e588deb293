"""The tables of deploy/dialects: every field of the documents has a row, every status a test that exists."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from schemas.dialects.oracle_cpq_fields import FLAT, HOMES, REQUEST
from schemas.dialects.registry import DIALECTS
from tests.dialects.contracts import DOCUMENTS, document, example, maia_schemas

ROOT: Final = Path(__file__).parent.parent.parent
FOLDER: Final = ROOT / "deploy" / "dialects"


def members(value: Any, path: str = "") -> Iterator[str]:
    """Yield the path of every value in decoded JSON that holds no others: ``emails[].value``, ``urn:…:1.0:domain``."""
    if isinstance(value, dict):
        for name, item in value.items():
            # Only names at the top are URNs, and what stands inside those follows a colon (RFC 7644 section 3.10).
            joint = "" if not path else ":" if ":" in path and path.endswith("1.0") else "."
            yield from members(item, f"{path}{joint}{name}")
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for item in value:
            yield from members(item, f"{path}[]")
    else:
        yield path


def workspace_one() -> set[str]:
    """Return the fields of the example, and those of the list below it that the example lacks."""
    body = example("workspace_one", "patch-user-request")
    listed = re.findall(r"^(\S+)\nOptional$", document("workspace-one-patch-user"), re.MULTILINE)
    assert len(listed) > 20
    return set(members(body)) | (set(listed) - set(body))


def matillion() -> set[str]:
    """Return the fields of Maia's schemas and of Matillion's examples: the same, and the members of a problem."""
    fields = set(properties("ScimUser"))
    for name in ("post-user-request", "post-user-response", "put-user-request", "put-user-response"):
        assert set(members(example("matillion", name))) <= fields
    return fields | {f"ProblemDetail.{name}" for name in properties("ProblemDetail")}


def properties(name: str) -> Iterator[str]:
    """Yield the paths of the properties of one of Maia's schemas, as ``members`` does those of an example."""
    for field, schema in maia_schemas()[name]["properties"].items():
        below = schema.get("items", schema).get("$ref", "").rpartition("/")[2]
        joint = "[]." if "items" in schema else "."
        yield from (f"{field}{joint}{inner}" for inner in properties(below)) if below else (field,)


def oracle_cpq() -> set[str]:
    """Return the schemas of both halves of the document and the titled members it shows of them, the repeated numbered."""
    request, _, response = document("oracle-cpq-put-user").partition("\nResponse\n")
    fields: list[str] = []
    for half, text in (("request", request), ("response", response)):
        titles = re.findall(r"^(?:Root Schema : |Nested Schema : |  (•) )(?:Title: )?(.+)$", text, re.MULTILINE)
        seen: Counter[str] = Counter()
        schema = ""
        for bullet, title in titles:
            if bullet:
                fields.append(f"{half}: {schema} / {title}")
                continue
            seen[title] += 1
            schema = title if seen[title] == 1 else f"{title} {seen[title]}"
            fields.append(f"{half}: {schema}")
    assert len(fields) == len(set(fields)) > 50
    return set(fields)


FIELDS: Final[dict[str, Callable[[], set[str]]]] = {
    "workspace_one": workspace_one,
    "matillion": matillion,
    "oracle_cpq": oracle_cpq,
}
"""Service → the fields of its documents."""
DOCUMENTED: Final[dict[str, set[str]]] = {
    "workspace_one": {"400", "403", "404", "500"},
    "matillion": {"200", "400", "403", "404", "500"},
    "oracle_cpq": set(),
}
"""Service → the statuses of its documents."""
DECIDED: Final[dict[str, set[str]]] = {
    "workspace_one": {"200", "204", "401"},
    "matillion": {"201", "401", "409"},
    "oracle_cpq": {"200", "400", "401", "403", "404"},
}
"""Service → the statuses that were decided where its documents have none."""


def text_of(service: str) -> str:
    return (FOLDER / f"{service}.md").read_text()


def table(service: str, heading: str) -> list[list[str]]:
    """Return the cells of the rows below a heading, without the table's own head."""
    _, _, rest = text_of(service).partition(f"\n## {heading}\n")
    lines = [line for line in rest.partition("\n## ")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def without_home(service: str) -> set[str]:
    """Return the fields of the documents that no row names."""
    rows = table(service, "Fields")
    assert rows
    assert all(len(row) == 4 and all(row) for row in rows)
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row[0])}
    below = tuple(name.removesuffix("*") for name in named if name.endswith(".*"))
    return {field for field in FIELDS[service]() if field not in named and not field.startswith(below)}


def test_every_dialect_that_is_served_has_its_page_and_its_tables() -> None:
    names = {dialect.name for dialect in DIALECTS}
    assert names == set(FIELDS) == set(DOCUMENTED) == set(DECIDED)
    pages = {path.stem for path in FOLDER.glob("*.md")} - {"README"}
    assert pages == names | set(DOCUMENTS), "a page for each dialect and for each service of the documents"
    index = (FOLDER / "README.md").read_text()
    for page in pages:
        assert f"({page}.md)" in index
    for name in names:
        assert table(name, "Fields")
        assert table(name, "Statuses")


@pytest.mark.parametrize("service", FIELDS)
def test_every_field_of_the_documents_has_a_home_or_a_reason(service: str) -> None:
    assert without_home(service) == set()
    assert f"Fields in the document: {len(FIELDS[service]())}; without a home: 0." in text_of(service)


@pytest.mark.parametrize("service", FIELDS)
def test_no_field_is_named_twice_or_comes_from_nowhere(service: str) -> None:
    named = [name for row in table(service, "Fields") for name in re.findall(r"`([^`]+)`", row[0])]
    assert len(named) == len(set(named))
    fields = FIELDS[service]()
    assert [name for name in named if not any(field.startswith(name.removesuffix("*")) for field in fields)] == []


@pytest.mark.parametrize("service", FIELDS)
def test_every_documented_status_has_a_test_that_exists(service: str) -> None:
    rows = table(service, "Statuses")
    documented = {status for row in rows for status in row[0].split(", ") if row[1] == "yes"}
    assert documented == DOCUMENTED[service]
    assert DECIDED[service] <= {status for row in rows for status in row[0].split(", ") if row[1] == "no"}
    sources = [path.read_text() for path in (ROOT / "tests").rglob(f"test_*{service}*.py")]
    existing = {name for source in sources for name in re.findall(r"def (test_\w+)\(", source)}
    for row in rows:
        named = re.findall(r"`(test_\w+)`", row[3])
        assert named, row
        assert set(named) <= existing, row


@pytest.mark.parametrize("service", FIELDS)
def test_what_was_assumed_is_a_line_each(service: str) -> None:
    _, _, rest = text_of(service).partition("\n## Assumed\n")
    lines = [line for line in rest.partition("\n## ")[0].splitlines() if line]
    assert lines
    assert all(line.startswith("- ") for line in lines)


def test_every_native_field_that_CPQs_other_page_shows_has_a_row() -> None:
    rows = table("oracle_cpq", "Fields of the sibling page")
    assert all(len(row) == 4 and all(row) for row in rows)
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row[0])}
    assert named == {*FLAT, *(set(HOMES) - set(REQUEST)), "password"}
