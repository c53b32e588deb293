"""Bodies made from a JSON Schema: of its shape, or nearly so."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st

TEXTS: Final = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6)
"""Without control characters: those are refused whatever the schema says."""
LEAVES: Final = st.none() | st.booleans() | st.integers(-2, 2) | st.floats(-1, 1) | TEXTS
JSON: Final = st.recursive(
    LEAVES, lambda below: st.lists(below, max_size=3) | st.dictionaries(TEXTS, below, max_size=3), max_leaves=6
)


def bodies(name: str, schemas: dict[str, Any], *, wrong: bool) -> st.SearchStrategy[Any]:
    """Return values of the schema of that name; where they may be ``wrong``, any of their parts may be something else."""
    return _values(schemas[name], schemas, wrong)


def _values(schema: dict[str, Any], schemas: dict[str, Any], wrong: bool) -> st.SearchStrategy[Any]:
    if "$ref" in schema:
        return bodies(schema["$ref"].rpartition("/")[2], schemas, wrong=wrong)
    due = _of_type(schema, schemas, wrong)
    # One in fifty: a user has a hundred places, and a body is to have one or two wrong ones as a rule.
    return st.integers(0, 49).flatmap(lambda roll: JSON if roll == 25 else due) if wrong else due


def _of_type(schema: dict[str, Any], schemas: dict[str, Any], wrong: bool) -> st.SearchStrategy[Any]:
    match schema["type"]:
        case "boolean":
            return st.booleans()
        case "string":
            if "enum" in schema:
                return st.sampled_from([*schema["enum"], *(["direct", ""] if wrong else [])])
            shortest = 0 if wrong else schema.get("minLength", 0)
            return st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=shortest, max_size=6)
        case "array":
            items = _values(schema["items"], schemas, wrong)
            fewest = 0 if wrong else schema.get("minItems", 0)
            unique = repr if schema.get("uniqueItems", False) and not wrong else None
            return st.lists(items, min_size=fewest, max_size=3, unique_by=unique)
        case "object":
            return _objects(schema, schemas, wrong)
        case other:
            raise AssertionError(f"the documents have no {other}")


def _objects(schema: dict[str, Any], schemas: dict[str, Any], wrong: bool) -> st.SearchStrategy[Any]:
    properties = {name: _values(below, schemas, wrong) for name, below in schema["properties"].items()}
    required = [] if wrong else schema.get("required", [])
    usual = st.fixed_dictionaries(
        {name: properties[name] for name in required},
        optional={name: values for name, values in properties.items() if name not in required},
    )
    # Names that nothing forbids: new ones, and known ones in another case.
    others = st.sampled_from([name.upper() for name in properties] + ["$ref", "__proto__", "urn:x:1.0:User", ""])
    unknown = st.dictionaries(others.filter(lambda name: name not in properties), JSON, max_size=2)
    return st.builds(lambda extra, known: extra | known, unknown, usual)
