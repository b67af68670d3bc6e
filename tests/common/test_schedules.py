"""Schedules: each tick is run by one process, whatever its clock says, and again if it dies."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import MetaData, event, func, select

from common.pyportal_common.commands.jobs import job_commands
from common.pyportal_common.db import Audit, Database
from common.pyportal_common.jobs.pauses import PAUSES, Pauses
from common.pyportal_common.jobs.schedules import Schedule, Scheduler
from common.pyportal_common.jobs.store import Backoff
from common.pyportal_common.jobs.ticks import TICKS, Tick, Ticks, add_schedule_tables
from common.pyportal_common.operations import JobOperations, KindOperations

from .waiting import wait_until

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
LEASE = 15.0
AT_ONCE = Backoff(first=0.0, longest=0.0)


class Clock:
    """The two clocks of a process."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.seconds = 0.0

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)
        self.seconds += seconds


class Process:
    """A worker, with a clock of its own."""

    def __init__(self, database: Database, *schedules: Schedule, now: datetime = NOON) -> None:
        self.clock = Clock(now)
        self.scheduler = Scheduler(
            database,
            schedules,
            lease_seconds=LEASE,
            paused=Pauses(database, clock=lambda: self.clock.seconds),
            now=lambda: self.clock.now,
            clock=lambda: self.clock.seconds,
        )

    def work(self, seconds: float = 0.0) -> None:
        """Let time pass, begin what is due, and wait until nothing runs."""
        self.clock.advance(seconds)
        self.begin()
        wait_until(lambda: not self.scheduler._running)

    def begin(self) -> None:
        self.scheduler.look()


@pytest.fixture
def database(sql_url: str) -> Iterator[Database]:
    database = Database(sql_url)
    metadata = MetaData()
    add_schedule_tables(metadata)
    metadata.drop_all(database.engine)
    metadata.create_all(database.engine)
    yield database
    metadata.drop_all(database.engine)
    database.close()


@pytest.fixture
def runs() -> list[str]:
    """The name of each process or schedule that has run a tick."""
    return []


Make = Callable[..., Process]


@pytest.fixture
def make(database: Database, runs: list[str]) -> Make:
    """Makes a process with an hourly schedule that notes the process: make("a", now=…)."""

    def make(name: str = "a", *, now: datetime = NOON, run: Any = None, **options: Any) -> Process:
        run = run or (lambda: runs.append(name))
        options = {"backoff": AT_ONCE, **options}
        return Process(database, Schedule("hourly", "0 * * * *", "UTC", run, **options), now=now)

    return make


def rows(database: Database) -> list[Tick]:
    with database.read() as tx:
        found = tx.execute(select(TICKS).order_by(TICKS.c.tick)).all()
    return [Tick(**row._asdict()) for row in found]


def outcomes(database: Database) -> list[tuple[int, str, int, str | None]]:
    return [(row.tick.hour, row.status, row.attempts, row.error) for row in rows(database)]


class TestTicks:
    def test_a_new_schedule_begins_with_its_next_tick(
        self, make: Make, runs: list[str], database: Database
    ) -> None:
        process = make()
        process.work()
        process.work(3599)
        assert runs == []

        process.work(1)
        process.work(1)

        assert runs == ["a"]
        assert outcomes(database) == [
            (12, "skipped", 0, "The schedule was new"),
            (13, "done", 1, None),
        ]

    def test_each_tick_is_run_by_one_of_many_processes(
        self, make: Make, runs: list[str], database: Database
    ) -> None:
        processes = [make(str(number)) for number in range(6)]
        processes[0].work()
        for hour in range(1, 6):
            barrier = threading.Barrier(len(processes))

            def work(process: Process, barrier: threading.Barrier = barrier) -> None:
                barrier.wait()
                process.work(3600)

            threads = [threading.Thread(target=work, args=(each,)) for each in processes]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(runs) == hour

        assert [each[1] for each in outcomes(database)] == ["skipped"] + ["done"] * 5

    @pytest.mark.parametrize("ahead", [-7200, -3599, -5, 5, 3599, 7200, 86400])
    def test_processes_whose_clocks_differ_run_each_tick_once(
        self, make: Make, runs: list[str], database: Database, ahead: int
    ) -> None:
        right, wrong = make("right"), make("wrong", now=NOON + timedelta(seconds=ahead))
        right.work()
        for _ in range(40):
            wrong.work(600)
            right.work(600)

        ticks = [row for row in rows(database) if row.status == "done"]
        assert len(ticks) == len(runs)
        assert all(row.attempts == 1 for row in ticks)

    @pytest.mark.parametrize("jump", [-90000, -7200, -3600, -30, 30, 3600, 7200, 90000])
    def test_a_clock_that_jumps_and_returns_runs_no_tick_twice(
        self, make: Make, runs: list[str], database: Database, jump: int
    ) -> None:
        steady, jumping = make("steady"), make("jumping")
        for number in range(60):
            for process in (steady, jumping):
                process.work(600)
            if number in (20, 40):
                jumping.clock.now += timedelta(seconds=jump if number == 20 else -jump)

        ticks = [row for row in rows(database) if row.status == "done"]
        assert len(ticks) == len(runs)
        assert all(row.attempts == 1 for row in ticks)
        due = {NOON + timedelta(hours=hour) for hour in range(2, 10)}
        assert due <= {row.tick for row in ticks} | {rows(database)[0].tick}

    def test_the_only_process_goes_on_after_its_clock_was_an_hour_ahead(
        self, make: Make, runs: list[str]
    ) -> None:
        process = make()
        process.work()
        process.clock.now += timedelta(days=30)
        process.work()
        process.clock.now -= timedelta(days=30)

        process.work(3600)

        assert runs == ["a", "a"]

    def test_ticks_are_deleted_and_a_deleted_one_is_never_run_again(
        self, make: Make, runs: list[str], database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("common.pyportal_common.jobs.ticks.KEPT", 5)
        process = make()
        for _ in range(12):
            process.work(3600)
        assert len(rows(database)) <= 6
        runs.clear()

        for hours in range(12):
            make("behind", now=NOON + timedelta(hours=hours)).work()

        assert runs == []

    def test_a_process_with_nothing_to_do_reads_once_per_third_of_a_lease(
        self, make: Make, database: Database
    ) -> None:
        process = make()
        process.work()
        statements: list[str] = []
        event.listen(
            database.engine, "before_cursor_execute", lambda *given: statements.append(given[2])
        )
        for _ in range(600):
            process.clock.advance(1)
            process.begin()

        assert len([each for each in statements if each.startswith("SELECT")]) <= 600 / (LEASE / 3)
        assert all(each.startswith(("SELECT", "BEGIN")) for each in statements)


class TestMissed:
    def test_the_last_of_the_missed_ticks_is_run_once_late(
        self, make: Make, runs: list[str], database: Database
    ) -> None:
        make().work()

        late = make("late", now=NOON + timedelta(hours=5, minutes=20))
        late.work()
        late.work(1)

        assert runs == ["late"]
        assert [(row.tick.hour, row.status) for row in rows(database)] == [
            (12, "skipped"),
            (17, "done"),
        ]

    def test_they_are_skipped_and_shown_if_the_schedule_says_so(
        self, make: Make, runs: list[str], database: Database
    ) -> None:
        make(missed="skip").work()

        late = make(missed="skip", now=NOON + timedelta(hours=5, seconds=61))
        late.work()
        assert runs == []
        late.work(3600 - 61)

        assert runs == ["a"]
        assert outcomes(database)[1:] == [
            (17, "skipped", 0, "No worker began it in time"),
            (18, "done", 1, None),
        ]


class TestFailures:
    def test_it_is_retried_with_backoff_and_then_done(
        self, make: Make, runs: list[str], database: Database
    ) -> None:
        failures = iter([ValueError("secret"), OSError("secret")])

        def run() -> None:
            for failure in failures:
                raise failure
            runs.append("done")

        process = make(run=run, backoff=Backoff(first=40.0, longest=60.0))
        process.work()
        process.work(3600)
        assert outcomes(database)[1] == (13, "waiting", 1, "ValueError")
        due_at = rows(database)[1].due_at
        assert due_at is not None
        assert process.clock.now <= due_at <= process.clock.now + timedelta(seconds=40)
        process.work(60)
        process.work(60)

        assert runs == ["done"]
        assert outcomes(database)[1] == (13, "done", 3, None)

    def test_after_the_last_attempt_it_has_failed_and_the_next_tick_is_run(
        self, make: Make, database: Database, caplog: pytest.LogCaptureFixture
    ) -> None:
        def run() -> None:
            raise ValueError("secret")

        process = make(run=run, attempts=2)
        process.work()
        for _ in range(3):
            process.work(3600 if not outcomes(database)[1:] else 10)

        assert outcomes(database)[1] == (13, "failed", 2, "ValueError, 2 times")
        process.work(3600)
        assert outcomes(database)[2][0] == 14
        assert "The schedule hourly failed" in caplog.text


class TestDeadProcesses:
    def begun(self, make: Make, database: Database) -> Tick:
        """A tick whose process has died while it ran it."""
        make().work()
        tick = Ticks(database).insert("hourly", NOON + timedelta(hours=1), now=NOON)
        assert tick is not None
        return tick

    def test_its_tick_is_run_by_another_after_a_lease(
        self, make: Make, runs: list[str], database: Database
    ) -> None:
        self.begun(make, database)
        other = make("other", now=NOON + timedelta(hours=1))
        other.work()
        other.work(LEASE - 1)
        assert runs == []

        other.work(1 + LEASE / 3)

        assert runs == ["other"]
        assert outcomes(database)[1] == (13, "done", 2, None)

    @pytest.mark.parametrize("ahead", [-86400, 3600, 86400])
    def test_a_clock_that_is_wrong_takes_no_tick_from_a_process_that_lives(
        self, make: Make, runs: list[str], database: Database, ahead: int
    ) -> None:
        ticks = Ticks(database)
        tick: Tick | None = self.begun(make, database)
        other = make("other", now=NOON + timedelta(seconds=3600 + ahead))
        other.clock.now = NOON + timedelta(hours=1)
        for number in range(20):
            assert tick is not None
            tick = ticks.beat(tick)
            if number == 10:
                other.clock.now += timedelta(seconds=ahead)
            other.scheduler._take_over(other.clock.now)
            other.clock.advance(LEASE / 3)

        assert runs == []
        assert tick is not None
        assert ticks.end(tick, "done", now=NOON)

    def test_two_that_take_over_at_once_run_it_once(
        self, make: Make, runs: list[str], database: Database
    ) -> None:
        self.begun(make, database)
        others = [make(name, now=NOON + timedelta(hours=1)) for name in "bcd"]
        for seconds in (0, LEASE + 1):
            for other in others:
                other.clock.advance(seconds)
                other.begin()
        for other in others:
            other.work()

        assert len(runs) == 1

    def test_one_that_was_stopped_and_continues_records_nothing(
        self, make: Make, runs: list[str], database: Database
    ) -> None:
        ticks = Ticks(database)
        tick = self.begun(make, database)
        other = make("other", now=NOON + timedelta(hours=1))
        other.work()
        other.work(LEASE + 1)
        assert runs == ["other"]

        assert ticks.beat(tick) is None
        assert not ticks.end(tick, "failed", now=NOON)
        assert not ticks.retry(tick, "late", due_at=NOON)
        assert outcomes(database)[1] == (13, "done", 2, None)

    def test_a_tick_that_kills_its_processes_fails(
        self, make: Make, runs: list[str], database: Database
    ) -> None:
        ticks = Ticks(database)
        tick: Tick | None = self.begun(make, database)
        for _ in range(4):
            assert tick is not None
            tick = ticks.claim(tick, now=NOON)
        other = make("other", now=NOON + timedelta(hours=1))
        other.work()
        other.work(LEASE + 1)

        assert runs == []
        assert outcomes(database)[1] == (13, "failed", 5, "Its worker died")

    def test_a_tick_that_runs_for_long_keeps_its_lease(
        self, make: Make, runs: list[str], database: Database
    ) -> None:
        may_end = threading.Event()

        def run() -> None:
            may_end.wait(20)
            runs.append("long")

        process, other = make(run=run), make("other")
        for each in (process, other):
            each.work()
            each.clock.advance(3600)
        process.begin()
        for _ in range(20):
            process.clock.advance(LEASE / 3)
            process.begin()
            other.work(LEASE / 3)
        assert runs == []
        may_end.set()
        process.work()

        assert runs == ["long"]
        assert outcomes(database)[1] == (13, "done", 1, None)

    def test_a_process_that_stops_keeps_the_lease_of_a_tick_until_its_end(
        self, make: Make, database: Database
    ) -> None:
        may_end = threading.Event()
        process = make(run=lambda: may_end.wait(20))
        process.work()
        process.clock.advance(3600)
        process.begin()
        stopping = threading.Thread(target=process.scheduler.close, args=[20])
        stopping.start()

        for beats in range(1, 4):
            process.clock.advance(LEASE / 3)
            wait_until(lambda: Ticks(database).open()[0].beats >= beats)  # noqa: B023
        assert stopping.is_alive()
        may_end.set()
        stopping.join()

        assert outcomes(database)[1] == (13, "done", 1, None)

    def test_a_process_that_stops_does_not_wait_for_a_tick_that_hangs(self, make: Make) -> None:
        may_end = threading.Event()
        process = make(run=lambda: may_end.wait(20))
        process.work()
        process.clock.advance(3600)
        process.begin()

        process.scheduler.close(0.1)

        assert process.scheduler._running
        may_end.set()
        process.work()


class TestPauses:
    def test_no_tick_of_a_paused_schedule_begins(
        self, make: Make, runs: list[str], database: Database
    ) -> None:
        pauses, process = Pauses(database), make()
        process.work()
        with database.begin() as tx:
            pauses.pause(tx, "hourly", by="tests")
        for _ in range(5):
            process.work(3600)
        assert runs == []

        with database.begin() as tx:
            pauses.resume(tx, "hourly")
        process.work(60)
        process.work(60)

        assert runs == ["a"]  # the last one that was missed


class TestCommand:
    def test_it_lists_the_last_tick_its_outcome_and_the_next(
        self, make: Make, database: Database
    ) -> None:
        def run() -> None:
            raise ValueError("secret")

        process = make(run=run, attempts=1)
        pauses = Pauses(database)

        audit = Audit(database)
        commands = job_commands(
            JobOperations(database, [], audit),
            KindOperations(database, [], audit, pauses, process.scheduler),
        )

        def listed() -> list[str]:
            """The words of the line, without those that are empty."""
            printed = CliRunner().invoke(commands, ["schedules"]).output
            return printed.splitlines()[-1].split()

        schedule, words = ["hourly", "0", "*", "*", "*", "*", "UTC"], ["2026-05-01", "13:00:00Z"]
        assert listed() == [*schedule, *words, "no"]
        process.work()
        process.work(3600)
        failure = ["failed", "1", "ValueError,", "1", "times"]
        assert listed() == [*schedule, *words, *failure, "2026-05-01", "14:00:00Z", "no"]
        with database.begin() as tx:
            pauses.pause(tx, "hourly", by="tests")
        assert listed()[-1] == "yes"


def test_two_schedules_cannot_have_one_name(database: Database) -> None:
    schedule = Schedule("a", "* * * * *", "UTC", lambda: None)

    with pytest.raises(ValueError, match="same name"):
        Scheduler(database, [schedule, schedule])


def test_a_schedule_that_hangs_delays_no_other(database: Database, runs: list[str]) -> None:
    may_end = threading.Event()

    def hang() -> None:
        may_end.wait(20)

    process = Process(
        database,
        Schedule("hanging", "* * * * *", "UTC", hang),
        Schedule("other", "* * * * *", "UTC", lambda: runs.append("other")),
    )
    process.work()

    def has_run(count: int) -> bool:
        process.begin()
        return len(runs) == count

    for count in range(1, 4):
        process.clock.advance(60)
        wait_until(partial(has_run, count))

    may_end.set()
    process.work()


def test_without_the_tables_nothing_is_paused(database: Database) -> None:
    PAUSES.drop(database.engine)

    assert Pauses(database)() == frozenset()
    PAUSES.create(database.engine)


def test_the_table_has_one_row_a_tick(database: Database) -> None:
    ticks = Ticks(database)

    assert ticks.insert("a", NOON, now=NOON) is not None
    assert ticks.insert("a", NOON, now=NOON) is None
    with database.read() as tx:
        assert tx.scalar(select(func.count()).select_from(TICKS)) == 1
