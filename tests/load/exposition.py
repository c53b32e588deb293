"""Counters as a server's ``/metrics`` shows them."""

from __future__ import annotations

import urllib.request
from collections import Counter
from collections.abc import Sequence

from prometheus_client.parser import text_string_to_metric_families

REQUESTS = "scimgw_http_requests_total"
COMMANDS = "scimgw_commands_total"
EVENTS = "scimgw_events_total"

Counts = Counter[tuple[str, ...]]
"""How often, by the values of the labels asked for."""


def scrape(admin_port: int) -> str:
    """Return what a Prometheus server would get."""
    with urllib.request.urlopen(f"http://127.0.0.1:{admin_port}/metrics", timeout=10) as answer:
        text: bytes = answer.read()
    return text.decode()


def counts(text: str, metric: str, labels: Sequence[str]) -> Counts:
    """Return one metric by some of its labels, the others summed up."""
    found: Counts = Counter()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == metric:
                found[tuple(sample.labels[label] for label in labels)] += int(sample.value)
    return found
