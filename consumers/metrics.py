"""The catalogue of metrics: every name and its meaning, declared before use; labels hold ids, never values."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)


class Metrics:
    """All metrics of one process, in a registry of their own.

    Children are looked up once and kept (``labels()`` costs more than the increment).
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "scimgw_http_requests_total",
            "Requests answered, by route (its pattern), method and status.",
            ("route", "method", "status"),
            registry=self.registry,
        )
        self._request_seconds = Histogram(
            "scimgw_http_request_seconds",
            "Seconds from the request's headers to its answer, by route.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._commands = Counter(
            "scimgw_commands_total",
            "Commands answered, by tenant, verb and result (applied, no_change, refused, replayed, expired, failed).",
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
        self.appended = Counter(
            "scimgw_commands_appended_total",
            "Commands that the broker acknowledged to this gateway.",
            registry=self.registry,
        )
        self.reply_seconds = Histogram(
            "scimgw_reply_seconds",
            "Seconds from a command's acknowledged append to its reply.",
            buckets=_SECONDS,
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
        self.refused_tokens = Counter(
            "scimgw_tokens_refused_total",
            "Requests without a valid token.",
            registry=self.registry,
        )
        self._request_children: dict[tuple[str, str, int], Counter] = {}
        self._seconds_children: dict[str, Histogram] = {}
        self._command_children: dict[tuple[str, str, str], Counter] = {}
        self._step_children: dict[str, Histogram] = {}
        self._event_children: dict[str, Counter] = {}

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        key = (route, method, status)
        counter = self._request_children.get(key)
        if counter is None:
            counter = self._request_children[key] = self._requests.labels(route, method, str(status))
        counter.inc()
        histogram = self._seconds_children.get(route)
        if histogram is None:
            histogram = self._seconds_children[route] = self._request_seconds.labels(route)
        histogram.observe(seconds)

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
