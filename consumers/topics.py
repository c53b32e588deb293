"""The topics of the distributed mode: their names, and the settings that the promise rests on (CP-9, design section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from consumers.retention import COMPACTION_LAG_MS, DAY_MS, DELETE_RETENTION_MS, HOUR_MS, LONGEST_LAG_MS

MOST_BATCH_BYTES: Final = 4 * 1024 * 1024
"""``max.message.bytes`` of every topic: what one batch of records may come to."""
STATE_SEGMENT_BYTES: Final = 128 * 1024 * 1024
"""The newest segment is never compacted, and a rebuild reads all of it: with Kafka's 1 GiB a quiet service's for minutes."""
LARGEST_STATE_SEGMENT: Final = 1024 * 1024 * 1024
SAFE_COPIES: Final = 3
"""With so many of each record, two of which make an acknowledgement, any broker may be lost and nothing with it."""
MOST_RECORD_BYTES: Final = MOST_BATCH_BYTES - 1024
"""What key, value and headers of one record may come to: a batch of it alone, with its framing, still fits (CP-10)."""


class Topics(msgspec.Struct, frozen=True):
    """The names that go with a prefix."""

    prefix: str

    @property
    def commands(self) -> str:
        """What gateways append and owners decide."""
        return f"{self.prefix}.commands.v1"

    @property
    def state(self) -> str:
        """The truth: after-images and positions, compacted."""
        return f"{self.prefix}.state.v1"

    @property
    def events(self) -> str:
        """What subscribers read."""
        return f"{self.prefix}.events.v1"

    @property
    def dead(self) -> str:
        """Commands that could not be decided, and why."""
        return f"{self.prefix}.commands.dead.v1"

    @property
    def all(self) -> tuple[str, ...]:
        """Every topic."""
        return (self.commands, self.state, self.events, self.dead)

    @property
    def group(self) -> str:
        """The consumer group of the workers."""
        return f"{self.prefix}.workers"


class Wanted(msgspec.Struct, frozen=True):
    """What a setting of a topic should be."""

    value: str
    """What ``topics create`` sets; where neither bound is given, the only right value."""
    least: int | None = None
    most: int | None = None

    @property
    def should_be(self) -> str:
        """The condition as people read it."""
        if self.least is not None and self.most is not None:
            return f"{self.least} to {self.most}"
        if self.least is not None:
            return f"at least {self.least}"
        if self.most is not None:
            return f"at most {self.most}"
        return self.value

    def accepts(self, actual: str) -> bool:
        """Tell whether the promise holds with this value."""
        if self.least is None and self.most is None:
            return actual == self.value
        try:
            number = int(actual)
        except ValueError:
            return False
        return (self.least is None or number >= self.least) and (self.most is None or number <= self.most)


class Row(msgspec.Struct, frozen=True):
    """A setting as it is and as it should be."""

    topic: str
    """The topic, or ``broker`` for a setting of the cluster."""
    setting: str
    actual: str
    wanted: str
    ok: bool
    remedy: str = ""


PARTITIONS: Final = "partitions"
REPLICATION: Final = "replication"
"""The two that are no configuration of a topic, but its shape."""
ABSENT: Final = "absent"
MISSING: Final = "run 'scimgw topics create'; if the topic is there, give this user the right to describe it"
"""Kafka shows nobody a topic that it may not describe."""


def wanted(topics: Topics, *, partitions: int, replication: int, retention_days: int) -> dict[str, dict[str, Wanted]]:
    """Return topic → setting → what it should be; ``retention_days`` is that of the events."""
    common = {
        PARTITIONS: Wanted(str(partitions)),
        REPLICATION: Wanted(str(replication), least=replication),
        "min.insync.replicas": Wanted("2", least=2, most=replication - 1)
        if replication >= SAFE_COPIES
        else Wanted("1"),
        "max.message.bytes": Wanted(str(MOST_BATCH_BYTES)),
        # The owner compares its clock with that of its own records, and events are looked up by time (CP-18).
        "message.timestamp.type": Wanted("LogAppendTime"),
    }
    deleted = {**common, "cleanup.policy": Wanted("delete")}
    # A partition's size must not cut short what its retention promises.
    whole = {**deleted, "retention.bytes": Wanted("-1")}
    return {
        topics.commands: {**whole, "retention.ms": Wanted(str(72 * HOUR_MS), least=72 * HOUR_MS)},
        topics.state: {
            **common,
            "cleanup.policy": Wanted("compact"),
            # Longer than outcomes live: a position that was compacted away would let a command be applied twice.
            "min.compaction.lag.ms": Wanted(str(COMPACTION_LAG_MS), least=COMPACTION_LAG_MS),
            "max.compaction.lag.ms": Wanted(str(LONGEST_LAG_MS), most=LONGEST_LAG_MS),
            "delete.retention.ms": Wanted(str(DELETE_RETENTION_MS)),
            "segment.bytes": Wanted(str(STATE_SEGMENT_BYTES), most=LARGEST_STATE_SEGMENT),
        },
        topics.events: {**whole, "retention.ms": Wanted(str(retention_days * DAY_MS))},
        topics.dead: {**whole, "retention.ms": Wanted(str(28 * DAY_MS))},
    }


def compared(
    wanted: Mapping[str, Mapping[str, Wanted]], actual: Mapping[str, Mapping[str, str]], *, bootstrap: str
) -> list[Row]:
    """Return one row for each setting that should be something; a topic that ``actual`` lacks is one row.

    ``bootstrap`` is the brokers' address in the commands that mend.
    """
    rows = []
    for topic, settings in wanted.items():
        found = actual.get(topic)
        if found is None:
            rows.append(Row(topic, "topic", ABSENT, "present", ok=False, remedy=MISSING))
            continue
        for setting, want in settings.items():
            value = found.get(setting, ABSENT)
            ok = want.accepts(value)
            remedy = "" if ok else _remedy(topic, setting, want, bootstrap)
            rows.append(Row(topic, setting, value, want.should_be, ok, remedy))
    return rows


def _remedy(topic: str, setting: str, want: Wanted, bootstrap: str) -> str:
    if setting == PARTITIONS:
        return "partitions are fixed for life: set kafka.partitions to what the topic has, or use another topic_prefix"
    if setting == REPLICATION:
        return (
            "reassign the topic's replicas with kafka-reassign-partitions.sh, or set kafka.replication to what it has"
        )
    return (
        f"kafka-configs.sh --bootstrap-server {bootstrap} --alter --entity-type topics --entity-name {topic} "
        f"--add-config {setting}={want.value}"
    )
