"""Kinds of jobs that are paused: who may start what, and what is shown."""

import threading
from collections.abc import Callable, Collection, Iterator

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import MetaData

from common.pyportal_common.commands.jobs import job_commands
from common.pyportal_common.db import Audit, Database, add_audit_table
from common.pyportal_common.jobs import JobHandler, JobRunner, JobsMonitor, Outcome, Run
from common.pyportal_common.jobs.dispatcher import Dispatcher
from common.pyportal_common.jobs.heartbeats import add_workers_table
from common.pyportal_common.jobs.outages import SqlOutages
from common.pyportal_common.jobs.pauses import Pauses
from common.pyportal_common.jobs.schedules import Schedule, Scheduler
from common.pyportal_common.jobs.ticks import add_schedule_tables
from common.pyportal_common.operations import JobOperations, KindOperations
from common.pyportal_common.redis_server import free_port
from common.pyportal_common.testing.kit import statements_of

from .operations import Operation, Table


class Time:
    """A clock that tests advance."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def table(sql_url: str) -> Iterator[Table]:
    table = Table(Database(sql_url))
    table.create()
    metadata = MetaData()
    add_schedule_tables(metadata)
    add_audit_table(metadata)
    add_workers_table(metadata)
    metadata.drop_all(table.database.engine)
    metadata.create_all(table.database.engine)
    yield table
    metadata.drop_all(table.database.engine)
    table.drop()
    table.database.close()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def pauses(table: Table, time: Time) -> Pauses:
    """The pauses as another process reads them."""
    return Pauses(table.database, clock=time)


@pytest.fixture
def command(table: Table) -> Callable[..., Result]:
    """Runs a command of an operator: command("pause", "operations")."""
    database = table.database
    nightly = Schedule("nightly", "0 3 * * *", "UTC", lambda: None)
    scheduler, pauses = Scheduler(database, [nightly]), Pauses(database)
    audit, kinds = Audit(database), [table.jobs]
    commands = job_commands(
        JobOperations(database, kinds, audit),
        KindOperations(database, kinds, audit, pauses, scheduler),
    )
    return lambda *words: CliRunner().invoke(commands, words)


def finish(run: Run[Operation]) -> None:
    with run.transaction(Outcome.done()):
        pass


def look_for_jobs(table: Table, pauses: Pauses, handler: JobHandler = finish) -> None:
    """Do what a worker does when it is woken, and wait for the jobs that it has begun."""
    looks = threading.Semaphore(0)

    def paused() -> Collection[str]:
        looks.release()
        return pauses()

    runner = JobRunner(table.jobs, handler)
    dispatcher = Dispatcher([runner], SqlOutages(), threads=1, paused=paused)
    dispatcher.start()
    for _ in range(2):  # the first one is done when the second begins
        dispatcher.wake()
        assert looks.acquire(timeout=10)
    dispatcher.stop()
    dispatcher.join(10)


def test_no_job_of_a_paused_kind_starts_from_the_next_second_on(
    table: Table, pauses: Pauses, time: Time, command: Callable[..., Result]
) -> None:
    first = table.put_one()
    look_for_jobs(table, pauses)
    assert command("pause", "operations").exit_code == 0

    time.seconds += 1
    second = table.put_one()
    look_for_jobs(table, pauses)
    assert [table.status(each) for each in (first, second)] == ["completed", "pending"]

    command("resume", "operations")
    look_for_jobs(table, pauses)
    assert table.status(second) == "pending"
    time.seconds += 1
    look_for_jobs(table, pauses)
    assert table.status(second) == "completed"


def test_a_running_job_finishes(
    table: Table, pauses: Pauses, command: Callable[..., Result]
) -> None:
    job_id = table.put_one()

    def pause_and_finish(run: Run[Operation]) -> None:
        command("pause", "operations")
        finish(run)

    look_for_jobs(table, pauses, pause_and_finish)

    assert table.status(job_id) == "completed"


def test_a_process_reads_them_once_a_second(table: Table, pauses: Pauses, time: Time) -> None:
    statements = statements_of(table.database)

    for _ in range(100):
        pauses()
        time.seconds += 0.05

    assert len([each for each in statements if each.startswith("SELECT")]) == 5


def test_while_sql_is_down_the_last_ones_hold() -> None:
    nowhere = Database(f"postgresql+psycopg://portal@127.0.0.1:{free_port()}/postgres")

    assert Pauses(nowhere)() == frozenset()


def test_a_paused_kind_is_shown_as_paused_and_not_as_late(
    table: Table, command: Callable[..., Result]
) -> None:
    job_id = table.put_one()
    with table.database.begin() as tx:
        row = tx.get_one(Operation, job_id)
        row.due_at = row.created_at.replace(year=2001)

    def monitor() -> JobsMonitor:
        return JobsMonitor(table.database, [table.jobs], silent_seconds=15, late_seconds=60)

    def gauges() -> dict[str, float]:
        return {
            f"{sample.name}/{sample.labels.get('kind')}": sample.value
            for metric in monitor().collect()
            for sample in metric.samples
        }

    assert monitor().states()["jobs"] == "late"
    assert gauges()["job_oldest_due_seconds/operations"] > 60
    assert "job_kind_paused/operations" not in gauges()

    command("pause", "operations")
    assert monitor().states()["jobs"] == "paused"
    assert gauges()["job_oldest_due_seconds/operations"] == 0
    assert gauges()["job_kind_paused/operations"] == 1

    command("resume", "operations")
    assert monitor().states()["jobs"] == "late"


def test_the_statistics_show_what_waits_and_runs_and_who_has_paused_what(
    table: Table, command: Callable[..., Result]
) -> None:
    table.put_one()
    table.put_one()
    table.claim(table.put_one())
    [counted] = [line for line in command("stats").output.splitlines() if "operations" in line]
    assert counted.split()[:3] == ["operations", "2", "1"]

    command("pause", "operations", "--reason", "the airline is down", "--by", "jane")
    last = command("stats").output.splitlines()[-1]

    assert last.startswith("operations paused 20")
    assert last.endswith("Z by jane: the airline is down")


def test_a_pause_can_be_repeated_and_keeps_its_time(
    table: Table, command: Callable[..., Result]
) -> None:
    pauses = Pauses(table.database)
    command("pause", "operations", "--reason", "one")
    [before] = pauses.all()
    command("pause", "operations", "--reason", "two")

    [after] = pauses.all()
    assert (after.paused_at, after.reason) == (before.paused_at, "two")
    assert after.paused_by


def test_unknown_kinds_and_kinds_that_are_not_paused_are_refused(
    command: Callable[..., Result],
) -> None:
    unknown, not_paused = command("pause", "nothing"), command("resume", "nightly")

    assert unknown.exit_code == 2
    assert "'operations', 'nightly'" in unknown.output
    assert not_paused.exit_code == 1
    assert "no paused kind nightly" in not_paused.output


def test_a_paused_kind_that_this_release_does_not_know_can_be_resumed(
    table: Table, command: Callable[..., Result]
) -> None:
    """Otherwise /health says "paused" for good."""
    pauses = Pauses(table.database)
    with table.database.begin() as tx:
        pauses.pause(tx, "removed", by="jane")

    resumed = command("resume", "removed")

    assert resumed.exit_code == 0, resumed.output
    assert pauses.all() == []
