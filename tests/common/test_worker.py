"""Worker processes: outcomes of jobs, stopping, crashes, and outages of Redis and SQL."""

import signal
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from dramatiq.middleware.time_limit import TimeLimitExceeded
from sqlalchemy import make_url

from common.pyportal_common.db import Database
from common.pyportal_common.jobs import JobFailed, JobQueue, JobRunner, QueueSettings, Run
from common.pyportal_common.redis_server import RedisServer, free_port
from common.pyportal_common.testing.relay import SwitchedRelay

from .operations import Table, add_effect, new_operation
from .workers import Workers, wait_until

pytestmark = pytest.mark.slow

LEASE = 0.6

MakeWorkers = Callable[..., Workers]


class QueuedTable(Table):
    """The operations of a database, which are sent to workers through a queue."""

    queue: JobQueue

    def send(self, *kinds: str, **options: Any) -> list[int]:
        """Commit new operations, and send them to workers, as services do."""
        operations = [new_operation(kind, **options) for kind in kinds]
        ids = self.put(*operations)
        for operation in operations:
            self.queue.send(self.jobs.due(operation))
        return ids

    def begin(self, kind: str) -> int:
        """Send one operation, and wait until a worker runs it."""
        [job_id] = self.send(kind)
        wait_until(lambda: self.status(job_id) == "processing")
        return job_id

    def are_done(self, ids: list[int]) -> Callable[[], bool]:
        return lambda: {self.status(job_id) for job_id in ids} == {"completed"}

    def were_done_once(self, ids: list[int]) -> bool:
        return sorted(job_id for job_id, _ in self.effects()) == sorted(ids)


@pytest.fixture
def table(sql_url: str, own_redis: RedisServer) -> Iterator[QueuedTable]:
    table = QueuedTable(Database(sql_url), attempts=3, lease_seconds=LEASE)
    table.queue = queue_on(own_redis.url)
    table.create()
    yield table
    table.drop()
    table.database.close()
    table.queue.close()


@pytest.fixture
def make_workers(tmp_path: Path, sql_url: str, own_redis: RedisServer) -> Iterator[MakeWorkers]:
    """Prepares workers, with these variables: make_workers(WORKER_THREADS="1").start()."""
    made: list[Workers] = []

    def make(url: str = sql_url, **variables: str) -> Workers:
        given = {
            "QUEUE_REDIS_URL": own_redis.url,
            "WORKER_THREADS": "4",
            "WORKER_GRACE_SECONDS": "5",
            "JOB_ATTEMPTS": "3",
            "JOB_LEASE_SECONDS": str(LEASE),
            "JOB_RESEND_SECONDS": "1",
            "dramatiq_restart_delay": "300",
        }
        made.append(Workers(tmp_path, url, **{**given, **variables}))
        return made[-1]

    yield make
    for workers in made:
        workers.close()


def queue_on(url: str) -> JobQueue:
    return JobQueue("operations", QueueSettings.load(redis_url=url, _env_file=None))


class TestOutcomes:
    def test_a_job_that_kills_its_worker_fails_and_the_others_are_done(
        self, table: QueuedTable, make_workers: MakeWorkers
    ) -> None:
        workers = make_workers(WORKER_THREADS="1")
        workers.start()
        workers.start()
        [crashing] = table.send("crash")
        others: list[int] = []

        def one_more() -> bool:
            if len(others) < 20:
                others.extend(table.send("short"))
            return table.status(crashing) == "failed"

        wait_until(one_more)

        found = table.row(crashing)
        assert (found.attempts, found.error) == (3, "Its worker died, 3 times")
        wait_until(table.are_done(others))
        assert len(others) == 20
        assert table.were_done_once(others)
        assert workers.replaced == 3

    def test_each_outcome_of_a_handler(self, table: QueuedTable, make_workers: MakeWorkers) -> None:
        make_workers(JOB_ATTEMPTS="1").start()
        kinds = {
            "ok": ("completed", None),
            "fail": ("failed", "It rains"),
            "raise_error": ("failed", "Something unexpected went wrong, 1 times"),
            "fail_late": ("completed", None),
            "do_nothing": ("failed", "Something unexpected went wrong, 1 times"),
            "sleep": ("failed", "It took longer than 1 seconds"),
            "spin": ("failed", "It took longer than 1 seconds"),
        }

        ids = table.send(*kinds, limit_seconds=1)
        wait_until(lambda: all(table.row(job_id).has_ended for job_id in ids))

        found = [table.row(job_id) for job_id in ids]
        assert {operation.kind: (operation.status, operation.error) for operation in found} == kinds

    def test_a_stuck_job_fails_and_its_worker_restarts(
        self, table: QueuedTable, make_workers: MakeWorkers
    ) -> None:
        workers = make_workers(WORKER_THREADS="1", WORKER_GRACE_SECONDS="0")
        first = workers.start()
        [hanging] = table.send("hang", limit_seconds=0.5)
        [behind] = table.send("ok")

        wait_until(lambda: table.status(hanging) == "failed")
        assert table.row(hanging).error == "It took longer than 0.5 seconds"
        wait_until(table.are_done([behind]))
        assert table.effects() != [(behind, str(first.pid))]
        assert workers.replaced == 1

    def test_a_thread_ended_by_a_late_time_limit_is_replaced(
        self, table: QueuedTable, make_workers: MakeWorkers
    ) -> None:
        workers = make_workers(WORKER_THREADS="1")
        workers.start()
        [unlucky] = table.send("end_late")
        wait_until(table.are_done([unlucky]))
        wait_until(lambda: workers.replaced)

        [following] = table.send("ok")
        wait_until(table.are_done([following]))


class TestStopping:
    def test_running_jobs_are_finished(self, table: QueuedTable, make_workers: MakeWorkers) -> None:
        workers = make_workers()
        worker = workers.start()
        job_id = table.begin("pause")

        assert workers.stop(worker) == 0

        assert table.status(job_id) == "completed"
        assert table.effects() == [(job_id, str(worker.pid))]

    def test_a_job_that_outlasts_the_grace_period_is_done_by_the_next_worker(
        self, table: QueuedTable, make_workers: MakeWorkers
    ) -> None:
        workers = make_workers(WORKER_GRACE_SECONDS="0.3")
        worker = workers.start()
        [job_id] = table.send("slow")
        wait_until(lambda: table.row(job_id).progress > 0)

        assert workers.stop(worker) == 0

        found = table.row(job_id)
        assert (found.status, found.attempts) == ("pending", 0)
        following = workers.start()
        wait_until(table.are_done([job_id]))
        assert table.row(job_id).attempts == 1
        assert table.effects() == [(job_id, str(following.pid))]

    def test_it_stops_cleanly_during_an_outage_of_redis_with_fetched_messages(
        self, table: QueuedTable, own_redis: RedisServer, make_workers: MakeWorkers
    ) -> None:
        workers = make_workers(WORKER_THREADS="1", WORKER_GRACE_SECONDS="0")
        worker = workers.start()
        ids = table.send("slow", "ok")
        wait_until(lambda: table.status(ids[0]) == "processing")
        wait_until(lambda: not table.queue.size("operations", "normal"))
        own_redis.kill()

        assert workers.stop(worker) == 0

        assert workers.logged("Traceback") == 0
        own_redis.start()
        workers.start()
        wait_until(table.are_done(ids))
        assert table.were_done_once(ids)


class TestPauses:
    def test_a_worker_paused_for_longer_than_its_lease_changes_nothing_afterwards(
        self, table: QueuedTable, make_workers: MakeWorkers
    ) -> None:
        workers = make_workers()
        first = workers.start()
        job_id = table.begin("pause")
        first.send_signal(signal.SIGSTOP)
        second = workers.start()

        wait_until(table.are_done([job_id]))
        first.send_signal(signal.SIGCONT)
        wait_until(lambda: workers.logged(f"Job {job_id} went to another worker"))

        assert table.effects() == [(job_id, str(second.pid))]
        assert table.row(job_id).attempts == 2


class TestQueue:
    def test_a_high_priority_overtakes_a_backlog_of_low_ones(
        self, table: QueuedTable, make_workers: MakeWorkers
    ) -> None:
        low = table.send(*["short"] * 60, priority="low")
        make_workers(WORKER_THREADS="2").start()
        wait_until(lambda: len(table.effects()) > 4)

        high = table.send(*["short"] * 5, priority="high")
        wait_until(table.are_done(high))
        done_meanwhile = len(table.effects()) - len(high)

        assert done_meanwhile < 40
        wait_until(table.are_done(low))
        assert table.were_done_once(low + high)

    def test_jobs_created_in_an_outage_are_done_after_it(
        self, table: QueuedTable, redis_binary: Path, tmp_path: Path, make_workers: MakeWorkers
    ) -> None:
        server = RedisServer(redis_binary, tmp_path / "late", port=free_port())
        table.queue.close()
        table.queue = queue_on(server.url)
        workers = make_workers(QUEUE_REDIS_URL=server.url)
        workers.start()
        ids = table.send(*["ok"] * 20)
        wait_until(lambda: workers.logged("connection error"))

        assert not table.effects()
        server.start()
        wait_until(table.are_done(ids))

        server.kill()
        assert table.were_done_once(ids)
        assert workers.replaced == 0

    def test_messages_that_redis_lost_are_sent_again(
        self, table: QueuedTable, own_redis: RedisServer, make_workers: MakeWorkers
    ) -> None:
        workers = make_workers(WORKER_THREADS="2")
        workers.start()
        ids = table.send(*["short"] * 80)

        wait_until(lambda: len(table.effects()) > 10)
        own_redis.kill()
        own_redis.start()
        wait_until(lambda: len(table.effects()) > 30)
        table.queue.broker.client.flushdb()
        wait_until(table.are_done(ids))

        assert table.were_done_once(ids)
        assert workers.replaced == 0


class TestSql:
    """On PostgreSQL, whose connections a relay cuts."""

    @pytest.fixture
    def relay(self, sql_kind: str, sql_url: str) -> Iterator[SwitchedRelay]:
        if sql_kind == "sqlite":
            pytest.skip("SQLite has no connections that can be cut")
        relay = SwitchedRelay(make_url(sql_url).port or 0)
        yield relay
        relay.close()

    @pytest.fixture
    def workers(
        self, relay: SwitchedRelay, sql_url: str, make_workers: MakeWorkers
    ) -> Iterator[Workers]:
        url = make_url(sql_url).set(port=relay.port).render_as_string()
        workers = make_workers(url, WORKER_GRACE_SECONDS="0.5")
        yield workers
        workers.close()

    @pytest.mark.parametrize("state", ["held", "refused"])
    def test_running_jobs_are_finished_or_repeated_after_an_outage(
        self, relay: SwitchedRelay, table: QueuedTable, workers: Workers, state: Any
    ) -> None:
        workers.start()
        ids = table.send("pause", "slow", "pause", *["short"] * 40)
        wait_until(table.effects)
        relay.state = state
        threading.Event().wait(2.5 * LEASE)  # for the leases to expire
        relay.state = "open"
        wait_until(table.are_done(ids))

        assert table.were_done_once(ids)
        assert workers.replaced == 0

    def test_a_worker_can_be_stopped_while_sql_hangs(
        self, relay: SwitchedRelay, table: QueuedTable, workers: Workers
    ) -> None:
        worker = workers.start()
        table.begin("slow")
        relay.state = "held"
        threading.Event().wait(2)  # every thread is waiting for SQL

        assert workers.stop(worker, 15) == 0


def renewed(table: Table, job_id: int) -> Callable[[], bool]:
    """Whether its lease is renewed from now on."""
    began = table.row(job_id).lease_until

    def since() -> bool:
        lease_until = table.row(job_id).lease_until
        return began is not None and lease_until is not None and lease_until > began

    return since


def is_due(table: Table, job_id: int) -> Callable[[], bool]:
    """Whether it is due."""

    def now() -> bool:
        due_at = table.row(job_id).due_at
        return due_at is not None and due_at <= datetime.now(UTC)

    return now


class Attempts:
    """Attempts at one operation, which the test ends one by one."""

    def __init__(self, table: Table) -> None:
        self.runner = JobRunner(table.jobs, self._perform)
        self.job_id = table.put_one()
        self._may_end: list[threading.Event] = []
        self._threads: list[threading.Thread] = []

    def begin(self) -> None:
        before = len(self._may_end)
        self._threads.append(
            threading.Thread(target=self.runner.do, args=(self.job_id,), daemon=True)
        )
        self._threads[-1].start()
        wait_until(lambda: len(self._may_end) > before)

    def end(self, number: int) -> None:
        self._may_end[number].set()
        self._threads[number].join()

    def _perform(self, run: Run[Any]) -> None:
        number = len(self._may_end)
        self._may_end.append(threading.Event())
        self._may_end[number].wait(20)
        with run.finish() as (tx, operation):
            add_effect(tx, operation.id, str(number))


class TestRenewal:
    @pytest.fixture
    def table(self, table: Table) -> Table:
        return Table(table.database, lease_seconds=0.5)

    def test_the_second_attempt_in_one_worker_keeps_its_lease(self, table: Table) -> None:
        attempts = Attempts(table)
        attempts.begin()
        wait_until(table.jobs.recover)  # nothing renews its lease yet
        wait_until(is_due(table, attempts.job_id))
        attempts.begin()

        attempts.end(0)
        is_renewed = renewed(table, attempts.job_id)
        attempts.runner.start()
        wait_until(is_renewed, seconds=5)

        attempts.end(1)
        attempts.runner.close()
        assert table.effects() == [(attempts.job_id, "1")]

    @pytest.mark.parametrize("moment", ["claim", "end_row"])
    def test_after_a_time_limit_outside_the_handler_the_sweeper_recovers_the_job(
        self, table: Table, monkeypatch: pytest.MonkeyPatch, moment: str
    ) -> None:
        def take_too_long(*_: object) -> None:
            raise TimeLimitExceeded

        def refuse(_: Run[Any]) -> None:
            raise JobFailed("It rains")

        job_id = table.put_one()
        monkeypatch.setattr(table.jobs, moment, take_too_long)

        JobRunner(table.jobs, refuse).do(job_id)

        monkeypatch.undo()
        wait_until(lambda: table.jobs.recover() or table.jobs.claim(job_id))

    def test_leases_are_renewed_after_an_unexpected_error(
        self, table: Table, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        attempts = Attempts(table)
        attempts.begin()
        is_renewed = renewed(table, attempts.job_id)
        outcomes = iter([ZeroDivisionError()])
        renew = table.jobs.renew

        def fail_once(claims: Any) -> None:
            for outcome in outcomes:
                raise outcome
            renew(claims)

        monkeypatch.setattr(table.jobs, "renew", fail_once)
        attempts.runner.start()
        wait_until(is_renewed, seconds=5)

        attempts.end(0)
        attempts.runner.close()
        assert table.effects() == [(attempts.job_id, "0")]
