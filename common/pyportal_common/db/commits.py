"""What happens in Redis around a COMMIT that changes cached values."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from ..cache_handlers import Cache, Fence, Fill, RedisUnavailable, SessionStore
from .cached_rows import PendingInvalidations
from .invalidations import Invalidations
from .replays import LONGEST_REMOVAL_SECONDS
from .waiting import WaitingPlace

logger = logging.getLogger(__name__)

_POLL = 0.05  # seconds


@dataclass(frozen=True, slots=True)
class Commit:
    """A COMMIT whose values are removed and fenced, if Redis has acknowledged that."""

    pending: PendingInvalidations
    record_id: int
    fence: Fence
    place: WaitingPlace


class Commits:
    """Invalidates what COMMITs change: call `prepare`, COMMIT, then `complete` or `abandon`."""

    def __init__(
        self,
        cache: Cache,
        sessions: SessionStore | None,
        invalidations: Invalidations,
        *,
        trust_seconds: float,
    ) -> None:
        self._cache = cache
        self._sessions = sessions
        self._invalidations = invalidations
        self._trust_seconds = trust_seconds

    def must_wait(self) -> bool:
        """Whether a commit that begins now will probably have to wait."""
        is_settled = self._invalidations.settled_at < time.monotonic()
        return self._cache.client.breaker.is_open or not is_settled

    def prepare(
        self, connection: Connection, pending: PendingInvalidations, place: WaitingPlace
    ) -> Commit:
        """Insert the record, and remove the values. Raises TooManyWaitingWriters."""
        record_id = self._invalidations.record(connection, pending)
        fence = self._cache.fence(pending.keys, fills=bool(pending.fills))
        commit = Commit(pending, record_id, fence, place)
        if not fence.placed or (pending.revocations and self._sessions_are_away()):
            try:
                place.take()
            except RedisUnavailable:
                self._unfence(fence)
                raise
        return commit

    def abandon(self, commit: Commit) -> None:
        """The COMMIT has failed, or its outcome is unknown. Its record, if any, stays pending."""
        self._unfence(commit.fence)
        self._revoke(commit.pending)

    def complete(self, commit: Commit) -> None:
        """Return when no process uses an older value. See `Database.begin`."""
        committed_at = time.monotonic()
        is_removed = self._unfence(commit.fence, commit.pending.fills)
        failure = self._revoke(commit.pending)
        until = committed_at + self._trust_seconds
        if is_removed and failure is None:
            self._invalidations.mark_done(commit.record_id)
        if failure is not None:
            self._await_revocation(commit.record_id, until, failure)
        if is_removed:  # from the server of this process, that is
            until = self._invalidations.settled_at
        if commit.place.may_wait:
            time.sleep(max(0.0, until - time.monotonic()))

    def _sessions_are_away(self) -> bool:
        return self._sessions is not None and self._sessions.client.breaker.is_open

    def _unfence(self, fence: Fence, fills: Mapping[str, Fill] | None = None) -> bool:
        """Remove the values, or replace them. Whether Redis has acknowledged it.

        Late means not: another server may have taken over since the master was confirmed.
        """
        began = time.monotonic()
        try:
            self._cache.unfence(fence, fills)
        except RedisUnavailable as error:  # its state and the meaning of it are logged
            logger.debug("%d values are not removed yet: %s", len(fence.keys), error)
            return False
        except Exception:  # the COMMIT is valid whatever Redis replies
            logger.exception("%d values are not removed yet", len(fence.keys))
            return False
        is_late = time.monotonic() - began > LONGEST_REMOVAL_SECONDS
        return not (is_late and self._invalidations.has_sentinels)

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
            if self._invalidations.records.is_done(record_id):
                return
            time.sleep(_POLL)
        raise failure
