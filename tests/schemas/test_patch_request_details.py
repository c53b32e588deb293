"""The PATCH normaliser at the edges of its limits, and what its errors call the body."""

from __future__ import annotations

from typing import Any

import pytest

from schemas import urns
from schemas.errors import InvalidSyntax, InvalidValue
from schemas.patch_requests import MAX_TOUCHED, Operation, normalise
from schemas.resource_types import USER
from schemas.rules import Rules


def _operations(*operations: dict[str, Any]) -> tuple[Operation, ...]:
    body = {"schemas": [urns.PATCH_OP], "Operations": list(operations)}
    return normalise(body, USER, Rules()).operations


def test_a_value_that_is_no_array_counts_once_and_an_array_counts_its_values() -> None:
    title = {"op": "replace", "path": "title", "value": "x"}
    mails = [{"value": str(number)} for number in range(MAX_TOUCHED - 1)]
    assert len(_operations(title, {"op": "add", "path": "emails", "value": mails})) == 2
    with pytest.raises(InvalidValue, match=f"may touch {MAX_TOUCHED} values"):
        _operations(title, title, {"op": "add", "path": "emails", "value": mails})


def test_what_is_wrong_with_the_body_itself_is_said_of_the_body() -> None:
    with pytest.raises(InvalidSyntax, match=r"^The body has two names that differ only in case"):
        normalise({"Operations": [], "operations": []}, USER, Rules())
