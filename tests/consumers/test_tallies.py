"""Tallies and times say what prometheus_client's own counters and histograms say."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from consumers.tallies import Tally, Times

BOUNDS = (0.001, 0.5, 20.0)


def _told(registry: CollectorRegistry) -> set[str]:
    """Return the lines of the exposition but for the times of creation, which ours do not have."""
    return {line for line in generate_latest(registry).decode().splitlines() if "_created" not in line}


def test_a_tally_tells_what_a_counter_tells() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    plain, labelled = Tally("plain_total", "Plain.", registry=ours), Tally("by_total", "By.", ("a", "b"), registry=ours)
    counter, children = Counter("plain", "Plain.", registry=theirs), Counter("by", "By.", ("a", "b"), registry=theirs)
    assert _told(ours) == _told(theirs), "before anything was counted"
    for _ in range(3):
        plain.add()
        counter.inc()
        labelled.add("x", 201)
        children.labels("x", "201").inc()
    labelled.add("y", 404)
    children.labels("y", "404").inc()
    assert _told(ours) == _told(theirs)


def test_times_tell_what_a_histogram_tells_up_to_each_bound_and_beyond_the_last() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    plain, labelled = (
        Times("plain", "Plain.", bounds=BOUNDS, registry=ours),
        Times("by", "By.", ("a",), bounds=BOUNDS, registry=ours),
    )
    histogram = Histogram("plain", "Plain.", buckets=BOUNDS, registry=theirs)
    children = Histogram("by", "By.", ("a",), buckets=BOUNDS, registry=theirs)
    assert _told(ours) == _told(theirs), "before anything was noted"
    for seconds in (0.0, 0.001, 0.25, 0.5, 0.75, 20.0, 21.0):
        plain.observe(seconds)
        histogram.observe(seconds)
        labelled.observe(seconds, "x")
        children.labels("x").observe(seconds)
    assert _told(ours) == _told(theirs)
