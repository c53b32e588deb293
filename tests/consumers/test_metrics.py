"""The metrics of a partition are those of its owner, and go with it."""

from __future__ import annotations

from consumers.metrics import Metrics


def partitions_told_of(metrics: Metrics) -> set[str]:
    """Return the partitions that have a value in any metric."""
    return {
        sample.labels["partition"]
        for family in metrics.registry.collect()
        for sample in family.samples
        if "partition" in sample.labels
    }


def test_what_was_told_of_a_partition_is_forgotten_when_it_is_left() -> None:
    metrics = Metrics()
    for partition in (1, 2):
        metrics.halted(partition, 1)
        metrics.progress(partition, 17, 0.5)
        metrics.lag(partition, 3)
        metrics.outcomes_held(partition, 9, 1)

    metrics.left(1)

    assert partitions_told_of(metrics) == {"2"}


def test_a_partition_that_comes_back_is_told_of_again() -> None:
    metrics = Metrics()
    metrics.progress(1, 17, 0.5)
    metrics.left(1)
    metrics.progress(1, 18, 0.5)

    assert metrics.registry.get_sample_value("scimgw_partition_offset", {"partition": "1"}) == 18


def test_leaving_a_partition_that_nothing_was_told_of_is_nothing() -> None:
    metrics = Metrics()

    metrics.left(1)

    assert partitions_told_of(metrics) == set()
