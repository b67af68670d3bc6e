"""Migrations keep the rows of the tables that they change. SQLite copies those tables."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import alembic.command
import pytest
from sqlalchemy import Engine, create_engine, inspect, select, text

from app import MIGRATIONS
from app.models import Flight, Task
from common.pyportal_common.db import Database
from common.pyportal_common.db.migrations import check, config_of
from common.pyportal_common.jobs import Jobs

TASK = """
INSERT INTO tasks (id, reference, user_id, task_type, parameters, details, idempotency_key,
                   status, priority, progress, attempts, created_at, updated_at)
VALUES (7, 'TASK-7', 1, 'data_export', '{}', '{}', 'digest',
        'completed', 'normal', 100, 1, '2030-01-31 12:00:00', '2030-01-31 12:00:00')
"""
_COLUMNS = """id, reference, user_id, task_type, parameters, details, status, priority, progress,
    created_at, updated_at, attempts, due_at, send_at, lease_token, lease_until"""
_MOMENT = "'2020-01-31 12:00:00.000000'"
_VALUES = f"1, 'data_export', '{{}}', '{{}}', '%s', 'low', 0, {_MOMENT}, {_MOMENT}"
WAITING = f"""
INSERT INTO tasks ({_COLUMNS}) VALUES (8, 'TASK-8', {_VALUES % "pending"},
    0, {_MOMENT}, {_MOMENT}, NULL, NULL)
"""
RUNNING = f"""
INSERT INTO tasks ({_COLUMNS}) VALUES (9, 'TASK-9', {_VALUES % "processing"},
    1, NULL, NULL, 'token', {_MOMENT})
"""
FLIGHT = """
INSERT INTO flights (flight_number, origin, destination, departs_at, total_seats, available_seats,
                     created_at, updated_at)
VALUES ('{number}', 'LIS', 'OSL', '{moment}', 1, 1, '{moment}', '{moment}')
"""
PART = """
INSERT INTO file_parts (task_id, number, content, created_at)
VALUES (7, 0, '', '2030-01-31 12:00:00')
"""


@pytest.fixture
def sql_url(tmp_path: Path) -> str:
    """The URL of a new database."""
    return f"sqlite:///{tmp_path / 'old.sqlite3'}"


@pytest.fixture
def engine(sql_url: str) -> Iterator[Engine]:
    """A database with the schema of revision 0002."""
    alembic.command.upgrade(config_of(sql_url, MIGRATIONS), "0002")
    engine = create_engine(sql_url)
    with engine.begin() as connection:
        connection.execute(text(TASK))
        connection.execute(text(PART))
    yield engine
    engine.dispose()


def test_keys_move_and_tasks_stay_with_what_belongs_to_them(engine: Engine, sql_url: str) -> None:
    indexes = {index["name"] for index in inspect(engine).get_indexes("tasks")}

    alembic.command.upgrade(config_of(sql_url, MIGRATIONS), "head")

    check(sql_url, MIGRATIONS)
    assert indexes - {index["name"] for index in inspect(engine).get_indexes("tasks")} <= {
        "uq_tasks_user_id_idempotency_key",
        "ix_tasks_priority_send_at",
    }
    with engine.connect() as connection:
        assert connection.execute(text("SELECT id, reference FROM tasks")).all() == [(7, "TASK-7")]
        assert connection.execute(text("SELECT task_id FROM file_parts")).all() == [(7,)]
        assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
        (table,) = connection.execute(
            text("SELECT sql FROM sqlite_master WHERE name = 'tasks'")
        ).scalars()
        assert "AUTOINCREMENT" in table
        partial = text("SELECT name FROM sqlite_master WHERE sql LIKE '%IS NOT NULL'")
        assert set(connection.execute(partial).scalars()) >= {
            "ix_tasks_turn_due_at",
            "ix_tasks_lease_until",
        }


def test_jobs_of_the_former_version_go_on(sql_url: str) -> None:
    alembic.command.upgrade(config_of(sql_url, MIGRATIONS), "0005")
    database = Database(sql_url)
    with database.engine.begin() as connection:
        connection.execute(text(WAITING))
        connection.execute(text(RUNNING))

    alembic.command.upgrade(config_of(sql_url, MIGRATIONS), "head")

    limits: dict[str, Any] = {"time_limit": lambda _: 60.0, "type_of": lambda _: "task"}
    jobs = Jobs(database, Task, kind="tasks", **limits)
    assert (jobs.make_due(), jobs.recover()) == (1, 1)
    [claim] = jobs.claim(10)
    with database.read() as tx:
        assert (claim.row.id, tx.get_one(Task, 9).attempts) == (8, 1)
    database.close()


def test_the_migration_can_be_taken_back(engine: Engine, sql_url: str) -> None:
    alembic.command.upgrade(config_of(sql_url, MIGRATIONS), "head")
    alembic.command.downgrade(config_of(sql_url, MIGRATIONS), "0002")

    with engine.connect() as connection:
        assert connection.execute(text("SELECT id, idempotency_key FROM tasks")).all() == [
            (7, None)
        ]


def test_flights_of_the_former_version_are_found_by_their_day(sql_url: str) -> None:
    alembic.command.upgrade(config_of(sql_url, MIGRATIONS), "0007")
    engine = create_engine(sql_url)
    with engine.begin() as connection:
        for number, moment in (("PY1", "2030-01-31 23:59:59"), ("PY2", "2030-02-01 00:00:00")):
            connection.execute(text(FLIGHT.format(number=number, moment=f"{moment}.000000")))

    alembic.command.upgrade(config_of(sql_url, MIGRATIONS), "head")

    database = Database(sql_url)
    found = select(Flight.flight_number).where(Flight.departs_on == date(2030, 1, 31))
    with database.read() as tx:
        assert tx.scalars(found).all() == ["PY1"]
    database.close()
    alembic.command.downgrade(config_of(sql_url, MIGRATIONS), "0007")
    assert "departs_on" not in {column["name"] for column in inspect(engine).get_columns("flights")}
    engine.dispose()
