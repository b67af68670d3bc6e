"""The plans of SQL statements: which of them read all rows of a table that grows."""

import inspect
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from sqlalchemy import Connection, Engine, NullPool, create_engine, event

# Their rows are deleted after minutes, or there is one for each kind of job or rate limit at most.
_SMALL_TABLES = frozenset(
    {"alembic_version", "cache_invalidations", "paused_kinds", "rate_limit_overrides", "workers"}
)

# What PostgreSQL's planner prefers in a table of few rows, and in no large one.
_WHOLE_TABLE_METHODS = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin")

# The indexes of PostgreSQL.
_INDEXES = """
    SELECT relname AS name, attname AS first_column, pg_get_expr(indpred, indrelid) AS predicate,
        indrelid::regclass::text AS table_name
    FROM pg_index
    JOIN pg_class ON pg_class.oid = indexrelid
    JOIN pg_attribute ON attrelid = indexrelid AND attnum = 1
"""
_EXPLAINED = re.compile(r"\s*(SELECT|UPDATE|DELETE|WITH)\b", re.IGNORECASE)
_ACCESS = re.compile(r"(SCAN|SEARCH) (\w+)(?:.* INDEX (\w+))?")  # a line of SQLite's plan
_EQUALITY = re.compile(r"(?<![<>!])=")
_RANGE = re.compile(r"[<>]|\b(BETWEEN|LIKE|GLOB|IS NOT NULL)\b")
_INNERMOST = re.compile(r"\(([^()]*)\)")
_LIBRARIES = ("sqlalchemy.", "contextlib", "psycopg", __name__)
_TOOLS = ("tests", "testing", "migrations", "alembic")


class PlanChecks:
    """Collects the statements that services send to a database, and explains each of them.

    Statements of tests are not collected. Rows do not matter: on SQLite, a table without statistics
    is expected to be large, and on PostgreSQL a whole table is read, by a sequential scan or for a
    hash or merge join, only where no index can be used.
    """

    def __init__(self, url: str, scanned_tables: Collection[str] = ()) -> None:
        self._scanned = _SMALL_TABLES.union(scanned_tables)
        self._engine = create_engine(url, poolclass=NullPool)
        self._collected: dict[str, Any] = {}  # the parameters of one execution, by text
        self._explained: set[str] = set()
        event.listen(Engine, "before_cursor_execute", self._collect)

    def close(self) -> None:
        """Collect no more."""
        event.remove(Engine, "before_cursor_execute", self._collect)
        self._engine.dispose()

    def collect(self, text: str) -> None:
        """Explain this statement, too, which SQLAlchemy does not send."""
        self._collected[text] = ()

    def statements(self) -> set[str]:
        """The texts of all statements so far."""
        return self._explained | self._collected.keys()

    def faults(self) -> list[str]:
        """The full scans among the statements that are new since the last call."""
        new, self._collected = self._collected, {}
        self._explained.update(new)
        with self._engine.connect() as connection:
            return [
                f"{fault}: {text}"
                for text, parameters in new.items()
                for fault in faults_of(connection, text, parameters, self._scanned)
            ]

    def _collect(
        self,
        connection: Connection,
        _cursor: Any,
        text: str,
        parameters: Any,
        _context: Any,
        executemany: bool,
    ) -> None:
        if text in self._explained or text in self._collected or not _EXPLAINED.match(text):
            return
        if connection.engine.url == self._engine.url and _is_of_a_service(inspect.currentframe()):
            self._collected[text] = parameters[0] if executemany else parameters


def faults_of(
    connection: Connection,
    text: str,
    parameters: Any = (),
    scanned_tables: Collection[str] = _SMALL_TABLES,
) -> list[str]:
    """The parts of a statement's plan that read all rows of another table, or of its index."""
    if connection.dialect.name == "sqlite":
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", parameters).all()
        partial = _partial_indexes(connection)
        lines = [row.detail for row in rows if _table_of(row.detail) not in scanned_tables]
        return [line for line in lines if _is_fault(line, text, partial)]
    for method in _WHOLE_TABLE_METHODS:
        connection.exec_driver_sql(f"SET {method} = off")
    plan = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {text}", parameters).scalar_one()
    indexes = {row.name: row for row in connection.exec_driver_sql(_INDEXES)}
    nodes = _nodes(plan[0]["Plan"])
    nodes = (node for node in nodes if _relation_of(node, indexes) not in scanned_tables)
    return [_shown(node) for node in nodes if _is_faulty(node, text, indexes)]


def _partial_indexes(connection: Connection) -> Mapping[str, str]:
    """The predicates of SQLite's partial indexes, by name."""
    query = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql LIKE '% WHERE %'"
    rows = connection.exec_driver_sql(query)
    return {row.name: row.sql.partition(" WHERE ")[2] for row in rows}


def _is_bounded(predicate: str | None, text: str) -> bool:
    """Whether a statement may read all of an index: of the few with a value, or up to a limit."""
    return predicate is not None and (_EQUALITY.search(predicate) is not None or "LIMIT" in text)


def _table_of(detail: str) -> str | None:
    found = _ACCESS.match(detail)
    return found[2] if found is not None else None


def _is_fault(detail: str, text: str, partial: Mapping[str, str]) -> bool:
    """Whether a line of SQLite's plan is a scan, or a range that other conditions only filter."""
    found = _ACCESS.match(detail)
    if found is None or found[2].startswith("anon_"):
        return False
    if found[1] == "SCAN":
        return found[2] != "CONSTANT" and not _is_bounded(partial.get(found[3]), text)
    conditions = (re.sub(r"(?s)^.*?\bWHERE\b", "", select) for select in _selects(text))
    return "=" not in detail and any(
        _RANGE.search(each) and _EQUALITY.search(each) for each in conditions
    )


def _selects(text: str) -> Iterator[str]:
    """A statement and the SELECTs inside, each without those inside it."""
    while (inner := _INNERMOST.search(text)) is not None:
        is_select = inner[1].lstrip().startswith("SELECT")
        if is_select:
            yield inner[1]
        text = text[: inner.start()] + ("" if is_select else inner[1]) + text[inner.end() :]
    yield text


def _relation_of(node: Mapping[str, Any], indexes: Mapping[str, Any]) -> object:
    """The table that a node reads, or whose index."""
    index = indexes.get(node.get("Index Name", ""))
    return node.get("Relation Name") if index is None else index.table_name


def _is_faulty(node: Mapping[str, Any], text: str, indexes: Mapping[str, Any]) -> bool:
    """The same for a node of PostgreSQL's plan, which may also skip an index's first column.

    The planner knows how few rows the tables of tests have. So where it filters rows by a column
    that an index begins with, it does not use that index only because there are few.
    """
    if _could_use_another_index(node, indexes):
        return False
    if node["Node Type"] == "Seq Scan":
        return True
    condition = node.get("Index Cond", node.get("Recheck Cond"))
    if condition is not None and "Filter" in node and not _EQUALITY.search(condition):
        return _EQUALITY.search(node["Filter"]) is not None
    if "Index Name" not in node:
        return False
    index = indexes[node["Index Name"]]
    if condition is not None and (
        re.search(rf"\b{index.first_column}\b", condition)
        or _begins_another(condition, index, indexes)
    ):
        return False
    return not _is_bounded(index.predicate, text)


def _begins_another(condition: str, used: Any, indexes: Mapping[str, Any]) -> bool:
    """Whether another index of the table begins with a column of the condition.

    In a table of few rows the planner does not care which of the two it reads as a whole.
    """
    return any(
        index.table_name == used.table_name and re.search(rf"\b{index.first_column}\b", condition)
        for index in indexes.values()
    )


def _could_use_another_index(node: Mapping[str, Any], indexes: Mapping[str, Any]) -> bool:
    compared = set(re.findall(r"\((\w+) = ", node.get("Filter", "")))
    return any(
        index.table_name == node.get("Relation Name") and index.first_column in compared
        for index in indexes.values()
        if index.predicate is None
    )


def _nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def _shown(node: Mapping[str, Any]) -> str:
    names = ("Node Type", "Relation Name", "Index Name", "Index Cond", "Filter")
    return " ".join(str(node[name]) for name in names if name in node)


def _is_of_a_service(frame: FrameType | None) -> bool:
    """Whether the innermost caller outside of libraries is not a test or a tool."""
    while frame is not None and frame.f_globals.get("__name__", "").startswith(_LIBRARIES):
        frame = frame.f_back
    return frame is not None and not set(_TOOLS) & set(Path(frame.f_code.co_filename).parts)
