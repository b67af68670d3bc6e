"""The overview: its numbers, as a page and as JSON, and what it costs."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from common.pyportal_common.admin.overview import Overviews, Totals, quantile
from common.pyportal_common.jobs import Heartbeat
from common.pyportal_common.operations import EventCounts
from common.pyportal_common.testing.kit import json_of, session_headers, statements_of
from common.pyportal_common.web.metrics import Metrics

from .pages import ADMIN_DATA, Headers, MakeApp, text_of
from .service import Services

PATH = "/api/v1/airliner/admin/overview"
INF = float("inf")


class Clock:
    """A clock that the test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def overviews(app: Flask, services: Services, clock: Clock) -> Overviews:
    def read_counts() -> EventCounts:
        return counts_of(app.extensions["metrics"])

    return Overviews(read_counts, app.extensions["health"], services.monitor, clock=clock)


@pytest.fixture
def metrics(app: Flask) -> Metrics:
    found: Metrics = app.extensions["metrics"]
    return found


def counts_of(metrics: Metrics) -> EventCounts:
    return EventCounts.of(metrics.registry.collect())


def serve(metrics: Metrics, count: int = 1, *, status: int = 200, route: str = "/tasks") -> None:
    """Count requests that took 20 ms each."""
    for _ in range(count):
        metrics.requests("GET", route, status).inc()
        metrics.request_seconds("GET", route).observe(0.02)


class TestNumbers:
    def test_totals_are_those_of_the_metrics(self, metrics: Metrics) -> None:
        before = Totals.of(counts_of(metrics))
        serve(metrics, 8)
        serve(metrics, 2, status=503)
        serve(metrics, 5, route="/console/jobs")
        for event, count in (("hit", 6), ("stale", 1), ("miss", 3), ("load", 3), ("waited", 2)):
            for _ in range(count):
                metrics.cache("user", event)  # type: ignore[arg-type]
        metrics.round_trip("ok", 0.001)
        metrics.breaker(is_open=True)

        counted = Totals.of(counts_of(metrics)).since(before)

        assert (counted.requests, counted.errors, counted.all_requests) == (10, 2, 15)
        assert (counted.cache_reads, counted.cache_hits) == (10, 7)
        assert (counted.trips, counted.outages) == (1, 1)
        assert (counted.buckets[0.01], counted.buckets[0.025]) == (0, 10)
        assert counted.buckets[INF] == 10

    def test_rates_are_of_the_last_minute_once_it_is_known(
        self, overviews: Overviews, metrics: Metrics, clock: Clock
    ) -> None:
        serve(metrics, 1000, status=500)
        first = overviews.read().recent
        assert (first.seconds, first.requests_per_second, first.requests) == (None, None, 1000)
        assert first.error_ratio == 1.0

        clock.now += 30
        serve(metrics, 60)
        assert overviews.read().recent.seconds is None
        clock.now += 31
        recent = overviews.read().recent

        assert (recent.seconds, recent.requests, recent.error_ratio) == (61, 60, 0)
        assert recent.requests_per_second == pytest.approx(60 / 61)
        clock.now += 30
        recent = overviews.read().recent
        assert (recent.seconds, recent.requests) == (61, 0)  # since the second reading
        assert (recent.error_ratio, recent.p99_seconds, recent.hit_ratio) == (None, None, None)

    def test_it_keeps_a_bounded_number_of_readings(
        self, overviews: Overviews, clock: Clock
    ) -> None:
        for _ in range(1000):
            clock.now += 0.5
            overviews.read()

        assert len(overviews._snapshots) < 70

    @pytest.mark.parametrize(
        ("buckets", "expected"),
        [
            ({}, None),
            ({0.1: 0, INF: 0}, None),
            ({0.1: 100, 0.2: 100, INF: 100}, 0.099),
            ({0.1: 0, 0.2: 100, INF: 100}, 0.199),
            ({0.1: 50, 0.2: 50, INF: 100}, 0.2),  # slower than all bounds
        ],
    )
    def test_the_quantile_is_that_of_prometheus(
        self, buckets: dict[float, int], expected: float | None
    ) -> None:
        assert quantile(0.99, buckets) == (None if expected is None else pytest.approx(expected))

    def test_it_shows_workers_and_the_oldest_due_job(
        self, overviews: Overviews, services: Services
    ) -> None:
        services.table.put_one()
        Heartbeat(services.database, silent_seconds=15).beat()

        jobs = overviews.read().jobs

        assert jobs is not None
        assert (jobs.workers, jobs.silent_workers, jobs.oldest_due_kind) == (1, 0, "operations")
        assert jobs.oldest_due_seconds > 0


class TestPage:
    def test_it_says_what_the_numbers_are_of(self, client: FlaskClient, admin: Headers) -> None:
        text = text_of(client.get("/console", headers=admin))

        assert "Numbers since the start" in text
        assert "Health degraded" in text  # no worker runs
        assert "workers none" in text
        assert "Workers 0" in text
        assert "Outages of Redis 0" in text

    def test_it_works_while_sql_is_down(
        self, client: FlaskClient, admin: Headers, services: Services
    ) -> None:
        with services.database.engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE workers")

        text = text_of(client.get("/console", headers=admin))

        assert "SQL does not answer" in text


class TestJson:
    def test_it_has_what_the_charts_need(
        self, client: FlaskClient, admin: Headers, metrics: Metrics
    ) -> None:
        serve(metrics, 3)

        body = json_of(client.get(PATH, headers=admin))

        assert body["health"]["status"] == "degraded"
        assert body["totals"]["requests"] == 3
        assert body["totals"]["latencies"][-1] == {"le": None, "count": 3}
        assert body["recent"]["seconds"] is None
        assert body["jobs"]["workers"] == 0

    def test_it_is_for_admins_with_a_recent_login(self, client: FlaskClient) -> None:
        assert client.get(PATH).status_code == 401
        assert client.get(PATH, headers=session_headers(7)).status_code == 403

    def test_it_does_not_depend_on_the_console(self, make_app: MakeApp) -> None:
        client = make_app(console="off").test_client(use_cookies=False)

        assert client.get(PATH, headers=session_headers(1, **ADMIN_DATA)).status_code == 200


def test_a_reading_sends_few_statements_and_none_again_within_a_second(
    overviews: Overviews, services: Services
) -> None:
    statements = statements_of(services.database)

    overviews.read()
    first = len(statements)
    overviews.read()

    assert first < 15
    assert len(statements) - first <= 2  # a ping, in a transaction
