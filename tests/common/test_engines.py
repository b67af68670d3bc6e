"""Many writers of a SQLite database, which has one at a time. See docs/adr/0018."""

import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from common.pyportal_common.db.engines import open_engine

WRITERS = 24
TRANSACTIONS = 25  # of each writer


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "counts.sqlite3"


@pytest.fixture
def engine(file: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{file}", pool_size=WRITERS, write_timeout=1.5)
    with engine.begin() as connection:
        connection.execute(text("create table counts (n integer)"))
        connection.execute(text("insert into counts values (0)"))
    yield engine
    engine.dispose()


def count(engine: Engine) -> None:
    """A transaction that takes a while, as one does that removes cached values."""
    with engine.begin() as connection:
        connection.execute(text("update counts set n = n + 1"))
        time.sleep(0.003)


def test_no_writer_of_many_times_out(engine: Engine) -> None:
    def count_repeatedly() -> None:
        for _ in range(TRANSACTIONS):
            count(engine)

    with ThreadPoolExecutor(WRITERS) as writers:
        running = [writers.submit(count_repeatedly) for _ in range(WRITERS)]

    assert [writer.exception() for writer in running] == [None] * WRITERS
    with engine.begin() as connection:
        assert connection.scalar(text("select n from counts")) == WRITERS * TRANSACTIONS


def test_a_writer_that_cannot_begin_fails_after_its_timeout(engine: Engine, file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("begin immediate")
        started = time.monotonic()

        with pytest.raises(OperationalError, match="locked"):
            count(engine)

        assert 1.5 <= time.monotonic() - started < 5
        other.execute("rollback")
    count(engine)


def test_another_error_is_raised_at_once(engine: Engine) -> None:
    with engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        assert raw is not None
        raw.cursor().execute("begin")
        started = time.monotonic()

        with pytest.raises(OperationalError, match="within a transaction"):
            connection.execute(text("select n from counts"))

        assert time.monotonic() - started < 1


def test_a_connection_that_is_in_use_at_the_end_is_closed_when_it_is_returned(sql_url: str) -> None:
    """A thread that outlives its service must not leave connections behind."""
    engine = open_engine(sql_url, pool_size=2)
    connection = engine.connect()
    driver_connection = connection.connection.dbapi_connection
    assert driver_connection is not None

    engine.dispose()
    connection.close()

    with pytest.raises((sqlite3.ProgrammingError, psycopg.OperationalError), match="closed"):
        driver_connection.cursor().execute("select 1")
