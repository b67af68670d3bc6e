"""SQL databases. Commits invalidate the cached values of the rows that they change."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session

from ..cache_handlers import Cache, Fence, RedisUnavailable, SessionStore
from .cached_rows import InvalidatingSession, PendingInvalidations, pending_invalidations
from .engines import open_engine, read_only
from .invalidations import Invalidations

logger = logging.getLogger(__name__)

_STRICT_WAIT = 3.0  # seconds
_POLL = 0.05  # seconds


class Database:
    """A SQL database.

    On SQLite, commits are synced to disk before they are acknowledged, readers never wait (WAL),
    and writers wait for each other for up to three seconds. A transaction that begins as a reader
    and then writes would instead fail at once if another one has written meanwhile.

    With a `cache`, commits invalidate what they change; with `sessions`, they may revoke login
    sessions. The schema must contain the table `invalidations.RECORDS` then.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 8,
        cache: Cache | None = None,
        sessions: SessionStore | None = None,
    ) -> None:
        self.engine = open_engine(url, pool_size=pool_size)
        self._read_only = read_only(self.engine)
        self._cache = cache
        self._sessions = sessions
        self.invalidations = Invalidations(url, cache, sessions) if cache is not None else None

    @contextmanager
    def begin(self, *, strict: bool = False) -> Iterator[Session]:
        """A transaction that may write. It commits at the end of the block, else it rolls back.

        Cached values of changed rows (see `CachedRow`) are removed before the COMMIT, with a fence
        that prevents readers from caching the old row, and again after it. Sessions that the
        transaction revokes (`revoke_sessions`) end after the COMMIT. If Redis is unavailable then,
        a record in the transaction ensures that both happen within two seconds after its return.

        In that case RedisUnavailable is raised after a revocation, and with `strict` after any
        change, unless another process removes the values within three seconds. The COMMIT is valid;
        only readers may not see it yet.
        """
        with InvalidatingSession(self.engine, expire_on_commit=False) as tx:
            yield tx
            tx.flush()
            pending = pending_invalidations(tx)
            changes_nothing = not (pending.keys or pending.revocations)
            if self._cache is None or self.invalidations is None or changes_nothing:
                tx.commit()
                return
            record_id = self.invalidations.record(tx, pending)
            fence = self._cache.fence(pending.keys)
            try:
                tx.commit()
            except BaseException:
                self._apply(fence, pending)  # the COMMIT may have succeeded
                raise
            failure = self._apply(fence, pending)
        if failure is None:
            self.invalidations.mark_done(record_id)
        elif strict:
            self._await(record_id, failure)
        elif pending.revocations:
            raise failure

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

    def _apply(self, fence: Fence, pending: PendingInvalidations) -> RedisUnavailable | None:
        """Remove values and revoke sessions. Returns the failure, if any."""
        try:
            if self._cache is not None:
                self._cache.unfence(fence)
            if self._sessions is not None:
                for revocation in pending.revocations:
                    self._sessions.revoke_as(revocation)
        except RedisUnavailable as error:  # the breaker has logged the outage and its meaning
            logger.debug("%d values are stale until they are swept: %s", len(fence.keys), error)
            return error
        except Exception as error:  # the COMMIT is valid whatever Redis replies
            logger.exception("%d values are stale until they are swept", len(fence.keys))
            return RedisUnavailable(str(error))
        return None

    def _await(self, record_id: int, failure: RedisUnavailable) -> None:
        until = time.monotonic() + _STRICT_WAIT
        while time.monotonic() < until:
            if self.invalidations is not None and self.invalidations.is_done(record_id):
                return
            time.sleep(_POLL)
        raise failure


def violated_columns(error: IntegrityError, columns: list[str]) -> list[str]:
    """The `columns` whose names occur in the violated constraint.

    No name in `columns` may be part of another column's name.
    """
    diagnosis = getattr(error.orig, "diag", None)  # PostgreSQL; its message repeats the values
    constraint = str(diagnosis.constraint_name if diagnosis is not None else error.orig)
    return [column for column in columns if column in constraint]
