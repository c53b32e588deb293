"""Which values are unique names, and which are found by index."""

from __future__ import annotations

import pytest

from schemas.indexing import index_entries, unique_names


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
