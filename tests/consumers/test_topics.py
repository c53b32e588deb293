"""Names and wanted settings of the topics, without a broker."""

from __future__ import annotations

import pytest

from consumers.topics import ABSENT, Topics, Wanted, compared, wanted

TOPICS = Topics("scim")


def test_names_carry_prefix_and_version() -> None:
    assert TOPICS.all == ("scim.commands.v1", "scim.state.v1", "scim.events.v1", "scim.commands.dead.v1")
    assert TOPICS.group == "scim.workers"
    assert Topics("other").state == "other.state.v1"


@pytest.mark.parametrize(
    ("want", "right", "wrong"),
    [
        (Wanted("compact"), ["compact"], ["delete", "compact,delete", ""]),
        (Wanted("5", least=5), ["5", "6"], ["4", "-1", "many"]),
        (Wanted("5", most=5), ["5", "0"], ["6"]),
        (Wanted("2", least=2, most=3), ["2", "3"], ["1", "4"]),
    ],
)
def test_a_bound_takes_what_is_better_and_a_value_only_itself(want: Wanted, right: list[str], wrong: list[str]) -> None:
    assert all(want.accepts(value) for value in right)
    assert not any(want.accepts(value) for value in wrong)
    assert want.accepts(want.value), "what is created must be right"


@pytest.mark.parametrize(("replication", "insync"), [(1, "1"), (2, "1"), (3, "2"), (5, "2")])
def test_CP9_two_copies_must_agree_where_there_are_three(replication: int, insync: str) -> None:
    table = wanted(TOPICS, partitions=4, replication=replication, retention_days=14)
    assert {settings["min.insync.replicas"].value for settings in table.values()} == {insync}


def test_CP9_all_copies_agreeing_is_refused_too_for_one_broker_away_would_stop_all_writes() -> None:
    want = wanted(TOPICS, partitions=4, replication=3, retention_days=14)[TOPICS.state]["min.insync.replicas"]
    assert [want.accepts(value) for value in ("1", "2", "3")] == [False, True, False]


def test_what_is_created_is_what_is_wanted() -> None:
    table = wanted(TOPICS, partitions=4, replication=3, retention_days=14)
    as_made = {topic: {name: want.value for name, want in settings.items()} for topic, settings in table.items()}
    assert all(row.ok and not row.remedy for row in compared(table, as_made, bootstrap="b:1"))


def test_a_setting_that_the_broker_does_not_tell_is_no_agreement() -> None:
    table = wanted(TOPICS, partitions=4, replication=1, retention_days=14)
    as_made = {topic: {name: want.value for name, want in settings.items()} for topic, settings in table.items()}
    del as_made[TOPICS.state]["delete.retention.ms"]
    (row,) = [row for row in compared(table, as_made, bootstrap="b:1") if not row.ok]
    assert (row.setting, row.actual) == ("delete.retention.ms", ABSENT)
    assert row.remedy.startswith("kafka-configs.sh --bootstrap-server b:1 --alter")
