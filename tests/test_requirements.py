"""Every requirement of users and discovery has a test over HTTP, and the table in the README says which."""

from __future__ import annotations

from tests.requirements import README, missing, shown, with_table


def test_every_requirement_has_a_test() -> None:
    assert missing() == []


def test_no_two_tests_of_a_file_have_one_name() -> None:
    tests = [(each.file, each.test) for each in shown()]
    assert len(set(tests)) == len(tests), "the second would hide the first"


def test_the_table_in_the_README_is_up_to_date() -> None:
    text = README.read_text(encoding="utf-8")
    assert with_table(text) == text, "run: python -m tests.requirements --write"
