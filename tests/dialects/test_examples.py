"""The examples stand in the documents word for word, and there is one of each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.dialects.contracts import DOCUMENTS, FOLDER, document, example, maia_schemas, validator

TAKEN = [path for service in sorted(DOCUMENTS) for path in sorted((FOLDER / service).glob("*.*"))]


@pytest.mark.parametrize("path", TAKEN, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_an_example_stands_in_its_document_word_for_word(path: Path) -> None:
    text = path.read_text().rstrip("\n")
    assert text
    assert any(text in document(name) for name in DOCUMENTS[path.parent.name])


@pytest.mark.parametrize("service", sorted(DOCUMENTS))
def test_every_json_in_a_document_that_is_a_body_is_an_example(service: str) -> None:
    examples = [json.loads(path.read_bytes()) for path in (FOLDER / service).glob("*.json")]
    found = 0
    for name in DOCUMENTS[service]:
        text = document(name)
        place = text.find("{\n")
        while place >= 0:
            body, end = json.JSONDecoder().raw_decode(text, place)
            assert body in examples, f"{name} at {place}"
            found += 1
            place = text.find("{\n", end)
    assert found == {"matillion": 6, "maia": 0, "workspace_one": 1, "oracle_cpq": 0}[service]


@pytest.mark.parametrize("name", ["post-user-request", "post-user-response", "put-user-request", "put-user-response"])
def test_matillions_examples_are_of_maias_schema(name: str) -> None:
    body = example("matillion", name)
    assert validator("ScimUser", closed=True).is_valid(body)
    assert set(body) == set(maia_schemas()["ScimUser"]["properties"])
