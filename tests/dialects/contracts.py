"""What the services' documents say: their text, the examples taken out of them, Maia's schemas."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import yaml

FOLDER: Final = Path(__file__).parent
DOCUMENTS: Final = {
    "matillion": ("matillion-post-user", "matillion-put-user"),
    "maia": ("maia-put-user",),
    "workspace_one": ("workspace-one-patch-user",),
    "oracle_cpq": ("oracle-cpq-put-user",),
}
"""Service → its documents, files in ``documents/``; what was taken out of them is in the folder of that name."""


def document(name: str) -> str:
    """Return the text of a document, word for word."""
    return (FOLDER / "documents" / f"{name}.txt").read_text()


def example(service: str, name: str) -> Any:
    """Return the decoded JSON of an example, such as ``example("matillion", "post-user-request")``."""
    return json.loads((FOLDER / service / f"{name}.json").read_bytes())


@cache
def maia_schemas() -> dict[str, Any]:
    """Return ``components.schemas`` of Maia's OpenAPI document; OpenAPI 3.1's schemas are JSON Schema's of 2020-12."""
    openapi = yaml.safe_load((FOLDER / "maia" / "openapi.yaml").read_text())
    schemas: dict[str, Any] = openapi["components"]["schemas"]
    return schemas


@cache
def maia_schema(name: str, *, closed: bool = False) -> dict[str, Any]:
    """Return one of them as a document of JSON Schema; a ``closed`` one has no properties but those it names."""
    schemas = maia_schemas()
    if closed:
        schemas = {one: schema | {"additionalProperties": False} for one, schema in schemas.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$ref": f"#/components/schemas/{name}",
        "components": {"schemas": schemas},
    }


@cache
def validator(name: str, *, closed: bool = False) -> jsonschema_rs.Validator:
    """Return what holds JSON against a schema of Maia's; formats too, for answers are to keep them."""
    return jsonschema_rs.validator_for(maia_schema(name, closed=closed), validate_formats=closed)
