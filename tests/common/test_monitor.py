"""What /health and /metrics say about workers and jobs."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.exc import DataError, OperationalError

from common.pyportal_common.db import Database
from common.pyportal_common.jobs import Heartbeat, JobsMonitor, JobsReport
from common.pyportal_common.jobs.heartbeats import WORKERS
from common.pyportal_common.jobs.sweeper import Sweeper
from common.pyportal_common.redis_server import free_port
from common.pyportal_common.testing.kit import statements_of

from .operations import Operation, Table, jobs_of
from .waiting import wait_until

HOST = os.uname().nodename


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
def read(table: Table) -> Callable[[], JobsReport]:
    """Reads a report that is not cached."""
    return lambda: monitor_of(table).report()


def monitor_of(table: Table) -> JobsMonitor:
    return JobsMonitor(table.database, [table.jobs], silent_seconds=15, late_seconds=60)


def heartbeat(table: Table) -> Heartbeat:
    return Heartbeat(table.database, silent_seconds=15)


def silence(table: Table, seconds: float) -> None:
    """All workers have been silent for so long."""
    beat_at = datetime.now(UTC) - timedelta(seconds=seconds)
    with table.database.begin() as tx:
        tx.execute(update(WORKERS).values(beat_at=beat_at))


def add_worker(table: Table, name: str, *, host: str, pid: int) -> None:
    now = datetime.now(UTC)
    values = {"id": name, "host": host, "pid": pid, "started_at": now, "beat_at": now}
    with table.database.begin() as tx:
        tx.execute(insert(WORKERS).values(**values))


def names(table: Table) -> set[str]:
    with table.database.read() as tx:
        return set(tx.scalars(select(WORKERS.c.id)))


class TestWorkers:
    def test_none_runs(self, table: Table) -> None:
        assert monitor_of(table).states()["workers"] == "none"

    @pytest.mark.parametrize(
        ("seconds", "state", "counted"),
        [(0, "ok", (1, 0)), (14, "ok", (1, 0)), (16, "silent", (0, 1)), (301, "none", (0, 0))],
    )
    def test_a_worker_is_silent_after_a_while_and_then_forgotten(
        self, table: Table, seconds: float, state: str, counted: tuple[int, int]
    ) -> None:
        heartbeat(table).beat()
        silence(table, seconds)

        monitor = monitor_of(table)

        assert monitor.states()["workers"] == state
        assert (monitor.report().workers, monitor.report().silent_workers) == counted

    def test_one_silent_worker_of_two_is_reported(self, table: Table) -> None:
        add_worker(table, "other", host="elsewhere", pid=1)
        silence(table, 60)
        heartbeat(table).beat()

        assert monitor_of(table).states()["workers"] == "silent"

    def test_beats_are_stored_three_times_before_a_worker_would_be_silent(
        self, table: Table, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        beating = heartbeat(table)
        beating.beat()
        silence(table, 60)

        beating.beat()
        assert monitor_of(table).states()["workers"] == "silent"

        later = time.monotonic() + 5.1
        monkeypatch.setattr("common.pyportal_common.jobs.heartbeats.time.monotonic", lambda: later)
        beating.beat()
        monkeypatch.undo()
        assert monitor_of(table).states()["workers"] == "ok"

    def test_a_new_worker_replaces_the_dead_ones_of_its_host(self, table: Table) -> None:
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        add_worker(table, "dead", host=HOST, pid=ended.pid)
        add_worker(table, "earlier in this container", host=HOST, pid=os.getpid())
        add_worker(table, "alive", host=HOST, pid=os.getppid())
        add_worker(table, "elsewhere", host="elsewhere", pid=ended.pid)

        heartbeat(table).beat()

        assert len(names(table)) == 3
        assert {"alive", "elsewhere"} <= names(table)

    def test_a_worker_that_was_forgotten_comes_back(self, table: Table) -> None:
        beating = Heartbeat(table.database, silent_seconds=0)
        beating.beat()
        silence(table, 400)
        Heartbeat(table.database, silent_seconds=0).beat()  # it forgets the first

        beating.beat()

        assert monitor_of(table).report().workers >= 1

    def test_a_worker_that_stops_is_not_missed(self, table: Table) -> None:
        beating = heartbeat(table)
        beating.beat()

        beating.end()

        assert names(table) == set()

    def test_a_worker_keeps_beating(self, table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("common.pyportal_common.jobs.sweeper._INTERVAL_SECONDS", 0.01)
        beating = Heartbeat(table.database, silent_seconds=0)
        sweeper = Sweeper([table.jobs], heartbeat=beating)
        sweeper.start()
        wait_until(lambda: names(table))
        silence(table, 60)

        wait_until(lambda: monitor_of(table).states()["workers"] == "ok")

        sweeper.close(5)
        assert names(table) == set()

    @pytest.mark.parametrize(
        ("error", "logged"),
        [
            (OperationalError, "WARNING SQL does not answer, jobs wait: made for this test"),
            (DataError, "ERROR A sweep failed and is repeated: "),
            (ZeroDivisionError, "ERROR A sweep failed and is repeated"),
        ],
    )
    def test_a_sweeper_looks_for_other_work_also_after_a_failure(
        self,
        table: Table,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        error: Any,
        logged: str,
    ) -> None:
        monkeypatch.setattr("common.pyportal_common.jobs.sweeper._INTERVAL_SECONDS", 0.01)
        looks = threading.Semaphore(0)

        def fail() -> None:
            raise error("SELECT 1", {}, Exception("made for this test"))

        sweeper = Sweeper([table.jobs], looks=[fail, looks.release])
        sweeper.start()

        for _ in range(3):
            assert looks.acquire(timeout=10)
        sweeper.close(5)
        assert caplog.record_tuples
        first = caplog.records[0]
        assert f"{first.levelname} {first.message}".startswith(logged)

    def test_a_kind_that_fails_does_not_stop_those_of_others(
        self, table: Table, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("common.pyportal_common.jobs.sweeper._INTERVAL_SECONDS", 0.01)
        broken, woken = jobs_of(table.database), threading.Event()

        def fail() -> None:
            raise RuntimeError("made for this test")

        monkeypatch.setattr(broken, "look", fail)
        table.put_one()
        sweeper = Sweeper([broken, table.jobs], wake=woken.set)

        sweeper.start()

        assert woken.wait(20)
        sweeper.close(5)


class TestJobs:
    @pytest.mark.parametrize(("seconds", "state"), [(59, "ok"), (61, "late"), (86400, "late")])
    def test_a_job_that_is_due_for_long_is_late(
        self, table: Table, seconds: int, state: str
    ) -> None:
        waiting = table.put_one(), table.put_one()
        with table.database.begin() as tx:
            row = tx.get_one(Operation, waiting[1])
            row.due_at = datetime.now(UTC) - timedelta(seconds=seconds)

        monitor = monitor_of(table)

        assert monitor.states()["jobs"] == state
        assert 0 <= monitor.report().oldest_due_seconds["operations"] - seconds < 30

    def test_jobs_that_run_have_ended_or_wait_for_their_time_are_not_late(
        self, table: Table, read: Callable[[], JobsReport]
    ) -> None:
        running, done, later = table.put_one(), table.put_one(), table.put_one()
        table.claim(running)
        table.complete(table.claim(done))
        with table.database.begin() as tx:
            tx.get_one(Operation, later).due_at = datetime.now(UTC) + timedelta(hours=1)

        assert read().oldest_due_seconds == {"operations": 0.0}

    def test_a_report_is_read_once_a_second(self, table: Table) -> None:
        monitor = monitor_of(table)
        statements = statements_of(table.database)

        for _ in range(20):
            monitor.states()
            list(monitor.collect())

        assert len(statements) <= 2 * 4  # two seconds, on a slow machine

    def test_more_kinds_need_no_more_statements(self, table: Table) -> None:
        others = jobs_of(table.database)
        others.kind = "others"
        monitor = JobsMonitor(
            table.database, [table.jobs, others], silent_seconds=15, late_seconds=60
        )
        table.put_one()
        statements = statements_of(table.database)

        monitor_of(table).report()
        of_one_kind = len(statements)
        report = monitor.report()

        assert len(statements) == 2 * of_one_kind
        assert set(report.oldest_due_seconds) == {"operations", "others"}
        assert report.jobs["operations", "due"] == report.jobs["others", "due"] == 1

    def test_without_sql_nothing_is_reported(self, table: Table) -> None:
        nowhere = Database(f"postgresql+psycopg://portal@127.0.0.1:{free_port()}/postgres")
        monitor = JobsMonitor(nowhere, [table.jobs], silent_seconds=15, late_seconds=60)

        assert monitor.states() == {}
        assert list(monitor.collect()) == []
