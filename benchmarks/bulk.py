"""Filling a table of PostgreSQL with millions of rows: its indexes are created afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text

# Of those that no constraint needs.
_INDEXES = """
    SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
    WHERE indrelid = CAST(:table AS regclass)
        AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
"""


@contextmanager
def filling(engine: Engine, table: str) -> Iterator[Connection]:
    """A transaction that inserts many rows. On SQLite the indexes stay."""
    with engine.begin() as connection:
        if engine.name == "sqlite":
            yield connection
            return
        found = connection.execute(text(_INDEXES), {"table": table}).all()
        for name, _ in found:
            connection.execute(text(f"DROP INDEX {name}"))
        yield connection
        connection.execute(text("SET LOCAL maintenance_work_mem = '512MB'"))
        for _, definition in found:
            connection.execute(text(definition))
