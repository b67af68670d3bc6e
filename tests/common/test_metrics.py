"""/metrics of one process after requests of every kind, and the files that workers share."""

import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from flask import Flask, Response, jsonify
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from common.pyportal_common.cache_handlers import (
    Cache,
    Charge,
    Limiter,
    Policy,
    RateLimit,
    RedisClient,
    RedisLayerError,
    SessionStore,
)
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.sentinel import SentinelSetup

from .load import Connect
from .waiting import wait_until

Sample = Callable[..., float]


@pytest.fixture
def app(make_service: Callable[..., Flask]) -> Flask:
    app = make_service()

    @app.get("/things/<id:thing_id>")
    def thing(thing_id: int) -> Response:
        return jsonify(id=thing_id)

    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def sample(client: FlaskClient) -> Sample:
    """Reads one: sample("http_requests_total", route="none")."""

    def sample(name: str, **labels: str) -> float:
        families = text_string_to_metric_families(client.get("/metrics").text)
        return sum(
            found.value
            for family in families
            for found in family.samples
            if found.name == name and labels.items() <= found.labels.items()
        )

    return sample


def test_requests_are_counted_by_route_and_status(client: FlaskClient, sample: Sample) -> None:
    for number in (1, 2, 3):
        client.get(f"/things/{number}")
    client.post("/things/1")

    route = "/things/{thing_id}"
    assert sample("http_requests_total", method="GET", route=route, status="200") == 3
    assert sample("http_request_duration_seconds_count", route=route) == 3
    assert sample("http_requests_total", status="405") == 1
    assert sample("http_requests_in_progress") == 1  # the request for the metrics


def test_clients_cannot_add_label_values_without_bound(client: FlaskClient, sample: Sample) -> None:
    for number in range(100):
        client.get(f"/nowhere/{number}")
        client.open("/livez", method=f"VERB{number}")

    assert sample("http_requests_total", method="GET", route="none", status="404") == 100
    assert sample("http_requests_total", method="other") == 100
    assert client.get("/metrics").text.count("http_requests_total{") < 10


def test_cached_values_are_counted_by_kind(redis_client: RedisClient, sample: Sample) -> None:
    cache = Cache(redis_client)
    for _ in range(3):
        cache.get_or_load("user:7", lambda: {"id": 7}, Policy(ttl=60))
    cache.get_many_or_load(["user:7", "user:8"], lambda _: {}, Policy(ttl=60))
    cache.invalidate("user:7")

    events = {
        event: sample("cache_events_total", cache="user", event=event)
        for event in ("hit", "miss", "load", "unfilled", "invalidated")
    }

    assert events == {"hit": 3, "miss": 2, "load": 2, "unfilled": 0, "invalidated": 1}


def test_a_refused_fill_and_a_failed_load_are_counted(
    redis_client: RedisClient, sample: Sample
) -> None:
    cache = Cache(redis_client)

    def load_during_a_change() -> int:
        cache.invalidate("user:7")
        return 7

    def fail() -> None:
        raise LookupError

    cache.get_or_load("user:7", load_during_a_change, Policy(ttl=60))
    with pytest.raises(LookupError):
        cache.get_or_load("user:8", fail, Policy(ttl=60))

    assert sample("cache_events_total", event="unfilled") == 1
    assert sample("cache_events_total", event="failed") == 1


def test_rate_limit_decisions_are_counted_by_limit(
    redis_client: RedisClient, sample: Sample
) -> None:
    limiter = Limiter(redis_client)
    wide, narrow = RateLimit("wide", 100, 60), RateLimit("narrow", 2, 60)
    for _ in range(3):
        limiter.hit(Charge(wide, "a"), Charge(narrow, "a"))

    assert sample("rate_limit_decisions_total", policy="wide", decision="allowed") == 2
    assert sample("rate_limit_decisions_total", policy="narrow", decision="allowed") == 2
    assert sample("rate_limit_decisions_total", policy="narrow", decision="refused") == 1


def test_an_outage_is_counted(
    own_redis: RedisServer, own_client: RedisClient, app: Flask, sample: Sample
) -> None:
    own_client.observe(app.extensions["metrics"])
    own_client.ping()
    own_redis.kill()

    Limiter(own_client).hit(Charge(RateLimit("alone", 100, 60), "a"))

    assert sample("rate_limit_decisions_total", policy="alone", counted_in="worker") == 1
    assert sample("rate_limit_decisions_total", policy="alone", counted_in="redis") == 0
    assert sample("redis_round_trip_duration_seconds_count", outcome="failed") == 1
    assert sample("redis_breakers_open") == 1


@pytest.mark.slow
def test_a_failover_is_counted(
    sentinel_setup: SentinelSetup, connect: Connect, app: Flask, sample: Sample
) -> None:
    client = connect(sentinel_setup)
    client.observe(app.extensions["metrics"])
    client.ping()

    for number in (1, 2):
        sentinel_setup.fail_over()
        sentinel_setup.wait_until_whole()

        def has_noticed(expected: int = number) -> bool:
            with suppress(RedisLayerError):
                client.set("k", "v")
            return sample("redis_failovers_total") == expected

        wait_until(has_noticed, seconds=120)


@pytest.mark.parametrize("accept", ["application/openmetrics-text; version=abc", "x/y; q=z", "*/*"])
def test_every_scraper_gets_the_text_format(client: FlaskClient, accept: str) -> None:
    response = client.get("/metrics", headers={"Accept": accept})

    assert response.status_code == 200
    assert response.content_type.startswith("text/plain; version=0.0.4")


def test_sessions_are_counted_by_outcome(redis_client: RedisClient, sample: Sample) -> None:
    sessions = SessionStore(redis_client)
    session = sessions.create(7, {})
    sessions.load(session.session_id)
    sessions.load("nobody's")
    sessions.revoke(session.session_id)

    outcomes = [("create", "ok"), ("load", "ok"), ("load", "missing"), ("revoke", "ok")]
    assert [
        sample("session_operations_total", operation=operation, outcome=outcome)
        for operation, outcome in outcomes
    ] == [1, 1, 1, 1]


def test_a_session_is_counted_once_if_its_index_is_rebuilt(
    redis_client: RedisClient, sample: Sample
) -> None:
    redis_client.set("user:sessions:7", "x", ttl=60)

    SessionStore(redis_client).create(7, {})

    assert sample("session_operations_total", operation="create", outcome="ok") == 1


def test_every_round_trip_is_timed(redis_client: RedisClient, sample: Sample) -> None:
    before = sample("redis_round_trip_duration_seconds_count", outcome="ok")
    redis_client.set("key", "value")
    with redis_client.pipeline() as pipeline:
        pipeline.get("key")
        pipeline.get("key")
        pipeline.execute()
    redis_client.hset("hash", "field", "value")
    with pytest.raises(Exception, match="WRONGTYPE"):
        redis_client.get("hash")

    # One more by the first scrape, which asks for the state of Redis.
    assert sample("redis_round_trip_duration_seconds_count", outcome="ok") == before + 3 + 1
    assert sample("redis_round_trip_duration_seconds_count", outcome="refused") == 1


_TWO_WORKERS = """
import os, sys, threading
from types import SimpleNamespace
from common.pyportal_common.metrics import exposition, share_metrics

sys.setswitchinterval(1e-6)  # threads take turns within an increment
hooks = share_metrics("{folder}")
from common.pyportal_common.web.metrics import Metrics

metrics = Metrics()
server = SimpleNamespace(WORKERS={{}})

def count():
    for _ in range(2000):
        metrics.session("load", "ok")
        metrics.round_trip("ok", 0.0003)
        metrics.in_progress.inc()
        metrics.in_progress.dec()

def work(worker):
    hooks["post_fork"](server, worker)
    threads = [threading.Thread(target=count) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    os._exit(0)

metrics.session("load", "ok")  # by the master, before it forks
hooks = share_metrics("{folder}")  # at SIGHUP it reads its settings again
for pid in range(3):
    worker = SimpleNamespace()
    hooks["pre_fork"](server, worker)
    if pid == 2:  # it takes the place of the first one, which has ended
        del server.WORKERS[0]
        hooks["pre_fork"](server, worker)
    server.WORKERS[pid] = worker
    child = os.fork()
    if child == 0:
        work(worker)
    os.waitpid(child, 0)
print(exposition(metrics.registry).decode())
"""


def test_no_count_of_many_threads_in_several_workers_is_lost(tmp_path: Path) -> None:
    code = _TWO_WORKERS.format(folder=tmp_path)

    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    samples = {
        (found.name, *found.labels.values()): found.value
        for family in text_string_to_metric_families(run.stdout)
        for found in family.samples
    }
    assert samples["session_operations_total", "load", "ok"] == 3 * 8 * 2000 + 1
    assert samples["redis_round_trip_duration_seconds_count", "ok"] == 3 * 8 * 2000
    assert samples["http_requests_in_progress",] == 0


def test_a_stale_value_is_0_before_the_first_one_is_found(app: Flask, client: FlaskClient) -> None:
    """Else an alert would not see the first increase."""
    app.extensions["metrics"].audit("user", "same")

    text = client.get("/metrics").text

    assert 'cache_audit_total{cache="user",outcome="stale"} 0.0' in text
    assert 'cache_staleness_seconds{cache="user"} 0.0' in text


def test_comparisons_with_sql_are_counted_and_the_oldest_stale_value_has_an_age(
    redis_client: RedisClient, sample: Sample
) -> None:
    observer = redis_client.observer
    for outcome in ("same", "same", "stale"):
        observer.audit("user", outcome)
    observer.staleness("user", 2.5)

    assert sample("cache_audit_total", cache="user", outcome="same") == 2
    assert sample("cache_audit_total", cache="user", outcome="stale") == 1
    assert sample("cache_staleness_seconds", cache="user") == 2.5
