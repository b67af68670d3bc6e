"""SQLAlchemy engines for many threads, on PostgreSQL and SQLite."""

import contextlib
import random
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from ..settings import ConfigurationError

STATEMENT_SECONDS = 10.0
"""How long a statement may take on PostgreSQL, by default."""

_DRIVERS = {"postgresql", "postgresql+psycopg", "sqlite", "sqlite+pysqlite"}
_READ_ONLY = "pyportal_read_only"
_WRITES = "pyportal_writes"

_IN_MEMORY = (None, "", ":memory:")
_WRITERS: dict[str, threading.Lock] = {}  # by file

# Pauses between a SQLite writer's attempts to begin, in seconds: docs/adr/0018 says why.
_FIRST_PAUSE = 0.03
_PAUSE_HALVES_AFTER = 0.1
_SHORTEST_PAUSE = 0.0005


def read_only(engine: Engine) -> Engine:
    """The same engine for transactions that only read. On SQLite they do not wait for writers."""
    return engine.execution_options(**{_READ_ONLY: True})


def open_engine(
    url: str,
    *,
    pool_size: int,
    write_timeout: float = 3,
    statement_seconds: float | None = STATEMENT_SECONDS,
) -> Engine:
    """An engine with the settings for its kind of database. Opens no connection.

    SQLite has one writer at a time; a writer waits `write_timeout` seconds for the others. On
    PostgreSQL a statement takes `statement_seconds` at most, unless that is None. Raises
    ConfigurationError if the URL is not that of a database.
    """
    options: dict[str, Any] = {
        "pool_size": pool_size,
        "max_overflow": 0,
        "pool_timeout": 3,
        "hide_parameters": True,  # errors are logged, and parameters contain personal data
    }
    if _parsed(url).get_backend_name() == "sqlite":
        engine = _sqlite(url, write_timeout, options)
    else:
        psycopg = _parsed(url).set(drivername="postgresql+psycopg")  # 2.0 would take psycopg2
        from .postgresql import postgresql_engine  # needs psycopg, an extra

        engine = postgresql_engine(psycopg, statement_seconds, options)
    _close_late_connections(engine)
    return engine


def checked_engine(engine: Engine) -> Engine:
    """An app's own engine. Raises ConfigurationError for a database that is not supported.

    A SQLite database in memory has one connection for all threads: whatever commits records would
    commit the transactions of requests.
    """
    kind = f"{engine.dialect.name}+{engine.dialect.driver}"
    if kind not in {"postgresql+psycopg", "sqlite+pysqlite"}:
        raise ConfigurationError(f"{kind}: must be postgresql+psycopg or sqlite")
    if kind == "sqlite+pysqlite" and engine.url.database in _IN_MEMORY:
        raise ConfigurationError(
            "SQLite in memory: must be a file, such as sqlite:////path/to/file"
        )
    return engine


def _close_late_connections(engine: Engine) -> None:
    """Close connections that are returned after `dispose`, which closes only those not in use."""
    is_disposed = threading.Event()
    event.listen(engine, "engine_disposed", lambda _: is_disposed.set())

    @event.listens_for(engine, "checkin")
    def checkin(_: object, record: Any) -> None:
        if is_disposed.is_set():
            record.invalidate()


def _parsed(url: str) -> URL:
    with contextlib.suppress(ArgumentError, ValueError):  # ValueError: of a port
        parsed = make_url(url)
        if parsed.drivername in _DRIVERS:
            return parsed
    # Without the URL, which may contain a password.
    raise ConfigurationError(
        "DATABASE_URL: must be a URL such as postgresql+psycopg://user@host/database"
        " or sqlite:////path/to/file"
    )


def _sqlite(url: str, write_timeout: float, options: dict[str, Any]) -> Engine:
    database = make_url(url).database
    try:
        Path(database or "").parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"DATA_DIR or DATABASE_URL: {error}") from None
    engine = create_engine(url, connect_args={"timeout": write_timeout}, **options)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        connection.isolation_level = None  # sqlite3 must not send BEGIN: see `begin`
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    writers = _writers(database)

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        if connection.get_execution_options().get(_READ_ONLY, False):
            connection.exec_driver_sql("BEGIN")
            return
        if not connection.info.get(_WRITES):
            connection.info[_WRITES] = writers.acquire(timeout=write_timeout)
        _begin_write(connection, write_timeout)

    @event.listens_for(engine, "checkin")
    def checkin(_: object, record: Any) -> None:
        if record.info.pop(_WRITES, False):
            writers.release()

    return engine


def _writers(database: str | None) -> threading.Lock:
    """Where the writers of this process wait for each other, which costs no attempts.

    One for all engines of a file: while a writer pauses between attempts, the others wait for it.
    """
    lock = threading.Lock()
    return lock if database in _IN_MEMORY else _WRITERS.setdefault(str(database), lock)


def _begin_write(connection: Any, timeout: float) -> None:
    """Begin a transaction as soon as no other writer is in one.

    SQLite's own busy wait tries every 100 ms after a while, so under steady load a writer may miss
    every free moment. Here a writer tries more often the longer it has waited.
    """
    started = time.monotonic()
    sqlite: sqlite3.Connection = connection.connection.dbapi_connection
    sqlite.execute("PRAGMA busy_timeout = 0")
    try:
        while (waited := time.monotonic() - started) < timeout:
            try:
                sqlite.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    break
            pause = _FIRST_PAUSE * 0.5 ** (waited / _PAUSE_HALVES_AFTER)
            time.sleep(random.uniform(_SHORTEST_PAUSE, _SHORTEST_PAUSE + pause))  # noqa: S311
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # normally raises SQLAlchemy's error
    finally:
        sqlite.execute(f"PRAGMA busy_timeout = {round(timeout * 1000)}")
