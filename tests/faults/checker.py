"""The history checker: does what clients recorded, what the store holds and what subscribers got keep the promise?

It verifies INV-1…8, 12, 13 and 17 of ``design.md`` section 12 and (a)–(f) of ``faults.md``, in time near linear in the
number of operations, and knows nothing of how the server is built: the same call serves every mode. What a service on
Kafka and Redis leaves besides is checked by ``logs`` (INV-9, 10, 12 and 18 from the topics), ``Cluster.rebuilt`` (INV-9:
Redis) and ``redis_strikes`` (INV-11: a promoted replica); a read before a recovery is complete is also a stale one here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from tests.faults.answers import check_answers
from tests.faults.attribution import attribute
from tests.faults.conditions import BUDGET_NS, check_absences, check_conditions, check_late_effects
from tests.faults.contents import check_final_state, check_replay
from tests.faults.event_order import check_order, decode
from tests.faults.evidence import Event, Plain
from tests.faults.findings import Findings
from tests.faults.history import Operation
from tests.faults.names import check_names
from tests.faults.timelines import Timeline
from tests.faults.violations import Violation


def check(
    history: Iterable[Operation],
    final_state: Iterable[Plain],
    events: Iterable[Plain],
    *,
    redelivered: bool = False,
    budget_ns: int = BUDGET_NS,
    polled: bool = False,
    parked: frozenset[str] = frozenset(),
    swallowed: bool = False,
) -> list[Violation]:
    """Return what breaks the promise; an empty list is a clean run.

    ``history``: all requests of all clients since the store was empty. ``final_state``: after the last request, records
    ``{key, value}`` in the form of the state log (``evidence.answered`` makes them of GETs); all of them where it is a
    log, the last one of a key counts. ``events``: records ``{partition, offset, key, headers, value}`` of the event log
    in the order in which a subscriber got them. ``redelivered``: whether a subscriber's record may hold identical
    repeats; the log itself may not. ``polled``: whether replies may get lost on their way to the gateway, which then
    answers with the stored outcome and the resource as it is now. ``parked``: txns of commands that were set aside:
    their callers get 500, and nothing of them may ever be applied. ``swallowed``: whether the network may take an answer
    and lose it: no gateway can know, so the repeat of such a create without a key may be refused as a duplicate.
    """
    operations = list(history)
    log, violations = decode(events)
    log, disorder = check_order(log, redelivered=redelivered)
    versions: dict[str, dict[int, Event]] = defaultdict(dict)
    for event in log:
        versions[event.resource].setdefault(event.version, event)
    timelines = {resource: Timeline(resource, max(made)) for resource, made in versions.items()}
    findings = Findings(operations, attribute(operations, log), versions, timelines, polled, parked, swallowed)
    findings.violations += [*violations, *disorder, *findings.attribution.violations]
    check_answers(findings)
    check_absences(findings)
    for timeline in timelines.values():
        findings.violations += timeline.settle()
    check_conditions(findings)
    check_late_effects(findings, budget_ns)
    check_replay(findings)
    check_final_state(findings, final_state)
    check_names(findings)
    return findings.violations
