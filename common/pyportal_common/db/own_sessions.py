"""Commits of an app's own SQL sessions, which invalidate the cached values that they change.

The record and the fence belong between the last flush and the COMMIT. Events of sessions cannot
tell a COMMIT from the end of a savepoint, so that is done at the engine's `commit` event, which
comes right before a COMMIT. The end of the session's transaction follows, when its connection is
back in the pool.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakSet

from sqlalchemy import Connection, Engine, event, inspect
from sqlalchemy.orm import (
    ORMExecuteState,
    Session,
    SessionTransaction,
    scoped_session,
    sessionmaker,
)

from .cached_rows import (
    CachedRow,
    UndeclaredCacheKeys,
    collect_keys,
    collects_keys,
    forget_invalidations,
    pending_invalidations,
)
from .commits import Commit, Commits
from .waiting import WaitingWriters

Sessions = sessionmaker[Any] | scoped_session[Any]

_COMMITS = "pyportal_commits"
_BEGAN_COMMIT = "pyportal_began_commit"  # in the info of a connection
_JOINED = "pyportal_joined"
_SESSIONS = "pyportal_sessions"  # in the options of their connection

_watched: WeakSet[Engine] = WeakSet()


class OwnSessions:
    """Invalidates what the COMMITs on one engine change."""

    def __init__(self, engine: Engine, commits: Commits, waiting: WaitingWriters) -> None:
        self._engine = engine
        self._commits = commits
        self._waiting = waiting
        event.listen(engine, "commit", self._before_commit)
        event.listen(engine, "checkin", self._after_checkin)
        _watched.add(engine)

    def close(self) -> None:
        """Stop watching the engine. Its sessions refuse to change cached rows from now on."""
        event.remove(self._engine, "commit", self._before_commit)
        event.remove(self._engine, "checkin", self._after_checkin)
        _watched.discard(self._engine)

    def _before_commit(self, connection: Connection) -> None:
        for session in connection.get_execution_options().get(_SESSIONS, ()):
            pending = pending_invalidations(session)
            if not (pending.keys or pending.revocations):
                continue
            is_own = session.in_transaction()
            place = self._waiting.open_place(may_wait=is_own)
            connection.info[_BEGAN_COMMIT] = True
            commit = self._commits.prepare(connection, pending, place)
            if is_own:
                transaction = session.info.setdefault(_COMMITS, _Transaction())
                transaction.commits.append((self._commits, commit))
            else:  # it joined the transaction of the connection, and nothing comes after this
                forget_invalidations(session)

    def _after_checkin(self, driver_connection: Any, record: Any) -> None:
        """Roll back what a COMMIT that failed has left: SQLAlchemy takes it for ended.

        The next user of the connection would commit it. Has no effect after a COMMIT.
        """
        if driver_connection is None or not record.info.pop(_BEGAN_COMMIT, False):
            return
        try:
            driver_connection.rollback()
        except self._engine.dialect.loaded_dbapi.Error as error:
            record.invalidate(error)


@dataclass(slots=True)
class _Transaction:
    """The COMMITs of one transaction of a session: one for each engine."""

    commits: list[tuple[Commits, Commit]] = field(default_factory=list)
    is_committed: bool = False

    def end(self) -> None:
        """Invalidate again what was changed. Raises RedisUnavailable, as `Database.begin` does."""
        try:
            for commits, commit in self.commits:
                (commits.complete if self.is_committed else commits.abandon)(commit)
        finally:
            for _, commit in self.commits:
                commit.place.release()


def watch(sessions: Sessions) -> None:
    """Attach all sessions of a sessionmaker or a scoped_session. Again has no effect."""
    factory = sessions.session_factory if isinstance(sessions, scoped_session) else sessions
    if not isinstance(factory, sessionmaker):
        raise TypeError("watch needs a sessionmaker, or a scoped_session of one")
    session_class = factory.class_  # each sessionmaker has a class of its own
    if collects_keys(session_class):
        return
    collect_keys(session_class)
    for name, listener in _LISTENERS.items():
        event.listen(session_class, name, listener)


def _after_begin(session: Session, _: SessionTransaction, connection: Connection) -> None:
    known = connection.get_execution_options().get(_SESSIONS, ())
    if session not in known:
        connection.execution_options(**{_SESSIONS: (*known, session)})


def _check_rows(session: Session, _: object) -> None:
    for changed in (session.new, session.dirty, session.deleted):
        for row in changed:
            if isinstance(row, CachedRow):
                _check_engine(session, mapper=inspect(row).mapper)


def _check_statement(state: ORMExecuteState) -> None:
    if state.execution_options.get("cache_keys"):
        arguments = {"clause": state.statement, **state.bind_arguments}
        _check_engine(state.session, **arguments)


def _check_engine(session: Session, **arguments: Any) -> None:
    """Refuse changes of cached values where no COMMIT would invalidate them."""
    if session.twophase:  # SQL has no place for the record after PREPARE
        raise UndeclaredCacheKeys("two-phase commits cannot invalidate cached rows")
    engine = session.get_bind(**arguments).engine
    if engine not in _watched:
        raise UndeclaredCacheKeys(
            f"cached rows are changed on {engine.url!r}, which has no Database"
        )


def _after_commit(session: Session) -> None:
    transaction: _Transaction | None = session.info.get(_COMMITS)
    if transaction is not None:
        transaction.is_committed = True
    elif not session.in_nested_transaction():
        session.info[_JOINED] = True  # the COMMIT, if anything changed, is that of a connection


def _after_end(session: Session, ended: SessionTransaction) -> None:
    if ended.parent is not None:
        return
    transaction: _Transaction | None = session.info.pop(_COMMITS, None)
    if not session.info.pop(_JOINED, False):
        forget_invalidations(session)
    if transaction is not None:
        transaction.end()


_LISTENERS: dict[str, Callable[..., None]] = {
    "after_begin": _after_begin,
    "after_flush": _check_rows,
    "do_orm_execute": _check_statement,
    "after_commit": _after_commit,
    "after_transaction_end": _after_end,
}
