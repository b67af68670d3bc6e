"""What may happen to a row that is a job, on SQLite and PostgreSQL, and how it gets to workers."""

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from common.pyportal_common.cache_handlers import RedisUnavailable
from common.pyportal_common.db import Database
from common.pyportal_common.jobs import (
    Cancelled,
    JobEnded,
    JobNotEnded,
    JobQueue,
    Jobs,
    QueueSettings,
    Run,
    store,
)
from common.pyportal_common.jobs import models as rows
from common.pyportal_common.jobs.errors import LeaseLost, RunReleased
from common.pyportal_common.jobs.store import Claim, Due
from common.pyportal_common.jobs.sweeper import Sweeper
from common.pyportal_common.redis_server import RedisServer

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
    values,
)

ATTEMPTS = 3
LEASE = 15.0
HOUR = 3600.0

Result = TypeVar("Result")
Of = Callable[[Jobs[Deed], Claim[Deed]], None]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'deeds.sqlite3'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database(url, pool_size=16)
    create_tables(database)
    yield database
    drop_tables(database)
    database.close()


@pytest.fixture
def jobs(database: Database) -> Jobs[Deed]:
    return jobs_of(database, attempts=ATTEMPTS, lease_seconds=LEASE)


class Clock:
    """The clock that jobs go by: the machine's, and as many seconds more."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def now(self, zone: tzinfo) -> datetime:
        return datetime.now(zone) + timedelta(seconds=self._ahead)

    @contextmanager
    def ahead(self, seconds: float) -> Iterator[None]:
        self._ahead += seconds
        yield
        self._ahead -= seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (store, rows):
        monkeypatch.setattr(module, "datetime", clock)
    return clock


def at_once(number: int, call: Callable[[], Result]) -> list[Result]:
    """What so many threads get that call it in the same moment."""
    barrier = threading.Barrier(number)

    def wait_and_call() -> Result:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(number) as pool:
        return [future.result() for future in [pool.submit(wait_and_call) for _ in range(number)]]


def claimed(jobs: Jobs[Deed], deed_id: int) -> Claim[Deed]:
    claim = jobs.claim(deed_id)
    assert claim is not None
    return claim


def do(jobs: Jobs[Deed], claim: Claim[Deed], by: str = "") -> None:
    with Run(jobs, claim).finish() as (tx, deed):
        leave_effect(tx, deed.id, by)


class TestClaim:
    def test_of_fifty_claimers_at_once_one_gets_the_job(
        self, database: Database, jobs: Jobs[Deed]
    ) -> None:
        [deed_id] = put(database, jobs, new_deed())

        claims = at_once(50, lambda: jobs.claim(deed_id))

        assert sum(claim is not None for claim in claims) == 1
        assert row(database, deed_id).attempts == 1

    def test_a_job_that_is_not_due_is_not_given(
        self, database: Database, jobs: Jobs[Deed], clock: Clock
    ) -> None:
        with clock.ahead(60):
            [deed_id] = put(database, jobs, new_deed())

        assert jobs.claim(deed_id) is None
        with clock.ahead(61):
            assert jobs.claim(deed_id) is not None

    @pytest.mark.parametrize("end", ["completed", "failed", "cancelled"])
    def test_a_job_that_has_ended_is_not_given(
        self, database: Database, jobs: Jobs[Deed], clock: Clock, end: str
    ) -> None:
        [deed_id] = put(database, jobs, new_deed())
        jobs.end(claimed(jobs, deed_id), end)

        with clock.ahead(HOUR):
            assert jobs.claim(deed_id) is None

    def test_a_job_that_there_is_not_is_not_given(self, jobs: Jobs[Deed]) -> None:
        assert jobs.claim(1) is None

    def test_every_attempt_counts(self, database: Database, jobs: Jobs[Deed], clock: Clock) -> None:
        [deed_id] = put(database, jobs, new_deed())

        for attempt in range(1, ATTEMPTS + 1):
            with clock.ahead(attempt * HOUR):
                claim = claimed(jobs, deed_id)
                assert claim.row.attempts == attempt
                jobs.retry_later(claim, "It rained")

        last = row(database, deed_id)
        assert (last.status, last.error) == ("failed", "It rained, 3 times")


def _step(jobs: Jobs[Deed], claim: Claim[Deed]) -> None:
    with Run(jobs, claim).step(50) as tx:
        leave_effect(tx, claim.row.id, "the first")


def _finish(jobs: Jobs[Deed], claim: Claim[Deed]) -> None:
    do(jobs, claim, "the first")


def _end(jobs: Jobs[Deed], claim: Claim[Deed]) -> None:
    jobs.end(claim, "failed", "by the first")


def _try_later(jobs: Jobs[Deed], claim: Claim[Deed]) -> None:
    jobs.retry_later(claim, "by the first")


def _hand_back(jobs: Jobs[Deed], claim: Claim[Deed]) -> None:
    jobs.release(claim)


every_change = pytest.mark.parametrize("change", [_step, _finish, _end, _try_later, _hand_back])


class TestLostLease:
    @every_change
    @pytest.mark.parametrize("second", ["waits", "runs", "is done"])
    def test_who_lost_it_changes_nothing_any_more(
        self, database: Database, jobs: Jobs[Deed], clock: Clock, change: Of, second: str
    ) -> None:
        [deed_id] = put(database, jobs, new_deed())
        first = claimed(jobs, deed_id)
        with clock.ahead(LEASE + 1):
            assert jobs.recover() == 1
        if second != "waits":
            with clock.ahead(HOUR):
                other = claimed(jobs, deed_id)
            if second == "is done":
                do(jobs, other, "the second")
        before = values(row(database, deed_id)), effects(database)

        with pytest.raises(LeaseLost):
            change(jobs, first)

        assert (values(row(database, deed_id)), effects(database)) == before

    @every_change
    def test_a_lease_that_is_over_and_that_nobody_took_is_good(
        self, database: Database, jobs: Jobs[Deed], clock: Clock, change: Of
    ) -> None:
        [deed_id] = put(database, jobs, new_deed())
        claim = claimed(jobs, deed_id)
        before = values(row(database, deed_id))

        with clock.ahead(HOUR):
            change(jobs, claim)

        assert values(row(database, deed_id)) != before or effects(database)

    def test_nobody_takes_a_job_that_is_about_to_be_finished(
        self, database: Database, jobs: Jobs[Deed], clock: Clock
    ) -> None:
        [deed_id] = put(database, jobs, new_deed())
        claim = claimed(jobs, deed_id)
        recovered: list[int] = []
        sweeper = threading.Thread(target=lambda: recovered.append(jobs.recover()))

        with clock.ahead(HOUR):
            with Run(jobs, claim).finish() as (tx, _):
                leave_effect(tx, deed_id)
                sweeper.start()
                sweeper.join(0.5)  # on SQLite it waits for its turn
            sweeper.join()

        assert recovered == [0]
        assert row(database, deed_id).status == "completed"
        assert effects(database) == [(deed_id, "")]

    def fail_to_finish(self, run: Run[Deed]) -> None:
        with run.finish() as (tx, deed):
            leave_effect(tx, deed.id)
            tx.flush()
            raise ZeroDivisionError

    def test_what_raises_in_its_last_transaction_has_done_nothing(
        self, database: Database, jobs: Jobs[Deed]
    ) -> None:
        [deed_id] = put(database, jobs, new_deed())
        run = Run(jobs, claimed(jobs, deed_id))

        with pytest.raises(ZeroDivisionError):
            self.fail_to_finish(run)

        assert not run.finished
        assert row(database, deed_id).status == "processing"
        assert effects(database) == []


class TestRecovery:
    def test_a_job_whose_worker_is_silent_waits_for_another_attempt(
        self, database: Database, jobs: Jobs[Deed], clock: Clock
    ) -> None:
        [deed_id] = put(database, jobs, new_deed())
        claimed(jobs, deed_id)
        assert jobs.recover() == 0

        with clock.ahead(LEASE + 1):
            began = clock.now(UTC)
            assert jobs.recover() == 1
            ended = clock.now(UTC)

        found = row(database, deed_id)
        assert (found.status, found.attempts, found.lease_token) == ("pending", 1, None)
        assert found.due_at is not None
        assert found.due_at == found.send_at
        assert began <= found.due_at <= ended + timedelta(seconds=2)

    def test_attempts_get_rarer(
        self, database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(random, "uniform", lambda _, most: most)
        often = jobs_of(database, attempts=20)
        [deed_id] = put(database, often, new_deed())
        waits = []

        for turn in range(1, 9):
            with clock.ahead(turn * HOUR):
                often.retry_later(claimed(often, deed_id), "It rained")
                due_at = row(database, deed_id).due_at
                assert due_at is not None
                waits.append(round((due_at - clock.now(UTC)).total_seconds()))

        assert waits == [2, 4, 8, 16, 32, 60, 60, 60]

    def test_after_its_last_attempt_it_has_failed(
        self, database: Database, jobs: Jobs[Deed], clock: Clock
    ) -> None:
        [deed_id] = put(database, jobs, new_deed())

        for attempt in range(1, ATTEMPTS + 1):
            with clock.ahead(attempt * HOUR):
                claimed(jobs, deed_id)
            with clock.ahead(attempt * HOUR + LEASE + 1):
                assert jobs.recover() == 1

        last = row(database, deed_id)
        assert (last.status, last.error) == ("failed", "Its worker died, 3 times")
        assert last.finished_at is not None

    def test_one_of_many_sweepers_recovers_it(
        self, database: Database, jobs: Jobs[Deed], clock: Clock
    ) -> None:
        ids = put(database, jobs, *(new_deed() for _ in range(5)))
        for deed_id in ids:
            claimed(jobs, deed_id)

        with clock.ahead(LEASE + 1):
            found = at_once(10, jobs.recover)

        assert sum(found) == len(ids)
        assert {row(database, deed_id).status for deed_id in ids} == {"pending"}

    def test_a_job_whose_worker_died_long_ago_is_tried_again(
        self, database: Database, jobs: Jobs[Deed], clock: Clock
    ) -> None:
        [deed_id] = put(database, jobs, new_deed(limit_seconds=30))
        claimed(jobs, deed_id)

        with clock.ahead(HOUR):  # no worker, no sweeper, no SQL for so long
            assert jobs.recover() == 1

        assert row(database, deed_id).status == "pending"

    def test_a_job_that_a_worker_kept_for_too_long_has_failed(
        self, database: Database, jobs: Jobs[Deed], clock: Clock
    ) -> None:
        [deed_id] = put(database, jobs, new_deed(limit_seconds=30))
        claim = claimed(jobs, deed_id)

        with clock.ahead(35):
            jobs.renew([claim])
        with clock.ahead(35 + LEASE + 1):
            assert jobs.recover() == 1

        found = row(database, deed_id)
        assert (found.status, found.error) == ("failed", "It took longer than 30 seconds")


class TestCancel:
    def cancel(self, database: Database, jobs: Jobs[Deed], deed_id: int) -> None:
        with database.begin() as tx:
            jobs.cancel(tx.get_one(Deed, deed_id, with_for_update=True))

    def test_a_job_that_waits_ends_at_once(self, database: Database, jobs: Jobs[Deed]) -> None:
        [deed_id] = put(database, jobs, new_deed())

        self.cancel(database, jobs, deed_id)

        assert row(database, deed_id).status == "cancelled"
        assert jobs.claim(deed_id) is None
        assert jobs.to_send("normal", 10) == []

    def test_a_job_that_runs_ends_at_its_next_checkpoint(
        self, database: Database, jobs: Jobs[Deed]
    ) -> None:
        [deed_id] = put(database, jobs, new_deed())
        run = Run(jobs, claimed(jobs, deed_id))
        run.checkpoint(10)

        self.cancel(database, jobs, deed_id)

        assert row(database, deed_id).status == "processing"
        with pytest.raises(Cancelled), run.step(50) as tx:
            leave_effect(tx, deed_id)
        with pytest.raises(Cancelled), run.finish() as (tx, _):
            leave_effect(tx, deed_id)
        assert effects(database) == []
        assert row(database, deed_id).progress == 10

    def test_a_job_that_has_ended_stays_as_it_is(
        self, database: Database, jobs: Jobs[Deed]
    ) -> None:
        [deed_id] = put(database, jobs, new_deed())
        do(jobs, claimed(jobs, deed_id))
        before = values(row(database, deed_id))

        with pytest.raises(JobEnded):
            self.cancel(database, jobs, deed_id)

        assert values(row(database, deed_id)) == before

    def test_to_cancel_twice_is_to_cancel(self, database: Database, jobs: Jobs[Deed]) -> None:
        waits, runs = put(database, jobs, new_deed(), new_deed())
        claimed(jobs, runs)

        for deed_id in (waits, runs):
            self.cancel(database, jobs, deed_id)
        asked_at = row(database, runs).cancel_requested_at
        for deed_id in (waits, runs):
            self.cancel(database, jobs, deed_id)

        assert row(database, waits).status == "cancelled"
        assert row(database, runs).cancel_requested_at == asked_at

    def take_turn(self, turns: Iterator[Callable[[int], object]], deed_id: int) -> None:
        next(turns)(deed_id)

    def test_of_a_claimer_and_a_canceller_one_is_first(
        self, database: Database, jobs: Jobs[Deed]
    ) -> None:
        for deed_id in put(database, jobs, *(new_deed() for _ in range(10))):
            turns: Iterator[Callable[[int], object]] = iter(
                [jobs.claim, partial(self.cancel, database, jobs)]
            )

            at_once(2, partial(self.take_turn, turns, deed_id))

            found = row(database, deed_id)
            asked = found.cancel_requested_at is not None
            assert (found.status, found.attempts, asked) in {
                ("cancelled", 0, False),
                ("processing", 1, True),
            }

    @pytest.mark.parametrize("change", [_try_later, _hand_back])
    def test_a_cancelled_job_gets_no_other_attempt(
        self, database: Database, jobs: Jobs[Deed], change: Of
    ) -> None:
        [deed_id] = put(database, jobs, new_deed())
        claim = claimed(jobs, deed_id)
        self.cancel(database, jobs, deed_id)

        change(jobs, claim)

        assert row(database, deed_id).status == "cancelled"

    def test_a_cancelled_job_whose_worker_died_is_cancelled(
        self, database: Database, jobs: Jobs[Deed], clock: Clock
    ) -> None:
        [deed_id] = put(database, jobs, new_deed())
        claimed(jobs, deed_id)
        self.cancel(database, jobs, deed_id)

        with clock.ahead(LEASE + 1):
            assert jobs.recover() == 1

        assert row(database, deed_id).status == "cancelled"


class TestRetry:
    def retry(self, database: Database, jobs: Jobs[Deed], deed_id: int) -> None:
        with database.begin() as tx:
            jobs.retry(tx.get_one(Deed, deed_id, with_for_update=True))

    @pytest.mark.parametrize("end", ["failed", "cancelled"])
    def test_a_job_that_did_not_succeed_begins_anew(
        self, database: Database, jobs: Jobs[Deed], end: str
    ) -> None:
        [deed_id] = put(database, jobs, new_deed())
        claim = claimed(jobs, deed_id)
        Run(jobs, claim).checkpoint(50)
        jobs.end(claim, end, "It rained")

        self.retry(database, jobs, deed_id)

        found = row(database, deed_id)
        assert (found.status, found.attempts, found.progress) == ("pending", 0, 0)
        assert (found.error, found.started_at, found.finished_at) == (None, None, None)
        do(jobs, claimed(jobs, deed_id))
        assert row(database, deed_id).status == "completed"

    def test_a_job_that_was_cancelled_as_it_ran_is_not_cancelled_again(
        self, database: Database, jobs: Jobs[Deed]
    ) -> None:
        [deed_id] = put(database, jobs, new_deed())
        claim = claimed(jobs, deed_id)
        with database.begin() as tx:
            jobs.cancel(tx.get_one(Deed, deed_id))
        jobs.end(claim, "cancelled")

        self.retry(database, jobs, deed_id)
        do(jobs, claimed(jobs, deed_id))

        assert row(database, deed_id).status == "completed"

    def test_no_other_job_does(self, database: Database, jobs: Jobs[Deed]) -> None:
        waits, runs, done = put(database, jobs, *(new_deed() for _ in range(3)))
        claimed(jobs, runs)
        do(jobs, claimed(jobs, done))

        for deed_id in (waits, runs, done):
            with pytest.raises(JobNotEnded):
                self.retry(database, jobs, deed_id)


class TestHandBack:
    def test_it_does_not_count(self, database: Database, jobs: Jobs[Deed]) -> None:
        [deed_id] = put(database, jobs, new_deed())

        for _ in range(2 * ATTEMPTS):
            jobs.release(claimed(jobs, deed_id))

        found = row(database, deed_id)
        assert (found.status, found.attempts) == ("pending", 0)

    def test_it_is_sent_at_once(self, database: Database, jobs: Jobs[Deed]) -> None:
        [deed_id] = put(database, jobs, new_deed())

        jobs.release(claimed(jobs, deed_id))

        assert [due.id for due in jobs.to_send("normal", 10)] == [deed_id]

    def test_a_worker_that_must_stop_does_so_at_a_checkpoint_and_finishes_what_it_can(
        self, database: Database, jobs: Jobs[Deed]
    ) -> None:
        [deed_id] = put(database, jobs, new_deed())
        run = Run(jobs, claimed(jobs, deed_id), must_stop=lambda: True)

        with pytest.raises(RunReleased):
            run.checkpoint()
        with run.finish() as (tx, _):
            leave_effect(tx, deed_id)

        assert row(database, deed_id).status == "completed"


class TestRenew:
    def test_it_keeps_what_holds_and_nothing_else(
        self, database: Database, jobs: Jobs[Deed], clock: Clock
    ) -> None:
        kept, dropped, lost = put(database, jobs, *(new_deed() for _ in range(3)))
        mine = claimed(jobs, kept)
        claimed(jobs, dropped)
        gone = claimed(jobs, lost)
        jobs.release(gone)

        with clock.ahead(LEASE - 1):
            jobs.renew([mine, gone])
        with clock.ahead(LEASE + 1):
            assert jobs.recover() == 1

        assert row(database, kept).status == "processing"
        assert row(database, dropped).status == "pending"
        assert row(database, lost).lease_until is None

    def test_it_leaves_the_lease_of_the_next_worker_alone(
        self, database: Database, jobs: Jobs[Deed], clock: Clock
    ) -> None:
        [deed_id] = put(database, jobs, new_deed())
        first = claimed(jobs, deed_id)
        jobs.release(first)
        claimed(jobs, deed_id)
        before = row(database, deed_id).lease_until

        with clock.ahead(5):
            jobs.renew([first])

        assert row(database, deed_id).lease_until == before

    @pytest.mark.parametrize("url", ["postgresql"], indirect=True)
    def test_a_job_in_a_long_step_does_not_cost_others_their_leases(
        self, database: Database, jobs: Jobs[Deed]
    ) -> None:
        in_a_step, other = (claimed(jobs, i) for i in put(database, jobs, new_deed(), new_deed()))
        before = row(database, other.row.id).lease_until
        assert before is not None

        keeper = threading.Thread(target=lambda: jobs.renew([in_a_step, other]), daemon=True)
        with Run(jobs, in_a_step).step():
            keeper.start()
            keeper.join(5)
            renewed = row(database, other.row.id).lease_until
        keeper.join()

        assert renewed is not None
        assert renewed > before

    def test_a_step_that_took_longer_than_the_lease_has_renewed_it(
        self, database: Database, jobs: Jobs[Deed], clock: Clock
    ) -> None:
        [deed_id] = put(database, jobs, new_deed())
        run = Run(jobs, claimed(jobs, deed_id))

        with clock.ahead(2 * LEASE):
            with run.step() as tx:
                leave_effect(tx, deed_id)
            assert jobs.recover() == 0


class TestClocks:
    @pytest.mark.parametrize("wrong", [HOUR, -HOUR], ids=["fast", "slow"])
    def test_a_job_is_done_once_whoever_has_the_wrong_time(
        self, database: Database, jobs: Jobs[Deed], clock: Clock, wrong: float
    ) -> None:
        [deed_id] = put(database, jobs, new_deed())
        with clock.ahead(max(wrong, 0)):  # who is slow would find it not due
            first = claimed(jobs, deed_id)
        with clock.ahead(wrong):
            jobs.recover()
            second = jobs.claim(deed_id)
        if second is None:
            with clock.ahead(2 * HOUR):
                jobs.recover()
            with clock.ahead(3 * HOUR):
                second = claimed(jobs, deed_id)

        do(jobs, second, "the second")
        with clock.ahead(wrong), pytest.raises(LeaseLost):
            do(jobs, first, "the first")

        assert effects(database) == [(deed_id, "the second")]

    def test_a_sweeper_whose_clock_is_fast_takes_a_running_job_and_does_not_fail_it(
        self, database: Database, jobs: Jobs[Deed], clock: Clock
    ) -> None:
        [deed_id] = put(database, jobs, new_deed())
        first = claimed(jobs, deed_id)

        with clock.ahead(HOUR):
            assert jobs.recover() == 1

        assert row(database, deed_id).status == "pending"
        with pytest.raises(LeaseLost):
            do(jobs, first)
        with clock.ahead(HOUR + 2):
            do(jobs, claimed(jobs, deed_id))
        assert effects(database) == [(deed_id, "")]

    def test_a_job_that_a_slow_clock_has_claimed_is_late_at_most(
        self, database: Database, jobs: Jobs[Deed], clock: Clock
    ) -> None:
        [deed_id] = put(database, jobs, new_deed())
        with clock.ahead(HOUR):
            claimed(jobs, deed_id)  # by who is an hour fast, and dies

        with clock.ahead(LEASE + 1):
            assert jobs.recover() == 0
        with clock.ahead(HOUR + LEASE + 1):
            assert jobs.recover() == 1


@pytest.fixture
def queue(redis_server: RedisServer) -> Iterator[JobQueue]:
    queue = JobQueue("deeds", QueueSettings.load(redis_url=redis_server.url, _env_file=None))
    yield queue
    queue.close()


class TestSending:
    def test_one_of_many_sweepers_sends_a_job(
        self, database: Database, jobs: Jobs[Deed], clock: Clock
    ) -> None:
        ids = put(database, jobs, *(new_deed() for _ in range(20)))

        with clock.ahead(5):
            found = at_once(8, lambda: jobs.to_send("normal", 100))

        assert sorted(due.id for of_one in found for due in of_one) == ids

    def test_what_nobody_claims_is_sent_again_after_a_while(
        self, database: Database, jobs: Jobs[Deed], clock: Clock
    ) -> None:
        [deed_id] = put(database, jobs, new_deed())

        assert jobs.to_send("normal", 10) == []  # its writer sends it
        for seconds, sent in ((4, [deed_id]), (13, []), (15, [deed_id])):
            with clock.ahead(seconds):
                assert [due.id for due in jobs.to_send("normal", 10)] == sent

    def test_what_was_claimed_is_not_sent_again(
        self, database: Database, jobs: Jobs[Deed], clock: Clock
    ) -> None:
        [deed_id] = put(database, jobs, new_deed())
        claimed(jobs, deed_id)

        with clock.ahead(HOUR):
            assert jobs.to_send("normal", 10) == []

    def test_those_of_one_priority_are_sent_the_longest_waiting_first_and_not_too_many(
        self, database: Database, jobs: Jobs[Deed], clock: Clock
    ) -> None:
        put(database, jobs, new_deed(priority="low"))
        ids = []
        for seconds in (3, 2, 1):
            with clock.ahead(seconds):
                ids += put(database, jobs, new_deed(priority="high"))

        with clock.ahead(HOUR):
            assert {due.id for due in jobs.to_send("high", 2)} == set(ids[1:])
            assert [due.id for due in jobs.to_send("high", 2)] == ids[:1]

    def fail_to_put(self, database: Database, jobs: Jobs[Deed]) -> None:
        with database.begin() as tx:
            jobs.put(tx, new_deed())
            tx.flush()
            raise ZeroDivisionError

    def test_a_job_whose_transaction_was_rolled_back_is_never_sent(
        self, database: Database, jobs: Jobs[Deed], clock: Clock
    ) -> None:
        with pytest.raises(ZeroDivisionError):
            self.fail_to_put(database, jobs)

        with clock.ahead(HOUR):
            assert jobs.to_send("normal", 10) == []
            assert jobs.recover() == 0

    def test_a_queue_with_a_backlog_is_not_flooded(
        self, database: Database, jobs: Jobs[Deed], clock: Clock, queue: JobQueue
    ) -> None:
        put(database, jobs, *(new_deed() for _ in range(300)))
        put(database, jobs, *(new_deed(priority="high") for _ in range(5)))
        sweepers = [Sweeper([jobs], queue) for _ in range(3)]

        for turn in range(1, 6):
            with clock.ahead(turn * 20):
                for sweeper in sweepers:
                    sweeper.sweep()

        assert queue.size("deeds", "normal") == 200
        assert 5 <= queue.size("deeds", "high") <= 25

    def test_while_redis_is_away_nothing_counts_as_sent(
        self, database: Database, jobs: Jobs[Deed], clock: Clock, own_redis: RedisServer
    ) -> None:
        queue = JobQueue("deeds", QueueSettings.load(redis_url=own_redis.url, _env_file=None))
        [deed_id] = put(database, jobs, new_deed())
        own_redis.kill()

        with clock.ahead(5):
            with pytest.raises(RedisUnavailable):
                Sweeper([jobs], queue).sweep()
            assert not queue.send(Due("deeds", deed_id, "normal", 1))
            assert [due.id for due in jobs.to_send("normal", 10)] == [deed_id]
        queue.close()
