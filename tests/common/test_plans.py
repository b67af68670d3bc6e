"""The checks of plans find statements that read all rows, and only those."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, create_engine, text

from common.pyportal_common.testing.plans import faults_of

TABLES = """
    CREATE TABLE things (id integer PRIMARY KEY, colour text, size integer, state text);
    CREATE TABLE parts (thing_id integer, number integer, PRIMARY KEY (thing_id, number));
    CREATE INDEX ix_colour ON things (colour, id);
    CREATE INDEX ix_failed ON things (size) WHERE state = 'failed';
    CREATE INDEX ix_broken ON things (state, id) WHERE state = 'broken';
    CREATE INDEX ix_waiting ON things (size) WHERE size IS NOT NULL
"""


@pytest.fixture
def connection(sql_url: str) -> Iterator[Connection]:
    engine = create_engine(sql_url)
    with engine.connect() as connection:
        for statement in TABLES.split(";"):
            connection.execute(text(statement))
        yield connection
        connection.rollback()
    engine.dispose()


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM things",
        "SELECT * FROM things WHERE state = 'new'",
        "SELECT * FROM things WHERE id > 0 AND state = 'new' ORDER BY id LIMIT 51",
        "SELECT count(*) FROM things",
        "SELECT * FROM things ORDER BY colour, id",
        "SELECT * FROM parts WHERE number = 1",
        "UPDATE things SET colour = 'red' WHERE state = 'new'",
        "DELETE FROM parts WHERE thing_id IN (SELECT id FROM things WHERE state = 'new')",
        "SELECT size FROM things WHERE size IS NOT NULL AND state = 'new'",
        "SELECT (SELECT count(*) FROM things WHERE (size < 7) AND state = 'new')",
    ],
)
def test_a_statement_that_reads_a_whole_table_is_reported(
    connection: Connection, statement: str
) -> None:
    assert faults_of(connection, statement) != []


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM things WHERE id = 7",
        "SELECT * FROM things WHERE id > 7 ORDER BY id LIMIT 51",
        "SELECT * FROM things WHERE colour = 'red' AND id > 0 ORDER BY id LIMIT 51",
        "SELECT * FROM things WHERE size < 7",
        "SELECT size FROM things WHERE state = 'failed' LIMIT 100",
        "SELECT count(*) FROM things WHERE state = 'failed'",
        "SELECT * FROM things WHERE state = 'broken' AND id < 7 ORDER BY id DESC LIMIT 51",
        "SELECT count(*) FROM things WHERE state = 'broken'",
        "UPDATE things SET colour = 'red', size = 7 WHERE id = 7",
        "DELETE FROM parts WHERE thing_id IN (SELECT id FROM things WHERE colour = 'red')",
        "DELETE FROM things WHERE id IN (SELECT id FROM things WHERE size < 7 LIMIT 200)",
        "SELECT (SELECT max(id) FROM things WHERE size < 7), (SELECT id FROM things WHERE id = 7)",
    ],
)
def test_a_statement_that_uses_an_index_is_not(connection: Connection, statement: str) -> None:
    assert faults_of(connection, statement) == []
