"""Reports the events of the Redis layer as OpenTelemetry metrics."""

from . import __version__
from .cache_handlers import KNOWN_CODES, AuditOutcome, CacheEvent, Observer, Trip
from .extras import requires

with requires("otel"):
    from opentelemetry.metrics import MeterProvider, get_meter

_REDIS = {"db.system.name": "redis"}


class OpenTelemetryObserver(Observer):
    """Metrics of a client and of what uses it: client.observe(OpenTelemetryObserver()).

    They are those of the services' /metrics. Round trips are named by OpenTelemetry's conventions
    for databases. Without a `provider`, the global one is used.
    """

    def __init__(self, provider: MeterProvider | None = None) -> None:
        meter = get_meter("pyportal_common", __version__, provider)
        self._trips = meter.create_histogram(
            "db.client.operation.duration", "s", "Round trips to Redis."
        )
        self._open_breakers = meter.create_up_down_counter(
            "pyportal.redis.breakers_open", "{breaker}", "Breakers whose Redis is unavailable."
        )
        self._failovers = meter.create_counter(
            "pyportal.redis.failovers", "{time}", "Times that sentinels had replaced the server."
        )
        self._refusing = meter.create_up_down_counter(
            "pyportal.redis.refusing", "{client}", "Clients whose Redis refuses commands."
        )
        self._refusals = meter.create_counter(
            "pyportal.redis.refusals", "{command}", "Commands that Redis answered with an error."
        )
        self._cache_events = meter.create_counter(
            "pyportal.cache.events", "{event}", "Events of cached values."
        )
        self._trust_lost = meter.create_counter(
            "pyportal.cache.trust_lost", "{time}", "Times that Redis was no longer trusted."
        )
        self._limits = meter.create_counter(
            "pyportal.rate_limit.decisions", "{request}", "Requests allowed or refused by a limit."
        )
        self._near_limits = meter.create_counter(
            "pyportal.rate_limit.near",
            "{request}",
            "Requests that left little of a limit.",
        )
        self._sessions = meter.create_counter(
            "pyportal.session.operations", "{operation}", "Operations on sessions."
        )
        self._audits = meter.create_counter(
            "pyportal.cache.audits", "{value}", "Cached values that were compared with SQL."
        )
        self._staleness = meter.create_gauge(
            "pyportal.cache.staleness", "s", "For how long the oldest stale value has been stale."
        )
        self._failing_records = meter.create_gauge(
            "pyportal.cache.invalidations_failing", "{record}", "Invalidations that Redis refuses."
        )

    def round_trip(self, outcome: Trip, seconds: float) -> None:
        """See Observer."""
        error = {} if outcome == "ok" else {"error.type": str(outcome)}
        self._trips.record(seconds, _REDIS | error)

    def breaker(self, *, is_open: bool) -> None:
        """See Observer."""
        self._open_breakers.add(1 if is_open else -1)

    def failover(self) -> None:
        """See Observer."""
        self._failovers.add(1)

    def refused(self, code: str) -> None:
        """See Observer."""
        self._refusals.add(1, {"code": _known(code)})

    def refusing(self, code: str, *, is_refusing: bool) -> None:
        """See Observer."""
        self._refusing.add(1 if is_refusing else -1, {"code": _known(code)})

    def cache(self, kind: str, event: CacheEvent) -> None:
        """See Observer."""
        self._cache_events.add(1, {"cache": kind, "event": event})

    def audit(self, kind: str, outcome: AuditOutcome) -> None:
        """See Observer."""
        self._audits.add(1, {"cache": kind, "outcome": outcome})

    def staleness(self, kind: str, seconds: float) -> None:
        """See Observer."""
        self._staleness.set(seconds, {"cache": kind})

    def trust_lost(self) -> None:
        """See Observer."""
        self._trust_lost.add(1)

    def limit(self, name: str, *, allowed: bool, local: bool) -> None:
        """See Observer."""
        decision, counted_in = "allowed" if allowed else "refused", "process" if local else "redis"
        self._limits.add(1, {"policy": name, "decision": decision, "counted_in": counted_in})

    def limit_near(self, name: str) -> None:
        """See Observer."""
        self._near_limits.add(1, {"policy": name})

    def shadow_refusal(self, name: str, *, local: bool) -> None:
        """See Observer."""
        counted_in = "process" if local else "redis"
        self._limits.add(1, {"policy": name, "decision": "would_refuse", "counted_in": counted_in})

    def session(self, operation: str, outcome: str) -> None:
        """See Observer."""
        self._sessions.add(1, {"operation": operation, "outcome": outcome})

    def failing_invalidations(self, number: int) -> None:
        """See Observer."""
        self._failing_records.set(number)


def _known(code: str) -> str:
    return code if code in KNOWN_CODES else "other"  # scripts may answer with any
