"""Engines that hold under many threads, for PostgreSQL and SQLite."""

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, make_url

_READ_ONLY = "pyportal_read_only"


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

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        connection.isolation_level = None  # BEGIN is ours to send: see `begin`
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        read_only = connection.get_execution_options().get(_READ_ONLY, False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine
