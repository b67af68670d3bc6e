"""The states of jobs, the claims of workers, and the order of claims."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import pytest
from sqlalchemy import delete, insert, update

from common.pyportal_common.cache_handlers import RedisPoolExhausted
from common.pyportal_common.db import Database, UndeclaredCacheKeys
from common.pyportal_common.jobs import (
    Claim,
    JobEnded,
    JobNotEnded,
    JobRunner,
    LeaseLost,
    Outcome,
    Run,
    turns,
)
from common.pyportal_common.jobs.outcomes import OutcomeName
from common.pyportal_common.jobs.sweeper import Sweeper
from common.pyportal_common.testing.kit import statements_of

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


@contextmanager
def ahead(seconds: float) -> Iterator[Callable[[], datetime]]:
    """Meanwhile the clock of databases is ahead. Yields it."""

    def now(*_: Database) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "now", now)
        yield now


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
        claims = concurrently(50, lambda: table.jobs.claim(8))

        assert sum(len(claim) for claim in claims) == 1
        assert table.row(job_id).attempts == 1

    def test_a_job_that_is_not_due_is_not_claimed(self, table: Table) -> None:
        job_id = table.put_one()
        with table.database.begin() as tx:
            table.jobs.delay(tx.get_one(Operation, job_id), 60)

        assert table.try_to_claim(job_id) is None
        with ahead(61):
            assert table.try_to_claim(job_id) is not None

    @pytest.mark.parametrize(
        "outcome", [Outcome.done(), Outcome.failed("It rains"), Outcome.cancelled()]
    )
    def test_a_job_that_has_ended_is_not_claimed(
        self, table: Table, job_id: int, outcome: Outcome
    ) -> None:
        table.end(table.claim(job_id), outcome)

        with ahead(HOUR):
            assert table.try_to_claim(job_id) is None

    def test_a_job_that_does_not_exist_is_not_claimed(self, table: Table) -> None:
        assert table.try_to_claim(1) is None

    def test_every_attempt_counts(self, table: Table, job_id: int) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            with ahead(attempt * HOUR):
                claim = table.claim(job_id)
                assert claim.row.attempts == attempt
                table.retry_later(claim)

        last = table.row(job_id)
        assert (last.status, last.error) == ("failed", "It rained, 3 times")


def _step(table: Table, claim: Claim[Operation]) -> None:
    with Run(table.jobs, claim).transaction(progress=50) as tx:
        add_effect(tx, claim.row.id, "the first")


def _die(table: Table, _: Claim[Operation]) -> None:
    with ahead(LEASE + 1):
        assert table.jobs.recover() == 1


every_change = pytest.mark.parametrize(
    "change", [_step, Table.complete, Table.fail, Table.retry_later, Table.release]
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
            with Run(table.jobs, claim).transaction(Outcome.done()) as tx:
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

        with pytest.raises(ZeroDivisionError), run.transaction(Outcome.done()) as tx:  # noqa: PT012
            add_effect(tx, run.job.id)
            tx.flush()
            raise ZeroDivisionError

        assert run.outcome is None
        assert table.row(job_id).status == "processing"
        assert table.effects() == []


class TestRecovery:
    def test_a_job_whose_worker_died_waits_for_another_attempt(
        self, table: Table, job_id: int
    ) -> None:
        table.claim(job_id)
        assert table.jobs.recover() == 0

        with ahead(LEASE + 1) as now:
            began = now()
            assert table.jobs.recover() == 1
            ended = now()

        found = table.row(job_id)
        assert (found.status, found.attempts, found.lease_token) == ("pending", 1, None)
        assert found.due_at is not None
        assert found.turn is None
        assert began <= found.due_at <= ended + timedelta(seconds=2)

    def test_pauses_between_attempts_double(
        self, table: Table, job_id: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(random, "uniform", lambda _, most: most)
        table = Table(table.database, attempts=20)
        waits = []

        for turn in range(1, 9):
            with ahead(turn * HOUR) as now:
                table.retry_later(table.claim(job_id))
                due_at = table.row(job_id).due_at
                assert due_at is not None
                waits.append(round((due_at - now()).total_seconds()))

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


class TestTimeLimit:
    ERROR = "It took longer than 0.01 seconds"

    @pytest.fixture
    def run(self, table: Table) -> Run[Operation]:
        """An attempt that has exceeded its time limit."""
        run = table.run(table.put_one(limit_seconds=0.01))
        while time.monotonic() <= run.deadline:
            time.sleep(0.005)
        return run

    @pytest.mark.parametrize("outcome", [None, Outcome.done()])
    def test_its_next_transaction_fails(self, run: Run[Operation], outcome: Outcome | None) -> None:
        with pytest.raises(Outcome) as raised, run.transaction(outcome):
            pass

        assert (raised.value.name, raised.value.error) == ("failed", self.ERROR)

    @pytest.mark.parametrize("outcome", [Outcome.failed("It rains"), Outcome.retry("It rains")])
    def test_it_can_still_end_otherwise(
        self, table: Table, run: Run[Operation], outcome: Outcome
    ) -> None:
        with run.transaction(outcome):
            pass

        assert table.row(run.job.id).error == "It rains"

    def test_a_job_that_comes_to_no_transaction_fails_and_can_change_nothing(
        self, table: Table, run: Run[Operation]
    ) -> None:
        table.jobs.expire([run.claim])

        found = table.row(run.job.id)
        assert (found.status, found.error) == ("failed", self.ERROR)
        with pytest.raises(LeaseLost):
            table.complete(run.claim)

    def test_one_that_went_to_another_worker_does_not_fail(
        self, table: Table, run: Run[Operation]
    ) -> None:
        table.release(run.claim)
        table.claim(run.job.id)

        table.jobs.expire([run.claim])

        assert table.row(run.job.id).status == "processing"

    def test_a_step_that_has_begun_is_not_waited_for(self, table: Table, sql_kind: str) -> None:
        if sql_kind == "sqlite":
            pytest.skip("SQLite has one writer at a time")
        run = table.run(table.put_one())

        with run.transaction():
            table.jobs.expire([run.claim])

        assert table.row(run.job.id).status == "processing"


class TestCancel:
    def test_a_waiting_job_ends_at_once(self, table: Table, job_id: int) -> None:
        table.cancel(job_id)

        assert table.row(job_id).status == "cancelled"
        assert table.try_to_claim(job_id) is None

    def test_a_running_job_ends_at_its_next_step(self, table: Table, job_id: int) -> None:
        run = table.run(job_id)
        with run.transaction(progress=10):
            pass

        table.cancel(job_id)

        assert table.row(job_id).status == "processing"
        for outcome in (None, Outcome.done()):
            with pytest.raises(Outcome) as raised, run.transaction(outcome, progress=50) as tx:
                add_effect(tx, job_id)
            assert raised.value.name == "cancelled"
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
            turns: Iterator[Callable[[int], object]] = iter([table.try_to_claim, table.cancel])

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
    @pytest.mark.parametrize("outcome", [Outcome.failed("It rained"), Outcome.cancelled()])
    def test_a_failed_or_cancelled_job_restarts(
        self, table: Table, job_id: int, outcome: Outcome
    ) -> None:
        claim = table.claim(job_id)
        _step(table, claim)
        table.end(claim, outcome)

        table.retry(job_id)

        found = table.row(job_id)
        assert (found.status, found.attempts, found.progress) == ("pending", 0, 0)
        assert (found.error, found.started_at, found.finished_at) == (None, None, None)
        table.complete(table.claim(job_id))
        assert table.row(job_id).status == "completed"

    def test_a_restarted_job_is_no_longer_cancelled(self, table: Table, job_id: int) -> None:
        claim = table.claim(job_id)
        table.cancel(job_id)
        table.end(claim, Outcome.cancelled())

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
    def test_it_does_not_count_as_an_attempt_and_is_due_at_once(
        self, table: Table, job_id: int
    ) -> None:
        for _ in range(2 * ATTEMPTS):
            table.release(table.claim(job_id))

        found = table.row(job_id)
        assert (found.status, found.attempts) == ("pending", 0)
        assert table.try_to_claim(job_id) is not None

    def test_a_stopping_worker_releases_at_a_step_but_can_finish(
        self, table: Table, job_id: int
    ) -> None:
        run = Run(table.jobs, table.claim(job_id), must_stop=lambda: True)

        with pytest.raises(Outcome) as raised, run.transaction():
            pass
        assert raised.value.name == "later"
        with run.transaction(Outcome.done()) as tx:
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
        with Run(table.jobs, in_a_step).transaction():
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
            with run.transaction() as tx:
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
            second = table.try_to_claim(job_id)
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


class TestOrder:
    """`claimed` are the ids in the order of the claims, one at a time."""

    @pytest.fixture
    def claimed(self, table: Table) -> Callable[[], list[int]]:
        def claim_all() -> list[int]:
            ids = []
            while claims := table.jobs.claim(1):
                ids.append(claims[0].row.id)
            return ids

        return claim_all

    def test_a_higher_priority_comes_first_and_then_the_older(
        self, table: Table, claimed: Callable[[], list[int]]
    ) -> None:
        ids: dict[int, int] = {}
        for seconds, priority in enumerate(["low", "normal", "high", "low", "normal", "high"]):
            with ahead(seconds):
                ids[seconds] = table.put_one(priority=priority)

        assert claimed() == [ids[number] for number in (2, 5, 1, 4, 0, 3)]

    def test_one_user_with_a_thousand_does_not_delay_another(
        self, table: Table, claimed: Callable[[], list[int]]
    ) -> None:
        many = table.put(*(new_operation(user_id=1) for _ in range(100)))
        with ahead(5):
            [only] = table.put(new_operation(user_id=2))

        order = claimed()

        assert order.index(only) < 10
        assert [each for each in order if each != only] == many

    def test_two_users_with_many_take_turns(
        self, table: Table, claimed: Callable[[], list[int]]
    ) -> None:
        first = table.put(*(new_operation(user_id=1) for _ in range(20)))
        table.put(*(new_operation(user_id=2) for _ in range(20)))

        order = claimed()

        for taken in range(2, 40, 2):
            share = len(set(order[:taken]) & set(first))
            assert abs(share - taken / 2) <= 2

    def test_no_job_waits_behind_later_ones_for_longer_than_a_limit(
        self, table: Table, monkeypatch: pytest.MonkeyPatch, claimed: Callable[[], list[int]]
    ) -> None:
        monkeypatch.setattr(turns, "_MOST_COUNTED", 5)
        latest = turns.LATEST - turns._SPACING * 595
        low = table.put(*(new_operation(priority="low", user_id=1) for _ in range(10)))
        with ahead(latest + 1):
            high = table.put(*(new_operation(priority="high", user_id=2) for _ in range(10)))

        assert claimed() == low + high

    def test_jobs_of_nobody_are_in_order(
        self, table: Table, claimed: Callable[[], list[int]]
    ) -> None:
        ids = []
        for seconds in range(3):
            with ahead(seconds):
                ids += table.put(new_operation())

        assert claimed() == ids

    def test_a_delayed_job_comes_in_its_turn_when_it_is_due(
        self, table: Table, claimed: Callable[[], list[int]]
    ) -> None:
        delayed, other = table.put(new_operation(), new_operation())
        with table.database.begin() as tx:
            table.jobs.delay(tx.get_one(Operation, delayed), 60)

        with ahead(50):
            assert table.jobs.make_due() == 0
            assert claimed() == [other]
        with ahead(61):
            assert table.jobs.make_due() == 1
            assert claimed() == [delayed]

    def test_one_sweep_makes_all_delayed_jobs_due(self, table: Table) -> None:
        ids = table.put(*(new_operation() for _ in range(250)))
        with table.database.begin() as tx:
            for job_id in ids:
                table.jobs.delay(tx.get_one(Operation, job_id), 60)

        with ahead(61):
            Sweeper([table.jobs]).sweep()

            assert len(table.jobs.claim(300)) == 250

    def test_a_claim_takes_no_more_than_asked_for(self, table: Table) -> None:
        ids = table.put(*(new_operation() for _ in range(20)))

        found = concurrently(8, lambda: table.jobs.claim(2))

        assert all(len(claims) == 2 for claims in found)
        claimed = [claim.row.id for claims in found for claim in claims]
        assert len(set(claimed)) == 16
        assert set(claimed) <= set(ids)

    def test_a_batch_is_claimed_in_one_statement(self, table: Table) -> None:
        table.put(*(new_operation() for _ in range(8)))
        statements = statements_of(table.database)

        assert len(table.jobs.claim(8)) == 8
        assert len(statements) == 1

    def test_a_job_without_other_changes_is_done_in_one_statement(
        self, table: Table, job_id: int
    ) -> None:
        claim = table.claim(job_id)
        statements = statements_of(table.database)

        table.end(claim, Outcome.done())

        assert len(statements) == 1

    def test_a_job_whose_transaction_was_rolled_back_is_never_claimed(self, table: Table) -> None:
        with pytest.raises(ZeroDivisionError), table.database.begin() as tx:  # noqa: PT012
            table.jobs.put(tx, new_operation())
            tx.flush()
            raise ZeroDivisionError

        with ahead(HOUR):
            assert table.jobs.make_due() == 0
            assert table.jobs.claim(1) == []
            assert table.jobs.recover() == 0


@pytest.mark.parametrize("statement", [delete, update, insert])
def test_a_core_statement_on_a_table_of_jobs_must_declare_its_keys(
    table: Table, statement: Callable[..., Any]
) -> None:
    """Their models derive from JobRow, which derives from CachedRow."""
    with pytest.raises(UndeclaredCacheKeys, match="Operation"), table.database.begin() as tx:
        tx.execute(statement(Operation.__table__))


class TestRaisedOutcomes:
    """A handler may raise the outcome instead of ending the attempt by a transaction."""

    @pytest.mark.parametrize("name", ["done", "retry", "later"])
    def test_of_a_job_that_was_cancelled_meanwhile(
        self, table: Table, job_id: int, name: OutcomeName
    ) -> None:
        def handler(_: Run[Operation]) -> None:
            table.cancel(job_id)
            raise Outcome(name, "It rained" if name == "retry" else None)

        JobRunner(table.jobs, handler).do(table.claim(job_id))

        assert table.status(job_id) == "cancelled"

    def test_done_after_the_time_limit(self, table: Table) -> None:
        job_id = table.put_one(limit_seconds=0.01)

        def handler(_: Run[Operation]) -> None:
            time.sleep(0.05)
            raise Outcome.done()

        JobRunner(table.jobs, handler).do(table.claim(job_id))

        found = table.row(job_id)
        assert (found.status, found.error) == ("failed", "It took longer than 0.01 seconds")

    def test_an_outcome_that_cannot_be_recorded_does_not_end_the_thread(
        self, table: Table, caplog: pytest.LogCaptureFixture
    ) -> None:
        """As when all connections to Redis are in use, so that the commit cannot be fenced."""

        def refuse(*_: object) -> None:
            raise RedisPoolExhausted("all are in use")

        jobs = Table(table.database, ended=refuse).jobs
        job_id = table.put_one()

        JobRunner(jobs, lambda _: None).do(table.claim(job_id))
        assert table.status(job_id) == "pending"
        with ahead(HOUR):
            claim = table.claim(job_id)
        JobRunner(jobs, fail).do(claim)

        assert table.status(job_id) == "processing"
        assert caplog.messages[-1] == f"The outcome of job {job_id} was not recorded"


def fail(_: object) -> None:
    raise Outcome.failed("It rains")
