"""A service's Prometheus metrics: its requests, and the events that the Redis layer reports."""

from collections.abc import Callable, Iterable
from functools import cache, partial

from flask import Blueprint, Request, Response
from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.registry import Collector

from ..cache_handlers import KNOWN_CODES, AuditOutcome, CacheEvent, Observer, Trip
from ..metrics import exposition
from .declarations import path_of

_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_MAX_KINDS = 50  # of cached values; all others are counted as "other"
_REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_TRIP_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1)


class Metrics(Observer):
    """The metrics of one app. Clients cannot add label values without bound.

    A metric with labels is a function of their values, which keeps what it has returned:
    `labels` of prometheus_client takes longer than counting.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._kinds: set[str] = set()
        self._audited: set[str] = set()
        counter = partial(Counter, registry=registry)
        gauge = partial(Gauge, registry=registry, multiprocess_mode="livesum")
        histogram = partial(Histogram, registry=registry)

        self.requests = cache(
            counter("http_requests", "Requests served.", ["method", "route", "status"]).labels
        )
        self.request_seconds = cache(
            histogram(
                "http_request_duration_seconds",
                "Time from the first hook to the response.",
                ["method", "route"],
                buckets=_REQUEST_BUCKETS,
            ).labels
        )
        self.in_progress = gauge("http_requests_in_progress", "Requests being served.")
        self.trips = cache(
            histogram(
                "redis_round_trip_duration_seconds",
                "Round trips to Redis: ok, failed, or refused with an error by the server.",
                ["outcome"],
                buckets=_TRIP_BUCKETS,
            ).labels
        )
        self.open_breakers = gauge("redis_breakers_open", "Workers whose Redis is unavailable.")
        self.outages = counter("redis_outages", "Times that a worker found Redis unavailable.")
        self.failovers = counter(
            "redis_failovers", "Times that a worker found another server in the place of its Redis."
        )
        self.refusing_codes = gauge(
            "redis_refusing", "Workers whose Redis refuses commands, by the error's code.", ["code"]
        )
        self.refusals = counter(
            "redis_refusals", "Commands that Redis answered with an error, by its code.", ["code"]
        )
        self.cache_events = cache(
            counter("cache_events", "Events of cached values.", ["cache", "event"]).labels
        )
        self.audits = counter(
            "cache_audit", "Cached values that were compared with SQL.", ["cache", "outcome"]
        )
        self.staleness_seconds = Gauge(
            "cache_staleness_seconds",
            "For how long the oldest known stale value has been stale, or 0.",
            ["cache"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.trust_losses = counter(
            "cache_trust_lost", "Times that a process ceased to use what Redis holds."
        )
        self.limits = cache(
            counter(
                "rate_limit_decisions",
                "Requests allowed or refused by a rate limit, or that a shadow limit would refuse, "
                "counted in Redis or by one worker.",
                ["policy", "decision", "counted_in"],
            ).labels
        )
        self.near_limits = cache(
            counter(
                "rate_limit_near",
                "Requests allowed by a rate limit, of which then less than a fifth was left.",
                ["policy"],
            ).labels
        )
        self.sessions = cache(
            counter(
                "session_operations", "Operations on sessions.", ["operation", "outcome"]
            ).labels
        )
        self._pools: list[_PoolUse] = []
        self.pool_in_use = Gauge(
            "pool_connections_in_use",
            "Connections in use when the last request ended, in the process with most of them.",
            ["pool"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.failing_records = Gauge(
            "cache_invalidations_failing",
            "Recorded invalidations that Redis refuses and that are retried.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.idempotency_keys = counter(
            "idempotency_keys", "Requests with an Idempotency-Key, by outcome.", ["outcome"]
        )

    def watch_pool(self, name: str, in_use: Callable[[], int]) -> None:
        """Report the connections in use of a pool of this process."""
        self._pools.append(_PoolUse(self.pool_in_use.labels(name), in_use))

    def served(self, request: Request, response: Response, seconds: float) -> None:
        """A request was served."""
        rule = request.url_rule
        route = "none" if rule is None else path_of(rule)
        method = request.method if request.method in _METHODS else "other"
        self.requests(method, route, response.status_code).inc()
        self.request_seconds(method, route).observe(seconds)
        for pool in self._pools:
            pool.sample()

    def round_trip(self, outcome: Trip, seconds: float) -> None:
        """See Observer."""
        self.trips(outcome).observe(seconds)

    def breaker(self, *, is_open: bool) -> None:
        """See Observer."""
        self.open_breakers.inc(1 if is_open else -1)
        if is_open:
            self.outages.inc()

    def failover(self) -> None:
        """See Observer."""
        self.failovers.inc()

    def refused(self, code: str) -> None:
        """See Observer."""
        self.refusals.labels(_label_for(code)).inc()

    def refusing(self, code: str, *, is_refusing: bool) -> None:
        """See Observer."""
        self.refusing_codes.labels(_label_for(code)).inc(1 if is_refusing else -1)

    def cache(self, kind: str, event: CacheEvent) -> None:
        """See Observer."""
        if kind not in self._kinds:
            if len(self._kinds) < _MAX_KINDS:
                self._kinds.add(kind)
            else:
                kind = "other"
        self.cache_events(kind, event).inc()

    def audit(self, kind: str, outcome: AuditOutcome) -> None:
        """See Observer."""
        if kind not in self._audited:  # so that an alert sees the first increase
            self._audited.add(kind)
            self.audits.labels(kind, "stale")
            self.staleness_seconds.labels(kind)
        self.audits.labels(kind, outcome).inc()

    def staleness(self, kind: str, seconds: float) -> None:
        """See Observer."""
        self.staleness_seconds.labels(kind).set(seconds)

    def trust_lost(self) -> None:
        """See Observer."""
        self.trust_losses.inc()

    def limit(self, policy: str, *, allowed: bool, local: bool) -> None:
        """See Observer."""
        decision, counted_in = "allowed" if allowed else "refused", "worker" if local else "redis"
        self.limits(policy, decision, counted_in).inc()

    def limit_near(self, policy: str) -> None:
        """See Observer."""
        self.near_limits(policy).inc()

    def shadow_refusal(self, policy: str, *, local: bool) -> None:
        """See Observer."""
        self.limits(policy, "would_refuse", "worker" if local else "redis").inc()

    def session(self, operation: str, outcome: str) -> None:
        """See Observer."""
        self.sessions(operation, outcome).inc()

    def failing_invalidations(self, number: int) -> None:
        """See Observer."""
        self.failing_records.set(number)


class _PoolUse:
    """The connections in use of a pool. Written when they change: mostly they are none."""

    def __init__(self, gauge: Gauge, in_use: Callable[[], int]) -> None:
        self._gauge = gauge
        self._in_use = in_use
        self._written = -1

    def sample(self) -> None:
        in_use = self._in_use()
        if in_use != self._written:
            self._written = in_use
            self._gauge.set(in_use)


def _label_for(code: str) -> str:
    """Scripts outside this layer may answer with any code."""
    return code if code in KNOWN_CODES else "other"


def metrics_routes(metrics: Metrics, more: Iterable[Collector] = ()) -> Blueprint:
    """The route /metrics.

    `more` are collected at each scrape, by the worker that answers it: for values that all workers
    have in common.
    """
    routes = Blueprint("metrics", __name__)
    common = CollectorRegistry()
    for collector in more:
        common.register(collector)

    @routes.get("/metrics")
    def show() -> Response:
        text = exposition(metrics.registry) + generate_latest(common)
        return Response(text, content_type=CONTENT_TYPE_PLAIN_0_0_4)

    return routes
