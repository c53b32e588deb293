"""Which values are unique names, and which are found by index."""

from __future__ import annotations

import pytest

from schemas.commands import Create, Delete, Replace
from schemas.indexing import index_entries, unique_names, wanted_names
from tests.schemas.samples import body, command, patch


def test_D1_the_user_name_is_unique_in_any_case() -> None:
    assert unique_names("User", {"userName": "Straße"}) == {"userName": "strasse"}


def test_a_group_holds_no_unique_name() -> None:
    assert unique_names("Group", {"displayName": "Staff"}) == {}


def test_C2_the_external_id_is_found_as_it_is_written() -> None:
    assert index_entries({"userName": "ann", "externalId": "E-7"}) == {("externalId", "E-7")}


@pytest.mark.parametrize("doc", [{"userName": "ann"}, {"userName": "ann", "externalId": None}])
def test_a_resource_without_an_external_id_has_no_index_entry(doc: dict[str, str | None]) -> None:
    assert index_entries(doc) == frozenset()


def test_an_empty_external_id_is_a_value_like_any_other() -> None:
    assert index_entries({"externalId": ""}) == {("externalId", "")}


def test_a_create_and_a_replace_tell_the_name_they_will_ask_for() -> None:
    for change in (Create(body("Ann")), Replace(body("Ann"))):
        assert wanted_names(command(change)) == (("userName", "ann"),)


def test_what_a_patch_and_a_delete_ask_for_is_known_only_when_they_are_decided() -> None:
    assert wanted_names(command(patch())) == ()
    assert wanted_names(command(Delete())) == ()


@pytest.mark.parametrize("broken", [{"schemas": []}, {"userName": 5}])
def test_INV_18_a_body_that_decide_chokes_on_tells_no_name(broken: dict[str, object]) -> None:
    assert wanted_names(command(Create(broken))) == ()
