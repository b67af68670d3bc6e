"""SQL databases. Commits invalidate the cached values of the rows that they change."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import Engine, QueuePool, text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session

from ..cache_handlers import Cache, SessionStore
from .cached_rows import InvalidatingSession, PendingInvalidations, pending_invalidations
from .clock import clock_of
from .commits import Commits
from .engines import STATEMENT_SECONDS, checked_engine, open_engine, read_only
from .invalidations import Invalidations
from .own_sessions import OwnSessions, Sessions, watch
from .records import Records
from .waiting import WaitingPlace, WaitingWriters

logger = logging.getLogger(__name__)

_POLL = 0.05  # seconds


class Database:
    """A SQL database.

    On SQLite, commits are synced to disk before they are acknowledged, readers never wait (WAL),
    and writers wait for each other for up to three seconds. A transaction that begins as a reader
    and then writes would instead fail at once if another one has written meanwhile.

    With a `cache`, commits invalidate what they change; with `sessions`, they may revoke login
    sessions. The schema must contain the table `RECORDS` then.

    On PostgreSQL a statement takes `statement_seconds` at most; one that the server does not answer
    fails a second later, with an OperationalError.

    In place of a URL it accepts an app's own engine, for PostgreSQL (psycopg 3) or a SQLite file.
    That stays as it is, and `close` does not close it. See `watch`.
    """

    def __init__(
        self,
        url: str | Engine,
        *,
        pool_size: int = 8,
        cache: Cache | None = None,
        sessions: SessionStore | None = None,
        trust_seconds: float = 2.0,
        waiting_writers: int = 4,
        statement_seconds: float = STATEMENT_SECONDS,
    ) -> None:
        self._owns_engine = isinstance(url, str)
        self.engine = (
            open_engine(url, pool_size=pool_size, statement_seconds=statement_seconds)
            if isinstance(url, str)
            else checked_engine(url)
        )
        self._clock = clock_of(self.engine)
        self._read_only = read_only(self.engine)
        self._trust_seconds = trust_seconds
        self._waiting = WaitingWriters(waiting_writers)
        self.writers_wait = True
        """Whether `begin` waits when Redis is unavailable. Workers, without a client, do not."""
        self.invalidations: Invalidations | None = None
        self._commits: Commits | None = None
        self._own_sessions: OwnSessions | None = None
        if cache is not None:
            records = (
                Records.open(url, statement_seconds=statement_seconds)
                if isinstance(url, str)
                else Records.beside(url)
            )
            self._clock = clock_of(self.engine, records.clock)
            self.invalidations = Invalidations(
                records, cache, sessions, trust_seconds=trust_seconds
            )
            self._commits = Commits(
                cache, sessions, self.invalidations, trust_seconds=trust_seconds
            )

    def watch(self, sessions: Sessions) -> None:
        """Have the commits of an app's own sessions invalidate what they change.

        `sessions` is a sessionmaker or a scoped_session, such as `db.session` of Flask-SQLAlchemy.
        All their commits on this database's engine do what `begin` does, and all their changes of
        cached rows are refused elsewhere. Two-phase commits are refused. Raises TypeError without a
        `cache`.
        """
        if self._commits is None:
            raise TypeError("watch needs Database(…, cache=…)")
        if self._own_sessions is None:
            self._own_sessions = OwnSessions(self.engine, self._commits, self._waiting)
        watch(sessions)

    @contextmanager
    def begin(self, *, changes_cached: bool = True) -> Iterator[Session]:
        """A transaction that may write. It commits at the end of the block, else it rolls back.

        Cached values of changed rows (see `CachedRow`) are removed before the COMMIT, with a fence
        that prevents readers from caching the old row, and again after it. Sessions that the
        transaction revokes (`revoke_sessions`) end after the COMMIT.

        If Redis does not acknowledge that, a record in the transaction ensures that both happen
        later, and this returns `trust_seconds` after the COMMIT: no process uses an older value
        then. After a revocation that is not done by then, RedisUnavailable is raised; the COMMIT is
        valid. It also waits when another server has just replaced that of the cache. At most
        `waiting_writers` threads wait at a time; further calls raise TooManyWaitingWriters, and
        nothing is written. A caller that `changes_cached` values in no case never waits.
        """
        with self._waiting.place(may_wait=self.writers_wait) as place:
            if changes_cached and self._commits is not None and self._commits.must_wait():
                place.take()
            with InvalidatingSession(self.engine, expire_on_commit=False) as tx:
                yield tx
                tx.flush()
                pending = pending_invalidations(tx)
                if self._commits is None or not (pending.keys or pending.revocations):
                    _commit(tx)
                else:
                    self._commit(tx, pending, place)

    def await_invalidations(self) -> None:
        """Return when no reader sees values that are older than the commits so far.

        At once if all of them are invalidated, else when that is so, after `trust_seconds` at most.
        Where sentinels may replace the server, not before: some process may have invalidated them
        in another one. For an answer in place of the writer's, which may have died before it could
        invalidate.
        """
        if self.invalidations is None:
            return
        until = time.monotonic() + self._trust_seconds
        settled_at = self.invalidations.settled_at
        pending = self.invalidations.records.still_pending()
        may_end_early = not self.invalidations.has_sentinels
        with self._waiting.place() as place:
            while pending and time.monotonic() < until:
                place.take()
                time.sleep(_POLL)
                if may_end_early:
                    pending = self.invalidations.records.still_pending(pending)
            if settled_at > time.monotonic():
                place.take()
                time.sleep(settled_at - time.monotonic())

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that only reads."""
        with Session(self._read_only, expire_on_commit=False) as tx, tx.begin():
            yield tx

    def now(self) -> datetime:
        """The time by the clock of the database, in UTC: see clock.py. Rarely a round trip.

        Raises SQLAlchemyError if a server has never answered.
        """
        return self._clock.now()

    def ping(self) -> bool:
        """Whether the database answers."""
        try:
            with self.read() as tx:
                tx.execute(text("SELECT 1"))
        except SQLAlchemyError as error:
            logger.warning("The SQL database does not answer: %s", error)
            return False
        return True

    @property
    def connections_in_use(self) -> int:
        """The connections of the pool that transactions have at this moment."""
        pool = self.engine.pool
        return pool.checkedout() if isinstance(pool, QueuePool) else 0

    @property
    def pool_size(self) -> int:
        """The connections that transactions may have at a time, without an overflow."""
        pool = self.engine.pool
        return pool.size() if isinstance(pool, QueuePool) else 1

    def close(self) -> None:
        """Close every connection and stop the sweeper."""
        if self._own_sessions is not None:
            self._own_sessions.close()
        if self.invalidations is not None:
            self.invalidations.close()
        if self._owns_engine:
            self.engine.dispose()

    def _commit(self, tx: Session, pending: PendingInvalidations, place: WaitingPlace) -> None:
        assert self._commits is not None  # noqa: S101
        commit = self._commits.prepare(tx.connection(), pending, place)
        if not commit.fence.placed:
            for delay in pending.delays:
                delay(self._trust_seconds)
            tx.flush()
        try:
            _commit(tx)
        except BaseException:
            self._commits.abandon(commit)
            raise
        self._commits.complete(commit)


def _commit(tx: Session) -> None:
    """Commit. If that fails, close the connection: it may still be in the transaction."""
    try:
        tx.commit()
    except BaseException:
        tx.invalidate()
        raise


def violated_columns(error: IntegrityError, columns: list[str]) -> list[str]:
    """The `columns` whose names occur in the violated constraint.

    No name in `columns` may be part of another column's name.
    """
    diagnosis = getattr(error.orig, "diag", None)  # PostgreSQL; its message repeats the values
    constraint = str(diagnosis.constraint_name if diagnosis is not None else error.orig)
    return [column for column in columns if column in constraint]


def cause_of(error: SQLAlchemyError) -> str:
    """What the database has said, in one line."""
    return " ".join(str(getattr(error, "orig", None) or error).split())
