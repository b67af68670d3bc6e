"""SQL, and commits that leave no old value in the cache and no ended session alive."""

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
    """One SQL database of one process.

    On SQLite, commits are synced to the disk before they are acknowledged, readers never wait
    (WAL), and writers queue for up to three seconds: a transaction that begins as a reader and
    then writes would instead fail at once whenever another has written meanwhile.

    With a `cache`, commits invalidate what they change, and with `sessions` they may end some. The
    schema then has the table of `invalidations.RECORDS`.
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
        self._invalidations = Invalidations(url, cache, sessions) if cache is not None else None

    @contextmanager
    def begin(self, *, strict: bool = False) -> Iterator[Session]:
        """A transaction that may write: committed at the end of the block, else rolled back.

        What it changes is removed from the cache: before the COMMIT, with a fence that keeps
        readers from filling in the old row, and again after it. See `CachedRow`. What it revokes
        (`revoke_sessions`) ends after it. Where Redis does not hear of that, a record in the
        transaction makes up for it: within two seconds after it can be reached again.

        RedisUnavailable is raised then after a revocation; and with `strict` after any change,
        unless another process makes up for it within three seconds. The COMMIT stands: only it may
        not be seen everywhere yet.
        """
        with InvalidatingSession(self.engine, expire_on_commit=False) as tx:
            yield tx
            tx.flush()
            notes = pending_invalidations(tx)
            if self._cache is None or self._invalidations is None or notes.empty:
                tx.commit()
                return
            record_id = self._invalidations.record(tx, notes)
            fence = self._cache.fence(notes.keys)
            try:
                tx.commit()
            except BaseException:
                self._apply(fence, notes)  # it may still have happened
                raise
            failure = self._apply(fence, notes)
        if failure is None:
            self._invalidations.done(record_id)
        elif strict:
            self._await(record_id, failure)
        elif notes.revocations:
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
        """Close every connection, and stop sweeping."""
        if self._invalidations is not None:
            self._invalidations.close()
        self.engine.dispose()

    def _apply(self, fence: Fence, notes: PendingInvalidations) -> RedisUnavailable | None:
        """Remove and revoke; what went wrong, if anything."""
        try:
            if self._cache is not None:
                self._cache.unfence(fence)
            if self._sessions is not None:
                for revocation in notes.revocations:
                    self._sessions.revoke_as(revocation)
        except RedisUnavailable as error:  # the breaker has said so, once, and what it means
            logger.debug("%d values are old until they are swept: %s", len(fence.keys), error)
            return error
        except Exception as error:  # the COMMIT stands, whatever Redis says
            logger.exception("%d values are old until they are swept", len(fence.keys))
            return RedisUnavailable(str(error))
        return None

    def _await(self, record_id: int, failure: RedisUnavailable) -> None:
        until = time.monotonic() + _STRICT_WAIT
        while time.monotonic() < until:
            if self._invalidations is not None and self._invalidations.is_done(record_id):
                return
            time.sleep(_POLL)
        raise failure


def violated_columns(error: IntegrityError, columns: list[str]) -> list[str]:
    """Those of `columns` that the violated constraint names: by their text, so let none of them be
    a part of another column's name.
    """
    diagnosis = getattr(error.orig, "diag", None)  # PostgreSQL: its message repeats the values
    said = str(diagnosis.constraint_name if diagnosis is not None else error.orig)
    return [column for column in columns if column in said]
