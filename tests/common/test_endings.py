"""Attempts that end together: shared transactions, and members that fail."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from common.pyportal_common.db import Database, Transaction
from common.pyportal_common.jobs import Claim, JobRunner, LeaseLost, Outcome, Run, endings
from common.pyportal_common.jobs import dispatcher as dispatcher_module
from common.pyportal_common.jobs.dispatcher import Dispatcher
from common.pyportal_common.jobs.outages import SqlOutages
from common.pyportal_common.testing.kit import statements_of

from .operations import Operation, Table, add_effect, jobs_of
from .test_jobs import ahead
from .waiting import wait_until

Effect = Callable[[Transaction, Operation], None]
HOUR = 3600.0


@pytest.fixture
def table(sql_url: str) -> Iterator[Table]:
    table = Table(Database(sql_url, pool_size=16), attempts=3)
    table.create()
    yield table
    table.drop()
    table.database.close()


@pytest.fixture
def claims(table: Table) -> list[Claim[Operation]]:
    """Four jobs that run."""
    table.put(*(Operation(priority="normal") for _ in range(4)))
    return table.jobs.claim(4)


def mark(tx: Transaction, row: Operation) -> None:
    """The effect of most attempts, with a change of the row."""
    add_effect(tx, row.id, "a group")
    row.kind = "marked"


def refuse(_: Transaction, __: Operation) -> None:
    raise Outcome.failed("It rains")


def finish_together(
    table: Table, claims: list[Claim[Operation]], *effects: Effect | None
) -> list[BaseException | None]:
    """End attempts in one group, in threads. What each of them raised."""
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(len(claims)) as pool:
        patch.setattr(endings, "_GATHERING_SECONDS", 10)
        patch.setattr(table.jobs.endings, "busy", lambda: len(claims))
        runs = [Run(table.jobs, claim) for claim in claims]
        ends = [pool.submit(run.finish, mark) for run in runs[len(effects) :]]
        ends = [*map(pool.submit, (run.finish for run in runs), effects), *ends]
        return [each.exception() for each in ends]


def statuses(table: Table, claims: list[Claim[Operation]]) -> list[str]:
    return [table.status(claim.row.id) for claim in claims]


@contextmanager
def at_commit(table: Table, call: Callable[[], None]) -> Iterator[None]:
    """Call something before each COMMIT."""

    commit = table.database.engine.dialect.do_commit

    def call_and_commit(connection: Any) -> None:
        call()
        commit(connection)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table.database.engine.dialect, "do_commit", call_and_commit)
        yield


class TestGroups:
    def test_attempts_that_are_done_together_share_a_transaction(
        self, table: Table, claims: list[Claim[Operation]]
    ) -> None:
        commits: list[None] = []
        statements = statements_of(table.database)

        with at_commit(table, lambda: commits.append(None)):
            assert finish_together(table, claims, None, None) == [None] * 4

        written = [each for each in statements if not each.startswith("SET LOCAL")]
        assert len(commits) == 1
        assert len(written) <= 4, written  # the ends, two effects, and what those set in the rows
        assert statuses(table, claims) == ["completed"] * 4
        assert len(table.effects()) == 2
        assert [table.row(claim.row.id).kind for claim in claims] == [
            "ok",
            "ok",
            "marked",
            "marked",
        ]

    def test_those_that_come_while_a_group_ends_are_the_next(
        self, table: Table, claims: list[Claim[Operation]]
    ) -> None:
        commits: list[None] = []
        goes_on = threading.Event()

        def wait_for_the_others(tx: Transaction, row: Operation) -> None:
            assert goes_on.wait(30)
            mark(tx, row)

        def arrived() -> bool:
            return len(table.jobs.endings._waiting) == 3

        with (
            at_commit(table, lambda: commits.append(None)),
            ThreadPoolExecutor(4) as pool,
        ):
            first = pool.submit(Run(table.jobs, claims[0]).finish, wait_for_the_others)
            while not table.jobs.endings._has_leader:
                pass
            others = [pool.submit(Run(table.jobs, each).finish, mark) for each in claims[1:]]
            while not arrived():
                pass
            goes_on.set()
            for each in (first, *others):
                each.result()

        assert len(commits) == 2
        assert statuses(table, claims) == ["completed"] * 4
        assert not table.jobs.endings._has_leader

    def test_an_attempt_alone_does_not_wait(
        self, table: Table, claims: list[Claim[Operation]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(endings, "_GATHERING_SECONDS", HOUR)

        Run(table.jobs, claims[0]).finish()

        assert table.status(claims[0].row.id) == "completed"

    def test_the_row_is_the_committed_one(
        self, table: Table, claims: list[Claim[Operation]]
    ) -> None:
        run = Run(table.jobs, claims[0])

        run.finish(mark)

        assert (run.job.status, run.job.kind, run.job.progress) == ("completed", "marked", 100)
        assert run.outcome is not None
        assert run.outcome.name == "done"

    def test_many_threads_with_effects_that_fail(self, table: Table) -> None:
        ids = table.put(*(Operation(priority="normal") for _ in range(60)))
        rng = random.Random(14)
        fails = {job_id for job_id in ids if rng.random() < 0.3}

        def effect(tx: Transaction, row: Operation) -> None:
            add_effect(tx, row.id)
            if row.id in fails:
                raise Outcome.failed("It rains")

        runner = JobRunner(table.jobs, lambda run: run.finish(effect))
        table.jobs.endings.busy = lambda: 8
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(runner.do, table.jobs.claim(60)))

        assert sorted(job_id for job_id, _ in table.effects()) == sorted(set(ids) - fails)
        assert {job_id for job_id in ids if table.status(job_id) == "failed"} == fails


class TestMembers:
    """None of them harms another."""

    def test_one_whose_effect_fails(self, table: Table, claims: list[Claim[Operation]]) -> None:
        def fail_late(tx: Transaction, row: Operation) -> None:
            mark(tx, row)
            tx.flush()
            refuse(tx, row)

        commits: list[None] = []
        with at_commit(table, lambda: commits.append(None)):
            raised = finish_together(table, claims, mark, fail_late)

        assert len(commits) == 1  # of the other three, together
        assert [type(each) for each in raised] == [type(None), Outcome, type(None), type(None)]
        assert statuses(table, claims) == ["completed", "processing", "completed", "completed"]
        assert len(table.effects()) == 3

    def test_one_whose_statement_the_database_refuses(
        self, table: Table, claims: list[Claim[Operation]]
    ) -> None:
        def misspell(tx: Transaction, _: Operation) -> None:
            tx.connection().execute(text("SELECT misspelt"))

        raised = finish_together(table, claims, misspell)

        assert [each is None for each in raised] == [False, True, True, True]
        assert len(table.effects()) == 3

    def test_one_whose_change_is_refused_when_all_are_written(
        self, table: Table, claims: list[Claim[Operation]]
    ) -> None:
        def add_invalid(tx: Transaction, _: Operation) -> None:
            add_effect(tx, None, "an effect without its operation")  # type: ignore[arg-type]

        raised = finish_together(table, claims, add_invalid)

        assert [each is None for each in raised] == [False, True, True, True]
        assert statuses(table, claims)[1:] == ["completed"] * 3
        assert len(table.effects()) == 3

    def test_all_fail(self, table: Table, claims: list[Claim[Operation]]) -> None:
        raised = finish_together(table, claims, *[refuse] * 4)

        assert all(isinstance(each, Outcome) for each in raised)
        assert statuses(table, claims) == ["processing"] * 4

    def test_one_that_lost_its_lease(self, table: Table, claims: list[Claim[Operation]]) -> None:
        lost = Claim(claims[1].row, "another token")

        raised = finish_together(table, [claims[0], lost, *claims[2:]])

        assert [type(each) for each in raised if each is not None] == [LeaseLost]
        assert statuses(table, claims) == ["completed", "processing", "completed", "completed"]
        assert claims[1].row.id not in dict(table.effects())

    def test_one_that_was_cancelled(self, table: Table, claims: list[Claim[Operation]]) -> None:
        table.cancel(claims[2].row.id)

        raised = finish_together(table, claims)

        (outcome,) = [each for each in raised if each is not None]
        assert isinstance(outcome, Outcome)
        assert outcome.name == "cancelled"
        assert claims[2].row.id not in dict(table.effects())
        assert statuses(table, claims).count("completed") == 3

    def test_two_attempts_at_one_job(self, table: Table, claims: list[Claim[Operation]]) -> None:
        """As after a lease that ended while the first of them hung."""
        late = Claim(claims[0].row, "the token before")

        raised = finish_together(table, [late, *claims])

        assert [type(each) for each in raised if each is not None] == [LeaseLost]
        assert statuses(table, claims) == ["completed"] * 4
        assert len(table.effects()) == 4

    def test_one_that_is_too_late(self, table: Table) -> None:
        (claim,) = [table.claim(table.put_one(limit_seconds=0))]

        with pytest.raises(Outcome) as raised:
            Run(table.jobs, claim).finish(mark)

        assert raised.value.name == "failed"
        assert table.effects() == []

    def test_those_that_ended_cannot_write_about(self, sql_url: str, table: Table) -> None:
        """The callback for ended rows fails for one of them, so that all end alone."""
        ids = table.put(*(Operation(priority="normal") for _ in range(4)))

        def ended(_: Transaction, rows: list[Operation]) -> None:
            if ids[0] in [row.id for row in rows]:
                raise ZeroDivisionError

        database = Database(sql_url)
        table.jobs = jobs_of(database, ended=ended)
        claims = table.jobs.claim(4)

        raised = finish_together(table, claims)

        assert sorted(type(each).__name__ for each in raised) == [
            *["NoneType"] * 3,
            "ZeroDivisionError",
        ]
        assert statuses(table, claims).count("completed") == 3
        database.close()


class TestCommits:
    def test_an_error_of_the_commit_is_raised_for_all(
        self, table: Table, claims: list[Claim[Operation]]
    ) -> None:
        dialect: Any = table.database.engine.dialect

        def fail() -> None:
            raise dialect.loaded_dbapi.OperationalError

        with at_commit(table, fail):
            raised = finish_together(table, claims)

        assert [type(each) for each in raised] == [OperationalError] * 4
        assert table.effects() == []
        assert statuses(table, claims) == ["processing"] * 4
        assert not table.jobs.endings._has_leader

    def test_an_error_after_the_commit_repeats_nothing(
        self, table: Table, claims: list[Claim[Operation]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        commit = Database.begin

        @contextmanager
        def begin(database: Database, **options: Any) -> Iterator[Transaction]:
            with commit(database, **options) as tx:
                yield tx
            raise ConnectionResetError

        monkeypatch.setattr(Database, "begin", begin)
        raised = finish_together(table, claims)
        monkeypatch.undo()

        assert [type(each) for each in raised] == [ConnectionResetError] * 4
        assert statuses(table, claims) == ["completed"] * 4
        assert len(table.effects()) == 4

    def test_the_thread_of_a_leader_that_ends_leaves_nobody_waiting(
        self, table: Table, claims: list[Claim[Operation]]
    ) -> None:
        def end_thread(_: Transaction, __: Operation) -> None:
            raise SystemExit

        raised = finish_together(table, claims, end_thread)

        # Whose thread led the group is not known.
        assert {type(each) for each in raised} == {SystemExit, type(None)}
        assert not table.jobs.endings._has_leader
        with ahead(HOUR):
            assert table.jobs.recover() == 4 - statuses(table, claims).count("completed")

    def test_a_group_waits_for_locks_but_not_until_deadlocks_are_looked_for(
        self, sql_url: str, table: Table, claims: list[Claim[Operation]]
    ) -> None:
        if sql_url.startswith("sqlite"):
            pytest.skip("SQLite has one writer at a time")
        timeouts: list[str] = []

        def look(tx: Transaction, _: Operation) -> None:
            timeouts.append(tx.connection().scalar(text("SHOW lock_timeout")))

        assert finish_together(table, claims, look) == [None] * 4
        assert timeouts == ["50ms"]

    def test_groups_that_wait_for_each_other_do_not_fail(
        self, sql_url: str, table: Table, claims: list[Claim[Operation]]
    ) -> None:
        """Two workers, whose groups lock the same two rows in different orders."""
        if sql_url.startswith("sqlite"):
            pytest.skip("SQLite has one writer at a time")
        one, two = table.put(*(Operation(priority="normal") for _ in range(2)))
        has_one, has_two = threading.Event(), threading.Event()
        other = Table(Database(sql_url), attempts=3)

        def lock(row_id: int, then: Callable[[], object] = lambda: None) -> Effect:
            def effect(tx: Transaction, row: Operation) -> None:
                tx.get_one(Operation, row_id, with_for_update=True)
                then()
                mark(tx, row)

            return effect

        def one_first() -> None:
            has_one.set()
            assert has_two.wait(10)

        def two_first() -> None:
            has_two.set()
            assert has_one.wait(10)

        with ThreadPoolExecutor(2) as pool:
            ends = [
                pool.submit(in_order, table, claims[:2], [lock(one, one_first), lock(two)]),
                pool.submit(in_order, other, claims[2:], [lock(two, two_first), lock(one)]),
            ]

        assert [each.result() for each in ends] == [[None, None]] * 2
        assert len(table.effects()) == 4
        other.database.close()


class TestClaims:
    """Of a worker with one thread."""

    @pytest.fixture
    def begun(self) -> "SimpleQueue[int]":
        """The ids of the jobs whose handlers were called."""
        return SimpleQueue()

    @pytest.fixture
    def goes_on(self) -> threading.Event:
        """What each job of `work` waits for."""
        return threading.Event()

    @pytest.fixture
    def commits_wait(
        self, table: Table, goes_on: threading.Event, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Groups of jobs wait for `goes_on` before they end."""
        end_group = table.jobs.endings._end_group

        def wait_and_end(group: Any) -> None:
            assert goes_on.wait(30)
            end_group(group)

        monkeypatch.setattr(table.jobs.endings, "_end_group", wait_and_end)

    @contextmanager
    def work(self, table: Table, handler: Callable[[Run[Operation]], None]) -> Iterator[Dispatcher]:
        dispatcher = Dispatcher([JobRunner(table.jobs, handler)], SqlOutages(), threads=1)
        dispatcher.start()
        dispatcher.wake()
        yield dispatcher
        dispatcher.stop()
        dispatcher.join(30)

    @pytest.mark.usefixtures("commits_wait")
    def test_the_next_job_is_claimed_while_one_waits_for_its_commit(
        self, table: Table, begun: "SimpleQueue[int]", goes_on: threading.Event
    ) -> None:
        first, second = table.put_one(priority="high"), table.put_one()

        with self.work(table, note_in(begun)):
            assert begun.get(timeout=30) == first
            wait_until(lambda: table.status(second) == "processing", seconds=20)
            assert begun.empty()
            goes_on.set()
            assert begun.get(timeout=30) == second

        assert [table.status(each) for each in (first, second)] == ["completed"] * 2

    @pytest.mark.usefixtures("commits_wait")
    def test_one_that_waits_too_long_for_that_commit_is_handed_back(
        self,
        table: Table,
        begun: "SimpleQueue[int]",
        goes_on: threading.Event,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        first, second = table.put_one(priority="high"), table.put_one()
        monkeypatch.setattr(dispatcher_module, "_LONGEST_WAIT_SECONDS", 0.05)

        with self.work(table, note_in(begun)) as dispatcher:
            assert begun.get(timeout=30) == first
            wait_until(lambda: is_handed_back(table, second), seconds=20)
            assert (table.row(second).attempts, begun.empty()) == (0, True)
            goes_on.set()
            wait_until(lambda: table.jobs.make_due() or table.jobs.are_ready(), seconds=20)
            dispatcher.wake()
            assert begun.get(timeout=30) == second

        assert [table.status(each) for each in (first, second)] == ["completed"] * 2

    @pytest.mark.usefixtures("commits_wait")
    def test_one_that_has_not_begun_when_the_worker_stops_is_handed_back(
        self, table: Table, begun: "SimpleQueue[int]", goes_on: threading.Event
    ) -> None:
        first, second = table.put_one(priority="high"), table.put_one()

        with self.work(table, note_in(begun)) as dispatcher:
            assert begun.get(timeout=30) == first
            wait_until(lambda: table.status(second) == "processing", seconds=20)
            dispatcher.stop()
            goes_on.set()

        assert begun.empty()
        assert [table.status(each) for each in (first, second)] == ["completed", "pending"]
        assert table.row(second).attempts == 0

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    def test_one_whose_thread_dies_is_handed_back_and_does_not_delay_a_stop(
        self,
        table: Table,
        begun: "SimpleQueue[int]",
        goes_on: threading.Event,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        first, second = table.put_one(priority="high"), table.put_one()

        def wait_and_die(_: Any) -> None:
            assert goes_on.wait(30)
            raise KeyboardInterrupt

        monkeypatch.setattr(table.jobs.endings, "_end_group", wait_and_die)
        with self.work(table, note_in(begun)) as dispatcher:
            assert begun.get(timeout=30) == first
            wait_until(lambda: table.status(second) == "processing", seconds=20)
            goes_on.set()
            wait_until(lambda: not dispatcher.is_alive, seconds=20)
            dispatcher.stop()
            began = time.monotonic()
            dispatcher.join(60)
            assert time.monotonic() < began + 30

        assert is_handed_back(table, second)

    def test_no_job_is_claimed_while_one_works(
        self, table: Table, begun: "SimpleQueue[int]", goes_on: threading.Event
    ) -> None:
        first, second = table.put_one(priority="high"), table.put_one()

        def handler(run: Run[Operation]) -> None:
            begun.put(run.job.id)
            assert goes_on.wait(30)
            run.finish()

        with self.work(table, handler) as dispatcher:
            assert begun.get(timeout=30) == first
            assert dispatcher._free() == 0
            assert table.status(second) == "pending"
            goes_on.set()
            assert begun.get(timeout=30) == second

        assert [table.status(each) for each in (first, second)] == ["completed"] * 2


def is_handed_back(table: Table, job_id: int) -> bool:
    """Whether the job waits for its next turn."""
    row = table.row(job_id)
    return row.status == "pending" and row.turn is None


def note_in(begun: "SimpleQueue[int]") -> Callable[[Run[Operation]], None]:
    """A handler that notes its job and finishes it."""

    def handler(run: Run[Operation]) -> None:
        begun.put(run.job.id)
        run.finish()

    return handler


def in_order(
    table: Table, claims: list[Claim[Operation]], effects: list[Effect]
) -> list[BaseException | None]:
    """End attempts in one group, whose effects are called in this order."""
    group = [
        endings.Ending(claim.row.id, claim.token, effect)
        for claim, effect in zip(claims, effects, strict=True)
    ]
    table.jobs.endings._end_group([*group])
    found: list[BaseException | None] = []
    for ending, claim, effect in zip(group, claims, effects, strict=True):
        found.append(ending.error)
        if ending.row is None:
            with table.jobs.end(claim, Outcome.done()) as (tx, row):
                effect(tx, row)
    return found
