"""What operators do with jobs: each act has its count and its entry in the audit log."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import MetaData, event, select, update

from common.pyportal_common.commands import jobs as command_line
from common.pyportal_common.commands.jobs import job_commands
from common.pyportal_common.db import Act, Actor, Audit, AuditFilter, Database, InvalidCursor
from common.pyportal_common.db.audit import AUDIT, add_audit_table
from common.pyportal_common.jobs.pauses import Pauses
from common.pyportal_common.jobs.schedules import Schedule, Scheduler
from common.pyportal_common.jobs.ticks import add_schedule_tables
from common.pyportal_common.operations import (
    JobFilter,
    JobOperations,
    KindOperations,
    NotFiltered,
    Unknown,
    moment_of,
    selection,
)
from common.pyportal_common.operations import kinds as kinds_module
from common.pyportal_common.testing.kit import statements_of

from .operations import Operation, Table, new_operation

JANE = Actor("jane", "request-1")
NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)


@pytest.fixture
def table(sql_url: str) -> Iterator[Table]:
    table = Table(Database(sql_url))
    table.create()
    metadata = MetaData()
    add_schedule_tables(metadata)
    add_audit_table(metadata)
    metadata.drop_all(table.database.engine)
    metadata.create_all(table.database.engine)
    yield table
    metadata.drop_all(table.database.engine)
    table.drop()
    table.database.close()


@pytest.fixture
def audit(table: Table) -> Audit:
    return Audit(table.database)


@pytest.fixture
def operations(table: Table, audit: Audit) -> JobOperations:
    return JobOperations(table.database, [table.jobs], audit)


@pytest.fixture
def kinds(table: Table, audit: Audit) -> KindOperations:
    scheduler = Scheduler(table.database, [Schedule("nightly", "0 3 * * *", "UTC", lambda: None)])
    return KindOperations(table.database, [table.jobs], audit, Pauses(table.database), scheduler)


def put_failed(
    table: Table,
    count: int = 1,
    *,
    error: str = "It rains",
    created: datetime | None = None,
    **options: Any,
) -> list[int]:
    ids = table.put(*(new_operation(**options) for _ in range(count)))
    with table.database.begin() as tx:
        for row in tx.scalars(select(Operation).where(Operation.id.in_(ids))):
            row.apply(row.ended(row.created_at, "failed", error))
            row.created_at = created or row.created_at
    return ids


def of(**wanted: object) -> JobFilter:
    return JobFilter("operations", **wanted)  # type: ignore[arg-type]


def ids_of(operations: JobOperations, **wanted: object) -> list[int]:
    return [job.id for job in operations.page(of(**wanted)).items]


def test_an_act_ends_after_a_number(table: Table, operations: JobOperations, audit: Audit) -> None:
    ids = put_failed(table, 230)

    act = operations.to_retry(of(), every=True)
    counts = [act.run(JANE, at_most=most) for most in (0, 1, 150, 1000)]

    assert counts == [0, 1, 150, 79]
    assert [entry.count for entry in audit.page().items] == [79, 150, 1]
    assert len(ids_of(operations, status="failed")) == 0
    assert len(ids) == sum(counts)


class TestList:
    def test_the_newest_come_first_in_pages(self, table: Table, operations: JobOperations) -> None:
        ids = table.put(*(new_operation() for _ in range(5)))

        first = operations.page(of(), limit=3)
        second = operations.page(of(), limit=3, cursor=first.next)

        assert [[job.id for job in page.items] for page in (first, second)] == [
            ids[:1:-1],
            ids[1::-1],
        ]
        assert second.next is None

    def test_a_page_that_ends_at_the_last_job_has_no_cursor(
        self, table: Table, operations: JobOperations
    ) -> None:
        table.put(*(new_operation() for _ in range(3)))

        assert operations.page(of(), limit=3).next is None

    def test_by_state_user_and_id(self, table: Table, operations: JobOperations) -> None:
        [failed, other] = put_failed(table, 2, user_id=7)
        waiting = table.put_one(user_id=7)
        table.put_one(user_id=8)

        assert ids_of(operations, status="failed") == [other, failed]
        assert ids_of(operations, user_id=7) == [waiting, other, failed]
        assert ids_of(operations, user_id=7, status="pending") == [waiting]
        assert ids_of(operations, ids=(failed, waiting, 10**6)) == [waiting, failed]
        assert ids_of(operations, ids=()) == []

    def test_by_time(self, table: Table, operations: JobOperations) -> None:
        hours = {hour: put_failed(table, 2, created=NOON + hour * HOUR) for hour in range(5)}

        assert ids_of(operations, since=NOON + 3 * HOUR) == [*reversed(hours[3] + hours[4])]
        assert ids_of(operations, until=NOON + HOUR) == [*reversed(hours[0])]
        assert ids_of(operations, since=NOON + HOUR, until=NOON + 2 * HOUR) == hours[1][::-1]
        assert ids_of(operations, since=NOON + 5 * HOUR) == []
        assert ids_of(operations, until=NOON) == []
        assert ids_of(operations, status="failed", since=NOON - HOUR, until=NOON + HOUR)

    def test_rows_whose_ids_are_not_quite_in_order_of_time(
        self, table: Table, operations: JobOperations
    ) -> None:
        late = [put_failed(table, created=NOON + 5 * SECOND)[0] for _ in range(20)]
        early = [put_failed(table, created=NOON - 5 * SECOND)[0] for _ in range(20)]
        late += [put_failed(table, created=NOON + 5 * SECOND)[0] for _ in range(20)]

        assert ids_of(operations, since=NOON) == late[::-1]
        assert ids_of(operations, until=NOON) == early[::-1]

    def test_by_a_text_in_the_error(self, table: Table, operations: JobOperations) -> None:
        [rain] = put_failed(table, error="It RAINS: 100%_sure")
        put_failed(table, error="It snows")
        table.put_one()

        for text in ("rains", "100%_", "It RAINS: 100%_sure"):
            assert ids_of(operations, error=text) == [rain]
        assert ids_of(operations, error="1%s") == []
        assert ids_of(operations, error="t_r") == []
        assert ids_of(operations, error="snows", status="pending") == []

    def test_a_step_examines_no_more_than_a_part_and_says_where_to_go_on(
        self, table: Table, operations: JobOperations, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(selection, "_EXAMINED", 4)
        found = [
            put_failed(table, error="snow")[0],
            *put_failed(table, 10),
        ]
        found = [found[0], *put_failed(table, 3, error="snow")]
        wanted, pages, cursor = of(error="snow"), [], None

        while True:
            page = operations.page(wanted, cursor=cursor)
            pages.append([job.id for job in page.items])
            cursor = page.next
            if cursor is None:
                break

        assert [each for page in pages for each in page] == found[::-1]
        assert [] in pages
        assert operations.to_retry(wanted).run(JANE) == len(found)

    def test_a_step_examines_only_rows_of_the_time(
        self, table: Table, operations: JobOperations, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(selection, "_EXAMINED", 2)
        [wanted] = put_failed(table, created=NOON, error="snow")
        put_failed(table, 10, created=NOON + HOUR, error="snow")

        for error in (None, "snow"):
            assert ids_of(operations, until=NOON + 0.5 * HOUR, error=error) == [wanted]

    def test_a_filter_that_cannot_be_right_is_refused(self) -> None:
        for wanted in ({"error": ""}, {"error": " "}, {"ids": tuple(range(1001))}):
            with pytest.raises(ValueError, match=r"at most|empty"):
                of(**wanted)

    def test_a_job_is_shown_without_its_content(
        self, table: Table, operations: JobOperations
    ) -> None:
        [job_id] = put_failed(table, user_id=7)

        shown = operations.show("operations", job_id)

        assert (shown.type, shown.status, shown.error, shown.user_id) == (
            "ok",
            "failed",
            "It rains",
            7,
        )

    @pytest.mark.parametrize("cursor", ["", "x", "-1", "1.5", "²", str(2**63), "1 OR 1=1"])
    def test_a_cursor_that_no_page_has_returned_is_refused(
        self, operations: JobOperations, cursor: str
    ) -> None:
        with pytest.raises(InvalidCursor):
            operations.page(of(), cursor=cursor)

    def test_unknown_kinds_states_and_jobs_are_named(self, operations: JobOperations) -> None:
        with pytest.raises(Unknown, match="nothing: choose from operations"):
            operations.page(JobFilter("nothing"))
        with pytest.raises(Unknown, match="bad: choose from pending, processing"):
            operations.page(of(status="bad"))
        for job_id in (0, -1, 17, 2**80):
            with pytest.raises(Unknown, match="operations"):
                operations.show("operations", job_id)


class TestActs:
    def test_failed_jobs_are_retried_by_a_filter(
        self, table: Table, operations: JobOperations, audit: Audit
    ) -> None:
        mine, others = put_failed(table, 250, user_id=7), put_failed(table, 2, user_id=8)
        assert operations.to_retry(of(user_id=7)).count() == 250

        assert operations.to_retry(of(user_id=7)).run(JANE) == 250

        assert {table.status(each) for each in mine} == {"pending"}
        assert {table.status(each) for each in others} == {"failed"}
        [entry] = audit.page().items
        assert (entry.actor, entry.request_id) == ("jane", "request-1")
        assert (entry.action, entry.target, entry.count) == ("jobs retry", "operations", 250)
        assert entry.filter == {"user_id": 7}

    def test_they_are_retried_by_their_time_and_error(
        self, table: Table, operations: JobOperations, audit: Audit
    ) -> None:
        put_failed(table, 120, created=NOON)
        snowed = put_failed(table, 120, created=NOON + HOUR, error="It snows")
        rained = put_failed(table, 120, created=NOON + HOUR)
        wanted = of(since=NOON + HOUR / 2, error="rains")
        assert operations.to_retry(wanted).count() == 120

        assert operations.to_retry(wanted).run(JANE) == 120

        assert {table.status(each) for each in rained} == {"pending"}
        assert {table.status(each) for each in snowed} == {"failed"}
        [entry] = audit.page().items
        assert entry.filter == {"since": "2026-11-26T12:30:00+00:00", "error": "rains"}

    def test_a_retried_job_begins_anew(self, table: Table, operations: JobOperations) -> None:
        [job_id] = put_failed(table)

        operations.to_retry(of(ids=(job_id,))).run(JANE)

        shown = operations.show("operations", job_id)
        assert (shown.attempts, shown.error, shown.finished_at) == (0, None, None)
        assert table.try_to_claim(job_id)

    def test_waiting_jobs_are_cancelled_and_running_ones_asked_to_end(
        self, table: Table, operations: JobOperations, audit: Audit
    ) -> None:
        waiting, running, failed = table.put_one(), table.put_one(), put_failed(table)[0]
        table.claim(running)
        act = operations.to_cancel(of(), every=True)
        assert act.count() == 2

        assert act.run(JANE) == 2

        assert [table.status(each) for each in (waiting, running, failed)] == [
            "cancelled",
            "processing",
            "failed",
        ]
        assert operations.show("operations", running).cancel_requested_at
        assert [entry.count for entry in audit.page().items] == [2]

    def test_running_jobs_are_asked_to_end_once(
        self, table: Table, operations: JobOperations, audit: Audit
    ) -> None:
        ids = table.put(*(new_operation() for _ in range(130)))
        assert len(table.jobs.claim(130)) == 130

        act = operations.to_cancel(of(status="processing"))
        asked = [act.run(JANE, at_most=120) for _ in range(3)]

        assert asked == [120, 10, 0]
        assert operations.to_cancel(of(), every=True).count() == 0
        assert all(operations.show("operations", each).cancel_requested_at for each in ids)
        assert [entry.count for entry in audit.page().items] == [10, 120]

    def test_the_command_does_not_ask_running_jobs_to_end_again(
        self, table: Table, operations: JobOperations, kinds: KindOperations
    ) -> None:
        table.claim(table.put_one())
        words = ["cancel", "operations", "--all", "--yes"]

        said = [CliRunner().invoke(job_commands(operations, kinds), words).output for _ in range(2)]

        assert said == ["1 operation cancelled\n", "0 operations cancelled\n"]

    def test_an_act_has_a_filter_or_is_on_all_jobs_of_the_kind(
        self, operations: JobOperations
    ) -> None:
        for act in (operations.to_retry, operations.to_cancel):
            with pytest.raises(NotFiltered):
                act(of())
            with pytest.raises(NotFiltered):
                act(of(user_id=7), every=True)

    def test_states_in_which_an_act_does_nothing_are_refused(
        self, operations: JobOperations
    ) -> None:
        with pytest.raises(Unknown, match="choose from failed, cancelled"):
            operations.to_retry(of(status="completed"))
        with pytest.raises(Unknown, match="choose from pending, processing"):
            operations.to_cancel(of(status="failed"))

    def test_an_act_on_nothing_leaves_no_entry(
        self, operations: JobOperations, audit: Audit
    ) -> None:
        assert operations.to_retry(of(ids=(17,))).run(JANE) == 0
        assert audit.page().items == []

    def test_without_its_entry_nothing_is_done(
        self, table: Table, operations: JobOperations
    ) -> None:
        [job_id] = put_failed(table)
        AUDIT.drop(table.database.engine)

        with pytest.raises(Exception, match="audit"):
            operations.to_retry(of(ids=(job_id,))).run(JANE)

        assert table.status(job_id) == "failed"

    def test_the_entry_counts_what_is_done_when_an_act_dies_between_batches(
        self, table: Table, operations: JobOperations, audit: Audit
    ) -> None:
        put_failed(table, 150)
        commits = 0

        def die(_: object) -> None:
            nonlocal commits
            commits += 1
            if commits == 2:
                raise KeyboardInterrupt

        event.listen(table.database.engine, "commit", die)
        with pytest.raises(KeyboardInterrupt):
            operations.to_retry(of(status="failed")).run(JANE)
        event.remove(table.database.engine, "commit", die)

        assert [entry.count for entry in audit.page().items] == [100]
        assert operations.to_retry(of(status="failed")).count() == 50

    def test_a_job_that_fails_again_meanwhile_is_retried_once(
        self, table: Table, operations: JobOperations, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put_failed(table, 3)

        def fail_all() -> None:
            with table.database.begin() as tx:
                for row in tx.scalars(select(Operation).where(Operation.status == "pending")):
                    row.apply(row.ended(row.created_at, "failed"))

        monkeypatch.setattr(table.jobs, "wake_workers", fail_all)

        assert operations.to_retry(of(status="failed")).run(JANE) == 3


class TestPauses:
    def test_a_pause_and_its_end_are_recorded(self, kinds: KindOperations, audit: Audit) -> None:
        kinds.pause(JANE, "operations", reason="The airline is down")
        [stats] = kinds.stats()
        assert stats.paused
        assert (stats.paused.paused_by, stats.paused.reason) == ("jane", "The airline is down")

        kinds.resume(JANE, "operations")

        assert kinds.pauses() == []
        actions = [(each.action, each.target) for each in audit.page().items]
        assert actions == [("jobs resume", "operations"), ("jobs pause", "operations")]

    def test_a_schedule_can_be_paused_and_nothing_else(self, kinds: KindOperations) -> None:
        kinds.pause(JANE, "nightly")

        with pytest.raises(Unknown, match="choose from operations, nightly"):
            kinds.pause(JANE, "nothing")
        with pytest.raises(Unknown, match="paused"):
            kinds.resume(JANE, "operations")


def test_stats_count_what_waits_runs_and_has_failed(table: Table, kinds: KindOperations) -> None:
    put_failed(table, 3)
    table.put(new_operation(), new_operation())
    table.claim(table.put_one())

    [stats] = kinds.stats()

    assert (stats.waiting, stats.running, stats.failed) == (2, 1, 3)


def test_counts_that_stopped_are_marked_for_people(
    table: Table, operations: JobOperations, kinds: KindOperations, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_failed(table, 3)
    table.put_one()
    for module in (kinds_module, command_line):
        monkeypatch.setattr(module, "MAX_COUNTED", 2)
    commands = command_line.job_commands(operations, kinds)

    for_people = CliRunner().invoke(commands, ["stats"]).stdout
    for_programs = CliRunner().invoke(commands, ["stats", "--json"]).stdout

    row = for_people.splitlines()[2].split()
    assert row[:4] == ["operations", "1", "0", "2+"]
    assert json.loads(for_programs)["kinds"][0]["failed"] == 2


class TestAudit:
    def test_entries_are_found_by_actor_action_and_target(
        self, kinds: KindOperations, audit: Audit
    ) -> None:
        kinds.pause(JANE, "operations")
        kinds.pause(Actor("john"), "nightly")

        def found(**wanted: Any) -> list[str]:
            return [each.target for each in audit.page(AuditFilter(**wanted)).items]

        assert found(actor="jane") == ["operations"]
        assert found(action="jobs pause") == ["nightly", "operations"]
        assert found(target="nightly", actor="john") == ["nightly"]
        assert found(actor="nobody") == []

    @pytest.mark.parametrize(
        ("wanted", "without_index"),
        [
            ({"actor": "john", "target": "tasks"}, {"+audit.target"}),
            ({"actor": "jane", "target": "events"}, {"+audit.actor"}),
            (
                {"actor": "jane", "action": "jobs pause", "target": "events"},
                {"+audit.actor", "+audit.action"},
            ),
            ({"actor": "jane"}, set()),
        ],
    )
    def test_the_index_of_the_rarest_value_is_used(
        self, table: Table, audit: Audit, wanted: dict[str, str], without_index: set[str]
    ) -> None:
        for actor, target in (("jane", "tasks"), ("jane", "tasks"), ("jane", "events")):
            audit.record_first(Actor(actor), Act("jobs pause", target))
        audit.record_first(Actor("john"), Act("jobs pause", "tasks"))
        statements = statements_of(table.database)

        page = audit.page(AuditFilter(**wanted))  # type: ignore[arg-type]

        found = set(re.findall(r"\+audit\.\w+", statements[-1]))
        assert len(page.items) == (1 if without_index else 3)
        is_sqlite = table.database.engine.dialect.name == "sqlite"
        assert found == (without_index if is_sqlite else set())  # PostgreSQL has statistics

    def test_by_time(self, table: Table, audit: Audit) -> None:
        for hour in range(5):
            audit.record_first(JANE, Act("jobs retry", str(hour)))
        with table.database.begin() as tx:
            for hour, entry in enumerate(reversed(audit.page().items)):
                moved = update(AUDIT).where(AUDIT.c.id == entry.id)
                tx.execute(moved.values(at=NOON + hour * HOUR))

        def found(**wanted: Any) -> list[str]:
            return [each.target for each in audit.page(AuditFilter(**wanted)).items]

        assert found(since=NOON + 3 * HOUR) == ["4", "3"]
        assert found(until=NOON + HOUR) == ["0"]
        assert found(actor="jane", since=NOON + HOUR, until=NOON + 2 * HOUR) == ["1"]

    def test_pages(self, kinds: KindOperations, audit: Audit) -> None:
        for _ in range(3):
            kinds.pause(JANE, "operations")

        first = audit.page(limit=2)
        second = audit.page(limit=2, cursor=first.next)

        assert [len(page.items) for page in (first, second)] == [2, 1]
        assert second.next is None


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2h", NOON - 2 * HOUR),
        ("90m", NOON - 1.5 * HOUR),
        ("30s", NOON - 30 * SECOND),
        (" 7d ", NOON - 7 * 24 * HOUR),
        ("2026-11-26T12:00", NOON),
        ("2026-11-26T13:00+01:00", NOON),
        ("2026-11-26T12:00:00Z", NOON),
        ("2026-11-26", NOON - 12 * HOUR),
    ],
)
def test_a_time_as_operators_write_it(text: str, moment: datetime) -> None:
    assert moment_of(text, NOON) == moment


@pytest.mark.parametrize(
    "text",
    ["", "h", "2", "-2h", "2w", "²h", "999999d", "9999999h", "noon", "0001-01-01T00:00+23:00",
     "0001-01-01", "9999-12-31T23:59:59Z"],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no time: write 2h"):
        moment_of(text, NOON)


@pytest.mark.parametrize("text", ["2026-11-26T12:00", "2026-11-26"])
def test_a_time_without_a_zone_is_refused_where_it_needs_one(text: str) -> None:
    with pytest.raises(ValueError, match="is no time"):
        moment_of(text, NOON, zone=None)
    assert moment_of("2026-11-26T13:00+01:00", NOON, zone=None) == NOON


@pytest.mark.parametrize("text", ["0002-01-01", "9998-12-31T23:59:59Z"])
def test_the_first_and_last_times_can_be_looked_for(operations: JobOperations, text: str) -> None:
    moment = moment_of(text)

    assert ids_of(operations, since=moment, until=moment) == []


@pytest.mark.parametrize(
    ("count", "asked", "done"),
    [
        (1, "Retry 1 operation?", "1 operation retried"),
        (2, "Retry 2 operations?", "2 operations retried"),
    ],
)
def test_commands_ask_and_answer_in_plain_english(
    table: Table,
    operations: JobOperations,
    kinds: KindOperations,
    count: int,
    asked: str,
    done: str,
) -> None:
    put_failed(table, count)

    result = CliRunner().invoke(
        job_commands(operations, kinds), ["retry", "operations", "--all"], input="y\n"
    )

    assert result.output == f"{asked} [y/N]: y\n{done}\n"
