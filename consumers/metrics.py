"""The catalogue of metrics: every name and its meaning, declared before use; labels hold ids, never values."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from consumers.tallies import Tally, Times

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)


class Metrics:
    """All metrics of one process, in a registry of their own.

    Children are looked up once and kept (``labels()`` costs more than the increment).
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Tally(
            "scimgw_http_requests_total",
            "Requests answered, by route (its pattern), method and status.",
            ("route", "method", "status"),
            registry=self.registry,
        )
        self._request_seconds = Times(
            "scimgw_http_request_seconds",
            "Seconds from the request's headers to its answer, by route.",
            ("route",),
            bounds=_SECONDS,
            registry=self.registry,
        )
        self._commands = Counter(
            "scimgw_commands_total",
            "Commands answered, by tenant, verb and result (applied, no_change, refused, replayed, expired, full, failed).",
            ("tenant", "verb", "result"),
            registry=self.registry,
        )
        self._events = Counter(
            "scimgw_events_total",
            "Events made durable: one for every applied version.",
            ("tenant",),
            registry=self.registry,
        )
        self.batch_commands = Histogram(
            "scimgw_batch_commands",
            "Commands decided in one batch.",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
            registry=self.registry,
        )
        self._step_seconds = Histogram(
            "scimgw_step_seconds",
            "Seconds a batch spends in a step of the apply loop: view, plan, reserve, persist.",
            ("step",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "scimgw_commands_in_flight", "Commands submitted and not yet answered.", registry=self.registry
        )
        self.shed = Counter(
            "scimgw_commands_shed_total", "Commands refused because the queue was full.", registry=self.registry
        )
        self.unknown = Counter(
            "scimgw_commands_unknown_total",
            "Callers told that the outcome is unknown.",
            registry=self.registry,
        )
        self.appended = Tally(
            "scimgw_commands_appended_total",
            "Commands that the broker acknowledged to this gateway.",
            registry=self.registry,
        )
        self.reply_seconds = Times(
            "scimgw_reply_seconds",
            "Seconds from a command's acknowledged append to its reply.",
            bounds=_SECONDS,
            registry=self.registry,
        )
        self.replies_late = Counter(
            "scimgw_replies_late_total",
            "Answers whose reply was lost: found as stored outcomes.",
            registry=self.registry,
        )
        self.replies_unknown = Counter(
            "scimgw_replies_unknown_total",
            "Replies dropped: nobody waited for them, any more or ever.",
            registry=self.registry,
        )
        self.clock_skew = Gauge(
            "scimgw_clock_skew_seconds",
            "How far the clock of this process is ahead of the brokers', as last seen; beyond 1 s it is not ready.",
            registry=self.registry,
        )
        self._reached = Gauge(
            "scimgw_server_reached",
            "Whether the server (kafka, redis) answered when last asked.",
            ("server",),
            registry=self.registry,
        )
        self.store_failures = Counter(
            "scimgw_store_failures_total",
            "Batches that the store could not view, reserve or keep.",
            registry=self.registry,
        )
        self.transactions = Counter(
            "scimgw_transactions_total", "Kafka transactions committed by this worker.", registry=self.registry
        )
        self.partitions = Gauge(
            "scimgw_partitions", "Partitions that this worker owns or is taking over.", registry=self.registry
        )
        self._take_overs = Histogram(
            "scimgw_take_over_seconds",
            "Seconds from the fence to the first command of a partition that was taken over.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.replayed = Counter(
            "scimgw_state_records_replayed_total",
            "State records put into the store by take-overs.",
            registry=self.registry,
        )
        self.ownership_lost = Counter(
            "scimgw_ownership_lost_total",
            "Times a partition was lost: fenced, another boot of the store, or a transaction in doubt.",
            registry=self.registry,
        )
        self.memberships_lost = Counter(
            "scimgw_memberships_lost_total",
            "Times the membership in the group of workers broke and was made anew.",
            registry=self.registry,
        )
        self.skipped_commands = Counter(
            "scimgw_commands_skipped_total",
            "Commands that retention removed before they were decided: page on it.",
            registry=self.registry,
        )
        self.parked = Counter(
            "scimgw_commands_parked_total", "Commands put into the dead-letter topic.", registry=self.registry
        )
        self._halted = Gauge(
            "scimgw_partition_halted",
            "1 while a partition cannot be taken over without losing something: page on it.",
            ("partition",),
            registry=self.registry,
        )
        self._decided_offset = Gauge(
            "scimgw_partition_offset",
            "Offset of the last command decided.",
            ("partition",),
            registry=self.registry,
        )
        self._lag_seconds = Gauge(
            "scimgw_partition_lag_seconds",
            "Seconds from the append of the last command decided to its answer.",
            ("partition",),
            registry=self.registry,
        )
        self._outcomes_held = Gauge(
            "scimgw_outcomes_held",
            'Outcomes of commands that the store holds: 15 minutes without an Idempotency-Key (key="no"), a day with one.',
            ("partition", "key"),
            registry=self.registry,
        )
        self.slow_transactions = Counter(
            "scimgw_transactions_slow_total",
            "Transactions given up at their time limit; the batch is tried again at half its size.",
            registry=self.registry,
        )
        self._lag_commands = Gauge(
            "scimgw_partition_lag_commands",
            "Commands appended and not yet decided, as of the last fetch.",
            ("partition",),
            registry=self.registry,
        )
        self.refused_tokens = Counter(
            "scimgw_tokens_refused_total",
            "Requests without a valid token.",
            registry=self.registry,
        )
        self._command_children: dict[tuple[str, str, str], Counter] = {}
        self._step_children: dict[str, Histogram] = {}
        self._event_children: dict[str, Counter] = {}
        self._progress_children: dict[int, tuple[Gauge, Gauge]] = {}

    def taken_over(self, partition: int, seconds: float) -> None:
        """Note a take-over."""
        self._take_overs.observe(seconds)
        self.halted(partition, 0)

    def halted(self, partition: int, halted: int) -> None:
        """Note whether a partition stands."""
        self._halted.labels(str(partition)).set(halted)

    def left(self, partition: int) -> None:
        """Forget what is told of a partition: another worker tells now, and a halt must not outlive its owner here."""
        self._progress_children.pop(partition, None)
        for gauge in (self._halted, self._decided_offset, self._lag_seconds, self._lag_commands):
            gauge.remove(str(partition))
        for key in ("no", "yes"):
            self._outcomes_held.remove(str(partition), key)

    def progress(self, partition: int, offset: int, lag_seconds: float) -> None:
        """Note how far a partition is decided."""
        children = self._progress_children.get(partition)
        if children is None:
            label = str(partition)
            children = self._decided_offset.labels(label), self._lag_seconds.labels(label)
            self._progress_children[partition] = children
        children[0].set(offset)
        children[1].set(lag_seconds)

    def outcomes_held(self, partition: int, unkeyed: int, keyed: int) -> None:
        """Note how many outcomes of a partition the store holds, without and with an Idempotency-Key."""
        self._outcomes_held.labels(str(partition), "no").set(unkeyed)
        self._outcomes_held.labels(str(partition), "yes").set(keyed)

    def lag(self, partition: int, commands: int) -> None:
        """Note how many commands of a partition wait."""
        self._lag_commands.labels(str(partition)).set(commands)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        self._requests.add(route, method, status)
        self._request_seconds.observe(seconds, route)

    def commands(self, tenant: str, verb: str, result: str, count: int) -> None:
        """Count answered commands, and the events of those that were applied."""
        key = (tenant, verb, result)
        counter = self._command_children.get(key)
        if counter is None:
            counter = self._command_children[key] = self._commands.labels(tenant, verb, result)
        counter.inc(count)
        if result == "applied":
            events = self._event_children.get(tenant)
            if events is None:
                events = self._event_children[tenant] = self._events.labels(tenant)
            events.inc(count)

    def step(self, step: str, seconds: float) -> None:
        """Note how long a batch spent in a step of the apply loop."""
        histogram = self._step_children.get(step)
        if histogram is None:
            histogram = self._step_children[step] = self._step_seconds.labels(step)
        histogram.observe(seconds)

    def reached(self, server: str, answers: bool) -> None:
        """Note whether a server answers."""
        self._reached.labels(server).set(answers)
