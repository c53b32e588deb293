"""The PATCH examples of RFC 7644 section 3.5.2, and what identity providers send, under their profiles and the strict one.

A file of ``tests/idp/`` says what the request makes of ``before`` in each of its ``profiles``: ``after`` or ``error`` (a
scimType), and ``password`` if it sets one. ``strict``, if there, says the same for profile ``rfc``; empty: the same.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.attributes import ResourceType
from schemas.errors import InvalidPath, ScimError
from schemas.patch import apply_patch
from schemas.patch_requests import normalise
from schemas.paths import parse_path
from schemas.resource_types import USER
from schemas.rules import PROFILES, Rules
from tests.rfc_examples import rfc_example
from tests.schemas.tables import GROUP

_TESTS = Path(__file__).parent.parent
_TYPES: dict[str, ResourceType] = {"User": USER, "Group": GROUP}
_EXAMPLES = sorted(path.stem for path in (_TESTS / "rfc").glob("rfc7644-3.5.2.*.json"))
_DIALOGUES: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_bytes()) for path in sorted((_TESTS / "idp").glob("*.json"))
}
_CASES = [(name, profile) for name, dialogue in _DIALOGUES.items() for profile in dialogue["profiles"]]
_STRICT_CASES = [name for name, dialogue in _DIALOGUES.items() if "strict" in dialogue]


def _outcome(dialogue: dict[str, Any], rules: Rules) -> dict[str, Any]:
    """Return what the request does: the resource afterwards and the password, or the error's scimType."""
    resource_type = _TYPES[dialogue["resourceType"]]
    try:
        request = normalise(dialogue["request"], resource_type, rules)
        after = apply_patch(request.operations, dialogue["before"], resource_type, rules)
    except ScimError as error:
        return {"error": error.scim_type}
    return {"after": after} if request.password is msgspec.UNSET else {"after": after, "password": request.password}


def _expected(stated: dict[str, Any]) -> dict[str, Any]:
    return {key: stated[key] for key in ("after", "error", "password") if key in stated}


@pytest.mark.parametrize("name", _EXAMPLES)
def test_L3_every_example_of_the_RFC_does_what_its_text_says(name: str) -> None:
    example = rfc_example(name)
    assert _outcome(example, PROFILES["rfc"]) == _expected(example)


@pytest.mark.parametrize("example", rfc_example("rfc7644-3.5.2-paths")["paths"], ids=lambda example: example["path"])
def test_L2_every_path_of_the_RFC_is_read(example: dict[str, str]) -> None:
    resource_type = _TYPES[example["resourceType"]]
    if "error" in example:
        with pytest.raises(InvalidPath):
            parse_path(example["path"], resource_type)
    else:
        assert parse_path(example["path"], resource_type).text == example["path"]


@pytest.mark.parametrize(("name", "profile"), _CASES)
def test_a_dialogue_ends_as_its_identity_provider_expects(name: str, profile: str) -> None:
    dialogue = _DIALOGUES[name]
    assert _outcome(dialogue, PROFILES[profile]) == _expected(dialogue)


@pytest.mark.parametrize("name", _STRICT_CASES)
def test_a_quirk_is_not_tolerated_in_profile_rfc_unless_the_file_says_so(name: str) -> None:
    dialogue = _DIALOGUES[name]
    assert _outcome(dialogue, PROFILES["rfc"]) == _expected(dialogue["strict"] or dialogue)


def test_every_profile_and_client_has_a_dialogue() -> None:
    assert len(_EXAMPLES) == 10
    assert {profile for _, profile in _CASES} == set(PROFILES)
    clients = {name.split("-")[0] for name in _DIALOGUES}
    assert clients >= {"okta", "entra", "authentik", "jumpcloud", "onelogin", "keycloak", "sailpoint", "boxyhq"}
