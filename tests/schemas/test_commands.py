"""Commands: read for ever, complete in themselves, refused when they come from the future."""

from __future__ import annotations

import json

import msgspec
import pytest

from schemas.commands import (
    DEFAULT_RULES,
    ChangeCommand,
    Create,
    Delete,
    Patch,
    Replace,
    Verb,
    decode_command,
    encode_command,
    verb_of,
)
from schemas.rules import Rules
from tests.schemas import golden
from tests.schemas.samples import ANN, TXN, body, command, patch

GOLDEN = golden.names("command")
VERBS: dict[str, Verb] = {
    "create": Create(body()),
    "replace": Replace(body()),
    "patch": patch({"op": "remove", "path": "title"}),
    "delete": Delete(),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_command_is_read_and_written_again_byte_for_byte(name: str) -> None:
    value = golden.value(name)
    command = decode_command(value)

    assert encode_command(command) == value
    assert verb_of(command) == name.split("-")[1]


def test_every_verb_has_a_golden_file() -> None:
    assert {name.split("-")[1] for name in GOLDEN} == VERBS.keys()


@pytest.mark.parametrize("name", GOLDEN)
def test_members_that_a_reader_does_not_know_are_ignored(name: str) -> None:
    value = json.loads(golden.value(name)) | {"addedLater": 1}
    value["change"]["addedLater"] = 1

    assert decode_command(json.dumps(value).encode()) == decode_command(golden.value(name))


@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("change", [{"v": 2}, {"v": "1"}, {"change": {"verb": "merge"}}, {"change": {}}])
def test_a_verb_or_number_that_a_reader_does_not_know_stops_it(name: str, change: dict[str, object]) -> None:
    value = json.loads(golden.value(name)) | change

    with pytest.raises(msgspec.ValidationError):
        decode_command(json.dumps(value).encode())


@pytest.mark.parametrize("verb", VERBS)
def test_a_command_comes_out_of_the_log_as_it_went_in(verb: str) -> None:
    asked = command(VERBS[verb], if_match=("3",), key="ab" * 16, rules=Rules(dotted_keys=True))

    assert decode_command(encode_command(asked)) == asked
    assert verb_of(asked) == verb


@pytest.mark.parametrize("password", [msgspec.UNSET, None, "$argon2id$"])
def test_a_password_kept_removed_and_set_are_told_apart(password: str | msgspec.UnsetType | None) -> None:
    asked = command(patch(password=password))
    change = decode_command(encode_command(asked)).change

    assert isinstance(change, Patch)
    assert change.password is password or change.password == password
    assert (b'"password"' in encode_command(asked)) == (password is not msgspec.UNSET)


def test_what_is_absent_takes_no_room() -> None:
    members = json.loads(encode_command(command(Delete())))

    assert not members.keys() & {"if_match", "key", "rules", "guard", "traceparent", "redrives"}


def test_a_command_that_does_a_parked_one_again_names_it() -> None:
    assert decode_command(golden.value("command-patch-redriven-v1.json")).redrives == TXN
    assert command(Delete()).redrives is msgspec.UNSET


def test_the_rules_are_the_default_where_the_command_brings_none() -> None:
    own = Rules(replace_as_add=True)

    assert command(Delete()).effective_rules == DEFAULT_RULES == Rules()
    assert command(Delete(), rules=own).effective_rules == own


def test_two_resources_never_share_an_address() -> None:
    assert command(Delete()).address == ("default", "User", ANN)
    fields: list[dict[str, str]] = [{}, {"tenant": "b"}, {"resource_type": "Group"}, {"uid": "b"}]
    made: list[ChangeCommand] = [command(Delete(), **each) for each in fields]
    assert len({each.address for each in made}) == 4
