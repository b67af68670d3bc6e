"""SQL: engines that hold under many threads, and commits that leave no old value in the cache."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    DateTime,
    Dialect,
    Engine,
    TextClause,
    create_engine,
    event,
    inspect,
    make_url,
    text,
)
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import ORMExecuteState, Session
from sqlalchemy.types import TypeDecorator

from .cache_handlers import Cache, Fence, RedisUnavailable

logger = logging.getLogger(__name__)

_READ_ONLY = "pyportal_read_only"
_CHANGED = "pyportal_changed_cache_keys"

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


class CachedRow:
    """Mixed into a model whose rows are cached: it says under which keys.

    Columns that are part of a key need `mapped_column(active_history=True)`, so that the old value
    is known when they change.
    """

    @classmethod
    def cache_keys(cls, row: Mapping[str, Any]) -> Iterable[str]:
        """The keys of a row, given its attributes by name: once the old ones, once the new."""
        raise TypeError(f"{cls.__name__} does not say the cache keys of {dict(row)}")


class UndeclaredCacheKeys(Exception):
    """A statement changes rows of a cached model, and nobody says which keys that concerns.

    Say it: session.execute(statement, execution_options={"cache_keys": [...]}).
    """


class Database:
    """One SQL database of one process.

    On SQLite, commits are synced to the disk before they are acknowledged, readers never wait
    (WAL), and writers queue for up to three seconds: a transaction that begins as a reader and
    then writes would instead fail at once whenever another has written meanwhile.
    """

    def __init__(self, url: str, *, pool_size: int = 8, cache: Cache | None = None) -> None:
        self._cache = cache
        self.engine = open_engine(url, pool_size=pool_size)
        self._read_only = self.engine.execution_options(**{_READ_ONLY: True})

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """A transaction that may write: committed at the end of the block, else rolled back.

        What it changes is removed from the cache: before the COMMIT, with a fence that keeps
        readers from filling in the old row, and again after it. See `CachedRow`.
        """
        with _TellingSession(self.engine, expire_on_commit=False) as session:
            yield session
            session.flush()
            changed: set[str] = session.info.get(_CHANGED, set())
            if self._cache is None or not changed:
                session.commit()
                return
            fence = self._cache.fence(changed)
            try:
                session.commit()
            finally:  # a COMMIT that failed may still have happened
                _lift(self._cache, fence)

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


class _TellingSession(Session):
    """A session that notes, in `info`, the cache keys of all that it changes."""

    def _refused(self, *_: object, **__: object) -> None:
        raise UndeclaredCacheKeys("the legacy bulk calls tell nobody what they change")

    bulk_save_objects = bulk_insert_mappings = bulk_update_mappings = _refused


@event.listens_for(_TellingSession, "before_flush")
def _load_all(session: Session, *_: object) -> None:
    # A row that was loaded in part has keys too.
    for row in (*session.dirty, *session.deleted):
        if isinstance(row, CachedRow):
            for name in inspect(row).unloaded:
                getattr(row, name)


@event.listens_for(_TellingSession, "after_flush")
def _note_rows(session: Session, _: object) -> None:
    # Here old and new values are both at hand; after the flush the old ones are forgotten, and
    # before it new rows have no id.
    for changed in (session.new, session.dirty, session.deleted):
        for row in changed:
            if isinstance(row, CachedRow):
                for values in _old_and_new(row):
                    session.info.setdefault(_CHANGED, set()).update(row.cache_keys(values))


@event.listens_for(_TellingSession, "do_orm_execute")
def _note_statement(state: ORMExecuteState) -> None:
    declared = state.execution_options.get("cache_keys")
    if declared is None:
        subject = _what_it_may_change(state)
        if subject is None:
            return
        raise UndeclaredCacheKeys(
            f"a statement changes {subject}: declare execution_options"
            '={"cache_keys": [...]}, empty if none of their cached values changes'
        )
    state.session.info.setdefault(_CHANGED, set()).update(declared)


def _what_it_may_change(state: ORMExecuteState) -> str | None:
    if isinstance(state.statement, TextClause):
        return "what its text says"
    if state.is_update or state.is_delete or state.is_insert:
        model = _cached_model(state)
        return f"{model.__name__} rows" if model is not None else None
    return None


def _cached_model(state: ORMExecuteState) -> type[CachedRow] | None:
    if state.bind_mapper is not None:
        model = state.bind_mapper.class_
        return model if issubclass(model, CachedRow) else None
    table = getattr(state.statement, "table", None)
    models = (model for model in CachedRow.__subclasses__() if hasattr(model, "__table__"))
    return next((model for model in models if model.__table__ is table), None)


def _old_and_new(row: object) -> tuple[dict[str, Any], dict[str, Any]]:
    old, new = {}, {}
    for attribute in inspect(row).attrs:
        history = attribute.history
        kept = [*history.unchanged, *history.deleted, *history.added]
        old[attribute.key] = (*history.deleted, *kept, None)[0]
        new[attribute.key] = (*history.added, *kept, None)[0]
    return old, new


def _lift(cache: Cache, fence: Fence) -> None:
    try:
        cache.lift(fence)
    except RedisUnavailable as error:  # the breaker has said so, once, and what it means
        logger.debug("%d values may be old until they end: %s", len(fence.keys), error)
    except Exception:  # the COMMIT stands, whatever Redis says
        logger.exception("%d values may be old until they end", len(fence.keys))


def violated_columns(error: IntegrityError, columns: list[str]) -> list[str]:
    """Those of `columns` that the violated constraint names: by their text, so let none of them be
    a part of another column's name.
    """
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
        # A writer that hangs inside a transaction ends before its fence does.
        connect_args={
            "connect_timeout": 3,
            "options": "-c idle_in_transaction_session_timeout=20000",
        },
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
