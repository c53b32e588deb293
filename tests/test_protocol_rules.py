"""Every rule of the commit protocol is shown in the ways that it must be, and the table in the README says how."""

from __future__ import annotations

from tests.protocol_rules import LATER, RULES, missing, with_table
from tests.requirements import README


def test_every_rule_is_shown_in_each_way_that_it_must_be() -> None:
    assert missing() == []


def test_the_rules_are_those_of_the_protocol_and_none_is_left_out_but_what_is_to_come() -> None:
    assert [rule.number for rule in RULES] == list(range(1, 34))
    assert {rule.number for rule in RULES if not rule.ways} == LATER


def test_the_table_of_rules_in_the_README_is_up_to_date() -> None:
    text = README.read_text(encoding="utf-8")
    assert with_table(text) == text, "run: python -m tests.protocol_rules --write"
