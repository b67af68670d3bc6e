"""The states of jobs, the claims of workers, and how jobs are sent to workers."""

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from typing import Any, TypeVar

import pytest
from sqlalchemy import delete, insert, update

from common.pyportal_common.cache_handlers import RedisUnavailable
from common.pyportal_common.db import Database, UndeclaredCacheKeys
from common.pyportal_common.jobs import (
    Cancelled,
    JobEnded,
    JobNotEnded,
    JobQueue,
    QueueSettings,
    Run,
    models,
    store,
)
from common.pyportal_common.jobs.errors import LeaseLost, RunReleased
from common.pyportal_common.jobs.store import Claim, Due
from common.pyportal_common.jobs.sweeper import Sweeper
from common.pyportal_common.redis_server import RedisServer

from .operations import Operation, Table, add_effect, new_operation

ATTEMPTS = 3
LEASE = 15.0
HOUR = 3600.0

Result = TypeVar("Result")
Change = Callable[[Table, Claim[Operation]], None]


@pytest.fixture
def table(sql_url: str) -> Iterator[Table]:
    table = Table(Database(sql_url, pool_size=16), attempts=ATTEMPTS, lease_seconds=LEASE)
    table.create()
    yield table
    table.drop()
    table.database.close()


@pytest.fixture
def job_id(table: Table) -> int:
    """A job that waits."""
    return table.put_one()


class Clock:
    """The clock of this machine, with an offset."""

    def __init__(self, seconds: float) -> None:
        self._ahead = timedelta(seconds=seconds)

    def now(self, zone: tzinfo) -> datetime:
        return datetime.now(zone) + self._ahead


@contextmanager
def ahead(seconds: float) -> Iterator[Clock]:
    """Meanwhile the clock of the jobs is ahead."""
    clock = Clock(seconds)
    with pytest.MonkeyPatch.context() as patch:
        for module in (store, models):
            patch.setattr(module, "datetime", clock)
        yield clock


def concurrently(number: int, call: Callable[[], Result]) -> list[Result]:
    """The results of this number of threads, which call at the same moment."""
    barrier = threading.Barrier(number)

    def wait_and_call() -> Result:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(number) as pool:
        return [future.result() for future in [pool.submit(wait_and_call) for _ in range(number)]]


class TestClaim:
    def test_one_of_fifty_concurrent_claims_succeeds(self, table: Table, job_id: int) -> None:
        claims = concurrently(50, lambda: table.jobs.claim(job_id))

        assert sum(claim is not None for claim in claims) == 1
        assert table.row(job_id).attempts == 1

    def test_a_job_that_is_not_due_is_not_claimed(self, table: Table) -> None:
        with ahead(60):
            job_id = table.put_one()

        assert table.jobs.claim(job_id) is None
        with ahead(61):
            assert table.jobs.claim(job_id) is not None

    @pytest.mark.parametrize("end", ["completed", "failed", "cancelled"])
    def test_a_job_that_has_ended_is_not_claimed(self, table: Table, job_id: int, end: str) -> None:
        table.end(table.claim(job_id), end)

        with ahead(HOUR):
            assert table.jobs.claim(job_id) is None

    def test_a_job_that_does_not_exist_is_not_claimed(self, table: Table) -> None:
        assert table.jobs.claim(1) is None

    def test_every_attempt_counts(self, table: Table, job_id: int) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            with ahead(attempt * HOUR):
                claim = table.claim(job_id)
                assert claim.row.attempts == attempt
                table.retry_later(claim)

        last = table.row(job_id)
        assert (last.status, last.error) == ("failed", "It rained, 3 times")


def _step(table: Table, claim: Claim[Operation]) -> None:
    with Run(table.jobs, claim).step(50) as tx:
        add_effect(tx, claim.row.id, "the first")


def _die(table: Table, _: Claim[Operation]) -> None:
    with ahead(LEASE + 1):
        assert table.jobs.recover() == 1


every_change = pytest.mark.parametrize(
    "change", [_step, Table.complete, Table.end, Table.retry_later, Table.release]
)


class TestLostLease:
    @every_change
    @pytest.mark.parametrize("second", ["waits", "runs", "is done"])
    def test_a_lost_claim_changes_nothing(
        self, table: Table, job_id: int, change: Change, second: str
    ) -> None:
        first = table.claim(job_id)
        with ahead(LEASE + 1):
            assert table.jobs.recover() == 1
        if second != "waits":
            with ahead(HOUR):
                other = table.claim(job_id)
            if second == "is done":
                table.complete(other, "the second")
        before = table.values(job_id), table.effects()

        with pytest.raises(LeaseLost):
            change(table, first)

        assert (table.values(job_id), table.effects()) == before

    @every_change
    def test_an_expired_lease_holds_until_the_job_is_recovered(
        self, table: Table, job_id: int, change: Change
    ) -> None:
        claim = table.claim(job_id)
        before = table.values(job_id)

        with ahead(HOUR):
            change(table, claim)

        assert table.values(job_id) != before or table.effects()

    def test_a_job_that_is_being_finished_is_not_recovered(self, table: Table, job_id: int) -> None:
        claim = table.claim(job_id)
        recovered: list[int] = []
        sweeper = threading.Thread(target=lambda: recovered.append(table.jobs.recover()))

        with ahead(HOUR):
            with Run(table.jobs, claim).finish() as (tx, _):
                add_effect(tx, job_id)
                sweeper.start()
                sweeper.join(0.5)  # on SQLite it waits for the writer
            sweeper.join()

        assert recovered == [0]
        assert table.row(job_id).status == "completed"
        assert table.effects() == [(job_id, "")]

    def test_an_error_in_the_last_transaction_rolls_all_back(
        self, table: Table, job_id: int
    ) -> None:
        run = table.run(job_id)

        with pytest.raises(ZeroDivisionError), run.finish() as (tx, operation):  # noqa: PT012
            add_effect(tx, operation.id)
            tx.flush()
            raise ZeroDivisionError

        assert not run.finished
        assert table.row(job_id).status == "processing"
        assert table.effects() == []


class TestRecovery:
    def test_a_job_whose_worker_died_waits_for_another_attempt(
        self, table: Table, job_id: int
    ) -> None:
        table.claim(job_id)
        assert table.jobs.recover() == 0

        with ahead(LEASE + 1) as clock:
            began = clock.now(UTC)
            assert table.jobs.recover() == 1
            ended = clock.now(UTC)

        found = table.row(job_id)
        assert (found.status, found.attempts, found.lease_token) == ("pending", 1, None)
        assert found.due_at is not None
        assert found.due_at == found.send_at
        assert began <= found.due_at <= ended + timedelta(seconds=2)

    def test_pauses_between_attempts_double(
        self, table: Table, job_id: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(random, "uniform", lambda _, most: most)
        table = Table(table.database, attempts=20)
        waits = []

        for turn in range(1, 9):
            with ahead(turn * HOUR) as clock:
                table.retry_later(table.claim(job_id))
                due_at = table.row(job_id).due_at
                assert due_at is not None
                waits.append(round((due_at - clock.now(UTC)).total_seconds()))

        assert waits == [2, 4, 8, 16, 32, 60, 60, 60]

    def test_after_its_last_attempt_it_has_failed(self, table: Table, job_id: int) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            with ahead(attempt * HOUR):
                table.claim(job_id)
            with ahead(attempt * HOUR + LEASE + 1):
                assert table.jobs.recover() == 1

        last = table.row(job_id)
        assert (last.status, last.error) == ("failed", "Its worker died, 3 times")
        assert last.finished_at is not None

    def test_one_of_many_sweepers_recovers_it(self, table: Table) -> None:
        ids = table.put(*(new_operation() for _ in range(5)))
        for job_id in ids:
            table.claim(job_id)

        with ahead(LEASE + 1):
            found = concurrently(10, table.jobs.recover)

        assert sum(found) == len(ids)
        assert {table.row(job_id).status for job_id in ids} == {"pending"}

    def test_a_job_whose_worker_died_long_ago_is_retried(self, table: Table) -> None:
        job_id = table.put_one(limit_seconds=30)
        table.claim(job_id)

        with ahead(HOUR):  # all processes were down
            assert table.jobs.recover() == 1

        assert table.row(job_id).status == "pending"

    def test_a_job_that_exceeded_its_time_limit_has_failed(self, table: Table) -> None:
        job_id = table.put_one(limit_seconds=30)
        claim = table.claim(job_id)

        with ahead(35):
            table.jobs.renew([claim])
        with ahead(35 + LEASE + 1):
            assert table.jobs.recover() == 1

        found = table.row(job_id)
        assert (found.status, found.error) == ("failed", "It took longer than 30 seconds")


class TestCancel:
    def test_a_waiting_job_ends_at_once(self, table: Table, job_id: int) -> None:
        table.cancel(job_id)

        assert table.row(job_id).status == "cancelled"
        assert table.jobs.claim(job_id) is None
        assert table.jobs.to_send("normal", 10) == []

    def test_a_running_job_ends_at_its_next_checkpoint(self, table: Table, job_id: int) -> None:
        run = table.run(job_id)
        run.checkpoint(10)

        table.cancel(job_id)

        assert table.row(job_id).status == "processing"
        with pytest.raises(Cancelled), run.step(50) as tx:
            add_effect(tx, job_id)
        with pytest.raises(Cancelled), run.finish() as (tx, _):
            add_effect(tx, job_id)
        assert table.effects() == []
        assert table.row(job_id).progress == 10

    def test_a_job_that_has_ended_stays_as_it_is(self, table: Table, job_id: int) -> None:
        table.complete(table.claim(job_id))
        before = table.values(job_id)

        with pytest.raises(JobEnded):
            table.cancel(job_id)

        assert table.values(job_id) == before

    def test_cancelling_twice_has_no_further_effect(self, table: Table) -> None:
        waits, runs = table.put(new_operation(), new_operation())
        table.claim(runs)

        for job_id in (waits, runs):
            table.cancel(job_id)
        asked_at = table.row(runs).cancel_requested_at
        for job_id in (waits, runs):
            table.cancel(job_id)

        assert table.row(waits).status == "cancelled"
        assert table.row(runs).cancel_requested_at == asked_at

    def take_turn(self, turns: Iterator[Callable[[int], object]], job_id: int) -> None:
        next(turns)(job_id)

    def test_a_claim_and_a_cancellation_at_once_have_an_order(self, table: Table) -> None:
        for job_id in table.put(*(new_operation() for _ in range(10))):
            turns: Iterator[Callable[[int], object]] = iter([table.jobs.claim, table.cancel])

            concurrently(2, partial(self.take_turn, turns, job_id))

            found = table.row(job_id)
            asked = found.cancel_requested_at is not None
            assert (found.status, found.attempts, asked) in {
                ("cancelled", 0, False),
                ("processing", 1, True),
            }

    @pytest.mark.parametrize("change", [Table.retry_later, Table.release, _die])
    def test_a_cancelled_job_gets_no_other_attempt(
        self, table: Table, job_id: int, change: Change
    ) -> None:
        claim = table.claim(job_id)
        table.cancel(job_id)

        change(table, claim)

        assert table.row(job_id).status == "cancelled"


class TestRetry:
    @pytest.mark.parametrize("end", ["failed", "cancelled"])
    def test_a_failed_or_cancelled_job_restarts(self, table: Table, job_id: int, end: str) -> None:
        claim = table.claim(job_id)
        Run(table.jobs, claim).checkpoint(50)
        table.end(claim, end, "It rained")

        table.retry(job_id)

        found = table.row(job_id)
        assert (found.status, found.attempts, found.progress) == ("pending", 0, 0)
        assert (found.error, found.started_at, found.finished_at) == (None, None, None)
        table.complete(table.claim(job_id))
        assert table.row(job_id).status == "completed"

    def test_a_restarted_job_is_no_longer_cancelled(self, table: Table, job_id: int) -> None:
        claim = table.claim(job_id)
        table.cancel(job_id)
        table.end(claim, "cancelled")

        table.retry(job_id)
        table.complete(table.claim(job_id))

        assert table.row(job_id).status == "completed"

    def test_no_other_job_restarts(self, table: Table) -> None:
        waits, runs, done = table.put(*(new_operation() for _ in range(3)))
        table.claim(runs)
        table.complete(table.claim(done))

        for job_id in (waits, runs, done):
            with pytest.raises(JobNotEnded):
                table.retry(job_id)


class TestRelease:
    def test_it_does_not_count_as_an_attempt_and_is_sent_at_once(
        self, table: Table, job_id: int
    ) -> None:
        for _ in range(2 * ATTEMPTS):
            table.release(table.claim(job_id))

        found = table.row(job_id)
        assert (found.status, found.attempts) == ("pending", 0)
        assert [due.id for due in table.jobs.to_send("normal", 10)] == [job_id]

    def test_a_stopping_worker_releases_at_a_checkpoint_but_can_finish(
        self, table: Table, job_id: int
    ) -> None:
        run = Run(table.jobs, table.claim(job_id), must_stop=lambda: True)

        with pytest.raises(RunReleased):
            run.checkpoint()
        with run.finish() as (tx, _):
            add_effect(tx, job_id)

        assert table.row(job_id).status == "completed"


class TestRenew:
    def test_it_renews_only_claims_that_hold(self, table: Table) -> None:
        kept, dropped, lost = table.put(*(new_operation() for _ in range(3)))
        mine = table.claim(kept)
        table.claim(dropped)
        gone = table.claim(lost)
        table.release(gone)

        with ahead(LEASE - 1):
            table.jobs.renew([mine, gone])
        with ahead(LEASE + 1):
            assert table.jobs.recover() == 1

        assert table.row(kept).status == "processing"
        assert table.row(dropped).status == "pending"
        assert table.row(lost).lease_until is None

    def test_it_does_not_renew_the_lease_of_the_next_worker(
        self, table: Table, job_id: int
    ) -> None:
        first = table.claim(job_id)
        table.release(first)
        table.claim(job_id)
        before = table.row(job_id).lease_until

        with ahead(5):
            table.jobs.renew([first])

        assert table.row(job_id).lease_until == before

    def test_a_long_step_does_not_cost_other_jobs_their_leases(
        self, table: Table, sql_kind: str
    ) -> None:
        if sql_kind == "sqlite":
            pytest.skip("SQLite has one writer at a time")
        in_a_step, other = (table.claim(i) for i in table.put(new_operation(), new_operation()))
        before = table.row(other.row.id).lease_until
        assert before is not None

        renewer = threading.Thread(target=lambda: table.jobs.renew([in_a_step, other]), daemon=True)
        with Run(table.jobs, in_a_step).step():
            renewer.start()
            renewer.join(5)
            renewed = table.row(other.row.id).lease_until
        renewer.join()

        assert renewed is not None
        assert renewed > before

    def test_a_step_that_took_longer_than_the_lease_has_renewed_it(
        self, table: Table, job_id: int
    ) -> None:
        run = table.run(job_id)

        with ahead(2 * LEASE):
            with run.step() as tx:
                add_effect(tx, job_id)
            assert table.jobs.recover() == 0


class TestClocks:
    @pytest.mark.parametrize("wrong", [HOUR, -HOUR], ids=["fast", "slow"])
    def test_a_job_is_done_once_despite_a_wrong_clock(
        self, table: Table, job_id: int, wrong: float
    ) -> None:
        with ahead(max(wrong, 0)):  # with a slow clock it is not due
            first = table.claim(job_id)
        with ahead(wrong):
            table.jobs.recover()
            second = table.jobs.claim(job_id)
        if second is None:
            with ahead(2 * HOUR):
                table.jobs.recover()
            with ahead(3 * HOUR):
                second = table.claim(job_id)

        table.complete(second, "the second")
        with ahead(wrong), pytest.raises(LeaseLost):
            table.complete(first, "the first")

        assert table.effects() == [(job_id, "the second")]

    def test_a_sweeper_whose_clock_is_fast_takes_a_running_job_and_does_not_fail_it(
        self, table: Table, job_id: int
    ) -> None:
        first = table.claim(job_id)

        with ahead(HOUR):
            assert table.jobs.recover() == 1

        assert table.row(job_id).status == "pending"
        with pytest.raises(LeaseLost):
            table.complete(first)
        with ahead(HOUR + 2):
            table.complete(table.claim(job_id))
        assert table.effects() == [(job_id, "")]

    def test_a_job_claimed_with_a_fast_clock_is_only_recovered_late(
        self, table: Table, job_id: int
    ) -> None:
        with ahead(HOUR):
            table.claim(job_id)  # by a worker whose clock is an hour fast, and which dies

        with ahead(LEASE + 1):
            assert table.jobs.recover() == 0
        with ahead(HOUR + LEASE + 1):
            assert table.jobs.recover() == 1


@pytest.fixture
def queue(own_redis: RedisServer) -> Iterator[JobQueue]:
    queue = JobQueue("operations", QueueSettings.load(redis_url=own_redis.url, _env_file=None))
    yield queue
    queue.close()


class TestSending:
    def test_one_of_many_sweepers_sends_a_job(self, table: Table) -> None:
        ids = table.put(*(new_operation() for _ in range(20)))

        with ahead(5):
            found = concurrently(8, lambda: table.jobs.to_send("normal", 100))

        assert sorted(due.id for of_one in found for due in of_one) == ids

    def test_an_unclaimed_job_is_sent_again(self, table: Table, job_id: int) -> None:
        assert table.jobs.to_send("normal", 10) == []  # its creator sends it
        for seconds, sent in ((4, [job_id]), (13, []), (15, [job_id])):
            with ahead(seconds):
                assert [due.id for due in table.jobs.to_send("normal", 10)] == sent

    def test_a_claimed_job_is_not_sent_again(self, table: Table, job_id: int) -> None:
        table.claim(job_id)

        with ahead(HOUR):
            assert table.jobs.to_send("normal", 10) == []

    def test_jobs_of_one_priority_are_sent_in_order_up_to_a_limit(self, table: Table) -> None:
        table.put(new_operation(priority="low"))
        ids = []
        for seconds in (3, 2, 1):
            with ahead(seconds):
                ids += table.put(new_operation(priority="high"))

        with ahead(HOUR):
            assert {due.id for due in table.jobs.to_send("high", 2)} == set(ids[1:])
            assert [due.id for due in table.jobs.to_send("high", 2)] == ids[:1]

    def test_a_job_whose_transaction_was_rolled_back_is_never_sent(self, table: Table) -> None:
        with pytest.raises(ZeroDivisionError), table.database.begin() as tx:  # noqa: PT012
            table.jobs.put(tx, new_operation())
            tx.flush()
            raise ZeroDivisionError

        with ahead(HOUR):
            assert table.jobs.to_send("normal", 10) == []
            assert table.jobs.recover() == 0

    def test_a_queue_with_a_backlog_is_not_flooded(self, table: Table, queue: JobQueue) -> None:
        table.put(*(new_operation() for _ in range(300)))
        table.put(*(new_operation(priority="high") for _ in range(5)))
        sweepers = [Sweeper([table.jobs], queue) for _ in range(3)]

        for turn in range(1, 6):
            with ahead(turn * 20):
                for sweeper in sweepers:
                    sweeper.sweep()

        assert queue.size("operations", "normal") == 200
        assert 5 <= queue.size("operations", "high") <= 25

    def test_while_redis_is_down_no_job_counts_as_sent(
        self, table: Table, job_id: int, queue: JobQueue, own_redis: RedisServer
    ) -> None:
        own_redis.kill()

        with ahead(5):
            with pytest.raises(RedisUnavailable):
                Sweeper([table.jobs], queue).sweep()
            assert not queue.send(Due("operations", job_id, "normal", 1))
            assert [due.id for due in table.jobs.to_send("normal", 10)] == [job_id]


@pytest.mark.parametrize("statement", [delete, update, insert])
def test_a_core_statement_on_a_table_of_jobs_must_declare_its_keys(
    table: Table, statement: Callable[..., Any]
) -> None:
    """Their models derive from JobRow, which derives from CachedRow."""
    with pytest.raises(UndeclaredCacheKeys, match="Operation"), table.database.begin() as tx:
        tx.execute(statement(Operation.__table__))
