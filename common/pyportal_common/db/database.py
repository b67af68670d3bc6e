"""SQL databases. Commits invalidate the cached values of the rows that they change."""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session

from ..cache_handlers import Cache, Fence, Fill, RedisUnavailable, SessionStore
from .cached_rows import InvalidatingSession, PendingInvalidations, pending_invalidations
from .engines import open_engine, read_only
from .invalidations import Invalidations
from .waiting import WaitingPlace, WaitingWriters

logger = logging.getLogger(__name__)

_POLL = 0.05  # seconds


class Database:
    """A SQL database.

    On SQLite, commits are synced to disk before they are acknowledged, readers never wait (WAL),
    and writers wait for each other for up to three seconds. A transaction that begins as a reader
    and then writes would instead fail at once if another one has written meanwhile.

    With a `cache`, commits invalidate what they change; with `sessions`, they may revoke login
    sessions. The schema must contain the table `records.RECORDS` then.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 8,
        cache: Cache | None = None,
        sessions: SessionStore | None = None,
        trust_seconds: float = 2.0,
        waiting_writers: int = 4,
    ) -> None:
        self.engine = open_engine(url, pool_size=pool_size)
        self._read_only = read_only(self.engine)
        self._cache = cache
        self._sessions = sessions
        self._trust_seconds = trust_seconds
        self._waiting = WaitingWriters(waiting_writers)
        self.writers_wait = True
        """Whether `begin` waits when Redis is unavailable. Workers, whom nobody awaits, do not."""
        self.invalidations = (
            Invalidations(url, cache, sessions, trust_seconds=trust_seconds) if cache else None
        )

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
        with self._waiting.place() as place:
            if changes_cached and self._must_wait():
                self._take(place)
            with InvalidatingSession(self.engine, expire_on_commit=False) as tx:
                yield tx
                tx.flush()
                pending = pending_invalidations(tx)
                if self._cache is None or not (pending.keys or pending.revocations):
                    _commit(tx)
                else:
                    self._commit(tx, pending, place)

    def await_invalidations(self) -> None:
        """Return when no reader sees values that are older than the commits so far.

        At once if all of them are invalidated, else when that is so, after `trust_seconds` at most.
        For an answer in place of the writer's, which may have died before it could invalidate.
        """
        if self.invalidations is None:
            return
        until = time.monotonic() + self._trust_seconds
        pending = self.invalidations.records.still_pending()
        with self._waiting.place() as place:
            while pending and time.monotonic() < until:
                place.take()
                time.sleep(_POLL)
                pending = self.invalidations.records.still_pending(pending)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that only reads."""
        with Session(self._read_only, expire_on_commit=False) as tx, tx.begin():
            yield tx

    def ping(self) -> bool:
        """Whether the database answers."""
        try:
            with self.read() as tx:
                tx.execute(text("SELECT 1"))
        except SQLAlchemyError as error:
            logger.warning("The SQL database does not answer: %s", error)
            return False
        return True

    def close(self) -> None:
        """Close every connection and stop the sweeper."""
        if self.invalidations is not None:
            self.invalidations.close()
        self.engine.dispose()

    def _commit(self, tx: Session, pending: PendingInvalidations, place: WaitingPlace) -> None:
        assert self._cache is not None and self.invalidations is not None  # noqa: S101, PT018
        record_id = self.invalidations.record(tx, pending)
        fence = self._cache.fence(pending.keys, fills=bool(pending.fills))
        if not fence.placed or (pending.revocations and self._sessions_are_away()):
            self._take(place)
        if not fence.placed:
            for delay in pending.delays:
                delay(self._trust_seconds)
            tx.flush()
        try:
            _commit(tx)
        except BaseException:
            self._unfence(fence)  # the COMMIT may have succeeded
            self._revoke(pending)
            raise
        committed_at = time.monotonic()
        is_removed, failure = self._unfence(fence, pending.fills), self._revoke(pending)
        until = committed_at + self._trust_seconds
        if is_removed and failure is None:
            self.invalidations.mark_done(record_id)
        if failure is not None:
            self._await_revocation(record_id, until, failure)
        if is_removed:  # from the server of this process, that is
            until = min(until, self.invalidations.settled_at)
        if self.writers_wait:
            time.sleep(max(0.0, until - time.monotonic()))

    def _must_wait(self) -> bool:
        """Whether a commit that begins now will probably have to wait."""
        if self._cache is None or self.invalidations is None:
            return False
        is_settled = self.invalidations.settled_at < time.monotonic()
        return self._cache.client.breaker.is_open or not is_settled

    def _sessions_are_away(self) -> bool:
        return self._sessions is not None and self._sessions.client.breaker.is_open

    def _take(self, place: WaitingPlace) -> None:
        if self.writers_wait:
            place.take()

    def _unfence(self, fence: Fence, fills: Mapping[str, Fill] | None = None) -> bool:
        """Remove the values, or replace them. Whether Redis has acknowledged it."""
        assert self._cache is not None  # noqa: S101
        try:
            self._cache.unfence(fence, fills)
        except RedisUnavailable as error:  # its state and the meaning of it are logged
            logger.debug("%d values are not removed yet: %s", len(fence.keys), error)
            return False
        except Exception:  # the COMMIT is valid whatever Redis replies
            logger.exception("%d values are not removed yet", len(fence.keys))
            return False
        return True

    def _revoke(self, pending: PendingInvalidations) -> RedisUnavailable | None:
        """Revoke sessions. Returns the failure, if any."""
        try:
            for revocation in pending.revocations if self._sessions is not None else ():
                self._sessions.revoke_as(revocation)  # type: ignore[union-attr]
        except RedisUnavailable as error:
            return error
        except Exception as error:  # the COMMIT is valid whatever Redis replies
            logger.exception("Sessions are not revoked yet")
            return RedisUnavailable(str(error))
        return None

    def _await_revocation(self, record_id: int, until: float, failure: RedisUnavailable) -> None:
        """Return when any process has applied the record, else raise `failure`."""
        while time.monotonic() < until:
            if self.invalidations is not None and self.invalidations.records.is_done(record_id):
                return
            time.sleep(_POLL)
        raise failure


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
