"""Engines that hold under many threads, for PostgreSQL and SQLite."""

import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, make_url

_READ_ONLY = "pyportal_read_only"
# Seconds between looks whether it is one's turn to write, on SQLite.
_BETWEEN_LOOKS = 0.03  # at most, at first
_HALVED_IN = 0.1  # of waiting
_SHORTEST = 0.0005


def read_only(engine: Engine) -> Engine:
    """The same engine, for transactions that only read: on SQLite they wait for nobody."""
    return engine.execution_options(**{_READ_ONLY: True})


def open_engine(url: str, *, pool_size: int, turn_seconds: float = 3) -> Engine:
    """An engine with this module's settings for its kind of database. Opens no connection.

    `turn_seconds` is how long a writer waits for its turn on SQLite, which has one at a time.
    """
    if make_url(url).get_backend_name() == "sqlite":
        return _sqlite(url, pool_size, turn_seconds)
    return create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=3,
        pool_pre_ping=True,
        hide_parameters=True,  # they hold personal data, and errors are logged
        # A writer that hangs inside a transaction ends before its fence does.
        connect_args={
            "connect_timeout": 3,
            "options": "-c idle_in_transaction_session_timeout=20000",
        },
    )


def _sqlite(url: str, pool_size: int, turn_seconds: float) -> Engine:
    database = make_url(url).database
    if database:
        Path(database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=3,
        hide_parameters=True,
        connect_args={"timeout": turn_seconds},
    )
    take_turn = _turns(turn_seconds)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        connection.isolation_level = None  # BEGIN is ours to send: see `begin`
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        if connection.get_execution_options().get(_READ_ONLY, False):
            connection.exec_driver_sql("BEGIN")
        else:
            take_turn(connection)

    return engine


def _turns(turn_seconds: float) -> Callable[[Any], None]:
    """What begins a transaction that may write, once nobody else is in one.

    SQLite waits, too, but looks ten times a second, while others come and go: of two dozen writers
    some then wait until their time is over. Here those look the more often who wait the longest.
    """

    def take_turn(connection: Any) -> None:
        began = time.monotonic()
        sqlite: sqlite3.Connection = connection.connection.dbapi_connection
        sqlite.execute("PRAGMA busy_timeout = 0")
        try:
            while not _begun(connection, sqlite):
                waited = time.monotonic() - began
                if waited >= turn_seconds:
                    connection.exec_driver_sql("BEGIN IMMEDIATE")  # raises, in most cases
                    return
                between = _BETWEEN_LOOKS * 0.5 ** (waited / _HALVED_IN)
                time.sleep(random.uniform(_SHORTEST, _SHORTEST + between))  # noqa: S311
        finally:
            sqlite.execute(f"PRAGMA busy_timeout = {round(turn_seconds * 1000)}")

    return take_turn


def _begun(connection: Any, sqlite: sqlite3.Connection) -> bool:
    """Whether it is its turn. Raises what SQLAlchemy makes of any other error."""
    try:
        sqlite.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
            return False
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    return True
