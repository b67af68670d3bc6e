"""Copies of rows that the services have written, to measure how large many are."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, Engine, inspect, text

from .portal import Portal
from .servers import TASKPROCESSING

_SAMPLED = 100  # rows that are copied
_AGED = "now() - interval '800 days'"
_TASK = {"reference": "'COPY-' || n || '-' || s.id", "created_at": _AGED, "finished_at": _AGED}
_DIGEST = "md5(random()::text)"
_NOTIFICATION = {"message_id": _DIGEST, "idempotency_key": _DIGEST}
_NAME = "'copy' || n || '-' || s.id"
_USER = {
    "username": _NAME,
    "username_key": _NAME,
    "email": f"{_NAME} || '@example.com'",
    "email_key": f"{_NAME} || '@example.com'",
}


def bytes_of_copies(portal: Portal, count: int) -> dict[str, float]:
    """The bytes of a row with its part of the indexes, by table, of `count` copies each."""
    users, tasks, notifications = portal.engines.values()
    return {
        "users": insert_copies(users, "users", count, _USER),
        "tasks": insert_copies(tasks, "tasks", count, _TASK),
        "bookings": insert_children(tasks, "tasks", "bookings", "task_id"),
        "events": insert_copies(tasks, "events", count, {"key": _DIGEST}),
        "notifications": insert_copies(notifications, "notifications", count, _NOTIFICATION),
        "attempts": insert_children(notifications, "notifications", "attempts", "notification_id"),
    }


def insert_copies(
    engine: Engine, table: str, count: int, changed: Mapping[str, str], *, sampled: int = _SAMPLED
) -> float:
    """Copy the first rows, with other values in some columns. Returns the bytes of a copy.

    The values are SQL, in which `s` is the row and `n` the number of its copy.
    """
    columns = _columns(engine, table)
    values = ", ".join(changed.get(name, f"s.{name}") for name in columns)
    source = (
        f"SELECT {values} FROM generate_series(1, {max(1, count // sampled)}) AS n,"
        f" (SELECT * FROM {table} ORDER BY id LIMIT {sampled}) AS s"
    )
    return _insert(engine, table, columns, source)


def insert_children(engine: Engine, parents: str, table: str, column: str) -> float:
    """Copy one row for each parent that has none. Returns the bytes of a copy."""
    columns = _columns(engine, table)
    values = ", ".join("p.id" if name == column else f"s.{name}" for name in columns)
    source = (
        f"SELECT {values} FROM (SELECT * FROM {table} LIMIT 1) AS s,"
        f" (SELECT id FROM {parents} EXCEPT SELECT {column} FROM {table} ORDER BY 1) AS p"
    )
    return _insert(engine, table, columns, source)


def _columns(engine: Engine, table: str) -> list[str]:
    return [each["name"] for each in inspect(engine).get_columns(table) if each["name"] != "id"]


def _insert(engine: Engine, table: str, columns: Sequence[str], source: str) -> float:
    with engine.begin() as connection:
        before = _size(connection, table)
        made = connection.execute(text(f"INSERT INTO {table} ({', '.join(columns)}) {source}"))
        added = (_size(connection, table) - before) / made.rowcount
        connection.execute(text(f"ANALYZE {table}"))
    return float(added)


def _size(connection: Connection, table: str) -> int:
    return int(connection.scalar(text(f"SELECT pg_total_relation_size('{table}')")) or 0)


def deleted_a_second(portal: Portal) -> float:
    """How many old tasks the schedule deletes a second, with their bookings."""
    with portal.engines["taskprocessing"].begin() as connection:
        connection.execute(text(f"UPDATE tasks SET created_at = {_AGED}, finished_at = {_AGED}"))
        connection.execute(text(f"UPDATE flights SET departs_at = {_AGED}"))
    printed = subprocess.run(
        [sys.executable, "-m", "benchmarks.contenders.retention"],
        cwd=TASKPROCESSING,
        env={**os.environ, **portal.variables["taskprocessing"]},
        stdout=subprocess.PIPE,
        check=True,
    )
    found: float = json.loads(printed.stdout)
    return found
