"""Queries that every process repeats each second, and that nearly always find nothing."""

from contextlib import closing
from typing import Any

from sqlalchemy import Engine, Select
from sqlalchemy.exc import DBAPIError, OperationalError


class RowCheck:
    """Whether a query without parameters finds a row.

    The driver gets the text of the query. On an idle machine that takes a third of the time of the
    same query in a session, and the processes of an idle portal do little else.
    """

    def __init__(self, engine: Engine, query: Select[Any]) -> None:
        self._engine = engine
        values = {"literal_binds": True}
        self.text = str(query.limit(1).compile(engine, compile_kwargs=values))

    def finds_any(self) -> bool:
        """Run the query. On SQLite this does not wait for writers. Raises SQLAlchemyError."""
        driver: Any = self._engine.dialect.dbapi
        try:
            with closing(self._engine.raw_connection()) as connection:
                try:
                    cursor = connection.cursor()
                    cursor.execute(self.text)
                    return cursor.fetchone() is not None
                except driver.Error as error:
                    connection.invalidate(error)  # the pool could not roll back a lost one
                    raise
        except driver.OperationalError as error:
            raise OperationalError(self.text, None, error) from error
        except driver.Error as error:
            raise DBAPIError(self.text, None, error) from error
