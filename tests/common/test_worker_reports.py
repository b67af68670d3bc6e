"""The metrics of workers in the /metrics of their service."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import insert, update

from common.pyportal_common.cache_handlers import RedisClient
from common.pyportal_common.db import Database
from common.pyportal_common.jobs import Heartbeat, JobsMonitor
from common.pyportal_common.jobs.heartbeats import WORKERS
from common.pyportal_common.jobs.metrics import WorkerMetrics
from common.pyportal_common.jobs.worker_state import WorkerState
from common.pyportal_common.redis_server import RedisServer

from .operations import Operation, Table


@pytest.fixture
def table(sql_url: str) -> Iterator[Table]:
    table = Table(Database(sql_url))
    table.create()
    WORKERS.drop(table.database.engine, checkfirst=True)
    WORKERS.create(table.database.engine)
    yield table
    WORKERS.drop(table.database.engine)
    table.drop()
    table.database.close()


@pytest.fixture
def scrape(table: Table, make_service: Callable[..., Flask]) -> Callable[[], str]:
    """Reads /metrics of a service, without a report of the last second."""

    def scrape() -> str:
        monitor = JobsMonitor(table.database, [table.jobs], silent_seconds=15, late_seconds=60)
        return make_service(checks=[monitor]).test_client().get("/metrics").text

    return scrape


def value(text: str, name: str, **labels: str) -> float | None:
    """The sum of the samples with these labels. None if there are none."""
    values = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    return sum(values) if values else None


def beat(table: Table, metrics: WorkerMetrics) -> Heartbeat:
    heartbeat = Heartbeat(table.database, silent_seconds=0)
    heartbeat.beat(metrics.report)
    return heartbeat


def add_worker(table: Table, host: str, report: str | None) -> None:
    now = datetime.now(UTC)
    values = {"id": host, "host": host, "pid": 1, "started_at": now, "beat_at": now}
    with table.database.begin() as tx:
        tx.execute(insert(WORKERS).values(**values, report=report))


def test_a_service_shows_what_each_worker_counts(table: Table, scrape: Callable[[], str]) -> None:
    one, other = WorkerMetrics(None, ["operations"]), WorkerMetrics(None, ["operations"])
    for metrics, number in ((one, 3), (other, 2)):
        for _ in range(number):
            metrics.ended("email", "done", 0.2)
    beating = beat(table, one)
    add_worker(table, "elsewhere", other.report())

    text = scrape()
    assert value(text, "job_attempts_total", type="email", outcome="done") == 5
    assert value(text, "job_attempts_total", worker="elsewhere:1") == 2
    assert value(text, "job_duration_seconds_count") == 5
    assert value(text, "worker_info") == 2
    assert text.count("# TYPE job_attempts_total ") == 1
    assert "_created" not in text.partition("worker_info")[2]

    one.ended("email", "retry", 0.2)
    beating.beat(one.report)
    assert value(scrape(), "job_attempts_total", outcome="retry") == 1


def test_a_report_that_is_read_twice_is_the_same(table: Table) -> None:
    beat(table, WorkerMetrics(None))
    monitor = JobsMonitor(table.database, [table.jobs], silent_seconds=15, late_seconds=60)

    first, second = ([len(each.samples) for each in monitor.collect()] for _ in range(2))

    assert first == second


@pytest.mark.parametrize("kinds", [["operations", "schedules"], []])
def test_workers_are_counted_by_the_kinds_that_they_run(
    table: Table, scrape: Callable[[], str], kinds: list[str]
) -> None:
    beat(table, WorkerMetrics(None, kinds))

    assert value(scrape(), "job_kind_workers", kind="operations") == len(kinds[:1])


def test_a_silent_worker_is_not_shown(table: Table, scrape: Callable[[], str]) -> None:
    metrics = WorkerMetrics(None, ["operations"])
    metrics.ended("email", "done", 0.2)
    beat(table, metrics)
    silent_since = datetime.now(UTC) - timedelta(seconds=16)
    with table.database.begin() as tx:
        tx.execute(update(WORKERS).values(beat_at=silent_since))

    text = scrape()

    assert value(text, "job_attempts_total") is None
    assert value(text, "job_kind_workers", kind="operations") == 0


@pytest.mark.parametrize("report", [None, "", "{", "[]", "{}", '{"kinds": [], "metrics": [1]}'])
def test_a_worker_of_another_release_counts_for_all_kinds(
    table: Table, scrape: Callable[[], str], report: str | None
) -> None:
    add_worker(table, "elsewhere", report)

    text = scrape()

    assert value(text, "job_workers") == 1
    assert value(text, "job_kind_workers", kind="operations") == 1


def test_unfinished_jobs_are_counted_by_state(table: Table, scrape: Callable[[], str]) -> None:
    running, done, later, *_ = [table.put_one() for _ in range(5)]
    table.claim(running)
    table.complete(table.claim(done))
    with table.database.begin() as tx:
        tx.get_one(Operation, later).due_at = datetime.now(UTC) + timedelta(hours=1)

    text = scrape()

    assert value(text, "jobs_failed", kind="operations") == 0
    assert [
        value(text, "jobs_unfinished", kind="operations", state=state)
        for state in ("due", "delayed", "running")
    ] == [2, 1, 1]


def test_failed_jobs_are_counted_until_they_are_retried(
    table: Table, scrape: Callable[[], str]
) -> None:
    failed, other = table.put_one(), table.put_one()
    for job in (failed, other):
        table.fail(table.claim(job))

    assert value(scrape(), "jobs_failed", kind="operations") == 2
    table.retry(failed)
    assert value(scrape(), "jobs_failed", kind="operations") == 1


def test_workers_report_their_redis_and_their_pools(
    table: Table, scrape: Callable[[], str], own_redis: RedisServer, own_client: RedisClient
) -> None:
    metrics = WorkerMetrics(None, more=[WorkerState([own_client], table.database)])
    beating = beat(table, metrics)

    def states() -> dict[str, float | None]:
        beating.beat(metrics.report)
        text = scrape()
        return {
            state: value(text, "worker_redis_state", database=own_client.name, state=state)
            for state in ("up", "refusing", "down")
        }

    assert states() == {"up": 1, "refusing": 0, "down": 0}
    own_redis.stop()
    assert own_client.check().state == "unavailable"
    assert states() == {"up": 0, "refusing": 0, "down": 1}

    with table.database.read() as tx:
        tx.connection()
        beating.beat(metrics.report)
    text = scrape()
    assert value(text, "worker_redis_outages_total") == 1
    assert value(text, "worker_pool_connections_in_use", pool="sql") == 1
    assert value(text, "worker_pool_connections_in_use", pool="redis") == 0
    assert value(text, "worker_pool_size", pool="sql") == table.database.pool_size
    assert value(text, "worker_pool_size", pool="redis") == own_client.max_connections
