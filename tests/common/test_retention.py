"""Deleting old rows: what is deleted, in which steps, and what happens at a crash."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, func, insert, select

from common.pyportal_common.db import Database
from common.pyportal_common.db.batches import delete_created_before

from .operations import Effect, Operation, Table, new_operation
from .retention_process import ROWS, delete_old

ROOT = Path(__file__).parents[2]
OLD = 35  # operations: four steps, of which the last is not full

NOW = datetime.now(UTC)
YEARS_AGO = NOW - timedelta(days=800)


@pytest.fixture
def table(sql_url: str) -> Iterator[Table]:
    """Old operations that have ended, each with an effect, and a new one."""
    table = Table(Database(sql_url))
    table.create()
    table.put(*(new_operation() for _ in range(OLD)))
    with table.database.begin() as tx:
        for row in tx.scalars(select(Operation)):
            row.created_at = YEARS_AGO
            row.apply(row.ended(YEARS_AGO, "completed"))
        tx.execute(insert(Effect), [{"operation_id": n + 1, "by": ""} for n in range(OLD)])
    table.put_one()
    yield table
    table.drop()
    table.database.close()


def ids(table: Table, column: Any = Operation.id) -> list[int]:
    with table.database.read() as tx:
        return list(tx.scalars(select(column).order_by(column)))


def test_old_rows_are_deleted_with_what_refers_to_them(table: Table) -> None:
    assert delete_old(table.database, NOW) == OLD

    assert ids(table) == [OLD + 1]
    assert ids(table, Effect.operation_id) == []


def test_each_transaction_deletes_few_rows(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[int] = []
    monkeypatch.setattr(
        "common.pyportal_common.db.batches.time.sleep", lambda _: left.append(len(ids(table)))
    )

    delete_old(table.database, NOW)

    assert left == [26, 16, 6, 1]


def test_other_writers_write_between_two_transactions(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    monkeypatch.setattr(
        "common.pyportal_common.db.batches.time.sleep", lambda _: written.append(table.put_one())
    )

    delete_old(table.database, NOW)

    assert ids(table) == [OLD + 1, *written]
    assert len(written) == 4


def test_a_call_ends_in_time_and_the_next_one_goes_on(table: Table) -> None:
    old = (table.database, Operation, NOW - timedelta(days=365))

    assert (
        delete_created_before(*old, referring=[Effect.operation_id], rows=ROWS, longest_seconds=0)
        == ROWS
    )

    assert ids(table) == list(range(ROWS + 1, OLD + 2))
    assert delete_old(table.database, NOW) == OLD - ROWS


@pytest.mark.parametrize("killed_at", [1, 3])
def test_a_run_that_is_killed_goes_on_where_it_stopped(table: Table, killed_at: int) -> None:
    url = table.database.engine.url.render_as_string(hide_password=False)
    command = [sys.executable, "-m", "tests.common.retention_process", url, str(killed_at)]

    killed = subprocess.run(command, cwd=ROOT, env=os.environ, check=False)

    assert killed.returncode == -signal.SIGKILL
    deleted = (killed_at - 1) * ROWS
    assert ids(table) == list(range(deleted + 1, OLD + 2))
    assert ids(table, Effect.operation_id) == list(range(deleted + 1, OLD + 1))
    assert delete_old(table.database, NOW) == OLD - deleted
    assert ids(table) == [OLD + 1]


def test_rows_that_are_not_to_be_deleted_are_passed_over(table: Table) -> None:
    kept = range(1, 2 * ROWS + 1)  # whole steps

    delete_created_before(
        table.database, Operation, NOW - timedelta(days=365), Operation.id.not_in(kept), rows=ROWS
    )

    assert ids(table) == [*kept, OLD + 1]


def test_an_old_job_that_has_not_ended_is_kept(table: Table) -> None:
    with table.database.begin() as tx:
        waiting = tx.get_one(Operation, 3)
        waiting.forget_attempts()
        waiting.apply(waiting.waiting(NOW))

    assert delete_old(table.database, NOW) == OLD - 1

    assert ids(table) == [3, OLD + 1]


def test_rows_are_found_behind_some_that_a_wrong_clock_has_dated(table: Table) -> None:
    with table.database.begin() as tx:
        for row in tx.scalars(select(Operation).where(Operation.id <= 2 * ROWS)):
            row.created_at = NOW + timedelta(days=800)

    assert delete_old(table.database, NOW) == OLD - 2 * ROWS

    assert ids(table) == [*range(1, 2 * ROWS + 1), OLD + 1]


def test_few_rows_after_the_last_old_one_are_read(table: Table) -> None:
    table.put(*(new_operation() for _ in range(5 * ROWS)))
    read: list[int] = []

    event.listen(table.database.engine, "before_cursor_execute", lambda *_: read.append(1))
    delete_old(table.database, NOW)
    few = len(read)
    table.put(*(new_operation() for _ in range(5 * ROWS)))
    read.clear()
    delete_old(table.database, NOW)

    assert len(read) < few


def test_a_row_that_another_transaction_has_locked_is_left_to_the_next_call(
    table: Table, sql_kind: str
) -> None:
    if sql_kind == "sqlite":
        pytest.skip("SQLite has one writer at a time, so no row is locked")
    with table.database.begin() as tx:
        tx.scalars(select(Operation).where(Operation.id == 5).with_for_update()).one()

        assert delete_old(table.database, NOW) == OLD - 1

    assert delete_old(table.database, NOW) == 1
    with table.database.read() as tx:
        assert tx.scalar(select(func.count()).select_from(Effect)) == 0
