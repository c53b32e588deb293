"""Bodies made from a JSON Schema: of its shape, or nearly so."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st

CLEAN: Final = st.characters(exclude_categories=["Cs", "Cc"])
"""Without control characters: those are refused whatever the schema says."""
TEXTS: Final = st.text(CLEAN, max_size=6)
LEAVES: Final = st.none() | st.booleans() | st.integers(-2, 2) | st.floats(-1, 1) | TEXTS
JSON: Final = LEAVES | st.lists(LEAVES, max_size=2) | st.dictionaries(TEXTS, st.lists(LEAVES, max_size=1), max_size=2)
_MOST_MEMBERS: Final = 6
"""Of the optional ones in one object: a user has 24, and small bodies are many bodies."""


@st.composite
def bodies(draw: st.DrawFn, name: str, schemas: dict[str, Any], *, wrong: bool) -> Any:
    """Return values of the schema of that name; where they may be ``wrong``, any of their parts may be something else."""
    return _Maker(draw, schemas, wrong).made(schemas[name])


class _Maker:
    """Draws values: by one strategy for all of a body, which is many times as fast as a strategy for each part."""

    def __init__(self, draw: st.DrawFn, schemas: dict[str, Any], wrong: bool) -> None:
        self._draw = draw
        self._schemas = schemas
        self._wrong = wrong

    def made(self, schema: dict[str, Any]) -> Any:
        if "$ref" in schema:
            return self.made(self._schemas[schema["$ref"].rpartition("/")[2]])
        # A body is to have one or two wrong parts as a rule.
        if self._wrong and self._draw(st.integers(0, 19)) == 10:
            return self._draw(JSON)
        match schema["type"]:
            case "boolean":
                return self._draw(st.booleans())
            case "string":
                return self._text(schema)
            case "array":
                return self._array(schema)
            case "object":
                return self._object(schema)
            case other:
                raise AssertionError(f"the documents have no {other}")

    def _text(self, schema: dict[str, Any]) -> str:
        if "enum" in schema:
            choices: list[str] = [*schema["enum"], *(["direct", ""] if self._wrong else [])]
            return self._draw(st.sampled_from(choices))
        return self._draw(st.text(CLEAN, min_size=0 if self._wrong else schema.get("minLength", 0), max_size=6))

    def _array(self, schema: dict[str, Any]) -> list[Any]:
        fewest = 0 if self._wrong else schema.get("minItems", 0)
        made = [self.made(schema["items"]) for _ in range(self._draw(st.integers(fewest, 3)))]
        if schema.get("uniqueItems", False):
            if not self._wrong:
                return list(dict.fromkeys(made))
            if self._draw(st.booleans()):
                return made * 2
        return made

    def _object(self, schema: dict[str, Any]) -> dict[str, Any]:
        properties: dict[str, Any] = schema["properties"]
        required = schema.get("required", [])
        if self._wrong and self._draw(st.integers(0, 9)) == 5:
            required = []
        optional = sorted(properties.keys() - required)
        chosen = self._draw(st.lists(st.sampled_from(optional), max_size=_MOST_MEMBERS, unique=True))
        # Names that nothing forbids: new ones, and known ones in another case.
        others = [*map(str.upper, optional), "$ref", "__proto__", "urn:x:1.0:User", ""]
        unknown = self._draw(st.dictionaries(st.sampled_from(others), JSON, max_size=1))
        return unknown | {name: self.made(properties[name]) for name in (*required, *chosen)}
