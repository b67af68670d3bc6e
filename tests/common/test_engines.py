"""Writers of one SQLite file, which has one at a time."""

import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from common.pyportal_common.db.engines import open_engine

WRITERS = 24
TURNS = 25  # of each


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "counts.sqlite3"


@pytest.fixture
def engine(file: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{file}", pool_size=WRITERS, turn_seconds=1.5)
    with engine.begin() as connection:
        connection.execute(text("create table counts (n integer)"))
        connection.execute(text("insert into counts values (0)"))
    yield engine
    engine.dispose()


def count(engine: Engine) -> None:
    """A transaction that takes a while, as those do that ask Redis in the middle."""
    with engine.begin() as connection:
        connection.execute(text("update counts set n = n + 1"))
        time.sleep(0.003)


def test_of_many_writers_none_waits_until_its_time_is_over(engine: Engine) -> None:
    def count_on() -> None:
        for _ in range(TURNS):
            count(engine)

    with ThreadPoolExecutor(WRITERS) as writers:
        ended = [writers.submit(count_on) for _ in range(WRITERS)]

    assert [writer.exception() for writer in ended] == [None] * WRITERS
    with engine.begin() as connection:
        assert connection.scalar(text("select n from counts")) == WRITERS * TURNS


def test_who_gets_no_turn_is_told_when_its_time_is_over(engine: Engine, file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("begin immediate")
        began = time.monotonic()

        with pytest.raises(OperationalError, match="locked"):
            count(engine)

        assert 1.5 <= time.monotonic() - began < 5
        other.execute("rollback")
    count(engine)


def test_what_is_not_about_turns_is_told_at_once(engine: Engine) -> None:
    with engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        assert raw is not None
        raw.cursor().execute("begin")
        began = time.monotonic()

        with pytest.raises(OperationalError, match="within a transaction"):
            connection.execute(text("select n from counts"))

        assert time.monotonic() - began < 1
