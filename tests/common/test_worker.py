"""Worker processes: outcomes of jobs, stopping, crashes, and outages of Redis and SQL."""

import signal
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, make_url, select

from common.pyportal_common.cache_handlers import RedisClient, RedisSettings
from common.pyportal_common.db import Database
from common.pyportal_common.jobs import Hints, JobRunner, Outcome, Run
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.relay import SwitchedRelay

from .operations import Operation, Table, add_effect, new_operation
from .workers import Workers, wait_until

pytestmark = pytest.mark.slow

LEASE = 0.6
PROMPT = timedelta(seconds=0.25)  # without hints a job waits half a second on average

MakeWorkers = Callable[..., Workers]


class HintingTable(Table):
    """The operations of a database, of which workers get hints."""

    def send(self, *kinds: str, **options: Any) -> list[int]:
        """Commit new operations, and wake a worker, as services do."""
        ids = self.put(*(new_operation(kind, **options) for kind in kinds))
        self.jobs.wake_workers()
        return ids

    def begin(self, kind: str) -> int:
        """Send one operation, and wait until a worker runs it."""
        [job_id] = self.send(kind)
        wait_until(lambda: self.status(job_id) == "processing")
        return job_id

    def running(self) -> int:
        """How many operations run at this moment."""
        query = select(func.count()).where(Operation.status == "processing")
        with self.database.read() as tx:
            return tx.scalar(query) or 0

    def are_done(self, ids: list[int]) -> Callable[[], bool]:
        return lambda: {self.status(job_id) for job_id in ids} == {"completed"}

    def were_done_once(self, ids: list[int]) -> bool:
        return sorted(job_id for job_id, _ in self.effects()) == sorted(ids)


@pytest.fixture
def table(sql_url: str, own_redis: RedisServer) -> Iterator[HintingTable]:
    settings = RedisSettings.load(url=own_redis.url, _env_file=None)
    hints = Hints.at(settings, 0)
    table = HintingTable(Database(sql_url), attempts=3, lease_seconds=LEASE, hints=hints)
    table.create()
    yield table
    table.drop()
    table.database.close()


@pytest.fixture
def make_workers(tmp_path: Path, sql_url: str, own_redis: RedisServer) -> Iterator[MakeWorkers]:
    """Prepares workers, with these variables: make_workers(WORKER_THREADS="1").start()."""
    made: list[Workers] = []

    def make(url: str = sql_url, **variables: str) -> Workers:
        given = {
            "REDIS_URL": own_redis.url,
            "WORKER_THREADS": "4",
            "WORKER_GRACE_SECONDS": "5",
            "JOB_ATTEMPTS": "3",
            "JOB_LEASE_SECONDS": str(LEASE),
        }
        made.append(Workers(tmp_path, url, **{**given, **variables}))
        return made[-1]

    yield make
    for workers in made:
        workers.close()


class TestOutcomes:
    def test_a_job_that_kills_its_worker_fails_and_the_others_are_done(
        self, table: HintingTable, make_workers: MakeWorkers
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

    def test_each_outcome_of_a_handler(
        self, table: HintingTable, make_workers: MakeWorkers
    ) -> None:
        make_workers(JOB_ATTEMPTS="1").start()
        kinds = {
            "ok": ("completed", None),
            "fail": ("failed", "It rains"),
            "raise_error": ("failed", "Something unexpected went wrong"),
            "fail_late": ("completed", None),
            "do_nothing": ("failed", "Something unexpected went wrong"),
            "sleep": ("failed", "It took longer than 1 seconds"),
            "step_late": ("failed", "It took longer than 1 seconds"),
            "spin": ("failed", "It took longer than 1 seconds"),
        }

        def outcome_of(kind: str) -> tuple[str, str | None]:
            [job_id] = table.send(kind, limit_seconds=1)
            wait_until(lambda: table.row(job_id).has_ended)
            ended = table.row(job_id)
            return ended.status, ended.error

        # One after the other: the last one takes its worker with it.
        assert {kind: outcome_of(kind) for kind in kinds} == kinds

    def test_a_stuck_job_fails_and_its_worker_restarts(
        self, table: HintingTable, make_workers: MakeWorkers
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


class TestStopping:
    def test_running_jobs_are_finished(
        self, table: HintingTable, make_workers: MakeWorkers
    ) -> None:
        workers = make_workers()
        worker = workers.start()
        job_id = table.begin("pause")

        assert workers.stop(worker) == 0

        assert table.status(job_id) == "completed"
        assert table.effects() == [(job_id, str(worker.pid))]

    def test_other_work_goes_on_until_the_running_jobs_have_ended(
        self, table: HintingTable, make_workers: MakeWorkers
    ) -> None:
        workers = make_workers(WORKER_GRACE_SECONDS="20")
        worker = workers.start()
        wait_until(lambda: workers.logged("Looked for other work") >= 2)
        workers.hold()
        job_id = table.begin("slow")

        def while_stopping() -> str:
            return workers.log().partition("The worker stops")[2]

        workers.terminate(worker)
        wait_until(lambda: "Looked for other work" in while_stopping())
        assert "Looks for no other work" not in while_stopping()
        workers.release()

        assert worker.wait(20) == 0
        _, end, after = while_stopping().partition("Looks for no other work")
        assert end
        assert "Looked for other work" not in after
        assert table.status(job_id) == "completed"

    def test_a_job_that_outlasts_the_grace_period_is_done_by_the_next_worker(
        self, table: HintingTable, make_workers: MakeWorkers
    ) -> None:
        workers = make_workers(WORKER_GRACE_SECONDS="0.3")
        worker = workers.start()
        workers.hold()
        [job_id] = table.send("slow")
        wait_until(lambda: table.row(job_id).progress > 0)

        assert workers.stop(worker) == 0
        workers.release()

        found = table.row(job_id)
        assert (found.status, found.attempts) == ("pending", 0)
        following = workers.start()
        wait_until(table.are_done([job_id]))
        assert table.row(job_id).attempts == 1
        assert table.effects() == [(job_id, str(following.pid))]

    def test_jobs_that_are_not_begun_stay_in_the_table(
        self, table: HintingTable, own_redis: RedisServer, make_workers: MakeWorkers
    ) -> None:
        workers = make_workers(WORKER_THREADS="1", WORKER_GRACE_SECONDS="0")
        worker = workers.start()
        workers.hold()
        ids = table.send("slow", "ok")
        wait_until(lambda: table.status(ids[0]) == "processing")
        assert table.status(ids[1]) == "pending"
        own_redis.kill()

        assert workers.stop(worker) == 0
        workers.release()

        assert workers.logged("Traceback") == 0
        assert [table.status(job_id) for job_id in ids] == ["pending"] * 2
        workers.start()
        wait_until(table.are_done(ids))
        assert table.were_done_once(ids)


class TestPauses:
    def test_a_worker_paused_for_longer_than_its_lease_changes_nothing_afterwards(
        self, table: HintingTable, make_workers: MakeWorkers
    ) -> None:
        workers = make_workers()
        first = workers.start()
        workers.hold()
        job_id = table.begin("slow")
        first.send_signal(signal.SIGSTOP)
        workers.release()
        second = workers.start()

        wait_until(table.are_done([job_id]))
        first.send_signal(signal.SIGCONT)
        wait_until(lambda: workers.logged(f"Job {job_id} went to another worker"), seconds=20)

        assert table.effects() == [(job_id, str(second.pid))]
        assert table.row(job_id).attempts == 2


class TestClaims:
    def test_a_high_priority_overtakes_a_backlog_of_low_ones(
        self, table: HintingTable, make_workers: MakeWorkers
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

    def test_no_more_jobs_are_claimed_than_threads_are_idle(
        self, table: HintingTable, make_workers: MakeWorkers
    ) -> None:
        make_workers(WORKER_THREADS="3").start()
        ids = table.send(*["pause"] * 10)

        most = 0
        while not table.are_done(ids)():
            most = max(most, table.running())

        assert most == 3
        assert table.were_done_once(ids)

    def test_a_job_is_begun_at_once_by_an_idle_worker(
        self, table: HintingTable, make_workers: MakeWorkers
    ) -> None:
        make_workers(SWEEP_SECONDS="300").start()

        for _ in range(15):
            [job_id] = table.send("ok")
            wait_until(table.are_done([job_id]))

    def test_without_redis_jobs_are_done_within_seconds(
        self, table: HintingTable, own_redis: RedisServer, make_workers: MakeWorkers
    ) -> None:
        workers = make_workers()
        workers.start()
        own_redis.kill()

        ids = table.send(*["ok"] * 20)

        wait_until(table.are_done(ids))
        assert table.were_done_once(ids)
        assert workers.replaced == 0

    def test_while_redis_hangs_jobs_are_done_within_seconds(
        self, table: HintingTable, own_redis: RedisServer, make_workers: MakeWorkers
    ) -> None:
        make_workers().start()
        own_redis.pause()

        ids = table.send(*["ok"] * 20)

        wait_until(table.are_done(ids), seconds=4)
        own_redis.resume()

    def test_hints_work_again_after_an_outage(
        self, table: HintingTable, own_redis: RedisServer, make_workers: MakeWorkers
    ) -> None:
        workers = make_workers(WORKER_THREADS="2")
        workers.start()
        ids = table.send(*["short"] * 40)
        wait_until(lambda: len(table.effects()) > 10)
        own_redis.kill()
        own_redis.start()
        wait_until(table.are_done(ids))

        def is_prompt() -> bool:
            [job_id] = table.send("ok")
            ids.append(job_id)
            wait_until(table.are_done([job_id]))
            row = table.row(job_id)
            return row.finished_at is not None and row.finished_at - row.created_at < PROMPT

        wait_until(lambda: all(is_prompt() for _ in range(3)))
        assert table.were_done_once(ids)
        assert workers.replaced == 0

    @pytest.mark.usefixtures("table")
    def test_an_idle_worker_hardly_uses_redis(
        self, make_workers: MakeWorkers, own_client: RedisClient
    ) -> None:
        make_workers().start()
        before = commands_of(own_client)
        threading.Event().wait(3)

        assert commands_of(own_client) - before <= 6  # that of the measurement included


def commands_of(client: RedisClient) -> int:
    return int(client.execute("INFO", "stats")["total_commands_processed"])


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
        self, relay: SwitchedRelay, table: HintingTable, workers: Workers, state: Any
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
        self, relay: SwitchedRelay, table: HintingTable, workers: Workers
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
        self.table = table
        self.runner = JobRunner(table.jobs, self._perform)
        self.job_id = table.put_one()
        self._may_end: list[threading.Event] = []
        self._threads: list[threading.Thread] = []

    def begin(self) -> None:
        before = len(self._may_end)
        claim = self.table.claim(self.job_id)
        self._threads.append(threading.Thread(target=self.runner.do, args=(claim,), daemon=True))
        self._threads[-1].start()
        wait_until(lambda: len(self._may_end) > before)

    def end(self, number: int) -> None:
        self._may_end[number].set()
        self._threads[number].join()

    def _perform(self, run: Run[Any]) -> None:
        number = len(self._may_end)
        self._may_end.append(threading.Event())
        self._may_end[number].wait(20)
        with run.transaction(Outcome.done()) as tx:
            add_effect(tx, run.job.id, str(number))


class TestRenewal:
    @pytest.fixture
    def table(self, table: Table) -> Table:
        return Table(table.database, lease_seconds=0.5)

    def test_the_second_attempt_in_one_worker_keeps_its_lease(self, table: Table) -> None:
        attempts = Attempts(table)
        attempts.begin()
        wait_until(lambda: table.jobs.recover())  # nothing renews its lease yet
        wait_until(is_due(table, attempts.job_id))
        attempts.begin()

        attempts.end(0)
        is_renewed = renewed(table, attempts.job_id)
        attempts.runner.start()
        wait_until(is_renewed, seconds=5)

        attempts.end(1)
        attempts.runner.close()
        assert table.effects() == [(attempts.job_id, "1")]

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
