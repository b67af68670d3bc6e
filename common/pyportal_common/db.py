"""SQL: engines that hold under many threads, for SQLite and PostgreSQL."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import DateTime, Dialect, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeDecorator

logger = logging.getLogger(__name__)

_READ_ONLY = "pyportal_read_only"

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """A moment, in UTC on every database. SQLite forgets time zones; this remembers."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _: Dialect) -> datetime | None:
        """What is stored: UTC. ValueError for a naive datetime."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs a time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, _: Dialect) -> datetime | None:
        """What was stored, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Database:
    """One SQL database of one process.

    On SQLite, commits are synced to the disk before they are acknowledged, readers never wait
    (WAL), and writers queue for up to three seconds: a transaction that begins as a reader and
    then writes would instead fail at once whenever another has written meanwhile.
    """

    def __init__(self, url: str, *, pool_size: int = 8) -> None:
        self.engine = open_engine(url, pool_size=pool_size)
        self._read_only = self.engine.execution_options(**{_READ_ONLY: True})

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """A transaction that may write: committed at the end of the block, else rolled back."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that only reads."""
        with Session(self._read_only, expire_on_commit=False) as session, session.begin():
            yield session

    def ping(self) -> bool:
        """Whether the database answers."""
        try:
            with self.read() as session:
                session.execute(text("SELECT 1"))
        except SQLAlchemyError as error:
            logger.warning("The SQL database does not answer: %s", error)
            return False
        return True

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def violated_columns(error: IntegrityError, columns: list[str]) -> list[str]:
    """Those of `columns` that the violated constraint names."""
    diagnosis = getattr(error.orig, "diag", None)  # PostgreSQL: its message repeats the values
    said = str(diagnosis.constraint_name if diagnosis is not None else error.orig)
    return [column for column in columns if column in said]


def open_engine(url: str, *, pool_size: int) -> Engine:
    """An engine with this module's settings for its kind of database. Opens no connection."""
    if make_url(url).get_backend_name() == "sqlite":
        return _sqlite(url, pool_size)
    return create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=3,
        pool_pre_ping=True,
        hide_parameters=True,  # they hold personal data, and errors are logged
        connect_args={"connect_timeout": 3},
    )


def _sqlite(url: str, pool_size: int) -> Engine:
    database = make_url(url).database
    if database:
        Path(database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=3,
        hide_parameters=True,
        connect_args={"timeout": 3},
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
