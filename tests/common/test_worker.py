"""The worker as a process: what it survives, and what survives it."""

import signal
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from dramatiq.middleware.time_limit import TimeLimitExceeded
from sqlalchemy import make_url

from common.pyportal_common.db import Database
from common.pyportal_common.jobs import JobFailed, JobQueue, JobRunner, Jobs, QueueSettings, Run
from common.pyportal_common.redis_server import RedisServer, free_port

from .crew import Crew, await_that
from .deeds import (
    Deed,
    create_tables,
    drop_tables,
    effects,
    jobs_of,
    leave_effect,
    new_deed,
    put,
    row,
)
from .gate import ControlledRelay as Admission

pytestmark = pytest.mark.slow

LEASE = 0.6


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'deeds.sqlite3'}"


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database(url)
    create_tables(database)
    yield database
    drop_tables(database)
    database.close()


@pytest.fixture
def jobs(database: Database) -> Jobs[Deed]:
    return jobs_of(database, attempts=3, lease_seconds=LEASE)


@pytest.fixture
def queue(own_redis: RedisServer) -> Iterator[JobQueue]:
    queue = queue_on(own_redis.url)
    yield queue
    queue.close()


@pytest.fixture
def hire(tmp_path: Path, url: str, own_redis: RedisServer) -> Iterator[Callable[..., Crew]]:
    """Makes a crew, with these variables: hire(WORKER_THREADS="1")."""
    crews: list[Crew] = []

    def make(url: str = url, **variables: str) -> Crew:
        given = {
            "QUEUE_REDIS_URL": own_redis.url,
            "WORKER_THREADS": "4",
            "WORKER_GRACE_SECONDS": "5",
            "JOB_ATTEMPTS": "3",
            "JOB_LEASE_SECONDS": str(LEASE),
            "JOB_RESEND_SECONDS": "1",
            "dramatiq_restart_delay": "300",
        }
        crews.append(Crew(tmp_path, url, **{**given, **variables}))
        return crews[-1]

    yield make
    for crew in crews:
        crew.close()


def queue_on(url: str) -> JobQueue:
    return JobQueue("deeds", QueueSettings.load(redis_url=url, _env_file=None))


def status(database: Database, deed_id: int) -> str:
    return row(database, deed_id).status


def are_done(database: Database, ids: list[int]) -> Callable[[], bool]:
    return lambda: {status(database, deed_id) for deed_id in ids} == {"completed"}


def sent(database: Database, jobs: Jobs[Deed], queue: JobQueue, *deeds: Deed) -> list[int]:
    """Commit jobs, and tell workers of them, as services do."""
    ids = put(database, jobs, *deeds)
    for deed in deeds:
        queue.send(jobs.due(deed))
    return ids


def were_done_once(database: Database, ids: list[int]) -> bool:
    return sorted(deed_id for deed_id, _ in effects(database)) == sorted(ids)


class TestOutcomes:
    def test_a_job_that_kills_its_worker_fails_and_those_beside_it_are_done(
        self, database: Database, jobs: Jobs[Deed], queue: JobQueue, hire: Callable[..., Crew]
    ) -> None:
        crew = hire(WORKER_THREADS="1")  # what dies with the poison, dies with it each time
        crew.start()
        crew.start()
        [poison] = sent(database, jobs, queue, new_deed("poison"))
        innocent: list[int] = []

        def one_more() -> bool:
            if len(innocent) < 20:
                innocent.extend(sent(database, jobs, queue, new_deed("brief")))
            return status(database, poison) == "failed"

        await_that(one_more)

        found = row(database, poison)
        assert (found.attempts, found.error) == (3, "Its worker died, 3 times")
        await_that(are_done(database, innocent))
        assert len(innocent) == 20
        assert were_done_once(database, innocent)
        assert crew.replaced == 3

    def test_each_ends_as_its_code_says(
        self, database: Database, jobs: Jobs[Deed], queue: JobQueue, hire: Callable[..., Crew]
    ) -> None:
        hire(JOB_ATTEMPTS="1").start()
        kinds = {
            "ok": ("completed", None),
            "refuse": ("failed", "It rains"),
            "stumble": ("failed", "Something unexpected went wrong, 1 times"),
            "fail_late": ("completed", None),
            "forget": ("failed", "Something unexpected went wrong, 1 times"),
            "doze": ("failed", "It took longer than 1 seconds"),
            "spin": ("failed", "It took longer than 1 seconds"),
        }
        deeds = [new_deed(kind, limit_seconds=1) for kind in kinds]

        ids = sent(database, jobs, queue, *deeds)
        await_that(lambda: all(row(database, deed_id).has_ended for deed_id in ids))

        found = [row(database, deed_id) for deed_id in ids]
        assert {deed.kind: (deed.status, deed.error) for deed in found} == kinds

    def test_one_that_no_exception_reaches_fails_and_its_worker_starts_anew(
        self, database: Database, jobs: Jobs[Deed], queue: JobQueue, hire: Callable[..., Crew]
    ) -> None:
        crew = hire(WORKER_THREADS="1", WORKER_GRACE_SECONDS="0")
        first = crew.start()
        hanging, behind = sent(
            database, jobs, queue, new_deed("hang", limit_seconds=0.5), new_deed()
        )

        await_that(lambda: status(database, hanging) == "failed")
        assert row(database, hanging).error == "It took longer than 0.5 seconds"
        await_that(are_done(database, [behind]))
        assert effects(database) != [(behind, str(first.pid))]
        assert crew.replaced == 1

    def test_a_time_limit_that_comes_late_costs_no_thread_for_long(
        self, database: Database, jobs: Jobs[Deed], queue: JobQueue, hire: Callable[..., Crew]
    ) -> None:
        crew = hire(WORKER_THREADS="1")
        crew.start()
        [unlucky] = sent(database, jobs, queue, new_deed("end_late"))
        await_that(are_done(database, [unlucky]))
        await_that(lambda: crew.replaced)

        [following] = sent(database, jobs, queue, new_deed())
        await_that(are_done(database, [following]))


class TestStopping:
    def test_what_runs_is_finished(
        self, database: Database, jobs: Jobs[Deed], queue: JobQueue, hire: Callable[..., Crew]
    ) -> None:
        crew = hire()
        worker = crew.start()
        [deed_id] = sent(database, jobs, queue, new_deed("pause"))
        await_that(lambda: status(database, deed_id) == "processing")

        assert crew.stop(worker) == 0

        assert status(database, deed_id) == "completed"
        assert effects(database) == [(deed_id, str(worker.pid))]

    def test_what_takes_longer_than_the_grace_is_handed_back_and_done_by_the_next(
        self, database: Database, jobs: Jobs[Deed], queue: JobQueue, hire: Callable[..., Crew]
    ) -> None:
        crew = hire(WORKER_GRACE_SECONDS="0.3")
        worker = crew.start()
        [deed_id] = sent(database, jobs, queue, new_deed("slow"))
        await_that(lambda: row(database, deed_id).progress > 0)

        assert crew.stop(worker) == 0

        found = row(database, deed_id)
        assert (found.status, found.attempts) == ("pending", 0)
        following = crew.start()
        await_that(are_done(database, [deed_id]))
        assert row(database, deed_id).attempts == 1
        assert effects(database) == [(deed_id, str(following.pid))]

    def test_it_ends_well_while_redis_is_away_and_a_backlog_is_in_its_memory(
        self,
        database: Database,
        jobs: Jobs[Deed],
        queue: JobQueue,
        own_redis: RedisServer,
        hire: Callable[..., Crew],
    ) -> None:
        crew = hire(WORKER_THREADS="1", WORKER_GRACE_SECONDS="0")
        worker = crew.start()
        ids = sent(database, jobs, queue, new_deed("slow"), new_deed())
        await_that(
            lambda: status(database, ids[0]) == "processing" and not queue.size("deeds", "normal")
        )
        own_redis.kill()

        assert crew.stop(worker) == 0

        assert crew.said("Traceback") == 0
        own_redis.start()
        crew.start()
        await_that(are_done(database, ids))
        assert were_done_once(database, ids)


class TestPauses:
    def test_a_worker_that_hung_for_longer_than_its_lease_changes_nothing_after_that(
        self, database: Database, jobs: Jobs[Deed], queue: JobQueue, hire: Callable[..., Crew]
    ) -> None:
        crew = hire()
        first = crew.start()
        [deed_id] = sent(database, jobs, queue, new_deed("pause"))
        await_that(lambda: status(database, deed_id) == "processing")
        first.send_signal(signal.SIGSTOP)
        second = crew.start()

        await_that(are_done(database, [deed_id]))
        first.send_signal(signal.SIGCONT)
        await_that(lambda: crew.said(f"Job {deed_id} went to another worker"))

        assert effects(database) == [(deed_id, str(second.pid))]
        assert row(database, deed_id).attempts == 2


class TestQueue:
    def test_a_high_priority_overtakes_a_backlog_of_low_ones(
        self, database: Database, jobs: Jobs[Deed], queue: JobQueue, hire: Callable[..., Crew]
    ) -> None:
        low = sent(database, jobs, queue, *(new_deed("brief", priority="low") for _ in range(60)))
        hire(WORKER_THREADS="2").start()
        await_that(lambda: len(effects(database)) > 4)

        high = sent(database, jobs, queue, *(new_deed("brief", priority="high") for _ in range(5)))
        await_that(are_done(database, high))
        done_meanwhile = len(effects(database)) - len(high)

        assert done_meanwhile < 40
        await_that(are_done(database, low))
        assert were_done_once(database, low + high)

    def test_jobs_of_an_outage_are_done_after_it(
        self,
        database: Database,
        jobs: Jobs[Deed],
        redis_binary: Path,
        tmp_path: Path,
        hire: Callable[..., Crew],
    ) -> None:
        server = RedisServer(redis_binary, tmp_path / "late", port=free_port())
        queue = queue_on(server.url)
        crew = hire(QUEUE_REDIS_URL=server.url)
        crew.start()
        ids = sent(database, jobs, queue, *(new_deed() for _ in range(20)))
        await_that(lambda: crew.said("connection error"))

        assert not effects(database)
        server.start()
        await_that(are_done(database, ids))

        server.kill()
        queue.close()
        assert were_done_once(database, ids)
        assert crew.replaced == 0

    def test_what_redis_forgot_is_sent_again(
        self,
        database: Database,
        jobs: Jobs[Deed],
        queue: JobQueue,
        own_redis: RedisServer,
        hire: Callable[..., Crew],
    ) -> None:
        crew = hire(WORKER_THREADS="2")
        crew.start()
        ids = sent(database, jobs, queue, *(new_deed("brief") for _ in range(80)))

        await_that(lambda: len(effects(database)) > 10)
        own_redis.kill()
        own_redis.start()
        await_that(lambda: len(effects(database)) > 30)
        queue.broker.client.flushdb()
        await_that(are_done(database, ids))

        assert were_done_once(database, ids)
        assert crew.replaced == 0


class TestSql:
    @pytest.fixture
    def url(self, postgres_url: str) -> str:
        return postgres_url

    @pytest.mark.parametrize("state", ["held", "refused"])
    def test_an_outage_repeats_or_finishes_what_ran(
        self,
        url: str,
        database: Database,
        jobs: Jobs[Deed],
        queue: JobQueue,
        hire: Callable[..., Crew],
        state: Any,
    ) -> None:
        gate = Admission(make_url(url).port or 0)
        crew = hire(make_url(url).set(port=gate.port).render_as_string())
        try:
            crew.start()
            kinds = ["pause", "slow", "pause", *["brief"] * 40]
            ids = sent(database, jobs, queue, *(new_deed(kind) for kind in kinds))
            await_that(lambda: effects(database))
            gate.state = state
            threading.Event().wait(2.5 * LEASE)  # an outage has a length
            gate.state = "open"
            await_that(are_done(database, ids))
        finally:
            crew.close()
            gate.close()

        assert were_done_once(database, ids)
        assert crew.replaced == 0

    def test_a_worker_can_be_stopped_while_sql_hangs(
        self,
        url: str,
        database: Database,
        jobs: Jobs[Deed],
        queue: JobQueue,
        hire: Callable[..., Crew],
    ) -> None:
        gate = Admission(make_url(url).port or 0)
        crew = hire(
            make_url(url).set(port=gate.port).render_as_string(), WORKER_GRACE_SECONDS="0.5"
        )
        try:
            worker = crew.start()
            [deed_id] = sent(database, jobs, queue, new_deed("slow"))
            await_that(lambda: status(database, deed_id) == "processing")
            gate.state = "held"
            threading.Event().wait(2)  # by now every thread has asked SQL for something

            assert crew.stop(worker, 15) == 0
        finally:
            crew.close()
            gate.close()


def renewed(database: Database, deed_id: int) -> Callable[[], bool]:
    """Whether its lease was renewed since now."""
    began = row(database, deed_id).lease_until

    def since() -> bool:
        lease_until = row(database, deed_id).lease_until
        return began is not None and lease_until is not None and lease_until > began

    return since


def is_due(database: Database, deed_id: int) -> Callable[[], bool]:
    """Whether it waits, and a worker may have it."""

    def now() -> bool:
        due_at = row(database, deed_id).due_at
        return due_at is not None and due_at <= datetime.now(UTC)

    return now


class Attempts:
    """Attempts at a deed, each of which ends when the test wants it to."""

    def __init__(self, database: Database, jobs: Jobs[Deed]) -> None:
        self.work = JobRunner(jobs, self._perform)
        [self.deed_id] = put(database, jobs, new_deed())
        self._may_end: list[threading.Event] = []
        self._threads: list[threading.Thread] = []

    def begin(self) -> None:
        before = len(self._may_end)
        self._threads.append(Thread(target=self.work.do, args=(self.deed_id,), daemon=True))
        self._threads[-1].start()
        await_that(lambda: len(self._may_end) > before)

    def end(self, number: int) -> None:
        self._may_end[number].set()
        self._threads[number].join()

    def _perform(self, run: Run[Any]) -> None:
        number = len(self._may_end)
        self._may_end.append(threading.Event())
        self._may_end[number].wait(20)
        with run.finish() as (tx, deed):
            leave_effect(tx, deed.id, str(number))


class TestKeeping:
    @pytest.fixture
    def jobs(self, database: Database) -> Jobs[Deed]:
        return jobs_of(database, lease_seconds=0.5)

    def test_the_second_attempt_at_a_job_in_one_worker_keeps_its_lease(
        self, database: Database, jobs: Jobs[Deed]
    ) -> None:
        attempts = Attempts(database, jobs)
        attempts.begin()
        await_that(jobs.recover)  # nobody keeps it yet
        await_that(is_due(database, attempts.deed_id))
        attempts.begin()

        attempts.end(0)
        is_renewed = renewed(database, attempts.deed_id)
        attempts.work.start()
        await_that(is_renewed, 5)

        attempts.end(1)
        attempts.work.close()
        assert effects(database) == [(attempts.deed_id, "1")]

    @pytest.mark.parametrize("moment", ["claim", "end"])
    def test_a_time_limit_that_hits_beside_the_job_leaves_it_to_the_sweeper(
        self, database: Database, jobs: Jobs[Deed], monkeypatch: pytest.MonkeyPatch, moment: str
    ) -> None:
        def take_too_long(*_: object) -> None:
            raise TimeLimitExceeded

        def refuse(_: Run[Any]) -> None:
            raise JobFailed("It rains")

        [deed_id] = put(database, jobs, new_deed())
        monkeypatch.setattr(jobs, moment, take_too_long)

        JobRunner(jobs, refuse).do(deed_id)

        monkeypatch.undo()
        await_that(lambda: jobs.recover() or jobs.claim(deed_id))

    def test_leases_are_kept_whatever_went_wrong_once(
        self, database: Database, jobs: Jobs[Deed], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        attempts = Attempts(database, jobs)
        attempts.begin()
        is_renewed = renewed(database, attempts.deed_id)
        outcomes = iter([ZeroDivisionError()])
        renew = jobs.renew

        def stumble_once(claims: Any) -> None:
            for outcome in outcomes:
                raise outcome
            renew(claims)

        monkeypatch.setattr(jobs, "renew", stumble_once)
        attempts.work.start()
        await_that(is_renewed, 5)

        attempts.end(0)
        attempts.work.close()
        assert effects(database) == [(attempts.deed_id, "0")]
