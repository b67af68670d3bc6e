"""Checks whether a query finds a row, without SQLAlchemy's part of it."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, func, insert, select
from sqlalchemy.exc import DBAPIError, OperationalError

from common.pyportal_common.db.engines import open_engine
from common.pyportal_common.db.row_checks import RowCheck
from common.pyportal_common.jobs.outages import is_outage_of_sql
from common.pyportal_common.redis_server import free_port

THINGS = Table(
    "checked_things",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("colour", String(20)),
)
RED = select(THINGS).where(THINGS.c.colour == "red")


@pytest.fixture
def engine(sql_url: str) -> Iterator[Engine]:
    engine = open_engine(sql_url, pool_size=2)
    THINGS.create(engine)
    yield engine
    THINGS.drop(engine, checkfirst=True)
    engine.dispose()


def test_it_finds_what_others_have_committed(engine: Engine) -> None:
    red = RowCheck(engine, RED)

    assert not red.finds_any()
    for colour, is_found in [("blue", False), ("red", True)]:
        with engine.begin() as connection:
            connection.execute(insert(THINGS).values(colour=colour))
        assert red.finds_any() == is_found


def test_a_query_does_not_wait_for_a_writer(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(insert(THINGS).values(colour="red"))

        assert not RowCheck(engine, RED).finds_any()


def test_it_keeps_no_connection(engine: Engine) -> None:
    red = RowCheck(engine, RED)

    for _ in range(10):  # more than the pool has
        assert not red.finds_any()

    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]


def test_a_failure_is_one_of_sqlalchemy(engine: Engine) -> None:
    THINGS.drop(engine)

    with pytest.raises(DBAPIError, match="checked_things"):
        RowCheck(engine, RED).finds_any()


def test_a_lost_connection_is_replaced_and_not_logged(
    engine: Engine, sql_kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    if sql_kind == "sqlite":
        pytest.skip("SQLite has no connections that can be cut")
    loses_its_connection = select(func.pg_terminate_backend(func.pg_backend_pid()))

    with pytest.raises(OperationalError):
        RowCheck(engine, loses_its_connection).finds_any()

    assert not RowCheck(engine, RED).finds_any()
    assert caplog.records == []


def test_an_outage_is_recognised() -> None:
    engine = open_engine(f"postgresql://nobody@127.0.0.1:{free_port()}/nothing", pool_size=1)

    with pytest.raises(OperationalError) as raised:
        RowCheck(engine, RED).finds_any()

    assert is_outage_of_sql(raised.value)
