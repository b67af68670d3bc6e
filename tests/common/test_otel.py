"""The metrics for OpenTelemetry, as its SDK collects them."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from common.pyportal_common.cache_handlers import (
    Cache,
    Charge,
    Limiter,
    Observer,
    Policy,
    RateLimit,
    RedisClient,
    RedisUnavailable,
    SessionStore,
)
from common.pyportal_common.otel import OpenTelemetryObserver
from common.pyportal_common.redis_server import RedisServer

Points = Mapping[str, list[tuple[dict[str, Any], float]]]


@pytest.fixture
def reader() -> InMemoryMetricReader:
    """Collects what is reported."""
    return InMemoryMetricReader()


@pytest.fixture
def observer(reader: InMemoryMetricReader) -> OpenTelemetryObserver:
    """Reports to the reader."""
    return OpenTelemetryObserver(MeterProvider([reader]))


def points(reader: InMemoryMetricReader) -> Points:
    """The attributes and values of each metric; of a histogram, how often it was recorded."""
    data = reader.get_metrics_data()
    assert data is not None
    metrics = data.resource_metrics[0].scope_metrics[0].metrics
    return {
        metric.name: [
            (dict(point.attributes or {}), getattr(point, "value", getattr(point, "count", 0)))
            for point in metric.data.data_points
        ]
        for metric in metrics
    }


def test_the_events_of_a_client_become_metrics(
    redis_client: RedisClient, observer: OpenTelemetryObserver, reader: InMemoryMetricReader
) -> None:
    redis_client.observe(observer)
    cache, limiter = Cache(redis_client), Limiter(redis_client, service="example")
    cache.get_or_load("flight:7", lambda: 1, Policy(ttl=60))
    cache.get_or_load("flight:7", lambda: 1, Policy(ttl=60))
    for _ in range(2):
        limiter.hit(Charge(RateLimit("search", 1, 60), "john"))
    SessionStore(redis_client).create(7, {})

    found = points(reader)

    assert ({"cache": "flight", "event": "hit"}, 1) in found["pyportal.cache.events"]
    assert ({"cache": "flight", "event": "load"}, 1) in found["pyportal.cache.events"]
    decisions = found["pyportal.rate_limit.decisions"]
    assert [(each["decision"], each["counted_in"], count) for each, count in decisions] == [
        ("allowed", "redis", 1),
        ("refused", "redis", 1),
    ]
    assert found["pyportal.session.operations"] == [({"operation": "create", "outcome": "ok"}, 1)]
    trips = {each.get("error.type"): count for each, count in found["db.client.operation.duration"]}
    assert trips[None] >= 5
    assert trips.keys() <= {None, "refused"}  # the server may not have a script yet


def test_an_outage_becomes_an_error_and_an_open_breaker(
    own_redis: RedisServer,
    connect: Callable[..., RedisClient],
    observer: OpenTelemetryObserver,
    reader: InMemoryMetricReader,
) -> None:
    client = connect(own_redis)
    client.observe(observer)
    own_redis.kill()
    with pytest.raises(RedisUnavailable):
        client.get("flight:7")

    found = points(reader)

    assert found["pyportal.redis.breakers_open"] == [({}, 1)]
    assert found["db.client.operation.duration"] == [
        ({"db.system.name": "redis", "error.type": "failed"}, 1)
    ]


def test_codes_that_scripts_invent_add_no_attribute(
    observer: OpenTelemetryObserver, reader: InMemoryMetricReader
) -> None:
    for code in ("NOPERM", "MINE1", "MINE2"):
        observer.refused(code)

    assert points(reader)["pyportal.redis.refusals"] == [
        ({"code": "NOPERM"}, 1),
        ({"code": "other"}, 2),
    ]


def test_comparisons_with_sql_are_reported(
    observer: OpenTelemetryObserver, reader: InMemoryMetricReader
) -> None:
    observer.audit("user", "stale")
    observer.staleness("user", 4.5)

    found = points(reader)

    assert found["pyportal.cache.audits"] == [({"cache": "user", "outcome": "stale"}, 1)]
    assert found["pyportal.cache.staleness"] == [({"cache": "user"}, 4.5)]


def test_every_event_is_reported() -> None:
    events = {name for name in vars(Observer) if not name.startswith("_")}

    assert events <= set(vars(OpenTelemetryObserver))
